/** Scripts of socket options that hold on our stack under the profile linux and on the running kernel alike. */

const LISTEN = `0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
+0 bind(3, ..., ...) = 0
`;

const DEFERRED = `${LISTEN}+0 setsockopt(3, SOL_TCP, TCP_DEFER_ACCEPT, [2], 4) = 0
+0 getsockopt(3, SOL_TCP, TCP_DEFER_ACCEPT, [3], [4]) = 0
+0 listen(3, 5) = 0
+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+.01 < S 0:0(0) win 32792 <mss 1000>
+0 > S. 0:0(0) ack 1 <mss 1460>
+.01 < . 1:1(0) ack 1 win 32792
+0 accept(3, ..., ...) = -1 EAGAIN (Resource temporarily unavailable)
`;

/** A slow peer: nothing is sent again within 1.5 s. */
const SLOW = `${LISTEN}+0 listen(3, 5) = 0
+.01 < S 0:0(0) win 32792 <mss 1000>
+0 > S. 0:0(0) ack 1 <mss 1460>
+.5 < . 1:1(0) ack 1 win 32792
+0 accept(3, ..., ...) = 4
`;

/** SO_LINGER on descriptor 4. */
const linger = (seconds: number): string =>
  `+0 setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=${seconds}}, 8) = 0\n`;

