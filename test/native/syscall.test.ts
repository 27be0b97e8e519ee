/** System calls by name: results and errnos are the kernel's own. */
import t from 'tap';
import { native } from '../../src/link/native.js';

const AF_INET = 2;
const SOCK_STREAM = 1;
const EBADF = 9;
const EAGAIN = 11;
const ECONNREFUSED = 111;

const loaded = native();

void t.test(
  'a connection over loopback, made of raw calls',
  { skip: loaded.ok ? false : loaded.reason },
  async (t) => {
    if (!loaded.ok) return;
    // Threads that wait in a call do not keep the process
    const alive = setInterval(() => undefined, 1000);
    t.teardown(() => clearInterval(alive));
    const { syscall, syscallAsync, address } = loaded.addon;
    const sockaddr = (port: number): Uint8Array => {
      const bytes = new Uint8Array(16);
      new DataView(bytes.buffer).setUint16(0, AF_INET, true);
      new DataView(bytes.buffer).setUint16(2, port, false);
      bytes.set([127, 0, 0, 1], 4);
      return bytes;
    };
    const listener = syscall('socket', AF_INET, SOCK_STREAM, 0);
    t.ok(listener > 2);
    t.equal(syscall('bind', listener, sockaddr(0), 16), 0);
    t.equal(syscall('listen', listener, 5), 0);
    const bound = new Uint8Array(16);
    const length = new Uint8Array(Int32Array.of(16).buffer);
    t.equal(syscall('getsockname', listener, bound, length), 0);
    const port = new DataView(bound.buffer).getUint16(2, false);
    const peer = new Uint8Array(16);
    const waiting = syscallAsync('accept', listener, peer, new Uint8Array(Int32Array.of(16).buffer), 0);
    const client = syscall('socket', AF_INET, SOCK_STREAM, 0);
    t.equal(await syscallAsync('connect', client, sockaddr(port), 16), 0);
    const server = await waiting;
    t.ok(server > 2, 'accept blocked on its own thread');
    t.same([...peer.subarray(4, 8)], [127, 0, 0, 1]);
    const text = new TextEncoder().encode('two parts');
    // An iovec of two parts
    const iov = new Uint8Array(32);
    const view = new DataView(iov.buffer);
    view.setBigUint64(0, address(text.subarray(0, 4)), true);
    view.setBigUint64(8, 4n, true);
    view.setBigUint64(16, address(text.subarray(4)), true);
    view.setBigUint64(24, 5n, true);
    t.equal(syscall('writev', client, iov, 2), 9);
    const got = new Uint8Array(20);
    t.equal(await syscallAsync('read', server, got, 20), 9);
    t.equal(new TextDecoder().decode(got.subarray(0, 9)), 'two parts');
    const MSG_DONTWAIT = 0x40;
    t.equal(syscall('recvfrom', server, got, 20, MSG_DONTWAIT, 0, 0), -EAGAIN);
    for (const fd of [client, server, listener]) t.equal(syscall('close', fd), 0);
    t.equal(syscall('close', listener), -EBADF);
    const late = syscall('socket', AF_INET, SOCK_STREAM, 0);
    t.equal(await syscallAsync('connect', late, sockaddr(port), 16), -ECONNREFUSED);
    syscall('close', late);
  },
);

void t.test(
  'nothing but the calls of sockets, and no nonsense',
  { skip: loaded.ok ? false : loaded.reason },
  (t) => {
    if (!loaded.ok) return;
    const { syscall, syscallAsync } = loaded.addon;
    t.throws(() => syscall('execve', 0), RangeError);
    t.throws(() => syscall('unlink', new Uint8Array(4)), RangeError);
    t.throws(() => syscall(7 as unknown as string), TypeError);
    t.throws(() => syscall('close', 'x' as unknown as number), TypeError);
    t.throws(() => void syscallAsync('close', {} as unknown as number), TypeError);
    t.equal(syscall('close', -1), -EBADF);
    t.end();
  },
);
