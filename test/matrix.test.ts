/**
 * Every MUST and SHOULD of the table has a test that names it or a deviation with a reason, no
 * title names what does not exist, and docs/conformance.md is what a run of these tests gives.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makeMatrix, missing, resultOf } from './requirements/matrix.js';
import { formatMatrix } from './requirements/page.js';
import { root, type Departure, type Requirement } from './requirements/table.js';
import { runTitled, type Titled } from './requirements/titles.js';

const matrix = makeMatrix(await runTitled());

t.test('titles, deviations and code name rows of the table, each departure with its reason', async (t) => {
  t.same(matrix.problems, []);
});

t.test('every MUST and SHOULD has a test or a deviation', async (t) => {
  t.same(
    missing(matrix).map(({ id }) => id),
    [],
  );
});

t.test('the tests that name requirements pass', async (t) => {
  const wrong = matrix.rows.filter((row) => ['fails', 'skipped'].includes(resultOf(row)));
  t.same(
    wrong.map(({ id }) => id),
    [],
  );
});

t.test('docs/conformance.md is what this run gives, but for line numbers', async (t) => {
  const withoutLines = (text: string): string => text.replace(/:\d+\]\(([^)#]*)#L\d+\)/g, ']($1)');
  const page = readFileSync(join(root, 'docs/conformance.md'), 'utf8');
  t.equal(withoutLines(page) === withoutLines(formatMatrix(matrix)), true, 'run: npm run conformance');
});

t.test('what is wrong with a matrix is found', async (t) => {
  const row = (id: string, over: Partial<Requirement> = {}): Requirement => ({
    id,
    rfc: '9293',
    section: '3',
    level: 'MUST',
    area: 'seq',
    marks: [],
    requirement: 'a rule',
    check: 'a check',
    ...over,
  });
  const title = (name: string, ids: string[]): Titled => ({
    path: 'test/a.test.ts',
    titles: [name],
    ids,
    outcome: 'passes',
  });
  const departure = (id: string, over: Partial<Departure> = {}): Departure => ({
    id,
    reason: 'why',
    reference: 'Linux',
    partly: '',
    ...over,
  });
  const judge = (titled: Titled[], table: Requirement[], departures: Departure[]): readonly string[] =>
    makeMatrix(titled, table, departures, new Map()).problems;
  const one = [row('MUST-1')];
  t.same(judge([title('MUST-1: x', ['MUST-1'])], one, []), []);
  t.same(judge([], one, [departure('MUST-1')]), []);
  t.equal(missing(makeMatrix([], one, [], new Map())).length, 1);
  t.equal(missing(makeMatrix([], [row('MAY-1', { level: 'MAY' })], [], new Map())).length, 0);
  t.match(judge([title('MUST-2: x', ['MUST-2'])], one, []), [/names MUST-2, which no row has/]);
  t.match(judge([], one, [departure('MUST-2')]), [/no row has the id MUST-2/]);
  t.match(judge([], one, [departure('MUST-1', { reason: '' })]), [/no reason/]);
  t.match(judge([], one, [departure('MUST-1', { reference: '' })]), [/no reference/]);
  t.same(judge([], [row('R2018-1', { rfc: '2018' })], [departure('R2018-1', { reference: '' })]), []);
  t.match(judge([title('MUST-1: x', ['MUST-1'])], one, [departure('MUST-1')]), [/a deviation and a test/]);
  t.same(judge([title('MUST-1: x', ['MUST-1'])], one, [departure('MUST-1', { partly: 'half' })]), []);
});
