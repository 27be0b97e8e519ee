import t from 'tap';
import { CLIENT, SERVER, run, verdict } from './run.js';

t.test('a conversation as it should be, both IP versions', async (t) => {
  const script = `${SERVER}+0 write(4, "hello", 5) = 5
+0 > P. 1:6(5) ack 1
+.05 < P. 1:4(3) ack 6 win 65535
+0 read(4, ..., 100) = 3
+.04 > . 6:6(0) ack 4
+0 close(4) = 0
+0 > F. 6:6(0) ack 4
+.1 < F. 4:4(0) ack 7 win 65535
+0 > . 7:7(0) ack 5
`;
  t.equal(await verdict(script), '');
  t.equal(
    await verdict(script, { version: 6 }),
    '6: another segment than expected was sent | S. 0:0(0) ack 1 <mss 1460> | S. 0:0(0) ack 1 <mss 1440>',
  );
  t.equal(await verdict(`--ip_version=ipv6\n${script.replace('ack 1 <mss 1460>', 'ack 1 <mss 1440>')}`), '');
});

t.test('timestamps: a tick makes them exact, an echo names what was seen', async (t) => {
  const script = (val: number): string => `--tcp_ts_tick_usecs=1000
${CLIENT}+.1 < S. 0:0(0) ack 1 win 5792 <mss 1460,sackOK,TS val 700 ecr 100,nop,wscale 7>
+0 > . 1:1(0) ack 1 <nop,nop,TS val ${val} ecr 700>
`;
  t.equal(await verdict(script(200)), '');
  t.equal(
    await verdict(script(201)),
    '7: another segment than expected was sent | . 1:1(0) ack 1 <nop,nop,TS val 201 ecr 700> | . 1:1(0) ack 1 <nop,nop,TS val 200 ecr 700>',
  );
  t.equal(await verdict(script(201).replace(/^--.*\n/, '')), '', 'without a tick values are not compared');
  t.match(
    await verdict(script(200).replace('ecr 100,nop', 'ecr 99,nop')),
    /R 1:1\(0\)/,
    'an older echo is refused',
  );
});

t.test('what fails says where, what and by how much', async (t) => {
  const failing = async (line: string): Promise<unknown> => {
    const { failure } = await run(`${SERVER}${line}`);
    return failure && [failure.line, failure.expected, failure.got, failure.difference];
  };
  const close = '+0 close(4) = 0\n';
  t.same(await failing(`${close}+0 > R. 1:1(0) ack 1`), [10, 'R. 1:1(0) ack 1', 'F. 1:1(0) ack 1', null]);
  t.same(await failing(`${close}+.1 > F. 1:1(0) ack 1`), [
    10,
    'F. 1:1(0) ack 1',
    'F. 1:1(0) ack 1 win 65535',
    -100_000,
  ]);
  t.same(await failing(`${close}+0 > F. 1:1(0) ack 1\n+.1 > F. 1:1(0) ack 1`), [
    11,
    'F. 1:1(0) ack 1',
    'F. 1:1(0) ack 1 win 65535',
    200_000,
  ]);
  t.same(await failing('+0 > . 1:1(0) ack 1'), [9, '. 1:1(0) ack 1', 'nothing', null]);
  t.same(await failing('+0 read(4, ..., 5) = 5'), [9, '5', 'no return', null]);
  t.same(await failing('+0 write(4, ..., 5) = 6'), [9, '6', '5', null]);
  t.same(await failing('+0 close(9) = -1 EPIPE'), [9, '-1 EPIPE', '-1 EBADF', null]);
  t.same(await failing('+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [1], [4]) = 0'), [9, '[1]', '[0]', null]);
  t.same(
    await failing('+0...0.1 read(4, ..., 5) = 5\n+.2 < P. 1:6(5) ack 1 win 1000\n+0~+.1 > . 1:1(0) ack 6'),
    [9, '5', '5', 100_000],
  );
  t.same(await failing('+0 %{ assert tcpi_snd_cwnd == 9 and\\\n 1 }%'), [
    9,
    'tcpi_snd_cwnd == 9 and\\\n 1',
    'tcpi_snd_cwnd = 10',
    null,
  ]);
  t.same(await failing('+0 %{ assert tcpi_nosuch }%'), [9, '', '', null]);
});

t.test(
  'what is sent and not expected is a failure for an assertion that waits at the end, and for nothing else',
  async (t) => {
    const script = `${SERVER}+0 < F. 1:1(0) ack 1 win 65535\n`;
    t.equal(await verdict(script), '');
    t.equal(await verdict(`${script}+0 %{ assert 1 }%`), '', 'as for packetdrill');
    t.equal(await verdict(`${script}+.1 read(4, ..., 10) = 0`), '');
    t.match(
      await verdict(`${script}+.1 %{ assert 1 }%`),
      /no line expects was sent at 0.1 s \| nothing \| \. 1:1\(0\) ack 2/,
    );
    t.equal(await verdict(`${script}+0 > . 1:1(0) ack 2\n+.1 %{ assert tcpi_state == TCP_CLOSE_WAIT }%`), '');
  },
);

t.test('the last ten segments go with a failure', async (t) => {
  const probes = '+.1 < . 5:5(0) ack 1 win 65535\n'.repeat(12);
  const { failure, segments } = await run(`${SERVER}${probes}+0 > R 7:7(0)`);
  t.ok(failure);
  t.equal(segments.length, 10);
  t.same(segments.at(-1)!.rightward, true);
});

