/**
 * Makes a picture of what a command prints on a terminal, from standard input to standard output:
 *
 *     script -qc 'stty cols 160; node dist/lib/cli/main.js demo 2>/dev/null' /dev/null | node docs/picture.mjs >docs/demo.svg
 */
import { readFileSync } from 'node:fs';

const [CHARACTER, LINE, MARGIN] = [7.232, 16, 12];
const PLAIN = 'fill="#d5d9e0"';
/** By the number of an escape sequence: bold, dim, red, green. */
const STYLES = {
  0: PLAIN,
  1: 'fill="#ffffff" font-weight="bold"',
  2: 'fill="#8b93a1"',
  31: 'fill="#e06c75"',
  32: 'fill="#7ec699"',
};

const text = readFileSync(0, 'utf8').replaceAll('\r', '').trimEnd();
const ESCAPE = new RegExp(`${String.fromCharCode(27)}\\[(\\d+)m`);
const lines = text.split('\n').map((line) => {
  let [style, from] = [PLAIN, 0];
  return line.split(ESCAPE).flatMap((part, i) => {
    if (i % 2 === 1) style = STYLES[part] ?? PLAIN;
    if (i % 2 === 1 || part === '') return [];
    const span = { style, part, from };
    from += part.length;
    return [span];
  });
});
const columns = Math.max(
  ...lines.map((parts) => (parts.at(-1)?.from ?? 0) + (parts.at(-1)?.part.length ?? 0)),
);
const escaped = (part) => part.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
const drawn = lines.map((parts, i) => {
  const spans = parts.map(
    ({ style, part, from }) =>
      `<tspan x="${(MARGIN + CHARACTER * from).toFixed(1)}" ${style}>${escaped(part)}</tspan>`,
  );
  return spans.length === 0
    ? ''
    : `<text y="${24 + LINE * i}" xml:space="preserve">${spans.join('')}</text>\n`;
});
const [width, height] = [Math.ceil(2 * MARGIN + CHARACTER * columns), 24 + LINE * lines.length];
process.stdout.write(
  `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="12">
<rect width="100%" height="100%" rx="6" fill="#16181d"/>
${drawn.join('')}</svg>
`,
);
