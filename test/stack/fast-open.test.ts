/** TCP Fast Open (RFC 7413) as a peer, a server's program and a client's program see it. */
import t from 'tap';
import type { ListenerHandle } from '../../src/stack/api.js';
import { parseCookieKeys } from '../../src/stack/cookies.js';
import { Conversation } from '../support/conversation.js';

const CLIENT = { 'net.ipv4.tcp_fastopen': 1 };
const SERVER = { 'net.ipv4.tcp_fastopen': 2 };
const SYN = 'S 0:0(0) win 65535 <mss 1460';

/** The cookie that a SYN,ACK in notation carries; '' when none. */
function cookieIn(text: string): string {
  return /FO(?:EXP)? ([0-9a-f]+)/.exec(text)?.[1] ?? '';
}

/** A server, and the cookie it gives its peer. */
function server(options: { v6?: boolean; fastOpen?: number; knobs?: Record<string, number> } = {}): {
  c: Conversation;
  cookie: string;
} {
  const c = new Conversation({ v6: options.v6 === true, knobs: { ...SERVER, ...options.knobs } });
  c.listen(10, { fastOpen: options.fastOpen ?? 5 });
  c.inject(`${SYN},FO>`);
  const cookie = cookieIn(c.take());
  c.inject('R 1:1(0) win 0');
  return { c, cookie };
}

/** A client that knows a cookie of its peer. */
function client(knobs: Record<string, number> = CLIENT): Conversation {
  const c = new Conversation({ knobs });
  c.connect({ localPort: 4001, fastOpen: true });
  c.take();
  c.inject('S. 0:0(0) ack 1 win 65535 <mss 1460,FO 0123456789abcdef>');
  c.take();
  c.stack.abort(c.user!);
  c.collect();
  c.rest();
  c.ourIss = null;
  return c;
}

const count = (c: Conversation, name: Parameters<Conversation['stack']['counters']['get']>[0]): number =>
  c.stack.counters.get(name);

void t.test('R7413-1: lengths that no cookie has are as if the option were absent', (t) => {
  for (const cookie of ['aa', '001122', '0011223344', '00112233445566778899aabbccddeeff00']) {
    const { c } = server();
    c.ourIss = null;
    c.inject(`S 0:4(4) win 65535 <mss 1460,FO ${cookie}>`);
    t.notMatch(c.take(), /FO/, `R7413-1: ${cookie.length / 2} octets`);
    t.equal(c.state, 'SYN-RECEIVED');
    t.equal(c.stack.accept(c.listener!), null);
  }
  const { c, cookie } = server();
  c.ourIss = null;
  c.inject(`${SYN}>`);
  c.take();
  c.inject(`. 1:5(4) ack 1 win 65535 <FO ${cookie}>`);
  c.advance(100);
  t.same(c.rest(), ['. 1:1(0) ack 5 win 65535'], 'R7413-1: on a segment without SYN it means nothing');
  t.end();
});

void t.test('R7413-2: nobody who did not ask gets Fast Open', (t) => {
  const c = new Conversation({ policy: 'linux' });
  c.connect({}, 'text');
  t.equal(c.mismatch('S 0:0(0)'), '');
  const quiet = client();
  quiet.connect({}, 'text');
  t.notMatch(quiet.take(), /FO/, 'R7413-2: with a cookie at hand neither');
  const off = client();
  off.stack.setKnob('net.ipv4.tcp_fastopen', 0);
  off.connect({ fastOpen: true }, 'text');
  t.match(off.take(), /^S 0:0\(0\)(?!.*FO)/, 'R7413-2: the knob forbids it');
  const listens = new Conversation({ knobs: SERVER });
  listens.listen();
  listens.inject(`${SYN},FO>`);
  t.notMatch(listens.take(), /FO/, 'R7413-2: a listener that did not ask gives no cookie');
  t.end();
});

void t.test('R7413-3: only a valid cookie lets text through before the handshake is over', (t) => {
  for (const v6 of [false, true]) {
    const { c, cookie } = server({ v6 });
    t.equal(cookie.length, 16);
    c.ourIss = null;
    c.inject('S 0:100(100) win 65535 <mss 1460,FO 0011223344556677>');
    const refused = c.take();
    t.match(refused, /ack 1 /, 'R7413-3: a bad cookie: the SYN alone is acknowledged');
    t.equal(cookieIn(refused), cookie, 'and the right cookie given');
    t.equal(c.stack.accept(c.listener!), null);
    t.equal(count(c, 'TcpExtTCPFastOpenPassiveFail'), 1);
    c.inject('R 1:1(0) win 0');

    c.peerPort++;
    c.ourIss = null;
    c.inject(`S 0:100(100) win 65535 <mss 1460,FO ${cookie}>`);
    t.match(c.take(), /^S\. 0:0\(0\) ack 101 /);
    c.accept();
    t.equal(c.read().length, 100, 'R7413-3: a good one: the program has the text');
    t.equal(c.state, 'SYN-RECEIVED');
    c.send(10);
    t.equal(c.mismatch('P. 1:11(10) ack 101'), '', 'and its answer does not wait');
    c.inject('. 101:101(0) ack 11 win 65535');
    t.equal(c.state, 'ESTABLISHED');
    t.equal(count(c, 'TcpExtTCPFastOpenPassive'), 1);
    t.equal(c.stack.tcpInfo(c.user!).synData, true);
    c.close();
    t.equal(c.mismatch('F. 11:11(0) ack 101'), '');
  }
  t.end();
});

