/** `timewait replay` as a user runs it: status, text, JSON, and what is said of files that do not fit. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { PcapngWriter } from '../../src/wire/pcapng.js';
import { packetsOf } from '../support/capture.js';
import { folder, timewait } from './helpers.js';

const directory = folder(t);
const file = join(directory, 'call.pcapng');

/** Closed by the server, and called again with an older number and no timestamps. */
const packets = packetsOf([
  '0 > S 100:100(0) win 65535 <mss 1460,sackOK>',
  '0.1 < S. 500:500(0) ack 101 win 65535 <mss 1460,sackOK>',
  '10 > . 101:101(0) ack 501 win 65535',
  '20 < F. 501:501(0) ack 101 win 65535',
  '30 > F. 101:101(0) ack 502 win 65535',
  '30.1 < . 502:502(0) ack 102 win 65535',
  '90 > S 90:90(0) win 65535 <mss 1460,sackOK>',
  '90.1 < . 502:502(0) ack 102 win 65535',
]);

t.before(() => {
  const writer = new PcapngWriter('eth0');
  const blocks = packets.map(({ bytes, seconds, nanoseconds }) =>
    writer.packet(bytes, 0, bytes.length, seconds, nanoseconds, true, ''),
  );
  writeFileSync(file, Buffer.concat([writer.header(), ...blocks]));
});

t.test('as recorded: status 0; not as recorded: status 1, the ladder and the reason', async (t) => {
  const linux = await timewait(['replay', file, '--local', '10.0.0.2', '--policy', 'linux']);
  t.equal(linux.status, 0, linux.stderr);
  t.match(linux.stdout, /1 of 1 tuples answered as recorded/);
  const lwip = await timewait(['replay', file, '--local', '10.0.0.2', '--policy', 'smoltcp']);
  t.equal(lwip.status, 1, lwip.stderr);
  t.match(
    lwip.stdout,
    / 8 {2}\|<- \. 2:2\(0\) ack 2 .*\n +\| +recorded only/,
    'the answer that fails, by its number',
  );
  t.match(lwip.stdout, /0 of 1 tuples answered as recorded/);
});

t.test('--tuple that the file has not: the nearest that it has', async (t) => {
  const ran = await timewait(['replay', file, '--local', '10.0.0.2', '--tuple', '9']);
  t.equal(ran.status, 1);
  t.match(ran.stderr, /^timewait: --tuple 9: not in [^\n]*; nearest: [^\n]*10\.0\.0\.2:80-10\.0\.0\.1:4000/);
});

t.test('--json has each packet and both answers', async (t) => {
  const ran = await timewait(['replay', file, '--local', '10.0.0.2', '--policy', 'linux', '--json']);
  const found = JSON.parse(ran.stdout) as {
    same: boolean;
    packets: number;
    tuples: { tuple: string; recorded: number; ours: number; lines: { kind: string; reason?: string }[] }[];
  };
  t.equal(found.same, true);
  t.equal(found.packets, 8);
  t.match(found.tuples[0], { tuple: '10.0.0.2:80-10.0.0.1:4000', recorded: 4, ours: 4 });
  t.equal(found.tuples[0]!.lines.length, 8);
  t.match(found.tuples[0]!.lines[6]!.reason, /^tw-syn-/);
});

t.test('what does not fit is one line', async (t) => {
  const wrong = await timewait(['replay', file, '--local', '10.0.0.9']);
  t.equal(wrong.status, 1);
  t.match(wrong.stderr, /^timewait: --local 10\.0\.0\.9: .*10\.0\.0\.\d \(8 segments\)\n$/);
  const none = await timewait(['replay', file]);
  t.equal(none.status, 2);
  t.match(none.stderr, /--local <address>/);
  const bad = await timewait(['replay', file, '--local', '10.0.0.300']);
  t.equal(bad.status, 2);
  t.match(bad.stderr, /an address, as 10\.0\.0\.2 or fd00::2/);
  writeFileSync(join(directory, 'no'), 'text');
  const text = await timewait(['replay', join(directory, 'no'), '--local', '10.0.0.2']);
  t.equal(text.status, 1);
  t.match(text.stderr, /no capture: neither pcapng nor pcap/);
});
