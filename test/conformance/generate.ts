/**
 * Writes the scripts rcv-EVENT-STATE-EDGE.pkt of this folder: every state x every segment x every
 * place in the receive window, as one table. What is expected is said here by RFC 9293 3.10.7 with
 * RFC 5961 and RFC 7323, and in TIME-WAIT by what each system does, not by asking the stack.
 *
 *     node dist/test/conformance/generate.js DIRECTORY
 *
 * Each script holds four conversations: `#ifdef timestamps` chooses between two, the IP version is
 * the run's. Where profiles differ, they have their own sections.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export const profiles = ['rfc9293', 'linux', 'freebsd'] as const;
export type Profile = (typeof profiles)[number];

export const states = [
  'closed',
  'listen',
  'syn-sent',
  'syn-received',
  'established',
  'fin-wait-1',
  'fin-wait-2',
  'close-wait',
  'closing',
  'last-ack',
  'time-wait',
] as const;
export type State = (typeof states)[number];

export const edges = ['outside-left', 'left-edge', 'inside', 'right-edge', 'outside-right'] as const;
export type Edge = (typeof edges)[number];

/** Events: flags as in scripts, and octets of text. */
export const events = {
  syn: { flags: 'S', length: 0 },
  synack: { flags: 'S.', length: 0 },
  synfin: { flags: 'SF', length: 0 },
  ack: { flags: '.', length: 0 },
  fin: { flags: 'F', length: 0 },
  finack: { flags: 'F.', length: 0 },
  rst: { flags: 'R', length: 0 },
  rstack: { flags: 'R.', length: 0 },
  data: { flags: 'P.', length: 10 },
  none: { flags: '-', length: 0 },
} as const;
export type EventName = keyof typeof events;

/** The peer's initial sequence number, and the window that the stack offers without scaling. */
const IRS = 10_000;
const WINDOW = 65_535;
/**
 * What makes the window the whole of its field on Linux, too: a buffer with room for more, the
 * bound that an unscaled field is, and segments that go into it evenly (12 octets of them are
 * a timestamp's), since it offers whole ones.
 */
const BUFFER = 200_000;
const SEGMENT = 1285;
const STAMP = 12;
/** What the peer acknowledges where there is no connection. */
const STRANGE_ACK = 777;

/** The peer has sent its FIN. */
const finReceived: ReadonlySet<State> = new Set(['close-wait', 'closing', 'last-ack', 'time-wait']);
/** We have sent ours. */
const finSent: ReadonlySet<State> = new Set(['fin-wait-1', 'fin-wait-2', 'closing', 'last-ack', 'time-wait']);

interface Probe {
  readonly state: State;
  readonly edge: Edge;
  readonly syn: boolean;
  readonly fin: boolean;
  readonly rst: boolean;
  readonly hasAck: boolean;
  readonly text: number;
  /** Numbers of the segment. */
  readonly seq: number;
  readonly length: number;
  readonly ack: number;
  /** RCV.NXT and SND.NXT. */
  readonly rcvNxt: number;
  readonly sndNxt: number;
}

/** What is to come: segments, and the state behind them. */
interface Outcome {
  readonly replies: readonly string[];
  /** `new`: TIME-WAIT gave way to a new connection; `gone`: there is no connection any more. */
  readonly after: State | 'new' | 'gone';
  /** ISN of a connection that replaced TIME-WAIT. */
  readonly iss?: number;
  /** An ACK that may be delayed (MUST-40: below 0.5 s). */
  readonly delayed?: boolean;
  /** Our SYN goes out again before its time. */
  readonly synAgain?: boolean;
}

function probeOf(state: State, event: EventName, edge: Edge): Probe {
  const { flags, length: text } = events[event];
  const syn = flags.includes('S');
  const fin = flags.includes('F');
  const length = text + (syn ? 1 : 0) + (fin ? 1 : 0);
  const rcvNxt = IRS + 1 + (finReceived.has(state) ? 1 : 0);
  const sndNxt = state === 'closed' || state === 'listen' ? 0 : finSent.has(state) ? 2 : 1;
  // Outside on the left the last octet lies just before RCV.NXT.
  const seq = {
    'outside-left': rcvNxt - Math.max(1, length),
    'left-edge': rcvNxt,
    inside: rcvNxt + 1000,
    'right-edge': rcvNxt + WINDOW - 1,
    'outside-right': rcvNxt + WINDOW,
  }[edge];
  return {
    state,
    edge,
    syn,
    fin,
    rst: flags.includes('R'),
    hasAck: flags.includes('.'),
    text,
    seq,
    length,
    ack: ackOf(state, edge),
    rcvNxt,
    sndNxt,
  };
}

