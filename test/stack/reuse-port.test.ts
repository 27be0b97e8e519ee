/** SO_REUSEPORT: who may join, who is chosen, and what a listener leaves behind. */
import t from 'tap';
import type { ListenerHandle } from '../../src/stack/api.js';
import { Conversation } from '../support/conversation.js';

const BACKLOG = 300;

/** A conversation with `count` listeners on port 80. */
function group(
  count: number,
  knobs: Record<string, number> = {},
  v6 = false,
): { c: Conversation; members: ListenerHandle[] } {
  const c = new Conversation({ v6, knobs });
  const members = [...new Array<null>(count)].map(() => {
    c.listen(BACKLOG, { reusePort: true });
    return c.listener!;
  });
  return { c, members };
}

/** A SYN of this port, and the ACK of what answers it when `whole`. */
function call(c: Conversation, port: number, whole = true): void {
  c.peerPort = port;
  c.ourIss = null;
  c.inject('S 0:0(0) win 65535 <mss 1460>');
  if (whole) c.inject('. 1:1(0) ack 1 win 65535');
}

void t.test('both need the option, on one address or on overlapping ones', (t) => {
  const { c } = group(1);
  const listen = (options: object): unknown => c.stack.listen({ port: 80, ...options });
  t.equal(listen({}), 'EADDRINUSE');
  t.equal(listen({ reuseAddress: true }), 'EADDRINUSE');
  t.equal(listen({ address: '10.0.0.2' }), 'EADDRINUSE');
  t.type(listen({ reusePort: true }), 'object');
  t.type(listen({ address: '10.0.0.2', reusePort: true }), 'object');
  c.stack.listen({ port: 81 });
  t.equal(c.stack.listen({ port: 81, reusePort: true }), 'EADDRINUSE', 'the first has not got it');
  t.end();
});

void t.test('4,000 connections are spread evenly over four, on IPv4 and IPv6', (t) => {
  for (const v6 of [false, true]) {
    const { c } = group(0, { 'net.core.somaxconn': 4000, 'net.ipv4.tcp_max_syn_backlog': 4000 }, v6);
    const wide = [1, 2, 3, 4].map(
      () => c.stack.listen({ port: 80, backlog: 4000, reusePort: true }) as ListenerHandle,
    );
    for (let port = 2000; port < 6000; port++) call(c, port);
    const shares = wide.map((one) => one.waiting);
    t.equal(
      shares.reduce((sum, share) => sum + share, 0),
      4000,
    );
    // Binomial: 1000 with a deviation of 27
    for (const share of shares) t.ok(Math.abs(share - 1000) < 140, `${shares.join(' ')}`);
  }
  t.end();
});

void t.test('a flow meets the same listener each time', (t) => {
  const { c, members } = group(5);
  const chosen = (port: number): number => {
    const before = members.map((one) => one.waiting);
    call(c, port);
    return members.findIndex((one, i) => one.waiting > before[i]!);
  };
  const first = [...new Array<null>(40)].map((_, i) => chosen(3000 + i));
  for (const one of members) for (;;) if (c.stack.accept(one) === null) break;
  for (let i = 0; i < 40; i++) {
    c.peerPort = 3000 + i;
    c.inject('R 1:1(0)');
  }
  t.equal(c.stack.connections, 0);
  t.same(
    [...new Array<null>(40)].map((_, i) => chosen(3000 + i)),
    first,
  );
  t.equal(new Set(first).size, 5, 'all of them have some');
  t.end();
});

void t.test('an exact address comes before any, and a family before both', (t) => {
  const { c, members } = group(1);
  const own = c.stack.listen({ port: 80, address: '0.0.0.0', reusePort: true }) as ListenerHandle;
  call(c, 3000);
  t.same([members[0]!.waiting, own.waiting], [0, 1]);
  const exact = c.stack.listen({ port: 80, address: '10.0.0.2', reusePort: true }) as ListenerHandle;
  call(c, 3001);
  t.same([members[0]!.waiting, own.waiting, exact.waiting], [0, 1, 1]);
  t.end();
});

void t.test('a closed listener takes its queues with it; with tcp_migrate_req they go to the others', (t) => {
  for (const migrates of [0, 1]) {
    const { c, members } = group(2, { 'net.ipv4.tcp_migrate_req': migrates, timewait_dialect: 1 });
    const [gone, stays] = members as [ListenerHandle, ListenerHandle];
    for (let port = 3000; port < 3020; port++) call(c, port);
    for (let port = 4000; port < 4020; port++) call(c, port, false);
    const lost = gone.waiting;
    const kept = stays.waiting;
    t.ok(lost > 0 && kept > 0);
    c.rest();
    c.stack.closeListener(gone);
    c.collect();
    const resets = c.rest().filter((text) => text.startsWith('R')).length;
    t.equal(resets, migrates === 1 ? 0 : lost, 'what had been established is reset');
    t.equal(stays.waiting, migrates === 1 ? kept + lost : kept);
    // The handshakes that were under way
    let completed = 0;
    for (let port = 4000; port < 4020; port++) {
      c.peerPort = port;
      if (c.state === 'SYN-RECEIVED') completed++;
    }
    t.equal(completed === 20, migrates === 1);
    t.equal(c.stack.counters.get('TcpExtTCPMigrateReqSuccess') > lost, migrates === 1);
    call(c, 5000);
    t.equal(c.state, 'ESTABLISHED', 'new ones find the other');
  }
  t.end();
});

void t.test('a cookie that one of the group gave out is good for the others', (t) => {
  const { c, members } = group(3, { 'net.ipv4.tcp_syncookies': 2 });
  call(c, 3000, false);
  const iss = c.ourIss;
  // Whoever gave it out is gone
  for (const one of members.slice(0, 2)) c.stack.closeListener(one);
  c.ourIss = iss;
  c.inject('. 1:1(0) ack 1 win 65535');
  t.equal(c.state, 'ESTABLISHED');
  t.equal(members[2]!.waiting, 1);
  t.end();
});
