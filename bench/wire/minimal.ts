/**
 * The least a TCP end can do, as a yardstick for the wire benchmarks: no loss recovery but going
 * back, no congestion control, no policy but "a lower SYN gets an ACK", eight words a connection.
 * IPv4 only. It stands on the same packet ring and addon as the engine, so what differs is TCP.
 *
 *   minimal.js DEVICE ADDRESS [plain]      sink on 5001, source on 5002, answers on 8000
 */
import { inlineMore } from '../../src/cli/inlining.js';
import { TunLink } from '../../src/link/tun.js';
import { parsePrefix } from '../../src/wire/address.js';
import { fold, pseudoHeader, sum } from '../../src/wire/checksum.js';
import { CHECKSUM_OFFLOADED, LARGEST_SLOT, PacketRing } from '../../src/wire/ring.js';
import { ACK, FIN, PSH, RST, SYN } from '../../src/wire/segment.js';
import { ANSWER, BATCHES, SINK, SOURCE, ready } from './ports.js';

// As the engine's server does.
inlineMore();

const [device = 'tw0', address = '10.77.0.2/16', plain] = process.argv.slice(2);
const own = parsePrefix(address)!.address.words[3]!;
const link = TunLink.open({ name: device, offload: plain !== 'plain' });
const { offload } = link;

const slot = offload ? LARGEST_SLOT : 2048;
const rx = new PacketRing(64, slot);
const tx = new PacketRing(128, slot);

// A connection: remote address, ports, RCV.NXT, SND.NXT, SND.UNA, SND.WND, state and scale, when it entered TIME-WAIT
const WORDS = 8;
const SLOTS = 1 << 22;
const [REMOTE, PORTS, RCV, NXT, UNA, WND, STATE, TIME] = [0, 1, 2, 3, 4, 5, 6, 7];
const [FREE, SYN_RECEIVED, ESTABLISHED, FIN_WAIT, TIME_WAIT, LAST_ACK, GONE] = [0, 1, 2, 3, 4, 5, 6];
const ACK_OWED = 1 << 16;
const table = new Int32Array(SLOTS * WORDS);

const MSS = 1460;
const MOST = offload ? 44 * MSS : MSS;
const WINDOW = offload ? 16_384 : 1024;
const SCALE = 8;
const FLIGHT = 1 << 20;
/** Where received text goes. */
const sink = new Uint8Array(1 << 18);
let sinkAt = 0;
const text = new Uint8Array(1 << 17).fill(120);
const owed: number[] = [];
/** The source's connection, -1 none, and when it sent last. */
let source = -1;
let sourceAt = 0;

function hash(remote: number, ports: number): number {
  let x = Math.imul(remote ^ 0x9e3779b1, 0x85ebca6b);
  x = ((x << 13) | (x >>> 19)) ^ Math.imul(ports ^ 0xc2b2ae35, 0x2c1b3c6d);
  x = Math.imul(x ^ (x >>> 15), 0x297a2d39);
  return (x ^ (x >>> 12)) & (SLOTS - 1);
}

/** Offset of the connection, or of a place for it; -1. */
function find(remote: number, ports: number, insert: boolean): number {
  let gone = -1;
  for (let i = hash(remote, ports); ; i = (i + 1) & (SLOTS - 1)) {
    const at = i * WORDS;
    const state = table[at + STATE]! & 255;
    if (state === FREE) return insert ? (gone >= 0 ? gone : at) : -1;
    if (state === GONE) {
      if (gone < 0) gone = at;
    } else if (table[at + REMOTE] === remote && table[at + PORTS] === ports) return at;
  }
}

function put32(at: number, value: number): void {
  const b = tx.bytes;
  b[at] = value >> 24;
  b[at + 1] = value >> 16;
  b[at + 2] = value >> 8;
  b[at + 3] = value;
}

