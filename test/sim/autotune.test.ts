/** Receive-buffer auto-tuning over a long, fast path, in virtual time. */
import t from 'tap';
import { Internet } from '../../src/sim/internet.js';
import type { SimSocket } from '../../src/sim/socket.js';
import { bulk } from '../support/bulk.js';

/** The three numbers of tcp_rmem as Linux boots with them. */
const LINUX = {
  'net.ipv4.tcp_rmem': 131_072,
  'net.ipv4.tcp_rmem.max': 6_291_456,
  'net.ipv4.tcp_wmem': 8_388_608,
};
/** 100 ms there and back, 100 Mbit/s. */
const wire = { delay: 50, rate: 100e6, queue: 2000 };

void t.test('100 ms, 100 Mbit/s: with auto-tuning the link is the limit, without it the window is', (t) => {
  for (const timestamps of [1, 0]) {
    const knobs = { ...LINUX, 'net.ipv4.tcp_timestamps': timestamps };
    const tuned = bulk({ wire, time: 8000, knobs });
    t.ok(tuned.rate > 75, `${tuned.rate.toFixed(1)} Mbit/s of 94 in the first 8 s, slow start included`);
    const fixed = bulk({ wire, time: 8000, knobs: { ...knobs, 'net.ipv4.tcp_moderate_rcvbuf': 0 } });
    const bound = (8 * 131_072) / 100 / 1000;
    t.ok(
      fixed.rate < bound && fixed.rate > 0.8 * bound,
      `${fixed.rate.toFixed(1)} Mbit/s, window/RTT is ${bound.toFixed(1)}`,
    );
  }
  t.end();
});

/** A sender without end; the receiver takes `bytes` every `pause` ms. The largest window it offered in 5 s. */
function largestWindow(bytes: number, pause: number, lock: number): number {
  const net = new Internet({ seed: 5 });
  const made = { policy: 'linux', knobs: LINUX };
  const client = net.host('client', { addresses: ['10.0.0.1/24'], ...made });
  const server = net.host('server', { addresses: ['10.0.0.2/24'], ...made });
  net.wire(client, server, wire);
  let most = 0;
  server.listen({ port: 80 }, (socket) => {
    socket.pause();
    if (lock > 0) server.stack.setOption(socket.connection, 'receiveBuffer', lock);
    const take = (): void => {
      for (let left = bytes; left > 0;) {
        const piece = server.stack.read(socket.connection, left);
        if (piece === null) break;
        left -= piece.length;
      }
      server.touch();
      most = Math.max(most, server.stack.tcpInfo(socket.connection).rcvWnd);
      net.after(pause, take);
    };
    take();
  });
  const socket = client.connect({ address: '10.0.0.2', port: 80 }) as SimSocket;
  const piece = new Uint8Array(65_536);
  const pump = (): void => {
    while (socket.write(piece) === true);
  };
  socket.onConnect = pump;
  socket.onWritable = pump;
  net.runUntil(() => false, 5000);
  return most;
}

void t.test('a slow reader grows nothing, nor does a buffer that the user chose', (t) => {
  t.ok(largestWindow(2000, 100, 0) <= 131_072, '20 kB/s');
  t.ok(largestWindow(10_000_000, 10, 0) > 1_000_000, 'a fast reader does');
  t.ok(largestWindow(10_000_000, 10, 131_072) <= 131_072, 'SO_RCVBUF');
  t.end();
});
