/** `--workers`: one command, several stacks, one answer. */
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { helper } from '../kernel/cli.js';
import { sysctl } from '../../src/lab/namespace.js';
import type { RunSummary } from '../../src/view/summary.js';
import { readPcapng } from '../../src/wire/pcapng.js';
import { deviceExists, inNamespace } from '../native/namespace.js';
import { folder, start, timewait, until, type Running } from './helpers.js';

const OURS = '10.77.0.2';
const KERNEL = '10.77.0.1';

interface Served extends Running {
  readonly control: string;
}

async function served(t: Test, ...options: string[]): Promise<Served> {
  const control = join(folder(t), 'control');
  const running = start(['serve', '--workers', '2', '--control', control, ...options]);
  t.teardown(async () => {
    running.child.kill('SIGKILL');
    await running.ended;
  });
  await until('serving', () => running.said.stderr !== '' || running.child.exitCode !== null);
  t.match(running.said.stderr, /^timewait: \S+, \S+ on tw0, policy \S+, 2 workers\n$/);
  return { ...running, control };
}

/** One line to our stack; what came back until its end. */
async function said(host: string, line: string): Promise<string> {
  const socket = connect({ host, port: 7, allowHalfOpen: true });
  socket.setEncoding('utf8').write(line);
  let text = '';
  socket.on('data', (part: string) => (text += part));
  await once(socket, 'end');
  socket.end();
  await once(socket, 'close');
  return text;
}

async function json<T>(control: string, ...args: string[]): Promise<T> {
  const { status, stdout, stderr } = await timewait([...args, '--json', '--control', control]);
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as T;
}

const ECHO = ['--echo', '7', '--close-first'];

