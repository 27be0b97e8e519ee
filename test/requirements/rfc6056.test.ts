/** RFC 6528, initial sequence numbers, and RFC 6056, ephemeral ports: what an outsider sees and what it tells him. */
import crypto from 'node:crypto';
import { syncBuiltinESMExports } from 'node:module';
import t from 'tap';
import { createNetwork } from '../../src/net/network.js';
import { memoryLink } from '../../src/link/memory.js';
import { Prng } from '../../src/link/prng.js';
import type { ConnectionHandle, StackOptions } from '../../src/stack/api.js';
import { Stack } from '../../src/stack/stack.js';
import { Segment } from '../../src/wire/segment.js';

const KEY = Uint8Array.from({ length: 32 }, (_, i) => 7 * i + 1);

function fresh(over: Partial<StackOptions> = {}, knobs: Readonly<Record<string, number>> = {}): Stack {
  const stack = new Stack({
    seed: KEY,
    addresses: ['10.0.0.2/24', '10.0.0.3/24'],
    mtu: 1500,
    now: 0,
    ...over,
  });
  for (const [name, value] of Object.entries(knobs)) {
    const message = stack.setKnob(name, value);
    if (message !== null) throw new RangeError(message);
  }
  return stack;
}

/** The SYN that an OPEN sends, or the error. */
function syn(stack: Stack, options: Parameters<Stack['connect']>[0]): { seq: number; port: number } | string {
  const opened = stack.connect(options);
  if (typeof opened === 'string') return opened;
  stack.output(0);
  const segment = new Segment();
  segment.loadPacket(stack.tx.bytes.slice(stack.tx.offsetOf(0), stack.tx.offsetOf(0) + stack.tx.lengthOf(0)));
  stack.tx.clear();
  return { seq: segment.seq >>> 0, port: segment.srcPort };
}

function isn(
  options: { key?: Uint8Array; us?: string; peer?: string; port?: number; localPort?: number } = {},
): number {
  const stack = fresh({ seed: options.key ?? KEY });
  const sent = syn(stack, {
    address: options.peer ?? '10.0.0.1',
    port: options.port ?? 80,
    localAddress: options.us ?? '10.0.0.2',
    localPort: options.localPort ?? 4000,
  });
  if (typeof sent === 'string') throw new Error(sent);
  return sent.seq;
}

void t.test('R6528-1: each part of the tuple and the key change the ISN', (t) => {
  const seen = [
    isn(),
    isn({ us: '10.0.0.3' }),
    isn({ peer: '10.0.0.4' }),
    isn({ port: 81 }),
    isn({ localPort: 4001 }),
    isn({ key: KEY.map((byte) => byte ^ 1) }),
  ];
  t.equal(new Set(seen).size, 6);
  t.equal(isn(), seen[0], 'all the same: the same');
  t.end();
});

void t.test('R6528-2: ten thousand ISNs tell nothing of the next one', (t) => {
  const stack = fresh();
  const numbers: number[] = [];
  for (let i = 0; i < 10_000; i++) {
    const sent = syn(stack, { address: '10.0.0.1', port: 80, localPort: 2000 + i });
    if (typeof sent === 'string') throw new Error(sent);
    numbers.push(sent.seq);
  }
  const counts = (values: number[]): number[] => {
    const buckets = new Array<number>(16).fill(0);
    for (const value of values) buckets[value >>> 28]!++;
    return buckets;
  };
  // 625 in each bucket, standard deviation 24
  const even = (buckets: number[]): boolean => buckets.every((n) => n > 500 && n < 750);
  t.ok(even(counts(numbers)), 'all over the range');
  const steps = numbers.slice(1).map((value, i) => (value - numbers[i]!) >>> 0);
  t.ok(even(counts(steps)), 'and so are the distances of neighbours');
  t.ok(even(counts(steps.slice(1).map((value, i) => (value - steps[i]!) >>> 0))), 'and their distances');
  t.equal(new Set(numbers).size, 10_000);
  t.end();
});

void t.test('R6528-3: the key has 256 bits, and every one of its octets counts', (t) => {
  const usual = isn();
  for (let i = 0; i < 32; i++)
    t.not(isn({ key: KEY.map((byte, at) => (at === i ? byte ^ 0x80 : byte)) }), usual);
  for (const length of [0, 16, 31])
    t.throws(() => fresh({ seed: new Uint8Array(length) }), /32/, `${length} octets`);
  t.end();
});

void t.test("R6528-4: a network takes its key from the system's cryptographic generator", (t) => {
  const { randomBytes } = crypto;
  const asked: number[] = [];
  crypto.randomBytes = ((size: number) => {
    asked.push(size);
    return randomBytes(size);
  }) as typeof randomBytes;
  syncBuiltinESMExports();
  t.teardown(() => {
    crypto.randomBytes = randomBytes;
    syncBuiltinESMExports();
  });
  const isns = [1, 2].map(() => {
    const [link] = memoryLink({ capacity: 16 });
    const net = createNetwork({ stack: { addresses: ['10.0.0.2/24'], now: 0 }, link, manual: true });
    const sent = syn(net.stack as Stack, { address: '10.0.0.1', port: 80, localPort: 4000 });
    net.close();
    if (typeof sent === 'string') throw new Error(sent);
    return sent.seq;
  });
  t.same(asked, [32, 32]);
  t.not(isns[0], isns[1], 'another key, another ISN');
  t.end();
});

