/*
 * TunQueue: one queue of a TUN device, read and written in batches through the
 * packet ring of src/wire/ring.ts, with readiness from the event loop of its thread.
 *
 *   new TunQueue(name, vnetHeader, multiQueue)   vnetHeader: 0 (off), 10 or 12 bytes before each packet
 *   .name                                        as the kernel gave it
 *   .receive(bytes, lengths, head, count, slots, slotSize) -> packets put into the free slots
 *   .transmit(bytes, lengths, head, count, slots, slotSize) -> packets taken, oldest first
 *   .listen(listener | null)                     called from the loop when packets may be waiting
 *   .ref() .unref() .close() .counters()
 *
 * Life: the JavaScript object and the libuv handle each hold one share of the
 * struct; whoever lets go last frees it. A garbage-collected or abandoned queue
 * (end of a worker) closes its device.
 */
#include "addon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>
#include <uv.h>

/* After the C library's headers: both define parts of struct ifreq. */
#include <net/if.h>
#include <linux/if_tun.h>

typedef struct {
  napi_env env;
  uv_poll_t poll;
  napi_async_cleanup_hook_handle hook;
  /* The listener and the object itself, both strong, while somebody listens. */
  napi_ref listener;
  napi_ref self;
  int fd;
  int shares;
  bool closed;
  /* uv_poll_start is in effect. */
  bool polling;
  /* The listener was called and receive() was not called since. */
  bool unserved;
  char name[IFNAMSIZ];
  /* Packets lost because they did not fit a slot, packets the kernel refused or had no room for. */
  double oversize;
  double refused;
} queue_t;

/* Tells our objects from others that were wrapped by other addons. */
static const napi_type_tag QUEUE_TAG = {0x6b1f0c63a4f14f52, 0x9d07e2b35c8a4d11};

typedef struct {
  uint8_t *bytes;
  int32_t *lengths;
  uint32_t head, count, slots, slot_size;
} ring_t;

static void release(queue_t *queue) {
  if (--queue->shares == 0) free(queue);
}

static void on_closed(uv_handle_t *handle) {
  queue_t *queue = handle->data;
  napi_remove_async_cleanup_hook(queue->hook);
  release(queue);
}

/* Idempotent. Touches no JavaScript, so finalizers and the end of an environment may call it. */
static void close_device(queue_t *queue) {
  if (queue->closed) return;
  queue->closed = true;
  queue->polling = false;
  // Takes the descriptor out of the loop at once: only then may its number be given back.
  uv_close((uv_handle_t *)&queue->poll, on_closed);
  close(queue->fd);
  queue->fd = -1;
}

static void on_cleanup(napi_async_cleanup_hook_handle handle, void *data) {
  (void)handle;
  close_device(data);
}

static void on_finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  queue_t *queue = data;
  close_device(queue);
  release(queue);
}

