/**
 * The same owner as an eBPF program (TUNSETSTEERINGEBPF), which the kernel asks for the queue of each
 * packet: then a packet comes to its owner's queue at once. Only plain TCP, IPv4 with options or IPv6
 * without extension headers; what it leaves to queue 0 finds its owner from there.
 *
 * Words are loaded in network order by the instructions that sockets' filters have for packets; a load
 * beyond the end of the packet ends the program with 0.
 */
import type { Steering } from './steering.js';

// Classes, sizes and operations of the instruction set (RFC 9669), as far as they are wanted.
const ALU32 = 0x04;
const ALU64 = 0x07;
const FROM_REGISTER = 0x08;
const ADD = 0x00;
const OR = 0x40;
const AND = 0x50;
const LSH = 0x60;
const RSH = 0x70;
const MOD = 0x90;
const XOR = 0xa0;
const MOV = 0xb0;
const JEQ = 0x15;
const JNE = 0x55;
const EXIT = 0x95;
const LOAD_64 = 0x18;
/** Of the packet, at a fixed place and at a register's: word, half, byte. */
const WORD = 0x00;
const HALF = 0x08;
const BYTE = 0x10;
const ABSOLUTE = 0x20;
const INDIRECT = 0x40;
const STORE_64 = 0x7b;
const FETCH_64 = 0x79;

/** r0: results; r1 to r5: free, lost with each load of the packet; r6: the packet; r10: the stack's end. */
const [R0, R1, R2, R3, R4, R5, R6, R7, R8] = [0, 1, 2, 3, 4, 5, 6, 7, 8] as const;
const STACK = 10;

const TCP = 6;

/** Instructions in the making; jumps go forward to labels. */
class Assembler {
  private readonly code: number[][] = [];
  private readonly labels = new Map<string, number>();
  private readonly jumps: { readonly at: number; readonly label: string }[] = [];

  put(op: number, dst = 0, src = 0, offset = 0, value = 0): void {
    this.code.push([op, (src << 4) | dst, offset, value]);
  }

  /** dst = dst OP value */
  with(operation: number, dst: number, value: number): void {
    this.put(ALU64 | operation, dst, 0, 0, value);
  }

  /** dst = dst OP src */
  of(operation: number, dst: number, src: number): void {
    this.put(ALU64 | operation | FROM_REGISTER, dst, src);
  }

  jump(op: number, label: string, dst = 0, value = 0): void {
    this.jumps.push({ at: this.code.length, label });
    this.put(op, dst, 0, 0, value);
  }

  label(name: string): void {
    this.labels.set(name, this.code.length);
  }

  /** r0 = what is at `at` of the packet, from the place in `base` on when one is given. */
  load(size: number, at: number, base = 0): void {
    this.put(size | (base === 0 ? ABSOLUTE : INDIRECT), 0, base, 0, at);
  }

  load64(dst: number, value: bigint): void {
    this.put(LOAD_64, dst, 0, 0, Number(BigInt.asIntN(32, value)));
    this.put(0, 0, 0, 0, Number(BigInt.asIntN(32, value >> 32n)));
  }

  bytes(): Uint8Array {
    for (const { at, label } of this.jumps) this.code[at]![2] = this.labels.get(label)! - at - 1;
    const out = new DataView(new ArrayBuffer(8 * this.code.length));
    this.code.forEach(([op, registers, offset, value], i) => {
      out.setUint8(8 * i, op!);
      out.setUint8(8 * i + 1, registers!);
      out.setInt16(8 * i + 2, offset!, true);
      out.setInt32(8 * i + 4, value! | 0, true);
    });
    return new Uint8Array(out.buffer);
  }
}

/** Where a word of the hash's message comes from, in the order of TupleHash.of: an address word, both ports, 0. */
type Source = number | 'ports' | 'zero';

/** A tuple's words. `target`, `source`: bytes of the packet where the addresses are. */
function message(words: 1 | 4, target: number, source: number, { by }: Steering): Source[] {
  const local = by === 'tuple' ? target : source;
  const ports = by === 'tuple' ? 'ports' : 'zero';
  if (words === 1) return [local, source, ports, 'zero'];
  const [l, r] = [local, source].map((at) => [at, at + 4, at + 8, at + 12]) as [number[], number[]];
  return [l[0]!, l[1]!, l[2]!, r[0]!, r[1]!, r[2]!, l[3]!, r[3]!, ports, 'zero'];
}

