/** TIME-WAIT and the trace as programs see them, under virtual time. */
import { once } from 'node:events';
import t from 'tap';
import type { Decision, StateChange } from '../../src/stack/api.js';
import { definePolicy, type Policy, type PolicyFailure } from '../../src/stack/policies.js';
import { closed, connected, failure, listen, virtualPair, CLIENT, SERVER } from './helpers.js';

const MSL_2 = 240_000;

void t.test('whoever closes first keeps the record, for 2*MSL', async (t) => {
  const networks = virtualPair();
  const { near, far, server } = await networks.time.until(connected(networks));
  const started = networks.clock.now();
  near.end();
  far.resume();
  await networks.time.until(Promise.all([closed(near), closed(far)]));
  const [row] = networks.client.timeWait.list();
  t.match(row, {
    state: 'TIME-WAIT',
    local: { address: CLIENT, port: near.localPort },
    remote: { address: SERVER },
    timer: 'timewait',
  });
  t.same(networks.server.timeWait.list(), []);
  t.equal(networks.client.timeWait.policy, 'rfc9293');
  server.close();
  await networks.time.sleep(MSL_2 - 1_000);
  t.equal(networks.client.timeWait.list().length, 1);
  await networks.time.sleep(2_000);
  t.equal(networks.client.timeWait.list().length, 0);
  t.ok(networks.clock.now() - started <= MSL_2 + 2_000);
  networks.close();
});

void t.test('list(limit) bounds the rows', async (t) => {
  const networks = virtualPair();
  const server = networks.server.createServer((socket) => socket.resume());
  const port = await networks.time.until(listen(server));
  for (let i = 0; i < 5; i++) await networks.time.until(closed(networks.client.connect(port, SERVER).end()));
  t.equal(networks.client.timeWait.list().length, 5);
  t.equal(networks.client.timeWait.list(2).length, 2);
  networks.close();
});

void t.test('an unknown policy and an unknown knob are refused by name', (t) => {
  const { client, close } = virtualPair();
  t.throws(() => (client.timeWait.policy = 'rfc9239'), { name: 'RangeError', message: /rfc9239.*rfc9293/ });
  t.throws(() => client.setKnob('net.ipv4.tcp_tw_resue', 1), { name: 'RangeError', message: /tcp_tw_reuse/ });
  t.equal(client.timeWait.policy, 'rfc9293');
  close();
  t.end();
});

void t.test('EADDRNOTAVAIL: the only port is eaten by TIME-WAIT, until 2*MSL have passed', async (t) => {
  const networks = virtualPair();
  const server = networks.server.createServer((socket) => socket.resume());
  const port = await networks.time.until(listen(server));
  const again = { host: SERVER, port, localPort: 4711, localAddress: CLIENT, reuseAddress: true };
  await networks.time.until(closed(networks.client.connect(again).end()));
  const error = await networks.time.until(failure(networks.client.connect(again)));
  t.match(error, {
    code: 'EADDRNOTAVAIL',
    syscall: 'connect',
    address: SERVER,
    port,
    localAddress: CLIENT,
    localPort: 4711,
    message: `connect EADDRNOTAVAIL ${SERVER}:${port} - Local (${CLIENT}:4711)`,
  });
  await networks.time.sleep(MSL_2 + 1_000);
  const third = networks.client.connect(again);
  await networks.time.until(once(third, 'connect'));
  t.equal(third.localPort, 4711);
  networks.close();
});

void t.test('EADDRNOTAVAIL: no ephemeral port is left', async (t) => {
  const networks = virtualPair();
  networks.client.setKnob('net.ipv4.ip_local_port_range.min', 50_000);
  networks.client.setKnob('net.ipv4.ip_local_port_range.max', 50_003);
  const server = networks.server.createServer((socket) => socket.resume());
  const port = await networks.time.until(listen(server));
  for (let i = 0; i < 4; i++) await networks.time.until(closed(networks.client.connect(port, SERVER).end()));
  const error = await networks.time.until(failure(networks.client.connect(port, SERVER)));
  t.match(error, {
    code: 'EADDRNOTAVAIL',
    syscall: 'connect',
    message: `connect EADDRNOTAVAIL ${SERVER}:${port}`,
  });
  networks.close();
});

