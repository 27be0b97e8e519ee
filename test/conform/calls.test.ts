/** System calls on our stack: results, errno and blocking as Linux has them. */
import t from 'tap';
import { CLIENT, SERVER, verdict } from './run.js';

const scripts: Record<string, string> = {
  // As Linux 6.18 has it: the same script passes on the kernel.
  'urgent data: MSG_OOB, SIOCATMARK, POLLPRI, SO_OOBINLINE': `${SERVER}+0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0 recv(4, ..., 10, MSG_OOB) = -1 EINVAL
+0 ioctl(4, SIOCATMARK, [0]) = 0
+0 < U. 1:4(3) ack 1 win 65535 urg 6
+0...0.04 > . 1:1(0) ack 4
+0 recv(4, ..., 10, MSG_OOB) = -1 EAGAIN
+0 poll([{fd=4, events=POLLIN|POLLPRI, revents=POLLIN}], 1, 0) = 1
+.01 < P. 4:11(7) ack 1 win 65535
+0...0.04 > . 1:1(0) ack 11
+0 poll([{fd=4, events=POLLIN|POLLPRI, revents=POLLIN|POLLPRI}], 1, 0) = 1
+0 ioctl(4, FIONREAD, [5]) = 0
+0 read(4, ..., 100) = 5
+0 ioctl(4, SIOCATMARK, [1]) = 0
+0 recv(4, ..., 10, MSG_OOB) = 1
+0 recv(4, ..., 10, MSG_OOB) = -1 EINVAL
+0 read(4, ..., 100) = 4
+0 ioctl(4, SIOCATMARK, [0]) = 0
+.3 send(4, ..., 5, MSG_OOB) = 5
+0 > PU. 1:6(5) ack 11 urg 5
+0 < . 11:11(0) ack 6 win 65535
+0 setsockopt(4, SOL_SOCKET, SO_OOBINLINE, [1], 4) = 0
+0 < PU. 11:16(5) ack 6 win 65535 urg 3
+0...0.2 > . 6:6(0) ack 16
+0 recv(4, ..., 10, MSG_OOB) = -1 EINVAL
+0 read(4, ..., 100) = 2
+0 ioctl(4, SIOCATMARK, [1]) = 0
+0 read(4, ..., 100) = 3`,
  'reading: data before the end, the end for ever': `${SERVER}+0 fcntl(4, F_SETFL, O_NONBLOCK) = 0
+0 read(4, ..., 10) = -1 EAGAIN
+0 < P. 1:6(5) ack 1 win 65535
+0 < F. 6:6(0) ack 1 win 65535
+0 > . 1:1(0) ack 7
+0 recv(4, ..., 3, MSG_PEEK) = 3
+0 ioctl(4, SIOCINQ, [5]) = 0
+0 read(4, ..., 3) = 3
+0 recvmsg(4, {msg_name(...)=..., msg_iov(1)=[{..., 10}], msg_flags=0}, 0) = 2
+0 read(4, ..., 10) = 0
+0 read(4, ..., 10) = 0`,
  'what is read is what came': `${SERVER}+0 write(4, "abc", 3) = 3
+0 > P. 1:4(3) ack 1
+0 readv(4, [{..., 0}], 1) = 0`,
  'a reset: the error once, then the end, then a broken pipe': `${SERVER}+0 < R. 1:1(0) ack 1 win 0
+0 poll([{fd=4, events=POLLIN|POLLOUT, revents=POLLIN|POLLOUT|POLLERR|POLLHUP}], 1, 0) = 1
+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [ECONNRESET], [4]) = 0
+0 read(4, ..., 10) = 0
+0 write(4, ..., 10) = -1 EPIPE`,
  'accept blocks until there is one': `0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 5) = 0
+0...0.3 accept(3, ..., ...) = 4
+.1 < S 0:0(0) win 65535 <mss 1460>
+0 > S. 0:0(0) ack 1 <...>
+.2 < . 1:1(0) ack 1 win 65535
`,
  'connect blocks until the answer': `0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0...0.1 connect(3, ..., ...) = -1 ECONNREFUSED
+0 > S 0:0(0) <...>
+.1 < R. 0:0(0) ack 1 win 0`,
  'connect without blocking: in progress, already, done, connected': `${CLIENT}+0 connect(3, ..., ...) = -1 EALREADY
+0 write(3, ..., 1) = -1 EAGAIN
+.1 < S. 0:0(0) ack 1 win 5792 <mss 1000>
+0 > . 1:1(0) ack 1
+0 connect(3, ..., ...) = 0
+0 connect(3, ..., ...) = -1 EISCONN`,
  'writing blocks at SO_SNDBUF': `${SERVER.replace('+0 listen', '+0 setsockopt(3, SOL_SOCKET, SO_SNDBUF, [2000], 4) = 0\n+0 setsockopt(3, SOL_TCP, TCP_NODELAY, [1], 4) = 0\n+0 listen')}+0...0.1 write(4, ..., 3000) = 3000
+0 > . 1:1461(1460) ack 1
+0 > P. 1461:2001(540) ack 1
+.1 < . 1:1(0) ack 2001 win 65535
+0 > P. 2001:3001(1000) ack 1
+0 ioctl(4, SIOCOUTQ, [1000]) = 0
+0 fcntl(4, F_SETFL, O_NONBLOCK) = 0
+0 send(4, ..., 3000, 0) = 1000
+0 > P. 3001:4001(1000) ack 1
+0 send(4, ..., 3000, MSG_DONTWAIT) = -1 EAGAIN`,
  'poll waits, and gives up': `${SERVER}+0...0.05 poll([{fd=4, events=POLLIN, revents=0}], 1, 50) = 0
+.1 poll([{fd=4, events=POLLOUT, revents=POLLOUT}, {fd=9, events=POLLIN, revents=POLLNVAL}], 2, 0) = 2`,
  'epoll, level and edge': `${SERVER}+0 epoll_create(1) = 5
+0 epoll_ctl(5, EPOLL_CTL_ADD, 4, {events=EPOLLIN, fd=4}) = 0
+0 epoll_ctl(5, EPOLL_CTL_ADD, 4, {events=EPOLLIN, fd=4}) = -1 EEXIST
+0 epoll_wait(5, {events=0, fd=4}, 1, 0) = 0
+0 < P. 1:6(5) ack 1 win 65535
+0 epoll_wait(5, {events=EPOLLIN, fd=4}, 1, 0) = 1
+0 epoll_wait(5, {events=EPOLLIN, fd=4}, 1, 0) = 1
+0 epoll_ctl(5, EPOLL_CTL_MOD, 4, {events=EPOLLIN|EPOLLET, fd=4}) = 0
+0 epoll_wait(5, {events=EPOLLIN, fd=4}, 1, 0) = 1
+0 epoll_wait(5, {events=EPOLLIN, fd=4}, 1, 0) = 0
+.04 > . 1:1(0) ack 6
+0 < P. 6:7(1) ack 1 win 65535
+0 epoll_wait(5, {events=EPOLLIN, fd=4}, 1, 0) = 1
+0 epoll_ctl(5, EPOLL_CTL_DEL, 4, NULL) = 0
+0 epoll_ctl(5, EPOLL_CTL_DEL, 4, NULL) = -1 ENOENT`,
  'SO_LINGER 0 resets': `${SERVER}+0 setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0
+0 getsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, [8]) = 0
+0 close(4) = 0
+0 > R. 1:1(0) ack 1`,
  'SO_LINGER with a time blocks until the FIN is acknowledged': `${SERVER}+0 setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=5}, 8) = 0
+0...0.1 close(4) = 0
+0 > F. 1:1(0) ack 1
+.1 < . 1:1(0) ack 2 win 65535`,
  shutdown: `${SERVER}+0 shutdown(3, 7) = -1 EINVAL
+0 shutdown(4, SHUT_RD) = 0
+0 read(4, ..., 10) = 0
+0 shutdown(4, SHUT_WR) = 0
+0 > F. 1:1(0) ack 1
+0 send(4, ..., 1, MSG_NOSIGNAL) = -1 EPIPE`,
  'the end of the stream comes before an error behind it': `${SERVER}+0 < F. 1:1(0) ack 1 win 65535
+0 > . 1:1(0) ack 2
+0 < R 2:2(0) win 0
+0 read(4, ..., 10) = 0
+0 send(4, ..., 1, MSG_NOSIGNAL) = -1 EPIPE`,
  'a RST alone is an error to readers': `${SERVER}+0 < R 1:1(0) win 0
+0 read(4, ..., 10) = -1 ECONNRESET
+0 read(4, ..., 10) = 0`,
  'shutdown ends an attempt to connect': `${CLIENT}+0 shutdown(3, SHUT_WR) = 0
+0 getsockopt(3, SOL_SOCKET, SO_ERROR, [ECONNRESET], [4]) = 0
+0 read(3, ..., 10) = -1 ENOTCONN
+0 < S. 0:0(0) ack 1 win 65535 <mss 1460>
+0 > R 1:1(0)`,
  'SO_ERROR tells of a soft error, once': `${SERVER}+0 write(4, ..., 10) = 10
+0 > P. 1:11(10) ack 1
+0 < icmp unreachable host_unreachable [1:11(10)]
+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [EHOSTUNREACH], [4]) = 0
+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [0], [4]) = 0
+0 < icmp unreachable port_unreachable [1:11(10)]
+0 < . 1:1(0) ack 11 win 65535
+0 getsockopt(4, SOL_SOCKET, SO_ERROR, [0], [4]) = 0`,
  'bad arguments': `${SERVER}+0 read(7, ..., 1) = -1 EBADF
+0 read(4, NULL, 10) = -1 EFAULT
+0 write(4, NULL, 10) = -1 EFAULT
+0 bind(4, ..., ...) = -1 EINVAL
+0 listen(4, 1) = -1 EINVAL
+0 connect(4, ..., ...) = -1 EISCONN
+0 accept(4, ..., ...) = -1 EINVAL
+0 ioctl(4, 5, [1]) = -1 ENOTTY
+0 getsockopt(4, 77, 1, [0], [4]) = -1 EOPNOTSUPP
+0 socket(PF_INET, SOCK_DGRAM, 0) = -1 EPROTONOSUPPORT
+0 socket(99, SOCK_STREAM, 0) = -1 EAFNOSUPPORT
+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 5
+0 write(5, ..., 1) = -1 EPIPE
+0 read(5, ..., 1) = -1 ENOTCONN
+0 shutdown(5, SHUT_WR) = -1 ENOTCONN
+0 bind(5, ..., ...) = -1 EADDRINUSE`,
  TCP_INFO: `${SERVER}+0 %{ assert tcpi_state == TCP_ESTABLISHED and tcpi_ca_state == TCP_CA_Open
assert tcpi_snd_mss == 1460 and tcpi_unacked == 0 and tcpi_snd_ssthresh == 2147483647 }%
+0 getsockopt(4, SOL_TCP, TCP_INFO, {tcpi_state=TCP_ESTABLISHED}, ...) = 0
+0 write(4, ..., 2920) = 2920
+0 > . 1:1461(1460) ack 1
+0 > P. 1461:2921(1460) ack 1
+0 %{ assert tcpi_unacked == 2 and tcpi_rtt == 100000 }%`,
};

for (const [name, script] of Object.entries(scripts)) {
  t.test(name, async (t) => t.equal(await verdict(script), ''));
}
