/**
 * The matrix test: what every policy does with every kind of segment and user call
 * in TIME-WAIT, driven through the real stack in both address families.
 *
 * A column is data: one cell per row. A cell is a code:
 *
 *     NEW   the record gives way, SYN,ACK with the column's ISS rule
 *     A A+  ACK(SND.NXT, RCV.NXT); the timer untouched, restarted
 *     C     challenge ACK: A under a rate limit
 *     - -+  silence; the timer untouched, restarted
 *     X RX  the record is gone: silently, with RST
 *     R     RST, the record stays
 *     seq   as the row `syn` at this place
 *     ok, EADDRINUSE, ...   what a user call returns
 */
import type { Test } from 'tap';
import type { ListenerHandle } from '../../../src/stack/api.js';
import { Conversation } from '../../support/conversation.js';

export type Code = 'NEW' | 'A' | 'A+' | 'C' | '-' | '-+' | 'X' | 'RX' | 'R' | 'seq';
export type Call = 'ok' | 'EADDRINUSE' | 'EADDRNOTAVAIL';

/**
 * ISS of the new connection: RFC 6528's value of the moment; old SND.NXT + n; old
 * SND.NXT + something in [low, high].
 */
export type Iss = 'fresh' | number | readonly [low: number, high: number];

export interface Cell {
  readonly code: Code | Call;
  /** For NEW and ok; the column's when left out. */
  readonly iss?: Iss;
  /** For A: a second one within tcp_invalid_ratelimit is (not) held back; left out: not looked at. */
  readonly limited?: boolean;
  /** Why the project differs from what its sources say. */
  readonly deviation?: string;
  /** No source confirms this cell. */
  readonly unverified?: boolean;
}

export type Plain<T> = T | (Omit<Cell, 'code'> & { readonly code: T });
/** One cell for every place of the row, or one for each; `else` serves those not named. */
export type Entry<T extends string, P extends string> =
  Plain<T> | (Readonly<Partial<Record<P | 'else', Plain<T>>>> & { readonly code?: undefined });

/** SEG.SEQ: below RCV.NXT, at it, in the window, beyond the window. */
export type Place = 'below' | 'at' | 'window' | 'beyond';
type Syn = Entry<Code, Place>;

export interface Rows {
  /** Pure SYN without timestamp, none used before (rows 1, 2, 6 of the usual tables). */
  readonly syn: Syn;
  /** SYN with a timestamp newer than, equal to, older than TS.Recent. */
  readonly 'syn newer': Syn;
  readonly 'syn equal': Syn;
  readonly 'syn older': Syn;
  /** SYN without timestamp although they were used. */
  readonly 'syn stampless': Syn;
  /** SYN,ACK, no timestamps. */
  readonly 'syn ack'?: Syn;
  /** Pure SYN, no timestamps, and nobody listens. */
  readonly 'syn unwanted'?: Syn;
  /** `next`: one above RCV.NXT, as `window` when left out; `outside`: one below RCV.NXT, one beyond the window. */
  readonly rst: Entry<Code, 'at' | 'next' | 'window' | 'outside'>;
  /** The peer's FIN again, without and with the data before it. */
  readonly fin: Entry<Code, 'alone' | 'data'>;
  /** Data below RCV.NXT, at it, ahead of it inside the window. */
  readonly data: Entry<Code, 'old' | 'at' | 'ahead'>;
  /** The same while the user has only shut down and could still read. */
  readonly 'data held'?: Entry<Code, 'old' | 'at' | 'ahead'>;
  /** Data at RCV.NXT without timestamp although they were used. */
  readonly 'data stampless'?: Entry<Code, 'old' | 'at'>;
  /** Bare ACK of SND.NXT: at RCV.NXT; one below it (a keep-alive probe); `old`: it acknowledges less, at RCV.NXT. */
  readonly ack: Entry<Code, 'at' | 'keepalive' | 'old'>;
  /**
   * connect() onto the tuple, with SO_REUSEADDR where a port is named: the port named or chosen by the
   * stack; without and with timestamps on the old connection; `early`: after 500 ms instead of the wait.
   */
  readonly connect: Entry<Call, 'bound' | 'bound ts' | 'chosen' | 'chosen ts' | 'chosen ts early'>;
  /** bind() to the port: no option; SO_REUSEADDR on the new socket, on both; SO_REUSEPORT on both; exclusive use. */
  readonly bind: Entry<Call, 'plain' | 'reuse' | 'both reuse' | 'both reuseport' | 'exclusive'>;
}

