/**
 * Writes the generated pages of docs/: `npm run docs`. Tests fail when one is stale.
 */
import { writeFileSync } from 'node:fs';
import { pages } from '../dist/src/cli/pages.js';

for (const [name, text] of await pages()) writeFileSync(new URL(name, import.meta.url), text);
