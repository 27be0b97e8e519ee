/** Two engines back to back under seeded faults: equal bytes both ways, an orderly end, nothing left behind. */
import t from 'tap';
import type { ConnectionHandle, ListenerHandle } from '../../src/stack/api.js';
import { Prng } from '../../src/link/prng.js';
import type { Stack } from '../../src/stack/stack.js';
import { VirtualPair, type WireFaults } from '../support/pair.js';

const SEEDS = 1000;

/** One end: writes what it has in random pieces, reads, closes its side after the last byte. */
class End {
  private sent = 0;
  readonly got: Uint8Array[] = [];
  received = 0;
  closed = false;

  constructor(
    readonly stack: Stack,
    readonly handle: ConnectionHandle,
    readonly data: Uint8Array,
    readonly random: Prng,
  ) {}

  work(): void {
    for (let piece = this.stack.read(this.handle); piece !== null; piece = this.stack.read(this.handle)) {
      this.got.push(piece.slice());
      this.received += piece.length;
    }
    while (this.sent < this.data.length && this.handle.writable) {
      const n = Math.min(this.data.length - this.sent, 1 + this.random.below(5000));
      this.stack.send(this.handle, this.data.subarray(this.sent, this.sent + n));
      this.sent += n;
    }
    if (this.sent === this.data.length && !this.closed) {
      this.closed = true;
      this.stack.shutdown(this.handle);
    }
  }

  get finished(): boolean {
    return this.closed && this.handle.peerClosed && this.handle.readable === 0;
  }
}

function bytes(length: number, random: Prng): Uint8Array {
  const data = new Uint8Array(length);
  for (let i = 0; i < length; i++) data[i] = random.next();
  return data;
}

function faultsOf(random: Prng): WireFaults {
  const share = (most: number): number => (random.below(3) === 0 ? 0 : (random.below(1000) / 1000) * most);
  return {
    loss: share(0.1),
    duplicate: share(0.1),
    corrupt: share(0.03),
    reorder: share(0.2),
    late: 1 + random.below(80),
    delay: random.below(60),
  };
}

function play(seed: number): string | null {
  const random = new Prng(seed, 7);
  const knobs = {
    'net.ipv4.tcp_timestamps': random.below(2),
    'net.ipv4.tcp_sack': random.below(2),
    'net.ipv4.tcp_window_scaling': random.below(2),
    'net.ipv4.tcp_rmem': 4096 << random.below(8),
    'net.ipv4.tcp_wmem': 4096 << random.below(8),
    'net.ipv4.tcp_delack': random.below(2) * 40,
    'net.ipv4.tcp_retries2': 100,
    'net.ipv4.tcp_synack_retries': 100,
    'net.ipv4.tcp_syn_retries': 100,
  };
  // A clock just before its sign changes for one seed in four.
  const pair = new VirtualPair(faultsOf(random), seed, knobs, seed % 4 === 0 ? 0x7fffffff - 500 : 1000);
  const listener = pair.far.listen({ port: 80 }) as ListenerHandle;
  const [near, far] = pair.open(listener, seed % 3 === 0 ? 6 : 4);
  const here = new End(pair.near, near, bytes(random.below(60_000), random), random);
  const there = new End(pair.far, far, bytes(random.below(60_000), random), random);
  const done = pair.until(() => {
    here.work();
    there.work();
    pair.flush();
    return here.finished && there.finished;
  }, 40_000_000);
  if (!done)
    return `stuck: ${near.stateName} ${here.received}/${there.data.length}, ${far.stateName} ${there.received}/${here.data.length}`;
  if (!same(here.got, there.data) || !same(there.got, here.data)) return 'bytes differ';
  if (near.error !== null || far.error !== null) return `errors ${near.error} ${far.error}`;
  pair.near.close(near);
  pair.far.close(far);
  pair.far.closeListener(listener);
  // All that remains is time.
  pair.until(() => false, 2_000_000_000);
  for (const stack of [pair.near, pair.far]) {
    const left = [stack.connections, stack.timeWait.count, stack.timers, stack.queuedBytes, stack.orphans];
    if (left.some((count) => count !== 0))
      return `left behind: connections, records, timers, bytes, orphans = ${left.join(', ')}`;
  }
  return null;
}

function same(pieces: readonly Uint8Array[], whole: Uint8Array): boolean {
  return Buffer.concat(pieces).equals(Buffer.from(whole.buffer, whole.byteOffset, whole.length));
}

t.test(`${SEEDS} seeds of loss, duplication, corruption, reordering and delay`, (t) => {
  let failed = 0;
  for (let seed = 1; seed <= SEEDS && failed < 5; seed++) {
    const problem = play(seed);
    if (problem === null) continue;
    failed++;
    t.fail(`seed ${seed}: ${problem}`);
  }
  t.equal(failed, 0, 'equal bytes both ways, an orderly end, nothing left behind');
  t.end();
});
