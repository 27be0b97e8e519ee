/*
 * Clients that cost little: connect, one byte there, one byte back, the server closes first, without sockets.
 * Each answer follows from the packet that it answers; a packet socket on the server's own device carries both.
 *
 *   load DEVICE HOST PORT FIRST SOURCES SECONDS WARM FLOWS
 *
 * FLOWS at a time, each from a port that none had before, of SOURCES addresses from FIRST on. A flow that has not
 * ended after a second is given up and counted. Prints one line of JSON: connections a second, lost ones, its own
 * processor time and that of the whole machine for one connection, in microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define FIRST_PORT 10000
#define PORTS 55000
#define BATCH 64
#define MOST_FLOWS 4096
#define GIVE_UP 1.0

typedef struct {
  struct iphdr ip;
  struct tcphdr tcp;
  uint8_t rest[8];
} packet_t;

typedef struct {
  uint32_t address;
  uint16_t port;
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
static long done, lost;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double own_time(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) + (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}

/* Seconds that all processors together were not idle. */
static double busy(void) {
  unsigned long long user, nice, system, idle, waiting, interrupts, soft;
  FILE *file = fopen("/proc/stat", "r");
  if (file == NULL || fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &waiting,
                             &interrupts, &soft) != 7)
    fail("/proc/stat");
  fclose(file);
  return (double)(user + nice + system + interrupts + soft) / (double)sysconf(_SC_CLK_TCK);
}

static uint16_t checksum(const void *data, size_t size, uint32_t sum) {
  const uint16_t *words = data;
  for (; size > 1; size -= 2) sum += *words++;
  if (size > 0) sum += *(const uint8_t *)words;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~sum;
}

static void flush(void) {
  for (int sent = 0; sent < queued;) {
    int n = sendmmsg(device_socket, messages + sent, (unsigned)(queued - sent), 0);
    // The queue is full: lost, as on a wire.
    sent += n > 0 ? n : 1;
  }
  queued = 0;
}

static void emit(const flow_t *flow, uint32_t seq, uint32_t ack, uint8_t flags, size_t text) {
  packet_t *p = &out[queued];
  bool syn = (flags & TH_SYN) != 0;
  size_t size = sizeof p->ip + sizeof p->tcp + (syn ? 4 : text);
  memset(p, 0, sizeof *p);
  p->ip = (struct iphdr){.version = 4, .ihl = 5, .tot_len = htons((uint16_t)size), .ttl = 64, .protocol = IPPROTO_TCP};
  p->ip.saddr = htonl(flow->address);
  p->ip.daddr = htonl(target);
  p->ip.check = checksum(&p->ip, sizeof p->ip, 0);
  p->tcp.source = htons(flow->port);
  p->tcp.dest = htons(target_port);
  p->tcp.seq = htonl(seq);
  p->tcp.ack_seq = htonl(ack);
  p->tcp.doff = syn ? 6 : 5;
  p->tcp.th_flags = flags;
  p->tcp.window = htons(65535);
  memcpy(p->rest, syn ? "\x02\x04\x05\xb4" : "x", syn ? 4 : text);
  uint16_t length = (uint16_t)(size - sizeof p->ip);
  uint32_t pseudo = (p->ip.saddr & 0xffff) + (p->ip.saddr >> 16) + (p->ip.daddr & 0xffff) + (p->ip.daddr >> 16) +
                    htons(IPPROTO_TCP) + htons(length);
  p->tcp.check = checksum(&p->tcp, length, pseudo);
  parts[queued].iov_len = size;
  if (++queued == BATCH) flush();
}

static uint16_t *owner_of(uint32_t address, uint16_t port) {
  uint32_t source = address - first_address;
  if (source >= (uint32_t)sources || port < FIRST_PORT) return NULL;
  return &owner[(size_t)source * 65536 + port];
}

static void begin(int i, double t) {
  long n = next_tuple++;
  if (n >= sources * PORTS) {
    fprintf(stderr, "load: no ports are left\n");
    exit(1);
  }
  flow_t *flow = &flows[i];
  // Neighbours in time are apart in address: a short run uses all of them.
  *flow = (flow_t){first_address + (uint32_t)(n % sources), (uint16_t)(FIRST_PORT + n / sources), t};
  *owner_of(flow->address, flow->port) = (uint16_t)(i + 1);
  emit(flow, 1000, 0, TH_SYN, 0);
}

static void again(int i, double t) {
  *owner_of(flows[i].address, flows[i].port) = 0;
  begin(i, t);
}

static void arrived(const uint8_t *bytes, size_t size, double t) {
  const struct iphdr *ip = (const void *)bytes;
  if (size < 40 || ip->version != 4 || ip->protocol != IPPROTO_TCP) return;
  const struct tcphdr *tcp = (const void *)(bytes + ip->ihl * 4);
  uint16_t *whose = owner_of(ntohl(ip->daddr), ntohs(tcp->dest));
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

static void receive(double t) {
  static uint8_t in[BATCH][2048];
  static struct iovec in_parts[BATCH];
  static struct mmsghdr in_messages[BATCH];
  for (int i = 0; i < BATCH; i++) {
    in_parts[i] = (struct iovec){in[i], sizeof in[i]};
    in_messages[i].msg_hdr = (struct msghdr){.msg_iov = &in_parts[i], .msg_iovlen = 1};
  }
  int n = recvmmsg(device_socket, in_messages, BATCH, MSG_DONTWAIT, NULL);
  if (n <= 0) {
    struct pollfd wait = {device_socket, POLLIN, 0};
    poll(&wait, 1, 10);
    return;
  }
  for (int i = 0; i < n; i++) arrived(in[i], in_messages[i].msg_len, t);
}

int main(int count, char **words) {
  if (count < 9) return 2;
  struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP)};
  to.sll_ifindex = (int)if_nametoindex(words[1]);
  struct in_addr a, b;
  if (to.sll_ifindex == 0 || inet_aton(words[2], &a) == 0 || inet_aton(words[4], &b) == 0) fail(words[1]);
  target = ntohl(a.s_addr);
  target_port = (uint16_t)atoi(words[3]);
  first_address = ntohl(b.s_addr);
  sources = atol(words[5]);
  double seconds = atof(words[6]), warm = atof(words[7]);
  int most = atoi(words[8]), on = 1, room = 1 << 24;
  if (most > MOST_FLOWS) most = MOST_FLOWS;
  owner = calloc((size_t)sources * 65536, sizeof *owner);
  device_socket = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP));
  if (device_socket < 0 || bind(device_socket, (struct sockaddr *)&to, sizeof to) < 0) fail("packet socket");
  setsockopt(device_socket, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on);
  setsockopt(device_socket, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on);
  setsockopt(device_socket, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  for (int i = 0; i < BATCH; i++) {
    parts[i].iov_base = &out[i];
    messages[i].msg_hdr =
        (struct msghdr){.msg_name = &to, .msg_namelen = sizeof to, .msg_iov = &parts[i], .msg_iovlen = 1};
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
    flush();
  }
  double each = done > 0 ? 1e6 / (double)done : 0;
  printf("{\"rate\":%.1f,\"lost\":%ld,\"client\":%.2f,\"machine\":%.2f}\n", (double)done / seconds, lost - failed_before,
         (own_time() - own) * each, (busy() - used) * each);
  return 0;
}
