import t from 'tap';
import fc from 'fast-check';
import BN from 'bn.js';
import * as seqnum from '../src/seqnum.js';

const TWO_32 = new BN(1).shln(32);
const TWO_31 = new BN(1).shln(31);
const edges = [0, 1, 2 ** 31 - 2, 2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1, 2 ** 32 - 2, 2 ** 32 - 1];

/** A serial number as its unsigned value 0 .. 2^32-1. */
const serial = fc.oneof(fc.constantFrom(...edges), fc.nat(0xffffffff));
/** Two serial numbers, often near each other or near half the circle apart. */
const pair = fc.oneof(
  fc.tuple(serial, serial),
  fc
    .tuple(serial, fc.constantFrom(...edges), fc.integer({ min: -2, max: 2 }))
    .map(([a, distance, off]): [number, number] => [
      a,
      mod(new BN(a).add(new BN(distance)).add(new BN(off))).toNumber(),
    ]),
);

/** x modulo 2^32, 0 .. 2^32-1. */
function mod(x: BN): BN {
  return x.umod(TWO_32);
}
/** The int32 with the same residue. */
function signed(x: BN): number {
  const residue = mod(x);
  return (residue.gte(TWO_31) ? residue.sub(TWO_32) : residue).toNumber();
}
/** How far one must go forward from b to reach a: 0 .. 2^32-1. */
function forward(a: number, b: number): BN {
  return mod(new BN(a).sub(new BN(b)));
}

/** Each function with its oracle; operands reach the function both as int32 and as unsigned numbers. */
function agrees(
  name: string,
  actual: (a: number, b: number) => unknown,
  oracle: (a: number, b: number) => unknown,
) {
  t.test(name, async (t) => {
    fc.assert(
      fc.property(pair, ([a, b]) => {
        const want = oracle(a, b);
        for (const [x, y] of [
          [a | 0, b | 0],
          [a, b],
        ] as const) {
          const got = actual(x, y);
          if (!Object.is(got, want))
            throw new Error(`${name}(${x}, ${y}): ${String(got)}, want ${String(want)}`);
        }
      }),
      { numRuns: 2000 },
    );
    for (const a of edges)
      for (const b of edges) t.equal(actual(a | 0, b | 0), oracle(a, b), `${name}(${a}, ${b})`);
  });
}

const isHalf = (a: number, b: number) => forward(a, b).eq(TWO_31);
/** a lies less than half the circle ahead of b, and is not b. */
const ahead = (a: number, b: number) => forward(a, b).gtn(0) && forward(a, b).lt(TWO_31);

agrees('add', seqnum.add, (a, b) => signed(new BN(a).add(new BN(b))));
agrees('diff', seqnum.diff, (a, b) => signed(new BN(a).sub(new BN(b))));
agrees('before', seqnum.before, (a, b) => ahead(b, a) || isHalf(a, b));
agrees('after', seqnum.after, (a, b) => ahead(a, b) || isHalf(a, b));
agrees('beforeEq', seqnum.beforeEq, (a, b) => a === b || ahead(b, a) || isHalf(a, b));
agrees('afterEq', seqnum.afterEq, (a, b) => a === b || ahead(a, b));
agrees('greater', seqnum.greater, (a, b) => ahead(a, b));
agrees(
  'unsigned',
  (a) => seqnum.unsigned(a),
  (a) => mod(new BN(a)).toNumber(),
);

// Which of two numbers half the circle apart comes out is left open; otherwise the one the other leads to.
for (const [name, choose, leads] of [
  ['max', seqnum.max, (result: number, other: number) => ahead(result, other)],
  ['min', seqnum.min, (result: number, other: number) => ahead(other, result)],
] as const) {
  t.test(name, async () => {
    fc.assert(
      fc.property(pair, ([a, b]) => {
        const got = choose(a | 0, b | 0);
        if (got !== (a | 0) && got !== (b | 0)) throw new Error(`${name}: ${got} is neither ${a} nor ${b}`);
        if (a === b || isHalf(a, b)) return;
        const other = got === (a | 0) ? b : a;
        if (!leads(got >>> 0, other)) throw new Error(`${name}(${a}, ${b}) = ${got}`);
      }),
      { numRuns: 2000 },
    );
  });
}

t.test('inWindow: start <= x < start + size on the circle', async (t) => {
  const oracle = (x: number, start: number, size: number) => forward(x, start).lt(new BN(size));
  fc.assert(
    fc.property(
      pair,
      serial,
      fc.integer({ min: -2, max: 2 }),
      fc.boolean(),
      ([x, start], size, off, edge) => {
        // Half of the time the window ends within two of x.
        const span = edge ? mod(forward(x, start).add(new BN(off))).toNumber() : size;
        const got = seqnum.inWindow(x | 0, start | 0, span);
        if (got !== oracle(x, start, span)) throw new Error(`inWindow(${x}, ${start}, ${span}): ${got}`);
      },
    ),
    { numRuns: 5000 },
  );
  for (const x of edges) {
    for (const start of edges) {
      for (const size of edges) {
        t.equal(
          seqnum.inWindow(x | 0, start | 0, size),
          oracle(x, start, size),
          `inWindow(${x}, ${start}, ${size})`,
        );
      }
    }
  }
});
