/** What the real kernel sent in a conversation, our stack sends too when it is played in its place. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { lack, timewait } from './cli.js';

const skip = lack();

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
    // The moments are those of a machine with other work; what was sent is not.
    const args = ['replay', pcap, '--local', address, '--policy', 'linux', '--tolerance', '1000'];
    const replayed = await timewait(args);
    t.equal(replayed.status, 0, replayed.stdout + replayed.stderr);
    t.match(replayed.stdout, /1 of 1 tuples answered as recorded/);
  });
