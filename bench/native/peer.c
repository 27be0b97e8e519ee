/*
 * The kernel's end of the wire benchmarks: what an ordinary program does with sockets, as cheap as
 * it can be had in C. Prints one line of JSON.
 *
 *   peer serve                                          sink on 5001, source on 5002, answers on 8000
 *   peer send HOST PORT SECONDS WARM                    bulk to a sink
 *   peer recv HOST PORT SECONDS WARM                    bulk from a source
 *   peer connections HOST PORT SECONDS WARM CLIENTS FIRST SOURCES SKIP [COUNT [THINK]]
 *        connect, one byte there, one byte back, the server closes first; CLIENTS at a time, ports
 *        taken in turn from SOURCES addresses from FIRST on, the first SKIP of them left out; with
 *        COUNT it ends when so many have ended, if that is before the time; with THINK a client waits
 *        so many ms before its next connection, and the addresses take turns instead of the ports
 *   peer idle HOST PORT COUNT FIRST SOURCES SKIP        opens COUNT connections, holds them until its input ends
 *   peer flood HOST PORT RATE SECONDS                   spoofed SYNs from 198.18.0.0/15 (RFC 2544)
 *   peer open HOST PORT                                 connects until somebody answers; when that was, ms since 1970
 *
 * WARM seconds before SECONDS are not counted. `busy` is the processors' time of the whole machine in
 * the seconds that are: both ends, and what the kernel does for them outside of any process.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "common.h"

#define SINK 5001
#define SOURCE 5002
#define ANSWER 8000
#define MOST_SAMPLES 4000000
#define MOST_SECONDS 600
#define FLOOD_BATCH 64

static char buffer[1 << 18];

static struct sockaddr_in address(const char *host, int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (inet_pton(AF_INET, host, &a.sin_addr) != 1) fail(host);
  return a;
}

/* Every contender is to meet the same congestion control. */
static int tcp_socket(int flags) {
  int s = socket(AF_INET, SOCK_STREAM | flags, 0);
  if (s < 0) fail("socket");
  setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
  return s;
}

static int listening(int port) {
  int s = tcp_socket(0), on = 1;
  setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (bind(s, (struct sockaddr *)&a, sizeof a) < 0 || listen(s, 4096) < 0) fail("listen");
  return s;
}

static int connected(const char *host, int port) {
  int s = tcp_socket(0);
  struct sockaddr_in a = address(host, port);
  struct timeval limit = {10, 0};
  setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  if (connect(s, (struct sockaddr *)&a, sizeof a) < 0) fail("connect");
  return s;
}

static void serve_bulk(int l, bool source) {
  for (;;) {
    int s = accept(l, NULL, NULL);
    if (s < 0) continue;
    while ((source ? send(s, buffer, sizeof buffer, MSG_NOSIGNAL) : recv(s, buffer, sizeof buffer, 0)) > 0) {
    }
    close(s);
  }
}

