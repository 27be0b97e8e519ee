/*
 * Clients that cost little: connect, one byte there, one byte back, the server closes first, without sockets.
 * Each answer follows from the packet that it answers; a packet socket on the server's own device carries both.
 *
 *   load DEVICE HOST PORT FIRST SOURCES SECONDS WARM FLOWS
 *
 * FLOWS at a time, each from a port that none had before, of SOURCES addresses from FIRST on. A flow that has not
 * ended after a second is given up and counted. Prints an empty line when WARM seconds are over, and SECONDS later
 * one of JSON: connections, those a second, lost ones, and processor time for one connection, its own and that of
 * the whole machine, in microseconds.
 *
 * What it is made of: packets come in through a ring in shared memory, without a call of the system; when there is
 * none they gather for a while, so that a call sends many; none waits to be woken.
 */
#define _GNU_SOURCE
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "common.h"

#define BATCH 64
#define MOST_FLOWS 4096
#define GIVE_UP 1.0
/* Of the ring in which the kernel leaves packets: bytes for each, and how many. */
#define FRAME 128
#define FRAMES (1 << 14)
/* us: how long packets gather while there is none. */
#define PAUSE 200

typedef struct {
  tuple_t tuple;
  double begun;
} flow_t;

static flow_t flows[MOST_FLOWS];
/* Which flow a source and port belong to: index + 1, 0 none. */
static uint16_t *owner;
static uint32_t first_address, target;
static long sources, next_tuple;
static uint16_t target_port;
static packet_t out[BATCH];
static struct iovec parts[BATCH];
static struct mmsghdr messages[BATCH];
static int queued, device_socket;
static uint8_t *ring;
static unsigned next_frame;
static long done, lost;

static void flush(void) {
  for (int sent = 0; sent < queued;) {
    int n = sendmmsg(device_socket, messages + sent, (unsigned)(queued - sent), 0);
    // The queue is full: lost, as on a wire.
    sent += n > 0 ? n : 1;
  }
  queued = 0;
}

static void emit(const flow_t *flow, uint32_t seq, uint32_t ack, uint8_t flags, size_t text) {
  parts[queued].iov_len = write_packet(&out[queued], &flow->tuple, seq, ack, flags, text);
  if (++queued == BATCH) flush();
}

/* Of an address and port in network order. */
static uint16_t *owner_of(uint32_t address, uint16_t port) {
  uint32_t source = ntohl(address) - first_address;
  return source < (uint32_t)sources ? &owner[(size_t)source * 65536 + ntohs(port)] : NULL;
}

static void begin(int i, double t) {
  long n = next_tuple++;
  if (n >= sources * PORTS) {
    fprintf(stderr, "load: no ports are left\n");
    exit(1);
  }
  flow_t *flow = &flows[i];
  // Neighbours in time are apart in address: a short run uses all of them.
  uint32_t from = htonl(first_address + (uint32_t)(n % sources));
  *flow = (flow_t){{from, target, htons((uint16_t)(FIRST_PORT + n / sources)), target_port}, t};
  *owner_of(from, flow->tuple.from_port) = (uint16_t)(i + 1);
  emit(flow, 1000, 0, TH_SYN, 0);
}

static void again(int i, double t) {
  *owner_of(flows[i].tuple.from, flows[i].tuple.from_port) = 0;
  begin(i, t);
}

static void arrived(const uint8_t *bytes, size_t size, double t) {
  const struct iphdr *ip = (const void *)bytes;
  if (size < 40 || ip->version != 4 || ip->protocol != IPPROTO_TCP) return;
  const struct tcphdr *tcp = (const void *)(bytes + ip->ihl * 4);
  uint16_t *whose = owner_of(ip->daddr, tcp->dest);
  if (whose == NULL || *whose == 0) return;
  int i = *whose - 1;
  uint32_t seq = ntohl(tcp->seq), ack = ntohl(tcp->ack_seq);
  uint32_t text = ntohs(ip->tot_len) - ip->ihl * 4u - tcp->doff * 4u;
  if (tcp->rst) {
    lost++;
    again(i, t);
  } else if (tcp->syn) emit(&flows[i], ack, seq + 1, TH_ACK | TH_PUSH, 1);
  else if (tcp->fin) emit(&flows[i], ack, seq + text + 1, TH_FIN | TH_ACK, 0);
  else if (ack == 1003) {
    // Our FIN is acknowledged.
    done++;
    again(i, t);
  }
}