/** Milliseconds, or the two ends of a random span. */
export type Length = number | readonly [low: number, high: number];

export interface Column {
  readonly policy: string;
  /** Tells columns of one policy apart: 'tcp_rfc1337=1'. */
  readonly variant?: string;
  /** Besides the policy's own. */
  readonly knobs?: Readonly<Record<string, number>>;
  /** How long TIME-WAIT lasts; 0: there is none, and segments meet the listener. */
  readonly length: Length;
  /** The same for a peer in none of our subnets, when it differs. */
  readonly lengthFar?: Length;
  /** What a restart gives when it is not `length`. */
  readonly restart?: Length;
  /** Time between entering TIME-WAIT and the segment, ms; 4000 unless the record would not last. */
  readonly wait?: number;
  readonly iss: Iss;
  readonly rows: Rows;
}

const WAIT = 4000;
const EARLY = 500;
const U32 = 2 ** 32;
/** RCV.NXT and SND.NXT of the record, counted from the initial sequence numbers: SYN, ten octets, FIN; SYN, FIN. */
const RN = 12;
const SN = 2;

interface Setup {
  readonly v6: boolean;
  readonly stamped?: boolean;
  readonly knobs?: Readonly<Record<string, number>>;
  readonly reuseAddress?: boolean;
  readonly reusePort?: boolean;
  /** The user has shut down and not closed. */
  readonly held?: boolean;
  readonly far?: boolean;
  /** We are the client, from port 4000. */
  readonly active?: boolean;
}

/** A conversation whose our end has closed first and is in TIME-WAIT, and the window it kept. */
function inTimeWait(column: Column, setup: Setup): { c: Conversation; window: number } {
  const { v6, far } = setup;
  const c = new Conversation({
    policy: column.policy,
    knobs: { ...column.knobs, ...setup.knobs },
    v6,
    stamped: setup.stamped === true,
    ...(far === true ? { peer: v6 ? 'fd01::1' : '192.0.2.1' } : {}),
  });
  const options = setup.stamped === true ? '<mss 1460,TS val 100 ecr 0>' : '<mss 1460>';
  const { reuseAddress = false, reusePort = false } = setup;
  if (setup.active === true) {
    const opened = c.stack.connect({
      address: c.peer.toString(),
      port: c.peerPort,
      localPort: 4000,
      reuseAddress,
      timestamps: setup.stamped === true,
    });
    if (typeof opened === 'string') throw new Error(opened);
    c.user = opened;
    c.ourPort = 4000;
    c.collect();
    c.inject(`S. 0:0(0) ack 1 win 65535 ${options}`);
  } else {
    c.listener = c.stack.listen({ port: c.ourPort, reuseAddress, reusePort }) as ListenerHandle;
    c.inject(`S 0:0(0) win 65535 ${options}`);
    c.inject('. 1:1(0) ack 1 win 65535');
    c.accept();
  }
  c.inject('P. 1:11(10) ack 1 win 65535');
  c.read();
  if (setup.held === true) c.shutdown();
  else c.close();
  c.inject(`. 11:11(0) ack ${SN} win 65535`);
  c.inject(`F. 11:11(0) ack ${SN} win 65535`);
  const last = c.rest().at(-1) ?? '';
  if (!last.startsWith(`. ${SN}:${SN}(0) ack ${RN} `)) throw new Error(`no TIME-WAIT: ${last}`);
  return { c, window: Number(/ win (\d+)/.exec(last)![1]) };
}

/** ms left of the record's timer; -1 without a record. */
function timerLeft(c: Conversation): number {
  return c.stack.sockets().find((row) => row.timer === 'timewait')?.timerLeft ?? -1;
}

function isWithin(value: number, length: Length): boolean {
  return typeof length === 'number' ? value === length : value >= length[0] && value <= length[1];
}

function cellOf(entry: Entry<string, string>, place: string): Cell | null {
  if (typeof entry === 'string') return { code: entry as Code };
  if (entry.code !== undefined) return entry as Cell;
  const named = entry as Readonly<Record<string, string | Cell | undefined>>;
  const cell = named[place] ?? (place === 'next' ? named['window'] : undefined) ?? named['else'];
  return cell === undefined ? null : typeof cell === 'string' ? { code: cell as Code } : cell;
}

interface Probe {
  readonly row: keyof Rows;
  readonly place: string;
  readonly setup: Omit<Setup, 'v6'>;
  text(window: number): string;
}