static void serve_answers(int l) {
  int ep = epoll_create1(0);
  fcntl(l, F_SETFL, O_NONBLOCK);
  struct epoll_event e = {.events = EPOLLIN, .data.fd = l}, ready[256];
  epoll_ctl(ep, EPOLL_CTL_ADD, l, &e);
  for (;;) {
    int n = epoll_wait(ep, ready, 256, -1);
    for (int i = 0; i < n; i++) {
      int f = ready[i].data.fd;
      if (f == l) {
        for (int s; (s = accept4(l, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
          e.data.fd = s;
          epoll_ctl(ep, EPOLL_CTL_ADD, s, &e);
        }
        continue;
      }
      char bytes[16];
      if (recv(f, bytes, sizeof bytes, 0) > 0) send(f, "y", 1, MSG_NOSIGNAL);
      close(f);
    }
  }
}

static void bulk(const char *host, int port, double seconds, double warm, bool sends) {
  int s = connected(host, port);
  uint64_t bytes = 0;
  double start = now() + warm, used = -1, first = 0;
  for (double t = now(); t < start + seconds; t = now()) {
    if (used < 0 && t >= start) {
      used = busy();
      first = t;
      bytes = 0;
    }
    ssize_t n = sends ? send(s, buffer, sizeof buffer, MSG_NOSIGNAL) : recv(s, buffer, sizeof buffer, 0);
    if (n <= 0) fail(sends ? "send" : "recv");
    bytes += (uint64_t)n;
  }
  double took = now() - first;
  struct tcp_info info;
  socklen_t size = sizeof info;
  getsockopt(s, IPPROTO_TCP, TCP_INFO, &info, &size);
  printf("{\"rate\":%.4f,\"busy\":%.3f,\"retransmitted\":%u}\n", (double)bytes * 8 / took / 1e9, busy() - used,
         info.tcpi_total_retrans);
}

/* Source addresses and ports in turn, so that a tuple comes back as late as possible. */
typedef struct {
  uint32_t first;
  long sources, next;
  /* The next one has another address rather than another port. */
  bool mixed;
} tuples_t;

static void bind_next(int s, tuples_t *tuples) {
  int on = 1;
  long n = tuples->next++, source = tuples->mixed ? n : n / PORTS, port = tuples->mixed ? n / tuples->sources : n;
  struct sockaddr_in a = {.sin_family = AF_INET};
  a.sin_addr.s_addr = htonl(tuples->first + (uint32_t)(source % tuples->sources));
  a.sin_port = htons((uint16_t)(FIRST_PORT + port % PORTS));
  setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(s, (struct sockaddr *)&a, sizeof a) < 0) fail("bind");
}

static int ascending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return x < y ? -1 : x > y;
}

typedef struct {
  double begun;
  bool answered;
} client_t;

static client_t clients[1 << 16];
static float samples[MOST_SAMPLES];
static long per_second[MOST_SECONDS];
static long done, failed;

static bool open_client(int ep, const struct sockaddr_in *to, tuples_t *tuples) {
  int s = tcp_socket(SOCK_NONBLOCK);
  bind_next(s, tuples);
  clients[s] = (client_t){now(), false};
  if (connect(s, (const struct sockaddr *)to, sizeof *to) < 0 && errno != EINPROGRESS) {
    failed++;
    close(s);
    return false;
  }
  struct epoll_event e = {.events = EPOLLOUT, .data.fd = s};
  epoll_ctl(ep, EPOLL_CTL_ADD, s, &e);
  return true;
}

