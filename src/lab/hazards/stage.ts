/**
 * What a hazard plays on: a virtual internet with one seed, the host under test (it has
 * the profile), and ordinary others. It writes down what the host under test decided.
 */
import { Reason, findReason, type ReasonId } from '../../reasons.js';
import { Internet } from '../../sim/internet.js';
import type { Host, HostOptions } from '../../sim/host.js';
import type { SimSocket } from '../../sim/socket.js';
import { Trace } from '../../sim/trace.js';
import type { Decision, Errno } from '../../stack/api.js';
import { Stack } from '../../stack/stack.js';

export const SERVER = '10.77.0.2';
export const CLIENT = '10.77.0.1';
/** The service, and the port from which a fixed client always comes. */
export const SERVICE = 8080;
export const FIXED = 40_000;

/** A profile under test: a name, or an object made by the user. */
export type Profile = NonNullable<HostOptions['policy']>;

export interface StageOptions {
  readonly profile: Profile;
  readonly seed: number;
  /** Knobs of the host under test that the user set. */
  readonly knobs?: Readonly<Record<string, number>>;
  /** Keep the packets of the host under test. */
  readonly trace?: boolean;
}

export class Stage {
  readonly net: Internet;
  /** Decisions of the host under test, in order. */
  readonly decisions: Decision[] = [];
  readonly traces: Trace[] = [];
  private readonly watched: Host[] = [];

  constructor(private readonly options: StageOptions) {
    this.net = new Internet({ seed: options.seed });
  }

  /** ms since the internet began. */
  get now(): number {
    return this.net.now;
  }

  /** The host under test. */
  subject(options: Partial<HostOptions> & { readonly name?: string } = {}): Host {
    const { name = 'subject', ...rest } = options;
    const host = this.net.host(name, {
      addresses: [`${SERVER}/24`],
      ...rest,
      policy: this.options.profile,
      knobs: { ...rest.knobs, ...this.options.knobs },
    });
    host.stack.trace(true);
    this.watched.push(host);
    if (this.options.trace === true) {
      host.trace = new Trace(this.net.now, 2000);
      this.traces.push(host.trace);
    }
    return host;
  }

  /** An ordinary machine beside it: today's Linux unless said otherwise. A remedy that needs both ends has both. */
  other(name: string, options: Partial<HostOptions> = {}): Host {
    const policy = this.profileName.startsWith('faber-') ? this.options.profile : 'linux';
    return this.net.host(name, { addresses: [`${CLIENT}/24`], policy, ...options });
  }

  run(ms: number): void {
    this.net.run(ms);
    this.collect();
  }

  runUntil(done: () => boolean, limit: number): boolean {
    const reached = this.net.runUntil(done, limit);
    this.collect();
    return reached;
  }

  /** The latest decision of the host under test that matches, or has a reason of the user's own, since `from` (a place in `decisions`). */
  reason(pattern: RegExp, from = 0): ReasonId | '' {
    this.collect();
    for (let i = this.decisions.length - 1; i >= from; i--) {
      const { reason } = this.decisions[i]!;
      if (pattern.test(reason) || !(reason in Reason)) return reason;
    }
    return '';
  }

  /** How often the hosts under test gave a reason, traced or not. */
  counted(id: ReasonId): number {
    const index = findReason(id)!;
    return this.watched.reduce((sum, host) => sum + host.stack.reasonCounts[index]!, 0);
  }

  collect(): void {
    for (const host of this.watched) this.decisions.push(...host.stack.takeDecisions());
  }

  /** A fresh internet of the same seed, for another try; `adopt` takes over what was seen there. */
  again(): Stage {
    return new Stage(this.options);
  }

  /** Its decisions and packets stand for this stage's from now on. */
  adopt(other: Stage): void {
    other.collect();
    this.decisions.splice(0, this.decisions.length, ...other.decisions);
    this.traces.splice(0, this.traces.length, ...other.traces);
  }

