/**
 * Plays a script on a target: calls are made, packets arrive, and what is sent is compared with
 * what is expected, in content and in time. The first difference ends the run.
 */
import { icmpError } from '../wire/icmp.js';
import { buildPacket, formatNotation, type SegmentText } from '../wire/notation.js';
import { ACK, LOAD_OK, SYN, Segment } from '../wire/segment.js';
import { EvaluationError, evaluate, namesIn, type Statement } from './code.js';
import { mismatch, plainText } from './compare.js';
import { constants } from './constants.js';
import { icmpNumbers } from './icmp.js';
import { Numbering } from './numbering.js';
import { parseScript } from './parse.js';
import { Positions } from './reader.js';
import type { CallEvent, IcmpEvent, Script, ScriptEvent, SegmentEvent, ShellEvent, Value } from './script.js';
import { setupOf, type ScriptSetup } from './setup.js';
import { readShell } from './shell.js';
import type { Later, MadeCall, SentPacket, Target, TargetSetup } from './target.js';
import { fits, formatValue } from './values.js';

/** One segment that passed, for a ladder. */
export interface PassedSegment {
  /** ms since the start of the script. */
  readonly time: number;
  readonly rightward: boolean;
  readonly segment: string;
  readonly comment: string;
}

export interface ScriptFailure {
  readonly line: number;
  readonly column: number;
  /** The event as written, '' for an error of syntax. */
  readonly source: string;
  /** One line: what is wrong. */
  readonly message: string;
  /** In the script's notation; '' where nothing of the kind is at stake. */
  readonly expected: string;
  readonly got: string;
  /** How much later than allowed it came, microseconds; below 0 earlier; null when time was right. */
  readonly difference: number | null;
  /** The script cannot be read, or asks for what this run does not do. */
  readonly unusable: boolean;
}

export interface RunResult {
  readonly failure: ScriptFailure | null;
  /** The last segments, oldest first. */
  readonly segments: readonly PassedSegment[];
  readonly notes: readonly string[];
  /** Events played. */
  readonly events: number;
}

export interface RunOptions {
  /** Names for which `#ifdef` holds. */
  readonly defined?: ReadonlySet<string>;
  /** Instead of what the script says. */
  readonly version?: 4 | 6;
  /** The peer's addresses, unless the script has its own: a kernel remembers the peers of earlier scripts. */
  readonly remotes?: Readonly<Record<4 | 6, string>>;
  /** On the wire the numbers of the script's side are these and more; 0 unless said. */
  readonly peerIss?: number;
  /** Runs a shell line that is not understood; without it such a line fails. */
  readonly shell?: (command: string) => Later<{ status: number; output: string }>;
  /** Told of each packet, for a capture. Microseconds since the start of the script. */
  readonly capture?: (packet: Uint8Array, time: number, inbound: boolean, comment: string) => void;
}

/** Segments shown with a failure. */
const LADDER = 10;
/** How far behind its time a segment is still looked for, to say how late it is, microseconds. */
const GRACE = 10_000_000;
/** `*` waits no longer, microseconds. */
const LONGEST = 600_000_000;
/** The peer's port, when it opens the connection. */
const PEER_PORT = 41_000;

export async function runScript(
  source: string,
  options: RunOptions,
  open: (setup: TargetSetup) => Target,
): Promise<RunResult> {
  const script = parseScript(source, options.defined);
  if ('error' in script) return unusable(script.line, script.column, script.error);
  const setup = setupOf(script, options.version, options.remotes);
  if (typeof setup === 'string') return unusable(1, 1, setup);
  const target = open(setup.target);
  try {
    return await new Run(source, script, setup, target, options).play();
  } finally {
    await target.close();
  }
}

function unusable(line: number, column: number, message: string): RunResult {
  const failure = {
    line,
    column,
    source: '',
    message,
    expected: '',
    got: '',
    difference: null,
    unusable: true,
  };
  return { failure, segments: [], notes: [], events: 0 };
}