/* All that is there; packets of one look have one time. */
static void receive(double t) {
  int taken = 0;
  for (;; taken++) {
    struct tpacket2_hdr *frame = (void *)(ring + (size_t)(next_frame & (FRAMES - 1)) * FRAME);
    if ((__atomic_load_n(&frame->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) == 0) break;
    arrived((const uint8_t *)frame + frame->tp_net, frame->tp_snaplen, t);
    __atomic_store_n(&frame->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    next_frame++;
  }
  flush();
  if (taken == 0) usleep(PAUSE);
}

static void open_device(struct sockaddr_ll *to) {
  int on = 1, version = TPACKET_V2;
  struct tpacket_req request = {.tp_frame_size = FRAME, .tp_frame_nr = FRAMES};
  request.tp_block_size = (unsigned)getpagesize();
  request.tp_block_nr = FRAME * FRAMES / request.tp_block_size;
  device_socket = socket(AF_PACKET, SOCK_DGRAM, 0);
  if (device_socket < 0) fail("packet socket");
  setsockopt(device_socket, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
  setsockopt(device_socket, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on);
  if (setsockopt(device_socket, SOL_PACKET, PACKET_VERSION, &version, sizeof version) < 0 ||
      setsockopt(device_socket, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) < 0)
    fail("packet ring");
  ring = mmap(NULL, FRAME * FRAMES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, device_socket, 0);
  if (ring == MAP_FAILED || bind(device_socket, (struct sockaddr *)to, sizeof *to) < 0) fail("packet ring");
}

int main(int count, char **words) {
  if (count < 9) return 2;
  struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP)};
  to.sll_ifindex = (int)if_nametoindex(words[1]);
  struct in_addr a, b;
  if (to.sll_ifindex == 0 || inet_aton(words[2], &a) == 0 || inet_aton(words[4], &b) == 0) fail(words[1]);
  target = a.s_addr;
  target_port = htons((uint16_t)atoi(words[3]));
  first_address = ntohl(b.s_addr);
  sources = atol(words[5]);
  double seconds = atof(words[6]), warm = atof(words[7]);
  int most = atoi(words[8]);
  if (most > MOST_FLOWS) most = MOST_FLOWS;
  owner = calloc((size_t)sources * 65536, sizeof *owner);
  open_device(&to);
  for (int i = 0; i < BATCH; i++) {
    parts[i].iov_base = &out[i];
    messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
  }
  double start = now() + warm, used = -1, own = 0, looked = now();
  long failed_before = 0;
  for (int i = 0; i < most; i++) begin(i, now());
  flush();
  double t;
  while ((t = now()) < start + seconds) {
    if (used < 0 && t >= start) {
      used = busy();
      own = own_time();
      done = 0;
      failed_before = lost;
      printf("\n");
      fflush(stdout);
    }
    receive(t);
    if (t - looked > 0.1) {
      looked = t;
      for (int i = 0; i < most; i++) {
        if (t - flows[i].begun < GIVE_UP) continue;
        lost++;
        again(i, t);
      }
    }
  }
  double each = done > 0 ? 1e6 / (double)done : 0;
  printf("{\"done\":%ld,\"rate\":%.1f,\"lost\":%ld,\"client\":%.2f,\"machine\":%.2f}\n", done, (double)done / seconds,
         lost - failed_before, (own_time() - own) * each, (busy() - used) * each);
  return 0;
}
