/** Socket options whose scripts the running kernel passes, too (test/kernel/pkt.test.ts). */
import t from 'tap';
import { optionScripts } from './option-scripts.js';
import { verdict } from './run.js';

for (const [name, text] of Object.entries(optionScripts))
  t.test(name, async (t) => {
    t.equal(await verdict(text, { profile: 'linux' }), '');
  });
