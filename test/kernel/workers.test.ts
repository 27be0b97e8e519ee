/**
 * Several engines on one device against the kernel: no connection is ever seen by two of them, whether the
 * kernel steers or the workers hand over. 100,000 connections from ports of their own.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { compile } from '../../bench/wire/contenders.js';
import { ANSWER } from '../../bench/wire/ports.js';
import { bringUp, which } from '../../src/lab/namespace.js';
import { Workers, type WorkersOptions } from '../../src/workers/workers.js';
import { inNamespace } from '../native/namespace.js';
import type { Seen, ServerData } from '../workers/server.js';

/** Clients come from the first of these and the next, 55,000 ports of each. */
const CLIENTS = ['10.78.1.1', '10.78.1.2'];
const STACK = '10.78.0.2';

const run = promisify(execFile);

async function start(t: Test, options: Partial<WorkersOptions>): Promise<Workers> {
  // A record lasts longer than the test, and a late retransmission whose RST kills one does not matter.
  const data: ServerData = { addresses: [`${STACK}/16`], policy: 'rfc1337' };
  const workers = await Workers.start({
    workers: 2,
    program: new URL('../workers/server.js', import.meta.url),
    data,
    device: 'twq%d',
    prepare: (device) =>
      bringUp(
        device,
        CLIENTS.map((address) => `${address}/16`),
      ),
    ...options,
  });
  t.teardown(() => workers.close());
  return workers;
}

/** Connections of the kernel's from ports of their own, all of which succeed. */
async function connections(t: Test, count: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'timewait-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const peer = compile(folder, 'peer')!;
  const args = ['connections', STACK, ANSWER, 60, 0, 64, CLIENTS[0]!, CLIENTS.length, 0, count];
  const { stdout } = await run(peer, args.map(String));
  t.match(JSON.parse(stdout), { done: count, failed: 0 });
}

async function onlyOnce(t: Test, workers: Workers, all: number): Promise<void> {
  const seen = (await workers.ask('seen')) as Seen[];
  const accepted = seen.map((each) => each.accepted);
  t.equal(
    accepted.reduce((sum, each) => sum + each),
    all,
    'accepted in all',
  );
  t.equal(new Set(seen.flatMap(({ remotes }) => remotes)).size, all, 'each is known');
  t.same(
    seen.map(({ remotes }) => remotes.length),
    accepted,
    'and by one engine, that which accepted it',
  );
  t.same(
    seen.map(({ resets }) => resets),
    [0, 0],
    'nobody met a segment of another engine',
  );
  for (const each of accepted) t.ok(each > all * 0.48 && each < all * 0.52, `${each} of ${all}: half`);
  t.equal((await workers.timeWait.list(2 * all)).length, all, 'the list of all has them');
  t.equal((await workers.counters())['TcpPassiveOpens'], all);
}

const skip = which('gcc') === null && 'gcc is not installed: apt-get install gcc libc6-dev';

if (inNamespace(t, import.meta.url)) {
  void t.test('100,000 connections: each is seen by one engine', { skip }, async (t) => {
    const workers = await start(t, {});
    await connections(t, 100_000);
    await onlyOnce(t, workers, 100_000);
    const passed = await workers.handedOver();
    t.comment(`steered by the kernel: ${workers.steered}; handed over: ${JSON.stringify(passed)}`);
    if (workers.steered) {
      t.same(
        passed.map(({ given }) => given),
        [0, 0],
        'each came into its queue',
      );
    }
  });

  void t.test('the same where the kernel does not steer', { skip }, async (t) => {
    const workers = await start(t, { steerInKernel: false });
    t.equal(workers.steered, false);
    await connections(t, 20_000);
    await onlyOnce(t, workers, 20_000);
    const passed = await workers.handedOver();
    const [first, second] = passed;
    t.ok(first!.given > 20_000, 'the first reads for both');
    t.match(passed, [
      { taken: 0, lost: 0 },
      { given: 0, taken: first!.given, lost: 0 },
    ]);
    t.equal(second!.taken, first!.given);
  });
}
