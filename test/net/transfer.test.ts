/** Bytes: every one arrives, once, in order; and whoever does not read stops whoever writes. */
import { once } from 'node:events';
import t from 'tap';
import { FaultsLink } from '../../src/link/faults.js';
import { collect, connected, digest, listen, pair, pattern, virtualPair, SERVER6 } from './helpers.js';

void t.test('megabytes there and back at once are equal', async (t) => {
  const networks = pair();
  const { near, far } = await connected(networks, { server: { allowHalfOpen: true } });
  const down = pattern(6_000_000, 3);
  const up = pattern(5_000_000, 5);
  far.end(down);
  near.end(up);
  const [gotDown, gotUp] = await Promise.all([collect(near), collect(far)]);
  t.equal(digest(gotDown), digest(down));
  t.equal(digest(gotUp), digest(up));
  t.strictSame([near.bytesRead, near.bytesWritten], [down.length, up.length]);
  networks.close();
});

void t.test('writes of all sizes, corked and not, over IPv6', async (t) => {
  const networks = pair();
  const server = networks.server.createServer((socket) => socket.pipe(socket));
  const port = await listen(server);
  const near = networks.client.connect(port, SERVER6);
  const sent: Buffer[] = [];
  for (let i = 0; i < 400; i++) {
    const piece = pattern((i * i * 7) % 4099, i);
    sent.push(piece);
    if (i % 10 === 0) near.cork();
    const room = near.write(piece);
    if (i % 10 === 7) near.uncork();
    if (!room && near.writableCorked === 0 && near.writableNeedDrain) await once(near, 'drain');
  }
  near.uncork();
  near.end();
  const back = await collect(near);
  t.equal(digest(back), digest(Buffer.concat(sent)));
  t.equal(near.remoteFamily, 'IPv6');
  networks.close();
});

void t.test('over a bad wire, in virtual time', async (t) => {
  let wire: FaultsLink | null = null;
  const networks = virtualPair({
    wrap: (link, clock) =>
      (wire = new FaultsLink(link, clock, {
        seed: 7,
        loss: 0.03,
        duplicate: 0.02,
        reorder: 0.03,
        delay: 20,
      } as never)),
  });
  const { near, far } = await networks.time.until(connected(networks, { server: { allowHalfOpen: true } }));
  const data = pattern(300_000, 9);
  far.pipe(far);
  near.end(data);
  const back = await networks.time.until(collect(near));
  t.equal(digest(back), digest(data));
  t.ok(wire!.counts.out.lost + wire!.counts.in.lost > 0, 'packets were lost');
  networks.close();
});

void t.test('a reader that pauses stops the writer, and nothing is lost when it goes on', async (t) => {
  const networks = virtualPair();
  const { time } = networks;
  const { near, far } = await time.until(connected(networks));
  far.pause();
  const piece = pattern(65_536, 11);
  let offered = 0;
  let refused = false;
  // Far more than both buffers hold.
  const total = 40_000_000;
  const writer = (async () => {
    while (offered < total) {
      offered += piece.length;
      if (near.write(piece)) continue;
      refused = true;
      await once(near, 'drain');
    }
    near.end();
  })();
  await time.sleep(10_000);
  const before = offered;
  await time.sleep(10_000);
  t.equal(offered, before, 'no write was called back meanwhile');
  t.ok(refused, 'write() said false');
  t.ok(offered < 20_000_000, `the writer stopped after ${offered} bytes`);
  t.ok(near.tcpInfo()!.sndWnd < near.tcpInfo()!.sndMss, 'the window of the peer is closed to full segments');
  t.ok(far.bytesRead <= 131_072, `the paused reader took only ${far.bytesRead} bytes`);
  let received = 0;
  let equal = true;
  far.on('data', (chunk: Buffer) => {
    for (let at = 0; at < chunk.length;) {
      const from = (received + at) % piece.length;
      const n = Math.min(chunk.length - at, piece.length - from);
      if (chunk.compare(piece, from, from + n, at, at + n) !== 0) equal = false;
      at += n;
    }
    received += chunk.length;
  });
  far.resume();
  await time.until(Promise.all([writer, once(far, 'end')]));
  t.ok(equal, 'every byte is the right one');
  t.equal(received, offered);
  networks.close();
});

void t.test('what was received before a reset can still be read', async (t) => {
  const networks = virtualPair();
  const { time } = networks;
  const { near, far } = await time.until(connected(networks, { server: { pauseOnConnect: true } }));
  const data = pattern(100_000, 13);
  near.write(data);
  await time.sleep(1_000);
  near.resetAndDestroy();
  await time.settle();
  const chunks: Buffer[] = [];
  far.on('data', (chunk: Buffer) => chunks.push(chunk));
  const failed = new Promise<Error & { code?: string }>((resolve) => far.once('error', resolve));
  far.resume();
  t.equal((await time.until(failed)).code, 'ECONNRESET');
  t.equal(digest(Buffer.concat(chunks)), digest(data));
  networks.close();
});

void t.test('data behind our own end is read even when only a record is left', async (t) => {
  const networks = virtualPair();
  const { time } = networks;
  const { near, far } = await time.until(
    connected(networks, {
      server: { allowHalfOpen: true },
      client: { allowHalfOpen: true },
    }),
  );
  near.end();
  far.resume();
  near.pause();
  await time.until(once(far, 'end'));
  const data = pattern(50_000, 17);
  far.end(data);
  await time.until(once(far, 'finish'));
  await time.sleep(1_000);
  t.equal(near.state, null, 'the engine has let go');
  t.equal(networks.client.timeWait.list().length, 1);
  const back = await time.until(collect(near));
  t.equal(digest(back), digest(data));
  networks.close();
});

void t.test('a data listener that calls read() does not stall the stream', async (t) => {
  const networks = pair();
  const { near, far } = await connected(networks);
  const data = pattern(3_000_000, 19);
  let received = 0;
  far.on('data', (chunk: Buffer) => {
    received += chunk.length;
    const more = far.read() as Buffer | null;
    // read() emits 'data' for what it returns as well: counted there.
    t.ok(more === null || more.length > 0);
  });
  near.end(data);
  await once(far, 'end');
  t.equal(received, data.length);
  networks.close();
});