const synPlaces: readonly (readonly [Place, (window: number) => number])[] = [
  ['below', () => RN - 1],
  ['below', () => RN - 5000],
  ['below', () => RN - 2 ** 31 + 1],
  ['at', () => RN],
  ['window', () => RN + 1],
  ['window', (window) => RN + window - 1],
  ['beyond', (window) => RN + window + 1],
  ['beyond', () => RN + 2 ** 31 - 2],
];

function synProbes(row: keyof Rows, head: string, stamp: number | null, setup: Probe['setup']): Probe[] {
  const options = stamp === null ? '<mss 1460>' : `<mss 1460,TS val ${stamp} ecr 0>`;
  return synPlaces.map(([place, at]) => ({
    row,
    place,
    setup,
    text: (window) => {
      const seq = (at(window) + U32) % U32;
      const ack = head.includes('.') ? ` ack ${SN}` : '';
      return `${head} ${seq}:${seq}(0)${ack} win 1000 ${options}`;
    },
  }));
}

/** `row place flags seq length ack`, on a connection without and with timestamps. */
function plainProbes(): Probe[] {
  type Shape = readonly [keyof Rows, string, string, (window: number) => number, number, number];
  const shapes: readonly Shape[] = [
    ['rst', 'at', 'R', () => RN, 0, 0],
    ['rst', 'at', 'R.', () => RN, 0, SN],
    ['rst', 'next', 'R', () => RN + 1, 0, 0],
    ['rst', 'window', 'R.', (window) => RN + window - 1, 0, SN],
    ['rst', 'outside', 'R', () => RN - 1, 0, 0],
    ['rst', 'outside', 'R', (window) => RN + window + 1, 0, 0],
    ['fin', 'alone', 'F.', () => RN - 1, 0, SN],
    ['fin', 'data', 'F.', () => 1, 10, SN],
    ['data', 'old', '.', () => 1, 10, SN],
    ['data', 'old', 'P.', () => RN - 5000, 10, SN],
    ['data', 'at', 'P.', () => RN, 10, SN],
    ['data', 'ahead', 'P.', () => RN + 10, 10, SN],
    ['ack', 'at', '.', () => RN, 0, SN],
    ['ack', 'keepalive', '.', () => RN - 1, 0, SN],
    ['ack', 'old', '.', () => RN, 0, SN - 1],
  ];
  const shaped = ([row, place, flags, at, length, ack]: Shape, setup: Probe['setup']): Probe => ({
    row,
    place,
    setup,
    text: (window) => {
      const seq = (at(window) + U32) % U32;
      const end = (seq + length) % U32;
      return `${flags} ${seq}:${end}(${length})${flags.includes('.') ? ` ack ${ack}` : ''} win ${flags.startsWith('R') ? 0 : 1000}`;
    },
  });
  const bare = (probe: Probe): Probe => ({ ...probe, text: (window) => `${probe.text(window)} <nop>` });
  const data = shapes.filter(([row]) => row === 'data');
  return [
    ...shapes.map((shape) => shaped(shape, {})),
    ...shapes.map((shape) => shaped(shape, { stamped: true })),
    ...data.map((shape) => ({ ...shaped(shape, { held: true }), row: 'data held' as const })),
    ...data
      .filter(([, place]) => place !== 'ahead')
      .map((shape) => bare({ ...shaped(shape, { stamped: true }), row: 'data stampless' })),
  ];
}

const probes: readonly Probe[] = [
  ...synProbes('syn', 'S', null, {}),
  ...synProbes('syn newer', 'S', 200, { stamped: true }),
  ...synProbes('syn equal', 'S', 100, { stamped: true }),
  ...synProbes('syn older', 'S', 50, { stamped: true }),
  ...synProbes('syn stampless', 'S', null, { stamped: true }),
  ...synProbes('syn ack', 'S.', null, {}),
  ...synProbes('syn unwanted', 'S', null, {}),
  ...plainProbes(),
];

/** '' when the ISS follows the rule. `iss` counts from the old connection's. */
function wrongIss(c: Conversation, iss: number, rule: Iss, column: Column, v6: boolean): string {
  if (rule === 'fresh') {
    const other = new Conversation({ policy: column.policy, knobs: column.knobs ?? {}, v6, start: c.now });
    other.listen();
    other.inject('S 0:0(0) win 1000 <mss 1460>');
    const fresh = other.ourIss!;
    const seen = (iss + c.ourIss!) % U32;
    return seen === fresh ? '' : `ISS ${seen}, fresh would be ${fresh}`;
  }
  const step = (iss - SN + U32) % U32;
  const [low, high] = typeof rule === 'number' ? [rule, rule] : rule;
  return step >= low && step <= high ? '' : `ISS SND.NXT + ${step}, expected ${low}..${high}`;
}

