/*
 * The object that packetdrill loads (--so_filename): each call becomes a request to
 * `timewait packetdrill-server`, where a stack under virtual time answers. The same object,
 * preloaded, answers the getsockopt() and close() that the tool itself makes.
 *
 * The clock belongs to the server. It goes on by one microsecond whenever it is read, because
 * the tool spins on it just before an event, and jumps when the tool sleeps or waits for a packet.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "channel.h"
#include "interface.h"
#include "memory.h"
#include "settings.h"

#define EXPORT __attribute__((visibility("default")))
/* Descriptors of the tool that can be ours. */
#define MOST_FILES 65536

/* The server's descriptor by ours, plus one; 0: not ours. */
static int files[MOST_FILES];

static int server_fd(int fd) { return fd < 0 || fd >= MOST_FILES ? -1 : files[fd] - 1; }

/* A descriptor that is real, so that whatever the tool asks the system about it does not hit another file. */
static int adopt(int theirs) {
  if (theirs < 0) return -1;
  const int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (fd >= MOST_FILES) plugin_fail("too many descriptors", "65536 at most");
  if (fd >= 0) files[fd] = theirs + 1;
  return fd;
}

/* A request about `fd`; settings made since the last call take effect before it. */
static struct request about(enum operation operation, int fd) {
  settings_follow();
  struct request request = request_new(operation);
  put_u32(&request, server_fd(fd));
  return request;
}

/* An address as the kernel would copy it: its length, the bytes, and whether they could be read. */
static void put_memory(struct request *request, const void *from, size_t length) {
  const bool readable = memory_reachable(from, length);
  put_u8(request, readable);
  put_u32(request, length);
  if (readable) put_bytes(request, from, length);
}

static void give(const struct reply *reply, void *into, socklen_t *length) {
  if (into == NULL || length == NULL) return;
  const size_t left = reply->length - reply->at;
  memcpy(into, reply->bytes + reply->at, left < *length ? left : *length);
  *length = left;
}

/* ---- sockets ------------------------------------------------------------------- */

static void shim_free(void *self) {
  (void)self;
  channel_close();
}

static int shim_socket(void *self, int domain, int type, int protocol) {
  (void)self;
  settings_follow();
  struct request request = request_new(OP_SOCKET);
  put_u32(&request, domain);
  put_u32(&request, type);
  put_u32(&request, protocol);
  return adopt(channel_result(&request));
}

static int with_address(enum operation operation, int fd, const sockaddr_t *address, socklen_t length) {
  struct request request = about(operation, fd);
  put_memory(&request, address, length);
  return channel_result(&request);
}

static int shim_bind(void *self, int fd, const sockaddr_t *address, socklen_t length) {
  (void)self;
  return with_address(OP_BIND, fd, address, length);
}

static int shim_connect(void *self, int fd, const sockaddr_t *address, socklen_t length) {
  (void)self;
  return with_address(OP_CONNECT, fd, address, length);
}

static int shim_listen(void *self, int fd, int backlog) {
  (void)self;
  struct request request = about(OP_LISTEN, fd);
  put_u32(&request, backlog);
  return channel_result(&request);
}

static int shim_accept(void *self, int fd, sockaddr_t *peer, socklen_t *length) {
  (void)self;
  struct request request = about(OP_ACCEPT, fd);
  struct reply reply = channel_call(&request);
  const int accepted = adopt(reply.value);
  if (accepted >= 0) give(&reply, peer, length);
  free(reply.bytes);
  if (reply.value < 0) errno = reply.error;
  return accepted;
}

static int shim_close(void *self, int fd) {
  (void)self;
  struct request request = about(OP_CLOSE, fd);
  if (server_fd(fd) >= 0) {
    files[fd] = 0;
    syscall(SYS_close, fd);
  }
  return channel_result(&request);
}

static int shim_shutdown(void *self, int fd, int how) {
  (void)self;
  struct request request = about(OP_SHUTDOWN, fd);
  put_u32(&request, how);
  return channel_result(&request);
}

static int shim_fcntl(void *self, int fd, int command, ...) {
  (void)self;
  va_list more;
  va_start(more, command);
  const long argument = command == F_GETFL || command == F_GETFD ? 0 : va_arg(more, long);
  va_end(more);
  struct request request = about(OP_FCNTL, fd);
  put_u32(&request, command);
  put_u32(&request, argument);
  return channel_result(&request);
}

