/** Every policy against every row of the matrix; see matrix/runner.ts for the codes. */
import t from 'tap';
import { findPolicy, policies } from '../../src/timewait/policies/registry.js';
import { columns as bsd } from './matrix/bsd.js';
import { columns as linux } from './matrix/linux.js';
import { columns as others } from './matrix/others.js';
import { columns as rfc } from './matrix/rfc.js';
import { remarks, runColumn, type Column } from './matrix/runner.js';
import { columns as windows } from './matrix/windows.js';

const columns: readonly Column[] = [...rfc, ...bsd, ...linux, ...windows, ...others];
const titled = (column: Column): string =>
  column.variant === undefined ? column.policy : `${column.policy}, ${column.variant}`;

void t.test('every policy has a column, every column a policy', (t) => {
  for (const { name } of policies)
    t.ok(
      columns.some(({ policy }) => policy === name),
      name,
    );
  for (const column of columns) t.ok(findPolicy(column.policy) !== null, titled(column));
  t.equal(new Set(columns.map(titled)).size, columns.length, 'no column twice');
  t.end();
});

void t.test('a deviation says why; what no source confirms is written on the policy', (t) => {
  for (const column of columns) {
    for (const [where, cell] of remarks(column)) {
      if (cell.deviation !== undefined) t.ok(cell.deviation.length > 10, `${titled(column)} ${where}`);
      if (cell.unverified === true)
        t.ok(findPolicy(column.policy)!.unverified.length > 0, `${titled(column)} ${where}`);
    }
  }
  t.end();
});

for (const column of columns) {
  void t.test(titled(column), (t) => {
    runColumn(t, column);
    t.end();
  });
}
