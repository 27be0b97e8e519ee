/**
 * The pcapng file format (draft-ietf-opsawg-pcapng): section header, one interface of
 * raw IP packets, enhanced packet blocks with nanosecond times, direction and comment.
 */

const SECTION = 0x0a0d0d0a;
const INTERFACE = 1;
const ENHANCED = 6;
const MAGIC = 0x1a2b3c4d;
/** LINKTYPE_RAW: packets begin with their IPv4 or IPv6 header. */
const LINKTYPE_RAW = 101;

const OPT_END = 0;
const OPT_COMMENT = 1;
const SHB_USERAPPL = 4;
const IF_NAME = 2;
const IF_TSRESOL = 9;
const IF_TSOFFSET = 14;
const EPB_FLAGS = 2;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** No block of ours or of libpcap comes near this length: what claims more is broken, not cut. */
const LONGEST_BLOCK = 64 * 1024 * 1024;

/** Texts are cut here: an option's length is a 16-bit field. */
const LONGEST_TEXT = 32_768;

function encode(text: string): Uint8Array {
  const room = new Uint8Array(Math.min(LONGEST_TEXT, 3 * text.length));
  return room.subarray(0, encoder.encodeInto(text, room).written);
}

function padded(n: number): number {
  return (n + 3) & ~3;
}

function optionsLength(options: readonly (readonly [number, Uint8Array])[]): number {
  return options.reduce((total, [, value]) => total + 4 + padded(value.length), 4);
}

/** Writes options at `at`, ended by opt_endofopt; returns the place behind. */
function putOptions(view: DataView, at: number, options: readonly (readonly [number, Uint8Array])[]): number {
  let p = at;
  for (const [code, value] of options) {
    view.setUint16(p, code, true);
    view.setUint16(p + 2, value.length, true);
    new Uint8Array(view.buffer).set(value, p + 4);
    p += 4 + padded(value.length);
  }
  view.setUint16(p, OPT_END, true);
  return p + 4;
}

function block(type: number, bodyLength: number): DataView {
  const total = 12 + bodyLength;
  const view = new DataView(new ArrayBuffer(total));
  view.setUint32(0, type, true);
  view.setUint32(4, total, true);
  view.setUint32(total - 4, total, true);
  return view;
}

function bytesOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer);
}

/** Encodes blocks; where they go is the caller's business. */
export class PcapngWriter {
  constructor(private readonly interfaceName: string) {}

  /** Section header and interface description. */
  header(): Uint8Array {
    const application: [number, Uint8Array][] = [[SHB_USERAPPL, encode('timewait')]];
    const section = block(SECTION, 16 + optionsLength(application));
    section.setUint32(8, MAGIC, true);
    section.setUint16(12, 1, true);
    section.setBigInt64(16, -1n, true);
    putOptions(section, 24, application);
    const described: [number, Uint8Array][] = [
      [IF_NAME, encode(this.interfaceName)],
      [IF_TSRESOL, Uint8Array.of(9)],
    ];
    const face = block(INTERFACE, 8 + optionsLength(described));
    face.setUint16(8, LINKTYPE_RAW, true);
    putOptions(face, 16, described);
    const out = new Uint8Array(section.byteLength + face.byteLength);
    out.set(bytesOf(section));
    out.set(bytesOf(face), section.byteLength);
    return out;
  }

  /** One packet; `comment` '' for none. Seconds since 1970, nanoseconds within the second. */
  packet(
    bytes: Uint8Array,
    offset: number,
    length: number,
    seconds: number,
    nanoseconds: number,
    inbound: boolean,
    comment: string,
  ): Uint8Array {
    const flags = new Uint8Array(4);
    flags[0] = inbound ? 1 : 2;
    const options: [number, Uint8Array][] = [[EPB_FLAGS, flags]];
    if (comment !== '') options.push([OPT_COMMENT, encode(comment)]);
    const view = block(ENHANCED, 20 + padded(length) + optionsLength(options));
    const stamp = BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds);
    view.setUint32(12, Number(stamp >> 32n), true);
    view.setUint32(16, Number(stamp & 0xffffffffn), true);
    view.setUint32(20, length, true);
    view.setUint32(24, length, true);
    bytesOf(view).set(bytes.subarray(offset, offset + length), 28);
    putOptions(view, 28 + padded(length), options);
    return bytesOf(view);
  }
}

/** What an interface description says: its link type, units of time in a second, seconds to add. */
interface Face {
  readonly linkType: number;
  readonly perSecond: bigint;
  readonly offset: number;
}

export interface CapturedPacket {
  /** As far as they were captured; a view of the file's memory. */
  readonly bytes: Uint8Array;
  /** Link type of its interface. */
  readonly linkType: number;
  readonly seconds: number;
  readonly nanoseconds: number;
  /** null when the file does not say. */
  readonly inbound: boolean | null;
  readonly comment: string;
}