/** SND.UNA, so that the ACK changes nothing; in SYN-SENT the edges are those of SEG.ACK. */
function ackOf(state: State, edge: Edge): number {
  if (state === 'closed' || state === 'listen') return STRANGE_ACK;
  if (state === 'syn-sent') return edge === 'outside-left' ? 0 : edge === 'outside-right' ? 2 : 1;
  return state === 'fin-wait-2' || state === 'time-wait' ? 2 : 1;
}

const ack = (p: Probe, upTo = p.rcvNxt): string => `. ${p.sndNxt}:${p.sndNxt}(0) ack ${upTo}`;
const nothing = (p: Probe): Outcome => ({ replies: [], after: p.state });
const acked = (p: Probe): Outcome => ({ replies: [ack(p)], after: p.state });
/** 3.10.7.1: what no connection owns. */
const reset = (p: Probe): string =>
  p.hasAck ? `R ${p.ack}:${p.ack}(0)` : `R. 0:0(0) ack ${p.seq + p.length}`;

function expected(p: Probe, profile: Profile): Outcome {
  switch (p.state) {
    case 'closed':
      return p.rst ? nothing(p) : { replies: [reset(p)], after: 'closed' };
    case 'listen':
      return listening(p);
    case 'syn-sent':
      return profile === 'linux' ? linuxSynSent(p) : synSent(p);
    case 'time-wait':
      return { rfc9293: strictTimeWait, linux: linuxTimeWait, freebsd: freebsdTimeWait }[profile](p);
    default:
      return { rfc9293: synchronized, linux: linuxSynchronized, freebsd: freebsdSynchronized }[profile](p);
  }
}

/** 3.10.7.2. A SYN with FIN is not taken: Linux and FreeBSD (drop_synfin) drop it, too. */
function listening(p: Probe): Outcome {
  if (p.rst) return nothing(p);
  if (p.hasAck) return { replies: [reset(p)], after: 'listen' };
  if (!p.syn || p.fin) return nothing(p);
  return { replies: [`S. 0:0(0) ack ${p.seq + 1}`], after: 'listen' };
}

/** 3.10.7.3 */
function synSent(p: Probe): Outcome {
  if (p.hasAck && p.ack !== 1) return p.rst ? nothing(p) : { replies: [reset(p)], after: p.state };
  if (p.rst) return p.hasAck ? { replies: [], after: 'gone' } : nothing(p);
  if (!p.syn) return nothing(p);
  if (p.hasAck) return { replies: [`. 1:1(0) ack ${p.seq + 1}`], after: 'established' };
  return { replies: [`S. 0:0(0) ack ${p.seq + 1}`], after: 'syn-received' };
}

/** Linux 6.18, tcp_rcv_synsent_state_process, observed: an unacceptable ACK makes the SYN go out again after two jiffies. */
function linuxSynSent(p: Probe): Outcome {
  const outcome = synSent(p);
  return p.hasAck && p.ack !== 1 ? { ...outcome, synAgain: true } : outcome;
}

/** Linux 6.18, tcp_check_req, observed: a SYN in the window ends the request with RST. */
function linuxRequest(p: Probe): Outcome {
  const edge = p.rcvNxt + WINDOW;
  const end = p.seq + p.length;
  const inside = p.seq === p.rcvNxt || (end > p.rcvNxt && p.seq < edge) || (p.seq === edge && p.length === 0);
  if (!inside) return synchronized(p);
  if (p.rst) return p.seq === p.rcvNxt ? { replies: [], after: 'gone' } : acked(p);
  return { replies: [reset(p)], after: 'gone' };
}

/** 3.10.7.4, first: the four cases of an acceptable segment. A RST counts by its number alone. */
function acceptable(p: Probe): boolean {
  const inWindow = (number: number): boolean => number >= p.rcvNxt && number < p.rcvNxt + WINDOW;
  const length = p.rst ? 0 : p.length;
  return inWindow(p.seq) || (length > 0 && inWindow(p.seq + length - 1));
}

