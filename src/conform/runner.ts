/**
 * Plays a script on a target: calls are made, packets arrive, and what is sent is compared with
 * what is expected, in content and in time. The first difference ends the run.
 */
import { icmpError } from '../wire/icmp.js';
import { formatNotation, type SegmentText } from '../wire/notation.js';
import { buildPacket } from '../wire/notation-packet.js';
import { ACK, CWR, FIN, LOAD_OK, PSH, SYN, Segment } from '../wire/segment.js';
import { checkCode } from './assertions.js';
import type { Statement } from './code.js';
import { mismatch, plainText } from './compare.js';
import type { Result } from './evaluate.js';
import { icmpNumbers } from './icmp.js';
import { Numbering } from './numbering.js';
import { Openings } from './openings.js';
import { parseScript } from './parse.js';
import type { PassedSegment, RunOptions, RunResult, ScriptFailure } from './result.js';
import type { CallEvent, IcmpEvent, Script, ScriptEvent, SegmentEvent, ShellEvent, Value } from './script.js';
import { setupOf, type ScriptSetup } from './setup.js';
import { playShell } from './shell-play.js';
import type { MadeCall, SentPacket, Target, TargetSetup } from './target.js';
import { fits, formatValue } from './values.js';

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
  // For #ifdef: the notation of numbers and options is one, sizes are not.
  const family = (options.version ?? (/^--ip_version=ipv6$/m.test(source) ? 6 : 4)) === 6 ? 'ipv6' : 'ipv4';
  const script = parseScript(source, new Set([...(options.defined ?? []), family]), options.symbols);
  if ('error' in script) return unusable(script.line, script.column, script.error);
  const setup = setupOf(script, options.version, options.ends);
  if (typeof setup === 'string') return unusable(1, 1, setup);
  const target = open(setup.target);
  try {
    return await new Run(script, setup, target, options).play();
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
  private readonly names = new Map<string, Result>();
  private ourPort: number;
  private peerPort = PEER_PORT;
  /** Time of the event before, which relative times count from. */
  private base = 0;
  private listens = 0;
  private peers = 1;
  /** Ports of connections that the script has left behind: what they still say is not its matter. */
  private readonly known = new Set<string>();
  private readonly openings = new Openings();
  /** A connection was begun whose SYN was not seen yet. */
  private connecting = false;
  private open: OpenCall | null = null;
  /** Descriptor whose TCP_INFO code sees. */
  private infoFd = -1;
  private event!: ScriptEvent;
  /** At least so many microseconds, at least this share of the time since the event before. */
  private readonly tolerance: number;
  private readonly share: number;

  constructor(
    private readonly script: Script,
    private readonly setup: ScriptSetup,
    private readonly target: Target,
    private readonly options: RunOptions,
  ) {
    this.numbering = new Numbering(options.peerIss);
    this.ourPort = setup.target.bindPort;
    this.tolerance = options.tolerance ?? target.tolerance ?? setup.tolerance;
    this.share = this.tolerance === 0 ? 0 : setup.tolerancePercent / 100;
    this.notes = [...setup.notes];
  }

  async play(): Promise<RunResult> {
    const { events } = this.script;
    // What tidies up behind the script is no event of it
    const last = events.findLast(({ kind }) => kind !== 'shell');
    let failure: ScriptFailure | null = null;
    let played = 0;
    try {
      for (const event of events) {
        this.event = event;
        await this.step(event, event === last);
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
    const waits = relative ? at > 0 : window.from > this.base;
    // In real time the next event counts from when this one happens, late as it may be
    this.base = this.target.tolerance === null ? this.target.now() : window.from;
    // packetdrill looks at no segment that no line asks for; an assertion that waits at the end asks for silence
    if (last && event.kind === 'code' && waits) await this.nothingElse();
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
    const slack = this.slack(window);
    const from = Math.floor(window.from / resolution) * resolution - slack;
    const to = Math.ceil(window.to / resolution) * resolution + slack;
    return time < from ? time - from : time > to ? time - to : 0;
  }

  private slack({ from }: Window): number {
    return Math.max(this.tolerance, this.share * (from - this.base));
  }

  private latest(window: Window): number {
    const { resolution } = this.target;
    return Math.ceil(window.to / resolution) * resolution + this.slack(window);
  }

  // ---- packets ------------------------------------------------------------------

  private async expectSegment(event: SegmentEvent, window: Window): Promise<void> {
    const expected = event.segment;
    const notation = formatNotation(expected);
    let packet = await this.nextOwn(this.latest(window));
    packet ??= this.tolerance === 0 ? await this.nextOwn(this.latest(window) + GRACE) : null;
    if (packet === null)
      this.stop('expected a segment, nothing was sent', { expected: notation, got: 'nothing' });
    let got = this.read(packet, expected);
    if (got !== null && got.length > 0 && got.length < expected.length && !this.setup.strictSegments) {
      const whole = await this.gather(got, packet, expected, window);
      got = whole.got;
      packet = whole.packet;
    }
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

  /**
   * A device that cuts segments itself takes many from the kernel as one, and scripts are
   * written so. Segments in a row are taken together up to the length that is expected: all
   * but the last of one length, with the same flags but PSH and FIN, which are the last one's,
   * and CWR, which is the first one's.
   */
  private async gather(
    first: SegmentText,
    packet: SentPacket,
    expected: SegmentText,
    window: Window,
  ): Promise<{ got: SegmentText; packet: SentPacket }> {
    const fixed = ~(FIN | PSH | CWR);
    let [whole, last] = [first, packet];
    while (whole.length < expected.length) {
      const next = await this.nextOwn(this.latest(window));
      if (next === null) break;
      const piece = this.read(next, expected);
      if (piece === null) return { got: whole, packet: last };
      const follows =
        piece.seq === (whole.seq + whole.length) % 2 ** 32 && ((piece.flags ^ whole.flags) & fixed) === 0;
      const left = expected.length - whole.length;
      if (!follows || piece.length > left || (piece.length < left && piece.length !== first.length))
        return { got: piece, packet: next };
      whole = {
        ...piece,
        flags: (piece.flags & ~CWR) | (first.flags & CWR),
        seq: first.seq,
        length: whole.length + piece.length,
      };
      last = next;
    }
    return { got: whole, packet: last };
  }

  /** The next packet that is not of an earlier connection. */
  private async nextOwn(latest: number): Promise<SentPacket | null> {
    for (;;) {
      const packet = await this.target.sent(latest);
      if (packet === null || !this.isForeign(packet)) return packet;
      this.options.capture?.(packet.bytes, packet.time, false, packet.reason);
    }
  }

  private isForeign({ bytes }: SentPacket): boolean {
    const { segment, known } = this;
    if ((known.size === 0 && !this.connecting) || segment.loadPacket(bytes) !== LOAD_OK) return false;
    if (this.connecting && (segment.flags & (SYN | ACK)) !== SYN) return true;
    return known.has(`${segment.srcPort} ${segment.dstPort}`);
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
    this.connecting &&= (segment.flags & (SYN | ACK)) !== SYN;
    const elsewhere = segment.srcPort !== this.ourPort || segment.dstPort !== this.peerPort;
    if ((segment.flags & (SYN | ACK)) === SYN && elsewhere) {
      this.known.add(this.tuple());
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
    const packet = await this.nextOwn(this.target.now());
    if (packet === null) return;
    const got = this.read(packet, null);
    this.record(packet.time, false, got, packet.reason);
    this.stop(`a segment that no line expects was sent at ${packet.time / 1e6} s`, {
      expected: 'nothing',
      got: got === null ? 'another packet' : plainText(got),
    });
  }

  /** Behind another listen() comes another peer: its first segment has a port of its own. */
  private newPeer(): void {
    if (this.listens < 2 || this.listens === this.peers) return;
    this.peers = this.listens;
    this.known.add(this.tuple());
    this.peerPort = PEER_PORT + this.peers;
    this.ourPort = this.setup.target.bindPort;
    this.numbering.forget();
  }

  private tuple(): string {
    return `${this.ourPort} ${this.peerPort}`;
  }

  private async injectSegment(text: SegmentText): Promise<void> {
    this.newPeer();
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
    if (this.openings.begins(event)) {
      this.numbering.connects();
      this.connecting = true;
    }
    if (event.name === 'listen') this.listens++;
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

  private async code(statements: readonly Statement[]): Promise<void> {
    const info = (await this.target.info(this.infoFd)) ?? new Map<string, number>();
    const { positions } = this.script;
    const wrong = checkCode(statements, { names: this.names, info, positions, notes: this.notes });
    if (wrong !== null) this.stop(wrong.message, wrong);
  }

  private async shell({ command }: ShellEvent): Promise<void> {
    const wrong = await playShell(command, this.target, this.options, this.notes);
    if (wrong !== null) this.stop(wrong.message, wrong);
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
