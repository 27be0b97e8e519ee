/**
 * How many connections a second TIME-WAIT lets through. Ports and rates are a sixteenth
 * of the real ones (`scale`), rates are multiplied back: rate and ports are proportional,
 * and nobody needs to wait for 64,512 connections. `scale` 1 plays the real thing.
 */
import type { Host } from '../../sim/host.js';
import { ACK } from '../../wire/segment.js';
import { capacity, type Hazard, type Outcome } from './hazard.js';
import { CLIENT, SERVER, SERVICE, closeSecond, serveAndClose, type Stage } from './stage.js';

const SCALE = 16;
/** Connections a second that count as enough, and as many as are offered. */
const OFFERED = 700;

export interface RateOptions {
  readonly scale?: number;
  /** Connections offered per second, in full scale. */
  readonly offered?: number;
  /** Ports of the balancer, in full scale. */
  readonly ports?: number;
}

/** Clients of the balancer that wait for a connection at the same time, in full scale. */
const WAITING = 1024;
/** ms after which a SYN without SYN,ACK is given up and the same port tried again. */
const PATIENCE = 500;

/**
 * A load balancer with one address in front of the server under test: every connection
 * comes from CLIENT and the next port. It is a stateful box: an answer to its SYN that
 * is no SYN,ACK is dropped and nothing is sent back. Its clients wait: a connection that is
 * refused is tried again on its port until it gets through.
 */
export function balancerRate(stage: Stage, options: RateOptions = {}): Outcome {
  const { scale = SCALE, offered = OFFERED, ports = 64_512 } = options;
  const server = stage.subject();
  server.stack.trace(false);
  const balancer = stage.other('balancer', { policy: 'none', knobs: { 'net.ipv4.tcp_syn_retries': 0 } });
  const wire = stage.net.wire(balancer, server, { delay: 1 });
  serveAndClose(server);
  const load = new BalancerLoad(stage, balancer, Math.round(ports / scale), (1000 * scale) / offered);
  wire.lose((segment, from) => from === 'subject' && segment.flags === ACK && load.opening(segment.dstPort));
  load.start(Math.max(1, Math.round(WAITING / scale)));
  const length = stage.timeWaitLength();
  // Until every port was used once and its record is gone; then another life of TIME-WAIT is measured.
  stage.run((1000 * ports) / offered + length);
  const before = { accepted: load.accepted, refused: load.refused };
  const window = Math.max(60_000, length);
  stage.run(window);
  load.stop();
  const rate = ((load.accepted - before.accepted) * scale * 1000) / window;
  const refused = (load.refused - before.refused) * scale;
  const note = `${ports} ports of one address, up to ${offered}/s: ${rate.toFixed(0)}/s accepted, ${refused} SYNs refused in ${window / 1000} s`;
  return capacity(rate, offered, note, mostCounted(stage));
}

class BalancerLoad {
  accepted = 0;
  refused = 0;
  private readonly half = new Set<number>();
  private nextPort = 0;
  private nextStart: number;
  private running = true;

  constructor(
    private readonly stage: Stage,
    private readonly balancer: Host,
    private readonly ports: number,
    /** ms between two new connections. */
    private readonly every: number,
  ) {
    this.nextStart = stage.now;
  }

  /** This port of the balancer waits for a SYN,ACK. */
  opening(port: number): boolean {
    return this.half.has(port);
  }

  start(clients: number): void {
    for (let i = 0; i < clients; i++) this.next();
  }

  stop(): void {
    this.running = false;
  }

  /** The next connection, when the pace allows it. */
  private next(): void {
    this.nextStart = Math.max(this.nextStart + this.every, this.stage.now);
    const port = 1024 + (this.nextPort++ % this.ports);
    this.stage.net.after(this.nextStart - this.stage.now, () => this.attempt(port));
  }

  private attempt(localPort: number): void {
    if (!this.running) return;
    const socket = this.balancer.connect({ address: SERVER, port: SERVICE, localPort, reuseAddress: true });
    if (typeof socket === 'string') {
      // Its own last connection from this port is not quite over.
      this.stage.net.after(PATIENCE, () => this.attempt(localPort));
      return;
    }
    this.half.add(localPort);
    socket.onConnect = () => {
      this.half.delete(localPort);
      this.accepted++;
      this.next();
    };
    closeSecond(socket);
    this.stage.net.after(PATIENCE, () => {
      if (socket.connected) return;
      this.half.delete(localPort);
      this.refused++;
      if (!socket.closed) socket.abort();
      this.attempt(localPort);
    });
  }
}

