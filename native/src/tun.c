/*
 * TunQueue: one queue of a TUN device, read and written in batches through the
 * packet ring, with readiness from the event loop of its thread.
 *
 *   new TunQueue(name, offload, multiQueue[, descriptor[, exclusive]])   with a descriptor: the queue that has it, once more;
 *     exclusive: a device of that name must not be there
 *   .receive(bytes, lengths, head, count, slots, slotSize, offloads) -> packets put into the free slots
 *   .transmit(bytes, lengths, head, count, slots, slotSize, offloads[, spans, texts]) -> packets taken, oldest first
 *   .steer(program): which queue of the device a packet goes to; eBPF, 8 bytes an instruction
 *   .descriptor() -> of the queue, for another thread
 *
 * With `offload` the kernel is told that we do what its network cards do: a virtio header goes
 * before each packet, with what is left to do in it (PacketRing.offloads of src/wire/ring.ts).
 * Text that lies elsewhere is gathered as PacketRing.spans and .texts say.
 */
#include "queue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* After the C library's headers: both define parts of struct ifreq. */
#include <net/if.h>
#include <linux/bpf.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>

/* Entries of PacketRing.offloads: bytes of text in each segment, and this bit. */
#define CHECKSUM (1 << 16)
#define SEGMENT_SIZE 0xffff

/* PARTS and SPAN of src/wire/ring.ts: pieces of text elsewhere, and the words that a slot has for them. */
#define PARTS 4
#define SPAN (1 + 2 * PARTS)

typedef struct {
  queue_t base;
  /* Packets have a virtio header. */
  bool offload;
  /* Packets lost because they did not fit a slot, packets the kernel refused or had no room for. */
  double oversize;
  double refused;
} tun_t;

static const queue_class_t TUN;

/* The queue of a call, its ring and the array beside it; NULL with an error pending. */
static tun_t *read_call(napi_env env, napi_callback_info info, napi_value *argv, ring_t *ring, int32_t **offloads) {
  void *data;
  size_t entries;
  queue_t *queue = read_ring(env, info, &TUN, 7, argv, ring);
  if (queue == NULL || !read_array(env, argv[6], "offloads", napi_int32_array, &data, &entries)) return NULL;
  if (entries < ring->slots) {
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "offloads must hold the slots");
    return NULL;
  }
  *offloads = data;
  return (tun_t *)queue;
}

/* What the kernel left for us to do, as an entry of `offloads`. */
static int32_t entry_of(const struct virtio_net_hdr *header) {
  bool sound = (header->flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID)) != 0;
  int32_t size = header->gso_type == VIRTIO_NET_HDR_GSO_NONE ? 0 : header->gso_size;
  return size | (sound ? CHECKSUM : 0);
}

static napi_value tun_receive(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGUMENTS];
  ring_t ring;
  int32_t *offloads;
  tun_t *tun = read_call(env, info, argv, &ring, &offloads);
  if (tun == NULL) return NULL;
  queue_t *queue = &tun->base;
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
    struct virtio_net_hdr header = {0};
    struct iovec parts[3] = {
        {&header, sizeof header}, {ring.bytes + (size_t)slot * ring.slot_size, ring.slot_size}, {&beyond, 1}};
    ssize_t got = tun->offload ? readv(queue->fd, parts, 3) : readv(queue->fd, parts + 1, 2);
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) break;
      // What was received so far must reach the engine; the error comes again with the next call.
      if (moved > 0) break;
      throw_errno(env, errno, "read", queue->name);
      return NULL;
    }
    if (tun->offload) got -= (ssize_t)sizeof header;
    if (got > (ssize_t)ring.slot_size) {
      tun->oversize++;
    } else if (got > 0) {
      ring.lengths[slot] = (int32_t)got;
      offloads[slot] = entry_of(&header);
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

#define TCP_CHECKSUM 16
#define TCP_OFFSET 12
#define TCP_FLAGS 13
#define CWR 0x80

/*
 * What an entry of `offloads` asks for, as the kernel wants to hear it; of the packet the first `held` bytes are there.
 * A packet that cannot be what it says is left as it is.
 */
static struct virtio_net_hdr header_of(const uint8_t *packet, uint32_t held, uint32_t length, int32_t entry) {
  struct virtio_net_hdr header = {0};
  if (entry == 0 || held < 40) return header;
  bool v4 = packet[0] >> 4 == 4;
  uint32_t start = v4 ? (packet[0] & 15) * 4 : 40;
  if (held < start + 20) return header;
  header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
  header.csum_start = (uint16_t)start;
  header.csum_offset = TCP_CHECKSUM;
  uint32_t text = start + (packet[start + TCP_OFFSET] >> 4) * 4;
  uint32_t size = entry & SEGMENT_SIZE;
  if (size == 0 || length <= text + size) return header;
  header.gso_type = v4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
  // RFC 3168: CWR goes on the first segment only.
  if ((packet[start + TCP_FLAGS] & CWR) != 0) header.gso_type |= VIRTIO_NET_HDR_GSO_ECN;
  header.gso_size = (uint16_t)size;
  header.hdr_len = (uint16_t)text;
  return header;
}

/* Where the text of packets lies besides the ring; no spans: nowhere. The array that was asked for last is at `data`, NULL: none. */
typedef struct {
  int32_t *spans;
  napi_value arrays;
  uint8_t *data;
  size_t elements;
} texts_t;

/* The last two arguments of a call, if there are any. False with an error pending. */
static bool read_texts(napi_env env, const napi_value *argv, const ring_t *ring, texts_t *texts) {
  napi_valuetype type;
  void *data;
  size_t entries;
  texts->spans = NULL;
  texts->arrays = argv[8];
  texts->data = NULL;
  if (napi_typeof(env, argv[7], &type) != napi_ok) return false;
  if (type == napi_undefined) return true;
  if (!read_array(env, argv[7], "spans", napi_int32_array, &data, &entries)) return false;
  if (entries == 0) return true;
  bool is_array = false;
  if (entries < (size_t)ring->slots * SPAN || napi_is_array(env, argv[8], &is_array) != napi_ok || !is_array) {
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "spans must hold the slots, and texts must be an array");
    return false;
  }
  texts->spans = data;
  return true;
}

