/*
 * PacketQueue: an Ethernet interface through AF_PACKET. Frames come from a memory-mapped
 * TPACKET_V3 ring, whole blocks at a time, and leave through sendmmsg, in batches both ways.
 * On the packet ring stand IP packets; the link header of each slot's packet stands beside
 * it, in a record of 20 bytes (src/wire/ethernet.ts):
 *
 *     to[6] from[6] tag[4] type[2] marks[2]      big-endian; tag: TPID and TCI, 0 when there is none
 *
 *   new PacketQueue(name, filter, mac, groups, blockSize, blocks, timeout)
 *       filter: classic BPF (struct sock_filter); mac, groups: addresses to listen to besides the
 *       interface's own; timeout: ms after which a block that is not full is handed over
 *   .receive(bytes, lengths, head, count, slots, slotSize, records) -> packets put into the free slots
 *   .transmit(bytes, lengths, head, count, slots, slotSize, records) -> packets taken, oldest first
 */
#include "queue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <net/if_arp.h>

#define RECORD 20
#define TAG 12
#define TYPE 16
#define MARKS 18
#define MARK_PARTIAL 1
#define PLAIN_HEADER 14
#define TAGGED_HEADER 18
/* Frames in one system call. */
#define BATCH 64

typedef struct {
  queue_t base;
  uint8_t *map;
  size_t map_size, block_size;
  uint32_t blocks;
  /* The block that is read, or waited for; the next frame in it and how many are left, 0 when none was begun. */
  uint32_t block, left;
  const uint8_t *frame;
  /* Frames lost: they did not fit a slot, the kernel refused them, the kernel's ring was full. */
  double oversize, refused, dropped;
} packet_t;

static const queue_class_t PACKET;

static void unmap(queue_t *queue) {
  packet_t *packet = (packet_t *)queue;
  if (packet->map != NULL) munmap(packet->map, packet->map_size);
  packet->map = NULL;
  packet->left = 0;
}

/* The block that is read, once the kernel has handed it over; NULL before. */
static struct tpacket_block_desc *ready_block(packet_t *packet) {
  struct tpacket_block_desc *block = (void *)(packet->map + packet->block * packet->block_size);
  return (__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) != 0 ? block : NULL;
}

/* Gives the block back to the kernel. */
static void next_block(packet_t *packet) {
  struct tpacket_block_desc *block = (void *)(packet->map + packet->block * packet->block_size);
  __atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
  packet->block = (packet->block + 1) % packet->blocks;
}

/* Copies one frame into slot and record; its length without link header, -1 when it is lost. */
static int32_t take_frame(packet_t *packet, const ring_t *ring, uint32_t slot, uint8_t *records) {
  const struct tpacket3_hdr *header = (const void *)packet->frame;
  const uint8_t *frame = packet->frame + header->tp_mac;
  uint8_t *record = records + (size_t)slot * RECORD;
  uint32_t length = header->tp_snaplen;
  if (length < PLAIN_HEADER) return -1;
  memcpy(record, frame, 12);
  memset(record + 12, 0, RECORD - 12);
  uint32_t start = PLAIN_HEADER;
  if (header->tp_status & TP_STATUS_VLAN_VALID) {
    uint16_t tpid = header->tp_status & TP_STATUS_VLAN_TPID_VALID ? header->hv1.tp_vlan_tpid : ETH_P_8021Q;
    uint16_t parts[2] = {htons(tpid), htons((uint16_t)header->hv1.tp_vlan_tci)};
    memcpy(record + TAG, parts, 4);
  } else if (length >= TAGGED_HEADER && frame[12] == 0x81 && frame[13] == 0) {
    memcpy(record + TAG, frame + 12, 4);
    start = TAGGED_HEADER;
  }
  memcpy(record + TYPE, frame + start - 2, 2);
  if (header->tp_status & TP_STATUS_CSUMNOTREADY) record[MARKS + 1] = MARK_PARTIAL;
  // Cut by the kernel, or longer than a slot: segments that were merged, most likely.
  if (header->tp_len > length || length - start > ring->slot_size) {
    packet->oversize++;
    return -1;
  }
  memcpy(ring->bytes + (size_t)slot * ring->slot_size, frame + start, length - start);
  return (int32_t)(length - start);
}