static int shim_ioctl(void *self, int fd, unsigned long code, ...) {
  (void)self;
  va_list more;
  va_start(more, code);
  int *const value = va_arg(more, int *);
  va_end(more);
  if (!memory_reachable(value, sizeof *value)) {
    errno = EFAULT;
    return -1;
  }
  struct request request = about(OP_IOCTL, fd);
  put_u32(&request, code);
  put_u32(&request, code == FIONBIO ? *value : 0);
  struct reply reply = channel_call(&request);
  if (reply.value >= 0 && reply.length >= 4) *value = (int)take_u32(&reply);
  free(reply.bytes);
  return reply_result(&reply);
}

static int shim_getsockopt(void *self, int fd, int level, int name, void *value, socklen_t *length) {
  (void)self;
  if (!memory_reachable(length, sizeof *length) || !memory_reachable(value, *length)) {
    errno = EFAULT;
    return -1;
  }
  struct request request = about(OP_GETSOCKOPT, fd);
  put_u32(&request, level);
  put_u32(&request, name);
  put_u32(&request, *length);
  struct reply reply = channel_call(&request);
  if (reply.value >= 0) {
    if (reply.length < *length) *length = reply.length;
    if (reply.length > 0) memcpy(value, reply.bytes, *length);
  }
  free(reply.bytes);
  return reply_result(&reply);
}

static int shim_setsockopt(void *self, int fd, int level, int name, const void *value, socklen_t length) {
  (void)self;
  struct request request = about(OP_SETSOCKOPT, fd);
  put_u32(&request, level);
  put_u32(&request, name);
  put_memory(&request, value, length);
  return channel_result(&request);
}

/* ---- bytes in and out ---------------------------------------------------------- */

static size_t room_of(const struct iovec *parts, size_t count, bool *reachable) {
  size_t room = 0;
  *reachable = memory_reachable(parts, count * sizeof *parts);
  for (size_t i = 0; *reachable && i < count; i++) {
    *reachable = memory_reachable(parts[i].iov_base, parts[i].iov_len);
    room += parts[i].iov_len;
  }
  return room;
}

/* The one way in: all calls that read are a recvmsg(). */
static ssize_t receive(int fd, struct msghdr *message, int flags) {
  bool reachable;
  const size_t room = room_of(message->msg_iov, message->msg_iovlen, &reachable);
  struct request request = about(OP_RECEIVE, fd);
  put_u32(&request, flags);
  put_u8(&request, reachable);
  put_u32(&request, room < MOST_BYTES / 2 ? room : MOST_BYTES / 2);
  put_u32(&request, message->msg_control == NULL ? 0 : message->msg_controllen);
  struct reply reply = channel_call(&request);
  if (reply.value >= 0) {
    message->msg_flags = (int)take_u32(&reply);
    const uint32_t control = take_u32(&reply);
    if (message->msg_control != NULL && control <= message->msg_controllen)
      memcpy(message->msg_control, reply.bytes + reply.at, control);
    message->msg_controllen = control;
    reply.at += control;
    size_t left = reply.length - reply.at;
    for (size_t i = 0; left > 0 && i < message->msg_iovlen; i++) {
      const size_t length = left < message->msg_iov[i].iov_len ? left : message->msg_iov[i].iov_len;
      memcpy(message->msg_iov[i].iov_base, reply.bytes + reply.at, length);
      reply.at += length;
      left -= length;
    }
  }
  free(reply.bytes);
  return reply_result(&reply);
}

static ssize_t shim_readv(void *self, int fd, const struct iovec *parts, int count) {
  (void)self;
  struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = count};
  return receive(fd, &message, 0);
}

static ssize_t shim_recvfrom(void *self, int fd, void *into, size_t count, int flags, sockaddr_t *from,
                             socklen_t *length) {
  (void)self;
  (void)from;
  struct iovec part = {into, count};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  /* A connected stream does not say from whom. */
  if (length != NULL) *length = 0;
  return receive(fd, &message, flags);
}

static ssize_t shim_recv(void *self, int fd, void *into, size_t count, int flags) {
  return shim_recvfrom(self, fd, into, count, flags, NULL, NULL);
}

static ssize_t shim_read(void *self, int fd, void *into, size_t count) {
  return shim_recvfrom(self, fd, into, count, 0, NULL, NULL);
}

static ssize_t shim_recvmsg(void *self, int fd, struct msghdr *message, int flags) {
  (void)self;
  return receive(fd, message, flags);
}

