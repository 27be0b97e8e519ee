/** The parser of packet scripts: a file's text to a Script, or one error with its place. */
import { nearest } from '../nearest.js';
import { parseNotation } from '../wire/notation-parse.js';
import { parseCode } from './code.js';
import { calls, errnoName, errnos } from './constants.js';
import { icmpCodes, icmpTypes, isIcmpCode } from './icmp.js';
import { preprocess } from './preprocess.js';
import { Failure, Positions, Reader } from './reader.js';
import type { EventTime, Script, ScriptError, ScriptEvent, Value } from './script.js';
import { ANY, parseArguments, parseValue } from './values.js';

/** Events a script may have. */
const MOST_EVENTS = 100_000;

const SECONDS = /(?:\d+(?:\.\d*)?|\.\d+)/y;
const AT_ONCE: EventTime = { at: 0, relative: false, until: null, spans: false };
const AT_LAST: EventTime = { ...AT_ONCE, relative: true };

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;

/** `defined`: names for which `#ifdef` sections are taken; `symbols`: words that stand for something else. */
export function parseScript(
  source: string,
  defined: ReadonlySet<string> = new Set(),
  symbols: ReadonlyMap<string, string> = new Map(),
): Script | ScriptError {
  let text = source;
  try {
    text = preprocess(source, defined, symbols);
    const r = new Reader(text);
    const positions = new Positions(text);
    const options = optionsOf(r);
    const events: ScriptEvent[] = [];
    for (r.space(); !r.ended; r.space()) {
      if (events.length === MOST_EVENTS) r.fail(`at most ${MOST_EVENTS} events`);
      events.push(eventOf(r, positions, events.length === 0));
    }
    // What `#ifdef` leaves out may be all there is
    if (events.length === 0 && options.size === 0 && !/^\s*#if/m.test(source)) r.fail('at least one event');
    return { options, events, positions };
  } catch (error) {
    if (error instanceof Failure) return { error: error.message, ...new Positions(text).of(error.at) };
    throw error;
  }
}

function optionsOf(r: Reader): Map<string, string> {
  const options = new Map<string, string>();
  for (;;) {
    r.space();
    if (!r.take('--')) return options;
    const name = r.match(/[a-z][a-z0-9_]*/y) ?? r.fail('the name of an option');
    const value = r.take('=') ? (r.match(/"[^"\n]*"|[^\s]+/y) ?? r.fail('a value')) : '';
    // --define was heard of before the text was read
    if (name !== 'define') options.set(name, value.replaceAll('"', ''));
  }
}

function eventOf(r: Reader, positions: Positions, first: boolean): ScriptEvent {
  const start = r.at;
  // Shell lines that prepare the run stand before everything else, those that tidy up behind it, without a time.
  const time = r.next === '`' ? untimed(r, first) : timeOf(r);
  r.blanks();
  const place = { time, ...positions.of(start) };
  const written = (): string => r.text.slice(start, r.at).replace(/\s+/g, ' ').trim();
  const here = r.at;
  if (r.take('%{')) {
    const statements = parseCode(r);
    endOfEvent(r);
    return { ...place, kind: 'code', statements, source: written() };
  }
  if (r.take('`')) {
    const end = r.text.indexOf('`', r.at);
    if (end < 0) r.fail('the closing back-quote', r.text.length);
    const command = r.text.slice(r.at, end);
    r.at = end + 1;
    endOfEvent(r);
    return { ...place, kind: 'shell', command, source: written() };
  }
  if (r.next === '<' || r.next === '>') {
    const inbound = r.next === '<';
    r.at++;
    r.blanks();
    const packet = /^icmp\b/.test(r.text.slice(r.at, r.at + 5)) ? icmpOf(r, inbound) : segmentOf(r, inbound);
    return { ...place, ...packet, source: written() };
  }
  const name = r.match(NAME) ?? r.fail('an event: < or > and a packet, a call, `shell` or %{ code }%', here);
  return { ...place, ...callOf(r, name), source: written() };
}

function untimed(r: Reader, first: boolean): EventTime {
  if (first) return AT_ONCE;
  if (/^`[^`]*`?\s*$/.test(r.text.slice(r.at))) return AT_LAST;
  return r.fail('a time: only the first and the last shell line may have none');
}

function endOfEvent(r: Reader): void {
  r.blanks();
  if (r.next !== '\n' && !r.ended) r.fail('the end of the line');
}

function timeOf(r: Reader): EventTime {
  if (r.take('*')) return { at: null, relative: false, until: null, spans: false };
  const relative = r.take('+');
  if (relative) r.blanks();
  const at = secondsOf(r);
  r.blanks();
  if (r.take('...')) {
    r.blanks();
    r.take('+');
    return checked(r, { at, relative, until: secondsOf(r), spans: true });
  }
  if (r.take('~')) {
    r.blanks();
    const again = r.take('+');
    if (again !== relative) r.fail(relative ? "'+' as before '~'" : "a time without '+'");
    return checked(r, { at, relative, until: secondsOf(r), spans: false });
  }
  return { at, relative, until: null, spans: false };
}

function checked(r: Reader, time: EventTime): EventTime {
  if (time.until! < time.at!) r.fail('an end that is not before the start');
  return time;
}

/** In microseconds. */
function secondsOf(r: Reader): number {
  const start = r.at;
  // The dots of a range are not the decimal point of the number before them.
  const dots = /^\d+(?=\.\.\.)/.exec(r.text.slice(r.at, r.at + 20))?.[0];
  const digits = dots ?? r.match(SECONDS) ?? r.fail('a time: +0.1, 0.5, .1~.2, +0...0.2 or *', start);
  if (dots !== undefined) r.at += dots.length;
  else if (r.text.startsWith('..', r.at) && digits.endsWith('.')) r.at--;
  return Math.round(Number(digits) * 1e6);
}

/** The text of a packet: its line, and lines that go on with options or fields. */
function packetText(r: Reader): { text: string; start: number } {
  const start = r.at;
  r.line();
  for (;;) {
    const more = /^\n[ \t]*(?:<|ack\b|win\b|urg\b|[a-zA-Z]+ [^\n]*>)[^\n]*/.exec(
      r.text.slice(r.at, r.at + 400),
    );
    const open = count(r.text, start, r.at, '<') > count(r.text, start, r.at, '>');
    if (more === null && !(open && r.next === '\n')) break;
    r.at++;
    r.line();
  }
  return { text: r.text.slice(start, r.at).replace(/[\n\r\t]/g, ' '), start };
}

function count(text: string, from: number, to: number, character: string): number {
  let found = 0;
  for (let i = from; i < to; i++) if (text[i] === character) found++;
  return found;
}

type Packet =
  | Omit<Extract<ScriptEvent, { kind: 'segment' }>, 'time' | 'line' | 'column' | 'source'>
  | Omit<Extract<ScriptEvent, { kind: 'icmp' }>, 'time' | 'line' | 'column' | 'source'>;

function segmentOf(r: Reader, inbound: boolean): Packet {
  const { text, start } = packetText(r);
  const segment = parseNotation(text);
  if ('error' in segment) throw new Failure(segment.error, start + segment.column - 1);
  const { anySeq, anyAck, anyWin, anyOptions } = segment;
  if (inbound && (anySeq || anyAck || anyWin || anyOptions))
    throw new Failure(
      `found '...'; expected numbers: '...' is for segments that are to be sent (>)`,
      start + text.indexOf('...'),
    );
  return { kind: 'segment', inbound, segment };
}

/** `icmp unreachable frag_needed mtu 1200 [1:1001(1000)]` */
function icmpOf(r: Reader, inbound: boolean): Packet {
  if (!inbound) r.fail('a TCP segment: ICMP goes inbound only');
  r.take('icmp');
  r.blanks();
  const typeAt = r.at;
  const type = r.match(NAME) ?? '';
  if (!icmpTypes.includes(type)) r.fail(`an ICMP type: ${icmpTypes.join(', ')}`, typeAt);
  r.blanks();
  const codeAt = r.at;
  let code = r.match(NAME) ?? '';
  let mtu = 0;
  if (code === 'mtu') {
    code = '';
    r.at = codeAt;
  } else if (code !== '' && !isIcmpCode(code))
    r.fail(`an ICMP code, such as ${nearest(code, icmpCodes).join(', ')}`, codeAt);
  r.blanks();
  if (r.take('mtu')) {
    r.blanks();
    mtu = Number(r.match(/\d{1,5}/y) ?? r.fail('an MTU'));
    r.blanks();
  }
  let quoted: { seq: number; length: number } | null = null;
  if (r.take('[')) {
    r.blanks();
    const range = /(\d{1,10}):(\d{1,10})\((\d{1,5})\)(?:\/udp\(\d{1,5} > \d{1,5}\))?/y;
    range.lastIndex = r.at;
    const found = range.exec(r.text) ?? r.fail('the quoted segment as 1:1001(1000)');
    r.at += found[0].length;
    quoted = { seq: Number(found[1]), length: Number(found[3]) };
    r.blanks();
    if (!r.take(']')) r.fail("']'");
  }
  endOfEvent(r);
  return { kind: 'icmp', inbound: true, type, code, mtu, quoted } as Packet;
}

type Call = Omit<Extract<ScriptEvent, { kind: 'call' }>, 'time' | 'line' | 'column' | 'source'>;

function callOf(r: Reader, name: string): Call {
  const nameAt = r.at - name.length;
  r.blanks();
  if (!r.take('(')) r.fail("'(' and the call's arguments");
  if (!calls.includes(name) && !name.startsWith('sctp_'))
    r.fail(`a call that is known here, such as ${nearest(name, calls).join(', ')}`, nameAt);
  const args = parseArguments(r);
  r.space();
  if (!r.take('=')) r.fail("'=' and what the call returns");
  r.blanks();
  const result: Value = r.take('?') ? ANY : parseValue(r);
  r.blanks();
  const start = r.at;
  const word = r.match(/E[A-Z0-9]+/y);
  const errno = word === null ? '' : errnoName(word);
  if (errno !== '' && errnos[errno] === undefined)
    r.fail(`the name of an errno, such as ${nearest(errno, Object.keys(errnos)).join(', ')}`, start);
  r.blanks();
  if (r.take('(')) note(r);
  endOfEvent(r);
  return { kind: 'call', name, args, result, errno };
}

/** Words in parentheses behind a result say nothing to a machine. */
function note(r: Reader): void {
  let depth = 1;
  while (depth > 0) {
    if (r.ended || r.next === '\n') r.fail("')'");
    depth += r.next === '(' ? 1 : r.next === ')' ? -1 : 0;
    r.at++;
  }
}