/* The records of a call: one for each slot. */
static uint8_t *read_records(napi_env env, napi_value value, const ring_t *ring) {
  void *records;
  size_t size;
  if (!read_array(env, value, "records", napi_uint8_array, &records, &size)) return NULL;
  if (size >= (size_t)ring->slots * RECORD) return records;
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "records must have 20 bytes for each slot");
  return NULL;
}

/* A gone or disabled interface shows as an error of the socket, once. */
static bool failed(napi_env env, packet_t *packet) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(packet->base.fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error == 0 || error == ENETDOWN) return false;
  throw_errno(env, error, "recv", packet->base.name);
  return true;
}

static napi_value packet_receive(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGUMENTS];
  ring_t ring;
  packet_t *packet = (packet_t *)read_ring(env, info, &PACKET, 7, argv, &ring);
  if (packet == NULL) return NULL;
  uint8_t *records = read_records(env, argv[6], &ring);
  if (records == NULL) return NULL;
  packet->base.unserved = false;
  if (ring.count == ring.slots) {
    pause_polling(&packet->base);
    return count_of(env, 0);
  }
  uint32_t moved = 0;
  // Bounded apart from the free slots too: frames that are lost must not keep us here.
  for (uint32_t looked = 0; ring.count + moved < ring.slots && looked < 4 * ring.slots; looked++) {
    if (packet->left == 0) {
      struct tpacket_block_desc *block = ready_block(packet);
      if (block == NULL) break;
      packet->left = block->hdr.bh1.num_pkts;
      packet->frame = (uint8_t *)block + block->hdr.bh1.offset_to_first_pkt;
      if (packet->left == 0) {
        next_block(packet);
        continue;
      }
    }
    uint32_t slot = (ring.head + ring.count + moved) & (ring.slots - 1);
    int32_t length = take_frame(packet, &ring, slot, records);
    if (length >= 0) {
      ring.lengths[slot] = length;
      moved++;
    }
    if (--packet->left == 0) next_block(packet);
    else packet->frame += ((const struct tpacket3_hdr *)(const void *)packet->frame)->tp_next_offset;
  }
  if (moved == 0 && failed(env, packet)) return NULL;
  resume_polling(&packet->base);
  return count_of(env, moved);
}

/* Errors that concern one frame (or the moment), not the interface: the frame is lost, as on a wire. */
static bool loses_frame(int error) {
  switch (error) {
    case EINVAL:
    case ENETDOWN:
    case EMSGSIZE:
    case ENOMEM:
    case ENOBUFS:
    case EPERM:
      return true;
    default:
      return false;
  }
}

/* Writes the link header that a record describes; its length. */
static size_t write_header(const uint8_t *record, uint8_t *out) {
  static const uint8_t none[4] = {0, 0, 0, 0};
  memcpy(out, record, 12);
  if (memcmp(record + TAG, none, 4) == 0) {
    memcpy(out + 12, record + TYPE, 2);
    return PLAIN_HEADER;
  }
  memcpy(out + 12, record + TAG, 6);
  return TAGGED_HEADER;
}

