/** `--workers N`: a stack in each of several threads, and one answer of all to whoever asks. */
import { lookup } from 'node:dns/promises';
import type { Duplex } from 'node:stream';
import { MessageChannel } from 'node:worker_threads';
import { bringUp } from '../lab/namespace.js';
import type { SocketRow } from '../stack/api.js';
import { keepsHosts, policyNamed } from '../stack/policies.js';
import { parseAddress } from '../wire/address.js';
import { addUp, mergeSockets } from '../workers/merge.js';
import { PortStream } from '../workers/port-stream.js';
import { Workers } from '../workers/workers.js';
import { captureOf } from './captures.js';
import { choosePolicy } from './choose-policy.js';
import { ROWS, TUPLES } from './control-session.js';
import type { Connect, Controlled, Explained, Question } from './control.js';
import type { EngineFlags, Engines } from './engines.js';
import { RunError, UsageError, lineOf } from './fail.js';
import { inlineMore } from './inlining.js';
import { warnOfIdle, type DeviceFlags } from './link-options.js';
import { DEVICE, KERNEL_SIDE, explainTun, needTun } from './links.js';
import { mergeTallies, type Tally } from './tally.js';
import type { Asked, WorkerData } from './worker.js';

/** `device`: of commands that make one in the present namespace. */
export async function startWorkers(
  flags: EngineFlags,
  addresses: readonly string[],
  device?: DeviceFlags,
): Promise<Engines> {
  if (flags.link.kind !== 'tun')
    throw new UsageError(
      `--workers ${flags.workers}: only a TUN device has queues; --link ${flags.link.kind} has one stack`,
    );
  warnOfIdle(flags);
  const policy = await choosePolicy(flags);
  const steerBy = keepsHosts(typeof policy === 'string' ? policyNamed(policy) : policy) ? 'host' : 'tuple';
  needTun();
  const name = flags.link.device || (device?.device ?? DEVICE);
  const data: WorkerData = { flags, addresses };
  let workers: Workers;
  try {
    workers = await Workers.start({
      workers: flags.workers!,
      program: new URL('../cli/worker.js', import.meta.url),
      data,
      device: name,
      offload: flags.offload ?? true,
      steerBy,
      prepare: (opened) => bringUp(opened, device?.kernelAddress ?? KERNEL_SIDE),
    });
  } catch (error) {
    throw explain(name, error as Error);
  }
  inlineMore();
  const failed = new Promise<never>((_resolve, reject) => {
    workers.once('error', (error: Error) => reject(new RunError(`a worker failed: ${lineOf(error)}`)));
  });
  // Whoever asks for something meanwhile has it too.
  failed.catch(() => undefined);
  const tallies = (): Promise<Tally[]> => workers.ask({ ask: 'tally' } satisfies Asked) as Promise<Tally[]>;
  const [first] = await tallies().catch((error: Error) => {
    throw explain(name, error);
  });
  const { pcap } = flags;
  return {
    device: workers.name,
    policy: first!.policy,
    pcap:
      pcap === undefined
        ? null
        : Array.from({ length: workers.count }, (_, i) => captureOf(pcap, i)).join(', '),
    prefix: [],
    failed,
    control: () => Promise.resolve(new WorkersControl(workers)),
    tally: async () => mergeTallies(await tallies()),
    async shares() {
      const passed = await workers.handedOver();
      return (await tallies()).map(({ connections, segments }, i) => ({
        accepted: connections.accepted,
        segments: segments.in,
        handedOver: passed[i]!.given,
      }));
    },
    async close() {
      // After a failure there is nobody to ask.
      await workers.ask({ ask: 'close' } satisfies Asked).catch(() => undefined);
      await workers.close();
    },
  };
}

/** An error of a worker's, or of the device's, as a command ends with it. */
function explain(device: string, error: Error): Error {
  const { details } = error as { details?: readonly string[] };
  if (error.name === 'UsageError') return new UsageError(error.message, details);
  if (error.name === 'RunError') return new RunError(error.message);
  const { syscall } = error as NodeJS.ErrnoException;
  const ofDevice = syscall === 'open' || syscall === 'ioctl' || error instanceof RangeError;
  return ofDevice ? explainTun(device, error) : new RunError(lineOf(error));
}

/** The control socket's requests, for all workers at once. */
class WorkersControl implements Controlled {
  private turn = 0;

  constructor(private readonly workers: Workers) {}

