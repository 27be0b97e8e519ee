/**
 * The search for differences: random cases in batches on both sides, one case of each kind of
 * difference shrunk, what is known told from what is not.
 */
import type { DiffCase, Observation } from './case.js';
import {
  counterDifference,
  firstDifference,
  groupOf,
  rankOf,
  signature,
  type Difference,
  type Numbers,
} from './compare.js';
import { candidates, mechanisms, type Deviation, type Mechanism } from './deviations.js';
import { sequence, simpler } from './generate.js';
import { SYN_TIMEOUT, Tuples, inManner, play, type Side } from './play.js';
import { storyText } from './words.js';

export interface SearchOptions {
  /** What is right. */
  readonly judge: Side;
  /** A fresh side of what is tested; it holds nothing between batches. */
  readonly subject: () => Side;
  readonly deviations: readonly Deviation[];
  /** Cases in all, and random events in each. */
  readonly seeds: number;
  readonly events: number;
  readonly seed: number;
  /** Cases at once. */
  readonly batch: number;
  /** Kinds of difference that are shrunk at most; more are only counted. */
  readonly findings: number;
  /** True: enough time went by. */
  readonly over?: () => boolean;
  readonly progress?: (played: number, differing: number) => void;
}

export interface Finding {
  readonly one: DiffCase;
  readonly difference: Difference;
  readonly signature: string;
  readonly deviation: Deviation | null;
  /** Cases of the run that showed the same, and the number of one of them. */
  count: number;
  readonly number: number;
  readonly judge: Observation;
  readonly subject: Observation;
}

export interface SearchResult {
  readonly played: number;
  readonly differing: number;
  /** Differences that did not show again when the case was repeated. */
  readonly unsteady: number;
  readonly findings: readonly Finding[];
  /** Ids of the deviations that explained nothing. */
  readonly unseen: readonly string[];
  /** Kinds of difference that were not shrunk for their number. */
  readonly unexamined: number;
}

interface Differing {
  readonly one: DiffCase;
  readonly difference: Difference;
  readonly judge: Observation;
  readonly subject: Observation;
  readonly signature: string;
}

/** A batch on both sides; what differs but for counters, which are those of the whole batch. */
interface Played {
  readonly found: Differing[];
  readonly judge: readonly Observation[];
  readonly subject: readonly Observation[];
  readonly judgeCounters: Numbers;
  readonly subjectCounters: Numbers;
}

type Numbered = Differing & { readonly number: number };

/** Differences that look alike, and the cases that show them earliest, the very first one in front. */
interface Kind {
  count: number;
  earliest: Numbered[];
}

function addKind(kinds: Map<string, Kind>, one: Numbered): void {
  const group = groupOf(one.signature);
  const known = kinds.get(group);
  if (known === undefined) kinds.set(group, { count: 1, earliest: [one] });
  else {
    known.count++;
    known.earliest.push(one);
    known.earliest.sort((a, b) => a.difference.step - b.difference.step);
    known.earliest.length = Math.min(known.earliest.length, EXAMPLES);
  }
}

function isOfRank({ difference }: Differing, rank: number): boolean {
  return rankOf(difference.kind) <= rank;
}

function joined(a: DiffCase[][], b: DiffCase[][]): DiffCase[][] {
  return a.map((list, i) => [...list, ...b[i]!]);
}

/** Candidates of one case in a round of shrinking, and rounds. */
const CANDIDATES = 64;
const ROUNDS = 40;
/** How often a case is played alone until it is quick enough. */
const TURNS = 3;
/** Cases of a kind that are tried one after the other until one shows the difference again. */
const EXAMPLES = 3;
/** Cases of a batch that are searched for by their counters at most. */
const CULPRITS = 2;

export class Search {
  private readonly tuples = new Tuples();
  private readonly found: Numbered[] = [];
  private readonly subjectName: string;
  private played = 0;
  private unsteady = 0;
  private unexamined = 0;
  /** ms that the judge took for the batch played last. */
  private lasted = 0;

