import t from 'tap';
import { execFileSync } from 'node:child_process';
import { INLINING } from '../../src/cli/inlining.js';

void t.test('V8 knows the option that asks for more inlining, and its default is less', (t) => {
  const [, name, wanted] = /^--([\w-]+)=(\d+)$/.exec(INLINING)!;
  const options = execFileSync(process.execPath, ['--v8-options'], { encoding: 'utf8' });
  const [, usual] = new RegExp(`--${name} .*\\n.*--${name}=(\\d+)`).exec(options) ?? [];
  t.ok(usual, `${name} is among the options`);
  t.ok(Number(wanted) > Number(usual), `${wanted} > ${usual}`);
  t.end();
});
