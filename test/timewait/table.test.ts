import t from 'tap';
import { Calendar } from '../../src/timewait/calendar.js';
import { endpoints, save } from '../../src/timewait/copies.js';
import { OFFSET_HOSTS, OFFSET_NONE, OFFSET_OTHER, OFFSET_TUPLE } from '../../src/timewait/layout.js';
import { RowPool } from '../../src/timewait/rows.js';
import {
  TimeWaitTable,
  type RecordCursor,
  type RecordEntry,
  type TupleKeys,
} from '../../src/timewait/table.js';
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
  const made = {
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
    hash: 0,
    sndNxt: (words + 1) | 0,
    rcvNxt: (words - 1) | 0,
    rcvWnd: (n * 1000) % (1 << 30),
    rcvWscale: n % 15,
    hasTimestamp: (n & 2) !== 0,
    tsRecent: (words + 2) | 0,
    tsRecentAt: (words + 3) | 0,
    tsOffset: (words + 4) | 0,
    offsetKind: OFFSET_OTHER,
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
  return { ...made, hash: keys.flowHash(...tuple(made)) };
}

/** Any functions of the tuple will do. */
const keys: TupleKeys = {
  flowHash: (...words) => words.reduce((hash, word) => Math.imul(hash ^ word, 0x9e3779b1) | 0, 1),
  stampOffset: (ofHosts, ...words) =>
    words.slice(0, ofHosts ? 8 : 10).reduce((hash, word) => Math.imul(hash ^ word, 0x85ebca6b) | 0, 2),
};

/** A record with two rows keeps the offset itself, and not what gives it again. */
const lasting = (e: RecordEntry): string => JSON.stringify({ ...e, offsetKind: OFFSET_OTHER });