  constructor(private readonly options: SearchOptions) {
    this.subjectName = options.subject().name;
  }

  async run(): Promise<SearchResult> {
    const { options } = this;
    const caseAt = sequence(options.seed, options.events);
    while (this.played < options.seeds && options.over?.() !== true) {
      const length = Math.min(options.batch, options.seeds - this.played);
      const batch = Array.from({ length }, (_, i) => caseAt(this.played + i));
      await this.collect(batch);
      options.progress?.(this.played, this.found.length);
    }
    const findings = await this.judgeAll();
    const seen = new Set(findings.map(({ deviation }) => deviation?.id));
    const unseen = options.deviations.map(({ id }) => id).filter((id) => !seen.has(id));
    return {
      unseen,
      played: this.played,
      differing: this.found.length,
      unsteady: this.unsteady,
      findings,
      unexamined: this.unexamined,
    };
  }

  private async collect(batch: readonly DiffCase[]): Promise<void> {
    for (const one of await this.differences(batch, CULPRITS))
      this.found.push({ ...one, number: this.played + batch.indexOf(one.one) });
    this.played += batch.length;
  }

  /**
   * Those of the cases that differ, each with its signature. Counters are of a whole batch: the cases
   * that differ otherwise are taken out, and where the rest differs in sum, halves of it tell which case it is:
   * `culprits` at most, 0: nobody asks for counters.
   */
  private async differences(batch: readonly DiffCase[], culprits: number): Promise<Differing[]> {
    const whole = await this.playBoth(batch);
    const found = whole.found;
    if (culprits === 0 || found.length === batch.length) return found;
    if (found.length === 0) return this.byCounters(batch, whole, culprits);
    const parted = new Set(found.map(({ one }) => one));
    const rest = batch.filter((one) => !parted.has(one));
    return [...found, ...(await this.byCounters(rest, await this.playBoth(rest), culprits))];
  }

  /** At most `most` of the cases whose counters differ. `played` null: those of some must, they were played with others. */
  private async byCounters(
    cases: readonly DiffCase[],
    played: Played | null,
    most: number,
  ): Promise<Differing[]> {
    if (cases.length === 1) played ??= await this.playBoth(cases);
    if (played !== null) {
      const last = cases[0]!.events.length - 1;
      const difference = counterDifference(last, played.judgeCounters, played.subjectCounters);
      if (difference === null) return [];
      if (cases.length === 1)
        return [this.differing(cases[0]!, difference, played.judge[0]!, played.subject[0]!)];
    }
    const middle = cases.length >> 1;
    const [first, second] = [cases.slice(0, middle), cases.slice(middle)];
    const culprits = await this.byCounters(first, await this.playBoth(first), most);
    if (culprits.length === most) return culprits;
    const playedSecond = culprits.length === 0 ? null : await this.playBoth(second);
    return [...culprits, ...(await this.byCounters(second, playedSecond, most - culprits.length))];
  }

  private async playBoth(batch: readonly DiffCase[]): Promise<Played> {
    const { judge } = this.options;
    const subject = this.options.subject();
    const ends = batch.map((one) => this.tuples.next(one.version));
    const manner = inManner();
    const before = await judge.counters();
    const expected = await play(judge, batch, ends, manner);
    const after = await judge.counters();
    this.lasted = manner.steps.reduce((sum, ms) => sum + ms, 0);
    const got = await play(subject, batch, ends, manner);
    const found = batch.flatMap((one, i) => {
      const difference = firstDifference(expected[i]!, got[i]!);
      return difference === null ? [] : [this.differing(one, difference, expected[i]!, got[i]!)];
    });
    return {
      found,
      judge: expected,
      subject: got,
      judgeCounters: new Map([...after].map(([name, value]) => [name, value - before.get(name)!])),
      subjectCounters: await subject.counters(),
    };
  }