void t.test('R7413-3: another address, another listener key: the cookie is worth nothing', (t) => {
  const { c, cookie } = server();
  const other = new Conversation({ peer: '10.0.0.7', knobs: SERVER });
  other.listen(10, { fastOpen: 5 });
  other.inject(`S 0:10(10) win 65535 <mss 1460,FO ${cookie}>`);
  t.match(other.take(), /ack 1 /);
  c.stack.setFastOpenKeys(new Uint8Array(16).fill(1), c.listener as ListenerHandle);
  c.ourIss = null;
  c.inject(`S 0:10(10) win 65535 <mss 1460,FO ${cookie}>`);
  const answer = c.take();
  t.match(answer, /ack 1 /);
  t.not(cookieIn(answer), cookie);
  t.end();
});

void t.test('a key that was replaced is still good for its cookies, which are renewed', (t) => {
  const { c, cookie } = server();
  const before = c.stack.fastOpenKeys();
  c.stack.setFastOpenKeys(Uint8Array.from([...new Uint8Array(16).fill(9), ...before]));
  c.ourIss = null;
  c.inject(`S 0:10(10) win 65535 <mss 1460,FO ${cookie}>`);
  const answer = c.take();
  t.match(answer, /ack 11 /);
  t.equal(cookieIn(answer).length, 16);
  t.not(cookieIn(answer), cookie);
  t.equal(count(c, 'TcpExtTCPFastOpenPassiveAltKey'), 1);
  t.equal(c.stack.setFastOpenKeys(new Uint8Array(3)), false);
  t.equal(parseCookieKeys('1-2-3'), null);
  t.end();
});

void t.test('the cookie is that of Linux for the same key and addresses', (t) => {
  const c = new Conversation({ knobs: SERVER, peer: '10.0.0.1' });
  c.stack.addAddress('192.168.0.2/16');
  c.stack.setFastOpenKeys(parseCookieKeys('a0bf63f7-ed803d81-cd641d30-cebc4a90')!);
  c.listen(1, { fastOpen: 1 });
  const seen = (peer: string): string => {
    const other = new Conversation({ knobs: SERVER, peer });
    Object.assign(other, { us: { ...other.us, words: Int32Array.of(0, 0, 0xffff, 0xc0a80002 | 0) } });
    other.stack.addAddress('192.168.0.2/16');
    other.stack.setFastOpenKeys(parseCookieKeys('a0bf63f7-ed803d81-cd641d30-cebc4a90')!);
    other.listen(1, { fastOpen: 1 });
    other.inject(`${SYN},FO>`);
    return cookieIn(other.take());
  };
  t.equal(seen('10.248.0.2'), '00abaaabe8e954c2');
  t.equal(seen('10.248.0.3'), '1313a2da994a0951');
  t.end();
});

void t.test('R7413-4: requests beyond the limit are ordinary; a RST keeps its place for a minute', (t) => {
  const { c, cookie } = server({ fastOpen: 2 });
  const ask = (): string => {
    c.peerPort++;
    c.ourIss = null;
    c.inject(`S 0:10(10) win 65535 <mss 1460,FO ${cookie}>`);
    return c.take();
  };
  t.match(ask(), /ack 11 /);
  t.match(ask(), /ack 11 /);
  c.inject('R 11:11(0) win 0');
  t.match(ask(), /ack 1 /, 'R7413-4: two pend, one of them ended by a RST');
  t.equal(count(c, 'TcpExtTCPFastOpenListenOverflow'), 1);
  c.advance(61_000);
  c.rest();
  t.match(ask(), /ack 11 /, 'its place is free again');
  c.inject('. 11:11(0) ack 1 win 65535');
  t.match(ask(), /ack 11 /, 'as is one whose handshake is over');
  t.end();
});

void t.test('a client asks, remembers, and sends text with its SYN', (t) => {
  const c = client();
  c.connect({ localPort: 4002, fastOpen: true }, 'hello');
  t.match(c.take(), /^S 0:5\(5\).*FO 0123456789abcdef/);
  c.inject('S. 0:0(0) ack 6 win 65535 <mss 1460>');
  t.equal(c.mismatch('. 6:6(0) ack 1'), '');
  t.equal(c.stack.tcpInfo(c.user!).synData, true);
  t.equal(count(c, 'TcpExtTCPFastOpenActive'), 1);
  t.end();
});