/** Times and an offset as a stack's record has them: it takes one row, unless it is IPv6 or has a word. */
function lately(n: number, now: number): Partial<RecordEntry> {
  const made = entry(n);
  const stamped = (n & 2) !== 0;
  const offsetKind = n % 5 === 0 ? OFFSET_NONE : n % 1000 < 500 ? OFFSET_HOSTS : OFFSET_TUPLE;
  return {
    enteredAt: now,
    tsRecentAt: stamped ? (now - (n % 3000)) | 0 : 0,
    tsOffset: offsetKind === OFFSET_NONE ? 0 : keys.stampOffset(offsetKind === OFFSET_HOSTS, ...tuple(made)),
    offsetKind,
    word: n % 11 === 0 ? 5 : 0,
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

const all = (table: TimeWaitTable): number[] => walk(table.first(), (i) => table.next(i));
const onPort = (table: TimeWaitTable, port: number): number[] =>
  walk(table.firstOnPort(port), (i) => table.nextOnPort(i));

void t.test('a record gives back every fact it was given', (t) => {
  const table = new TimeWaitTable(0, keys);
  const record = table.cursor();
  const indexes = Array.from({ length: 300 }, (_, n) => table.add(entry(n)));
  t.equal(new Set(indexes).size, 300);
  indexes.forEach((index, n) => {
    const wanted = entry(n);
    t.match(wanted, shown(record.at(index)), `record ${n}`);
    t.same(save(table, index), wanted, 'save() is the entry again');
    t.ok(table.sameTuple(index, ...tuple(wanted)));
    t.equal(table.hashOf(index), wanted.hash);
    t.equal(record.ackedAtAll, false);
    const ends = endpoints(table, index);
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
  const table = new TimeWaitTable(0, keys);
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
  const table = new TimeWaitTable(1000, keys);
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
    const table = new TimeWaitTable(start, keys);
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
  const table = new TimeWaitTable(0, keys);
  const record = table.cursor();
  const [a, b, c, d] = [0, 1, 2, 3].map((n) => table.add(entry(n))) as [number, number, number, number];
  for (const index of [a, b, c, d]) table.arm(index, 60_000);
  t.equal(table.oldest(), a);
  record.at(a).restart(61_000);
  t.equal(table.oldest(), b);
  table.remove(c);
  record.at(d).restart(62_000);
  for (const next of [b, a, d]) {
    t.equal(table.oldest(), next);
    table.remove(next);
  }
  t.equal(table.oldest(), -1);
  t.end();
});

void t.test('the limit refuses, freed places are taken again', (t) => {
  const table = new TimeWaitTable(0, keys, 100);
  const indexes = Array.from({ length: 100 }, (_, n) => table.add(entry(n)));
  t.ok(indexes.every((index) => index >= 0 && index < 100));
  t.equal(table.add(entry(100)), -1);
  t.equal(table.count, 100);
  table.remove(indexes[50]!);
  t.equal(table.add(entry(100)), indexes[50]);
  t.equal(new TimeWaitTable(0, keys, 0).add(entry(0)), -1);
  t.end();
});

void t.test('RTO is rounded up to 4 ms and bounded, never shortened below that', (t) => {
  const table = new TimeWaitTable(0, keys);
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
  const table = new TimeWaitTable(start, keys);
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
    const numbers = list.map((line) => line.index).sort((a, b) => a - b);
    check(String(all(table)) === String(numbers));
    for (let port = 80; port < 85; port++) {
      const wanted = list.filter((line) => line.entry.localPort === port).map((line) => line.index);
      check(String(onPort(table, port)) === String(wanted.sort((a, b) => a - b)));
      check(table.onPort(port) === wanted.length);
    }
    for (const line of list) {
      check(table.sameTuple(line.index, ...tuple(line.entry)));
      check(record.at(line.index).expiresAt === (line.expiresAt | 0));
      check(lasting(save(table, line.index)) === lasting(line.entry));
    }
  };
  for (let step = 0; step < 20_000; step++) {
    // Tides of 2000 steps: the table fills up and empties again.
    const filling = Math.floor(step / 2000) % 2 === 0;
    const what = below(10);
    const any = list[below(Math.max(1, list.length))];
    if (what < (filling ? 6 : 2)) {
      const added = entry(n, n % 3 === 0 ? {} : lately(n, now | 0));
      n++;
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
      const first = list.find((line) => line.index === table.oldest());
      check((first === undefined) === (list.length === 0));
      check(list.every((line) => line.expiresAt >= first!.expiresAt));
      if (first !== undefined) forget(first);
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

void t.test('memory: 40 bytes a record and 32 more where it does not fit, given back chunk by chunk', (t) => {
  const table = new TimeWaitTable(0, keys);
  const empty = table.memoryBytes;
  const many = 65_536;
  for (let n = 0; n < many; n++) {
    const index = table.add(entry(2 * n, { ...lately(2 * n, 0), tsRecentAt: 0, word: 0 }));
    table.arm(index, 1000 + (n >> 3));
  }
  t.ok(table.memoryBytes / many < 42, `${table.memoryBytes / many} bytes an IPv4 record`);
  const full = table.memoryBytes;
  for (let n = 0; n < many; n++) table.arm(table.add(entry(2 * n + 1)), 100_000);
  const v6 = (table.memoryBytes - full) / many;
  t.ok(v6 < 74, `${v6} bytes an IPv6 record`);
  const most = table.memoryBytes;
  let gone = 0;
  for (let index = table.expireNext(60_000); index >= 0; index = table.expireNext(60_000)) {
    table.remove(index);
    gone++;
    if (gone === many / 2) t.ok(table.memoryBytes < most - 38 * gone, 'half the records, half the memory');
  }
  t.equal(gone, many);
  t.equal(table.count, many);
  for (const index of all(table)) table.remove(index);
  t.equal(table.memoryBytes, empty);
  const again = table.add(entry(7));
  table.arm(again, 161_000);
  t.equal(table.expireNext(160_999), -1);
  t.equal(table.expireNext(161_000), again, 'and it works on');
  t.end();
});

void t.test('a record that goes early leaves no room unused', (t) => {
  const table = new TimeWaitTable(0, keys);
  // The same few tuples close and are reopened for a minute
  let most = 0;
  for (let now = 0; now < 60_000; now++) {
    const index = table.add(entry(now, lately(now, now)));
    table.arm(index, now + 60_000);
    if (now >= 100) {
      const gone = table.first();
      table.remove(gone);
    }
    most = Math.max(most, table.memoryBytes);
  }
  t.equal(table.count, 100);
  t.ok(most < 400_000, `${most} bytes`);
  t.end();
});

void t.test('an earlier expiry than before, of a record or of one before it in the row', (t) => {
  const table = new TimeWaitTable(0, keys);
  const record = table.cursor();
  const a = table.add(entry(0, lately(0, 0)));
  table.arm(a, 60_000);
  const b = table.add(entry(2, lately(2, 0)));
  table.arm(b, 60_000);
  record.at(a).restart(5000);
  t.equal(table.oldest(), a);
  table.remove(b);
  const c = table.add(entry(4, lately(4, 0)));
  t.equal(c, b, 'it takes the row that waits');
  table.arm(c, 2000);
  t.equal(table.oldest(), c);
  t.equal(table.expireNext(1999), -1);
  t.equal(table.expireNext(2000), c);
  table.remove(c);
  record.at(a).restart(7000);
  t.equal(table.expireNext(6999), -1, 'longer again');
  t.equal(table.expireNext(7000), a);
  table.remove(a);
  t.equal(table.expireNext(100_000), -1);
  t.equal(table.nextDeadline(100_000), -1);
  t.end();
});

void t.test('a record restarted without end, earlier and later, waits in few rows', (t) => {
  const table = new TimeWaitTable(0, keys);
  const record = table.cursor();
  const i = table.add(entry(0, lately(0, 0)));
  const j = table.add(entry(2, lately(2, 0)));
  table.arm(i, 60_000);
  table.arm(j, 1_000_000);
  const before = table.memoryBytes;
  let expires = 0;
  let early = 0;
  let now = 0;
  for (let x = 1; now < 300_000; now++) {
    if (table.expireNext(now) !== -1) early++;
    for (let n = 0; n < 3; n++) {
      x = (Math.imul(x, 0x9e3779b1) + 1) | 0;
      expires = now + 60_000 + ((x >>> 8) % 5000);
      record.at(i).restart(expires);
    }
  }
  t.equal(early, 0);
  t.ok(table.memoryBytes < before + 16_384, `${table.memoryBytes - before} bytes more`);
  t.equal(table.oldest(), i);
  t.equal(table.expireNext(expires - 1), -1);
  t.equal(table.expireNext(expires), i);
  table.remove(i);
  t.equal(table.expireNext(999_999), -1);
  t.equal(table.expireNext(1_000_000), j, 'the other was not touched');
  t.end();
});

void t.test('expiry in 20 days, beyond the range of the calendar', (t) => {
  const table = new TimeWaitTable(0x7fff0000, keys);
  const day = 86_400_000;
  const at = (ms: number): number => (0x7fff0000 + ms) | 0;
  const i = table.add(entry(0, lately(0, at(0))));
  table.arm(i, at(20 * day));
  t.equal(table.oldest(), i);
  let turns = 0;
  for (let now = 0; now < 20 * day - 1; turns++) {
    t.equal(table.expireNext(at(now)), -1);
    now = Math.min(20 * day - 1, now + table.nextDeadline(at(now)));
  }
  t.equal(table.expireNext(at(20 * day - 1)), -1);
  t.equal(table.expireNext(at(20 * day)), i);
  t.ok(turns < 10_000, `${turns} turns`);
  t.end();
});

void t.test('rows: the same numbers never twice, chunks come and go, the limit of 2^24', (t) => {
  const pool = new RowPool(1, 4);
  const below = random(77);
  const held: number[] = [];
  const taken = new Set<number>();
  let wrong = 0;
  for (let step = 0; step < 200_000; step++) {
    const filling = Math.floor(step / 25_000) % 2 === 0;
    if (below(8) < (filling ? 7 : 1)) {
      const row = pool.take();
      if (taken.has(row) || !pool.isTouched(row) || row >= pool.end) wrong++;
      taken.add(row);
      held.push(row);
      pool.chunk(row)[pool.offset(row)] = row;
    } else if (held.length > 0) {
      const at = below(held.length);
      const row = held[at]!;
      if (pool.chunk(row)[pool.offset(row)] !== row) wrong++;
      held[at] = held[held.length - 1]!;
      held.pop();
      taken.delete(row);
      pool.give(row);
    }
  }
  t.equal(wrong, 0);
  const full = new RowPool(1, 4);
  for (let n = 0; n < 1 << 24; n++) if (full.take() !== n) wrong++;
  t.equal(wrong, 0, '16,777,216 rows');
  t.equal(full.take(), -1);
  full.give(4711);
  t.equal(full.take(), 4711);
  t.equal(full.take(), -1);
  t.end();
});

void t.test('calendar: agrees with a sorted list, within a millisecond in the order of putting', (t) => {
  const below = random(4242);
  for (const start of [0, 0x7fffff00, -1]) {
    const pool = new RowPool(1, 4);
    const calendar = new Calendar(pool, 0, start);
    let list: { row: number; time: number }[] = [];
    let now = 0;
    let wrong = 0;
    for (let step = 0; step < 20_000; step++) {
      if (below(3) > 0) {
        const row = pool.take();
        const time = now + below(step % 2 === 0 ? 50 : 262_144);
        if (calendar.put(row, (start + time) | 0) !== ((start + time) | 0)) wrong++;
        list.push({ row, time });
      } else {
        const first = list.reduce<{ row: number; time: number } | null>(
          (best, one) => (best === null || one.time < best.time ? one : best),
          null,
        );
        const ahead = calendar.ahead();
        if (first === null) {
          if (ahead !== -1) wrong++;
          continue;
        }
        if (calendar.timeAt(ahead) !== ((start + first.time) | 0) || calendar.peek(ahead) !== first.row)
          wrong++;
        now = first.time;
        calendar.moveTo((start + now) | 0);
        if (calendar.take(0) !== first.row) wrong++;
        pool.give(first.row);
        list = list.filter((one) => one !== first);
      }
    }
    t.equal(wrong, 0, `from ${start}`);
  }
  t.end();
});