void t.test('linger 0 and resetAndDestroy leave no record', async (t) => {
  const networks = virtualPair();
  const first = await networks.time.until(connected(networks, { client: { linger: 0 } }));
  const reset = failure(first.far);
  first.near.destroy();
  t.equal((await networks.time.until(reset)).code, 'ECONNRESET');
  t.same(networks.client.timeWait.list(), []);
  networks.close();
});

void t.test('ETIMEDOUT: nobody answers the SYN', async (t) => {
  const networks = virtualPair();
  const lost = networks.client.connect(80, '10.77.0.99');
  const error = await networks.time.until(failure(lost));
  t.match(error, {
    code: 'ETIMEDOUT',
    syscall: 'connect',
    address: '10.77.0.99',
    port: 80,
    message: 'connect ETIMEDOUT 10.77.0.99:80',
  });
  networks.close();
});

void t.test('ETIMEDOUT: the peer vanishes with data under way', async (t) => {
  const networks = virtualPair();
  const { near } = await networks.time.until(connected(networks));
  networks.server.driver.link.close();
  near.write('anybody?');
  const error = await networks.time.until(failure(near));
  t.match(error, { code: 'ETIMEDOUT', syscall: 'read', message: 'read ETIMEDOUT' });
  networks.close();
});

void t.test('keepalive finds that the peer is gone', async (t) => {
  const networks = virtualPair();
  const { near } = await networks.time.until(connected(networks));
  near.setKeepAlive(true, 60_000);
  await networks.time.sleep(300_000);
  t.equal(near.destroyed, false, 'the peer answers the probes');
  networks.server.driver.link.close();
  const error = await networks.time.until(failure(near));
  t.equal(error.code, 'ETIMEDOUT');
  networks.close();
});

void t.test('states and decisions are told to sockets and networks', async (t) => {
  const networks = virtualPair();
  const changes: string[] = [];
  const decisions: Decision[] = [];
  networks.client.on('state', (change: StateChange) => changes.push(`${change.from}>${change.to}`));
  networks.client.on('decision', (decision: Decision) => decisions.push(decision));
  networks.server.on('state', () => {});
  const { near, far } = await networks.time.until(connected(networks));
  const own: string[] = [];
  near.on('state', (from: string, to: string) => own.push(`${from}>${to}`));
  near.end();
  far.resume();
  await networks.time.until(Promise.all([closed(near), closed(far)]));
  await networks.time.settle();
  t.same(changes, [
    'CLOSED>SYN-SENT',
    'SYN-SENT>ESTABLISHED',
    'ESTABLISHED>FIN-WAIT-1',
    'FIN-WAIT-1>FIN-WAIT-2',
    'FIN-WAIT-2>TIME-WAIT',
  ]);
  t.same(own, ['ESTABLISHED>FIN-WAIT-1', 'FIN-WAIT-1>FIN-WAIT-2', 'FIN-WAIT-2>TIME-WAIT']);
  t.same(near.history(), ['CLOSED', 'SYN-SENT', 'ESTABLISHED', 'FIN-WAIT-1', 'FIN-WAIT-2', 'TIME-WAIT']);
  t.same(
    far.history().slice(-5),
    ['SYN-RECEIVED', 'ESTABLISHED', 'CLOSE-WAIT', 'LAST-ACK', 'CLOSED'],
    'the accepted socket knows what it was before it was accepted',
  );
  await networks.time.until(failure(networks.client.connect(9, SERVER)));
  t.match(
    decisions.find((decision) => decision.reason === 'synsent-refused'),
    { state: 'SYN-SENT', remote: { address: SERVER, port: 9 } },
  );
  networks.close();
});

