/** The server's side of the plug-in for packetdrill, without sockets: frames, layouts, sessions. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { defaultSettings, followedSysctls, parseFlags } from '../../src/conform/plugin-flags.js';
import { INFO_BYTES, decodeAddress, encodeAddress, encodeInfo } from '../../src/conform/plugin-layout.js';
import {
  PROTOCOL_VERSION,
  RequestReader,
  operations,
  type Operation,
} from '../../src/conform/plugin-protocol.js';
import { parseAddress } from '../../src/wire/address.js';
import type { SegmentText } from '../../src/wire/notation.js';
import { buildPacket } from '../../src/wire/notation-packet.js';
import { ACK, LOAD_OK, SYN, Segment } from '../../src/wire/segment.js';
import { PluginSession } from '../../src/conform/plugin-session.js';

const header = readFileSync(new URL('../../../native/packetdrill/protocol.h', import.meta.url), 'utf8');

type Field = number | bigint | string | Uint8Array;

/** Numbers as u32, bigints as u64, texts as they are, bytes as memory that could be read. */
function frame(id: number, operation: Operation, ...fields: Field[]): Uint8Array {
  const parts = fields.map((field) => {
    if (typeof field === 'string') return Buffer.from(field, 'latin1');
    const bytes = Buffer.alloc(typeof field === 'number' ? 4 : typeof field === 'bigint' ? 8 : 5);
    if (typeof field === 'number') bytes.writeInt32LE(field | 0);
    else if (typeof field === 'bigint') bytes.writeBigUInt64LE(field);
    else {
      bytes.writeUInt8(1);
      bytes.writeUInt32LE(field.length, 1);
      return Buffer.concat([bytes, field]);
    }
    return bytes;
  });
  const body = Buffer.concat([Buffer.alloc(9), ...parts]);
  body.writeUInt32LE(body.length - 4, 0);
  body.writeUInt32LE(id, 4);
  body.writeUInt8(operations.indexOf(operation), 8);
  return body;
}

/** A tool: asks, and takes replies apart. */
class Tool {
  readonly said: string[] = [];
  private readonly reader = new RequestReader();
  private readonly session = new PluginSession(defaultSettings, (line) => this.said.push(line));
  private last = 0;

  constructor(flags = '') {
    this.ask('hello', PROTOCOL_VERSION, flags);
  }

  ask(operation: Operation, ...fields: Field[]) {
    const [request] = this.reader.push(frame(++this.last, operation, ...fields));
    return this.session.handle(request!).map((bytes) => {
      const reply = Buffer.from(bytes);
      t.equal(reply.readUInt32LE(0), reply.length - 4);
      return {
        id: reply.readUInt32LE(4),
        blocked: reply[8] === 1,
        time: Number(reply.readBigInt64LE(9)),
        value: reply.readInt32LE(17),
        errno: reply.readInt32LE(21),
        results: reply.subarray(25),
      };
    });
  }

  one(operation: Operation, ...fields: Field[]) {
    const replies = this.ask(operation, ...fields);
    t.equal(replies.length, 1);
    return replies[0]!;
  }

  listener(): number {
    const fd = this.one('socket', 2, 1, 6).value;
    t.equal(this.one('bind', fd, encodeAddress('192.168.3.4', 8080, 4)).value, 0);
    t.equal(this.one('listen', fd, 5).value, 0);
    return fd;
  }
}

void t.test('both sides number the operations alike', (t) => {
  const names = /enum operation \{([^}]*)\}/
    .exec(header)![1]!
    .split(',')
    .map((line) => /OP_(\w+)/.exec(line)?.[1]?.toLowerCase())
    .filter((name) => name !== undefined);
  t.same(names, [...operations]);
  t.match(header, new RegExp(`PROTOCOL_VERSION ${PROTOCOL_VERSION}\\b`));
  t.end();
});

