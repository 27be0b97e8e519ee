/** The parts of the wire benchmarks: each measures one contender once. */
import { execFile, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ANSWER, SINK, SOURCE } from './ports.js';
import { SOURCES, type Contender, type Places, type Running, type Tools } from './contenders.js';

const run = promisify(execFile);
const main = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));

/** Seconds before those that count: caches, windows and the compiler. */
const WARM = 1;
/** The same for connections: of the engine's first seconds the compiler takes most of one and a half. */
const WARM_CONNECTIONS = 4;
const CLIENTS = 64;
/** Beside a flood. */
const FLOODED = 100;

/** What a client said. */
interface Said {
  readonly rate: number;
  /** Seconds of all processors, of its own. */
  readonly busy?: number;
  readonly cpu?: number;
  readonly done?: number;
  readonly failed?: number;
  readonly slow?: number;
  readonly p50?: number;
  readonly p99?: number;
  readonly each?: readonly number[];
  readonly at?: number;
}

export class Parts {
  /** Source ports that were used: a client takes up where the one before stopped. */
  private used = 0;

  constructor(
    private readonly tools: Tools,
    private readonly places: Places,
  ) {}

  private async client(...args: (string | number)[]): Promise<Said> {
    const { stdout } = await run(this.tools.peer, args.map(String), { maxBuffer: 1 << 20 });
    return JSON.parse(stdout) as Said;
  }

  private async beside<T>(
    contender: Contender,
    job: (server: Running) => Promise<T>,
    ...extra: string[]
  ): Promise<T> {
    const server = await this.places.start(contender, ...extra);
    try {
      return await job(server);
    } finally {
      await server.stop();
    }
  }

  /** Gbit/s, and seconds of all processors together for a gigabyte. */
  bulk(contender: Contender, seconds: number, receives: boolean): Promise<{ rate: number; cpu: number }> {
    return this.beside(contender, async ({ host }) => {
      const said = await this.client(
        receives ? 'send' : 'recv',
        host,
        receives ? SINK : SOURCE,
        seconds,
        WARM,
      );
      return { rate: said.rate, cpu: said.busy! / ((said.rate * seconds) / 8) };
    });
  }

  /** `think`: ms that a client waits before its next connection. */
  private connect(server: Running, seconds: number, warm: number, clients: number, think = 0): Promise<Said> {
    const skip = this.used;
    this.used = (this.used + 500_000) % 2_000_000;
    return this.client(
      'connections',
      server.host,
      ANSWER,
      seconds,
      warm,
      clients,
      server.first,
      SOURCES,
      skip,
      Number.MAX_SAFE_INTEGER - skip,
      think,
    );
  }

  /** Connections a second, microseconds of all processors for one. */
  connections(
    contender: Contender,
    seconds: number,
  ): Promise<{ rate: number; cpu: number; p50: number; p99: number; failed: number }> {
    return this.beside(contender, async (server) => {
      const said = await this.connect(server, seconds, WARM_CONNECTIONS, CLIENTS);
      const { rate, p50, p99, failed } = said;
      return { rate, cpu: (said.busy! / said.done!) * 1e6, p50: p50!, p99: p99!, failed: failed! };
    });
  }

  /** Connections a second, second by second, with `records` TIME-WAIT records there before. */
  population(
    contender: Contender,
    seconds: number,
    records: number,
  ): Promise<{ each: readonly number[]; failed: number; records: number }> {
    const job = async (
      server: Running,
    ): Promise<{ each: readonly number[]; failed: number; records: number }> => {
      const said = await this.connect(server, seconds, WARM, CLIENTS);
      const held = records > 0 ? (JSON.parse(await server.ask('state')) as { records: number }).records : 0;
      return { each: said.each!, failed: said.failed!, records: held };
    };
    return records > 0 ? this.beside(contender, job, 'with', String(records)) : this.beside(contender, job);
  }