/* Finds the array of an entry of `arrays`. */
static bool find_text(napi_env env, texts_t *texts, uint32_t entry) {
  napi_value array;
  napi_typedarray_type type;
  void *data;
  bool is_array = false;
  texts->data = NULL;
  if (napi_get_element(env, texts->arrays, entry, &array) != napi_ok ||
      napi_is_typedarray(env, array, &is_array) != napi_ok || !is_array ||
      napi_get_typedarray_info(env, array, &type, &texts->elements, &data, NULL, NULL) != napi_ok ||
      type != napi_uint8_array)
    return false;
  texts->data = data;
  return data != NULL;
}

/* The pieces of a slot's text, behind its headers; returns how many bytes they are, -1: they are not what they should be. */
static int64_t gather(napi_env env, texts_t *texts, uint32_t slot, struct iovec *parts, int *count) {
  const int32_t *span = texts->spans + (size_t)slot * SPAN;
  int64_t sum = 0;
  if (span[0] < 0 || span[0] > PARTS) return -1;
  for (int i = 0; i < span[0]; i++) {
    bool same = span[1 + 2 * i] < 0;
    int32_t offset = same ? ~span[1 + 2 * i] : span[1 + 2 * i], length = span[2 + 2 * i];
    if ((!same || texts->data == NULL) && !find_text(env, texts, slot * PARTS + (uint32_t)i)) return -1;
    if (length < 0 || (size_t)offset + (size_t)length > texts->elements) return -1;
    parts[i] = (struct iovec){texts->data + offset, (size_t)length};
    sum += length;
  }
  *count = span[0];
  return sum;
}

/* Packet of `length` bytes in all, of which the ring holds the first `held`, and the `count` parts behind `parts[2]` the rest. */
static ssize_t write_packet(const tun_t *tun, uint8_t *packet, uint32_t held, uint32_t length, int32_t entry,
                            struct iovec *parts, int count) {
  struct virtio_net_hdr header = {0};
  if (tun->offload) header = header_of(packet, held, length, entry);
  parts[0] = (struct iovec){&header, sizeof header};
  parts[1] = (struct iovec){packet, held};
  int first = tun->offload ? 0 : 1;
  return writev(tun->base.fd, parts + first, count + 2 - first);
}