  async answer(request: Question): Promise<object> {
    if (request.command === 'outcome') return this.outcome(request);
    if (request.command === 'policy') {
      const refusal = this.refuses(String(request.name));
      if (refusal !== null) return { ok: false, error: refusal };
    }
    const asked: Asked = { ask: 'control', request };
    const answers = (await this.workers.ask(asked)) as Answer[];
    // They all know the same names and ranges.
    return answers.find(({ ok }) => !ok) ?? merge(request, answers);
  }

  /** Flows that are steered by their tuples would leave each host's memory in pieces. */
  private refuses(name: string): string | null {
    if (this.workers.steerBy === 'host') return null;
    try {
      if (!keepsHosts(policyNamed(name))) return null;
    } catch (error) {
      return lineOf(error);
    }
    return `policy ${name} remembers hosts, and these workers share each host's connections: start with --policy ${name}`;
  }

  /** Numbers of connections count the workers through (ControlSession). */
  private async outcome(request: Question & { command: 'outcome' }): Promise<object> {
    const id = Number(request.id);
    if (!Number.isInteger(id) || id < 0) return { ok: false, error: `no connection ${request.id}` };
    const asked: Asked = { ask: 'control', request };
    return (await this.workers.askOne(id % this.workers.count, asked)) as object;
  }

  connect(stream: Duplex, request: Connect): void {
    this.open(stream, request).catch((error: unknown) =>
      stream.end(`${JSON.stringify({ ok: false, error: lineOf(error) })}\n`),
    );
  }

  private async open(stream: Duplex, request: Connect): Promise<void> {
    const { workers } = this;
    let { host } = request;
    // Whose connection it is depends on the address.
    if (workers.steerBy === 'host' && parseAddress(host) === null) host = (await lookup(host)).address;
    const worker = workers.ownerOfHost(host) ?? this.turn++ % workers.count;
    const { port1, port2 } = new MessageChannel();
    const far = new PortStream(port1);
    far.on('error', () => undefined);
    far.once('close', () => {
      if (!far.readableEnded) stream.destroy();
    });
    stream.once('close', () => {
      // What came from here still goes out.
      if (far.writableFinished) far.destroy();
      else far.end(() => far.destroy());
    });
    await workers.askOne(worker, { ask: 'connect', request: { ...request, host } } satisfies Asked, port2);
    stream.pipe(far);
    far.pipe(stream);
  }
}

interface Answer {
  readonly ok: boolean;
}

/** Good answers of all workers as one. */
function merge(request: Question, answers: readonly Answer[]): object {
  const first = answers[0]!;
  switch (request.command) {
    case 'status':
      return { ...first, workers: answers.length };
    case 'ss':
      return mergeListings(answers as unknown as Listing[]);
    case 'counts':
      return mergeCounts(answers as unknown as Counted[]);
    case 'nstat':
      return {
        ok: true,
        counters: addUp(
          (answers as unknown as { counters: Record<string, number> }[]).map((a) => a.counters),
        ),
      };
    case 'explain':
      return mergeExplained(answers as unknown as Explained[]);
    default:
      return first;
  }
}

interface Listing {
  readonly sockets: readonly SocketRow[];
  readonly omitted: number;
}

function mergeListings(all: readonly Listing[]): object {
  const listed = all.reduce((sum, { sockets }) => sum + sockets.length, 0);
  const sockets = mergeSockets(
    all.map((each) => each.sockets),
    ROWS,
  );
  const omitted = all.reduce((sum, each) => sum + each.omitted, listed - sockets.length);
  return { ok: true, sockets, omitted };
}

interface Counted {
  readonly counts: Record<string, number>;
  readonly orphans: number;
  readonly live: { readonly v4: number; readonly v6: number };
}

function mergeCounts(all: readonly Counted[]): object {
  return {
    ok: true,
    counts: addUp(all.map(({ counts }) => counts)),
    orphans: all.reduce((sum, { orphans }) => sum + orphans, 0),
    live: addUp(all.map(({ live }) => ({ ...live }))),
  };
}

function mergeExplained(all: readonly Explained[]): object {
  const explained: Explained = {
    policy: all[0]!.policy,
    remembering: all.every(({ remembering }) => remembering),
    forgotten: all.reduce((sum, { forgotten }) => sum + forgotten, 0),
    tuples: all.flatMap(({ tuples }) => tuples).slice(0, TUPLES),
    decisions: all.flatMap(({ decisions }) => decisions).sort((a, b) => a.at - b.at),
  };
  return { ok: true, ...explained };
}
