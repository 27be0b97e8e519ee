/** Each requirement beside the tests that name it, its departure and its code; and what is wrong with that. */
import {
  codePlaces,
  isBinding,
  readDepartures,
  readTable,
  type Departure,
  type Place,
  type Requirement,
} from './table.js';
import type { Titled } from './titles.js';

export interface Row extends Requirement {
  readonly tests: readonly Titled[];
  readonly departure: Departure | null;
  readonly places: readonly Place[];
}

export interface Matrix {
  readonly rows: readonly Row[];
  /** Names that no row has, departures without a reason or a reference, rows with both. */
  readonly problems: readonly string[];
}

export function makeMatrix(
  titled: readonly Titled[],
  table: readonly Requirement[] = readTable(),
  departures: readonly Departure[] = readDepartures(),
  places: ReadonlyMap<string, readonly Place[]> = codePlaces(),
): Matrix {
  const tests = new Map<string, Titled[]>(table.map(({ id }) => [id, []]));
  const problems: string[] = [];
  if (tests.size !== table.length) problems.push('an id stands twice in the table');
  for (const one of titled) {
    for (const id of one.ids) {
      const list = tests.get(id);
      if (list !== undefined) list.push(one);
      else problems.push(`${one.path}: "${one.titles.at(-1)}" names ${id}, which no row has`);
    }
  }
  const known = new Map<string, Departure>();
  for (const departure of departures) {
    const { id } = departure;
    if (!tests.has(id)) problems.push(`deviations.json: no row has the id ${id}`);
    if (known.has(id)) problems.push(`deviations.json: ${id} stands twice`);
    known.set(id, departure);
  }
  for (const [id, where] of places)
    if (!tests.has(id)) problems.push(`${where[0]!.path}:${where[0]!.line}: no row has the id ${id}`);
  const rows = table.map((row) => ({
    ...row,
    tests: tests.get(row.id)!,
    departure: known.get(row.id) ?? null,
    places: places.get(row.id) ?? [],
  }));
  return { rows, problems: [...problems, ...rows.flatMap(wrongWith)] };
}

/** A departure says why; it stands beside a test only with what that test shows. */
function wrongWith({ id, rfc, level, departure, tests }: Row): string[] {
  if (departure === null) return [];
  const { reason, reference, partly } = departure;
  const wrong: string[] = [];
  if (reason === '') wrong.push(`deviations.json: ${id} has no reason`);
  if (reference === '' && rfc === '9293' && level.startsWith('MUST'))
    wrong.push(`deviations.json: ${id} is a ${level} of RFC 9293 and has no reference`);
  if (tests.length > 0 && partly === '')
    wrong.push(`${id} has a deviation and a test, "${tests[0]!.titles.join(' > ')}"; "partly" must say how`);
  if (tests.length === 0 && partly !== '')
    wrong.push(`deviations.json: ${id} holds partly, but no test names it`);
  return wrong;
}

/** Rows that bind and have neither a test nor a departure. */
export function missing({ rows }: Matrix): Row[] {
  return rows.filter((row) => isBinding(row) && row.tests.length === 0 && row.departure === null);
}

/** What a row came to, over all its tests. */
export function resultOf(row: Row): string {
  const outcomes = new Set(row.tests.map(({ outcome }) => outcome));
  if (outcomes.has('fails')) return 'fails';
  if (outcomes.has('passes')) return row.departure === null ? 'passes' : 'passes, partly';
  if (row.departure !== null) return 'deviates';
  if (outcomes.has('skipped')) return 'skipped';
  return isBinding(row) ? 'missing' : '';
}