static napi_value tun_transmit(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGUMENTS];
  ring_t ring;
  int32_t *offloads;
  texts_t texts;
  tun_t *tun = read_call(env, info, argv, &ring, &offloads);
  if (tun == NULL || !read_texts(env, argv, &ring, &texts)) return NULL;
  queue_t *queue = &tun->base;
  uint32_t taken = 0;
  while (taken < ring.count) {
    uint32_t slot = (ring.head + taken) & (ring.slots - 1);
    int32_t length = ring.lengths[slot];
    struct iovec parts[2 + PARTS];
    int count = 0;
    int64_t elsewhere = texts.spans == NULL ? 0 : gather(env, &texts, slot, parts + 2, &count);
    if (length <= 0 || (uint32_t)length > ring.slot_size || elsewhere < 0 || elsewhere >= length) {
      tun->oversize++;
      taken++;
      continue;
    }
    uint8_t *packet = ring.bytes + (size_t)slot * ring.slot_size;
    if (write_packet(tun, packet, (uint32_t)(length - elsewhere), (uint32_t)length, offloads[slot], parts, count) < 0) {
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

#define INSTRUCTION 8
#define STEER_TRIES 10

static napi_value tun_steer(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGUMENTS];
  void *program;
  size_t size;
  queue_t *queue = queue_of_call(env, info, &TUN);
  if (queue == NULL || !read_arguments(env, info, 1, argv, NULL) ||
      !read_array(env, argv[0], "program", napi_uint8_array, &program, &size)) {
    return NULL;
  }
  if (queue->closed) {
    napi_throw_error(env, "ERR_CLOSED", "the queue is closed");
    return NULL;
  }
  union bpf_attr load;
  memset(&load, 0, sizeof load);
  load.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
  load.insns = (uintptr_t)program;
  load.insn_cnt = (uint32_t)(size / INSTRUCTION);
  load.license = (uintptr_t) "MIT";
  int fd = -1;
  // A signal, as a profiler sends them, interrupts the kernel's look at the program.
  for (int tries = 0; tries < STEER_TRIES && fd < 0; tries++) {
    fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
    if (errno != EAGAIN) break;
  }
  if (fd < 0) {
    throw_errno(env, errno, "bpf", queue->name);
    return NULL;
  }
  int failed = ioctl(queue->fd, TUNSETSTEERINGEBPF, &fd) == 0 ? 0 : errno;
  // The device has a share of its own.
  close(fd);
  if (failed != 0) throw_errno(env, failed, "ioctl", queue->name);
  return NULL;
}

static napi_value tun_descriptor(napi_env env, napi_callback_info info) {
  napi_value result = NULL;
  queue_t *queue = queue_of_call(env, info, &TUN);
  if (queue != NULL) napi_create_int32(env, queue->fd, &result);
  return result;
}

/* Opens the device; returns the descriptor, or -1 with an error pending. `request.ifr_name` holds the real name afterwards. */
static int open_device(napi_env env, struct ifreq *request, bool offload) {
  static const char path[] = "/dev/net/tun";
  int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    throw_errno(env, errno, "open", path);
    return -1;
  }
  // A name with %d in it must be told as it was asked for.
  char name[IFNAMSIZ];
  memcpy(name, request->ifr_name, IFNAMSIZ);
  int header_size = sizeof(struct virtio_net_hdr);
  if (ioctl(fd, TUNSETIFF, request) == 0 &&
      (!offload || (ioctl(fd, TUNSETVNETHDRSZ, &header_size) == 0 &&
                    ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) == 0))) {
    return fd;
  }
  int error = errno;
  close(fd);
  throw_errno(env, error, "ioctl", name);
  return -1;
}

/* The same queue under a descriptor of its own; -1 with an error pending. */
static int share_device(napi_env env, napi_value number, const char *name) {
  int64_t descriptor;
  if (!read_integer(env, number, "descriptor", 0, INT32_MAX, &descriptor)) return -1;
  int fd = fcntl((int)descriptor, F_DUPFD_CLOEXEC, 0);
  if (fd < 0) throw_errno(env, errno, "fcntl", name);
  return fd;
}

static bool read_request(napi_env env, napi_value *argv, struct ifreq *request, bool *offload) {
  napi_valuetype type;
  size_t length;
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
  if (napi_get_value_bool(env, argv[1], offload) != napi_ok || napi_get_value_bool(env, argv[2], &multi_queue) != napi_ok) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "offload and multiQueue must be booleans");
    return false;
  }
  request->ifr_flags = (short)(IFF_TUN | IFF_NO_PI | (*offload ? IFF_VNET_HDR : 0) | (multi_queue ? IFF_MULTI_QUEUE : 0));
  return true;
}

static napi_value tun_construct(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGUMENTS], self;
  struct ifreq request;
  bool offload;
  if (!read_arguments(env, info, 3, argv, &self) || !called_with_new(env, info, &TUN)) return NULL;
  if (!read_request(env, argv, &request, &offload)) return NULL;
  tun_t *tun = calloc(1, sizeof *tun);
  if (tun == NULL) {
    throw_errno(env, ENOMEM, "malloc", "TUN queue");
    return NULL;
  }
  tun->offload = offload;
  napi_valuetype shared;
  bool exclusive = false;
  if (napi_get_value_bool(env, argv[4], &exclusive) == napi_ok && exclusive) request.ifr_flags |= (short)IFF_TUN_EXCL;
  napi_typeof(env, argv[3], &shared);
  tun->base.fd = shared == napi_undefined ? open_device(env, &request, offload)
                                          : share_device(env, argv[3], request.ifr_name);
  if (tun->base.fd < 0) {
    free(tun);
    return NULL;
  }
  memcpy(tun->base.name, request.ifr_name, IFNAMSIZ - 1);
  return start_queue(env, self, &tun->base, &TUN) ? self : NULL;
}

static const queue_class_t TUN = {
    "TunQueue", {0x6b1f0c63a4f14f52, 0x9d07e2b35c8a4d11}, tun_construct, tun_receive, tun_transmit, tun_counters,
    tun_steer, tun_descriptor};

napi_status define_tun_queue(napi_env env, napi_value exports) { return define_queue(env, exports, &TUN); }