/** Ends a run. */
class Stop extends Error {
  constructor(readonly failure: ScriptFailure) {
    super(failure.message);
  }
}

interface Window {
  readonly from: number;
  readonly to: number;
}

interface OpenCall {
  readonly event: CallEvent;
  readonly made: MadeCall;
  readonly end: Window;
}

class Run {
  private readonly numbering: Numbering;
  private readonly segment = new Segment();
  private readonly segments: PassedSegment[] = [];
  private readonly notes: string[];
  /** The target's descriptor by the script's. */
  private readonly descriptors = new Map<number, number>();
  private readonly names = new Map<string, number | string>();
  private ourPort: number;
  private peerPort = PEER_PORT;
  /** Time of the event before, which relative times count from. */
  private base = 0;
  private open: OpenCall | null = null;
  /** Descriptor whose TCP_INFO code sees. */
  private infoFd = -1;
  private event!: ScriptEvent;
  private readonly tolerance: number;

  constructor(
    private readonly text: string,
    private readonly script: Script,
    private readonly setup: ScriptSetup,
    private readonly target: Target,
    private readonly options: RunOptions,
  ) {
    this.numbering = new Numbering(options.peerIss);
    this.ourPort = setup.target.bindPort;
    this.tolerance = target.tolerance ?? setup.tolerance;
    this.notes = [...setup.notes];
  }

  async play(): Promise<RunResult> {
    const { events } = this.script;
    let failure: ScriptFailure | null = null;
    let played = 0;
    try {
      for (const event of events) {
        this.event = event;
        await this.step(event, event === events.at(-1));
        played++;
      }
      await this.finishCall();
    } catch (error) {
      failure = error instanceof Stop ? error.failure : this.thrown(error);
    }
    const notes = [...new Set([...this.notes, ...this.target.notes])];
    return { failure, segments: this.segments.slice(-LADDER), notes, events: played };
  }

  /** A packet that cannot be built, or a fault of the target: a failure of this line like any other. */
  private thrown(error: unknown): ScriptFailure {
    const { line, column, source } = this.event;
    const message = error instanceof Error ? error.message : String(error);
    return { line, column, source, message, expected: '', got: '', difference: null, unusable: false };
  }

  private stop(message: string, more: Partial<ScriptFailure> = {}): never {
    const { line, column, source } = this.event;
    throw new Stop({
      line,
      column,
      source,
      message,
      expected: '',
      got: '',
      difference: null,
      unusable: false,
      ...more,
    });
  }

  private async step(event: ScriptEvent, last: boolean): Promise<void> {
    const window = this.windowOf(event);
    if (event.kind === 'segment' && !event.inbound) {
      await this.expectSegment(event, window);
      return;
    }
    const { at, relative } = event.time;
    // In real time everything may have become late
    if (at !== null && window.from < this.base && !relative && this.target.tolerance !== null)
      this.stop('this time lies before the event before it');
    if (at === null) this.stop("'*' is for expected segments only");
    if (window.from > this.target.now()) await this.target.advance(window.from);
    // In real time the next event counts from when this one happens, late as it may be
    this.base = this.target.tolerance === null ? this.target.now() : window.from;
    if (last) await this.nothingElse();
    switch (event.kind) {
      case 'segment':
        return this.injectSegment(event.segment);
      case 'icmp':
        return this.injectIcmp(event);
      case 'call':
        return this.makeCall(event);
      case 'shell':
        return this.shell(event);
      case 'code':
        return this.code(event.statements);
    }
  }

  /** When an event is to happen; everything for `*`. */
  private windowOf({ time }: ScriptEvent): Window {
    if (time.at === null) return { from: 0, to: this.base + LONGEST };
    const base = time.relative ? this.base : 0;
    return { from: base + time.at, to: base + (time.until ?? time.at) };
  }

