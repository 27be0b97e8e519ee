/** Clocks: of sequence numbers, of timestamps, and what their wrapping does to TIME-WAIT and PAWS. */
import { delays, refuses, safe, type Hazard, type Outcome } from './hazard.js';
import {
  FIXED,
  SERVER,
  SERVICE,
  attempt,
  closeFirst,
  closeSecond,
  opened,
  serveAndClose,
  type Stage,
} from './stage.js';

const REASON = /^(tw-(?!enter|expired|fin)|recycle|listen|paws)/;

/** A connection lives 140 s: the 64 ns clock of its client has run more than 2^31 ahead when it comes again. */
function sequenceWrap(stage: Stage): Outcome {
  const server = stage.subject();
  const client = stage.other('client', { knobs: { 'net.ipv4.tcp_timestamps': 0, 'net.ipv4.tcp_isn': 1 } });
  stage.net.wire(client, server, { delay: 5 });
  server.listen({ port: SERVICE, reuseAddress: true }, (socket) => {
    socket.onData = () => socket.close();
  });
  const first = opened(client.connect({ address: SERVER, port: SERVICE, localPort: FIXED }));
  closeSecond(first);
  stage.run(140_000);
  first.write(Uint8Array.of(1));
  stage.runUntil(() => first.closed, 5000);
  stage.run(50);
  return reconnect(stage, client);
}

function reconnect(stage: Stage, client: Parameters<typeof attempt>[1], patience = 300_000): Outcome {
  const from = stage.decisions.length;
  const again = attempt(stage, client, patience);
  const reason = stage.reason(REASON, from);
  if (!again.connected)
    return refuses(
      `not connected within ${patience / 1000} s: ${String(again.error ?? 'no answer')}`,
      reason,
    );
  return delays(again.delay, `connected after ${again.delay} ms`, reason);
}

const DAY = 86_400_000;

/** The client's timestamp clock wraps (signed or unsigned) while the server holds TIME-WAIT. */
function stampWrap(stage: Stage, wrap: number): Outcome {
  const server = stage.subject();
  // Half a second before the wrap when it closes, behind it when it comes again.
  const client = stage.other('client', {
    clockShift: wrap - stage.now - 600,
    knobs: { 'net.ipv4.tcp_timestamp_offset': 0, 'net.ipv4.tcp_isn': 0 },
  });
  stage.net.wire(client, server, { delay: 5 });
  closeFirst(stage, server, client);
  stage.run(1500);
  return reconnect(stage, client);
}

/** A connection idles `days` and then has data: PAWS must not take the wrapped clock for an old one. */
function longIdle(stage: Stage, days: number): Outcome {
  const server = stage.subject();
  const client = stage.other('client', { knobs: { 'net.ipv4.tcp_timestamp_offset': 0 } });
  stage.net.wire(client, server, { delay: 5 });
  let arrived = 0;
  server.listen({ port: SERVICE, reuseAddress: true }, (socket) => {
    socket.onData = (data) => {
      arrived += data.length;
    };
  });
  const socket = opened(client.connect({ address: SERVER, port: SERVICE, localPort: FIXED }));
  closeSecond(socket);
  stage.run(1000);
  stage.run(days * DAY);
  const from = stage.decisions.length;
  const start = stage.now;
  socket.write(new Uint8Array(100));
  stage.runUntil(() => arrived === 100 || socket.closed, 120_000);
  const reason = stage.reason(/^paws/, from);
  if (arrived < 100) return refuses(`after ${days} idle days data was refused`, reason);
  return delays(
    stage.now - start,
    `data after ${days} idle days arrived after ${stage.now - start} ms`,
    reason,
  );
}

const TRIES = 40;

/** The client's timestamps begin anywhere, for each connection anew: forty connections, one after the other, fresh ports. */
function randomOffsets(stage: Stage): Outcome {
  const server = stage.subject();
  const client = stage.other('client', { knobs: { 'net.ipv4.tcp_timestamp_offset': 3 } });
  stage.net.wire(client, server, { delay: 5 });
  serveAndClose(server);
  let late = 0;
  let refused = 0;
  let waited = 0;
  for (let i = 0; i < TRIES; i++) {
    const each = attempt(stage, client, 3500, { localPort: FIXED + i });
    if (!each.connected) refused++;
    else if (each.delay > 100) late++;
    waited += each.delay;
    stage.run(200);
  }
  const reason = stage.reason(/^recycle/);
  const note = `${TRIES} connections: ${refused} refused within 3.5 s, ${late} late`;
  if (refused > 0) return refuses(note, reason, 1 - refused / TRIES);
  return late > 0 ? delays(waited / TRIES, note, reason) : safe(note);
}

/** The same client and the same tuple again and again, its timestamps begin anywhere. */
function randomOffsetsSameTuple(stage: Stage): Outcome {
  const server = stage.subject();
  const client = stage.other('client', {
    knobs: { 'net.ipv4.tcp_timestamp_offset': 3, 'net.ipv4.tcp_isn': 0 },
  });
  stage.net.wire(client, server, { delay: 5 });
  serveAndClose(server);
  let worst = 0;
  let late = 0;
  const rounds = 20;
  for (let i = 0; i < rounds; i++) {
    const each = attempt(stage, client, 300_000);
    worst = Math.max(worst, each.delay);
    if (each.delay > 100) late++;
    if (!each.connected)
      return refuses(`connection ${i + 1} of ${rounds} never came up`, stage.reason(REASON));
    stage.run(300);
  }
  return delays(
    worst,
    `${late} of ${rounds} reconnections late, the worst by ${worst} ms`,
    stage.reason(/^tw-(paws|syn)/),
  );
}

export const clocks: readonly Hazard[] = [
  {
    name: 'sequence-wrap',
    title: 'the ISN clock wraps during a connection of 140 s',
    axis: 'availability',
    text: 'A client without timestamps whose ISN clock ticks every 64 ns (Linux) comes again after 140 s: its new sequence number is more than 2^31 ahead and looks old.',
    claims: [17, 52],
    play: sequenceWrap,
  },
  {
    name: 'random-timestamps',
    title: 'timestamps with a random offset per connection',
    axis: 'availability',
    text: `${TRIES} connections of one client from different ports, the server closes first. A memory per host takes an offset that happens to be lower for an old clock.`,
    claims: [42],
    play: randomOffsets,
  },
  {
    name: 'random-timestamps-same-tuple',
    title: 'the same from one fixed port',
    axis: 'availability',
    text: 'Twenty connections from one port: half of the SYNs carry a timestamp below the last one of the old connection.',
    claims: [40, 54],
    play: randomOffsetsSameTuple,
  },
  {
    name: 'timestamp-wrap-24-days',
    title: 'timestamp clock at 24.8 days (2^31 ms)',
    axis: 'availability',
    text: 'The client comes back to a tuple in TIME-WAIT just after its timestamp clock changed its sign.',
    claims: [43],
    play: (stage) => stampWrap(stage, 2 ** 31),
  },
  {
    name: 'timestamp-wrap-49-days',
    title: 'timestamp clock at 49.7 days (2^32 ms)',
    axis: 'availability',
    text: 'The same just after the clock began again at 0.',
    claims: [43],
    play: (stage) => stampWrap(stage, 2 ** 32),
  },
  {
    name: 'idle-25-days',
    title: 'a connection idle for 25 days',
    axis: 'availability',
    text: 'Longer than the timestamp clock needs for 2^31 ticks: TS.Recent must not be believed any more (RFC 7323 5.5).',
    claims: [43],
    play: (stage) => longIdle(stage, 25),
  },
];