  private differing(
    one: DiffCase,
    difference: Difference,
    judge: Observation,
    subject: Observation,
  ): Differing {
    const state = subject.steps[difference.step - 1]?.state ?? 'CLOSED';
    const names = [this.options.judge.name, this.subjectName] as const;
    return { one, difference, judge, subject, signature: signature(one, difference, state, names) };
  }

  /** What is known needs no shrinking; of the kinds that are not the most frequent come first. */
  private async judgeAll(): Promise<Finding[]> {
    const results = new Map<string, Finding>();
    const add = (one: Differing, deviation: Deviation | null, count: number, number: number): void => {
      const group = deviation?.id ?? groupOf(one.signature);
      const known = results.get(group);
      if (known !== undefined) known.count += count;
      else results.set(group, { ...one, deviation, count, number });
    };
    const deviations = await this.explain(this.found);
    const kinds = new Map<string, Kind>();
    for (const [i, one] of this.found.entries()) {
      const deviation = deviations[i]!;
      if (deviation !== null) add(one, deviation, 1, one.number);
      else addKind(kinds, one);
    }
    const unknown = [...kinds.values()].sort((a, b) => b.count - a.count);
    const most = this.options.findings;
    this.unexamined = Math.max(0, unknown.length - most);
    let open = unknown.slice(0, most);
    for (let example = 0; open.length > 0; example++) {
      const shortest = await this.shrink(open.map(({ earliest }) => earliest[example]!));
      for (const [i, one] of shortest.entries())
        if (one !== null) add(one, null, open[i]!.count, open[i]!.earliest[example]!.number);
      const unseen = open.filter((_, i) => shortest[i] === null);
      open = unseen.filter(({ earliest }) => example + 1 < earliest.length);
      this.unsteady += unseen.length - open.length;
    }
    return [...results.values()].sort((a, b) => b.count - a.count);
  }

  /** The deviation that explains each, or null. Where it takes an experiment, the case is played again. */
  private async explain(found: readonly Differing[]): Promise<(Deviation | null)[]> {
    const possible = found.map(({ one, difference, signature: text }) =>
      candidates(this.options.deviations, text, storyText(one, difference.step)),
    );
    const verdicts = possible.map((list) => list.find(({ without }) => without === null) ?? null);
    for (const mechanism of mechanisms) {
      const open = verdicts.flatMap((verdict, i) => {
        const deviation = possible[i]!.find(({ without }) => without === mechanism);
        return verdict === null && deviation !== undefined ? [{ i, deviation }] : [];
      });
      for (let at = 0; at < open.length; at += this.options.batch) {
        const part = open.slice(at, at + this.options.batch);
        const gone = await this.goneWithout(
          mechanism,
          part.map(({ i }) => found[i]!),
        );
        for (const [k, { i, deviation }] of part.entries()) if (gone[k] === true) verdicts[i] = deviation;
      }
    }
    return verdicts;
  }

  /** For each: without the mechanism nothing differs, or something else, later. */
  private async goneWithout(mechanism: Mechanism, found: readonly Differing[]): Promise<boolean[]> {
    const batch = found.map(({ one }) => one);
    const ends = batch.map((one) => this.tuples.next(one.version));
    const manner = inManner(mechanism);
    const expected = await play(this.options.judge, batch, ends, manner);
    const got = await play(this.options.subject(), batch, ends, manner);
    return found.map(({ difference }, i) => {
      const again = firstDifference(expected[i]!, got[i]!);
      return again === null || again.step > difference.step;
    });
  }