/** 3.10.7.4 from SYN-RECEIVED to LAST-ACK. */
function synchronized(p: Probe): Outcome {
  if (p.syn && !p.rst) {
    // The peer did not hear our SYN,ACK: every stack sends it again.
    if (p.state === 'syn-received' && !p.hasAck && !p.fin && p.seq === IRS)
      return { replies: [`S. 0:0(0) ack ${p.rcvNxt}`], after: p.state };
    // RFC 5961 4.2: whatever the number
    return acked(p);
  }
  if (!acceptable(p)) return p.rst ? nothing(p) : acked(p);
  // RFC 5961 3.2
  if (p.rst) return p.seq === p.rcvNxt ? { replies: [], after: 'gone' } : acked(p);
  if (!p.hasAck) return nothing(p);
  const open = p.state === 'syn-received' ? 'established' : p.state;
  if (p.length === 0) return { replies: [], after: open };
  // R9293-41: text and FIN behind the peer's FIN are ignored; an ACK may be sent, and ours is.
  if (finReceived.has(p.state)) return acked(p);
  if (p.seq !== p.rcvNxt) return { replies: [ack(p)], after: open };
  if (!p.fin) return { replies: [ack(p, p.rcvNxt + p.text)], after: open, delayed: true };
  const next = { established: 'close-wait', 'fin-wait-1': 'closing', 'fin-wait-2': 'time-wait' } as const;
  return { replies: [ack(p, p.rcvNxt + 1)], after: next[open as keyof typeof next] };
}

/** Linux 6.18, tcp_validate_incoming and tcp_rcv_state_process, observed. */
function linuxSynchronized(p: Probe): Outcome {
  const halfOpen = p.state === 'syn-received';
  if (halfOpen && (p.syn || p.rst)) return linuxRequest(p);
  if (p.syn && !p.rst) return synchronized(p);
  // Before anything else; a half-open connection looks at the number first
  if (!p.rst && !p.hasAck && !halfOpen) return nothing(p);
  const end = p.seq + p.length;
  const edge = p.rcvNxt + WINDOW;
  const behindFin = finReceived.has(p.state);
  // tcp_sequence: the right edge is inside; what reaches beyond it is taken while nothing waits to be read, be it a FIN
  const fits = end - (p.fin ? 1 : 0) <= edge || (p.seq <= edge && !behindFin);
  if (end < p.rcvNxt || !fits) {
    if (!p.rst) return acked(p);
    // tcp_reset_check: the peer may not count its FIN
    return behindFin && p.seq === p.rcvNxt - 1 ? { replies: [], after: 'gone' } : nothing(p);
  }
  if (p.rst || halfOpen) return p.seq === edge && p.rst ? acked(p) : synchronized({ ...p, ...clipped(p) });
  // Old text is answered; at and behind RCV.NXT nothing is, once the peer has sent its FIN.
  if (behindFin && p.length > 0) return p.seq < p.rcvNxt ? acked(p) : nothing(p);
  return p.length === 0 ? nothing(p) : synchronized(p);
}

/** The right edge as a place inside. */
const clipped = (p: Probe): { seq: number } => ({
  seq: p.length === 0 ? Math.min(p.seq, p.rcvNxt + WINDOW - 1) : p.seq,
});

/** FreeBSD 14, tcp_do_segment, read: it measures text, so the right edge is inside for what has none. */
function freebsdSynchronized(p: Probe): Outcome {
  // syncache_chkrst: a RST that answers a SYN,ACK is bare
  if (p.state === 'syn-received' && p.rst && (p.hasAck || p.syn || p.fin)) return nothing(p);
  const edge = p.seq === p.rcvNxt + WINDOW && p.text === 0;
  if (p.syn || p.rst) return synchronized(p);
  if (edge && !p.hasAck) return nothing(p);
  if (edge && p.length === 0) return synchronized({ ...p, ...clipped(p) });
  const taken = edge || acceptable(p);
  return finReceived.has(p.state) && p.length > 0 && p.hasAck && taken ? nothing(p) : synchronized(p);
}

/** RFC 9293 with RFC 5961: nothing reopens. In the window only the peer's FIN is answered. */
function strictTimeWait(p: Probe): Outcome {
  if (p.syn && !p.rst) return acked(p);
  if (!acceptable(p)) return p.rst ? nothing(p) : acked(p);
  if (p.rst) return p.seq === p.rcvNxt ? { replies: [], after: 'gone' } : acked(p);
  return p.hasAck && p.fin ? acked(p) : nothing(p);
}

/** Linux 6.18, tcp_timewait_state_process, observed. */
function linuxTimeWait(p: Probe): Outcome {
  const exact = p.seq === p.rcvNxt;
  if (p.rst) return exact ? { replies: [], after: 'gone' } : nothing(p);
  if (exact && p.length === 0) return nothing(p);
  if (p.syn && !p.hasAck && p.seq > p.rcvNxt) {
    if (p.fin) return { replies: [], after: 'gone' };
    const iss = p.sndNxt + 65_537;
    return { replies: [`S. ${iss}:${iss}(0) ack ${p.seq + 1}`], after: 'new', iss };
  }
  return acked(p);
}

