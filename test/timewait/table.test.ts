import t from 'tap';
import { TimeWaitTable, type RecordCursor, type RecordEntry } from '../../src/timewait/table.js';
import { formatWords } from '../../src/wire/address.js';

/** xorshift32: the same in every run. */
function random(seed: number): (below: number) => number {
  let x = seed;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

/** Record n: IPv4 and IPv6 in turn, three local addresses of each, every field of its own. */
function entry(n: number, over: Partial<RecordEntry> = {}): RecordEntry {
  const v6 = (n & 1) === 1;
  const words = Math.imul(n, 0x9e3779b1);
  return {
    local0: v6 ? 0xfd770000 | 0 : 0,
    local1: 0,
    local2: v6 ? n % 3 : 0xffff,
    local3: v6 ? 2 : 0x0a4d0002 + (n % 3),
    remote0: v6 ? words : 0,
    remote1: v6 ? n : 0,
    remote2: v6 ? ~n : 0xffff,
    remote3: words ^ 0x55555555,
    localPort: 80 + (n % 5),
    remotePort: (n * 7919) & 0xffff,
    hash: words | 0,
    sndNxt: (words + 1) | 0,
    rcvNxt: (words - 1) | 0,
    rcvWnd: (n * 1000) % (1 << 30),
    rcvWscale: n % 15,
    hasTimestamp: (n & 2) !== 0,
    tsRecent: (words + 2) | 0,
    tsRecentAt: (words + 3) | 0,
    tsOffset: (words + 4) | 0,
    enteredAt: (words + 5) | 0,
    rto: 4 * ((n % 30_000) + 1),
    finWait2: (n & 4) !== 0,
    userClosed: (n & 8) !== 0,
    reuseAddress: (n & 16) !== 0,
    reusePort: (n & 32) !== 0,
    boundPort: (n & 64) !== 0,
    localPeer: (n & 128) !== 0,
    nearPeer: (n & 256) !== 0,
    active: (n & 512) !== 0,
    holder: n % 3,
    word: n % 7 === 0 ? words : 0,
    ...over,
  };
}

type Ten = [number, number, number, number, number, number, number, number, number, number];
function tuple(e: RecordEntry): Ten {
  const local = [e.local0, e.local1, e.local2, e.local3] as const;
  return [...local, e.remote0, e.remote1, e.remote2, e.remote3, e.localPort, e.remotePort];
}

/** What the cursor shows, in the words of an entry. */
function shown(record: RecordCursor): Partial<RecordEntry> {
  const { sndNxt, rcvNxt, rcvWnd, rcvWscale, hasTimestamp, tsRecent, tsRecentAt, tsOffset } = record;
  const { enteredAt, rto, finWait2, userClosed, reuseAddress, reusePort, boundPort, localPeer } = record;
  return {
    ...{ sndNxt, rcvNxt, rcvWnd, rcvWscale, hasTimestamp, tsRecent, tsRecentAt, tsOffset },
    ...{ enteredAt, rto, finWait2, userClosed, reuseAddress, reusePort, boundPort, localPeer },
  };
}

function walk(first: number, next: (i: number) => number): number[] {
  const seen: number[] = [];
  for (let i = first; i >= 0 && seen.length < 1e6; i = next(i)) seen.push(i);
  return seen;
}

const inOrder = (table: TimeWaitTable): number[] => walk(table.first(), (i) => table.next(i));
const onPort = (table: TimeWaitTable, port: number): number[] =>
  walk(table.firstOnPort(port), (i) => table.nextOnPort(i));

void t.test('a record gives back every fact it was given', (t) => {
  const table = new TimeWaitTable(0);
  const record = table.cursor();
  const indexes = Array.from({ length: 300 }, (_, n) => table.add(entry(n)));
  t.equal(new Set(indexes).size, 300);
  indexes.forEach((index, n) => {
    const wanted = entry(n);
    t.match(wanted, shown(record.at(index)), `record ${n}`);
    t.same(table.save(index), wanted, 'save() is the entry again');
    t.ok(table.sameTuple(index, ...tuple(wanted)));
    t.equal(table.hashOf(index), wanted.hash);
    t.equal(record.ackedAtAll, false);
    const ends = table.endpoints(index);
    const [l0, l1, l2, l3, r0, r1, r2, r3] = tuple(wanted);
    const family = (n & 1) === 1 ? 6 : 4;
    t.same(ends, {
      local: { address: formatWords(l0, l1, l2, l3), port: wanted.localPort, family },
      remote: { address: formatWords(r0, r1, r2, r3), port: wanted.remotePort, family },
    });
  });
  t.end();
});

void t.test('each field of the tuple tells two records apart', (t) => {
  const table = new TimeWaitTable(0);
  for (const n of [0, 1]) {
    const own = entry(n);
    const index = table.add(own);
    for (let field = 0; field < 10; field++) {
      const other = tuple(own);
      other[field]! ^= 1;
      t.notOk(table.sameTuple(index, ...other), `field ${field} of record ${n}`);
    }
  }
  t.end();
});

void t.test('the cursor writes: restart, refresh, becomeTimeWait, acked', (t) => {
  const table = new TimeWaitTable(1000);
  const record = table.cursor();
  const a = table.add(entry(4));
  const b = table.add(entry(2));
  t.equal(table.finWait2Count, 1);
  table.arm(a, 5000);
  table.arm(b, 6000);
  t.equal(record.at(a).expiresAt, 5000);
  record.refresh(77, 1234);
  t.match(record, { tsRecent: 77, tsRecentAt: 1234 });
  record.becomeTimeWait(-5, 1300);
  t.match(record, { rcvNxt: -5, enteredAt: 1300, finWait2: false });
  t.equal(table.finWait2Count, 0);
  record.acked(1400);
  t.match(record, { ackedAtAll: true, lastAckAt: 1400 });
  record.restart(9000);
  t.equal(record.expiresAt, 9000);
  t.match(shown(record.at(b)), shown(record.at(b)));
  t.equal(record.at(b).expiresAt, 6000, 'the other one is untouched');
  t.equal(table.expireNext(8999), b);
  table.remove(b);
  t.equal(table.expireNext(8999), -1);
  t.equal(table.expireNext(9000), a);
  table.remove(a);
  t.equal(table.add(entry(0)), 0, 'an index is used again');
  t.equal(record.at(0).ackedAtAll, false, 'with nothing of its past');
  t.end();
});

void t.test('expiry at the exact moment, across the wrap of the clock', (t) => {
  for (const start of [0, 0x7fffff00, -100]) {
    const table = new TimeWaitTable(start);
    const at = (ms: number): number => (start + ms) | 0;
    const [long, short] = [table.add(entry(0)), table.add(entry(1))];
    t.equal(table.nextDeadline(at(0)), -1, 'nothing is armed yet');
    table.arm(long, at(240_000));
    table.arm(short, at(700));
    let left = table.nextDeadline(at(0));
    t.ok(left > 0 && left <= 700);
    t.equal(table.expireNext(at(699)), -1);
    t.equal(table.nextDeadline(at(699)), 1);
    t.equal(table.expireNext(at(700)), short);
    table.remove(short);
    t.equal(table.expireNext(at(239_999)), -1);
    left = table.nextDeadline(at(239_999));
    t.equal(left, 1);
    t.equal(table.expireNext(at(240_000)), long);
    table.remove(long);
    t.equal(table.nextDeadline(at(240_000)), -1);
    t.equal(table.count, 0);
  }
  t.end();
});

void t.test('eviction takes the record that was entered or restarted first', (t) => {
  const table = new TimeWaitTable(0);
  const record = table.cursor();
  const [a, b, c, d] = [0, 1, 2, 3].map((n) => table.add(entry(n))) as [number, number, number, number];
  for (const index of [a, b, c, d]) table.arm(index, 60_000);
  t.equal(table.oldest(), a);
  record.at(a).restart(61_000);
  t.same(inOrder(table), [b, c, d, a]);
  table.remove(c);
  t.same(inOrder(table), [b, d, a]);
  record.at(d).restart(62_000);
  t.same(inOrder(table), [b, a, d]);
  for (const next of [b, a, d]) {
    t.equal(table.oldest(), next);
    table.remove(next);
  }
  t.equal(table.oldest(), -1);
  t.end();
});

void t.test('the limit refuses, freed places are taken again', (t) => {
  const table = new TimeWaitTable(0, 100);
  const indexes = Array.from({ length: 100 }, (_, n) => table.add(entry(n)));
  t.ok(indexes.every((index) => index >= 0 && index < 100));
  t.equal(table.add(entry(100)), -1);
  t.equal(table.count, 100);
  table.remove(indexes[50]!);
  t.equal(table.add(entry(100)), indexes[50]);
  t.equal(new TimeWaitTable(0, 0).add(entry(0)), -1);
  t.end();
});

void t.test('RTO is rounded up to 4 ms and bounded, never shortened below that', (t) => {
  const table = new TimeWaitTable(0);
  const record = table.cursor();
  const kept = (rto: number): number => record.at(table.add(entry(0, { rto }))).rto;
  t.equal(kept(200), 200);
  t.equal(kept(201), 204);
  t.equal(kept(1), 4);
  t.equal(kept(120_000), 120_000);
  t.equal(kept(500_000), 262_140);
  t.end();
});

void t.test('agrees with a plain list through adds, removals, restarts, evictions and expiry', (t) => {
  interface Line {
    readonly entry: RecordEntry;
    readonly index: number;
    expiresAt: number;
  }
  const below = random(0xc0ffee);
  const start = 0x7fff_8000;
  const table = new TimeWaitTable(start);
  const record = table.cursor();
  let list: Line[] = [];
  let now = start;
  let n = 0;
  let wrong = 0;
  const check = (good: boolean): void => {
    if (!good) wrong++;
  };
  const forget = (line: Line): void => {
    list = list.filter((other) => other !== line);
    table.remove(line.index);
  };
  const compare = (): void => {
    check(table.count === list.length);
    check(table.finWait2Count === list.filter((line) => line.entry.finWait2).length);
    check(String(inOrder(table)) === String(list.map((line) => line.index)));
    for (let port = 80; port < 85; port++) {
      const wanted = list.filter((line) => line.entry.localPort === port).map((line) => line.index);
      check(String(onPort(table, port).sort()) === String(wanted.sort()));
    }
    for (const line of list) {
      check(table.sameTuple(line.index, ...tuple(line.entry)));
      check(record.at(line.index).expiresAt === (line.expiresAt | 0));
      check(JSON.stringify(table.save(line.index)) === JSON.stringify(line.entry));
    }
  };
  for (let step = 0; step < 20_000; step++) {
    // Tides of 2000 steps: the table fills up and empties again.
    const filling = Math.floor(step / 2000) % 2 === 0;
    const what = below(10);
    const any = list[below(Math.max(1, list.length))];
    if (what < (filling ? 6 : 2)) {
      const added = entry(n++);
      const index = table.add(added);
      const expiresAt = now + 1 + below(filling ? 1_000_000 : 5000);
      table.arm(index, expiresAt | 0);
      check(!list.some((line) => line.index === index));
      list.push({ entry: added, index, expiresAt });
    } else if (what === 6 && any !== undefined) {
      forget(any);
    } else if (what === 7 && any !== undefined) {
      any.expiresAt = now + 1 + below(60_000);
      record.at(any.index).restart(any.expiresAt | 0);
      list = [...list.filter((line) => line !== any), any];
    } else if (what === 8 && !filling) {
      check(table.oldest() === (list[0]?.index ?? -1));
      if (list[0] !== undefined) forget(list[0]);
    } else {
      now += below(filling ? 100 : 30_000);
      for (let index = table.expireNext(now | 0); index >= 0; index = table.expireNext(now | 0)) {
        const due = list.find((line) => line.index === index)!;
        check(due.expiresAt <= now);
        forget(due);
      }
      check(list.every((line) => line.expiresAt > now));
    }
    if (step % 97 === 0) compare();
  }
  compare();
  t.equal(wrong, 0);
  t.ok(n > 5000, `${n} records came and went`);
  t.end();
});

void t.test('memory: below a kernel entry of 256 bytes, and given back', (t) => {
  const table = new TimeWaitTable(0);
  const empty = table.memoryBytes;
  const many = 65_536;
  for (let n = 0; n < many; n++) table.arm(table.add(entry(2 * n)), 60_000);
  t.ok(table.memoryBytes / many < 100, `${table.memoryBytes / many} bytes an IPv4 record`);
  table.add(entry(1));
  table.add(entry(3));
  const v6 = table.memoryBytes / (2 * many);
  t.ok(v6 < 100, `${v6} bytes a record of capacity with IPv6 among them`);
  let gone = 0;
  for (let index = table.expireNext(60_000); index >= 0; index = table.expireNext(60_000)) {
    table.remove(index);
    gone++;
  }
  t.equal(gone, many);
  t.equal(table.count, 2);
  for (const index of inOrder(table)) table.remove(index);
  t.equal(table.memoryBytes, empty);
  const again = table.add(entry(7));
  table.arm(again, 61_000);
  t.equal(table.expireNext(60_999), -1);
  t.equal(table.expireNext(61_000), again, 'and it works on');
  t.end();
});
