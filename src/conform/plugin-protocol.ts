/**
 * The conversation with the plug-in that packetdrill loads (native/packetdrill/protocol.h is its
 * side; docs/packetdrill.md describes it): frames of a length and a body, integers little-endian.
 */

export const PROTOCOL_VERSION = 1;
/** Bytes of one frame at most, in either direction. */
export const MOST_BYTES = 16 * 2 ** 20;

/** Operations of requests, by their number. */
export const operations = [
  'hello',
  'socket',
  'bind',
  'listen',
  'accept',
  'connect',
  'receive',
  'send',
  'fcntl',
  'ioctl',
  'close',
  'shutdown',
  'getsockopt',
  'setsockopt',
  'poll',
  'epoll_create',
  'epoll_ctl',
  'epoll_wait',
  'packet_in',
  'packet_out',
  'sleep',
  'time',
  'setting',
  'await',
] as const;

export type Operation = (typeof operations)[number];

/** The other side does not speak this protocol; the conversation ends. */
export class ProtocolError extends Error {}

/** Reads integers and bytes off a request. Throws ProtocolError when it is too short. */
export class Fields {
  private at = 0;
  private readonly view: DataView;

  constructor(private readonly bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  private skip(length: number): number {
    const { at } = this;
    if (at + length > this.bytes.length) throw new ProtocolError('a request is too short');
    this.at += length;
    return at;
  }

  u8(): number {
    return this.view.getUint8(this.skip(1));
  }

  u32(): number {
    return this.view.getUint32(this.skip(4), true);
  }

  i32(): number {
    return this.view.getInt32(this.skip(4), true);
  }

  u64(): bigint {
    return this.view.getBigUint64(this.skip(8), true);
  }

  /** A length and as many bytes behind it; null when the memory they were in could not be read. */
  memory(): Uint8Array | null {
    const readable = this.u8() !== 0;
    const length = this.u32();
    if (!readable) return null;
    const at = this.skip(length);
    return this.bytes.subarray(at, at + length);
  }

  rest(): Uint8Array {
    const at = this.at;
    this.at = this.bytes.length;
    return this.bytes.subarray(at);
  }
}

export interface Request {
  readonly id: number;
  readonly operation: Operation;
  readonly fields: Fields;
}

/** Cuts what arrives into requests. Keeps at most one frame, MOST_BYTES. */
export class RequestReader {
  private pending: Uint8Array = new Uint8Array(0);

  /** All requests that are complete now; they are views of memory that is not written again. */
  push(bytes: Uint8Array): Request[] {
    let all = bytes;
    if (this.pending.length > 0) {
      all = new Uint8Array(this.pending.length + bytes.length);
      all.set(this.pending);
      all.set(bytes, this.pending.length);
    }
    const view = new DataView(all.buffer, all.byteOffset, all.byteLength);
    const requests: Request[] = [];
    let at = 0;
    while (all.length - at >= 4) {
      const length = view.getUint32(at, true);
      if (length < 5 || length > MOST_BYTES) throw new ProtocolError('a request has an impossible length');
      if (all.length - at - 4 < length) break;
      const operation = operations[all[at + 8]!];
      if (operation === undefined) throw new ProtocolError('a request has an unknown operation');
      const fields = new Fields(all.subarray(at + 9, at + 4 + length));
      requests.push({ id: view.getUint32(at + 4, true), operation, fields });
      at += 4 + length;
    }
    this.pending = all.subarray(at);
    return requests;
  }
}

export interface Reply {
  readonly id: number;
  /** The call goes on; its result follows under the same id. */
  readonly blocked: boolean;
  /** Microseconds: when the call returned, the packet was sent, or now. */
  readonly time: number;
  readonly value: number;
  /** Number of the errno, 0 for none. */
  readonly errno: number;
  readonly results: Uint8Array;
}

const HEADER = 25;

export function encodeReply({ id, blocked, time, value, errno, results }: Reply): Uint8Array {
  const bytes = new Uint8Array(HEADER + results.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length - 4, true);
  view.setUint32(4, id, true);
  view.setUint8(8, blocked ? 1 : 0);
  view.setBigInt64(9, BigInt(time), true);
  view.setInt32(17, value, true);
  view.setInt32(21, errno, true);
  bytes.set(results, HEADER);
  return bytes;
}
