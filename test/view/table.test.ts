/** Plain tables: columns as wide as their widest cell as it is seen. */
import t from 'tap';
import { colours, noColours, paletteFor } from '../../src/view/colour.js';
import { formatTable, pad, width } from '../../src/view/table.js';

t.test('columns line up, numbers to the right, no blanks at the end of a line', async (t) => {
  const text = formatTable(
    [{ title: 'name' }, { title: 'n', right: true }, { title: 'what' }],
    [
      ['a', '1', ''],
      ['longer', '12345', 'x'],
    ],
  );
  t.same(text.split('\n'), [
    'name        n  what',
    '------  -----  ----',
    'a           1',
    'longer  12345  x',
  ]);
});

t.test('a table without rows is its head', async (t) => {
  t.equal(formatTable([{ title: 'a' }, { title: 'bc' }], []), 'a  bc\n-  --');
});

t.test('colours take no width', async (t) => {
  t.equal(width(colours.bad('abc')), 3);
  t.equal(pad(colours.good('abc'), 5), `${colours.good('abc')}  `);
  t.equal(pad(colours.good('abc'), 5, true), `  ${colours.good('abc')}`);
  const plain = [['one', '1'] as const, ['three', '333'] as const];
  const columns = [{ title: 'word' }, { title: 'n', right: true }];
  const painted = formatTable(
    columns,
    plain.map(([word, n]) => [colours.strong(word), colours.bad(n)]),
  );
  const seen = painted.replaceAll(/\u001b\[\d+m/g, '');
  t.equal(seen, formatTable(columns, plain));
  t.not(seen, painted);
});

t.test('colours for terminals only, and not when NO_COLOR says something', async (t) => {
  t.equal(paletteFor(true, {}), colours);
  t.equal(paletteFor(true, { NO_COLOR: '' }), colours);
  t.equal(paletteFor(true, { NO_COLOR: '1' }), noColours);
  t.equal(paletteFor(false, {}), noColours);
});