  /** How much too late (above 0) or early (below 0) something came; 0 when in time. The clock's ticks do not count. */
  private lateness(window: Window, time: number): number {
    const { resolution } = this.target;
    const from = Math.floor(window.from / resolution) * resolution - this.tolerance;
    const to = Math.ceil(window.to / resolution) * resolution + this.tolerance;
    return time < from ? time - from : time > to ? time - to : 0;
  }

  private latest(window: Window): number {
    const { resolution } = this.target;
    return Math.ceil(window.to / resolution) * resolution + this.tolerance;
  }

  // ---- packets ------------------------------------------------------------------

  private async expectSegment(event: SegmentEvent, window: Window): Promise<void> {
    const expected = event.segment;
    const notation = formatNotation(expected);
    let packet = await this.target.sent(this.latest(window));
    packet ??= this.tolerance === 0 ? await this.target.sent(this.latest(window) + GRACE) : null;
    if (packet === null)
      this.stop('expected a segment, nothing was sent', { expected: notation, got: 'nothing' });
    const got = this.read(packet, expected);
    const difference = this.lateness(window, packet.time);
    const compare = { stamps: this.setup.tick > 0 && this.numbering.stamped, ticks: this.ticks() };
    const wrong = got === null ? 'no TCP segment of this connection' : mismatch(expected, got, compare);
    const stamp = expected.options?.find((option) => option.kind === 'TS');
    const learns = wrong === '' && difference === 0 && stamp?.kind === 'TS' && !stamp.anyVal;
    if (learns) this.numbering.learn(this.segment, stamp.val);
    this.record(
      packet.time,
      false,
      learns ? this.numbering.fromWire(this.segment, expected) : got,
      packet.reason,
    );
    if (wrong !== '')
      this.stop('another segment than expected was sent', {
        expected: notation,
        got: wrong,
        difference: difference === 0 ? null : difference,
      });
    if (difference !== 0) {
      const how = `${Math.abs(difference) / 1000} ms ${difference > 0 ? 'late' : 'early'}`;
      this.stop(`the segment was sent ${how}`, { expected: notation, got: plainText(got!), difference });
    }
    const exact = event.time.at !== null && event.time.until === null;
    this.base = exact ? window.from : packet.time;
  }

  private ticks(): number {
    return this.setup.tick > 0 ? Math.ceil(this.tolerance / this.setup.tick) : 0;
  }

  /** In the script's numbers; null for what is no segment between the two ends. */
  private read(packet: SentPacket, expected: SegmentText | null): SegmentText | null {
    const { segment } = this;
    this.options.capture?.(packet.bytes, packet.time, false, packet.reason);
    if (segment.loadPacket(packet.bytes) !== LOAD_OK) return null;
    // Our own connect(): its SYN says which ports.
    if ((segment.flags & (SYN | ACK)) === SYN) {
      this.ourPort = segment.srcPort;
      this.peerPort = segment.dstPort;
    }
    if (segment.srcPort !== this.ourPort || segment.dstPort !== this.peerPort) return null;
    return this.numbering.fromWire(segment, expected);
  }

  private record(time: number, rightward: boolean, got: SegmentText | null, comment: string): void {
    if (this.segments.length >= 4 * LADDER) this.segments.splice(0, 3 * LADDER);
    const segment = got === null ? 'another packet' : plainText(got);
    this.segments.push({ time: time / 1000, rightward, segment, comment });
  }

  /** Before the last event: whatever was sent must have been expected. */
  private async nothingElse(): Promise<void> {
    const packet = await this.target.sent(this.target.now());
    if (packet === null) return;
    const got = this.read(packet, null);
    this.record(packet.time, false, got, packet.reason);
    this.stop(`a segment that no line expects was sent at ${packet.time / 1e6} s`, {
      expected: 'nothing',
      got: got === null ? 'another packet' : plainText(got),
    });
  }