void t.test('tcpInfo and state', async (t) => {
  const networks = virtualPair();
  const { near, far } = await networks.time.until(connected(networks));
  t.equal(near.state, 'ESTABLISHED');
  t.same(near.history(), ['ESTABLISHED'], 'without tracing only the present');
  near.write(Buffer.alloc(10_000));
  far.resume();
  await networks.time.sleep(1_000);
  t.match(near.tcpInfo(), { state: 'ESTABLISHED', bytesAcked: 10_001, unacked: 0, sndMss: Number });
  near.destroy();
  t.equal(near.tcpInfo(), null);
  networks.close();
});

void t.test('until() gives up when nothing can happen any more', async (t) => {
  const networks = virtualPair();
  await t.rejects(networks.time.until(new Promise(() => {})), /nothing happened/);
  networks.close();
});

/** A client with this policy opens a connection and closes first. */
async function closeFirst(policy: Policy, hookLimit?: number): Promise<ReturnType<typeof virtualPair>> {
  const networks = virtualPair({ client: { policy, ...(hookLimit === undefined ? {} : { hookLimit }) } });
  const { near, far } = await networks.time.until(connected(networks));
  near.end();
  far.resume();
  await networks.time.until(Promise.all([closed(near), closed(far)]));
  await networks.time.settle();
  return networks;
}

void t.test('hooks of the user that fail: the event, the count, the strict answer', async (t) => {
  const wrong = definePolicy({ name: 'mine', lifetime: () => NaN });
  const networks = virtualPair({ client: { policy: wrong } });
  const told: PolicyFailure[] = [];
  networks.client.on('policyError', (failure) => told.push(failure));
  for (let i = 0; i < 2; i++) {
    const { near, far } = await networks.time.until(connected(networks));
    near.end();
    far.resume();
    await networks.time.until(Promise.all([closed(near), closed(far)]));
  }
  await networks.time.settle();
  t.match(told, [{ policy: 'mine', hook: 'lifetime', kind: 'answered' }]);
  t.equal(told.length, 1);
  t.match(networks.client.timeWait.failures, [{ hook: 'lifetime', count: 2 }]);
  t.equal(networks.client.timeWait.list().length, 2, 'TIME-WAIT as RFC 9293 has it');
  networks.client.timeWait.policy = 'linux';
  t.same(networks.client.timeWait.failures, [], 'another policy, another list');
  networks.close();
});

void t.test('nobody listens: a warning of the process', async (t) => {
  const warned = once(process, 'warning') as Promise<[Error]>;
  const networks = await closeFirst(definePolicy({ name: 'silent', lifetime: () => -1 }));
  const [warning] = await warned;
  t.equal(warning.name, 'PolicyWarning');
  t.match(warning.message, /^policy silent: lifetime gave a wrong answer: -1 is no time/);
  networks.close();
});

void t.test('the stopwatch is a real one, the limit the one given', async (t) => {
  const slow = definePolicy({
    name: 'slow',
    lifetime() {
      const until = performance.now() + 30;
      while (performance.now() < until);
      return 1000;
    },
  });
  const patient = await closeFirst(slow, 60_000);
  t.same(patient.client.timeWait.failures, []);
  t.ok(patient.client.timeWait.list()[0]!.timerLeft <= 1000);
  patient.close();
  const warned = once(process, 'warning') as Promise<[Error]>;
  const strict = await closeFirst(slow);
  t.match(strict.client.timeWait.failures, [{ kind: 'slow', count: 1 }]);
  t.match(
    (await warned)[0].message,
    /policy slow: lifetime took [\d.]+ ms, 5 ms are allowed; rfc9293 answered/,
  );
  t.ok(strict.client.timeWait.list()[0]!.timerLeft > 200_000);
  strict.close();
});