/* True: the client has ended. */
static bool step(int ep, const struct epoll_event *ready, double start) {
  int f = ready->data.fd;
  char bytes[16];
  if ((ready->events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == EPOLLOUT) {
    struct epoll_event e = {.events = EPOLLIN, .data.fd = f};
    if (send(f, "x", 1, MSG_NOSIGNAL) == 1 && epoll_ctl(ep, EPOLL_CTL_MOD, f, &e) == 0) return false;
    failed++;
    close(f);
    return true;
  }
  ssize_t n = recv(f, bytes, sizeof bytes, 0);
  if (n > 0) {
    clients[f].answered = true;
    n = recv(f, bytes, sizeof bytes, 0);
  }
  if (n > 0 || (n < 0 && errno == EAGAIN)) return false;
  double t = now();
  if (n < 0 || !clients[f].answered) failed++;
  else if (t >= start) {
    if (done < MOST_SAMPLES) samples[done] = (float)(t - clients[f].begun);
    if (t - start < MOST_SECONDS) per_second[(int)(t - start)]++;
    done++;
  }
  close(f);
  return true;
}

/* When clients that think open their next connections: in the order of time, as all think as long. */
static double due[1 << 16];
static unsigned due_first, due_next;

static void think_until(double t) { due[due_next++ & 0xffff] = t; }

/* ms until the next of them is due, rounded up; 100 at most. */
static int patience(double t) {
  if (due_first == due_next) return 100;
  double left = (due[due_first & 0xffff] - t) * 1e3;
  return left <= 0 ? 0 : left > 99 ? 100 : (int)left + 1;
}

static void connections(const char *host, int port, double seconds, double warm, int most, tuples_t tuples, long count,
                        double think) {
  struct sockaddr_in to = address(host, port);
  struct epoll_event ready[256];
  int ep = epoll_create1(0), open = 0;
  tuples.mixed = think > 0;
  long last = tuples.next + count;
  double start = now() + warm, end = start + seconds, used = -1;
  // Not all at once
  for (int i = 0; i < most; i++) think_until(now() + think * i / most);
  for (double t = now(); t < end; t = now()) {
    if (used < 0 && t >= start) {
      used = busy();
      failed = 0;
    }
    while (patience(t) == 0 && tuples.next < last && open_client(ep, &to, &tuples)) {
      due_first++;
      open++;
    }
    if (open == 0 && tuples.next == last) break;
    int n = epoll_wait(ep, ready, 256, patience(t));
    for (int i = 0; i < n; i++) {
      if (!step(ep, &ready[i], start)) continue;
      think_until(now() + think);
      open--;
    }
  }
  used = busy() - used;
  long known = done < MOST_SAMPLES ? done : MOST_SAMPLES, slow = 0;
  qsort(samples, (size_t)known, sizeof *samples, ascending);
  for (long i = 0; i < known; i++) slow += samples[i] > 0.9f;
  printf("{\"rate\":%.1f,\"done\":%ld,\"failed\":%ld,\"slow\":%ld,\"p50\":%.1f,\"p99\":%.1f,\"busy\":%.3f,\"each\":[",
         (double)done / seconds, done, failed, slow, known ? samples[known / 2] * 1e6 : 0,
         known ? samples[known * 99 / 100] * 1e6 : 0, used);
  for (int i = 0; i < (int)seconds && i < MOST_SECONDS; i++) printf("%s%ld", i ? "," : "", per_second[i]);
  printf("]}\n");
}

static void idle(const char *host, int port, long count, tuples_t tuples) {
  struct sockaddr_in to = address(host, port);
  struct rlimit files = {(rlim_t)count + 64, (rlim_t)count + 64};
  if (setrlimit(RLIMIT_NOFILE, &files) < 0) fail("setrlimit");
  double t = now();
  for (long i = 0; i < count; i++) {
    int s = tcp_socket(0);
    bind_next(s, &tuples);
    if (connect(s, (struct sockaddr *)&to, sizeof to) < 0) fail("connect");
  }
  printf("{\"rate\":%.1f}\n", (double)count / (now() - t));
  fflush(stdout);
  while (read(0, buffer, 1) > 0) {
  }
}

static void make_syn(packet_t *syn, const struct sockaddr_in *to, uint32_t n) {
  tuple_t tuple = {.to = to->sin_addr.s_addr, .to_port = to->sin_port};
  tuple.from = htonl(0xc6120000u + (n & 0x1ffff));
  tuple.from_port = htons((uint16_t)(1024 + n % 60000));
  write_packet(syn, &tuple, n * 2654435761u, 0, TH_SYN, 0);
}

/* Of the interface whose subnet has the address; 0: none. */
static unsigned interface_to(struct in_addr to) {
  struct ifaddrs *list;
  unsigned index = 0;
  if (getifaddrs(&list) < 0) fail("getifaddrs");
  for (struct ifaddrs *each = list; each != NULL && index == 0; each = each->ifa_next) {
    if (each->ifa_addr == NULL || each->ifa_addr->sa_family != AF_INET) continue;
    uint32_t own = ((struct sockaddr_in *)each->ifa_addr)->sin_addr.s_addr;
    uint32_t mask = ((struct sockaddr_in *)each->ifa_netmask)->sin_addr.s_addr;
    if (((own ^ to.s_addr) & mask) == 0) index = if_nametoindex(each->ifa_name);
  }
  freeifaddrs(list);
  return index;
}

/* Through a packet socket: who floods is no part of this machine, and this is the least of its time that it can take. */
static void flood(const char *host, int port, double rate, double seconds) {
  struct sockaddr_in to = address(host, port);
  struct sockaddr_ll device = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP)};
  device.sll_ifindex = (int)interface_to(to.sin_addr);
  int s = socket(AF_PACKET, SOCK_DGRAM, 0);
  if (s < 0 || device.sll_ifindex == 0) fail("packet socket");
  static packet_t syns[FLOOD_BATCH];
  static struct iovec parts[FLOOD_BATCH];
  static struct mmsghdr messages[FLOOD_BATCH];
  for (int i = 0; i < FLOOD_BATCH; i++) {
    parts[i] = (struct iovec){&syns[i], sizeof syns[i]};
    messages[i].msg_hdr =
        (struct msghdr){.msg_name = &device, .msg_namelen = sizeof device, .msg_iov = &parts[i], .msg_iovlen = 1};
  }
  double start = now();
  uint64_t offered = 0;
  for (double t = start; t < start + seconds; t = now()) {
    if ((double)offered >= (t - start) * rate) {
      usleep(100);
      continue;
    }
    for (int i = 0; i < FLOOD_BATCH; i++) make_syn(&syns[i], &to, (uint32_t)(offered + (unsigned)i));
    // What the device's queue has no room for is lost, as on a wire
    for (int i = 0, sent; i < FLOOD_BATCH; i += sent > 0 ? sent : 1)
      sent = sendmmsg(s, messages + i, (unsigned)(FLOOD_BATCH - i), 0);
    offered += FLOOD_BATCH;
  }
  printf("{\"rate\":%.1f,\"cpu\":%.3f}\n", (double)offered / seconds, own_time());
}

