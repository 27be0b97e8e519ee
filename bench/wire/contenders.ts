/** Who is measured over the wire: a server at one end, the kernel's own sockets (peer.c) at the other. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TUN_QUEUE, must, which } from '../../src/lab/namespace.js';
import { Wire } from '../../src/lab/veth.js';

const here = (name: string): string => fileURLToPath(new URL(`./${name}.js`, import.meta.url));
const source = (name: string): string =>
  fileURLToPath(new URL(`../../../bench/native/${name}`, import.meta.url));

/** Addresses that clients connect from, so that ports last. */
export const SOURCES = 40;

export interface Contender {
  readonly name: string;
  /** For people. */
  readonly title: string;
  /** Command of the server, on a TUN device and address, or in the kernel's namespace at the other end of a veth pair. */
  readonly command: (device: string, address: string, tools: Tools) => string[];
  readonly on: 'tun' | 'veth';
}

const node = (script: string, ...args: string[]): string[] => [process.execPath, here(script), ...args];

export const contenders: readonly Contender[] = [
  {
    name: 'kernel',
    title: 'kernel to kernel, veth with offloads',
    on: 'veth',
    command: (_device, _address, tools) => [tools.peer, 'serve'],
  },
  {
    name: 'node',
    title: "node:net on the kernel's TCP, veth",
    on: 'veth',
    command: () => node('server', 'node'),
  },
  {
    name: 'minimal',
    title: 'minimal terminator in JavaScript, TUN with offload',
    on: 'tun',
    command: (device, address) => node('minimal', device, address),
  },
  {
    name: 'minimal-plain',
    title: 'minimal terminator, packet by packet',
    on: 'tun',
    command: (device, address) => node('minimal', device, address, 'plain'),
  },
  {
    name: 'engine',
    title: 'our engine, TUN with offload',
    on: 'tun',
    command: (device, address) => node('server', 'engine', device, address),
  },
  {
    name: 'engine-plain',
    title: 'our engine, packet by packet',
    on: 'tun',
    command: (device, address) => node('server', 'engine', device, address, 'plain'),
  },
  {
    name: 'stream',
    title: 'our node:net, TUN with offload',
    on: 'tun',
    command: (device, address) => node('server', 'stream', device, address),
  },
  {
    name: 'lwip',
    title: 'lwIP (liblwip-dev), packet by packet',
    on: 'tun',
    command: (device, address, tools) => [tools.lwip!, device, address.replace(/\/.*/, '')],
  },
  {
    name: 'gvisor',
    title: "gVisor's netstack (golang-gvisor-gvisor-dev), packet by packet",
    on: 'tun',
    command: (device, address, tools) => [tools.gvisor!, device, address.replace(/\/.*/, '')],
  },
];

/** What is compiled for the benchmarks. */
export interface Tools {
  readonly peer: string;
  /** null: gcc or the package is missing. */
  readonly lwip: string | null;
  /** null: go or the package is missing. */
  readonly gvisor: string | null;
  remove(): void;
}

export function compile(folder: string, name: string, ...args: string[]): string | null {
  const output = join(folder, name);
  const gcc = which('gcc');
  if (gcc === null) return null;
  const made = spawnSync(gcc, ['-std=gnu11', '-O2', '-o', output, source(`${name}.c`), ...args]);
  return made.status === 0 ? output : null;
}

/** Debian's packages of Go libraries, and the compiler that they were packaged with. */
const GO_LIBRARIES = '/usr/share/gocode';
const GO_FOLDER = '/usr/lib/go-1.19/bin';

function compileGo(folder: string, name: string): string | null {
  const go = [join(GO_FOLDER, 'go'), which('go')].find((path) => path !== null && existsSync(path));
  if (go === null || go === undefined || !existsSync(join(GO_LIBRARIES, 'src/gvisor.dev'))) return null;
  const output = join(folder, name);
  const env = {
    ...process.env,
    GO111MODULE: 'off',
    GOPATH: GO_LIBRARIES,
    GOFLAGS: '',
    GOCACHE: join(folder, 'go-cache'),
  };
  const made = spawnSync(go, ['build', '-o', output, source(`${name}.go`)], { env });
  return made.status === 0 ? output : null;
}

