/** Capture files of either kind, pcapng and classic pcap, read as far as they go. */
import { walkPcapng, type TakePacket } from './pcapng.js';

export interface CaptureEnd {
  readonly format: 'pcapng' | 'pcap';
  /** '' when the file is whole; else one line: where and why the reading stopped. */
  readonly note: string;
}

const PCAP_HEADER = 24;
const RECORD_HEADER = 16;
/** Magic numbers of pcap: microseconds, nanoseconds. */
const MICROSECONDS = 0xa1b2c3d4;
const NANOSECONDS = 0xa1b23c4d;
/** Longer records do not exist: the file is broken there. */
const LONGEST_RECORD = 64 * 1024 * 1024;

/** Hands every packet to `take`, in the order of the file; null when the file is no capture. Never throws. */
export function walkCapture(file: Uint8Array, take: TakePacket): CaptureEnd | null {
  const pcapng = walkPcapng(file, take);
  if (pcapng !== null) return { format: 'pcapng', note: pcapng };
  const pcap = walkPcap(file, take);
  return pcap === null ? null : { format: 'pcap', note: pcap };
}

/** The file format of tcpdump (pcap-savefile(5)), either byte order, either unit of time. */
function walkPcap(file: Uint8Array, take: TakePacket): string | null {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < 4) return null;
  const little = isPcap(view.getUint32(0, true));
  if (!little && !isPcap(view.getUint32(0, false))) return null;
  if (file.length < PCAP_HEADER) return 'the file ends in the middle of its header';
  const scale = view.getUint32(0, little) === NANOSECONDS ? 1 : 1000;
  // The upper bits tell the length of a frame check sequence.
  const linkType = view.getUint32(20, little) & 0xffff;
  let at = PCAP_HEADER;
  while (at < file.length) {
    const cut = `the file ends in the middle of a packet, ${file.length - at} bytes into it`;
    if (at + RECORD_HEADER > file.length) return cut;
    const captured = view.getUint32(at + 8, little);
    if (captured > LONGEST_RECORD) return `what stands at byte ${at} is no packet`;
    const start = at + RECORD_HEADER;
    if (start + captured > file.length) return cut;
    const seconds = view.getUint32(at, little);
    const nanoseconds = view.getUint32(at + 4, little) * scale;
    const bytes = file.subarray(start, start + captured);
    const packet = { bytes, linkType, seconds, nanoseconds, inbound: null, comment: '' };
    take(packet, view.getUint32(at + 12, little), 0);
    at = start + captured;
  }
  return '';
}

function isPcap(magic: number): boolean {
  return magic === MICROSECONDS || magic === NANOSECONDS;
}