static void forget_listener(queue_t *queue) {
  if (queue->listener == NULL) return;
  napi_delete_reference(queue->env, queue->listener);
  napi_delete_reference(queue->env, queue->self);
  queue->listener = NULL;
  queue->self = NULL;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void pause_polling(queue_t *queue) {
  if (!queue->polling) return;
  queue->polling = false;
  uv_poll_stop(&queue->poll);
}

static void resume_polling(queue_t *queue) {
  if (queue->polling || queue->closed || queue->listener == NULL) return;
  queue->polling = uv_poll_start(&queue->poll, UV_READABLE, on_poll) == 0;
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  (void)events;
  queue_t *queue = poll->data;
  // The device is gone: libuv has stopped the watcher, the next receive() says why.
  if (status < 0) queue->polling = false;
  // Called before and nobody came to receive: silence until somebody does, instead of a busy loop.
  if (queue->unserved) {
    pause_polling(queue);
    return;
  }
  queue->unserved = true;
  napi_env env = queue->env;
  napi_handle_scope scope;
  napi_value listener, receiver;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  // The listener may close the queue; this share keeps the struct until we are done.
  queue->shares++;
  if (napi_get_reference_value(env, queue->listener, &listener) == napi_ok && listener != NULL &&
      napi_get_global(env, &receiver) == napi_ok &&
      napi_make_callback(env, NULL, receiver, listener, 0, NULL, NULL) == napi_pending_exception) {
    napi_value error;
    if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
  }
  release(queue);
  napi_close_handle_scope(env, scope);
}

/* The open queue behind `this`, or NULL with an error pending. */
static queue_t *queue_of(napi_env env, napi_value self, bool must_be_open) {
  bool ours = false;
  void *data = NULL;
  if (napi_check_object_type_tag(env, self, &QUEUE_TAG, &ours) != napi_ok || !ours ||
      napi_unwrap(env, self, &data) != napi_ok || data == NULL) {
    napi_throw_type_error(env, "ERR_INVALID_THIS", "this is not a TunQueue");
    return NULL;
  }
  queue_t *queue = data;
  if (must_be_open && queue->closed) {
    napi_throw_error(env, "ERR_CLOSED", "the TUN queue is closed");
    return NULL;
  }
  return queue;
}

/* Reads and checks (bytes, lengths, head, count, slots, slotSize); whatever they say, memory outside the arrays stays untouched. */
static queue_t *read_ring(napi_env env, napi_callback_info info, ring_t *ring) {
  napi_value argv[MAX_ARGUMENTS], self;
  void *bytes, *lengths;
  size_t size, entries;
  int64_t head, count, slots, slot_size;
  if (!read_arguments(env, info, 6, argv, &self)) return NULL;
  queue_t *queue = queue_of(env, self, true);
  if (queue == NULL) return NULL;
  if (!read_array(env, argv[0], "bytes", napi_uint8_array, &bytes, &size)) return NULL;
  if (!read_array(env, argv[1], "lengths", napi_int32_array, &lengths, &entries)) return NULL;
  if (!read_integer(env, argv[4], "slots", 1, 1 << 24, &slots)) return NULL;
  if (!read_integer(env, argv[2], "head", 0, slots - 1, &head)) return NULL;
  if (!read_integer(env, argv[3], "count", 0, slots, &count)) return NULL;
  if (!read_integer(env, argv[5], "slotSize", 1, 1 << 24, &slot_size)) return NULL;
  if ((slots & (slots - 1)) != 0 || (size_t)slots > entries || (uint64_t)slots * (uint64_t)slot_size > size) {
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "slots must be a power of two, and both arrays must hold them");
    return NULL;
  }
  ring->bytes = bytes;
  ring->lengths = lengths;
  ring->head = (uint32_t)head;
  ring->count = (uint32_t)count;
  ring->slots = (uint32_t)slots;
  ring->slot_size = (uint32_t)slot_size;
  return queue;
}

static napi_value count_of(napi_env env, uint32_t count) {
  napi_value result = NULL;
  napi_create_uint32(env, count, &result);
  return result;
}

static napi_value tun_receive(napi_env env, napi_callback_info info) {
  ring_t ring;
  queue_t *queue = read_ring(env, info, &ring);
  if (queue == NULL) return NULL;
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
      queue->oversize++;
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
  ring_t ring;
  queue_t *queue = read_ring(env, info, &ring);
  if (queue == NULL) return NULL;
  uint32_t taken = 0;
  while (taken < ring.count) {
    uint32_t slot = (ring.head + taken) & (ring.slots - 1);
    int32_t length = ring.lengths[slot];
    if (length <= 0 || (uint32_t)length > ring.slot_size) {
      queue->oversize++;
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
      queue->refused++;
    }
    taken++;
  }
  return count_of(env, taken);
}

static napi_value tun_listen(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGUMENTS], self;
  napi_valuetype type;
  if (!read_arguments(env, info, 1, argv, &self)) return NULL;
  queue_t *queue = queue_of(env, self, false);
  if (queue == NULL || napi_typeof(env, argv[0], &type) != napi_ok) return NULL;
  if (type != napi_function && type != napi_null) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "listener must be a function or null");
    return NULL;
  }
  forget_listener(queue);
  pause_polling(queue);
  if (type == napi_null || queue->closed) return NULL;
  if (napi_create_reference(env, argv[0], 1, &queue->listener) != napi_ok) {
    queue->listener = NULL;
    return NULL;
  }
  if (napi_create_reference(env, self, 1, &queue->self) != napi_ok) {
    napi_delete_reference(env, queue->listener);
    queue->listener = NULL;
    return NULL;
  }
  queue->unserved = false;
  resume_polling(queue);
  return NULL;
}

static queue_t *plain_call(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGUMENTS], self;
  if (!read_arguments(env, info, 0, argv, &self)) return NULL;
  return queue_of(env, self, false);
}

static napi_value tun_ref(napi_env env, napi_callback_info info) {
  queue_t *queue = plain_call(env, info);
  if (queue != NULL && !queue->closed) uv_ref((uv_handle_t *)&queue->poll);
  return NULL;
}