  /** Established connections that nothing happens on: what one costs. */
  idle(
    contender: Contender,
    count: number,
  ): Promise<{ rate: number; bytes: number; heap: number; cpu: number }> {
    return this.beside(contender, async (server) => {
      const before = JSON.parse(await server.ask('state')) as State;
      const args = ['idle', server.host, SINK, count, server.first, SOURCES, 0].map(String);
      const client = spawn(this.tools.peer, args, { stdio: ['pipe', 'pipe', 'inherit'] });
      try {
        const [said] = (await once(client.stdout, 'data')) as [Buffer];
        const { rate } = JSON.parse(said.toString()) as Said;
        const after = JSON.parse(await server.ask('state')) as State;
        await sleep(3000);
        const later = JSON.parse(await server.ask('state')) as State;
        return {
          rate,
          bytes: (after.rss - before.rss) / count,
          heap: (after.heap - before.heap) / count,
          cpu: share(after, later),
        };
      } finally {
        client.kill('SIGKILL');
      }
    });
  }

  /** 100 clients alone, then beside spoofed SYNs. `think`: ms between the requests of one. */
  flood(contender: Contender, rate: number, seconds: number, think: number): Promise<Flooded> {
    return this.beside(contender, async (server) => {
      const alone = await this.connect(server, seconds, WARM, FLOODED, think);
      const before = JSON.parse(await server.ask('state')) as State;
      const [flood, clients] = await Promise.all([
        this.client('flood', server.host, ANSWER, rate, seconds + WARM),
        this.connect(server, seconds, WARM, FLOODED, think),
      ]);
      const after = JSON.parse(await server.ask('state')) as State;
      const took = seconds + WARM;
      return {
        think,
        alone: alone.rate,
        used: alone.busy! / seconds,
        beside: clients.rate,
        p50: [alone.p50!, clients.p50!],
        p99: [alone.p99!, clients.p99!],
        failed: clients.failed!,
        slow: clients.slow!,
        offered: flood.rate,
        entered: (after.segments - before.segments) / took,
        answered: (after.cookies - before.cookies) / took,
        flooder: flood.cpu! / took,
        server: share(before, after),
        rss: after.rss - before.rss,
      };
    });
  }

  /** ms: `timewait --version`; `timewait run` until its stack has answered a SYN. */
  async startup(): Promise<{ version: number; answered: number }> {
    // Certificates that a machine has Node read add their own time to each start of it.
    const env = { ...process.env };
    delete env['NODE_EXTRA_CA_CERTS'];
    const start = performance.now();
    await run(process.execPath, [main, '--version'], { env });
    const version = performance.now() - start;
    const begun = performance.timeOrigin + performance.now();
    const command = [main, 'run', '--discard', '9', '--', this.tools.peer, 'open', '10.77.0.2', '9'];
    const { stdout } = await run(process.execPath, command, { env });
    return { version, answered: (JSON.parse(stdout.split('\n')[0]!) as Said).at! - begun };
  }
}

/** What 100 clients met without and with a flood; rates a second, times in us, processors as shares of one. */
export interface Flooded {
  /** ms between the requests of one client. */
  readonly think: number;
  readonly alone: number;
  readonly beside: number;
  /** Of the whole machine, alone. */
  readonly used: number;
  /** Of a request, alone and beside. */
  readonly p50: readonly [number, number];
  readonly p99: readonly [number, number];
  readonly failed: number;
  /** Took longer than 0.9 s. */
  readonly slow: number;
  /** SYNs of the flood; segments of all kinds that reached the stack; cookies it sent. */
  readonly offered: number;
  readonly entered: number;
  readonly answered: number;
  readonly flooder: number;
  readonly server: number;
  /** Growth of resident memory, bytes. */
  readonly rss: number;
}

/** What a server of ours says of itself. */
/** Seconds, the process's own and of the clock. */
export interface Spent {
  readonly cpu: number;
  readonly at: number;
}

/** Of a processor, between two questions. */
function share(before: State, after: State): number {
  return (after.asked.cpu - before.answered.cpu) / (after.asked.at - before.answered.at);
}

export interface State {
  /** Bytes after a collection. */
  readonly rss: number;
  readonly heap: number;
  /** Before the collection, and after it. */
  readonly asked: Spent;
  readonly answered: Spent;
  readonly records: number;
  readonly segments: number;
  /** SYN cookies sent. */
  readonly cookies: number;
}

/** Of `wanted` descriptors those that a process may have here. */
export function mostFiles(wanted: number): number {
  // root may have more than its limit says
  if (spawnSync('sh', ['-c', `ulimit -n ${wanted}`]).status === 0) return wanted;
  const limits = readFileSync('/proc/self/limits', 'latin1');
  return Number(/^Max open files\s+\S+\s+(\d+)/m.exec(limits)?.[1] ?? 1024);
}