if (inNamespace(t, import.meta.url)) {
  t.test('run: the command’s status, a capture for each worker', async (t) => {
    const pcap = join(folder(t), 'out.pcapng');
    const get = 'for i in 1 2 3 4 5 6 7 8; do curl -s http://10.77.0.2/; done; exit 3';
    const options = ['--workers', '2', '--http', '80', '--close-first', '--pcap', pcap, '--json'];
    const ran = await timewait(['run', ...options, '--', 'sh', '-c', get]);
    t.equal(ran.status, 3, ran.stderr);
    const summary = JSON.parse(ran.stdout.trim().split('\n').at(-1)!) as RunSummary;
    t.match(summary, { connections: { accepted: 8 }, status: 3 });
    t.equal(
      summary.workers!.reduce((sum, each) => sum + each.accepted, 0),
      8,
    );
    t.notOk(existsSync(pcap));
    const files = [0, 1].map((i) => pcap.replace(/\.pcapng$/, `-${i}.pcapng`));
    t.equal(summary.pcap, files.join(', '));
    const packets = files.map((file) => readPcapng(readFileSync(file))!.length);
    t.ok(packets[0]! + packets[1]! >= 8 * 6, `${packets.join(' and ')} packets`);
  });

  t.test('ss, nstat and explain tell of all workers, the summary too', async (t) => {
    const running = await served(t, ...ECHO, '--policy', 'linux', '--remember');
    const { control } = running;
    const texts = Array.from({ length: 30 }, (_, i) => `number ${i}\n`);
    t.same(await Promise.all(texts.map((text, i) => said(i % 2 === 0 ? OURS : 'fd77::2', text))), texts);
    const { sockets } = await json<{ sockets: { state: string; remote: { port: number } | null }[] }>(
      control,
      'ss',
      '-a',
    );
    t.same(
      sockets.map(({ state }) => state),
      [...new Array<string>(2).fill('LISTEN'), ...new Array<string>(30).fill('TIME-WAIT')],
      'a listener of each, as with SO_REUSEPORT; records last',
    );
    t.equal(new Set(sockets.map(({ remote }) => remote?.port)).size, 31);
    t.match(await timewait(['ss', '-s', '--control', control]), {
      stdout: /^TCP: +32 \(estab 0, closed 30, orphaned 0, timewait 30\)$/m,
    });
    const nstat = (): Promise<{ kernel: Record<string, number> }> => json(control, 'nstat');
    t.match(await nstat(), { kernel: { TcpPassiveOpens: 30, TcpExtTW: 30 } });
    t.equal(await said(OURS, 'once more\n'), 'once more\n');
    t.match(await nstat(), { kernel: { TcpPassiveOpens: 1, TcpExtTW: 1 } }, 'the change since');
    const { tuples } = await json<{ tuples: { at: number; decisions: object }[] }>(control, 'explain');
    t.equal(tuples.length, 31);
    for (const each of tuples) t.match(each.decisions, { 'tw-enter': 1 });

    running.child.kill('SIGTERM');
    const { status, stdout } = await running.ended;
    t.equal(status, 0);
    t.match(stdout, /^connections +31 accepted, 0 opened, no errors$/m);
    const [, ...shares] =
      /^workers +worker 0 accepted (\d+), worker 1 accepted (\d+); \d+ packets handed over$/m.exec(stdout)!;
    t.equal(
      shares.reduce((sum, share) => sum + Number(share), 0),
      31,
    );
    await until('the device is gone', () => !deviceExists('tw0'));
  });

  t.test('connect goes through one of the workers; knobs and policies go to all', async (t) => {
    const { control } = await served(t);
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      let text = '';
      socket.on('data', (part) => (text += part.toString('latin1')));
      socket.on('end', () => socket.end(text.toUpperCase()));
    });
    server.listen(0, KERNEL);
    await once(server, 'listening');
    t.teardown(() => server.close());
    const { port } = server.address() as AddressInfo;
    const through = ['connect', '--control', control, KERNEL];
    for (let i = 0; i < 2; i++) {
      // More than any buffer on the way holds.
      const input = `${i} `.repeat(400_000);
      const ran = await timewait([...through, String(port), '--json'], { input });
      t.equal(ran.status, 0, ran.stderr);
      t.equal(ran.stdout, input.toUpperCase());
      t.same(JSON.parse(ran.stderr), {
        host: KERNEL,
        port,
        bytesRead: input.length,
        bytesWritten: input.length,
      });
    }
    t.match(await timewait([...through, '1'], { input: '' }), {
      status: 1,
      stderr: `timewait: connect ECONNREFUSED ${KERNEL}:1\n`,
    });
    t.match(await json(control, 'nstat', '-a', 'TcpActiveOpens'), { kernel: { TcpActiveOpens: 3 } });

    t.match(await timewait(['knobs', '--set', 'tcp_fin_timeout=7', '--control', control]), { status: 0 });
    const { knobs } = await json<{ knobs: { name: string; value: number }[] }>(control, 'knobs');
    t.equal(knobs.find(({ name }) => name === 'net.ipv4.tcp_fin_timeout')?.value, 7);
    t.match(await json(control, 'policies', '--use', 'bsd'), { present: 'freebsd' });
    t.match(await timewait(['policies', '--use', 'recycle', '--control', control]), {
      status: 1,
      stderr:
        "timewait: policy recycle remembers hosts, and these workers share each host's connections: start with --policy recycle\n",
    });
  });

  t.test('a policy that remembers hosts: each host has one worker, also for what it opens', async (t) => {
    // One clock for all connections, as kernels had when recycling was in use.
    t.ok(sysctl('net.ipv4.tcp_timestamps', 2));
    const { control } = await served(t, ...ECHO, '--policy', 'recycle');
    for (let i = 0; i < 12; i++) t.equal(await said(OURS, 'x\n'), 'x\n');
    const { kernel } = await json<{ kernel: Record<string, number> }>(control, 'nstat', '-a');
    t.equal(kernel['TcpPassiveOpens'], 12);
    const server = createServer((socket) => socket.end('hello'));
    server.listen(0, KERNEL);
    await once(server, 'listening');
    t.teardown(() => server.close());
    const { port } = server.address() as AddressInfo;
    for (let i = 0; i < 2; i++)
      t.match(await timewait(['connect', '--control', control, KERNEL, String(port)], { input: '' }), {
        status: 0,
        stdout: 'hello',
      });
  });

  t.test('run: faults in each, and connections come through', async (t) => {
    const clients = [process.execPath, helper('clients')];
    const options = ['--workers', '2', ...ECHO, '--faults', 'loss=5%,dup=5%,reorder=5%,seed=3', '--json'];
    for (const host of [OURS, 'fd77::2']) {
      const ran = await timewait(['run', ...options, '--', ...clients, host, '7', '40', '20']);
      const [made = '', summary = ''] = ran.stdout.split('\n');
      t.same(JSON.parse(made), { done: 40, bytes: 80, errors: {} }, host);
      const { workers, segments } = JSON.parse(summary) as RunSummary;
      t.equal(
        workers!.reduce((sum, each) => sum + each.segments, 0),
        segments.in,
      );
      for (const { accepted } of workers!) t.ok(accepted > 0);
    }
  });

  t.test('run: when the device goes, so does the command, with a line', async (t) => {
    for (const workers of ['1', '2']) {
      // Longer than this test may take.
      const script = 'ip link del tw0; sleep 600';
      const ran = await timewait(['run', '--workers', workers, '--http', '80', '--', 'sh', '-c', script]);
      t.equal(ran.status, 1);
      const what = workers === '1' ? 'the device failed' : 'a worker failed';
      t.equal(ran.stderr, `timewait: ${what}: read ENODEV: no such device, tw0\n`);
    }
  });

  t.test('what cannot be: one line and a status', async (t) => {
    const says = async (args: string[], status: number, line: RegExp): Promise<void> => {
      const ran = await timewait(args);
      t.equal(ran.status, status, args.join(' '));
      t.match(ran.stderr, line);
      t.equal(ran.stderr.split('\n').length, 2, ran.stderr);
    };
    await says(['run', '--workers', '0', '--', 'true'], 2, /workers are an integer from 1 to 32\n$/);
    await says(
      ['run', '--workers', '2', '--link', 'packet', '--', 'true'],
      2,
      /^timewait: --workers 2: only a TUN device has queues; --link packet has one stack\n$/,
    );
    await says(
      ['run', '--workers', '2', '--pcap', '/nonexistent/x.pcapng', '--', 'true'],
      1,
      /^timewait: --pcap \/nonexistent\/x-\d\.pcapng: ENOENT/,
    );
    const taken = await served(t);
    await says(['serve', '--workers', '2'], 1, /^timewait: --device tw0: another process has it/);
    await says(['connect', '10.77.0.1', '99'], 1, /^timewait: --device tw0: another process has it/);
    taken.child.kill('SIGTERM');
    await taken.ended;
  });
}
