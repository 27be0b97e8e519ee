/**
 * ss, nstat, knobs, policies and connect through a control socket, over two networks
 * joined in memory: no device, no privileges.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, readFileSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { connect as connectUnix, createServer as createUnixServer } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ControlSession } from '../../src/cli/control-session.js';
import { serveControl } from '../../src/cli/control.js';
import type { Network } from '../../src/net/network.js';
import type { Socket } from '../../src/net/socket.js';
import { CLIENT, SERVER, pair, listen } from '../net/helpers.js';
import { folder, start, timewait, until } from './helpers.js';

interface World {
  /** The stack behind the control socket. */
  readonly ours: Network;
  readonly theirs: Network;
  readonly path: string;
}

async function world(t: Test): Promise<World> {
  const { client, server, close } = pair();
  const path = join(folder(t), 'control');
  const control = await serveControl(new ControlSession(server), path);
  t.teardown(() => {
    control.close();
    close();
  });
  return { ours: server, theirs: client, path };
}

/** A connection of `network` to `port` of the other side, open. */
async function opened(network: Network, host: string, port: number): Promise<Socket> {
  const socket = network.connect({ host, port });
  await once(socket, 'connect');
  return socket;
}

t.test('ss: listeners, connections, TIME-WAIT', async (t) => {
  const { ours, theirs, path } = await world(t);
  // Closes first, when something comes.
  const port = await listen(
    ours.createServer((socket) => socket.on('data', () => socket.end()).on('error', () => undefined)),
  );
  const first = await opened(theirs, SERVER, port);
  const second = await opened(theirs, SERVER, port);
  first.write('bye');
  first.resume();
  await once(first, 'close');
  await until('TIME-WAIT', () => ours.timeWait.list().length === 1);

  const ss = async (...options: string[]): Promise<string[]> => {
    const { status, stdout, stderr } = await timewait(['ss', ...options, '--control', path]);
    t.equal(status, 0, stderr);
    return stdout.trimEnd().split('\n');
  };
  const all = await ss('-tan');
  t.match(all[0], /^State +Recv-Q Send-Q +Local Address:Port +Peer Address:Port +Process/);
  t.equal(all.length, 4);
  t.match(all[1], new RegExp(`^LISTEN +0 +\\d+ +\\[::\\]:${port} +\\[::\\]:\\*`));
  t.match(all[2], new RegExp(`^ESTAB +0 +0 +${SERVER}:${port} +${CLIENT}:${second.localPort} `));
  t.match(all[3], new RegExp(`^TIME-WAIT +0 +0 +${SERVER}:${port} +${CLIENT}:${first.localPort}$`));
  t.same(
    (await ss('-t')).slice(1).map((line) => line.split(' ')[0]),
    ['ESTAB'],
  );
  t.same(
    (await ss('-l')).slice(1).map((line) => line.split(' ')[0]),
    ['LISTEN'],
  );
  t.same(
    await ss('-a6', '--json').then(
      (lines) => (JSON.parse(lines.join('')) as { sockets: unknown[] }).sockets.length,
    ),
    1,
  );
  t.match(
    (await ss('-tano'))[3],
    /timer:\(timewait,(3min\d*(sec)?|4min),0\)$/,
    '2*MSL of the default policy',
  );

  const summary = await ss('-s');
  t.match(summary[1], /^TCP: {3}3 \(estab 1, closed 1, orphaned 0, timewait 1\)$/);
  t.match(summary.at(-1), /^TIME-WAIT +1$/);
  const counts = JSON.parse((await ss('-s', '--json')).join('')) as {
    counts: Record<string, number>;
    live: object;
  };
  t.equal(counts.counts['TIME-WAIT'], 1);
  t.equal(counts.counts['ESTABLISHED'], 1);
  t.same(counts.live, { v4: 1, v6: 1 });
  second.destroy();
});

t.test('nstat: what changed since the last call, absolute with -a, untouched with -s', async (t) => {
  const { ours, theirs, path } = await world(t);
  const port = await listen(ours.createServer((socket) => socket.resume().on('error', () => undefined)));
  const opens = async (...options: string[]): Promise<number | undefined> => {
    const ran = await timewait(['nstat', 'TcpPassiveOpens', '--json', ...options, '--control', path]);
    t.equal(ran.status, 0, ran.stderr);
    return (JSON.parse(ran.stdout) as { kernel: Record<string, number> }).kernel['TcpPassiveOpens'];
  };
  const sockets = [await opened(theirs, SERVER, port)];
  t.equal(await opens('-s'), 1);
  t.equal(await opens(), 1, '-s left no trace');
  t.equal(await opens(), undefined, 'nothing new: not shown');
  t.equal(await opens('-z'), 0);
  sockets.push(await opened(theirs, SERVER, port), await opened(theirs, SERVER, port));
  t.equal(await opens('-as'), 3);
  t.equal(await opens(), 2, 'since the call before');
  const text = await timewait(['nstat', '-az', 'TcpExtTW*', '--control', path]);
  t.equal(
    text.stdout,
    [
      '#kernel',
      'TcpExtTW                        0                  0.0',
      'TcpExtTWRecycled                0                  0.0',
      'TcpExtTWKilled                  0                  0.0',
      '',
    ].join('\n'),
  );
  for (const socket of sockets) socket.destroy();
});