/** '' when the stack said what the code asks for. */
function wrongReply(c: Conversation, text: string, cell: Cell, column: Column, v6: boolean): string {
  const [, flags, seqText, lengthText] = /^(\S+) (\d+):\d+\((\d+)\)/.exec(text)!;
  const seq = Number(seqText);
  const end = seq + Number(lengthText) + (flags!.includes('S') ? 1 : 0) + (flags!.includes('F') ? 1 : 0);
  const said = c.rest();
  const reply = said[0] ?? '';
  if (said.length > 1) return `more than one answer: ${said.join(' | ')}`;
  switch (cell.code) {
    case 'A':
    case 'A+':
    case 'C':
      return reply.startsWith(`. ${SN}:${SN}(0) ack ${RN} `) ? '' : `${reply || 'silence'}, expected the ACK`;
    case 'R':
    case 'RX': {
      const ack = / ack (\d+)/.exec(text)?.[1];
      // A RST without ACK counts from 0 outright, not from our ISS
      const zero = (U32 - c.ourIss!) % U32;
      const expected =
        ack === undefined ? `R. ${zero}:${zero}(0) ack ${end % U32} win 0` : `R ${ack}:${ack}(0) win 0`;
      // With or without timestamps
      const seen = reply.replace(/ <TS val 0 ecr \d+>$/, '');
      return seen === expected ? '' : `${reply || 'silence'}, expected ${expected}`;
    }
    case 'NEW': {
      const accepted = /^S\. (\d+):\d+\(0\) ack (\d+) /.exec(reply);
      if (accepted === null) return `${reply || 'silence'}, expected SYN,ACK`;
      if (Number(accepted[2]) !== (seq + 1) % U32) return `${reply} acknowledges something else`;
      return wrongIss(c, Number(accepted[1]), cell.iss ?? column.iss, column, v6);
    }
    default:
      return reply === '' ? '' : `${reply}, expected silence`;
  }
}

/** '' when the record and its timer are what the code asks for. `left`: the timer before. */
function wrongFate(c: Conversation, cell: Cell, column: Column, left: number): string {
  const { code } = cell;
  const gone = column.length === 0 || code === 'X' || code === 'RX';
  const expected = code === 'NEW' ? 'SYN-RECEIVED' : gone ? 'CLOSED' : 'TIME-WAIT';
  if (c.state !== expected) return `${c.state}, expected ${expected}`;
  if (expected !== 'TIME-WAIT') return c.stack.timeWait.count === 0 ? '' : 'the record is still there';
  const now = timerLeft(c);
  if (code.endsWith('+')) {
    if (!isWithin(now, column.restart ?? column.length)) return `${now} ms left, expected a restart`;
    return '';
  }
  return now === left ? '' : `${now} ms left, expected ${left}`;
}

function runProbe(t: Test, column: Column, probe: Probe, cell: Cell, v6: boolean): void {
  const { c, window } = inTimeWait(column, { ...probe.setup, v6 });
  if (probe.row === 'syn unwanted') c.stack.closeListener(c.listener!);
  c.advance(column.wait ?? WAIT);
  const left = timerLeft(c);
  const text = probe.text(window);
  c.inject(text);
  const name = `${probe.row}, ${probe.place}${probe.setup.stamped === true ? ', timestamps' : ''}${v6 ? ', IPv6' : ''}: ${text} -> ${cell.code}`;
  const wrong = [wrongReply(c, text, cell, column, v6), wrongFate(c, cell, column, left)];
  t.equal(wrong.filter((what) => what !== '').join('; '), '', `${name} [${c.reason}]`);
  const limited = cell.code === 'C' ? true : cell.code === 'A' ? cell.limited : undefined;
  if (limited !== undefined) runLimit(t, column, probe, limited, v6, name);
}

/** The same segment twice under the default rate limit. */
function runLimit(t: Test, column: Column, probe: Probe, limited: boolean, v6: boolean, name: string): void {
  const knobs = { 'net.ipv4.tcp_invalid_ratelimit': 500 };
  const { c, window } = inTimeWait(column, { ...probe.setup, v6, knobs });
  if (probe.row === 'syn unwanted') c.stack.closeListener(c.listener!);
  c.advance(column.wait ?? WAIT);
  c.inject(probe.text(window));
  c.inject(probe.text(window));
  t.equal(c.rest().length, limited ? 1 : 2, `${name}, twice`);
}

