/*
 * TunQueue: one queue of a TUN device, read and written in batches through the
 * packet ring, with readiness from the event loop of its thread.
 *
 *   new TunQueue(name, vnetHeader, multiQueue)   vnetHeader: 0 (off), 10 or 12 bytes before each packet
 *   .receive(bytes, lengths, head, count, slots, slotSize) -> packets put into the free slots
 *   .transmit(bytes, lengths, head, count, slots, slotSize) -> packets taken, oldest first
 */
#include "queue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

/* After the C library's headers: both define parts of struct ifreq. */
#include <net/if.h>
#include <linux/if_tun.h>

typedef struct {
  queue_t base;
  /* Packets lost because they did not fit a slot, packets the kernel refused or had no room for. */
  double oversize;
  double refused;
} tun_t;

static const queue_class_t TUN;

static napi_value tun_receive(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGUMENTS];
  ring_t ring;
  queue_t *queue = read_ring(env, info, &TUN, 6, argv, &ring);
  if (queue == NULL) return NULL;
  tun_t *tun = (tun_t *)queue;
  queue->unserved = false;
  uint32_t moved = 0;
  if (ring.count == ring.slots) {
    // No room: no use in being told about more until there is.
    pause_polling(queue);
    return count_of(env, 0);
  }
  // Bounded apart from the free slots too: oversize packets must not keep us here.
  for (uint32_t reads = 0; ring.count + moved < ring.slots && reads < 2 * ring.slots; reads++) {
    uint32_t slot = (ring.head + ring.count + moved) & (ring.slots - 1);
    // One byte more than a slot holds: TUN cuts silently, so this is how a packet that does not fit shows.
    uint8_t beyond;
    struct iovec parts[2] = {{ring.bytes + (size_t)slot * ring.slot_size, ring.slot_size}, {&beyond, 1}};
    ssize_t got = readv(queue->fd, parts, 2);
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) break;
      // What was received so far must reach the engine; the error comes again with the next call.
      if (moved > 0) break;
      throw_errno(env, errno, "read", queue->name);
      return NULL;
    }
    if (got > (ssize_t)ring.slot_size) {
      tun->oversize++;
    } else if (got > 0) {
      ring.lengths[slot] = (int32_t)got;
      moved++;
    }
  }
  resume_polling(queue);
  return count_of(env, moved);
}

/* Errors that concern one packet (or the moment), not the device: the packet is lost, as on a wire. */
static bool loses_packet(int error) {
  switch (error) {
    case EINVAL: /* neither IPv4 nor IPv6, or shorter than the virtio header says */
    case EIO:    /* the interface is down */
    case EMSGSIZE:
    case ENOMEM:
    case ENOBUFS:
    case EPERM: /* refused by a filter */
      return true;
    default:
      return false;
  }
}

static napi_value tun_transmit(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGUMENTS];
  ring_t ring;
  queue_t *queue = read_ring(env, info, &TUN, 6, argv, &ring);
  if (queue == NULL) return NULL;
  tun_t *tun = (tun_t *)queue;
  uint32_t taken = 0;
  while (taken < ring.count) {
    uint32_t slot = (ring.head + taken) & (ring.slots - 1);
    int32_t length = ring.lengths[slot];
    if (length <= 0 || (uint32_t)length > ring.slot_size) {
      tun->oversize++;
      taken++;
      continue;
    }
    if (write(queue->fd, ring.bytes + (size_t)slot * ring.slot_size, (size_t)length) < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) break;
      if (!loses_packet(errno)) {
        if (taken > 0) break;
        throw_errno(env, errno, "write", queue->name);
        return NULL;
      }
      tun->refused++;
    }
    taken++;
  }
  return count_of(env, taken);
}

static napi_value tun_counters(napi_env env, napi_callback_info info) {
  napi_value result;
  tun_t *tun = (tun_t *)queue_of_call(env, info, &TUN);
  if (tun == NULL || napi_create_object(env, &result) != napi_ok ||
      !set_number(env, result, "oversize", tun->oversize) || !set_number(env, result, "refused", tun->refused)) {
    return NULL;
  }
  return result;
}

/* Opens the device; returns the descriptor, or -1 with an error pending. `request.ifr_name` holds the real name afterwards. */
static int open_device(napi_env env, struct ifreq *request, int header_size) {
  static const char path[] = "/dev/net/tun";
  int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    throw_errno(env, errno, "open", path);
    return -1;
  }
  // A name with %d in it must be told as it was asked for.
  char name[IFNAMSIZ];
  memcpy(name, request->ifr_name, IFNAMSIZ);
  if (ioctl(fd, TUNSETIFF, request) == 0 && (header_size == 0 || ioctl(fd, TUNSETVNETHDRSZ, &header_size) == 0)) {
    return fd;
  }
  int error = errno;
  close(fd);
  throw_errno(env, error, "ioctl", name);
  return -1;
}

static bool read_request(napi_env env, napi_value *argv, struct ifreq *request, int *header_size) {
  napi_valuetype type;
  size_t length;
  int64_t header;
  bool multi_queue;
  memset(request, 0, sizeof *request);
  if (napi_typeof(env, argv[0], &type) != napi_ok || type != napi_string ||
      napi_get_value_string_utf8(env, argv[0], NULL, 0, &length) != napi_ok) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "name must be a string");
    return false;
  }
  if (length >= IFNAMSIZ ||
      napi_get_value_string_utf8(env, argv[0], request->ifr_name, IFNAMSIZ, &length) != napi_ok ||
      memchr(request->ifr_name, 0, length) != NULL) {
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "name must have at most 15 bytes, none of them 0");
    return false;
  }
  if (!read_integer(env, argv[1], "vnetHeader", 0, 12, &header)) return false;
  if (header != 0 && header != 10 && header != 12) {
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "vnetHeader must be 0, 10 or 12");
    return false;
  }
  if (napi_get_value_bool(env, argv[2], &multi_queue) != napi_ok) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "multiQueue must be a boolean");
    return false;
  }
  *header_size = (int)header;
  request->ifr_flags = (short)(IFF_TUN | IFF_NO_PI | (header != 0 ? IFF_VNET_HDR : 0) | (multi_queue ? IFF_MULTI_QUEUE : 0));
  return true;
}

static napi_value tun_construct(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGUMENTS], self;
  struct ifreq request;
  int header_size;
  if (!read_arguments(env, info, 3, argv, &self) || !called_with_new(env, info, &TUN)) return NULL;
  if (!read_request(env, argv, &request, &header_size)) return NULL;
  tun_t *tun = calloc(1, sizeof *tun);
  if (tun == NULL) {
    throw_errno(env, ENOMEM, "malloc", "TUN queue");
    return NULL;
  }
  tun->base.fd = open_device(env, &request, header_size);
  if (tun->base.fd < 0) {
    free(tun);
    return NULL;
  }
  memcpy(tun->base.name, request.ifr_name, IFNAMSIZ - 1);
  return start_queue(env, self, &tun->base, &TUN) ? self : NULL;
}

static const queue_class_t TUN = {
    "TunQueue", {0x6b1f0c63a4f14f52, 0x9d07e2b35c8a4d11}, tun_construct, tun_receive, tun_transmit, tun_counters};

napi_status define_tun_queue(napi_env env, napi_value exports) { return define_queue(env, exports, &TUN); }
