/**
 * What runs inside a machine of machine.ts, a network namespace of its own: takes orders,
 * one line of JSON each, and answers each with one line. Ends when its input ends.
 */
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import type { Answer, ConnectOrder, Order, UpOrder } from './machine.js';
import { bringUp, must } from './namespace.js';

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

function obey(order: Order): void {
  try {
    if (order.order === 'connect') attempt(order);
    else {
      up(order);
      say({ id: order.id });
    }
  } catch (error) {
    say({ id: order.id, error: (error as Error).message });
  }
}

const input = createInterface({ input: process.stdin });
input.on('line', (line) => obey(JSON.parse(line) as Order));
input.on('close', () => process.exit(0));
// Told only now: the namespace is there, and whoever gave it the device may go on.
say({ id: 0 });