export const optionScripts: Readonly<Record<string, string>> = {
  'TCP_DEFER_ACCEPT: seconds become timeouts of a SYN,ACK, and are read as what these come to': `${LISTEN}+0 getsockopt(3, SOL_TCP, TCP_DEFER_ACCEPT, [0], [4]) = 0
+0 setsockopt(3, SOL_TCP, TCP_DEFER_ACCEPT, [1], 4) = 0
+0 getsockopt(3, SOL_TCP, TCP_DEFER_ACCEPT, [1], [4]) = 0
+0 setsockopt(3, SOL_TCP, TCP_DEFER_ACCEPT, [4], 4) = 0
+0 getsockopt(3, SOL_TCP, TCP_DEFER_ACCEPT, [7], [4]) = 0
+0 setsockopt(3, SOL_TCP, TCP_DEFER_ACCEPT, [300], 4) = 0
+0 getsockopt(3, SOL_TCP, TCP_DEFER_ACCEPT, [367], [4]) = 0
+0 setsockopt(3, SOL_TCP, TCP_DEFER_ACCEPT, [-1], 4) = 0
+0 getsockopt(3, SOL_TCP, TCP_DEFER_ACCEPT, [0], [4]) = 0`,
  'TCP_DEFER_ACCEPT: text brings the connection, and its socket has the option no more': `${DEFERRED}+.1 < P. 1:11(10) ack 1 win 32792
+0 > . 1:1(0) ack 11
+0 accept(3, ..., ...) = 4
+0 getsockopt(4, SOL_TCP, TCP_DEFER_ACCEPT, [0], [4]) = 0
+0 read(4, ..., 100) = 10`,
  'TCP_DEFER_ACCEPT: a FIN is news, too': `${DEFERRED}+.1 < F. 1:1(0) ack 1 win 32792
+0...0.2 > . 1:1(0) ack 2
+0 accept(3, ..., ...) = 4
+0 read(4, ..., 100) = 0`,
  'TCP_DEFER_ACCEPT: no SYN,ACK while text is awaited, a last one at the end, and the ACK of that one counts': `${DEFERRED}+2.99 > S. 0:0(0) ack 1 <mss 1460>
+.01 < . 1:1(0) ack 1 win 32792
+0 accept(3, ..., ...) = 4`,
  'TCP_DEFER_ACCEPT: without any ACK the SYN,ACK is repeated as ever': `${LISTEN}+0 setsockopt(3, SOL_TCP, TCP_DEFER_ACCEPT, [2], 4) = 0
+0 listen(3, 5) = 0
+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+.01 < S 0:0(0) win 32792 <mss 1000>
+0 > S. 0:0(0) ack 1 <mss 1460>
+1 > S. 0:0(0) ack 1 <mss 1460>
+.01 < . 1:1(0) ack 1 win 32792
+0 accept(3, ..., ...) = -1 EAGAIN (Resource temporarily unavailable)
+1.99 > S. 0:0(0) ack 1 <mss 1460>
+.01 < . 1:1(0) ack 1 win 32792
+0 accept(3, ..., ...) = 4`,
  'SO_REUSEPORT: both need it; the other of the two goes on': `0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0
+0 bind(3, ..., ...) = 0
+0 listen(3, 5) = 0
+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 4
+0 setsockopt(4, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
+0 bind(4, ..., ...) = -1 EADDRINUSE (Address already in use)
+0 setsockopt(4, SOL_SOCKET, SO_REUSEPORT, [1], 4) = 0
+0 bind(4, ..., ...) = 0
+0 listen(4, 5) = 0
+.01 < S 0:0(0) win 32792 <mss 1000>
+0 > S. 0:0(0) ack 1 <mss 1460>
+.01 < . 1:1(0) ack 1 win 32792
+0 close(3) = 0
+0 close(4) = 0
+0 > R. 1:1(0) ack 1
+.01 < S 0:0(0) win 32792 <mss 1000>
+0 > R. 0:0(0) ack 1`,
  'SO_LINGER off: close() returns, the rest is sent all the same': `${SLOW}+0 getsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=0, linger=0}, [8]) = 0
+0 write(4, ..., 1000) = 1000
+0 > P. 1:1001(1000) ack 1
+0 close(4) = 0
+0 > F. 1001:1001(0) ack 1
+.1 < . 1:1(0) ack 1002 win 32792`,
  'SO_LINGER with 0: RST': `${SLOW}${linger(0)}+0 write(4, ..., 1000) = 1000
+0 > P. 1:1001(1000) ack 1
+0 close(4) = 0
+0 > R. 1001:1001(0) ack 1`,
  'SO_LINGER with a time: close() waits until all is acknowledged': `${SLOW}${linger(2)}+0 getsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=2}, [8]) = 0
+0 write(4, ..., 1000) = 1000
+0 > P. 1:1001(1000) ack 1
+0...0.2 close(4) = 0
+0 > F. 1001:1001(0) ack 1
+.1 < . 1:1(0) ack 1001 win 32792
+.1 < . 1:1(0) ack 1002 win 32792`,
  'SO_LINGER with a time: O_NONBLOCK changes nothing': `${SLOW}${linger(2)}+0 fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0...0.3 close(4) = 0
+0 > F. 1:1(0) ack 1
+.3 < F. 1:1(0) ack 2 win 32792
+0 > . 2:2(0) ack 2`,
  'SO_LINGER with a time that passes: close() returns, the connection goes on as an orphan': `${SLOW}${linger(1)}+0...1 close(4) = 0
+0 > F. 1:1(0) ack 1
+1.2 < . 1:1(0) ack 2 win 32792
+.1 < F. 1:1(0) ack 2 win 32792
+0 > . 2:2(0) ack 2`,
  'SO_LINGER with a time: the peer may close at the same time': `${SLOW}${linger(2)}+0...0.2 close(4) = 0
+0 > F. 1:1(0) ack 1
+.1 < F. 1:1(0) ack 1 win 32792
+0 > . 2:2(0) ack 2
+.1 < . 2:2(0) ack 2 win 32792`,
  'SO_LINGER with a time: a reset ends the wait without an error': `${SLOW}${linger(2)}+0...0.1 close(4) = 0
+0 > F. 1:1(0) ack 1
+.1 < R. 1:1(0) ack 1 win 32792`,
  'SO_LINGER with a time: what was not read means RST, and no wait': `${SLOW}${linger(2)}+0 < P. 1:11(10) ack 1 win 32792
+0...0.2 > . 1:1(0) ack 11
+.1 close(4) = 0
+0 > R. 1:1(0) ack 11`,
  'SO_LINGER with a time: all was sent and acknowledged, but the FIN, after the peer closed': `${SLOW}${linger(2)}+0 < F. 1:1(0) ack 1 win 32792
+0...0.2 > . 1:1(0) ack 2
+.1...0.3 close(4) = 0
+0 > F. 1:1(0) ack 2
+.2 < . 2:2(0) ack 2 win 32792`,
  'tcp_rmem as it boots: the SYN,ACK offers whole segments, and scales for the largest buffer': `${LISTEN}+0 listen(3, 5) = 0
+.01 < S 0:0(0) win 32792 <mss 1000,sackOK,TS val 100 ecr 0,nop,wscale 7>
+0 > S. 0:0(0) ack 1 win 65160 <mss 1460,sackOK,TS val 100 ecr 100,nop,wscale 10>`,
  'tcp_rmem as it boots: so does the SYN': `0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > S 0:0(0) win 64240 <mss 1460,sackOK,TS val 100 ecr 0,nop,wscale 10>`,
  'TCP_DEFER_ACCEPT: a client leaves the ACK of the SYN,ACK to its first text': `0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_TCP, TCP_DEFER_ACCEPT, [1], 4) = 0
+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > S 0:0(0) <...>
+.01 < S. 0:0(0) ack 1 win 32792 <mss 1000>
+.05 write(3, ..., 10) = 10
+0 > P. 1:11(10) ack 1`,
};
