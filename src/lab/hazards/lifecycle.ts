/** Ends and restarts: what a program, or its peer, notices of TIME-WAIT or of its absence. */
import { ACK, FIN, SYN } from '../../wire/segment.js';
import {
  delays,
  loses,
  peerError,
  records,
  refuses,
  safe,
  unprotected,
  type Hazard,
  type Outcome,
} from './hazard.js';
import {
  CLIENT,
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

/** The ACK of the peer's FIN is lost: who answers when it comes again? */
function lostLastAck(stage: Stage): Outcome {
  const server = stage.subject();
  const client = stage.other('client');
  const wire = stage.net.wire(client, server, { delay: 5 });
  serveAndClose(server);
  const socket = opened(client.connect({ address: SERVER, port: SERVICE, localPort: FIXED }));
  closeSecond(socket);
  let fins = 0;
  let lost = 0;
  wire.lose((segment, from) => {
    if (from === 'client' && (segment.flags & FIN) !== 0) fins++;
    return (
      from === 'subject' &&
      fins > 0 &&
      (segment.flags & (SYN | FIN)) === 0 &&
      segment.flags === ACK &&
      ++lost === 1
    );
  });
  stage.runUntil(() => fins >= 2, 5000);
  stage.run(500);
  const reason = stage.reason(/^(tw-(?!enter|none)|closed-rst|listen-ack|fw2)/);
  if (server.counter('TcpOutRsts') > 0) {
    const seen = client.stack.connections === 0 ? 'its connection is gone' : 'it ignored that';
    return peerError(
      `the peer's FIN came again and was answered by RST: ${seen}, though all data had arrived`,
      reason,
    );
  }
  return safe("the peer's FIN came again and was acknowledged", reason);
}

/** The server program ends and starts again while its old connections are in TIME-WAIT. */
function restart(stage: Stage, reuseAddress: boolean): Outcome {
  const server = stage.subject();
  const client = stage.other('client');
  stage.net.wire(client, server);
  const first = server.listen({ port: SERVICE, reuseAddress }, (socket) => socket.close());
  if (typeof first === 'string') throw new Error(first);
  const socket = opened(client.connect({ address: SERVER, port: SERVICE, localPort: FIXED }));
  closeSecond(socket);
  stage.runUntil(() => socket.closed, 5000);
  stage.run(50);
  server.closeListener(first);
  const start = stage.now;
  for (;;) {
    const again = server.listen({ port: SERVICE, reuseAddress }, () => undefined);
    if (typeof again !== 'string')
      return delays(
        stage.now - start,
        `bind() succeeded after ${(stage.now - start) / 1000} s`,
        stage.reason(/^tw-/),
      );
    if (stage.now - start > 600_000) return refuses(`bind(): ${again} for ten minutes`, '');
    stage.run(100);
  }
}

/** The program aborts (SO_LINGER with 0) while the peer has not read everything. */
function linger(stage: Stage): Outcome {
  const server = stage.subject();
  const client = stage.other('client', { knobs: { 'net.ipv4.tcp_rmem': 8192 } });
  stage.net.wire(client, server, { delay: 10 });
  const size = 200_000;
  server.listen({ port: SERVICE, reuseAddress: true }, (socket) => {
    socket.set('linger', 0);
    socket.write(new Uint8Array(size).fill(97));
    stage.net.after(200, () => socket.close());
  });
  const socket = opened(client.connect({ address: SERVER, port: SERVICE, localPort: FIXED }));
  socket.pause();
  stage.net.after(150, () => socket.resume());
  stage.runUntil(() => socket.closed, 20_000);
  stage.run(100);
  const missing = size - socket.bytesRead;
  const reason = stage.reason(/linger/);
  const protectedBy =
    server.stack.timeWait.count > 0 ? 'TIME-WAIT stands' : 'no TIME-WAIT protects the tuple';
  if (missing > 0)
    return loses(
      missing,
      `${missing} of ${size} bytes lost, the peer saw ${String(socket.error)}; ${protectedBy}`,
      reason,
    );
  return safe(`everything arrived; ${protectedBy}`, reason);
}

/** The peer in LAST-ACK (our last ACK was lost and we hold no record) meets a new SYN from us. */
function lastAckSyn(stage: Stage): Outcome {
  const subject = stage.subject({ addresses: [`${CLIENT}/24`] });
  const peer = stage.other('peer', { addresses: [`${SERVER}/24`] });
  const wire = stage.net.wire(subject, peer, { delay: 5 });
  peer.listen({ port: SERVICE, reuseAddress: true }, closeSecond);
  const open = { address: SERVER, port: SERVICE, localPort: FIXED, reuseAddress: true };
  const first = opened(subject.connect(open));
  first.onConnect = () => first.close();
  // Nothing of ours gets through from the peer's FIN on, for 300 ms.
  let silent = false;
  const end = wire.lose((segment, from) => {
    if (from === 'peer' && (segment.flags & FIN) !== 0) silent = true;
    return silent && from === 'subject';
  });
  stage.runUntil(() => silent, 5000);
  stage.run(50);
  end();
  const start = stage.now;
  const again = subject.connect(open);
  if (typeof again === 'string')
    return safe(
      `connect() refuses: ${again}; TIME-WAIT is ours and answers the peer`,
      stage.reason(/^(reopen|tw-)/),
    );
  stage.runUntil(() => again.connected || again.closed, 30_000);
  if (!again.connected)
    return refuses(`the new connection failed: ${String(again.error)}`, stage.reason(/^synsent/));
  return delays(
    stage.now - start,
    `connected after ${stage.now - start} ms`,
    stage.reason(/^(synsent|reopen)/),
  );
}

const FULL = 16;
const CLOSINGS = 32;
/** Limits under the names of all systems; a profile reads its own. */
const LIMITS = {
  'net.ipv4.tcp_max_tw_buckets': FULL,
  'net.inet.tcp.maxtcptw': FULL,
  MaxFreeTcbs: FULL,
  MEMP_NUM_TCP_PCB: FULL,
} as const;

/** More closings than the table holds: which are left without protection? */
function pressure(stage: Stage): Outcome {
  const server = stage.subject({ knobs: LIMITS });
  const client = stage.other('client');
  stage.net.wire(client, server, { delay: 1 });
  for (let i = 0; i < CLOSINGS; i++) closeFirst(stage, server, client, FIXED + i);
  const rows = server.stack.sockets().filter((row) => row.state === 'TIME-WAIT');
  const kept = rows.length;
  const oldest = rows.some((row) => row.remote?.port === FIXED);
  const reason = stage.reason(/^tw-(evicted|none)/) || fullReason(stage);
  const length = stage.timeWaitLength();
  if (kept >= CLOSINGS) return safe(`all ${CLOSINGS} records kept: no limit of its own`, reason);
  const lost = CLOSINGS - kept;
  if (length > 0 && length < 5000 && kept < FULL)
    return safe(`${kept} records: they end sooner than the table fills`, reason);
  const which =
    kept === 0
      ? 'no record at all'
      : oldest
        ? 'the newest are not protected'
        : 'the oldest lost their protection';
  return unprotected(
    lost,
    CLOSINGS,
    `limit ${FULL}, ${CLOSINGS} closings: ${lost} without TIME-WAIT, ${which}`,
    reason,
  );
}

function fullReason(stage: Stage): 'tw-table-full' | '' {
  return stage.counted('tw-table-full') > 0 ? 'tw-table-full' : '';
}

/** Records held while `RATE` connections a second are closed, in the steady state. */
function steadyState(stage: Stage): Outcome {
  const length = stage.timeWaitLength();
  if (length === 0) return records(0, 60_000, 'no TIME-WAIT');
  const server = stage.subject();
  // One clock for all its connections: a policy that compares a host's timestamps would refuse some, which are no closings
  const client = stage.other('client', { knobs: { ...RANGE, 'net.ipv4.tcp_timestamp_offset': 0 } });
  stage.net.wire(client, server, { delay: 1 });
  serveAndClose(server);
  const every = Math.max(20, length / 500);
  let stop = false;
  const next = (): void => {
    if (stop) return;
    const socket = client.connect({ address: SERVER, port: SERVICE });
    if (typeof socket !== 'string') closeSecond(socket);
    stage.net.after(every, next);
  };
  next();
  stage.run(length + 500);
  const low = server.stack.timeWait.count;
  stage.run(length / 2);
  const count = (low + server.stack.timeWait.count) / 2;
  stop = true;
  const wanted = Math.round(count * every);
  const limit = server.stack.timeWaitLimit;
  const seconds = length / 1000;
  return wanted <= limit
    ? records(wanted, 60_000, `1,000 closings a second keep ${wanted} records of ${seconds} s`)
    : records(
        limit,
        60_000,
        `1,000 closings a second fill the table: ${limit} records, of ${seconds} s each at most`,
      );
}

const RANGE = { 'net.ipv4.ip_local_port_range.min': 1024, 'net.ipv4.ip_local_port_range.max': 65_535 };

/** The tuple again, at once, by the machine that holds TIME-WAIT itself. */
function ownReuse(stage: Stage): Outcome {
  const subject = stage.subject({ addresses: [`${CLIENT}/24`] });
  const peer = stage.other('peer', { addresses: [`${SERVER}/24`] });
  stage.net.wire(subject, peer, { delay: 5 });
  peer.listen({ port: SERVICE, reuseAddress: true }, closeSecond);
  const first = opened(
    subject.connect({ address: SERVER, port: SERVICE, localPort: FIXED, reuseAddress: true }),
  );
  first.onConnect = () => first.close();
  stage.runUntil(() => peer.stack.connections === 0 && first.closed, 5000);
  stage.run(100);
  const start = stage.now;
  for (;;) {
    const again = attempt(stage, subject, 5000, {});
    if (again.connected)
      return delays(
        stage.now - start,
        `connect() from the bound port succeeded after ${(stage.now - start) / 1000} s`,
        stage.reason(/^reopen/),
      );
    if (stage.now - start > 600_000)
      return refuses(`connect(): ${String(again.error)} for ten minutes`, stage.reason(/^reopen/));
    stage.run(1000);
  }
}

export const lifecycle: readonly Hazard[] = [
  {
    name: 'lost-last-ack',
    title: 'the last ACK is lost',
    axis: 'integrity',
    text: "The ACK of the peer's FIN is lost, the FIN comes again: TIME-WAIT acknowledges it (purpose 2); a host that remembers nothing answers RST.",
    claims: [8, 9, 14],
    play: lostLastAck,
  },
  {
    name: 'last-ack-syn',
    title: 'a new SYN meets the peer in LAST-ACK',
    axis: 'availability',
    text: 'Our last ACK was lost and we open the same tuple again while the peer still waits in LAST-ACK. A modern peer answers a challenge ACK, our RST clears it, our SYN comes again after a second.',
    claims: [15],
    play: lastAckSyn,
  },
  {
    name: 'restart-server',
    title: 'a server restarts on its port, plain bind()',
    axis: 'availability',
    text: 'The server program ends while its connections are in TIME-WAIT and starts again without SO_REUSEADDR: how long does bind() fail?',
    claims: [59, 60],
    play: (stage) => restart(stage, false),
  },
  {
    name: 'restart-server-reuseaddr',
    title: 'the same with SO_REUSEADDR',
    axis: 'availability',
    text: 'As before with SO_REUSEADDR on both the old and the new socket.',
    claims: [59, 60],
    play: (stage) => restart(stage, true),
  },
  {
    name: 'own-reuse',
    title: 'connect() again from the same bound port',
    axis: 'availability',
    text: 'The host under test closed first and connects again from the same local port to the same service, trying every second.',
    claims: [34, 36],
    play: ownReuse,
  },
  {
    name: 'linger-abort',
    title: 'abort with SO_LINGER 0',
    axis: 'integrity',
    text: 'The server aborts 0.2 s after it wrote 200 kB to a slow reader: RST instead of FIN, no TIME-WAIT, and the unread bytes are lost. No policy can help: this escape from TIME-WAIT costs data.',
    claims: [62, 64],
    play: linger,
  },
  {
    name: 'table-pressure',
    title: 'more closings than the table holds',
    axis: 'integrity',
    text: `A limit of ${FULL} records where the profile has one, ${CLOSINGS} closings: how many connections are left without TIME-WAIT, and which?`,
    claims: [33, 53],
    play: pressure,
  },
  {
    name: 'steady-state',
    title: 'records held at 1,000 closings a second',
    axis: 'memory',
    text: 'Rate times length (Little): measured at a lower rate over one and a half lifetimes and scaled to 1,000 closings a second, as far as the table reaches.',
    claims: [27],
    play: steadyState,
  },
];