  /** ms that a record of this profile lives when nothing disturbs it; 0: it keeps none. */
  timeWaitLength(clientKnobs: Readonly<Record<string, number>> = {}): number {
    const stage = new Stage({ ...this.options, trace: false });
    const server = stage.subject();
    const client = stage.other('client', { knobs: clientKnobs });
    stage.net.wire(client, server);
    serveAndClose(server);
    const socket = opened(client.connect({ address: SERVER, port: SERVICE, localPort: FIXED }));
    closeSecond(socket);
    const held = (): boolean => server.stack.stateCounts()['TIME-WAIT'] === 1;
    if (!stage.runUntil(() => held() || socket.closed, 5000) && !held()) return 0;
    stage.run(20);
    if (!held()) return 0;
    const entered = stage.now - 20;
    stage.runUntil(() => !held(), 600_000);
    return Math.round(stage.now - entered);
  }

  /** A knob as the profile (and the user) has it. */
  knob(name: string): number {
    return this.probe().knob(name);
  }

  get profileName(): string {
    const { profile } = this.options;
    return typeof profile === 'string' ? profile : profile.name;
  }

  private probed: Stack | null = null;

  private probe(): Stack {
    if (this.probed !== null) return this.probed;
    const stack = new Stack({ seed: new Uint8Array(32), addresses: [`${SERVER}/24`], mtu: 1500, now: 0 });
    const { profile, knobs } = this.options;
    if (typeof profile === 'string') stack.setPolicy(profile);
    else stack.usePolicy(profile);
    for (const [name, value] of Object.entries(knobs ?? {})) stack.setKnob(name, value);
    this.probed = stack;
    return stack;
  }
}

export function opened(socket: SimSocket | Errno): SimSocket {
  if (typeof socket === 'string') throw new Error(`connect: ${socket}`);
  return socket;
}

/** A server that says a word and closes first, so that TIME-WAIT is its own. */
export function serveAndClose(host: Host, port = SERVICE): void {
  host.listen({ port, reuseAddress: true, backlog: 4096 }, (socket) => {
    socket.write(Uint8Array.of(98, 121, 101, 10));
    socket.close();
  });
}

/** Closes when the peer has. */
export function closeSecond(socket: SimSocket): void {
  socket.onEnd = () => socket.close();
}

/**
 * One whole connection from a fixed port on which the server closes first: it holds
 * TIME-WAIT afterwards, when its profile knows it. The handler of `port` is the server's.
 */
export function closeFirst(stage: Stage, server: Host, client: Host, port = FIXED): SimSocket {
  if (!served.has(server)) {
    serveAndClose(server);
    served.add(server);
  }
  const socket = opened(
    client.connect({ address: SERVER, port: SERVICE, localPort: port, reuseAddress: true }),
  );
  closeSecond(socket);
  stage.runUntil(() => socket.closed, 30_000);
  stage.run(50);
  return socket;
}

const served = new WeakSet<Host>();

/** How an attempt to open the fixed tuple again went. */
export interface Attempt {
  readonly socket: SimSocket | null;
  readonly connected: boolean;
  /** ms until the handshake was complete, or until the attempt was given up. */
  readonly delay: number;
  readonly error: Errno | null;
}

/** Tries to connect from a fixed port, at most `patience` ms. */
export function attempt(
  stage: Stage,
  client: Host,
  patience: number,
  options: { readonly localPort?: number; readonly address?: string; readonly port?: number } = {},
): Attempt {
  const start = stage.now;
  const { localPort = FIXED, address = SERVER, port = SERVICE } = options;
  const socket = client.connect({ address, port, localPort, reuseAddress: true });
  if (typeof socket === 'string') return { socket: null, connected: false, delay: 0, error: socket };
  closeSecond(socket);
  let at = Infinity;
  socket.onConnect = () => {
    at = stage.now;
  };
  stage.runUntil(() => socket.connected || socket.closed, patience);
  const { connected, error } = socket;
  if (!connected && !socket.closed) socket.abort();
  return { socket, connected, delay: (connected ? at : stage.now) - start, error };
}