static napi_value tun_unref(napi_env env, napi_callback_info info) {
  queue_t *queue = plain_call(env, info);
  if (queue != NULL && !queue->closed) uv_unref((uv_handle_t *)&queue->poll);
  return NULL;
}

static napi_value tun_close(napi_env env, napi_callback_info info) {
  queue_t *queue = plain_call(env, info);
  if (queue == NULL) return NULL;
  forget_listener(queue);
  close_device(queue);
  return NULL;
}

static napi_value tun_name(napi_env env, napi_callback_info info) {
  napi_value result = NULL;
  queue_t *queue = plain_call(env, info);
  if (queue != NULL) napi_create_string_utf8(env, queue->name, NAPI_AUTO_LENGTH, &result);
  return result;
}

static napi_value tun_counters(napi_env env, napi_callback_info info) {
  napi_value result, oversize, refused;
  queue_t *queue = plain_call(env, info);
  if (queue == NULL || napi_create_object(env, &result) != napi_ok ||
      napi_create_double(env, queue->oversize, &oversize) != napi_ok ||
      napi_create_double(env, queue->refused, &refused) != napi_ok ||
      napi_set_named_property(env, result, "oversize", oversize) != napi_ok ||
      napi_set_named_property(env, result, "refused", refused) != napi_ok) {
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
  napi_value argv[MAX_ARGUMENTS], self, target = NULL;
  struct ifreq request;
  int header_size;
  uv_loop_t *loop;
  if (!read_arguments(env, info, 3, argv, &self)) return NULL;
  if (napi_get_new_target(env, info, &target) != napi_ok || target == NULL) {
    napi_throw_type_error(env, "ERR_CONSTRUCT_CALL_REQUIRED", "TunQueue needs new");
    return NULL;
  }
  if (!read_request(env, argv, &request, &header_size)) return NULL;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) {
    napi_throw_error(env, NULL, "no event loop");
    return NULL;
  }
  queue_t *queue = calloc(1, sizeof *queue);
  if (queue == NULL) {
    throw_errno(env, ENOMEM, "malloc", "TUN queue");
    return NULL;
  }
  queue->env = env;
  queue->fd = open_device(env, &request, header_size);
  if (queue->fd < 0) {
    free(queue);
    return NULL;
  }
  memcpy(queue->name, request.ifr_name, IFNAMSIZ - 1);
  int status = uv_poll_init(loop, &queue->poll, queue->fd);
  if (status != 0) {
    close(queue->fd);
    free(queue);
    throw_errno(env, -status, "epoll", request.ifr_name);
    return NULL;
  }
  queue->poll.data = queue;
  // One share for the handle, one for the object.
  queue->shares = 2;
  if (napi_add_async_cleanup_hook(env, on_cleanup, queue, &queue->hook) != napi_ok ||
      napi_wrap(env, self, queue, on_finalize, NULL, NULL) != napi_ok) {
    queue->shares = 1;
    close_device(queue);
    napi_throw_error(env, NULL, "the TUN queue could not be tied to its object");
    return NULL;
  }
  if (napi_type_tag_object(env, self, &QUEUE_TAG) != napi_ok) {
    close_device(queue);
    napi_throw_error(env, NULL, "the TUN queue could not be marked");
    return NULL;
  }
  return self;
}

napi_status define_tun_queue(napi_env env, napi_value exports) {
  napi_value class_value;
  napi_property_descriptor members[] = {
      {"name", NULL, NULL, tun_name, NULL, NULL, napi_default, NULL},
      {"receive", NULL, tun_receive, NULL, NULL, NULL, napi_default_method, NULL},
      {"transmit", NULL, tun_transmit, NULL, NULL, NULL, napi_default_method, NULL},
      {"listen", NULL, tun_listen, NULL, NULL, NULL, napi_default_method, NULL},
      {"ref", NULL, tun_ref, NULL, NULL, NULL, napi_default_method, NULL},
      {"unref", NULL, tun_unref, NULL, NULL, NULL, napi_default_method, NULL},
      {"close", NULL, tun_close, NULL, NULL, NULL, napi_default_method, NULL},
      {"counters", NULL, tun_counters, NULL, NULL, NULL, napi_default_method, NULL},
  };
  napi_status status = napi_define_class(env, "TunQueue", NAPI_AUTO_LENGTH, tun_construct, NULL,
                                         sizeof members / sizeof members[0], members, &class_value);
  return status == napi_ok ? napi_set_named_property(env, exports, "TunQueue", class_value) : status;
}
