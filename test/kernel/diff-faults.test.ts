/** The differential against the running kernel: a planted fault does not go unseen. */
import t from 'tap';
import { lack, timewait } from './cli.js';
import type { DiffReport } from './diff-report.js';
import { withFault } from './faulty.js';

/** One comparison each, and what shows it. */
const FAULTS: readonly (readonly [module: string, correct: string, wrong: string, shows: RegExp])[] = [
  ['tcp/acceptable.js', 'if (seq === tcb.rcvNxt)', 'if (seq !== tcb.rcvNxt)', /to < (R|SR)\.? seq/],
  [
    'timewait/policies/linux-rules.js',
    'if (after(seq, rcvNxt) || newer)',
    'if (before(seq, rcvNxt) || newer)',
    /in TIME-WAIT .* to < S seq/,
  ],
  [
    'tcp/input.js',
    'ctx.counters.bump(Mib.TcpExtTCPSYNChallenge)',
    'ctx.counters.add(Mib.TcpExtTCPSYNChallenge, 0)',
    /^counter .*TcpExtTCPSYNChallenge/,
  ],
  ['tcp/window.js', 'last <= free - mss', 'last >= free - mss', /^window /],
];

for (const [module, correct, wrong, shows] of FAULTS) {
  void t.test(`a planted fault is found and shrunk: ${wrong} in ${module}`, { skip: lack() }, async (t) => {
    const faulty = withFault(module, correct, wrong);
    t.teardown(() => faulty.remove());
    const args = ['diff', '--seeds', '200', '--seed', '3', '--json', '--out', faulty.folder];
    const ran = await timewait(args, faulty.main);
    t.equal(ran.status, 1, ran.stderr);
    const report = JSON.parse(ran.stdout) as DiffReport;
    const found = report.findings.filter(
      ({ deviation, signature }) => deviation === null && shows.test(signature),
    );
    t.ok(found.length > 0, 'the fault shows');
    for (const { events, signature } of found) t.ok(events <= 8, `${events} events: ${signature}`);
    // The script shows it: the kernel passes, the faulty stack fails, the sound one passes. It says nothing of windows and counters
    const { script, signature } = found[0]!;
    if (/^(window|counter) /.test(signature)) return;
    const judged = await timewait(['pkt', 'run', '--target', 'kernel', script]);
    t.equal(judged.status, 0, `${script} on the kernel: ${judged.stdout}${judged.stderr}`);
    const wronged = await timewait(['pkt', 'run', '--profile', 'linux', script], faulty.main);
    t.equal(wronged.status, 1, `${script} on the faulty stack`);
    const sound = await timewait(['pkt', 'run', '--profile', 'linux', script]);
    t.equal(sound.status, 0, `${script} on the stack: ${sound.stdout}`);
  });
}