/** r0 = the word; r7 holds the length of the IP header. */
function loadWord(a: Assembler, from: Source): void {
  if (from === 'zero') a.with(MOV, R0, 0);
  else if (from !== 'ports') a.load(WORD, from);
  else {
    // Ours, which is the packet's second, is the upper half.
    a.load(HALF, 2, R7);
    a.with(LSH, R0, 16);
    a.put(STORE_64, STACK, R0, -8);
    a.load(HALF, 0, R7);
    a.put(FETCH_64, R1, STACK, -8);
    a.of(OR, R0, R1);
  }
}

function rotate(a: Assembler, register: number, by: number): void {
  a.of(MOV, R5, register);
  a.with(LSH, R5, by);
  a.with(RSH, register, 64 - by);
  a.of(OR, register, R5);
}

/** SipRound on v0..v3 in r1..r4. */
function round(a: Assembler): void {
  const half = (v: number, w: number, by: number): void => {
    a.of(ADD, v, w);
    rotate(a, w, by);
    a.of(XOR, w, v);
  };
  half(R1, R2, 13);
  rotate(a, R1, 32);
  half(R3, R4, 16);
  half(R1, R4, 21);
  half(R3, R2, 17);
  rotate(a, R3, 32);
}

/** r0 = SipHash-1-3 of the words modulo the number of workers, and the end. */
function hash(a: Assembler, words: readonly Source[], { key, workers }: Steering): void {
  const blocks = words.length / 2;
  for (let i = 0; i < blocks; i++) {
    loadWord(a, words[2 * i]!);
    a.of(MOV, R8, R0);
    loadWord(a, words[2 * i + 1]!);
    a.with(LSH, R0, 32);
    a.of(OR, R8, R0);
    a.put(STORE_64, STACK, R8, -16 - 8 * i);
  }
  const k = new DataView(key.buffer, key.byteOffset, 16);
  const [k0, k1] = [k.getBigUint64(0, true), k.getBigUint64(8, true)];
  a.load64(R1, k0 ^ 0x736f6d6570736575n);
  a.load64(R2, k1 ^ 0x646f72616e646f6dn);
  a.load64(R3, k0 ^ 0x6c7967656e657261n);
  a.load64(R4, k1 ^ 0x7465646279746573n);
  for (let i = 0; i <= blocks; i++) {
    if (i < blocks) a.put(FETCH_64, R0, STACK, -16 - 8 * i);
    // The last block is the length of the message.
    else a.load64(R0, BigInt(4 * words.length) << 56n);
    a.of(XOR, R4, R0);
    round(a);
    a.of(XOR, R1, R0);
  }
  a.with(XOR, R3, 0xff);
  for (let i = 0; i < 3; i++) round(a);
  a.of(MOV, R0, R1);
  for (const v of [R2, R3, R4]) a.of(XOR, R0, v);
  a.of(MOV, R1, R0);
  a.with(RSH, R1, 32);
  a.of(XOR, R0, R1);
  // 32 bits, as the other side counts.
  a.put(ALU32 | MOV | FROM_REGISTER, R0, R0);
  a.put(ALU32 | MOD, R0, 0, 0, workers);
  a.put(EXIT);
}

/** For TunLink.steer; the queues are those of the workers in their order. */
export function steeringProgram(steering: Steering): Uint8Array {
  const a = new Assembler();
  a.of(MOV, R6, R1);
  a.load(BYTE, 0);
  a.of(MOV, R7, R0);
  a.with(RSH, R0, 4);
  a.jump(JEQ, 'v6', R0, 6);
  a.jump(JNE, 'first', R0, 4);
  a.with(AND, R7, 15);
  a.with(LSH, R7, 2);
  // Neither the first nor a later part of a larger datagram.
  a.load(HALF, 6);
  a.with(AND, R0, 0x3fff);
  a.jump(JNE, 'first', R0, 0);
  a.load(BYTE, 9);
  a.jump(JNE, 'first', R0, TCP);
  hash(a, message(1, 16, 12, steering), steering);
  a.label('v6');
  a.load(BYTE, 6);
  a.jump(JNE, 'first', R0, TCP);
  a.with(MOV, R7, 40);
  hash(a, message(4, 24, 8, steering), steering);
  a.label('first');
  a.with(MOV, R0, 0);
  a.put(EXIT);
  return a.bytes();
}
