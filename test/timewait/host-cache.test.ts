import t from 'tap';
import fc from 'fast-check';
import { HostCache } from '../../src/timewait/host-cache.js';

const MOST = 4096;
const host = (n: number): [number, number, number, number] => [0, 0, 0xffff, 0x0a000000 + n];

void t.test('nothing is known of a host before it was remembered', (t) => {
  const cache = new HostCache();
  t.match(cache.lookup(...host(1)), { known: false });
  cache.remember(...host(1), 500, 10_000, 10_000);
  t.match(cache.lookup(...host(1)), { known: true, tsRecent: 500, tsRecentAt: 10_000 });
  t.match(cache.lookup(...host(2)), { known: false });
  t.equal(cache.size, 1);
  t.end();
});

void t.test('hosts differ by any word of their address', (t) => {
  const cache = new HostCache();
  const addresses: readonly (readonly [number, number, number, number])[] = [
    [0, 0, 0xffff, 0x0a000001],
    [0, 0, 0xffff, -0x0a000001],
    [0, 0, 0, 0x0a000001],
    [0, 1, 0xffff, 0x0a000001],
    [1, 0, 0xffff, 0x0a000001],
  ];
  addresses.forEach((words, i) => cache.remember(...words, i, 0, 0));
  t.same(
    addresses.map((words) => cache.lookup(...words).tsRecent),
    [0, 1, 2, 3, 4],
  );
  t.end();
});

void t.test('a newer or equal stamp is taken, an older one only after 60 s', (t) => {
  const rows: readonly (readonly [title: string, stamp: number, at: number, now: number, taken: boolean])[] =
    [
      ['newer', 501, 20_000, 20_000, true],
      ['equal', 500, 20_000, 20_000, true],
      ['newer, though its moment is earlier', 501, 9000, 20_000, true],
      ['older by 1', 499, 20_000, 20_000, false],
      ['older by 2^31 - 1', 501 - 2 ** 31, 20_000, 20_000, false],
      ['2^31 apart counts as newer', 500 - 2 ** 31, 20_000, 20_000, true],
      ['older, 60 s later', 499, 70_000, 70_000, false],
      ['older, more than 60 s later', 499, 70_001, 70_001, true],
      ['older, but from before what is cached', 499, 9999, 70_001, false],
      ['older, from the same moment', 499, 10_000, 70_001, true],
    ];
  for (const base of [0, 0x7ffffff0, -20_000]) {
    for (const [title, stamp, at, now, taken] of rows) {
      const cache = new HostCache();
      const moment = (ms: number): number => (base + ms) | 0;
      cache.remember(...host(1), (500 + base) | 0, moment(10_000), moment(10_000));
      cache.remember(...host(1), (stamp + base) | 0, moment(at), moment(now));
      const expected = taken
        ? { tsRecent: (stamp + base) | 0, tsRecentAt: moment(at) }
        : { tsRecent: (500 + base) | 0, tsRecentAt: moment(10_000) };
      t.match(cache.lookup(...host(1)), expected, `${title} (clock from ${base})`);
    }
  }
  t.end();
});

void t.test('4096 hosts; the one stored longest ago gives way', (t) => {
  const cache = new HostCache();
  for (let n = 0; n < MOST; n++) cache.remember(...host(n), n, n, n);
  t.equal(cache.size, MOST);
  cache.remember(...host(0), 9_000_000, 5000, 5000);
  cache.remember(...host(2), -1, 5000, 5000);
  cache.remember(...host(MOST), 1, 5000, 5000);
  t.equal(cache.size, MOST);
  t.ok(cache.lookup(...host(0)).known, 'stored anew a moment ago');
  t.notOk(cache.lookup(...host(1)).known);
  cache.remember(...host(MOST + 1), 1, 5000, 5000);
  t.notOk(cache.lookup(...host(2)).known, 'an older stamp that was not taken does not keep it');
  t.ok(cache.lookup(...host(3)).known);
  t.end();
});

void t.test('agrees with a plain list, oldest first', (t) => {
  const limit = 5;
  const hash = (_w0: number, _w1: number, _w2: number, w3: number): number => w3 & 1;
  interface Line {
    readonly n: number;
    readonly stamp: number;
    readonly at: number;
  }
  const step = fc.record({ n: fc.nat(6), stamp: fc.integer({ min: 0, max: 50 }), wait: fc.nat(40_000) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      // Two hashes for seven hosts: chains are found, left and walked, too.
      const cache = new HostCache(hash);
      let list: Line[] = [];
      let now = 0x7fff0000;
      for (const { n, stamp, wait } of steps) {
        now += wait;
        cache.remember(...host(n), stamp, now | 0, now | 0, limit);
        const old = list.find((line) => line.n === n);
        if (old === undefined || stamp >= old.stamp || now - old.at > 60_000) {
          list = [...list.filter((line) => line !== old), { n, stamp, at: now }].slice(-limit);
        }
        for (const line of list) {
          const got = cache.lookup(...host(line.n));
          if (!got.known || got.tsRecent !== line.stamp || got.tsRecentAt !== (line.at | 0)) return false;
        }
        for (let other = 0; other <= 6; other++) {
          const held = list.some((line) => line.n === other);
          if (cache.lookup(...host(other)).known !== held) return false;
        }
      }
      return cache.size === list.length;
    }),
  );
  t.end();
});