  private async injectSegment(text: SegmentText): Promise<void> {
    const { local, remote } = this.setup.target;
    const wire = this.numbering.toWire(text);
    const ends = { src: remote, dst: local, srcPort: this.peerPort, dstPort: this.ourPort };
    await this.inject(buildPacket(wire, ends), text);
  }

  private async inject(packet: Uint8Array, text: SegmentText | null): Promise<void> {
    const time = this.target.now();
    const reason = await this.target.inject(packet);
    this.options.capture?.(packet, time, true, reason);
    this.record(time, true, text, reason);
  }

  /** The quoted segment is one that the end under test sent. */
  private async injectIcmp(event: IcmpEvent): Promise<void> {
    const { local, remote } = this.setup.target;
    const names = icmpNumbers(event.type, event.code, local.family);
    if (names === null) this.stop(`ICMP for IPv${local.family} has no '${event.type} ${event.code}'`);
    const quoted: SegmentText = {
      flags: ACK,
      seq: this.numbering.ourWire(event.quoted?.seq ?? 1),
      length: event.quoted?.length ?? 0,
      ack: 0,
    };
    const ends = { src: local, dst: remote, srcPort: this.ourPort, dstPort: this.peerPort };
    const words = [...remote.words];
    const bytes = words.flatMap((word) => [24, 16, 8, 0].map((shift) => (word >>> shift) & 255));
    const source = Uint8Array.from(local.family === 4 ? bytes.slice(12) : bytes);
    const packet = icmpError(buildPacket(quoted, ends), { ...names, rest: event.mtu, source });
    await this.inject(packet, null);
  }

  // ---- calls --------------------------------------------------------------------

  private async makeCall(event: CallEvent): Promise<void> {
    await this.finishCall();
    if (event.name === 'connect') this.numbering.reopen();
    const { time } = event;
    const request = { name: event.name, args: this.mapped(event), blocks: time.spans };
    const made = await this.target.call(request);
    const started = this.base;
    // `+0...0.2`: the end counts from where the start does.
    const end = time.spans
      ? this.endOf(time.until!, time.relative, started - (time.at ?? 0))
      : { from: started, to: started };
    this.open = { event, made, end };
    if (!time.spans) {
      if (made.result === null && this.target.tolerance === null)
        await this.target.finish(made, this.latest(end));
      if (made.result === null)
        this.stop(`${event.name}() blocks, it was to return at once`, {
          expected: resultText(event),
          got: 'no return',
        });
    }
    if (made.result !== null) await this.finishCall();
  }

  private endOf(until: number, relative: boolean, before: number): Window {
    const end = relative ? before + until : until;
    return { from: end, to: end };
  }

  /** The call that blocks must be over before another begins. */
  private async finishCall(): Promise<void> {
    const { open } = this;
    if (open === null) return;
    this.open = null;
    const { event, made, end } = open;
    const at = this.event;
    this.event = event;
    if (made.result === null) await this.target.finish(made, this.latest(end));
    if (made.result === null && this.tolerance === 0)
      await this.target.finish(made, this.latest(end) + GRACE);
    const { result } = made;
    const expected = resultText(event);
    if (result === null) this.stop(`${event.name}() did not return`, { expected, got: 'no return' });
    const got = result.value === -1 && result.errno !== '' ? `-1 ${result.errno}` : String(result.value);
    this.keepDescriptor(event, result.value);
    const difference = event.time.spans ? this.lateness(end, made.endedAt) : 0;
    const descriptor = givesDescriptor(event.name) && result.value >= 0 && numberOf(event.result) >= 0;
    if (
      !descriptor &&
      (!fits(event.result, { kind: 'number', value: result.value }) || wrongErrno(event, result.errno))
    )
      this.stop(`${event.name}() returned something else`, { expected, got });
    for (const [i, output] of result.outputs) {
      const wanted = event.args[i];
      if (wanted !== undefined && !fits(wanted, output))
        this.stop(`${event.name}() wrote something else into argument ${i + 1}`, {
          expected: formatValue(wanted),
          got: formatValue(output),
        });
    }
    if (difference !== 0) {
      const how = `${Math.abs(difference) / 1000} ms ${difference > 0 ? 'late' : 'early'}`;
      this.stop(`${event.name}() returned ${how}`, { expected, got, difference });
    }
    this.event = at;
  }

