/** What the real kernel sent in a conversation, our stack sends too when it is played in its place. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { lack, timewait } from './cli.js';

const skip = lack();

interface Line {
  readonly kind: string;
  readonly recorded?: { readonly segment: string } | null;
  readonly ours?: { readonly segment: string } | null;
}

for (const [address, host] of [
  ['10.77.0.1', '10.77.0.2'],
  ['fd77::1', '[fd77::2]'],
] as const)
  t.test(`the kernel's end of an HTTP request, ${address}`, { skip }, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'timewait-replay-'));
    t.teardown(() => rmSync(directory, { recursive: true }));
    const pcap = join(directory, 'kernel.pcapng');
    const url = `http://${host}:8080/bytes/3000`;
    const ran = await timewait([
      'run',
      '--http',
      '8080',
      '--pcap',
      pcap,
      '--',
      'curl',
      '-g',
      '-sf',
      '-o',
      '/dev/null',
      url,
    ]);
    t.equal(ran.status, 0, ran.stderr);
    const args = ['replay', pcap, '--local', address, '--policy', 'linux', '--json'];
    const replayed = JSON.parse((await timewait(args)).stdout) as {
      tuples: { same: number; lines: Line[] }[];
    };
    t.equal(replayed.tuples.length, 1);
    const answers = replayed.tuples[0]!.lines.filter(({ kind }) => kind !== 'arrived');
    t.ok(answers.length >= 5, 'SYN, ACK, request, ACK of the answer, FIN');
    const sent = new Set<string>();
    for (const { kind, recorded, ours } of answers) {
      t.equal(kind, 'answer', 'every call could be made');
      t.not(recorded ?? null, null, `the kernel has ${ours?.segment} too`);
      // On a busy machine the kernel repeats what our reader had not seen yet
      t.ok(ours !== null || sent.has(recorded!.segment), `ours has ${recorded?.segment} too`);
      sent.add(recorded?.segment ?? '');
    }
  });
