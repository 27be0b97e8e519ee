/** The demo's table, on the virtual network and on the real kernel: what each policy is known for. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { SceneResult } from '../../src/lab/scenes.js';
import { lacking, timewait } from './cli.js';

interface DemoOutput {
  backend: string;
  link: string;
  pcap: string;
  rows: SceneResult[];
}

async function demo(t: Test, where: string): Promise<DemoOutput> {
  const folder = mkdtempSync(join(tmpdir(), 'timewait-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const ran = await timewait([
    'demo',
    '--json',
    '--pcap',
    join(folder, 'demo.pcapng'),
    ...(where === 'virtual' ? ['--virtual'] : ['--link', where]),
  ]);
  t.equal(ran.status, 0, ran.stderr);
  return JSON.parse(ran.stdout) as DemoOutput;
}

for (const where of ['virtual', 'tun', 'packet', 'pcap', 'raw']) {
  const virtual = where === 'virtual';
  const name = virtual ? 'on the virtual network' : `on the real kernel over ${where}`;
  t.test(`the demo ${name}`, { skip: virtual ? false : lacking(where) }, async (t) => {
    const { backend, link, rows } = await demo(t, where);
    t.same([backend, link], virtual ? ['virtual', 'memory'] : ['kernel', where]);
    const row = (policy: string, situation: RegExp): SceneResult => {
      const found = rows.find((each) => each.policy === policy && situation.test(each.situation));
      if (found === undefined) throw new Error(`no row ${policy} ${situation}`);
      return found;
    };
    // Exact to the millisecond in virtual time; a timer of the process may be late on the kernel.
    const late = virtual ? 0 : 100;
    const close = (value: number | null, expected: number, what: string): void => {
      t.ok(
        value !== null && value >= expected && value <= expected + late,
        `${what}: ${value} ms, expected ${expected}`,
      );
    };

    const strict = row('rfc9293', /same source port/);
    t.equal(strict.accepted, 2);
    t.ok(strict.refused >= 1, 'rfc9293 refuses the second connection');
    t.match(strict.reason, /^tw-syn-(refused|in-window)$/);
    close(strict.lived, 2000, 'TIME-WAIT lasts 2*MSL');
    t.ok(strict.delay + 60 >= 2000, 'accepted only after 2*MSL');

    const letter = row('rfc9293, rfc1337=0', /same source port/);
    t.equal(letter.accepted, 2);
    t.ok(letter.refused >= 1);
    t.equal(letter.reason, 'tw-rst-kill', 'by the letter the refused client kills TIME-WAIT');
    t.ok(letter.delay < 2000 && (letter.timeWaitLeft ?? 0) > 15_000, 'long before its time');

    const bsd = row('bsd', /same source port/);
    t.equal(bsd.accepted, 2);
    t.equal(bsd.refused, 0);
    t.equal(bsd.reason, 'tw-syn-accepted', 'bsd accepts a higher sequence number at once');
    t.ok(bsd.delay < 500 && (bsd.timeWaitLeft ?? 0) > 55_000);
    const low = row('bsd', /lower sequence number \(no answer\)/);
    t.equal(low.refused, 1);
    t.equal(low.reason, 'tw-syn-low', 'and stays silent on a lower one');

    const soon = row('reuse', /own client.*at once/);
    t.same(
      soon.attempts.map((attempt) => attempt.error),
      ['', 'EADDRNOTAVAIL'],
    );
    t.equal(soon.reason, 'reopen-too-young', 'reuse: not before a second has passed');
    const later = row('reuse', /own client.*later/);
    t.equal(later.accepted, 1);
    t.equal(later.reason, 'reopen-reused', 'reuse lets our own client reopen after 1 s');

    // RFC 1337: old text, our ACK, the RST of a kernel that has no connection
    const killed = [
      ['rfc9293', 'tw-rst-kill'],
      ['reuse', 'tw-rst-kill'],
      ['recycle', 'tw-rst-kill'],
      ['bsd', 'tw-segment-ack'],
      ['reuse, rfc1337=1', 'tw-segment-restart'],
    ] as const;
    for (const [policy, reason] of killed) {
      const { timeWaitLeft, reason: given } = row(policy, /^old data/);
      t.equal(given, reason, policy);
      t.equal(timeWaitLeft === null, reason === 'tw-rst-kill', `${policy}: the record`);
    }

    const gone = row('recycle', /own client.*later/);
    t.equal(gone.accepted, 1);
    t.equal(gone.timeWaitLeft, null);
    close(gone.lived, 700, 'recycle frees the tuple after 3.5*RTO');
    const nat = row('recycle', /behind one NAT/);
    t.same(
      nat.attempts.map((attempt) => attempt.accepted),
      [true, false],
    );
    t.ok(nat.refused >= 2, 'the SYN and its repetition');
    t.equal(nat.reason, 'recycle-host-stamp', 'recycle drops the NAT neighbour with the slower clock');
    for (const policy of ['rfc9293', 'bsd', 'reuse'])
      t.equal(row(policy, /behind one NAT/).accepted, 2, `${policy} lets both in`);
  });
}