/** The refusal that the host under test gave most often. */
function mostCounted(stage: Stage): Outcome['reason'] {
  const candidates = [
    'tw-syn-refused',
    'tw-syn-in-window',
    'tw-syn-low',
    'tw-syn-low-linux',
    'tw-limited',
    'tw-paws',
    'tw-paws-linux',
    'tw-syn-accepted',
    'tw-syn-accepted-linux',
  ] as const;
  let most: Outcome['reason'] = '';
  let count = 0;
  for (const id of candidates) {
    const seen = stage.counted(id);
    if (seen > count) {
      most = id;
      count = seen;
    }
  }
  return most;
}

/** The host under test is a client that closes first, to one destination, from its own range of ports. */
export function clientRate(stage: Stage, options: RateOptions = {}): Outcome {
  const { scale = SCALE } = options;
  const low = stage.knob('net.ipv4.ip_local_port_range.min');
  const high = stage.knob('net.ipv4.ip_local_port_range.max');
  const ports = options.ports ?? high - low + 1;
  const length = stage.timeWaitLength();
  // Enough to use up the ports within a life of TIME-WAIT, at most what counts as plenty.
  const offered =
    options.offered ?? (length === 0 ? 1000 : Math.min(1000, (2 * ports * 1000) / length + 100));
  const few = Math.max(1, Math.round(ports / scale));
  const subject = stage.subject({
    addresses: [`${CLIENT}/24`],
    knobs: { 'net.ipv4.ip_local_port_range.max': low + few - 1 },
  });
  subject.stack.trace(false);
  const server = stage.other('server', { addresses: [`${SERVER}/24`], policy: 'none' });
  stage.net.wire(subject, server, { delay: 1 });
  server.listen({ port: SERVICE, reuseAddress: true, backlog: 4096 }, closeSecond);
  let connected = 0;
  let failed = 0;
  let error = '';
  const every = (1000 * scale) / offered;
  let at = stage.now;
  let running = true;
  const next = (): void => {
    if (!running) return;
    at += every;
    const socket = subject.connect({ address: SERVER, port: SERVICE });
    if (typeof socket === 'string') {
      failed++;
      error = socket;
    } else {
      socket.onConnect = () => {
        connected++;
        socket.close();
      };
    }
    stage.net.after(at - stage.now, next);
  };
  next();
  stage.run(Math.max(1000, (1000 * ports) / offered, length));
  const before = connected;
  const failedBefore = failed;
  const window = Math.max(10_000, length);
  stage.run(window);
  running = false;
  const rate = ((connected - before) * scale * 1000) / window;
  const failures = failed - failedBefore;
  const note =
    failures === 0
      ? `${ports} ports: ${rate.toFixed(0)}/s, no connect() failed (${offered.toFixed(0)}/s offered)`
      : `${ports} ports, TIME-WAIT ${length / 1000} s: ${rate.toFixed(0)}/s, the rest ${error}`;
  return capacity(
    rate,
    1000,
    note,
    stage.counted('reopen-reused') > 0 ? 'reopen-reused' : failures > 0 ? 'reopen-refused' : '',
  );
}

export const capacities: readonly Hazard[] = [
  {
    name: 'port-exhaustion',
    title: 'client that closes first: highest rate to one destination',
    axis: 'capacity',
    text: 'The host under test connects to one address and port, from its own range of ephemeral ports, and closes first; as many connections as can be are opened over two lives of TIME-WAIT.',
    claims: [19, 21, 23, 34],
    play: (stage) => clientRate(stage),
  },
  {
    name: 'load-balancer',
    title: 'balancer with one address against the server: highest rate',
    axis: 'capacity',
    text: `A balancer with one address and 64,512 ports opens ${OFFERED} connections a second to the server under test, which closes first; its sequence numbers grow. What is refused is tried again on the same port every half second.`,
    claims: [25, 26, 51],
    play: (stage) => balancerRate(stage),
  },
];
