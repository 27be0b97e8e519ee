/*
 * The conversation between the plug-in and `timewait packetdrill-server` over one Unix stream
 * socket; docs/packetdrill.md describes it, src/conform/plugin-protocol.ts is the other side.
 * Integers are little-endian.
 *
 *   request  u32 length of what follows, u32 id, u8 operation, arguments
 *   reply    u32 length of what follows, u32 id, u8 kind, i64 time, i32 value, i32 errno, results
 *
 * A call that blocks is answered by BLOCKED at once and by DONE later; the DONE of a call that
 * another request woke comes before the reply of that request.
 */
#ifndef TIMEWAIT_PACKETDRILL_PROTOCOL_H
#define TIMEWAIT_PACKETDRILL_PROTOCOL_H

#define PROTOCOL_VERSION 1
/* Bytes of one frame at most, in either direction. */
#define MOST_BYTES (16u << 20)

enum operation {
  OP_HELLO = 0,
  OP_SOCKET,
  OP_BIND,
  OP_LISTEN,
  OP_ACCEPT,
  OP_CONNECT,
  OP_RECEIVE,
  OP_SEND,
  OP_FCNTL,
  OP_IOCTL,
  OP_CLOSE,
  OP_SHUTDOWN,
  OP_GETSOCKOPT,
  OP_SETSOCKOPT,
  OP_POLL,
  OP_EPOLL_CREATE,
  OP_EPOLL_CTL,
  OP_EPOLL_WAIT,
  OP_PACKET_IN,
  OP_PACKET_OUT,
  OP_SLEEP,
  OP_TIME,
  OP_SETTING,
  OP_AWAIT,
};

enum kind { KIND_DONE = 0, KIND_BLOCKED };

#endif