  /**
   * For each the shortest case that still shows a difference of its rank or above that nobody has
   * explained; null: it does not show again. All candidates of a round are played at once.
   */
  private async shrink(starts: readonly Differing[]): Promise<(Differing | null)[]> {
    const cut = starts.map(({ one, difference }) => ({
      ...one,
      events: one.events.slice(0, difference.step + 1),
    }));
    // A state or an error at the end may need the events behind
    const whole = starts.map(({ one }) => one);
    const ranks = starts.map(({ difference }) => rankOf(difference.kind));
    const both = [cut, whole].map((tries) => tries.map((one) => [one])).reduce(joined);
    const steady = await this.confirmed(await this.firstOfEach(both, ranks), ranks);
    let best = steady;
    let open = best.map((one, i) => (one === null ? -1 : i)).filter((i) => i >= 0);
    for (let round = 0; open.length > 0 && round < ROUNDS; round++) {
      const tries = open.map((i) => [...simpler(best[i]!.one)].slice(0, CANDIDATES));
      const better = await this.firstOfEach(
        tries,
        open.map((i) => ranks[i]!),
      );
      best = [...best];
      for (const [k, i] of open.entries()) best[i] = better[k] ?? best[i]!;
      open = open.filter((_, k) => better[k] !== null);
    }
    // What is shorter may show no more than a busy machine
    const shorter = best.map((one, i) => (one === steady[i] ? null : one));
    const short = await this.confirmed(shorter, ranks);
    return steady.map((one, i) => short[i] ?? one);
  }

  /**
   * Those that show an unexplained difference of their rank or above within a time in which no SYN is resent: among hundreds on a busy machine a
   * step may last so long that it depends on luck whether a segment comes before a timer. Too slow together, they are
   * played by halves, at last alone; what only a counter shows is alone from the start, as others would change it, too.
   */
  private async confirmed(
    list: readonly (Differing | null)[],
    ranks: readonly number[],
  ): Promise<(Differing | null)[]> {
    const result = list.map((): Differing | null => null);
    const groups: number[][] = [[]];
    for (const [i, one] of list.entries())
      if (one?.difference.kind === 'counter') groups.push([i]);
      else if (one !== null) groups[0]!.push(i);
    for (let group = groups.pop(); group !== undefined; group = groups.pop()) {
      const cases = group.map((i) => list[i]!.one);
      const found = await this.quickly(cases);
      if (found === null) {
        const middle = group.length >> 1;
        groups.push(group.slice(0, middle), group.slice(middle));
      } else
        for (const [k, i] of group.entries())
          result[i] = found.find((shown) => shown.one === cases[k] && isOfRank(shown, ranks[i]!)) ?? null;
    }
    return result;
  }

  /** null: it took too long. One alone gets some turns, of which the last counts however long it takes. */
  private async quickly(cases: readonly DiffCase[]): Promise<Differing[] | null> {
    if (cases.length === 0) return [];
    const alone = cases.length === 1;
    for (let turn = 1; ; turn++) {
      const found = await this.unexplained(cases, alone ? 1 : 0);
      if (this.lasted < SYN_TIMEOUT) return found;
      if (!alone) return null;
      if (found.length === 0 || turn === TURNS) return found;
    }
  }

  /** The first candidate of each list that shows an unexplained difference of that rank or above. */
  private async firstOfEach(
    lists: readonly (readonly DiffCase[])[],
    ranks: readonly number[],
  ): Promise<(Differing | null)[]> {
    const found = new Map<DiffCase, Differing>();
    const examine = async (cases: readonly DiffCase[], culprits: number): Promise<void> => {
      for (let at = 0; at < cases.length; at += this.options.batch)
        for (const one of await this.unexplained(cases.slice(at, at + this.options.batch), culprits))
          found.set(one.one, one);
    };
    const byCounter = lists.map((_, i) => ranks[i] === rankOf('counter'));
    await examine(lists.filter((_, i) => !byCounter[i]).flat(), 0);
    // Counters are of all cases that are played: one list's must not hide another's. The first culprit is the one that is wanted
    for (const list of lists.filter((_, i) => byCounter[i])) await examine(list, 1);
    return lists.map((list, i) => {
      const shown = list.flatMap((one) => found.get(one) ?? []);
      return shown.find((one) => isOfRank(one, ranks[i]!)) ?? null;
    });
  }

  private async unexplained(cases: readonly DiffCase[], culprits: number): Promise<Differing[]> {
    const found = await this.differences(cases, culprits);
    const deviations = await this.explain(found);
    return found.filter((_, i) => deviations[i] === null);
  }
}
