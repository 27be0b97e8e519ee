/* What the programs of the benchmarks have in common: clocks, and TCP packets that are made by hand. */
#ifndef COMMON_H
#define COMMON_H

#include <arpa/inet.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Clients' ports. */
#define FIRST_PORT 10000
#define PORTS 55000

static inline void fail(const char *what) {
  perror(what);
  exit(1);
}

static inline double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Seconds of processor time of this process. */
static inline double own_time(void) {
  struct rusage used;
  getrusage(RUSAGE_SELF, &used);
  return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) * 1e-6;
}

/* Seconds that all processors together were not idle. */
static inline double busy(void) {
  unsigned long long user, nice, system, idle, waiting, interrupts, soft;
  FILE *file = fopen("/proc/stat", "r");
  if (file == NULL || fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &waiting,
                             &interrupts, &soft) != 7)
    fail("/proc/stat");
  fclose(file);
  return (double)(user + nice + system + interrupts + soft) / (double)sysconf(_SC_CLK_TCK);
}

/* In network order. */
typedef struct {
  uint32_t from, to;
  uint16_t from_port, to_port;
} tuple_t;

typedef struct {
  struct iphdr ip;
  struct tcphdr tcp;
  /* The MSS of a SYN, or text. */
  uint8_t rest[4];
} packet_t;

static inline uint64_t sum_words(const void *data, size_t size, uint64_t sum) {
  uint32_t word;
  for (size_t i = 0; i < size; i += sizeof word) {
    memcpy(&word, (const uint8_t *)data + i, sizeof word);
    sum += word;
  }
  return sum;
}

static inline uint16_t folded(uint64_t sum) {
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~sum;
}

/* An IPv4 packet of TCP, with `text` bytes of text, 4 at most; returns its size. */
static inline size_t write_packet(packet_t *p, const tuple_t *tuple, uint32_t seq, uint32_t ack, uint8_t flags, size_t text) {
  bool syn = (flags & TH_SYN) != 0;
  size_t length = sizeof p->tcp + (syn ? sizeof p->rest : text);
  memset(p, 0, sizeof *p);
  p->ip = (struct iphdr){.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP};
  p->ip.tot_len = htons((uint16_t)(sizeof p->ip + length));
  p->ip.saddr = tuple->from;
  p->ip.daddr = tuple->to;
  p->ip.check = folded(sum_words(&p->ip, sizeof p->ip, 0));
  p->tcp.source = tuple->from_port;
  p->tcp.dest = tuple->to_port;
  p->tcp.seq = htonl(seq);
  p->tcp.ack_seq = htonl(ack);
  p->tcp.doff = syn ? 6 : 5;
  p->tcp.th_flags = flags;
  p->tcp.window = htons(65535);
  memcpy(p->rest, syn ? "\x02\x04\x05\xb4" : "xxxx", syn ? sizeof p->rest : text);
  uint64_t pseudo = (uint64_t)tuple->from + tuple->to + htons(IPPROTO_TCP) + htons((uint16_t)length);
  p->tcp.check = folded(sum_words(&p->tcp, sizeof p->tcp + sizeof p->rest, pseudo));
  return sizeof p->ip + length;
}

#endif