/** FreeBSD 14, tcp_twcheck with drop_synfin. */
function freebsdTimeWait(p: Probe): Outcome {
  if (p.rst || (p.syn && p.fin)) return nothing(p);
  if (p.syn && !p.hasAck && p.seq > p.rcvNxt)
    return { replies: [`S. 0:0(0) ack ${p.seq + 1}`], after: 'new', iss: 0 };
  if (!p.hasAck) return nothing(p);
  if (p.length === 0 && p.seq === p.rcvNxt) return nothing(p);
  return acked(p);
}

// ---- as scripts ---------------------------------------------------------------------

/** The peer's options on a segment. */
function theirs(flags: string, stamped: boolean): string {
  const stamp = stamped && !flags.includes('R');
  if (flags.includes('S')) return stamp ? ' <mss 1460,nop,nop,TS val 200 ecr 0>' : ' <mss 1460>';
  return stamp ? ' <nop,nop,TS val 200 ecr 0>' : '';
}

/** Ours: a SYN's are those of the system; a RST may echo timestamps or not. */
function ours(flags: string, stamped: boolean): string {
  if (flags.includes('S') || (flags.includes('R') && stamped)) return ' <...>';
  return stamped ? ' <nop,nop,TS val ... ecr 200>' : '';
}

const arrives = (time: string, segment: string, stamped: boolean): string =>
  `${time} < ${segment} win 65535${theirs(segment.split(' ')[0]!, stamped)}`;
const answers = (time: string, segment: string, stamped: boolean): string =>
  `${time} > ${segment}${ours(segment.split(' ')[0]!, stamped)}`;

const P = IRS + 1;

/** How the state is reached: a server, except in SYN-SENT. */
function setup(state: State, stamped: boolean): string[] {
  const inn = (time: string, segment: string): string => arrives(time, segment, stamped);
  const out = (time: string, segment: string): string => answers(time, segment, stamped);
  const lines = [
    '0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3',
    '+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0',
  ];
  if (state === 'closed') return [];
  if (state === 'syn-sent')
    return [
      ...lines,
      '+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)',
      out('+0', 'S 0:0(0)'),
    ];
  lines.push(
    '+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0',
    `+0 setsockopt(3, SOL_SOCKET, SO_RCVBUF, [${BUFFER}], 4) = 0`,
    `+0 setsockopt(3, SOL_TCP, TCP_WINDOW_CLAMP, [${WINDOW}], 4) = 0`,
    `+0 setsockopt(3, SOL_TCP, TCP_MAXSEG, [${stamped ? SEGMENT + STAMP : SEGMENT}], 4) = 0`,
    '+0 bind(3, ..., ...) = 0',
    '+0 listen(3, 5) = 0',
  );
  if (state === 'listen') return lines;
  lines.push(inn('+0', `S ${IRS}:${IRS}(0)`), out('+0', `S. 0:0(0) ack ${P}`));
  if (state === 'syn-received') return lines;
  lines.push(inn('+.1', `. ${P}:${P}(0) ack 1`), '+0 accept(3, ..., ...) = 4');
  const peerFin = (ack: number, reply: string): void =>
    void lines.push(inn('+.01', `F. ${P}:${P}(0) ack ${ack}`), out('+0', reply));
  const ourFin = (upTo: number): void =>
    void lines.push('+.01 shutdown(4, SHUT_WR) = 0', out('+0', `F. 1:1(0) ack ${upTo}`));
  switch (state) {
    case 'close-wait':
    case 'last-ack':
      peerFin(1, `. 1:1(0) ack ${P + 1}`);
      if (state === 'last-ack') ourFin(P + 1);
      break;
    case 'fin-wait-1':
    case 'fin-wait-2':
    case 'closing':
    case 'time-wait':
      ourFin(P);
      if (state === 'closing') peerFin(1, `. 2:2(0) ack ${P + 1}`);
      if (state === 'fin-wait-2' || state === 'time-wait') lines.push(inn('+.01', `. ${P}:${P}(0) ack 2`));
      if (state === 'time-wait') peerFin(2, `. 2:2(0) ack ${P + 1}`);
  }
  return lines;
}

const stateNames: Partial<Record<Outcome['after'], string>> = {
  listen: 'TCP_LISTEN',
  'syn-sent': 'TCP_SYN_SENT',
  'syn-received': 'TCP_SYN_RECV',
  established: 'TCP_ESTABLISHED',
  'fin-wait-1': 'TCP_FIN_WAIT1',
  'fin-wait-2': 'TCP_FIN_WAIT2',
  'close-wait': 'TCP_CLOSE_WAIT',
  closing: 'TCP_CLOSING',
  'last-ack': 'TCP_LAST_ACK',
  gone: 'TCP_CLOSE',
};

