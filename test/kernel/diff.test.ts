/** The differential against the running kernel: the linux profile holds, others are told from it. */
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { parseDeviations } from '../../src/conform/diff/deviations.js';
import { lack, timewait } from './cli.js';
import type { DiffReport } from './diff-report.js';

void t.test('a few hundred random conversations with the kernel', { skip: lack() }, async (t) => {
  const ran = await timewait(['diff', '--seeds', '400', '--seed', '7', '--json']);
  const report = JSON.parse(ran.stdout) as DiffReport;
  t.equal(report.played, 400);
  const unexplained = report.findings.filter(({ deviation }) => deviation === null);
  t.same(
    unexplained.map((finding) => `${finding.signature} | ${finding.case}`),
    [],
  );
  t.equal(ran.status, 0, ran.stderr);
});

void t.test(
  'another profile is told from the kernel, each difference a script',
  { skip: lack() },
  async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'timewait-'));
    t.teardown(() => rmSync(folder, { recursive: true }));
    const args = ['diff', '--seeds', '500', '--profile', 'rfc9293', '--json', '--out', folder];
    const ran = await timewait(args);
    t.equal(ran.status, 1);
    const report = JSON.parse(ran.stdout) as DiffReport;
    const found = report.findings.filter(({ deviation }) => deviation === null);
    t.ok(
      found.some(({ signature }) => /in TIME-WAIT .* to < S seq/.test(signature)),
      'SYNs in TIME-WAIT are judged otherwise',
    );
    for (const { events, signature } of found) t.ok(events <= 8, `${events} events: ${signature}`);
    t.equal(readdirSync(folder).filter((name) => name.endsWith('.pkt')).length, report.findings.length);
    const script = readdirSync(folder).find((name) => name.startsWith('difference-'))!;
    const kernel = await timewait(['pkt', 'run', '--target', 'kernel', join(folder, script)]);
    t.equal(kernel.status, 0, `${script} passes on the kernel: ${kernel.stdout}${kernel.stderr}`);
  },
);

void t.test('no deviation is stale: the example of each shows it', { skip: lack() }, async (t) => {
  for (const { id, pattern, example } of parseDeviations(readFileSync('test/deviations.json', 'utf8'))) {
    const ran = await timewait(['diff', '--json', '--case', example]);
    const { signature } = JSON.parse(ran.stdout) as { signature: string | null };
    t.match(signature, pattern, `${id}: ${example}`);
  }
});
