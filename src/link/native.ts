/**
 * The way to the native addon (native/): loaded at first use, and never fatal.
 * Whoever asks gets the addon or one line that says what is missing and what cures it.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** Packets lost by a queue. */
export interface TunCounters {
  /** Longer than a slot of the ring on the way in, or with a length no slot can have on the way out. */
  oversize: number;
  /** Refused by the kernel on the way out: not an IP packet, interface down, no memory. */
  refused: number;
}

/**
 * One queue of a TUN device. The ring is passed as its parts (`bytes lengths head
 * count slots slotSize offloads`, out `spans texts` of PacketRing); one call moves a whole batch. A device
 * that is gone throws (ENODEV); a bad packet only counts.
 */
export interface TunQueue {
  /** The device's name as the kernel gave it. */
  readonly name: string;
  /** Fills free slots until the device has nothing more; returns how many. Does not change head and count. */
  receive(
    bytes: Uint8Array,
    lengths: Int32Array,
    head: number,
    count: number,
    slots: number,
    slotSize: number,
    offloads: Int32Array,
  ): number;
  /** Writes from the oldest on until the device is busy; returns how many were taken. Text elsewhere is gathered from there. */
  transmit(
    bytes: Uint8Array,
    lengths: Int32Array,
    head: number,
    count: number,
    slots: number,
    slotSize: number,
    offloads: Int32Array,
    spans?: Int32Array,
    texts?: readonly (Uint8Array | null)[],
  ): number;
  /**
   * `listener` is called from the event loop when packets may be waiting. After a
   * call that nobody answers with `receive`, and while the ring is full, it rests:
   * the next `receive` wakes it.
   */
  listen(listener: (() => void) | null): void;
  ref(): void;
  unref(): void;
  counters(): TunCounters;
  /**
   * An eBPF program (8 bytes an instruction, of socket filters) whose result is the number of the queue,
   * in the order in which queues were opened, that a packet to this device goes to. Throws (EPERM: no CAP_BPF).
   */
  steer(program: Uint8Array): void;
  /** The queue's file descriptor, for another thread. */
  descriptor(): number;
  /** Idempotent. */
  close(): void;
}

/** Frames lost by a packet queue. */
export interface PacketCounters extends TunCounters {
  /** The kernel's ring was full. */
  dropped: number;
}

/**
 * An Ethernet interface through AF_PACKET. As TunQueue, with one more array: the record of
 * each slot's link header (wire/ethernet.ts).
 */
export interface PacketQueue extends Omit<
  TunQueue,
  'receive' | 'transmit' | 'counters' | 'steer' | 'descriptor'
> {
  receive(
    bytes: Uint8Array,
    lengths: Int32Array,
    head: number,
    count: number,
    slots: number,
    slotSize: number,
    records: Uint8Array,
  ): number;
  transmit(
    bytes: Uint8Array,
    lengths: Int32Array,
    head: number,
    count: number,
    slots: number,
    slotSize: number,
    records: Uint8Array,
  ): number;
  counters(): PacketCounters;
}

export interface NativeAddon {
  /**
   * The 16-bit one's complement of the one's complement sum over a range (RFC 1071).
   * `initial` is a running sum, such as that of a pseudo-header. Throws RangeError
   * when the range leaves the array.
   */
  checksum(bytes: Uint8Array, offset: number, length: number, initial: number): number;
  /** Makes all words 0; whole pages of theirs go back to the kernel at once. */
  discard(block: Int32Array): void;
  /**
   * `name`: up to 15 bytes, '' lets the kernel choose, `%d` is replaced by a number.
   * `offload`: segments of up to 64 KB and unfinished checksums, both ways, as the ring's `offloads` say.
   * `multiQueue`: several queues may be opened under one name.
   * `descriptor`: of a queue that is open, in this thread or another: nothing is opened, the same queue is used once more.
   * `exclusive`: EBUSY when there is a device of that name, even one that takes more queues.
   * Throws Error with code (EPERM, EBUSY, ENOENT ...), errno and syscall.
   */
  TunQueue: new (
    name: string,
    offload: boolean,
    multiQueue: boolean,
    descriptor?: number,
    exclusive?: boolean,
  ) => TunQueue;
  /**
   * `filter`: classic BPF, 8 bytes an instruction. `mac`, `groups`: addresses to listen to
   * besides the interface's own, 6 bytes each. A ring of `blocks` of `blockSize` bytes; a
   * block that is not full is handed over after `timeout` ms. Throws Error with code (EPERM,
   * ENODEV, EPROTONOSUPPORT for what is no Ethernet ...), errno and syscall.
   */
  PacketQueue: new (
    name: string,
    filter: Uint8Array,
    mac: Uint8Array,
    groups: Uint8Array,
    blockSize: number,
    blocks: number,
    timeout: number,
  ) => PacketQueue;
  /**
   * A system call of sockets by name ('socket', 'sendmsg', 'ppoll', ... as the kernel has
   * them: `accept` is accept4): its result, or -errno. An array stands for its address.
   * For calls that cannot block. Throws RangeError for any other name.
   */
  syscall(name: string, ...args: readonly (number | Uint8Array)[]): number;
  /** The same on a thread of its own, for calls that may block. */
  syscallAsync(name: string, ...args: readonly (number | Uint8Array)[]): Promise<number>;
  /** Where an array's memory is, for structures that hold pointers (iovec, msghdr). The caller keeps it alive. */
  address(bytes: Uint8Array): bigint;
}

/** What is missing, and what to do about it: one line each. */
export interface Missing {
  readonly ok: false;
  readonly reason: string;
  readonly cure: string;
}

export type NativeResult = { readonly ok: true; readonly addon: NativeAddon } | Missing;

/** native/ as seen from dist/lib/shared/ or dist/src/link/, and from src/link/. */
const DIRECTORIES = ['../../../native', '../../native'].map((path) =>
  fileURLToPath(new URL(path, import.meta.url)),
);

let result: NativeResult | null = null;

/** The addon, or why there is none. The answer is remembered. */
export function native(): NativeResult {
  result ??= load();
  return result;
}

/** What was compiled here (build/Release), else what the package brought (prebuilds). */
function load(): NativeResult {
  const require = createRequire(import.meta.url);
  const find = require('node-gyp-build') as { resolve(directory: string): string };
  const directory = DIRECTORIES.find((each) => existsSync(each)) ?? DIRECTORIES[0]!;
  let path;
  try {
    path = find.resolve(directory);
  } catch {
    return {
      ok: false,
      reason: 'the native addon is not built',
      cure: 'run npm install, with a C compiler, make and python3 present',
    };
  }
  try {
    return { ok: true, addon: require(path) as NativeAddon };
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    return {
      ok: false,
      reason: `the native addon does not load (${said.split('\n', 1)[0]})`,
      cure: 'delete native/build and run npm install again',
    };
  }
}
