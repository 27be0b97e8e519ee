/**
 * What runs inside a machine of machine.ts, a network namespace of its own: takes orders,
 * one line of JSON each, and answers each with one line. Ends when its input ends.
 */
import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import type { Answer, ConnectOrder, Order, ReceiveOrder, SendOrder, Tally, UpOrder } from './machine.js';
import { bringUp, must, sysctl } from './namespace.js';

/** Bytes of one write of `send`. */
const CHUNK = Buffer.alloc(65_536);

let received = 0;

function say(answer: object): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

function up({ device, addresses }: UpOrder): void {
  bringUp(device, addresses);
  for (const version of new Set(addresses.map((each) => (each.includes(':') ? '-6' : '-4'))))
    must('ip', version, 'route', 'add', 'default', 'dev', device);
}

/** Connects, reads to the end and closes; answers once it is known whether the connection came about, and is over. */
function attempt({ id, host, port, localAddress, localPort, limit }: ConnectOrder): void {
  const start = performance.now();
  const delay = (): number => Math.round(performance.now() - start);
  const socket = connect({ host, port, localAddress, localPort });
  let result: Answer['attempt'];
  const timer = setTimeout(() => {
    result ??= { accepted: false, delay: delay(), error: 'ETIMEDOUT' };
    socket.destroy();
  }, limit);
  socket.once('connect', () => (result = { accepted: true, delay: delay(), error: '' }));
  socket.on('error', (error: NodeJS.ErrnoException) => {
    result ??= { accepted: false, delay: delay(), error: error.code ?? 'error' };
  });
  socket.once('close', () => {
    clearTimeout(timer);
    say({ id, attempt: result ?? { accepted: false, delay: delay(), error: 'closed' } });
  });
  socket.resume();
}

function receive({ id, host, port }: ReceiveOrder): void {
  const server = createServer((socket) => {
    socket.on('data', (bytes) => (received += bytes.length));
    socket.on('error', () => undefined);
  });
  server.once('error', (error) => say({ id, error: error.message }));
  server.listen({ host, port }, () => say({ id }));
}

function send({ id, host, port }: SendOrder): void {
  const socket = connect({ host, port });
  const fill = (): void => {
    while (socket.write(CHUNK));
  };
  socket.on('connect', () => {
    say({ id });
    fill();
  });
  socket.on('drain', fill);
  socket.on('error', (error) => say({ id, error: error.message }));
}

/** Both files name in one line what the next one counts. */
function tally(): Tally {
  const counters: Record<string, number> = {};
  for (const file of ['/proc/net/snmp', '/proc/net/netstat']) {
    const lines = readFileSync(file, 'latin1').trim().split('\n');
    for (let i = 0; i + 1 < lines.length; i += 2) {
      const [prefix, ...names] = lines[i]!.split(' ');
      const values = lines[i + 1]!.split(' ').slice(1);
      names.forEach((name, at) => (counters[prefix!.slice(0, -1) + name] = Number(values[at])));
    }
  }
  return { received, counters };
}

function obey(order: Order): void {
  const { id } = order;
  try {
    switch (order.order) {
      case 'connect':
        return attempt(order);
      case 'receive':
        return receive(order);
      case 'send':
        return send(order);
      case 'tally':
        return say({ id, tally: tally() });
      case 'up':
        up(order);
        break;
      case 'set':
        if (!sysctl(order.name, order.value)) throw new Error(`${order.name} = ${order.value} was refused`);
    }
    say({ id });
  } catch (error) {
    say({ id, error: (error as Error).message });
  }
}

const input = createInterface({ input: process.stdin });
input.on('line', (line) => obey(JSON.parse(line) as Order));
input.on('close', () => process.exit(0));
// Told only now: the namespace is there, and whoever gave it the device may go on.
say({ id: 0 });
