/**
 * The running kernel as the target of scripts: real system calls, real time, packets through a
 * TUN device in the present network namespace, which must be a private one.
 *
 * Scripts share the device, which gives each the packets to its peer's address, and the sysctls they
 * write, put back when the last of them ends.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { native } from '../link/native.js';
import { TunLink } from '../link/tun.js';
import { formatWords, type Address } from '../wire/address.js';
import { PacketRing } from '../wire/ring.js';
import { KernelCalls } from './kernel-calls.js';
import type { Listing } from './pipeline.js';
import type { CallRequest, CallResult, MadeCall, SentPacket, Target, TargetSetup } from './target.js';

/** A call that is to block has this long to start, one that is not this long to return, ms: machines are busy. */
const START = 1;
const PROMPT = 1000;
/** A wait shorter than this is spun, ms: timers of the event loop are not exact. */
const SPIN = 2;

class Call implements MadeCall {
  result: CallResult | null = null;
  endedAt = 0;
}

/** Takes what the device has for one peer. */
type Inlet = (packet: Uint8Array, foundAt: number) => void;

/**
 * The device and its addresses: one for all scripts of a run, since making one costs more than
 * a script; a new one behind a script that changed it.
 */
export class KernelDevice {
  link: TunLink;
  changed = false;
  private readonly known = new Set<string>();
  private readonly ring = new PacketRing(256, 2048);
  /** By the address of the peer. */
  private readonly inlets = new Map<string, Inlet>();
  private readonly settings = new Map<string, string>();

  constructor() {
    ip('link', 'set', 'dev', 'lo', 'up');
    this.link = this.open();
  }

  private open(): TunLink {
    const link = TunLink.open({ name: 'tun%d' });
    ip('link', 'set', 'dev', link.name, 'up');
    link.onReadable(() => this.drain());
    return link;
  }

  /** The kernel has `local`; packets to `remote` leave by the device. */
  configure({ local, remote, prefix, mtu }: TargetSetup): void {
    if (this.changed && this.inlets.size === 0) {
      this.link.close();
      this.known.clear();
      this.link = this.open();
      this.changed = false;
    }
    const key = `${local.toString()} ${remote.toString()} ${mtu}`;
    if (this.known.has(key)) return;
    this.known.add(key);
    const { name } = this.link;
    ip('link', 'set', 'dev', name, 'mtu', String(Math.max(mtu, local.family === 6 ? 1280 : 68)));
    const nodad = local.family === 6 ? ['nodad'] : [];
    ip('address', 'replace', `${local.toString()}/${prefix}`, 'dev', name, ...nodad);
    ip(`-${local.family}`, 'route', 'replace', `${remote.toString()}${hostBits(remote)}`, 'dev', name);
  }

  attach(remote: Address, inlet: Inlet): void {
    this.drain();
    this.inlets.set(remote.toString(), inlet);
  }

  /** When nobody is left the sysctls are put back. */
  detach(remote: Address): void {
    this.drain();
    this.inlets.delete(remote.toString());
    if (this.inlets.size > 0) return;
    for (const [path, value] of this.settings) putBack(path, value);
    this.settings.clear();
  }

  /** Throws as writeFileSync. */
  set(path: string, value: string): void {
    const before = readFileSync(path, 'utf8');
    writeFileSync(path, value);
    if (!this.settings.has(path)) this.settings.set(path, before);
  }

  /** Everything the device has goes to those it is for; what nobody waits for is lost. */
  drain(): void {
    const { ring } = this;
    while (this.link.receive(ring) > 0) {
      const now = performance.now();
      for (let i = 0; i < ring.count; i++) {
        const at = ring.offsetOf(i);
        const packet = ring.bytes.slice(at, at + ring.lengthOf(i));
        if (!isNoise(packet)) this.inlets.get(destinationOf(packet))?.(packet, now);
      }
      ring.clear();
    }
  }

  close(): void {
    this.link.close();
  }
}

/** A namespace may have inherited what it could not choose (a restricted congestion control): then the script's value stays. */
function putBack(path: string, value: string): void {
  try {
    writeFileSync(path, value);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
  }
}

function destinationOf(packet: Uint8Array): string {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const word = (at: number): number => view.getInt32(at);
  return packet[0]! >> 4 === 6
    ? formatWords(word(24), word(28), word(32), word(36))
    : formatWords(0, 0, 0xffff, word(16));
}

function hostBits(address: Address): string {
  return address.family === 4 ? '/32' : '/128';
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] });
}

export class KernelTarget implements Target {
  readonly name = 'kernel';
  readonly resolution = 1;
  readonly tolerance = null;
  private readonly said = new Set<string>();
  private readonly calls: KernelCalls;
  private readonly out = new PacketRing(2, 65_536);
  private readonly packets: SentPacket[] = [];
  private readonly start: number;
  private wake: (() => void) | null = null;

