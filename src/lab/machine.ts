/**
 * A machine with the real kernel: a network namespace of its own, the kernel's end of a
 * TUN device in it, and a program inside that does what it is told. Our end of the
 * device stays with us. To be used inside private namespaces (namespace.ts); the
 * namespace goes with the program, and that with us, however we end.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { TunLink } from '../link/tun.js';
import { must, which } from './namespace.js';
import type { Attempt } from './world.js';

export interface UpOrder {
  readonly id: number;
  readonly order: 'up';
  readonly device: string;
  readonly addresses: readonly string[];
}

export interface ConnectOptions {
  readonly host: string;
  readonly port: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** ms after which it gives up. */
  readonly limit: number;
}

export interface ConnectOrder extends ConnectOptions {
  readonly id: number;
  readonly order: 'connect';
}

/** A setting of the machine's kernel, as sysctl(8) names it. */
export interface SetOrder {
  readonly id: number;
  readonly order: 'set';
  readonly name: string;
  readonly value: string;
}

/** Takes connections and reads whatever comes. */
export interface ReceiveOrder {
  readonly id: number;
  readonly order: 'receive';
  readonly host: string;
  readonly port: number;
}

/** Connects and writes as fast as it may, until it is told something else or ends. */
export interface SendOrder {
  readonly id: number;
  readonly order: 'send';
  readonly host: string;
  readonly port: number;
}

export interface TallyOrder {
  readonly id: number;
  readonly order: 'tally';
}

export type Order = UpOrder | ConnectOrder | SetOrder | ReceiveOrder | SendOrder | TallyOrder;

/** What a machine has done so far. */
export interface Tally {
  /** Bytes that its programs read, all connections together. */
  readonly received: number;
  /** Counters of its kernel, as nstat(8) names them. */
  readonly counters: Readonly<Record<string, number>>;
}

export interface Answer {
  readonly id: number;
  readonly attempt?: Attempt;
  readonly tally?: Tally;
  readonly error?: string;
}

interface Waiting {
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

const program = fileURLToPath(new URL('../lab/machine-program.js', import.meta.url));

export class Machine {
  /** Orders given and not yet answered. Number 0 is the program's first word. */
  private readonly waiting = new Map<number, Waiting>();
  private last = 0;
  private ended: Error | null = null;

  private constructor(
    private readonly child: ChildProcess,
    readonly link: TunLink,
  ) {
    createInterface({ input: child.stdout! }).on('line', (line) => this.hear(JSON.parse(line) as Answer));
    child.on('error', (error) => this.end(error));
    child.on('exit', (code, signal) => this.end(new Error(`machine ${link.name} ended: ${signal ?? code}`)));
    // A program that ends while it is told something says so by its exit.
    child.stdin!.on('error', () => undefined);
  }

  /**
   * `name`: of the device, unique among machines (up to 15 bytes). `addresses`: with prefix
   * length, as the machine has them; everything else is reached through the device. Throws
   * Error with one line when the system refuses.
   */
  static async start(name: string, addresses: readonly string[]): Promise<Machine> {
    const link = TunLink.open({ name });
    const command = [which('unshare') ?? 'unshare', '--net', process.execPath, program];
    const setpriv = which('setpriv');
    if (setpriv !== null) command.unshift(setpriv, '--pdeathsig', 'KILL');
    const child = spawn(command[0]!, command.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] });
    const machine = new Machine(child, link);
    try {
      await machine.answer(0);
      // No fork in between: the child's process is the one in the namespace.
      must('ip', 'link', 'set', link.name, 'netns', String(child.pid));
      await machine.ask({ id: machine.next(), order: 'up', device: link.name, addresses });
    } catch (error) {
      machine.close();
      throw error;
    }
    return machine;
  }

  /** Connects by the machine's kernel, reads to the end and closes. */
  async connect(options: ConnectOptions): Promise<Attempt> {
    const { attempt } = await this.ask({ id: this.next(), order: 'connect', ...options });
    if (attempt === undefined) throw new Error('no attempt in the answer');
    return attempt;
  }

  /** Changes a setting; throws Error with one line when the kernel refuses. */
  async set(name: string, value: string): Promise<void> {
    await this.ask({ id: this.next(), order: 'set', name, value });
  }

  /** From here on the machine takes connections there and reads what comes. */
  async receive(host: string, port: number): Promise<void> {
    await this.ask({ id: this.next(), order: 'receive', host, port });
  }

  /** Connects and writes without end; resolves once connected. */
  async send(host: string, port: number): Promise<void> {
    await this.ask({ id: this.next(), order: 'send', host, port });
  }

  async tally(): Promise<Tally> {
    const { tally } = await this.ask({ id: this.next(), order: 'tally' });
    if (tally === undefined) throw new Error('no tally in the answer');
    return tally;
  }

  private next(): number {
    return ++this.last;
  }

  private ask(order: Order): Promise<Answer> {
    const answer = this.answer(order.id);
    this.child.stdin!.write(`${JSON.stringify(order)}\n`);
    return answer;
  }

  private answer(id: number): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (this.ended !== null) reject(this.ended);
      else this.waiting.set(id, { resolve, reject });
    });
  }

  private hear(answer: Answer): void {
    const waiting = this.waiting.get(answer.id);
    this.waiting.delete(answer.id);
    if (answer.error === undefined) waiting?.resolve(answer);
    else waiting?.reject(new Error(answer.error));
  }

  private end(error: Error): void {
    this.ended ??= error;
    for (const { reject } of this.waiting.values()) reject(this.ended);
    this.waiting.clear();
  }

  /** Ends the program and with it the namespace. Idempotent. */
  close(): void {
    this.child.kill('SIGKILL');
    this.link.close();
  }
}