static ssize_t transmit(int fd, const struct msghdr *message, int flags) {
  bool reachable;
  room_of(message->msg_iov, message->msg_iovlen, &reachable);
  struct request request = about(OP_SEND, fd);
  put_u32(&request, flags);
  put_memory(&request, message->msg_name, message->msg_name == NULL ? 0 : message->msg_namelen);
  put_memory(&request, message->msg_control, message->msg_control == NULL ? 0 : message->msg_controllen);
  put_u8(&request, reachable);
  for (size_t i = 0; reachable && i < message->msg_iovlen; i++)
    put_bytes(&request, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
  return channel_result(&request);
}

static ssize_t shim_writev(void *self, int fd, const struct iovec *parts, int count) {
  (void)self;
  const struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = count};
  return transmit(fd, &message, 0);
}

static ssize_t shim_sendto(void *self, int fd, const void *bytes, size_t count, int flags,
                           const sockaddr_t *to, socklen_t length) {
  (void)self;
  struct iovec part = {(void *)bytes, count};
  const struct msghdr message = {
      .msg_name = (void *)to, .msg_namelen = length, .msg_iov = &part, .msg_iovlen = 1};
  return transmit(fd, &message, flags);
}

static ssize_t shim_send(void *self, int fd, const void *bytes, size_t count, int flags) {
  return shim_sendto(self, fd, bytes, count, flags, NULL, 0);
}

static ssize_t shim_write(void *self, int fd, const void *bytes, size_t count) {
  return shim_sendto(self, fd, bytes, count, 0, NULL, 0);
}

static ssize_t shim_sendmsg(void *self, int fd, const struct msghdr *message, int flags) {
  (void)self;
  return transmit(fd, message, flags);
}

/* ---- waiting for several ------------------------------------------------------- */

static int shim_poll(void *self, struct pollfd *list, nfds_t count, int timeout) {
  (void)self;
  settings_follow();
  struct request request = request_new(OP_POLL);
  put_u32(&request, timeout);
  put_u32(&request, count);
  for (nfds_t i = 0; i < count; i++) {
    put_u32(&request, server_fd(list[i].fd));
    put_u32(&request, (uint16_t)list[i].events);
  }
  struct reply reply = channel_call(&request);
  for (nfds_t i = 0; reply.value >= 0 && i < count; i++) list[i].revents = (short)take_u32(&reply);
  free(reply.bytes);
  return reply_result(&reply);
}

static int shim_epoll_create(void *self, int size) {
  (void)self;
  struct request request = request_new(OP_EPOLL_CREATE);
  put_u32(&request, size);
  return adopt(channel_result(&request));
}

static int shim_epoll_ctl(void *self, int epoll, int operation, int fd, struct epoll_event *event) {
  (void)self;
  struct request request = about(OP_EPOLL_CTL, epoll);
  put_u32(&request, operation);
  put_u32(&request, server_fd(fd));
  put_u32(&request, event == NULL ? 0 : event->events);
  put_u64(&request, event == NULL ? 0 : event->data.u64);
  return channel_result(&request);
}

static int shim_epoll_wait(void *self, int epoll, struct epoll_event *events, int most, int timeout) {
  (void)self;
  struct request request = about(OP_EPOLL_WAIT, epoll);
  put_u32(&request, most);
  put_u32(&request, timeout);
  struct reply reply = channel_call(&request);
  for (int i = 0; i < reply.value; i++) {
    events[i].events = take_u32(&reply);
    events[i].data.u64 = take_u64(&reply);
  }
  free(reply.bytes);
  return reply_result(&reply);
}

static int shim_pipe(void *self, int ends[2]) {
  (void)self;
  (void)ends;
  errno = ENOSYS;
  return -1;
}

static int shim_splice(void *self, int from, loff_t *from_offset, int to, loff_t *to_offset, size_t length,
                       unsigned int flags) {
  (void)self, (void)from, (void)from_offset, (void)to, (void)to_offset, (void)length, (void)flags;
  errno = ENOSYS;
  return -1;
}

/* ---- packets and time ---------------------------------------------------------- */

static int shim_netdev_send(void *self, const void *packet, size_t length) {
  (void)self;
  settings_follow();
  struct request request = request_new(OP_PACKET_IN);
  put_bytes(&request, packet, length);
  return channel_result(&request);
}

