/**
 * Small pieces beside other ways to do them, by benny: serial arithmetic as int32, BigInt and
 * bn.js, the checksum in WebAssembly and in C, the wheel beside setTimeout, a segment read and
 * a segment written. Every case does the same thousand operations.
 */
import BN from 'bn.js';
import { native } from '../src/link/native.js';
import { before } from '../src/seqnum.js';
import { TupleHash } from '../src/stack/siphash.js';
import { TimerWheel } from '../src/time/wheel.js';
import { SegmentBuilder } from '../src/wire/builder.js';
import { fold, sum } from '../src/wire/checksum.js';
import { IpHeader } from '../src/wire/ip.js';
import { ACK, Segment } from '../src/wire/segment.js';
import { BATCH, nsPerOperation } from './measure.js';

/** ns per operation, by the name of the case. */
export type MicroRun = Record<string, number>;

/** Not to be optimized away. */
export let sink = 0;

const numbers = Int32Array.from({ length: BATCH + 1 }, (_, n) => Math.imul(n, 0x9e3779b1));

function serial(): Record<string, () => void> {
  const bigs = Array.from(numbers, (n) => BigInt(n >>> 0));
  const bns = Array.from(numbers, (n) => new BN(n >>> 0));
  const two32 = new BN(1).shln(32);
  const half = new BN(1).shln(31);
  return {
    'serial before, int32': () => {
      for (let i = 0; i < BATCH; i++) if (before(numbers[i]!, numbers[i + 1]!)) sink++;
    },
    'serial before, BigInt': () => {
      for (let i = 0; i < BATCH; i++) if (BigInt.asIntN(32, bigs[i]! - bigs[i + 1]!) < 0n) sink++;
    },
    'serial before, bn.js': () => {
      for (let i = 0; i < BATCH; i++)
        if (
          bns[i]!.sub(bns[i + 1]!)
            .umod(two32)
            .gte(half)
        )
          sink++;
    },
  };
}

function checksums(): Record<string, () => void> {
  const bytes = Uint8Array.from({ length: 1460 }, (_, i) => (i * 7) & 255);
  const addon = native();
  return {
    'checksum of 1460 bytes, WebAssembly': () => {
      for (let i = 0; i < BATCH; i++) sink ^= fold(sum(bytes, 0, 1460, i));
    },
    ...(addon.ok
      ? {
          'checksum of 1460 bytes, C through the addon': () => {
            for (let i = 0; i < BATCH; i++) sink ^= addon.addon.checksum(bytes, 0, 1460, i);
          },
        }
      : {}),
  };
}

function hashes(): Record<string, () => void> {
  const hash = new TupleHash(new Uint8Array(16).fill(7));
  return {
    'SipHash-1-3 of an IPv4 tuple': () => {
      for (let i = 0; i < BATCH; i++) sink ^= hash.of(0, 0, 0xffff, 5, 0, 0, 0xffff, i, 80, 1234);
    },
    'SipHash-1-3 of an IPv6 tuple': () => {
      for (let i = 0; i < BATCH; i++) sink ^= hash.of(1, 2, 3, 4, 5, 6, 7, i, 80, 1234);
    },
  };
}

function timers(): Record<string, () => void> {
  const wheel = new TimerWheel(0, BATCH);
  return {
    'timer armed and cancelled, wheel': () => {
      for (let i = 0; i < BATCH; i++) wheel.arm(i, 1000 + 37 * i);
      for (let i = 0; i < BATCH; i++) wheel.cancel(i);
    },
    'timer armed and cancelled, setTimeout': () => {
      const handles = Array.from({ length: BATCH }, (_, i) => setTimeout(() => undefined, 1000 + 37 * i));
      for (const handle of handles) clearTimeout(handle);
    },
  };
}

function packets(): Record<string, () => void> {
  const b = new SegmentBuilder();
  const bytes = new Uint8Array(1600);
  const write = (seq: number, text: number): number => {
    b.reset();
    b.version = 4;
    b.src2 = 0xffff;
    b.src3 = 0x0a000001;
    b.dst2 = 0xffff;
    b.dst3 = 0x0a000002;
    b.srcPort = 4000;
    b.dstPort = 80;
    b.seq = seq;
    b.flags = ACK;
    b.hasTimestamp = true;
    const header = b.writeHeaders(bytes, 0);
    return b.finish(bytes, 0, header, text);
  };
  const ip = new IpHeader();
  const segment = new Segment();
  const read = (length: number): void => {
    for (let i = 0; i < BATCH; i++) {
      sink ^= ip.load(bytes, 0, length);
      sink ^= segment.load(ip, true) ^ segment.seq;
    }
  };
  return {
    'ACK written (emit)': () => {
      for (let i = 0; i < BATCH; i++) sink ^= write(i, 0);
    },
    '1448 bytes of data written, checksum included': () => {
      for (let i = 0; i < BATCH; i++) sink ^= write(i, 1448);
    },
    'ACK read (segment load)': () => read(write(1, 0)),
    '1448 bytes of data read, checksum included': () => read(write(1, 1448)),
  };
}

/** In the child. */
export async function measureMicro(): Promise<MicroRun> {
  const run: MicroRun = {};
  for (const cases of [serial(), checksums(), hashes(), timers(), packets()])
    Object.assign(run, await nsPerOperation(cases, BATCH, 1));
  return run;
}