/** Throws when the kernel's end cannot be compiled. */
export function compileTools(): Tools {
  const folder = mkdtempSync(join(tmpdir(), 'timewait-bench-'));
  const peer = compile(folder, 'peer');
  if (peer === null) throw new Error('gcc is needed for the kernel’s end: apt-get install gcc libc6-dev');
  const headers = '/usr/include/lwip';
  const lwip = existsSync(headers) ? compile(folder, 'lwip', '-w', '-isystem', headers, '-llwip') : null;
  const gvisor = compileGo(folder, 'gvisor');
  return { peer, lwip, gvisor, remove: () => rmSync(folder, { recursive: true }) };
}

/** A server that runs. */
export interface Running {
  /** Where it is. */
  readonly host: string;
  /** The first of SOURCES addresses to connect from. */
  readonly first: string;
  /** A line to its input, and the line that answers it. */
  ask(question: string): Promise<string>;
  stop(): Promise<void>;
}

/** The places of all contenders in this network namespace: addresses, and the wires of those that need one. */
export class Places {
  private readonly wires = new Map<string, Wire>();
  /** Each run has a subnet of its own, so that nothing of the run before is met. */
  private subnet = 0;

  constructor(private readonly tools: Tools) {}

  /** `extra`: more arguments of the server. */
  async start(contender: Contender, ...extra: string[]): Promise<Running> {
    const net = this.freeNet();
    const host = `${net}.0.2`;
    if (contender.on === 'tun') {
      const device = `tw${this.subnet}`;
      const child = launch([...contender.command(device, `${host}/16`, this.tools), ...extra]);
      await line(child);
      must('ip', 'link', 'set', 'lo', 'up');
      addresses(net, device);
      must('ip', 'link', 'set', device, 'txqueuelen', String(TUN_QUEUE), 'up');
      return running(child, host, `${net}.1.1`);
    }
    const wire = await this.wire(contender.name, net);
    const child = launch([...wire.prefix, ...contender.command('', '', this.tools), ...extra]);
    await line(child);
    const place = this.places.get(contender.name)!;
    return running(child, `${place}.0.2`, `${place}.1.1`);
  }

  private readonly places = new Map<string, string>();

  /** The next subnet, but for those of wires, which stay. */
  private freeNet(): string {
    const taken = [...this.places.values()];
    for (;;) {
      const net = `10.${64 + (this.subnet++ % 128)}`;
      if (!taken.includes(net)) return net;
    }
  }

  private async wire(name: string, net: string): Promise<Wire> {
    const there = this.wires.get(name);
    if (there !== undefined) return there;
    const ours = `ve${this.wires.size}`;
    const wire = await Wire.start({
      names: [ours, `peer${this.wires.size}`],
      theirs: [`${net}.0.2/16`],
      ours: [],
      offloads: true,
    });
    addresses(net, ours);
    this.wires.set(name, wire);
    this.places.set(name, net);
    return wire;
  }

  close(): void {
    for (const wire of this.wires.values()) wire.close();
  }
}

/** The kernel's side of a device: one address for bulk, SOURCES for connections. */
function addresses(net: string, device: string): void {
  const lines = [`addr add ${net}.0.1/16 dev ${device}`];
  for (let i = 1; i <= SOURCES; i++) lines.push(`addr add ${net}.1.${i}/16 dev ${device}`);
  const done = spawnSync(which('ip') ?? 'ip', ['-batch', '-'], { input: lines.join('\n'), encoding: 'utf8' });
  if (done.status !== 0) throw new Error(`ip -batch: ${done.stderr.trim()}`);
}

function launch(command: readonly string[]): ChildProcess {
  return spawn(command[0]!, command.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] });
}

/** The next line of its output; rejects when it ends instead. */
async function line(child: ChildProcess): Promise<string> {
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`${child.spawnargs.join(' ')} ended with ${String(code)}`);
  });
  const said = await Promise.race([once(child.stdout!, 'data') as Promise<[Buffer]>, ended]);
  ended.catch(() => undefined);
  return said[0].toString().trim();
}

function running(child: ChildProcess, host: string, first: string): Running {
  return {
    host,
    first,
    ask(question) {
      child.stdin!.write(`${question}\n`);
      return line(child);
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill('SIGKILL');
      await once(child, 'exit');
    },
  };
}
