/**
 * Runs the tests that name requirements and writes docs/conformance.md.
 *
 *     node dist/test/requirements/conformance.js              the page
 *     node dist/test/requirements/conformance.js --missing    only prints what has neither test nor deviation
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeMatrix } from './matrix.js';
import { formatMatrix, formatMissing } from './page.js';
import { root } from './table.js';
import { runTitled } from './titles.js';

const matrix = makeMatrix(await runTitled());
console.log(formatMissing(matrix));
if (!process.argv.includes('--missing'))
  writeFileSync(join(root, 'docs/conformance.md'), formatMatrix(matrix));