void t.test('requests come in pieces, or several at once', (t) => {
  const both = Buffer.concat([frame(1, 'time'), frame(2, 'sleep', 300)]);
  const reader = new RequestReader();
  const found = [...both].flatMap((byte) => reader.push(Uint8Array.of(byte)));
  t.same(
    found.map(({ id, operation }) => [id, operation]),
    [
      [1, 'time'],
      [2, 'sleep'],
    ],
  );
  t.equal(found[1]!.fields.u32(), 300);
  t.equal(new RequestReader().push(both).length, 2);
  t.throws(() => new RequestReader().push(Uint8Array.of(255, 255, 255, 255)), /impossible length/);
  t.throws(() => new RequestReader().push(Uint8Array.of(5, 0, 0, 0, 1, 0, 0, 0, 99)), /unknown operation/);
  t.throws(() => found[1]!.fields.u32(), /too short/, 'and no further than they are long');
  t.end();
});

void t.test('the clock ticks when it is read, and jumps in sleep', (t) => {
  const tool = new Tool();
  const first = tool.one('time').time;
  t.equal(tool.one('time').time, first + 1);
  tool.one('sleep', 30_000_000);
  t.equal(tool.one('time').time, first + 30_000_002);
  t.equal(
    (first + 9 + 250) % 1000,
    0,
    'after ten readings and 250 us a script starts on a whole millisecond',
  );
  t.end();
});

void t.test('a call that blocks returns before the reply to what woke it', (t) => {
  const tool = new Tool('sysctl=ignore');
  const fd = tool.listener();
  const [accept] = tool.ask('accept', fd);
  t.ok(accept!.blocked);
  const ends = {
    src: parseAddress('192.0.2.1')!,
    dst: parseAddress('192.168.3.4')!,
    srcPort: 41_000,
    dstPort: 8080,
  };
  const arrives = (segment: SegmentText) =>
    tool.ask('packet_in', Buffer.from(buildPacket(segment, ends)).toString('latin1'));
  t.equal(arrives({ flags: SYN, seq: 100, length: 0, ack: 0 }).length, 1);
  const synAck = tool.one('packet_out').results;
  const woken = arrives({ flags: ACK, seq: 101, length: 0, ack: synAck.readUInt32BE(24) + 1 });
  const [done, own] = woken;
  t.same([done!.id, done!.blocked, done!.value > 2], [accept!.id, false, true]);
  t.equal(own!.id > done!.id, true);
  t.same(decodeAddress(done!.results), { family: 2, address: '192.0.2.1', port: 41_000 });
  t.equal(tool.one('close', done!.value).value, 0);
  t.end();
});

void t.test('a call that blocks where nobody else moves the clock', (t) => {
  const tool = new Tool('wait=7');
  const fd = tool.listener();
  const before = tool.one('time').time;
  // One descriptor, POLLIN, two seconds
  const [poll] = tool.ask('poll', 2000, 1, fd, 1);
  t.ok(poll!.blocked);
  const [done, own] = tool.ask('await', poll!.id);
  t.same([done!.id, done!.value, done!.time - before], [poll!.id, 0, 2_000_000]);
  t.equal(own!.value, 0);
  const [accept] = tool.ask('accept', fd);
  const never = tool.one('await', accept!.id);
  t.same([never.value, never.errno], [-1, 35], 'EDEADLK after the seconds of wait=');
  t.match(tool.said, [/nothing ends it/]);
  t.equal(tool.one('close', fd).value, 0);
  t.end();
});

void t.test('nothing comes: an empty packet, not a wait for ever', (t) => {
  const tool = new Tool('wait=7');
  const before = tool.one('time').time;
  const { value, results, time } = tool.one('packet_out');
  t.same([value, results.length], [0, 0]);
  t.ok(time - before <= 7_000_000);
  t.end();
});

