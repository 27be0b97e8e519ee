/** `timewait serve`, `connect`, `ss` and `nstat` with the real kernel as the peer, in a private network namespace. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { deviceExists, inNamespace, ip } from '../native/namespace.js';
import { folder, start, timewait, until, type Running } from './helpers.js';

const OURS = '10.77.0.2';
const KERNEL = '10.77.0.1';

interface Served extends Running {
  readonly control: string;
}

/** A stack that serves, until the test ends. */
async function served(t: Test, ...options: string[]): Promise<Served> {
  const control = join(folder(t), 'control');
  const running = start(['serve', '--control', control, ...options]);
  t.teardown(async () => {
    running.child.kill('SIGKILL');
    await running.ended;
  });
  await until('serving', () => running.said.stderr !== '' || running.child.exitCode !== null);
  t.match(running.said.stderr, /^timewait: \S+, \S+ on tw\d, policy \w+\n$/);
  return { ...running, control };
}

/** One line to the kernel's way into our stack; what came back until its end. */
async function said(host: string, port: number, line: string): Promise<string> {
  const socket = connect({ host, port, allowHalfOpen: true });
  socket.setEncoding('utf8').write(line);
  let text = '';
  socket.on('data', (part: string) => (text += part));
  await once(socket, 'end');
  socket.end();
  await once(socket, 'close');
  return text;
}

/** A server of the kernel's that answers in capitals, after the end of what it was sent. */
async function shouter(t: Test, host: string): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let text = '';
    socket.setEncoding('latin1');
    socket.on('error', () => undefined);
    socket.on('data', (part: string) => {
      text += part;
      if (text.startsWith('RESET')) socket.resetAndDestroy();
    });
    socket.on('end', () => socket.end(text.toUpperCase()));
  });
  server.listen(0, host);
  await once(server, 'listening');
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