static void open_once(const char *host, int port) {
  struct sockaddr_in to = address(host, port);
  struct timespec t;
  for (int s = tcp_socket(0); connect(s, (struct sockaddr *)&to, sizeof to) < 0; s = tcp_socket(0)) {
    close(s);
    usleep(1000);
  }
  clock_gettime(CLOCK_REALTIME, &t);
  printf("{\"at\":%.3f}\n", (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6);
}

static tuples_t tuples_of(char **words) {
  return (tuples_t){ntohl(address(words[0], 0).sin_addr.s_addr), atol(words[1]), atol(words[2]), false};
}

int main(int count, char **words) {
  signal(SIGPIPE, SIG_IGN);
  const char *what = count > 1 ? words[1] : "";
  if (strcmp(what, "serve") == 0) {
    int sink = listening(SINK), source = listening(SOURCE), answers = listening(ANSWER);
    printf("ready\n");
    fflush(stdout);
    // They end with this process.
    if (fork() == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0) serve_bulk(sink, false);
    if (fork() == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0) serve_bulk(source, true);
    serve_answers(answers);
  }
  if (count < 4) return 2;
  const char *host = words[2];
  int port = atoi(words[3]);
  if (strcmp(what, "open") == 0) {
    open_once(host, port);
    return 0;
  }
  if (count < 6) return 2;
  double number = atof(words[4]);
  if (strcmp(what, "send") == 0 || strcmp(what, "recv") == 0) bulk(host, port, number, atof(words[5]), *what == 's');
  else if (strcmp(what, "connections") == 0)
    connections(host, port, number, atof(words[5]), atoi(words[6]), tuples_of(words + 7),
                count > 10 ? atol(words[10]) : LONG_MAX / 2, count > 11 ? atof(words[11]) / 1e3 : 0);
  else if (strcmp(what, "idle") == 0) idle(host, port, (long)number, tuples_of(words + 5));
  else if (strcmp(what, "flood") == 0) flood(host, port, number, atof(words[5]));
  else return 2;
  return 0;
}