t.test('ranges and any time', async (t) => {
  const script = (time: string): string =>
    `${SERVER}+0 < P. 1:4(3) ack 1 win 65535\n${time} > . 1:1(0) ack 4`;
  for (const time of ['+.04', '+.03~+.05', '*', '0.14', '0.1~0.2', '+0...0.04'])
    t.equal(await verdict(script(time)), '', time);
  for (const time of ['+.041', '+.02~+.03', '0.15', '+.041~+.05'])
    t.match(await verdict(script(time)), /late|early/, time);
  t.equal(await verdict(script('+.0401~+.05')), '', 'a tick of the clock is no difference');
});

t.test('several incarnations: a SYN numbered 0 begins the count anew', async (t) => {
  const reopened = (number: number): string => `${SERVER}+0 close(4) = 0
+0 > F. 1:1(0) ack 1
+0 < F. 1:1(0) ack 2 win 65535
+0 > . 2:2(0) ack 2
+1 < S 100000:100000(0) win 65535 <mss 1460>
+0 > S. ${number}:${number}(0) ack 100001 <mss 1460>
+.1 < . 100001:100001(0) ack ${number + 1} win 65535
+0 accept(3, ..., ...) = 4
+0 write(4, ..., 10) = 10
+0 > P. ${number + 1}:${number + 11}(10) ack 100001
`;
  t.equal(await verdict(reopened(0), { profile: 'linux' }), '');
  t.equal(
    await verdict(reopened(65_539), { profile: 'linux' }),
    '',
    'the ISN of a reopened record: SND.NXT + 65537',
  );
  t.match(await verdict(reopened(65_540), { profile: 'linux' }), /S\. 65539:65539/);
});

t.test('shell lines: settings are made, devices ignored, others refused', async (t) => {
  const script = `0 \`sysctl -q net.ipv4.tcp_timestamps=0 net.ipv4.tcp_sack=0
tc qdisc add dev tun0 root fq
echo 0 > /proc/sys/net/ipv4/tcp_window_scaling\`
+0 \`sysctl -w net.ipv4.tcp_nosuch=1\`
${CLIENT.replace(/<.*>/, '<mss 1460>')}`;
  const { failure, notes } = await run(script);
  t.equal(failure, null);
  t.match(notes, [/'tc' has no effect/, /tcp_nosuch/]);
  t.match(await verdict('0 `rm -rf x`'), /--allow-shell: 'rm -rf x'/);
  const ran: string[] = [];
  const shell = (command: string) => ({ status: ran.push(command) - 1, output: 'oops' });
  t.match(
    await verdict('0 `first`\n+0 `second`', { shell }),
    /2: 'second' ended with status 1 \| {2}\| oops/,
  );
  t.same(ran, ['first', 'second']);
});

t.test('options of the script', async (t) => {
  t.equal(await verdict(`--mtu=576\n${CLIENT.replace('mss 1460', 'mss 536')}`), '');
  t.match(await verdict('--mtu=x\n'), /--mtu takes an integer/);
  t.match(await verdict('--ip_version=5\n'), /--ip_version is/);
  t.match((await run('--strange=1\n')).notes, [/--strange.*unknown option/]);
  t.equal(await verdict(`--remote_ip=198.51.100.7\n${CLIENT}`), '');
});

t.test('ICMP names a segment of ours', async (t) => {
  const refused = (code: string): string => `${CLIENT}+.1 < icmp unreachable ${code} [0:0(0)]
+0 getsockopt(3, SOL_SOCKET, SO_ERROR, [ECONNREFUSED], [4]) = 0`;
  t.equal(await verdict(refused('port_unreachable')), '');
  t.match(await verdict(refused('host_unreachable')), /\[111\] \| \[113\]/);
  t.equal(
    await verdict(refused('port_unreachable'), { version: 6 }).then((text) => /mss 1440/.test(text)),
    true,
  );
  const path = `${SERVER}+0 write(4, ..., 1400) = 1400
+0 > P. 1:1401(1400) ack 1
+.01 < icmp unreachable frag_needed mtu 1000 [1:1401(1400)]
+0 > . 1:961(960) ack 1
+.01 < . 1:1(0) ack 961 win 65535
+0 > P. 961:1401(440) ack 1
`;
  t.equal(await verdict(path), '');
});

t.test('a capture holds every packet, in order', async (t) => {
  const seen: string[] = [];
  const capture = (packet: Uint8Array, time: number, inbound: boolean): void =>
    void seen.push(`${time / 1000} ${inbound} ${packet.length}`);
  await run(SERVER, { capture });
  t.same(seen, ['0 true 44', '0 false 44', '100 true 40']);
});

t.test('what cannot be carried out fails its line', async (t) => {
  t.match(await verdict(`${SERVER}+0 < . 1:65536(65535) ack 1 win 1`), /^9: 65535 bytes do not fit/);
  t.match(await verdict(`${SERVER}0.05 < R 1:1(0)`), /^9: this time lies before/);
  t.match(await verdict(`${SERVER}* < R 1:1(0)`), /for expected segments only/);
  t.match(await verdict('0 < icmp packet_too_big mtu 1300', { version: 4 }), '');
  t.match(await verdict('0 < icmp source_quench', { version: 6 }), /ICMP for IPv6 has no 'source_quench/);
  t.match(await verdict('0 splice(3, 4) = 1'), /-1 ENOSYS/);
});