t.test('knobs and policies of a running stack', async (t) => {
  const { ours, path } = await world(t);
  const set = await timewait([
    'knobs',
    '--control',
    path,
    '--set',
    'tcp_rfc1337=1',
    '--set',
    'tcp_fin_timeout=5',
    '--json',
  ]);
  t.equal(set.status, 0, set.stderr);
  const { knobs } = JSON.parse(set.stdout) as { knobs: { name: string; default: number; value: number }[] };
  const row = knobs.find(({ name }) => name === 'net.ipv4.tcp_fin_timeout');
  t.match(row, { default: 60, value: 5 });
  t.equal(ours.knob('net.ipv4.tcp_rfc1337'), 1);
  t.match((await timewait(['knobs', '--control', path])).stdout, /^net\.ipv4\.tcp_rfc1337 +0 +1 +0\.\.1/m);
  const used = await timewait(['policies', '--control', path, '--use', 'bsd']);
  t.equal(used.status, 0, used.stderr);
  t.match(used.stdout, /^freebsd \* /m, 'under its full name');
  t.equal(ours.stack.policyName, 'freebsd');
  const asked = JSON.parse((await timewait(['policies', '--control', path, '--json'])).stdout) as {
    present: string;
  };
  t.equal(asked.present, 'freebsd');
});

t.test('connect: bytes both ways, half-close, status', async (t) => {
  const { theirs, path } = await world(t);
  const port = await listen(
    theirs.createServer({ allowHalfOpen: true }, (socket) => {
      const parts: Buffer[] = [];
      socket.on('data', (part: Buffer) => parts.push(part));
      // Answers only after our end: without the half-close nothing would come.
      socket.on('end', () => socket.end(Buffer.concat(parts).reverse()));
    }),
  );
  const input = Uint8Array.from({ length: 3_000_000 }, (_, i) => 97 + (i % 26));
  const ran = await timewait(['connect', CLIENT, String(port), '--json', '--control', path], { input });
  t.equal(ran.status, 0, ran.stderr);
  t.ok(ran.stdout === Buffer.from(input).reverse().toString(), 'the answer, whole');
  t.match(JSON.parse(ran.stderr), {
    host: CLIENT,
    port,
    bytesRead: input.length,
    bytesWritten: input.length,
  });
  const empty = await timewait(['connect', CLIENT, String(port), '--control', path]);
  t.same(empty, { status: 0, stdout: '', stderr: '' }, 'no input at all');
});

t.test('connect to a peer that closes first and reads late: our input still goes there', async (t) => {
  const { ours, theirs, path } = await world(t);
  theirs.setKnob('tcp_rmem', 4096);
  ours.setKnob('tcp_wmem', 4096);
  let late: Socket | null = null;
  let received = 0;
  const port = await listen(
    theirs.createServer({ allowHalfOpen: true, highWaterMark: 1 }, (socket) => {
      late = socket.end('last words');
      socket.on('data', (part: Buffer) => (received += part.length));
      socket.pause();
    }),
  );
  // More than the peer's window and our engine hold, less than makes the relay stop reading.
  const input = Buffer.alloc(14_000, 'x');
  const running = start(['connect', CLIENT, String(port), '--control', path], { input });
  await until('last words', () => running.said.stdout === 'last words');
  await until('a full window', () => ours.sockets().some(({ sendQ }) => sendQ >= 4096));
  // Both ends of the control socket have closed by now; what is left is with the stack.
  await new Promise((resolve) => setTimeout(resolve, 100));
  t.equal(received, 0, 'nothing read so far');
  (late as Socket | null)?.resume();
  t.same(await running.ended, { status: 0, stdout: 'last words', stderr: '' });
  await until('all bytes', () => received === input.length);
});

t.test('connect that fails: one line, status 1', async (t) => {
  const { theirs, path } = await world(t);
  const refused = await timewait(['connect', CLIENT, '99', '--control', path], { input: 'x' });
  t.same(refused, { status: 1, stdout: '', stderr: `timewait: connect ECONNREFUSED ${CLIENT}:99\n` });
  const port = await listen(
    theirs.createServer({ allowHalfOpen: true }, (socket) => {
      socket.once('data', () => socket.write('so far', () => setTimeout(() => socket.resetAndDestroy(), 50)));
    }),
  );
  const reset = await timewait(['connect', CLIENT, String(port), '--control', path], { input: 'x' });
  t.same(reset, { status: 1, stdout: 'so far', stderr: 'timewait: read ECONNRESET\n' });
});

