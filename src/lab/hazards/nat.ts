/** Several machines behind one address: their clocks and their sequence numbers have nothing to do with each other. */
import { NatBox } from '../../sim/boxes.js';
import type { Host, HostOptions } from '../../sim/host.js';
import type { NatOptions } from '../../sim/nat.js';
import { delays, refuses, safe, type Hazard, type Outcome } from './hazard.js';
import { attempt, serveAndClose, type Stage } from './stage.js';

const PUBLIC = '10.77.0.100';
const REASON = /^(tw-(?!enter|expired|fin)|recycle|listen)/;

interface Behind {
  readonly server: Host;
  readonly clients: readonly [Host, Host];
}

/** Two machines behind a NAT; the second one was switched on a minute later. */
function behindNat(
  stage: Stage,
  nat: Pick<NatOptions, 'choice' | 'ports' | 'timers'>,
  knobs: HostOptions['knobs'],
): Behind {
  const server = stage.subject();
  const box = new NatBox(stage.net, 'nat', { outside: PUBLIC, ...nat });
  stage.net.wire(box, server, { delay: 5 });
  const machine = (name: string, address: string, clockShift: number): Host => {
    const host = stage.other(name, { addresses: [address], clockShift, knobs: { ...knobs } });
    stage.net.wire(host, box, { delay: 2 });
    return host;
  };
  serveAndClose(server);
  const clients = [
    machine('first', '192.168.1.11/24', 0),
    machine('second', '192.168.1.12/24', -60_000),
  ] as const;
  return { server, clients };
}

/** The machine with the earlier clock has just been served; now the other one comes, from another port. */
function slowerClock(stage: Stage): Outcome {
  const { clients } = behindNat(stage, { choice: 'sequential' }, { 'net.ipv4.tcp_timestamp_offset': 0 });
  attempt(stage, clients[0], 5000, { localPort: 5001 });
  stage.run(1000);
  const from = stage.decisions.length;
  const second = attempt(stage, clients[1], 200_000, { localPort: 5002 });
  const reason = stage.reason(REASON, from);
  if (!second.connected) return refuses('the slower clock was never served', reason);
  const again = attempt(stage, clients[0], 5000, { localPort: 5003 });
  const faster = again.connected
    ? 'the faster one is served at once'
    : 'and the faster one is not served either';
  return delays(second.delay, `the slower clock got in after ${second.delay} ms, ${faster}`, reason);
}

const ROUNDS = 20;

/** One public port, which both machines get in turn as soon as it is free. */
function sameTuple(stage: Stage, knobs: HostOptions['knobs']): Outcome {
  const forgets = { timeWait: 100, close: 100, lastAck: 100, finWait: 100 };
  const { clients } = behindNat(
    stage,
    { choice: 'preserve', ports: [40_000, 40_000], timers: forgets },
    knobs,
  );
  let late = 0;
  let worst = 0;
  let sum = 0;
  let refused = 0;
  for (let i = 0; i < ROUNDS; i++) {
    const each = attempt(stage, clients[i % 2 === 0 ? 0 : 1], 130_000, { localPort: 5000 + i });
    if (!each.connected) refused++;
    else if (each.delay > 100) late++;
    worst = Math.max(worst, each.delay);
    sum += each.delay;
    stage.run(1500);
  }
  const reason = stage.reason(/^(tw-(?!enter|expired|fin|syn-accepted)|recycle)/);
  const note = `${ROUNDS} connections of two machines from one public port: ${late} late, ${refused} refused; mean ${Math.round(sum / ROUNDS)} ms, worst ${worst} ms`;
  if (refused > 0) return refuses(note, reason, Math.max(0, 1 - (refused + late) / ROUNDS));
  return late > 0 ? delays(worst, note, reason) : safe(note);
}

export const nats: readonly Hazard[] = [
  {
    name: 'nat-timestamps',
    title: 'two machines behind one NAT address, timestamp clocks a minute apart',
    axis: 'availability',
    text: 'The machine with the earlier clock has been served and the server closed first; a second later the other machine, whose timestamps are a minute behind, connects from another public port. How long until it gets in?',
    claims: [40, 41],
    play: slowerClock,
  },
  {
    name: 'nat-tuple-timestamps',
    title: 'the same from one public port',
    axis: 'availability',
    text: 'Both machines get the same public port in turn (the NAT forgets closed connections at once), with timestamp clocks a minute apart.',
    claims: [40],
    play: (stage) => sameTuple(stage, { 'net.ipv4.tcp_timestamp_offset': 0 }),
  },
  {
    name: 'nat-isn',
    title: 'the same without timestamps: initial sequence numbers apart',
    axis: 'availability',
    text: 'Both machines get the same public port in turn and send no timestamps: about half of the SYNs have a sequence number below the last one of the other machine.',
    claims: [52, 54],
    play: (stage) => sameTuple(stage, { 'net.ipv4.tcp_timestamps': 0 }),
  },
];