void t.test('sysctls become knobs, a limit that is none the greatest there is', (t) => {
  t.ok(followedSysctls().includes('net.ipv4.tcp_sack'));
  t.notOk(followedSysctls().includes('net.ipv4.tcp_mem'), 'which counts pages there');
  const tool = new Tool();
  tool.one('setting', 'net.ipv4.tcp_challenge_ack_limit=2147483647');
  tool.one('setting', 'net.ipv4.tcp_rmem=4096\t540000\t15728640');
  t.same(tool.said, []);
  tool.one('setting', 'net.ipv4.tcp_sakc=1');
  t.match(tool.said[0], /tcp_sack/);
  t.end();
});

void t.test('options as bytes: TCP_INFO, memory, one byte of TOS, buffers doubled', (t) => {
  const tool = new Tool();
  const fd = tool.one('socket', 2, 1, 6).value;
  const get = (level: number, name: number, room: number) => tool.one('getsockopt', fd, level, name, room);
  t.equal(get(6, 11, 512).results.length, INFO_BYTES);
  t.equal(get(6, 11, 104).results.length, 104, 'as much as there is room for');
  t.same([get(1, 55, 36).results.length, get(6, 26, 20).results.length], [36, 0]);
  t.equal(tool.one('setsockopt', fd, 0, 1, Uint8Array.of(0x88)).value, 0);
  t.equal(get(0, 1, 4).results.readInt32LE(), 0x88);
  t.equal(tool.one('setsockopt', fd, 1, 7, Uint8Array.of(0x10, 0x27, 0, 0)).value, 0);
  t.equal(get(1, 7, 4).results.readInt32LE(), 20_000);
  t.same(tool.one('setsockopt', fd, 6, 1, Uint8Array.of(1, 0)).errno, 22, 'too short');
  // The third number of tcp_rmem decides the window scale
  tool.one('setting', 'net.ipv4.tcp_rmem=4096\t540000\t15728640');
  t.equal(tool.one('fcntl', fd, 4, 0o4000).value, 0);
  t.equal(tool.one('connect', fd, encodeAddress('192.0.2.1', 8080, 4)).errno, 115);
  const syn = new Segment();
  t.equal(syn.loadPacket(tool.one('packet_out').results), LOAD_OK);
  t.equal(syn.windowScale, 8);
  t.end();
});

void t.test('flags', (t) => {
  t.match(parseFlags('socket=/x,profile=freebsd,mtu=9000,sysctl=ignore', defaultSettings), {
    profile: 'freebsd',
    mtu: 9000,
    sysctls: false,
  });
  for (const [flags, message] of [
    ['profile=linus', /nearest: linux/],
    ['set=net.ipv4.tcp_sakc=1', /tcp_sack/],
    ['local=10.0.0.1', /prefix length/],
    ['mtu=9', /from 576/],
    ['wait=0', /from 1/],
    ['sysctl=no', /follow or ignore/],
    ['verbose', /unknown flag 'verbose'/],
  ] as const)
    t.match(parseFlags(flags, defaultSettings), message, flags);
  t.end();
});

void t.test('layouts of Linux', (t) => {
  const six = encodeAddress('2001:db8::7', 443, 6);
  t.same(decodeAddress(six), { family: 10, address: '2001:db8::7', port: 443 });
  const mapped = encodeAddress('192.0.2.1', 80, 6);
  t.same([...mapped.subarray(8, 24)], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 192, 0, 2, 1]);
  t.equal(decodeAddress(six.subarray(0, 20)), null);
  const info = encodeInfo(
    new Map([
      ['tcpi_state', 1],
      ['tcpi_snd_wscale', 7],
      ['tcpi_rcv_wscale', 8],
      ['tcpi_snd_cwnd', 10],
      ['tcpi_bytes_acked', 2 ** 33],
      ['tcpi_total_rto', 3],
      ['tcpi_rwnd_limited', 5],
    ]),
  );
  const view = new DataView(info.buffer);
  t.equal(info.length, INFO_BYTES);
  t.same([info[0], info[6], view.getUint32(80, true)], [1, 0x87, 10]);
  t.equal(view.getBigUint64(120, true), 2n ** 33n);
  t.equal(view.getBigUint64(176, true), 5n);
  t.equal(view.getUint16(240, true), 3);
  t.end();
});