t.test('connect through a running stack: options of a stack of its own are said to do nothing', async (t) => {
  const { theirs, path } = await world(t);
  const port = await listen(theirs.createServer((socket) => socket.end('here')));
  const options = ['--policy', 'linux', '--set', 'net.ipv4.tcp_fin_timeout=5', '--local', '10.99.0.2/24'];
  const ran = await timewait(['connect', CLIENT, String(port), ...options, '--control', path]);
  t.same(ran, {
    status: 0,
    stdout: 'here',
    stderr:
      "timewait: warning: with --control the running stack's settings hold, not --policy, --set, --local\n",
  });
});

t.test('a client that goes away closes its connection', async (t) => {
  const { ours, theirs, path } = await world(t);
  const ends: string[] = [];
  const port = await listen(
    theirs.createServer((socket) => {
      socket.resume();
      socket.on('end', () => ends.push('end'));
      socket.on('error', (error) => ends.push(error.message));
    }),
  );
  const socket = connectUnix(path);
  socket.write(`${JSON.stringify({ command: 'connect', host: CLIENT, port })}\n`);
  await once(socket, 'data');
  socket.destroy();
  await until('the end', () => ends.length > 0);
  t.same(ends, ['end']);
  await until('no connection left', () => ours.sockets().every(({ state }) => state === 'TIME-WAIT'));
});

/** One line to the socket, one line back. */
async function raw(path: string, line: string): Promise<Record<string, unknown>> {
  const socket = connectUnix(path);
  socket.setEncoding('utf8');
  socket.write(`${line}\n`);
  const [text] = (await once(socket, 'data')) as [string];
  socket.destroy();
  return JSON.parse(text) as Record<string, unknown>;
}

t.test('what is no request is refused, and the stack goes on', async (t) => {
  const { path } = await world(t);
  const lines = [
    '',
    '{',
    'null',
    '5',
    '[]',
    '{"command":"nosuch"}',
    '{"command":"set"}',
    '{"command":"set","name":"tcp_rfc1337","value":9}',
    '{"command":"policy","name":{}}',
    '{"command":"connect"}',
    '{"command":"connect","host":"10.77.0.1","port":-1}',
    '{"command":"connect","host":5,"port":"x"}',
    '{"command":"outcome","id":77}',
  ];
  for (const line of lines) {
    const answer = await raw(path, line);
    t.equal(answer['ok'], false, line);
    t.type(answer['error'], 'string');
  }
  t.equal(
    (await raw(path, '{"command":"set","name":"net.ipv4.tcp_fin_timeout","value":"soon"}'))['error'],
    "net.ipv4.tcp_fin_timeout: the value must be a number, got 'soon'",
  );
  const endless = connectUnix(path);
  endless.on('error', () => undefined);
  endless.write('x'.repeat(100_000));
  await once(endless, 'close');
  t.equal((await raw(path, '{"command":"status"}'))['ok'], true);
  const several = connectUnix(path);
  several.setEncoding('utf8');
  let text = '';
  several.on('data', (part: string) => (text += part));
  several.write('{"command":"cou');
  await new Promise((resolve) => setImmediate(resolve));
  several.write('nts"}\n{"command":"counts"}\n');
  await until('two answers', () => text.split('\n').length === 3);
  several.destroy();
});

t.test(
  'the socket is for its owner, goes with the stack and takes the place of a stale one only',
  async (t) => {
    const { server, client, close } = pair();
    t.teardown(close);
    const path = join(folder(t), 'control');
    const first = await serveControl(new ControlSession(server), path);
    t.equal(lstatSync(path).mode & 0o777, 0o600);
    await t.rejects(serveControl(new ControlSession(client), path), /another stack answers there/);
    t.equal((await raw(path, '{"command":"status"}'))['ok'], true, 'the first one still does');
    first.close();
    await once(first, 'close');
    t.notOk(existsSync(path));

    // What a killed process leaves: a socket with nobody behind it.
    const script = `require('node:net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', script]);
    t.ok(lstatSync(path).isSocket(), 'stale');
    const second = await serveControl(new ControlSession(server), path);
    t.equal((await raw(path, '{"command":"status"}'))['ok'], true);
    second.close();
    await once(second, 'close');

    writeFileSync(path, 'precious');
    await t.rejects(serveControl(new ControlSession(server), path), /something else than a socket/);
    t.equal(readFileSync(path, 'utf8'), 'precious');
    await t.rejects(serveControl(new ControlSession(server), join(path, 'below')), /ENOTDIR/);
    await t.rejects(
      serveControl(new ControlSession(server), '/nonexistent/control'),
      /^--control \/nonexistent\/control: /,
    );
  },
);

t.test('something else that listens there: one line', async (t) => {
  const path = join(folder(t), 'other');
  const other = createUnixServer((socket) => socket.end());
  other.listen(path);
  await once(other, 'listening');
  t.teardown(() => other.close());
  const ran = await timewait(['ss', '--control', path]);
  t.equal(ran.status, 1);
  t.match(ran.stderr, /^timewait: [^\n]*ended the conversation\n$/);
});
