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
  'TCP_DEFER_ACCEPT: a client leaves the ACK of the SYN,ACK to its first text': `0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_TCP, TCP_DEFER_ACCEPT, [1], 4) = 0
+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
+0 > S 0:0(0) <...>
+.01 < S. 0:0(0) ack 1 win 32792 <mss 1000>
+.05 write(3, ..., 10) = 10
+0 > P. 1:11(10) ack 1`,
};