static napi_value packet_transmit(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGUMENTS];
  ring_t ring;
  packet_t *packet = (packet_t *)read_ring(env, info, &PACKET, 7, argv, &ring);
  if (packet == NULL) return NULL;
  uint8_t *records = read_records(env, argv[6], &ring);
  if (records == NULL) return NULL;
  struct mmsghdr messages[BATCH];
  struct iovec parts[BATCH][2];
  uint8_t headers[BATCH][TAGGED_HEADER];
  uint32_t taken = 0;
  memset(messages, 0, sizeof messages);
  while (taken < ring.count) {
    uint32_t size = 0;
    for (; size < BATCH && taken + size < ring.count; size++) {
      uint32_t slot = (ring.head + taken + size) & (ring.slots - 1);
      int32_t length = ring.lengths[slot];
      if (length <= 0 || (uint32_t)length > ring.slot_size) break;
      parts[size][0].iov_base = headers[size];
      parts[size][0].iov_len = write_header(records + (size_t)slot * RECORD, headers[size]);
      parts[size][1].iov_base = ring.bytes + (size_t)slot * ring.slot_size;
      parts[size][1].iov_len = (size_t)length;
      messages[size].msg_hdr.msg_iov = parts[size];
      messages[size].msg_hdr.msg_iovlen = 2;
    }
    if (size == 0) {
      packet->oversize++;
      taken++;
      continue;
    }
    int sent = sendmmsg(packet->base.fd, messages, size, MSG_DONTWAIT);
    if (sent > 0) taken += (uint32_t)sent;
    else if (errno == EAGAIN) break;
    else if (errno == EINTR) continue;
    else if (loses_frame(errno)) {
      packet->refused++;
      taken++;
    } else if (taken > 0) break;
    else {
      throw_errno(env, errno, "send", packet->base.name);
      return NULL;
    }
  }
  return count_of(env, taken);
}

static napi_value packet_counters(napi_env env, napi_callback_info info) {
  napi_value result;
  packet_t *packet = (packet_t *)queue_of_call(env, info, &PACKET);
  if (packet == NULL) return NULL;
  struct tpacket_stats_v3 stats;
  socklen_t size = sizeof stats;
  // The kernel starts anew with each look.
  if (!packet->base.closed && getsockopt(packet->base.fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0)
    packet->dropped += stats.tp_drops;
  if (napi_create_object(env, &result) != napi_ok || !set_number(env, result, "oversize", packet->oversize) ||
      !set_number(env, result, "refused", packet->refused) || !set_number(env, result, "dropped", packet->dropped)) {
    return NULL;
  }
  return result;
}

/* What a new queue is made of, as the arguments have it. */
typedef struct {
  char name[IFNAMSIZ];
  void *filter, *mac, *groups;
  size_t filter_size, mac_size, groups_size;
  int64_t block_size, blocks, timeout;
} order_t;

static bool read_order(napi_env env, napi_value *argv, order_t *order) {
  size_t length;
  memset(order, 0, sizeof *order);
  if (napi_get_value_string_utf8(env, argv[0], NULL, 0, &length) != napi_ok) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "name must be a string");
    return false;
  }
  if (length == 0 || length >= IFNAMSIZ ||
      napi_get_value_string_utf8(env, argv[0], order->name, IFNAMSIZ, &length) != napi_ok) {
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "name must have 1 to 15 bytes");
    return false;
  }
  if (!read_array(env, argv[1], "filter", napi_uint8_array, &order->filter, &order->filter_size) ||
      !read_array(env, argv[2], "mac", napi_uint8_array, &order->mac, &order->mac_size) ||
      !read_array(env, argv[3], "groups", napi_uint8_array, &order->groups, &order->groups_size) ||
      !read_integer(env, argv[4], "blockSize", 4096, 1 << 24, &order->block_size) ||
      !read_integer(env, argv[5], "blocks", 2, 4096, &order->blocks) ||
      !read_integer(env, argv[6], "timeout", 1, 1000, &order->timeout)) {
    return false;
  }
  if (order->filter_size % sizeof(struct sock_filter) == 0 && order->filter_size / sizeof(struct sock_filter) <= 4096 &&
      order->mac_size == ETH_ALEN && order->groups_size % ETH_ALEN == 0 && (order->block_size & 4095) == 0) {
    return true;
  }
  napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "filter, mac, groups or blockSize has a wrong size");
  return false;
}

static bool set_option(int fd, int level, int option, const void *value, socklen_t size) {
  return setsockopt(fd, level, option, value, size) == 0;
}