/** What shows the state behind the event: its name, or what another segment gets. */
function aftermath(p: Probe, outcome: Outcome, stamped: boolean): string[] {
  const inn = (time: string, segment: string): string => arrives(time, segment, stamped);
  const out = (time: string, segment: string): string => answers(time, segment, stamped);
  const { after } = outcome;
  if (p.state === 'syn-received') {
    // Nobody has a descriptor yet: the handshake goes on, or is over.
    if (after === 'gone') return [inn('+.1', `. ${P}:${P}(0) ack 1`), out('+0', 'R 1:1(0)')];
    const completed = after === 'syn-received' ? [inn('+.1', `. ${P}:${P}(0) ack 1`)] : [];
    return [...completed, `+${completed.length > 0 ? '0' : '.1'} accept(3, ..., ...) = 4`];
  }
  if (p.state === 'time-wait') {
    const finAgain = inn('+.1', `F. ${P}:${P}(0) ack 2`);
    if (after === 'gone') return [finAgain, out('+0', 'R 2:2(0)')];
    if (after === 'time-wait') return [finAgain, out('+0', `. 2:2(0) ack ${P + 1}`)];
    const next = p.seq + 1;
    return [inn('+.1', `. ${next}:${next}(0) ack ${outcome.iss! + 1}`), '+0 accept(3, ..., ...) = 5'];
  }
  if (after === 'time-wait') return [inn('+.1', `F. ${P}:${P}(0) ack 2`), out('+0', `. 2:2(0) ack ${P + 1}`)];
  const name = stateNames[after];
  return [name === undefined ? '+.1 %{ assert True }%' : `+.1 %{ assert tcpi_state == ${name} }%`];
}

function ending(p: Probe, outcome: Outcome, stamped: boolean): string[] {
  const time = outcome.delayed === true ? '+0~+.5' : '+0';
  const replies = outcome.replies.map((reply) => answers(time, reply, stamped));
  // Silence is checked by the last event.
  const last = aftermath(p, outcome, stamped);
  const again = outcome.synAgain === true ? ['+0~+.05 > S 0:0(0) <...>'] : [];
  return [...replies, ...again, ...last, ...(last.at(-1)!.includes('%{') ? [] : ['+.01 %{ assert True }%'])];
}

function conversation(state: State, event: EventName, edge: Edge, stamped: boolean): string[] {
  const p = probeOf(state, event, edge);
  const { flags, length } = events[event];
  const segment = `${flags} ${p.seq}:${p.seq + length}(${length})${p.hasAck ? ` ack ${p.ack}` : ''}`;
  const lines = [
    ...setup(state, stamped),
    '// The event',
    arrives(state === 'closed' ? '0' : '+.01', segment, stamped),
  ];
  const endings = profiles.map((profile) => ending(p, expected(p, profile), stamped).join('\n'));
  if (endings.every((text) => text === endings[0])) return [...lines, endings[0]!];
  profiles.forEach((profile, i) => lines.push(`#ifdef ${profile}`, endings[i]!, '#endif'));
  return lines;
}

export function scriptName(state: State, event: EventName, edge: Edge): string {
  return `rcv-${event}-${state}-${edge}.pkt`;
}

export function script(state: State, event: EventName, edge: Edge): string {
  return [
    `// ${events[event].flags} in ${state.toUpperCase()}, ${edge.replace('-', ' ')}. Written by generate.ts.`,
    '--tolerance_usecs=400000',
    // On a machine that is busy nothing shall be sent twice before the script goes on.
    '0 `sysctl -q net.ipv4.tcp_invalid_ratelimit=0 net.ipv4.tcp_rto_min_us=10000000`',
    '#ifdef timestamps',
    ...conversation(state, event, edge, true),
    '#else',
    ...conversation(state, event, edge, false),
    '#endif',
    '',
  ].join('\n');
}

/** All of them: name and text. */
export function allScripts(): [name: string, text: string][] {
  return states.flatMap((state) =>
    (Object.keys(events) as EventName[]).flatMap((event) =>
      edges.map((edge): [string, string] => [scriptName(state, event, edge), script(state, event, edge)]),
    ),
  );
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const directory = process.argv[2] ?? 'test/conformance';
  for (const [name, text] of allScripts()) writeFileSync(join(directory, name), text);
}