function cases(): void {
  t.test('serve: services, ss and nstat from outside, summary at the end', async (t) => {
    const { control, child, ended } = await served(
      t,
      '--echo',
      '7',
      '--close-first',
      '--policy',
      'bsd',
      '--json',
    );
    t.equal(lstatSync(control).mode & 0o777, 0o600);
    t.equal(await said(OURS, 7, 'one\n'), 'one\n');
    t.equal(await said('fd77::2', 7, 'two\n'), 'two\n');
    const open: Socket = connect(7, OURS);
    // The stack ends before it does.
    open.on('error', () => undefined);
    await once(open, 'connect');

    const ss = await timewait(['ss', '-tano', '--control', control]);
    t.equal(ss.status, 0, ss.stderr);
    const lines = ss.stdout.trimEnd().split('\n');
    t.equal(lines.length, 5, ss.stdout);
    t.match(lines[1], /^LISTEN +0 +4096 +\[::\]:7 +\[::\]:\*/);
    t.match(lines[2], new RegExp(`^ESTAB +0 +0 +${OURS}:7 +${KERNEL}:${open.localPort} `));
    t.match(lines[3], /^TIME-WAIT +0 +0 +10\.77\.0\.2:7 +10\.77\.0\.1:\d+ +timer:\(timewait,5\dsec,0\)$/);
    t.match(lines[4], /^TIME-WAIT +0 +0 +\[fd77::2\]:7 +\[fd77::1\]:\d+ +timer:\(timewait,5\dsec,0\)$/);
    const nstat = await timewait(['nstat', '--json', '--control', control]);
    t.match(JSON.parse(nstat.stdout), { kernel: { TcpPassiveOpens: 3, TcpExtTW: 2 } });

    child.kill('SIGINT');
    const { status, stdout } = await ended;
    t.equal(status, 0);
    t.match(JSON.parse(stdout), {
      policy: 'bsd',
      connections: { accepted: 3, opened: 0 },
      timeWait: { stack: 2, kernel: 0 },
      states: { ESTABLISHED: 1, 'TIME-WAIT': 2 },
    });
    t.notOk(deviceExists('tw0'), 'the device went with it');
    t.notOk(existsSync(control), 'and the control socket');
    open.destroy();
  });

  t.test('the documented policy of a user: its TIME-WAIT is on the wire, five seconds', async (t) => {
    const path = fileURLToPath(new URL('../../../docs/examples/mine.ts', import.meta.url));
    // A busy machine stops any process for longer than 5 ms
    const { control } = await served(
      t,
      ...['--echo', '7', '--close-first', '--policy', path, '--hook-limit', '10000'],
    );
    t.equal(await said(OURS, 7, 'one\n'), 'one\n');
    const { stdout } = await timewait(['ss', '-ta', '--json', '--control', control]);
    const { sockets } = JSON.parse(stdout) as { sockets: { state: string; timerLeft: number }[] };
    const records = sockets.filter(({ state }) => state === 'TIME-WAIT');
    t.equal(records.length, 1);
    t.ok(records.every(({ timerLeft }) => timerLeft <= 5000));
    const status = await timewait(['policies', '--control', control, '--json']);
    t.match(JSON.parse(status.stdout), { present: 'mine' });
  });

  t.test("the real ss sees the kernel's end of what ours sees", async (t) => {
    const { control } = await served(t, '--echo', '7');
    const open = connect(7, OURS);
    await once(open, 'connect');
    const ours = (await timewait(['ss', '-tn', '--control', control])).stdout.split('\n');
    const kernels = spawnSync('ss', ['-tn', 'dport', '=', ':7'], { encoding: 'utf8' });
    if (kernels.error === undefined) {
      const [head, line] = kernels.stdout.split('\n');
      const swap = (text = ''): string[] => {
        const words = text.trim().split(/\s+/);
        return [...words.slice(0, 3), words[4] ?? '', words[3] ?? ''];
      };
      t.same(ours[1]?.trim().split(/\s+/), swap(line), 'the same columns, ends exchanged');
      t.equal(ours[0]?.replace(/\s/g, ''), head?.replace(/\s/g, ''), 'the same head');
    } else t.pass('no ss(8) here');
    open.destroy();
  });

  t.test('SIGTERM ends it as SIGINT does, in words', async (t) => {
    const { child, ended } = await served(t, '--discard', '9');
    child.kill('SIGTERM');
    const { status, stdout } = await ended;
    t.equal(status, 0);
    t.match(stdout, /^policy +rfc9293$/m);
    t.match(stdout, /^connections +0 accepted, 0 opened, no errors$/m);
  });

  t.test('killed: no device is left, the control socket is taken over', async (t) => {
    const { child, ended, control } = await served(t);
    child.kill('SIGKILL');
    await ended;
    t.notOk(deviceExists('tw0'));
    const next = start(['serve', '--control', control]);
    await until('serving', () => next.said.stderr !== '');
    t.match(next.said.stderr, /on tw0/);
    const other = await timewait(['serve', '--device', 'tw1', '--control', control]);
    t.same(other, {
      status: 1,
      stdout: '',
      stderr: `timewait: --control ${control}: another stack answers there\n`,
    });
    next.child.kill('SIGINT');
    t.equal((await next.ended).status, 0);
  });

  t.test('devices that cannot be had: one line, status 1', async (t) => {
    await served(t);
    const busy = await timewait(['serve']);
    t.equal(busy.status, 1);
    t.match(busy.stderr, /^timewait: --device tw0: another process has it: choose another name\n$/);
    const long = await timewait(['serve', '--device', 'a-name-too-long-for-it']);
    t.equal(long.status, 2);
    t.match(long.stderr, /^timewait: --device a-name-too-long-for-it: [^\n]*15 bytes[^\n]*\n$/);
    const taken = await timewait(['serve', '--device', 'lo']);
    t.equal(taken.status, 2);
    t.match(taken.stderr, /^timewait: --device lo: [^\n]+\n$/);
  });

  t.test('without CAP_NET_ADMIN: one line with the cure', async (t) => {
    const through = ['setpriv', '--bounding-set=-net_admin'];
    const tried = spawnSync('setpriv', [...through.slice(1), 'true']);
    if (tried.status !== 0) {
      t.pass('setpriv(1) cannot drop capabilities here');
      return;
    }
    for (const args of [['serve'], ['connect', KERNEL, '9']]) {
      const { status, stdout, stderr } = await timewait(args, { through });
      t.equal(status, 1);
      t.equal(stdout, '');
      t.match(stderr, /^timewait: --device tw0: [^\n]*CAP_NET_ADMIN[^\n]*`timewait run`[^\n]*\n$/);
    }
  });

  t.test('a device that goes away: one line, status 1', async (t) => {
    const { ended, said, control } = await served(t);
    ip('link delete tw0');
    const { status } = await ended;
    t.equal(status, 1);
    t.match(said.stderr.split('\n')[1], /^timewait: the device failed: [^\n]*ENODEV/);
    t.notOk(existsSync(control));
  });

  t.test('connect through the stack of a running serve', async (t) => {
    const { control } = await served(t);
    const port = await shouter(t, KERNEL);
    const small = await timewait(['connect', KERNEL, String(port), '--control', control], {
      input: 'hello\n',
    });
    t.same(small, { status: 0, stdout: 'HELLO\n', stderr: '' });
    const reset = await timewait(['connect', KERNEL, String(port), '--control', control], { input: 'RESET' });
    t.same(reset, { status: 1, stdout: '', stderr: 'timewait: read ECONNRESET\n' });
    const ss = await timewait(['ss', '-tan', '--control', control]);
    // Our end came first, so the TIME-WAIT is ours.
    t.match(ss.stdout, new RegExp(`^TIME-WAIT .*${OURS}:\\d+ +${KERNEL}:${port} `, 'm'));
  });

  t.test('connect with a stack of its own', async (t) => {
    const own = ['--device', 'tw3', '--address', '10.78.0.2/24', '--kernel-address', '10.78.0.1/24'];
    const port = await shouter(t, '0.0.0.0');
    const input = Buffer.alloc(2_000_000, 'abc\n');
    const big = await timewait(['connect', '--json', ...own, '10.78.0.1', String(port)], { input });
    t.equal(big.status, 0, big.stderr);
    t.ok(big.stdout === input.toString().toUpperCase(), 'whole');
    t.match(JSON.parse(big.stderr), { port, bytesRead: 2_000_000, bytesWritten: 2_000_000 });
    const pcap = join(folder(t), 'out.pcapng');
    const refused = await timewait(['connect', '--pcap', pcap, ...own, '10.78.0.1', '1'], { input: 'x' });
    t.same(refused, { status: 1, stdout: '', stderr: 'timewait: connect ECONNREFUSED 10.78.0.1:1\n' });
    t.ok(readFileSync(pcap).length > 200, 'the capture is complete');
    const reset = await timewait(['connect', ...own, '10.78.0.1', String(port)], { input: 'RESET' });
    t.match(reset, { status: 1, stderr: 'timewait: read ECONNRESET\n' });
    t.notOk(deviceExists('tw3'));
  });

  t.test('a peer that closes first gets all of our input before the device goes', async (t) => {
    const received: number[] = [];
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.end('closed');
      let count = 0;
      // Slowly: our last bytes wait for its window.
      socket.on('data', (part) => {
        count += part.length;
        socket.pause();
        setTimeout(() => socket.resume(), 1);
      });
      socket.on('end', () => received.push(count));
      socket.on('error', () => received.push(-1));
    });
    server.listen(0, '0.0.0.0');
    await once(server, 'listening');
    t.teardown(() => server.close());
    const { port } = server.address() as AddressInfo;
    const own = ['--device', 'tw3', '--address', '10.78.0.2/24', '--kernel-address', '10.78.0.1/24'];
    const input = Buffer.alloc(1_000_000, 'x');
    const ran = await timewait(['connect', ...own, '10.78.0.1', String(port)], { input });
    t.same(ran, { status: 0, stdout: 'closed', stderr: '' });
    await until('the end', () => received.length > 0);
    t.same(received, [1_000_000]);
  });
}

if (inNamespace(t, import.meta.url)) {
  ip('link set lo up');
  cases();
}