void t.test('R9293-20: a SYN,ACK that leaves text out: the rest follows at once', (t) => {
  for (const [acked, rest] of [
    [1, 'P. 1:6(5) ack 1'],
    [3, 'P. 3:6(3) ack 1'],
  ] as const) {
    const c = client();
    c.connect({ localPort: 4002, fastOpen: true }, 'hello');
    c.take();
    c.inject(`S. 0:0(0) ack ${acked} win 65535 <mss 1460>`);
    t.equal(c.mismatch(rest), '');
    c.inject('. 1:1(0) ack 6 win 65535');
    t.equal(c.stack.tcpInfo(c.user!).unacked, 0);
    t.equal(count(c, 'TcpExtTCPFastOpenActiveFail'), 1);
  }
  t.end();
});

void t.test('a SYN with text that is lost is followed by a plain one', (t) => {
  const c = client();
  c.connect({ localPort: 4002, fastOpen: true }, 'hello');
  c.take();
  c.advance(1000);
  t.match(c.take(), /^S 0:0\(0\)(?!.*FO)/);
  c.inject('S. 0:0(0) ack 1 win 65535 <mss 1460>');
  t.equal(c.mismatch('P. 1:6(5) ack 1'), '');
  t.end();
});

void t.test('a server that answers no cookie is asked once more in the experimental form', (t) => {
  const c = new Conversation({ knobs: CLIENT });
  const asked = [4001, 4002, 4003].map((localPort) => {
    c.ourIss = null;
    c.connect({ localPort, fastOpen: true });
    const syn = c.take();
    c.inject('S. 0:0(0) ack 1 win 65535 <mss 1460>');
    c.stack.abort(c.user!);
    c.collect();
    c.rest();
    return /FO\w*/.exec(syn)?.[0];
  });
  t.same(asked, ['FO', 'FOEXP', 'FO']);
  t.end();
});

void t.test('a SYN that waits leaves with the first text; room and MSS are the remembered ones', (t) => {
  const c = client();
  c.connect({ localPort: 4002, fastOpen: 'wait' });
  t.same(c.rest(), []);
  t.equal(c.stack.fastOpenRoom(c.user!), 1420);
  c.send(3000);
  t.match(c.take(), /^S 0:1420\(1420\)/);
  c.inject('S. 0:0(0) ack 1421 win 65535 <mss 940>');
  t.equal(c.mismatch('. 1421:2361(940) ack 1'), '');
  c.rest();
  c.ourIss = null;
  c.connect({ localPort: 4003, fastOpen: 'wait' });
  t.equal(c.stack.fastOpenRoom(c.user!), 900);
  const fresh = new Conversation({ knobs: CLIENT });
  fresh.connect({ fastOpen: 'wait' });
  t.match(fresh.take(), /^S 0:0\(0\).*FO/, 'without a cookie there is nothing to wait for');
  t.end();
});

void t.test('a path that swallows Fast Open is spared it for a while', (t) => {
  const c = client({ ...CLIENT, 'net.ipv4.tcp_fastopen_blackhole_timeout_sec': 3600 });
  c.connect({ localPort: 4002, fastOpen: true }, 'hello');
  c.advance(8000);
  t.equal(count(c, 'TcpExtTCPFastOpenBlackhole'), 1);
  c.rest();
  c.ourIss = null;
  c.connect({ localPort: 4003, fastOpen: true }, 'hello');
  t.match(c.take(), /^S 0:0\(0\)(?!.*FO)/);
  c.advance(3_600_000);
  c.rest();
  c.ourIss = null;
  c.connect({ localPort: 4004, fastOpen: true }, 'hello');
  t.match(c.take(), /^S 0:5\(5\)/);
  t.end();
});

void t.test('cookies for 1024 hosts are remembered, the oldest goes', (t) => {
  const c = new Conversation({ knobs: { ...CLIENT, 'net.ipv4.tcp_max_connections': 5000 } });
  const visit = (host: number): string => {
    c.ourIss = null;
    const peer = `10.1.${host >> 8}.${host & 255}`;
    Object.assign(c, { peer: { ...c.peer, words: Int32Array.of(0, 0, 0xffff, 0x0a010000 | host) } });
    c.connect({ address: peer, localPort: 4002, fastOpen: true });
    const syn = c.take();
    c.inject('S. 0:0(0) ack 1 win 65535 <mss 1460,FO 0011223344556677>');
    c.stack.abort(c.user!);
    c.collect();
    c.rest();
    return syn;
  };
  for (let host = 1; host <= 1025; host++) visit(host);
  t.match(visit(2), /FO 0011/);
  t.match(visit(1), /FO(?! )/);
  t.end();
});