static int shim_netdev_receive(void *self, void *packet, size_t *length, long long *time) {
  (void)self;
  struct request request = request_new(OP_PACKET_OUT);
  struct reply reply = channel_call(&request);
  *length = reply.length < *length ? reply.length : *length;
  *time = reply.time;
  if (*length > 0) memcpy(packet, reply.bytes, *length);
  free(reply.bytes);
  return reply.value < 0 ? -1 : 0;
}

static int shim_usleep(void *self, useconds_t microseconds) {
  (void)self;
  struct request request = request_new(OP_SLEEP);
  put_u32(&request, microseconds);
  return channel_result(&request);
}

static int shim_gettimeofday(void *self, struct timeval *now, struct timezone *zone) {
  (void)self;
  (void)zone;
  /* After a call that blocked the tool asks when it ended; by then its other thread may have gone on. */
  int64_t time = channel_ended();
  if (time < 0) {
    struct request request = request_new(OP_TIME);
    struct reply reply = channel_call(&request);
    free(reply.bytes);
    time = reply.time;
    channel_ended();
  }
  now->tv_sec = time / 1000000;
  now->tv_usec = time % 1000000;
  return 0;
}

/* ---- what the tool itself asks the system -------------------------------------- */

EXPORT int getsockopt(int fd, int level, int name, void *restrict value, socklen_t *restrict length) {
  if (server_fd(fd) < 0 || !channel_is_open()) return syscall(SYS_getsockopt, fd, level, name, value, length);
  return shim_getsockopt(NULL, fd, level, name, value, length);
}

EXPORT int close(int fd) {
  if (server_fd(fd) < 0 || !channel_is_open()) return syscall(SYS_close, fd);
  return shim_close(NULL, fd);
}

/* ---- the start ----------------------------------------------------------------- */

/* `socket=PATH` among the flags, else the environment. The rest of the flags is for the server. */
static void find_socket(const char *flags, char *path, size_t room) {
  const char *const given = getenv("TIMEWAIT_PACKETDRILL");
  snprintf(path, room, "%s", given == NULL ? "" : given);
  for (const char *at = flags; *at != '\0';) {
    const size_t length = strcspn(at, ",");
    if (strncmp(at, "socket=", 7) == 0) snprintf(path, room, "%.*s", (int)length - 7, at + 7);
    at += length + (at[length] == ',');
  }
  if (path[0] == '\0')
    plugin_fail("no server named", "give --so_flags=socket=PATH or set TIMEWAIT_PACKETDRILL=PATH");
}

EXPORT void packetdrill_interface_init(const char *flags, struct packetdrill_interface *table) {
  char path[512];
  if (flags == NULL) flags = "";
  find_socket(flags, path, sizeof path);
  channel_open(path);
  struct request hello = request_new(OP_HELLO);
  put_u32(&hello, PROTOCOL_VERSION);
  put_bytes(&hello, flags, strlen(flags));
  struct reply reply = channel_call(&hello);
  char *const text = calloc(1, reply.length + 1);
  if (text == NULL) plugin_fail("no memory", strerror(ENOMEM));
  if (reply.length > 0) memcpy(text, reply.bytes, reply.length);
  if (reply.value < 0) plugin_fail("the server refuses", text);
  settings_begin(text);
  free(reply.bytes);
  *table = (struct packetdrill_interface){
      .free = shim_free,
      .socket = shim_socket,
      .bind = shim_bind,
      .listen = shim_listen,
      .accept = shim_accept,
      .connect = shim_connect,
      .read = shim_read,
      .readv = shim_readv,
      .recv = shim_recv,
      .recvfrom = shim_recvfrom,
      .recvmsg = shim_recvmsg,
      .write = shim_write,
      .writev = shim_writev,
      .send = shim_send,
      .sendto = shim_sendto,
      .sendmsg = shim_sendmsg,
      .fcntl = shim_fcntl,
      .ioctl = shim_ioctl,
      .close = shim_close,
      .shutdown = shim_shutdown,
      .getsockopt = shim_getsockopt,
      .setsockopt = shim_setsockopt,
      .poll = shim_poll,
      .netdev_send = shim_netdev_send,
      .netdev_receive = shim_netdev_receive,
      .usleep = shim_usleep,
      .gettimeofday = shim_gettimeofday,
      .epoll_create = shim_epoll_create,
      .epoll_ctl = shim_epoll_ctl,
      .epoll_wait = shim_epoll_wait,
      .pipe = shim_pipe,
      .splice = shim_splice,
  };
}
