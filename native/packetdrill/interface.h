/*
 * What packetdrill (https://github.com/google/packetdrill) calls when a script is run with
 * --so_filename: it loads the object, calls packetdrill_interface_init() once, and from then
 * on makes every system call of the script, every packet and every look at the clock through
 * this table. The order of the members is the contract; results and errno are those of the
 * calls of the same name. `self` is the first member, handed back with every call.
 */
#ifndef TIMEWAIT_PACKETDRILL_INTERFACE_H
#define TIMEWAIT_PACKETDRILL_INTERFACE_H

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

typedef struct sockaddr sockaddr_t;

struct packetdrill_interface {
  void *self;
  void (*free)(void *self);
  int (*socket)(void *self, int domain, int type, int protocol);
  int (*bind)(void *self, int fd, const sockaddr_t *address, socklen_t length);
  int (*listen)(void *self, int fd, int backlog);
  int (*accept)(void *self, int fd, sockaddr_t *peer, socklen_t *length);
  int (*connect)(void *self, int fd, const sockaddr_t *address, socklen_t length);
  ssize_t (*read)(void *self, int fd, void *into, size_t count);
  ssize_t (*readv)(void *self, int fd, const struct iovec *parts, int count);
  ssize_t (*recv)(void *self, int fd, void *into, size_t count, int flags);
  ssize_t (*recvfrom)(void *self, int fd, void *into, size_t count, int flags, sockaddr_t *from,
                      socklen_t *length);
  ssize_t (*recvmsg)(void *self, int fd, struct msghdr *message, int flags);
  ssize_t (*write)(void *self, int fd, const void *bytes, size_t count);
  ssize_t (*writev)(void *self, int fd, const struct iovec *parts, int count);
  ssize_t (*send)(void *self, int fd, const void *bytes, size_t count, int flags);
  ssize_t (*sendto)(void *self, int fd, const void *bytes, size_t count, int flags,
                    const sockaddr_t *to, socklen_t length);
  ssize_t (*sendmsg)(void *self, int fd, const struct msghdr *message, int flags);
  int (*fcntl)(void *self, int fd, int command, ...);
  int (*ioctl)(void *self, int fd, unsigned long request, ...);
  int (*close)(void *self, int fd);
  int (*shutdown)(void *self, int fd, int how);
  int (*getsockopt)(void *self, int fd, int level, int name, void *value, socklen_t *length);
  int (*setsockopt)(void *self, int fd, int level, int name, const void *value, socklen_t length);
  int (*poll)(void *self, struct pollfd *list, nfds_t count, int timeout);
  /* A packet, from the IP header on, arrives at the stack. 0, or -1. */
  int (*netdev_send)(void *self, const void *packet, size_t length);
  /* The next packet that the stack sends: `length` is the room and then the length, 0 when
   * nothing came; `time` is when it was sent, microseconds. 0, or -1. */
  int (*netdev_receive)(void *self, void *packet, size_t *length, long long *time);
  int (*usleep)(void *self, useconds_t microseconds);
  int (*gettimeofday)(void *self, struct timeval *now, struct timezone *zone);
  int (*epoll_create)(void *self, int size);
  int (*epoll_ctl)(void *self, int epoll, int operation, int fd, struct epoll_event *event);
  int (*epoll_wait)(void *self, int epoll, struct epoll_event *events, int most, int timeout);
  int (*pipe)(void *self, int ends[2]);
  int (*splice)(void *self, int from, loff_t *from_offset, int to, loff_t *to_offset, size_t length,
                unsigned int flags);
};

/* `flags` is what --so_flags says, NULL when it was not given. */
void packetdrill_interface_init(const char *flags, struct packetdrill_interface *table);

#endif
