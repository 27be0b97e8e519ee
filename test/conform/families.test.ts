/** What scripts written for other runners and systems say: read, answered, taken together. */
import t from 'tap';
import { readShell } from '../../src/conform/shell.js';
import { CLIENT, SERVER, run, verdict } from './run.js';

const LISTENER = `0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 5) = 0
`;

t.test('a long segment is what several in a row are together, unless the script is strict', async (t) => {
  const script = `${SERVER}+0 write(4, ..., 4380) = 4380\n+0 > P. 1:4381(4380) ack 1\n`;
  t.equal(await verdict(script), '');
  t.match(await verdict(`--strict_segments\n${script}`), /another segment/);
  t.match(await verdict(script.replace('4381(4380)', '4382(4381)')), /another segment|nothing was sent/);
});

t.test('behind a SYN with a number a script counts on, or from 0', async (t) => {
  const answer = (text: string): string =>
    `${CLIENT}+.1 < S. 7000:7000(0) ack 1 win 5792 <mss 1460>\n+0 > . 1:1(0) ack ${text}\n`;
  t.equal(await verdict(answer('7001')), '');
  t.equal(await verdict(answer('1')), '');
  t.match(await verdict(answer('2')), /another segment/);
});

t.test('questions about sockets are answered from the stack', async (t) => {
  const half = `${LISTENER}+0 < S 0:0(0) win 65535 <mss 1460>\n+0 > S. 0:0(0) ack 1 <mss 1460>\n`;
  t.equal(await verdict(`${half}+0 \`sockstat -4 -P tcp -p 8080 -s | grep -c SYN_RCVD | grep 1\`\n`), '');
  t.match(
    await verdict(
      `${half}+0 \`sockstat -4 -P tcp -p 8080 -s | grep -c SYN_RCVD | grep 0\`\n+0 close(3) = 0\n`,
    ),
    /finds nothing/,
  );
  t.equal(await verdict(`${half}+0 \`grep " 0A " /proc/net/tcp | grep ":1F90"\`\n`), '');
  t.equal(await verdict(`${half}+0 \`nstat | grep TcpInSegs > /dev/null\`\n`), '');
});

t.test('TIME-WAIT is dropped by hand', async (t) => {
  const script = `${SERVER}+0 close(4) = 0
+0 > F. 1:1(0) ack 1
+.1 < F. 1:1(0) ack 2 win 65535
+0 > . 2:2(0) ack 2
+.1 \`tcpdrop -s TIME_WAIT\`
+0 \`sockstat -4 -P tcp -s | grep -c TIME_WAIT | grep 0\`
+0 %{ assert 1 }%
`;
  t.equal(await verdict(script), '');
});

t.test('files of settings are read, never run', async (t) => {
  const files: Record<string, string> = {
    '../common/defaults.sh': 'sysctl -q net.ipv4.tcp_rmem="4096 540000 $((15*1024*1024))"\nrm -rf x',
  };
  const found = readShell('../common/defaults.sh', (path) => files[path] ?? null);
  t.match(found, [
    { kind: 'set', name: 'net.ipv4.tcp_rmem', value: '4096 540000 15728640' },
    { kind: 'foreign', command: 'rm -rf x' },
  ]);
  t.match(readShell('./other.sh'), [{ kind: 'foreign' }]);
});

t.test('words that stand for others, in the script or given to the run', async (t) => {
  const script = `--define=SIZE=5\n${SERVER}+0 write(4, ..., SIZE) = SIZE\n+0 > P. 1:6(SIZE) ack 1\n`;
  t.equal(await verdict(script), '');
  t.match(await verdict(script, { symbols: new Map([['SIZE', '6']]) }), /end 7/);
});

t.test('code with texts, lists and what it prints', async (t) => {
  const script = `${SERVER}+0 %{
seen = [tcpi_snd_cwnd]; seen += [12]
print(f'{len(seen)} values, first {seen[0]:3d}')
assert 12 in seen and sum(seen) == 22, 'sum %d' % sum(seen)
}%
`;
  const { failure, notes } = await run(script);
  t.equal(failure, null);
  t.match(notes, ['2 values, first  10']);
  const wrong = await run(
    `${SERVER}+0 %{ assert tcpi_snd_cwnd == 3, 'cwnd %d of %d' % (tcpi_snd_cwnd, 7) }%`,
  );
  t.match(wrong.failure?.message, /cwnd 10 of 7/);
});

t.test('FreeBSD: options, window and buffer as there', async (t) => {
  const script = `0 \`sysctl net.inet.tcp.recvspace=65536 kern.ipc.maxsockbuf=2097152\`
+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 fcntl(3, F_SETFL, O_NONBLOCK) = 0
+0 connect(3, ..., ...) = -1 EINPROGRESS
+0 > S 0:0(0) win 65535 <mss 1460,nop,wscale 6,sackOK,TS val 100 ecr 0>
+0 < S. 0:0(0) ack 1 win 32767 <mss 1460,sackOK,eol,eol>
+0 > . 1:1(0) ack 1 win 65535
+0 getsockopt(3, SOL_SOCKET, SO_RCVBUF, [65700], [4]) = 0
+.1 < F. 1:1(0) ack 1 win 32767
+0 > . 1:1(0) ack 2 win 65535
`;
  t.equal(await verdict(script, { profile: 'freebsd' }), '');
});

t.test(
  'another connect() turns to its connection, what an earlier one still sends is passed over',
  async (t) => {
    const opened = `+0 > S 0:0(0) <...>\n+.1 < S. 0:0(0) ack 1 win 5792 <mss 1460>\n+0 > . 1:1(0) ack 1\n`;
    const connect = (fd: number): string => `+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = ${fd}
+0 fcntl(${fd}, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0 connect(${fd}, ..., ...) = -1 EINPROGRESS (Operation now in progress)\n`;
    const script = `${connect(3)}${opened}+0 write(3, ..., 10) = 10\n+0 close(3) = 0\n`;
    t.equal(await verdict(`${script}${connect(4)}${opened}+.1 read(4, ..., 10) = -1 EAGAIN`), '');
    t.match(await verdict(`${script}+0 > S 0:0(0) <...>`), /another segment/, 'not without connect()');
    t.match(
      await verdict(`${script}+0 connect(3, ..., ...) = -1 EISCONN\n+0 > S 0:0(0) <...>`),
      /another segment|something else/,
      'nor on the same socket',
    );
  },
);

t.test('settings: hexadecimal numbers, names of congestion controls', async (t) => {
  const script = `0 \`sysctl -q net.ipv4.tcp_fastopen=0x402 net.ipv4.tcp_congestion_control=reno\`
${SERVER.replace(/^0/, '+0')}+0 getsockopt(4, SOL_TCP, TCP_CONGESTION, "reno", [4]) = 0\n`;
  t.equal(await verdict(script), '');
});