void t.test('R6056-1, R5927-2: ports follow one another in no order that helps to guess the next', (t) => {
  const stack = fresh();
  const ports: number[] = [];
  for (let i = 0; i < 1000; i++) {
    const sent = syn(stack, { address: '10.0.0.1', port: 80 });
    if (typeof sent === 'string') throw new Error(sent);
    ports.push(sent.port);
  }
  const most = (values: number[]): number => {
    const counts = new Map<number, number>();
    for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
    return Math.max(...counts.values());
  };
  const steps = (list: number[]): number[] => list.slice(1).map((port, i) => port - list[i]!);
  t.notOk(steps(ports).includes(1), 'never the next one');
  t.ok(most(steps(ports)) < 200, 'who knows the last port of this destination guesses one in five at best');
  const others: number[] = [];
  const random = new Prng(1);
  for (let i = 0; i < 1000; i++) {
    const sent = syn(stack, { address: `10.0.${random.below(200)}.${1 + random.below(200)}`, port: 80 });
    if (typeof sent === 'string') throw new Error(sent);
    others.push(sent.port);
  }
  t.ok(most(steps(others)) < 10, 'who knows only other destinations guesses nothing');
  t.end();
});

void t.test('R6056-2: every port of the range that is configured is used', (t) => {
  const range = { 'net.ipv4.ip_local_port_range.min': 1024, 'net.ipv4.ip_local_port_range.max': 65_535 };
  const stack = fresh({}, { ...range, 'net.ipv4.tcp_syn_retries': 0 });
  const buckets = new Array<number>(63).fill(0);
  const random = new Prng(2);
  for (let i = 0; i < 20_000; i++) {
    const address = `10.${random.below(200)}.${random.below(200)}.${1 + random.below(200)}`;
    const opened = stack.connect({ address, port: 80 });
    if (typeof opened === 'string') throw new Error(opened);
    buckets[(opened.local.port - 1024) >> 10]!++;
    stack.abort(opened);
  }
  // 317 in each, standard deviation 18
  t.ok(
    buckets.every((n) => n > 220 && n < 420),
    buckets.join(' '),
  );
  t.end();
});

void t.test(
  'R6056-3, R6056-4, R6056-5: neither reserved ports nor those of listeners, each tuple once, then none',
  (t) => {
    const range = { 'net.ipv4.ip_local_port_range.min': 50_000, 'net.ipv4.ip_local_port_range.max': 50_009 };
    const stack = fresh({ reservedPorts: [50_003] }, range);
    stack.listen({ port: 50_007 });
    const open = (address: string): number | string => {
      const opened = stack.connect({ address, port: 80 });
      return typeof opened === 'string' ? opened : opened.local.port;
    };
    for (const address of ['10.0.0.1', '10.0.0.9']) {
      const ports = Array.from({ length: 8 }, () => open(address));
      t.same(
        ports.sort(),
        [0, 1, 2, 4, 5, 6, 8, 9].map((n) => 50_000 + n),
        'each of the others once',
      );
      t.equal(open(address), 'EADDRNOTAVAIL');
    }
    t.end();
  },
);

void t.test(
  'R6056-6: where the ports of a destination begin is secret, and each one moves on from there',
  (t) => {
    const first = (address: string, key = KEY): number => {
      const sent = syn(fresh({ seed: key }), { address, port: 80 });
      if (typeof sent === 'string') throw new Error(sent);
      return sent.port;
    };
    const starts = Array.from({ length: 100 }, (_, i) => first(`10.0.0.${i + 4}`));
    t.ok(new Set(starts).size > 95, 'destinations beside each other begin far apart');
    t.not(
      first(
        '10.0.0.4',
        KEY.map((byte) => byte ^ 1),
      ),
      starts[0],
    );
    const stack = fresh();
    let last: number | null = null;
    for (let i = 0; i < 200; i++) {
      const opened = stack.connect({ address: '10.0.0.1', port: 80 }) as ConnectionHandle;
      const { port } = opened.local;
      const span = 60_999 - 32_768 + 1;
      if (last !== null) {
        const step = (port - last + span) % span;
        t.ok(step >= 2 && step <= 16, `${last}, then ${port}`);
      }
      last = port;
    }
    t.end();
  },
);

void t.test('R6056-7: a port that was used comes back late', (t) => {
  const stack = fresh();
  const seen = new Set<number>();
  for (let i = 0; i < 1500; i++) {
    const opened = stack.connect({ address: '10.0.0.1', port: 80 }) as ConnectionHandle;
    t.notOk(seen.has(opened.local.port), `${opened.local.port}`);
    seen.add(opened.local.port);
    stack.abort(opened);
  }
  t.end();
});
