/** What `timewait explain` prints: tuples as a table, one tuple as a ladder with its reasons, both as data. */
import { ACK, RST, SYN } from '../wire/segment.js';
import { rungsOfExchange, toneOf } from './capture.js';
import { noColours, type Palette } from './colour.js';
import { formatEnd, formatTuple, stretchAt, type Exchange } from './exchange.js';
import { formatLadder, formatSpan, type Rung } from './ladder.js';
import { Observed } from './observe.js';
import { formatTable } from './table.js';

/** Silence from here on is shown in the ladder, ms. */
const GAP = 1000;

/** More connections than these are not told one by one. */
const FEW = 3;

/** One tuple in short. Times in ms since the first packet of the file. */
export interface TupleSummary {
  /** LOCAL-REMOTE as `--tuple` takes it. */
  readonly tuple: string;
  /** Section of the file, from 1. */
  readonly section: number;
  readonly packets: number;
  readonly first: number;
  readonly last: number;
  /** Connections that used the tuple. */
  readonly connections: number;
  /** What became of it, as far as the packets show. */
  readonly state: string;
  /** Ids of the reasons in the packets' comments, by how often. */
  readonly decisions: Readonly<Record<string, number>>;
  /** What a policy says, where one was asked. */
  readonly verdicts?: string;
}

export function summarizeTuple(exchange: Exchange, start: number): TupleSummary {
  const { seen } = exchange;
  const decisions: Record<string, number> = {};
  seen.forEach(({ comment, inbound }, i) => {
    // An answer carries the reason of what it answers: one decision.
    const before = seen[i - 1];
    if (!inbound && before?.inbound === true && before.comment === comment) return;
    for (const id of reasonIds(comment)) decisions[id] = (decisions[id] ?? 0) + 1;
  });
  return {
    tuple: formatTuple(exchange.local, exchange.remote),
    section: exchange.section + 1,
    packets: seen.length,
    first: (seen[0]?.at ?? start) - start,
    last: (seen.at(-1)?.at ?? start) - start,
    connections: exchange.stretches.length,
    state: stateOf(exchange),
    decisions,
  };
}

/** `tw-syn-low` of `tw-syn-low: dropped ... [source]`, of each line. A foreign comment has none. */
export function reasonIds(comment: string): string[] {
  return comment.split('\n').flatMap((line) => {
    const found = /^([a-z0-9]+(?:-[a-z0-9]+)*): .* \[[^\]]+\]$/.exec(line);
    return found === null ? [] : [found[1]!];
  });
}

/** Each connection in a few words, and the SYNs in between that opened nothing. */
function stateOf(exchange: Exchange): string {
  const { stretches, seen } = exchange;
  const parts = stretches.map((stretch, n) => {
    const own = seen.slice(stretch.start, stretches[n + 1]?.start ?? seen.length);
    const observed = new Observed();
    let refused = 0;
    let answeredReset = false;
    let syns = 0;
    let others = 0;
    for (const { segment, inbound, at } of own) {
      if (segment === null) continue;
      observed.take(segment, inbound, at);
      if ((segment.flags & (SYN | ACK)) === SYN) {
        const opening = segment.seq === (inbound ? stretch.remoteIss : stretch.localIss);
        if (stretch.opened && !opening) refused++;
        else if (!stretch.opened) syns++;
      }
      if ((segment.flags & RST) !== 0) answeredReset = true;
      else if ((segment.flags & SYN) === 0) others++;
    }
    const words: string[] = [];
    const nothing = !stretch.opened && syns > 0 && others === 0;
    if (nothing) {
      words.push(
        answeredReset ? 'SYN refused (RST)' : syns > 1 ? `${syns} SYNs unanswered` : 'SYN unanswered',
      );
    } else words.push(connectionState(exchange, observed, own));
    if (refused > 0) words.push(refused > 1 ? `${refused} SYNs refused` : 'SYN refused');
    return { words: words.join(', '), nothing };
  });
  const [first, ...later] = parts.map(({ words }) => words);
  const opened = parts[0]?.nothing === true;
  if (parts.length > FEW)
    return `${first}; ${opened ? 'opened' : 'reopened'} ${later.length} times, the last: ${later.at(-1)}`;
  return [first, ...later.map((words, i) => `${opened && i === 0 ? 'opened' : 'reopened'}: ${words}`)].join(
    '; ',
  );
}