  /** Throws Error when the native addon is missing; KernelDevice has said so before. */
  constructor(
    private readonly device: KernelDevice,
    private readonly setup: TargetSetup,
  ) {
    const loaded = native();
    if (!loaded.ok) throw new Error(`${loaded.reason}: ${loaded.cure}`);
    device.configure(setup);
    this.calls = new KernelCalls(loaded.addon, setup, this.said);
    this.start = performance.now();
    device.attach(setup.remote, (bytes, foundAt) => {
      this.packets.push({ bytes, time: Math.round((foundAt - this.start) * 1000), reason: '' });
      this.wake?.();
    });
  }

  get notes(): string[] {
    return [...this.said];
  }

  now(): number {
    return Math.round((performance.now() - this.start) * 1000);
  }

  async advance(time: number): Promise<void> {
    await this.waitUntil(time, () => false);
  }

  inject(packet: Uint8Array): string {
    const { out } = this;
    out.bytes.set(packet, out.tailOffset());
    out.push(packet.length, 0);
    this.device.link.transmit(out);
    out.clear();
    this.device.drain();
    return '';
  }

  async sent(latest: number): Promise<SentPacket | null> {
    this.device.drain();
    if (this.packets.length === 0) await this.waitUntil(latest, () => this.packets.length > 0);
    return this.packets.shift() ?? null;
  }

  async call(request: CallRequest): Promise<MadeCall> {
    const made = new Call();
    void this.calls.call(request).then((result) => {
      made.result = result;
      made.endedAt = this.now();
      this.wake?.();
    });
    const patience = request.blocks ? START : PROMPT;
    await this.waitUntil(this.now() + 1000 * patience, () => made.result !== null);
    return made;
  }

  async finish(call: MadeCall, latest: number): Promise<void> {
    await this.waitUntil(latest, () => call.result !== null);
  }

  info(fd: number): ReadonlyMap<string, number> | null {
    return this.calls.info(fd);
  }

  /** Programs of this system that only look, in this namespace. */
  listing({ program, files }: Listing): readonly string[] | null {
    if (program === 'proc')
      return files.flatMap((file) => linesOf(readFileSync(`/proc/net/${file}`, 'utf8')));
    if (program === 'sockstat') return null;
    try {
      return linesOf(execFileSync(program, program === 'ss' ? ['-tanH'] : [], { encoding: 'utf8' }));
    } catch {
      return null;
    }
  }

  /** Run as it stands, without a shell: the namespace ends with the run. */
  deviceCommand([program, ...args]: readonly string[]): string | null {
    if (program === 'modprobe' || program!.startsWith('kld')) return `'${program}' is not run`;
    try {
      execFileSync(program!, args, { stdio: 'ignore' });
      this.device.changed ||= args[0] !== 'tcp_metrics';
      return null;
    } catch {
      return `'${program} ${args.join(' ')}' failed in this namespace`;
    }
  }

  drop(state: string): string {
    return `tcpdrop -s ${state} is not done on the kernel`;
  }

  setting(name: string, value: string): string | null {
    const path = `/${name.startsWith('module.') ? 'sys' : 'proc/sys'}/${name.replace(/\./g, '/')}`;
    try {
      this.device.set(path, value);
      return null;
    } catch (error) {
      return `${name}: ${(error as NodeJS.ErrnoException).code ?? 'not written'} in this namespace`;
    }
  }

  /** Descriptors are closed, and what the kernel still says is lost. */
  async close(): Promise<void> {
    this.calls.closeAll();
    await new Promise((resolve) => setImmediate(resolve));
    this.device.detach(this.setup.remote);
  }

  /** Until `done` holds, or the time has come. Short waits spin, so that events happen when they should. */
  private async waitUntil(time: number, done: () => boolean): Promise<void> {
    for (;;) {
      this.device.drain();
      if (done()) return;
      const left = (time - this.now()) / 1000;
      if (left <= 0) return;
      if (left <= SPIN) await new Promise((resolve) => setImmediate(resolve));
      else await this.sleep(left - SPIN);
    }
  }

  /** `ms`, or until something happens. */
  private sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.wake?.(), ms);
      this.wake = () => {
        clearTimeout(timer);
        this.wake = null;
        resolve();
      };
    });
  }
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

/** What an interface says by itself: router solicitations, multicast reports. */
function isNoise(packet: Uint8Array): boolean {
  if (packet[0]! >> 4 !== 6) return packet[9] === 2;
  const next = packet[6]!;
  return next === 0 || (next === 58 && packet[40]! >= 130 && packet[40]! <= 143);
}