  private keepDescriptor(event: CallEvent, value: number): void {
    if (!givesDescriptor(event.name) || value < 0) return;
    this.descriptors.set(numberOf(event.result), value);
    if (!event.name.startsWith('epoll')) this.infoFd = value;
  }

  /** Arguments with the target's descriptors. */
  private mapped(event: CallEvent): Value[] {
    const map = (value: Value): Value =>
      value.kind === 'number'
        ? { kind: 'number', value: this.descriptors.get(value.value) ?? value.value }
        : value;
    const args = [...event.args];
    const { name } = event;
    if (name === 'poll' && args[0]?.kind === 'list') {
      const items = args[0].items.map((item): Value => {
        if (item.kind !== 'record' || !item.fields.has('fd')) return item;
        return { kind: 'record', fields: new Map([...item.fields, ['fd', map(item.fields.get('fd')!)]]) };
      });
      args[0] = { kind: 'list', items };
    } else if (
      name !== 'socket' &&
      name !== 'poll' &&
      !name.startsWith('epoll_create') &&
      args[0] !== undefined
    )
      args[0] = map(args[0]);
    if (name === 'epoll_ctl' && args[2] !== undefined) args[2] = map(args[2]);
    return args;
  }

  // ---- the rest -----------------------------------------------------------------

  private async shell(event: ShellEvent): Promise<void> {
    for (const action of readShell(event.command)) {
      if (action.kind === 'nothing') this.notes.push(action.note);
      else if (action.kind === 'set') {
        const message = await this.target.setting(action.name, action.value);
        if (message !== null) this.notes.push(`no effect here: ${message}`);
      } else if (this.options.shell === undefined) {
        this.stop(`shell lines are not run without --allow-shell: '${action.command}'`, { unusable: true });
      } else {
        const { status, output } = await this.options.shell(action.command);
        if (status !== 0)
          this.stop(`'${action.command}' ended with status ${status}`, { got: output.trim() });
      }
    }
  }

  private async code(statements: readonly Statement[]): Promise<void> {
    const info = (await this.target.info(this.infoFd)) ?? new Map<string, number>();
    const lookUp = (name: string): number | string | null =>
      this.names.get(name) ?? info.get(name) ?? constants.get(name) ?? null;
    for (const statement of statements) {
      try {
        if (statement.kind === 'assign') this.names.set(statement.name, evaluate(statement.value, lookUp));
        if (statement.kind !== 'assert' || evaluate(statement.condition, lookUp)) continue;
      } catch (error) {
        if (!(error instanceof EvaluationError)) throw error;
        this.stop(error.message, { unusable: true });
      }
      const { line, column } = new Positions(this.text).of(statement.at);
      const values = namesIn(statement.condition).map((name) => `${name} = ${lookUp(name) ?? '?'}`);
      this.stop('the assertion does not hold', {
        line,
        column,
        expected: statement.source,
        got: values.join(', '),
      });
    }
  }
}

function givesDescriptor(name: string): boolean {
  return name === 'socket' || name === 'accept' || name === 'accept4' || name.startsWith('epoll_create');
}

function numberOf(value: Value): number {
  return value.kind === 'number' ? value.value : 0;
}

function wrongErrno(event: CallEvent, errno: string): boolean {
  return event.errno !== '' && event.errno !== errno;
}

function resultText(event: CallEvent): string {
  return event.errno === '' ? formatValue(event.result) : `${formatValue(event.result)} ${event.errno}`;
}