function connectionState(exchange: Exchange, observed: Observed, own: Exchange['seen']): string {
  const holders = (['local', 'remote'] as const).filter((side) => observed.timeWaitAt[side] !== null);
  if (holders.length > 0) {
    // That a RST ended it is not to be seen on the wire: other systems ignore the same RST
    const killed = own.some(({ comment }) => reasonIds(comment).some((id) => id.startsWith('tw-rst-kill')));
    const ends = holders.map((side) => formatEnd(exchange[side])).join(' and ');
    return `TIME-WAIT at ${ends}${killed ? ', killed by a RST' : ''}`;
  }
  if (observed.resetBy !== null) return `reset by ${formatEnd(exchange[observed.resetBy])}`;
  if (observed.closed) return 'closed';
  if (observed.local.finEnd !== null || observed.remote.finEnd !== null) return 'closing';
  return 'open';
}

export function formatTuples(
  summaries: readonly TupleSummary[],
  { palette = noColours, columns }: ExplainLook = {},
): string {
  const verdicts = summaries.some((s) => s.verdicts !== undefined);
  const sections = summaries.some(({ section }) => section !== summaries[0]?.section);
  return formatTable(
    [
      { title: 'tuple (ours-theirs)' },
      ...(sections ? [{ title: 'section', right: true }] : []),
      { title: 'packets', right: true },
      { title: 'first', right: true },
      { title: 'last', right: true },
      { title: 'what became of it', wraps: true },
      { title: 'decisions', wraps: true },
      ...(verdicts ? [{ title: 'verdicts', wraps: true }] : []),
    ],
    summaries.map((s) => [
      palette.strong(s.tuple),
      ...(sections ? [String(s.section)] : []),
      String(s.packets),
      formatSpan(s.first),
      formatSpan(s.last),
      s.state,
      Object.entries(s.decisions)
        .map(([id, count]) => (count > 1 ? `${count} ${id}` : id))
        .join(', '),
      ...(verdicts ? [s.verdicts ?? ''] : []),
    ]),
    columns,
  );
}

export interface ExplainLook {
  readonly palette?: Palette;
  /** Columns of the terminal; default: as wide as it needs. */
  readonly columns?: number;
  /** Numbers as on the wire. */
  readonly raw?: boolean;
}

/** The ladder of one tuple. On a narrow terminal timestamps go first. */
export function formatExchange(
  exchange: Exchange,
  look: ExplainLook = {},
  also: (index: number) => string = () => '',
): string {
  const palette = look.palette ?? noColours;
  const options = {
    left: formatEnd(exchange.remote),
    right: formatEnd(exchange.local),
    palette,
    gap: GAP,
    toneOf,
    ...(look.columns === undefined ? {} : { columns: look.columns }),
  };
  const draw = (stamps: 'raw' | 'relative' | 'none'): string =>
    formatLadder(
      rungsOfExchange(exchange, { stamps }).map((rung, i) => withMore(rung, also(i))),
      options,
    );
  const stamps = look.raw === true ? 'raw' : 'relative';
  const whole = draw(stamps);
  if (look.columns === undefined || widest(exchange, stamps) <= look.columns) return whole;
  const bare = draw('none');
  return bare === whole
    ? whole
    : `${bare}\n${palette.dim('Timestamps do not fit into this terminal: pipe the output to see them.')}`;
}

function withMore(rung: Rung, more: string): Rung {
  if (more === '') return rung;
  return { ...rung, comment: rung.comment === '' ? more : `${rung.comment}\n${more}` };
}

function widest(exchange: Exchange, stamps: 'raw' | 'relative'): number {
  const rungs = rungsOfExchange(exchange, { stamps });
  const [longest, digits] = rungs.reduce(
    ([most, wide], { segment, frame }) => [
      Math.max(most, segment.length),
      Math.max(wide, String(frame ?? '').length),
    ],
    [0, 0],
  );
  // Time, number and what stands around them; arrow heads.
  return longest + 11 + digits + 3 + 10;
}

/** One rung as data. */
export interface ExplainedSegment {
  readonly packet: number;
  /** ms since the first packet of the tuple. */
  readonly time: number;
  readonly connection: number;
  readonly inbound: boolean;
  /** In notation, numbers relative as in the ladder. */
  readonly segment: string;
  readonly comment: string;
  readonly reasons: readonly string[];
}

export function explainedSegments(exchange: Exchange, raw = false): ExplainedSegment[] {
  return rungsOfExchange(exchange, { stamps: raw ? 'raw' : 'relative' }).map((rung, i) => {
    const { frame, inbound, comment } = exchange.seen[i]!;
    return {
      packet: frame,
      time: Math.round(rung.time * 1e6) / 1e6,
      connection: stretchAt(exchange, i) + 1,
      inbound,
      segment: rung.segment,
      comment,
      reasons: reasonIds(comment),
    };
  });
}
