/**
 * A program for the kernel's side: COUNT connections to HOST PORT, CONCURRENT at a
 * time, each sends one line, reads to the end and closes. Prints one line of JSON.
 * With FIRST each connection has a source port of its own, from FIRST on.
 *
 *   node clients.js HOST PORT COUNT CONCURRENT [FIRST]
 */
import { connect } from 'node:net';

const [host = '', port = '', count = '', concurrent = '', first = ''] = process.argv.slice(2);
const errors: Record<string, number> = {};
let started = 0;
let done = 0;
let bytes = 0;

function next(): void {
  if (started >= Number(count)) return;
  const from = first === '' ? {} : { localPort: Number(first) + started };
  started++;
  const socket = connect({ host, port: Number(port), ...from });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    const code = error.code ?? 'error';
    errors[code] = (errors[code] ?? 0) + 1;
  });
  socket.on('data', (data) => (bytes += data.length));
  socket.on('close', () => {
    done++;
    next();
    if (done === Number(count)) process.stdout.write(`${JSON.stringify({ done, bytes, errors })}\n`);
  });
  socket.write('x\n');
}

for (let i = 0; i < Number(concurrent); i++) next();