static bool join(int fd, int index, unsigned short type, const uint8_t *address) {
  struct packet_mreq request = {.mr_ifindex = index, .mr_type = type, .mr_alen = ETH_ALEN};
  memcpy(request.mr_address, address, ETH_ALEN);
  return set_option(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof request);
}

/* Sets the socket up; NULL, or the call that failed, errno saying why. */
static const char *set_up(packet_t *packet, const order_t *order) {
  int fd = packet->base.fd, version = TPACKET_V3, one = 1, room = 1 << 20;
  struct ifreq request;
  memset(&request, 0, sizeof request);
  memcpy(request.ifr_name, order->name, IFNAMSIZ);
  if (ioctl(fd, SIOCGIFHWADDR, &request) != 0) return "ioctl";
  if (request.ifr_hwaddr.sa_family != ARPHRD_ETHER) {
    errno = EPROTONOSUPPORT;
    return "open";
  }
  if (ioctl(fd, SIOCGIFINDEX, &request) != 0) return "ioctl";
  int index = request.ifr_ifindex;
  struct sock_fprog program = {.len = (unsigned short)(order->filter_size / sizeof(struct sock_filter)), .filter = order->filter};
  struct tpacket_req3 ring = {.tp_block_size = (unsigned)order->block_size,
                              .tp_block_nr = (unsigned)order->blocks,
                              .tp_frame_size = 2048,
                              .tp_frame_nr = (unsigned)(order->block_size / 2048 * order->blocks),
                              .tp_retire_blk_tov = (unsigned)order->timeout};
  struct sockaddr_ll where = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = index};
  if (!set_option(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) ||
      !set_option(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) ||
      !set_option(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring)) {
    return "setsockopt";
  }
  // Old kernels do not know the first; the second is a wish.
  set_option(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
  set_option(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  if (!join(fd, index, PACKET_MR_UNICAST, order->mac)) return "setsockopt";
  for (size_t at = 0; at < order->groups_size; at += ETH_ALEN)
    if (!join(fd, index, PACKET_MR_MULTICAST, (const uint8_t *)order->groups + at)) return "setsockopt";
  packet->block_size = (size_t)order->block_size;
  packet->blocks = (uint32_t)order->blocks;
  packet->map_size = packet->block_size * packet->blocks;
  void *map = mmap(NULL, packet->map_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) return "mmap";
  packet->map = map;
  return bind(fd, (const struct sockaddr *)&where, sizeof where) == 0 ? NULL : "bind";
}

static napi_value packet_construct(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGUMENTS], self;
  order_t order;
  if (!read_arguments(env, info, 7, argv, &self) || !called_with_new(env, info, &PACKET)) return NULL;
  if (!read_order(env, argv, &order)) return NULL;
  // No protocol yet: nothing is to come in before the filter is there.
  int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  packet_t *packet = fd < 0 ? NULL : calloc(1, sizeof *packet);
  if (packet == NULL) {
    int error = errno;
    if (fd >= 0) close(fd);
    throw_errno(env, error, "socket", order.name);
    return NULL;
  }
  packet->base.fd = fd;
  packet->base.dispose = unmap;
  memcpy(packet->base.name, order.name, IFNAMSIZ - 1);
  const char *call = set_up(packet, &order);
  if (call != NULL) {
    int error = errno;
    unmap(&packet->base);
    close(fd);
    free(packet);
    throw_errno(env, error, call, order.name);
    return NULL;
  }
  return start_queue(env, self, &packet->base, &PACKET) ? self : NULL;
}

static const queue_class_t PACKET = {
    "PacketQueue",  {0x1d0a55e9b7c14f0e, 0xa3c44b0f6b1e9d27}, packet_construct, packet_receive, packet_transmit,
    packet_counters, NULL, NULL};

napi_status define_packet_queue(napi_env env, napi_value exports) { return define_queue(env, exports, &PACKET); }