function send(
  at: number,
  flags: number,
  seq: number,
  length: number,
  options: boolean,
  window: number,
): void {
  if (tx.free === 0) link.transmit(tx);
  const b = tx.bytes;
  const p = tx.tailOffset();
  const header = options ? 28 : 20;
  const segment = header + length;
  const t = p + 20;
  put32(p, (0x4500 << 16) | (20 + segment));
  put32(p + 4, 0x4000);
  put32(p + 8, 0x40060000);
  put32(p + 12, own);
  put32(p + 16, table[at + REMOTE]!);
  const check = fold(sum(b, p, 20, 0));
  b[p + 10] = check >> 8;
  b[p + 11] = check;
  const ports = table[at + PORTS]!;
  put32(t, (ports << 16) | (ports >>> 16));
  put32(t + 4, seq);
  put32(t + 8, table[at + RCV]!);
  put32(t + 12, (header << 26) | (flags << 16) | window);
  put32(t + 16, 0);
  if (options) {
    put32(t + 20, (0x0204 << 16) | MSS);
    put32(t + 24, 0x01030300 | SCALE);
  }
  if (length === 1) b[t + header] = 121;
  else if (length > 0) b.set(text.subarray(0, length), t + header);
  const pseudo = pseudoHeader(4, 0, 0, 0xffff, own, 0, 0, 0xffff, table[at + REMOTE]!, 6, segment);
  const field = offload ? ~fold(pseudo) & 0xffff : fold(sum(b, t, segment, pseudo));
  b[t + 16] = field >> 8;
  b[t + 17] = field;
  tx.push(20 + segment, 0, offload ? CHECKSUM_OFFLOADED | (length > MSS ? MSS : 0) : 0);
}

function acknowledge(at: number): void {
  table[at + STATE]! &= ~ACK_OWED;
  send(at, ACK, table[at + NXT]!, 0, false, WINDOW);
}

function pump(at: number): void {
  const limit = Math.min(table[at + WND]!, FLIGHT);
  for (;;) {
    const flight = (table[at + NXT]! - table[at + UNA]!) | 0;
    const length = Math.min(MOST, limit - flight);
    if (length <= 0 || (length < MOST && flight > 0)) break;
    send(at, ACK, table[at + NXT]!, length, false, WINDOW);
    table[at + NXT] = (table[at + NXT]! + length) | 0;
  }
  sourceAt = Date.now();
}

function synArrives(p: number, header: number, remote: number, ports: number, seq: number): void {
  const b = rx.bytes;
  const port = ports & 0xffff;
  if (port !== SINK && port !== SOURCE && port !== ANSWER) return;
  let at = find(remote, ports, false);
  if (at >= 0 && (table[at + STATE]! & 255) === TIME_WAIT && ((seq - table[at + RCV]!) | 0) <= 0) {
    acknowledge(at);
    return;
  }
  if (at < 0) at = find(remote, ports, true);
  let scale = 0;
  for (let i = 20; i < header;) {
    const kind = b[p + 20 + i]!;
    if (kind === 0) break;
    if (kind === 3) scale = b[p + 22 + i]!;
    i += kind === 1 ? 1 : b[p + 21 + i]! || 1;
  }
  const iss = (Math.imul(Date.now() | 0, 250) + hash(remote, ports)) | 0;
  table[at + REMOTE] = remote;
  table[at + PORTS] = ports;
  table[at + RCV] = (seq + 1) | 0;
  table[at + UNA] = iss;
  table[at + NXT] = (iss + 1) | 0;
  table[at + STATE] = SYN_RECEIVED | (scale << 8);
  send(at, SYN | ACK, iss, 0, true, 65_535);
}

function moveTo(at: number, state: number): void {
  table[at + STATE] = (table[at + STATE]! & ~255) | state;
}

/** Text in order, and what the services make of it; true: nothing is left to do. */
function textArrives(at: number, from: number, length: number, fin: number): boolean {
  const port = table[at + PORTS]! & 0xffff;
  if (sinkAt + length > sink.length) sinkAt = 0;
  if (length < 64) for (let i = 0; i < length; i++) sink[sinkAt + i] = rx.bytes[from + i]!;
  else sink.set(rx.bytes.subarray(from, from + length), sinkAt);
  sinkAt += length;
  table[at + RCV] = (table[at + RCV]! + length) | 0;
  if (port === ANSWER && (table[at + STATE]! & 255) === ESTABLISHED) {
    table[at + RCV] = (table[at + RCV]! + fin) | 0;
    send(at, FIN | PSH | ACK, table[at + NXT]!, 1, false, WINDOW);
    table[at + NXT] = (table[at + NXT]! + 2) | 0;
    moveTo(at, FIN_WAIT);
    return true;
  }
  if ((table[at + STATE]! & ACK_OWED) === 0) {
    table[at + STATE]! |= ACK_OWED;
    owed.push(at);
  }
  return false;
}