/** Takes one packet: `original` bytes long on the wire, recorded in this section (0, 1, ...) of the file. */
export type TakePacket = (packet: CapturedPacket, original: number, section: number) => void;

/** Reads the packets of a pcapng file, either byte order; null when it is none or broken in the middle. */
export function readPcapng(file: Uint8Array): CapturedPacket[] | null {
  const packets: CapturedPacket[] = [];
  return walkPcapng(file, (packet) => packets.push(packet)) === '' ? packets : null;
}

/**
 * Reads a pcapng file as far as it goes, either byte order. '' when it is whole; else one
 * line that says where and why it stopped; null when it is no pcapng at all.
 */
export function walkPcapng(file: Uint8Array, take: TakePacket): string | null {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < 4 || view.getUint32(0, true) !== SECTION) return null;
  let little = true;
  let faces: Face[] = [];
  let section = -1;
  let at = 0;
  const cut = (): string => `the file ends in the middle of a block, ${file.length - at} bytes into it`;
  const broken = (): string => `what stands at byte ${at} is no pcapng block`;
  while (at < file.length) {
    if (at + 12 > file.length) return cut();
    if (view.getUint32(at, true) === SECTION) {
      const magic = view.getUint32(at + 8, true);
      if (magic !== MAGIC && magic !== 0x4d3c2b1a) return at === 0 ? null : broken();
      little = magic === MAGIC;
      faces = [];
      section++;
    }
    const total = view.getUint32(at + 4, little);
    if (total < 12 || total % 4 !== 0) return broken();
    if (at + total > file.length) return total > LONGEST_BLOCK ? broken() : cut();
    if (view.getUint32(at + total - 4, little) !== total) return broken();
    const type = view.getUint32(at, little);
    if (type === INTERFACE && total >= 20) faces.push(readInterface(view, at, total, little));
    if (type === ENHANCED && total >= 32) {
      const packet = readEnhanced(file, view, at, total, little, faces);
      if (packet === null) return broken();
      take(packet, view.getUint32(at + 24, little), section);
    }
    at += total;
  }
  return '';
}

/** Calls `take` for each option in [from, end); stops at anything that does not fit. */
function eachOption(
  view: DataView,
  from: number,
  end: number,
  little: boolean,
  take: (code: number, at: number, length: number) => void,
): void {
  let at = from;
  while (at + 4 <= end) {
    const code = view.getUint16(at, little);
    const length = view.getUint16(at + 2, little);
    if (code === OPT_END || at + 4 + length > end) return;
    take(code, at + 4, length);
    at += 4 + padded(length);
  }
}

function readInterface(view: DataView, at: number, total: number, little: boolean): Face {
  let perSecond = 1_000_000n;
  let offset = 0;
  eachOption(view, at + 16, at + total - 4, little, (code, p, length) => {
    if (code === IF_TSOFFSET && length === 8) offset = Number(view.getBigInt64(p, little));
    if (code !== IF_TSRESOL || length < 1) return;
    const resolution = view.getUint8(p);
    const exponent = BigInt(resolution & 0x7f);
    perSecond = (resolution & 0x80) !== 0 ? 2n ** exponent : 10n ** exponent;
  });
  return { linkType: view.getUint16(at + 8, little), perSecond, offset };
}

function readEnhanced(
  file: Uint8Array,
  view: DataView,
  at: number,
  total: number,
  little: boolean,
  faces: readonly Face[],
): CapturedPacket | null {
  const face = faces[view.getUint32(at + 8, little)];
  const captured = view.getUint32(at + 20, little);
  if (face === undefined || 28 + captured > total - 4) return null;
  const stamp = (BigInt(view.getUint32(at + 12, little)) << 32n) | BigInt(view.getUint32(at + 16, little));
  let comment = '';
  let inbound: boolean | null = null;
  eachOption(view, at + 28 + padded(captured), at + total - 4, little, (code, p, length) => {
    // A packet may have several comments: a line each.
    if (code === OPT_COMMENT)
      comment += `${comment === '' ? '' : '\n'}${decoder.decode(file.subarray(p, p + length))}`;
    if (code === EPB_FLAGS && length === 4) {
      const direction = view.getUint32(p, little) & 3;
      if (direction !== 0) inbound = direction === 1;
    }
  });
  return {
    bytes: file.subarray(at + 28, at + 28 + captured),
    linkType: face.linkType,
    seconds: Number(stamp / face.perSecond) + face.offset,
    nanoseconds: Number(((stamp % face.perSecond) * 1_000_000_000n) / face.perSecond),
    inbound,
    comment,
  };
}