const connects: readonly (readonly [place: string, bound: boolean, stamped: boolean, early: boolean])[] = [
  ['bound', true, false, false],
  ['bound ts', true, true, false],
  ['chosen', false, false, false],
  ['chosen ts', false, true, false],
  ['chosen ts early', false, true, true],
];

function runConnects(t: Test, column: Column, v6: boolean): void {
  for (const [place, bound, stamped, early] of connects) {
    const cell = cellOf(column.rows.connect, place);
    if (cell === null) continue;
    const { c } = inTimeWait(column, { v6, stamped, active: true, reuseAddress: true });
    c.advance(early ? EARLY : (column.wait ?? WAIT));
    // 4000 is the only port there is to choose
    c.stack.setKnob('net.ipv4.ip_local_port_range.min', 4000);
    c.stack.setKnob('net.ipv4.ip_local_port_range.max', 4000);
    const opened = c.stack.connect({
      address: c.peer.toString(),
      port: c.peerPort,
      timestamps: stamped,
      ...(bound ? { localPort: 4000, reuseAddress: true } : {}),
    });
    const name = `connect, ${place}${v6 ? ', IPv6' : ''}`;
    t.equal(typeof opened === 'string' ? opened : 'ok', cell.code, name);
    c.collect();
    if (cell.code !== 'ok') {
      t.same(c.rest(), [], `${name}: nothing sent`);
      continue;
    }
    t.equal(c.stack.timeWait.count, 0, `${name}: the record gave way`);
    const syn = /^S (\d+):/.exec(c.take());
    t.ok(syn !== null, `${name}: SYN`);
    if (column.length !== 0 && syn !== null)
      t.equal(wrongIss(c, Number(syn[1]), cell.iss ?? column.iss, column, v6), '', name);
  }
}

const binds: readonly (readonly [place: string, old: object, asked: object])[] = [
  ['plain', {}, {}],
  ['reuse', {}, { reuseAddress: true }],
  ['both reuse', { reuseAddress: true }, { reuseAddress: true }],
  ['both reuseport', { reusePort: true }, { reusePort: true }],
  ['exclusive', {}, { exclusive: true }],
];

function runBinds(t: Test, column: Column, v6: boolean): void {
  for (const [place, old, asked] of binds) {
    const cell = cellOf(column.rows.bind, place);
    if (cell === null) continue;
    const { c } = inTimeWait(column, { v6, ...old });
    c.stack.closeListener(c.listener!);
    c.advance(column.wait ?? WAIT);
    const listener = c.stack.listen({ port: c.ourPort, ...asked });
    t.equal(typeof listener === 'string' ? listener : 'ok', cell.code, `bind, ${place}${v6 ? ', IPv6' : ''}`);
  }
}

function runLength(t: Test, column: Column, v6: boolean, far: boolean): void {
  const length = far ? (column.lengthFar ?? column.length) : column.length;
  const { c } = inTimeWait(column, { v6, far });
  const name = `lasts ${String(length)} ms${far ? ', far peer' : ''}${v6 ? ', IPv6' : ''}`;
  if (length === 0) {
    t.equal(c.state, 'CLOSED', name);
    return;
  }
  const left = timerLeft(c);
  t.ok(isWithin(left, length), `${name}: ${left}`);
  c.advance(left - 1);
  t.equal(c.state, 'TIME-WAIT', name);
  c.advance(1);
  t.equal(c.state, 'CLOSED', name);
}

/** Every row of one column, in both address families. */
export function runColumn(t: Test, column: Column): void {
  for (const v6 of [false, true]) {
    for (const probe of probes) {
      const entry = column.rows[probe.row];
      let cell = entry === undefined ? null : cellOf(entry, probe.place);
      if (cell?.code === 'seq') {
        const base = cellOf(column.rows.syn, probe.place);
        cell = base === null ? null : { ...base, ...cell, code: base.code };
      }
      if (cell !== null) runProbe(t, column, probe, cell, v6);
    }
    runConnects(t, column, v6);
    runBinds(t, column, v6);
    for (const far of [false, true]) runLength(t, column, v6, far);
  }
}

/** All cells of a column that say why they deviate, or that nobody confirmed: `row place`, cell. */
export function remarks(column: Column): [string, Cell][] {
  const found: [string, Cell][] = [];
  for (const [row, entry] of Object.entries(column.rows) as [string, Entry<string, string>][]) {
    if (typeof entry === 'string') continue;
    const cells = entry.code === undefined ? Object.entries(entry) : [['', entry] as const];
    for (const [place, cell] of cells)
      if (typeof cell === 'object') found.push([`${row} ${place}`.trim(), cell as Cell]);
  }
  return found;
}