function finArrives(at: number): void {
  table[at + RCV] = (table[at + RCV]! + 1) | 0;
  if ((table[at + STATE]! & 255) === FIN_WAIT) {
    acknowledge(at);
    moveTo(at, TIME_WAIT);
    table[at + TIME] = Date.now() | 0;
    return;
  }
  table[at + STATE]! &= ~ACK_OWED;
  send(at, FIN | ACK, table[at + NXT]!, 0, false, WINDOW);
  table[at + NXT] = (table[at + NXT]! + 1) | 0;
  moveTo(at, LAST_ACK);
  if (at === source) source = -1;
}

function word(at: number): number {
  const b = rx.bytes;
  return (b[at]! << 24) | (b[at + 1]! << 16) | (b[at + 2]! << 8) | b[at + 3]!;
}

function receive(p: number, length: number, entry: number): void {
  const b = rx.bytes;
  if (length < 40 || b[p] !== 0x45 || b[p + 9] !== 6) return;
  const t = p + 20;
  const segment = ((b[p + 2]! << 8) | b[p + 3]!) - 20;
  const remote = word(p + 12);
  if ((entry & CHECKSUM_OFFLOADED) === 0) {
    const pseudo = pseudoHeader(4, 0, 0, 0xffff, remote, 0, 0, 0xffff, own, 6, segment);
    if (fold(sum(b, t, segment, pseudo)) !== 0) return;
  }
  const header = (b[t + 12]! >> 4) * 4;
  const payload = segment - header;
  const ports = word(t);
  const seq = word(t + 4);
  const ack = word(t + 8);
  const flags = b[t + 13]!;
  if ((flags & SYN) !== 0) {
    synArrives(p, header, remote, ports, seq);
    return;
  }
  const at = find(remote, ports, false);
  if (at < 0) return;
  let state = table[at + STATE]! & 255;
  if ((flags & RST) !== 0) {
    if (at === source) source = -1;
    if (state !== TIME_WAIT) table[at + STATE] = GONE;
    return;
  }
  if (state === TIME_WAIT) {
    if (payload > 0 || (flags & FIN) !== 0) acknowledge(at);
    return;
  }
  table[at + WND] = ((b[t + 14]! << 8) | b[t + 15]!) << ((table[at + STATE]! >> 8) & 255);
  if (((ack - table[at + UNA]!) | 0) > 0 && ((table[at + NXT]! - ack) | 0) >= 0) table[at + UNA] = ack;
  if (state === SYN_RECEIVED) {
    if (ack !== table[at + NXT]) return;
    moveTo(at, (state = ESTABLISHED));
    if ((ports & 0xffff) === SOURCE) source = at;
  }
  if (state === LAST_ACK) {
    if (ack === table[at + NXT]) table[at + STATE] = GONE;
    return;
  }
  if (seq !== table[at + RCV]) {
    if (payload > 0 || (flags & FIN) !== 0) acknowledge(at);
    return;
  }
  if (payload > 0 && textArrives(at, t + header, payload, flags & FIN)) return;
  if ((flags & FIN) !== 0) finArrives(at);
  else if (state === ESTABLISHED && (ports & 0xffff) === SOURCE) pump(at);
}

function batch(): number {
  const count = link.receive(rx);
  for (let i = 0; i < count; i++) {
    const s = rx.slotOf(i);
    receive(s * slot, rx.lengths[s]!, rx.offloads[s]!);
  }
  rx.clear();
  for (const at of owed) if ((table[at + STATE]! & ACK_OWED) !== 0) acknowledge(at);
  owed.length = 0;
  link.transmit(tx);
  return count;
}

link.onReadable(() => {
  for (let i = 0; i < BATCHES && batch() > 0; i++);
});
setInterval(() => {
  if (source < 0 || table[source + NXT] === table[source + UNA] || Date.now() - sourceAt < 200) return;
  table[source + NXT] = table[source + UNA]!;
  pump(source);
  link.transmit(tx);
}, 50);
ready(link.name);
