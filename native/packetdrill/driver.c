/*
 * Loads the plug-in as packetdrill does and makes the calls of a small script: a passive
 * connection whose accept() and read() block on a second thread, TCP_INFO by the system's own
 * getsockopt(), retransmissions over 30 seconds. Prints a line for each thing it saw;
 * test/native/packetdrill.test.ts reads them. Ends with 1 at the first thing that went wrong.
 *
 *   driver PLUGIN.so FLAGS           the script
 *   driver PLUGIN.so FLAGS sysctl    two SYNs, and tcp_timestamps of this namespace switched off between them
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "interface.h"

#define PORT 8080
#define PEER_PORT 41000
#define MSS 1460

static struct packetdrill_interface table;
static uint32_t sequence = 1000;
static uint32_t acknowledged;

#define CHECK(what)                                                                        \
  do {                                                                                     \
    if (!(what)) {                                                                         \
      printf("line %d: %s: errno %d (%s)\n", __LINE__, #what, errno, strerror(errno));     \
      exit(1);                                                                             \
    }                                                                                      \
  } while (0)

/* ---- time -------------------------------------------------------------------------- */

static long long now(void) {
  struct timeval time;
  CHECK(table.gettimeofday(table.self, &time, NULL) == 0);
  return time.tv_sec * 1000000LL + time.tv_usec;
}

/* As the tool waits: it sleeps, but spins over the last 20 microseconds. */
static void wait_until(long long time) {
  const long long left = time - now();
  if (left > 20) CHECK(table.usleep(table.self, left - 20) == 0);
  while (now() < time) continue;
}

/* ---- packets ----------------------------------------------------------------------- */

static uint16_t checksum(const uint8_t *bytes, size_t length, uint32_t sum) {
  for (size_t i = 0; i < length; i++) sum += (uint32_t)bytes[i] << (i % 2 == 0 ? 8 : 0);
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum;
}

static void store(uint8_t *at, uint32_t value, int bytes) {
  for (int i = 0; i < bytes; i++) at[i] = value >> (8 * (bytes - 1 - i));
}

static uint32_t load(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3];
}

/* From 192.0.2.1:41000 to 192.168.77.7:8080. */
static void inject(uint8_t flags, size_t length) {
  uint8_t packet[40 + MSS] = {0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 168, 77, 7};
  const size_t whole = 40 + length;
  store(packet + 2, whole, 2);
  store(packet + 10, checksum(packet, 20, 0), 2);
  uint8_t *const tcp = packet + 20;
  store(tcp, PEER_PORT, 2);
  store(tcp + 2, PORT, 2);
  store(tcp + 4, sequence, 4);
  store(tcp + 8, acknowledged, 4);
  tcp[12] = 5 << 4;
  tcp[13] = flags;
  store(tcp + 14, 32792, 2);
  memset(tcp + 20, 'x', length);
  store(tcp + 16, checksum(packet + 12, whole - 12, IPPROTO_TCP + whole - 20), 2);
  CHECK(table.netdev_send(table.self, packet, whole) == 0);
  sequence += length + ((flags & (TH_SYN | TH_FIN)) != 0);
}

/* Prints the next segment and when it was sent. */
static bool expect(const char *name, long long start) {
  uint8_t packet[4096];
  size_t length = sizeof packet;
  long long time = 0;
  CHECK(table.netdev_receive(table.self, packet, &length, &time) == 0);
  if (length == 0) {
    printf("%s: nothing\n", name);
    return false;
  }
  const uint8_t *const tcp = packet + 20;
  const size_t bytes = length - 20 - (tcp[12] >> 4) * 4;
  if ((tcp[13] & TH_SYN) != 0) acknowledged = load(tcp + 4) + 1;
  printf("%s: flags %02x, data %zu, ack +%u, at %.3f\n", name, tcp[13], bytes,
         (unsigned)(load(tcp + 8) - 1000), (time - start) / 1e6);
  return true;
}

/* ---- calls that block -------------------------------------------------------------- */

static struct {
  pthread_t thread;
  int fd;
  bool accepts;
  volatile pid_t id;
  volatile bool over;
  ssize_t result;
  long long ended;
  struct sockaddr_in peer;
} second;

static void *blocking(void *unused) {
  socklen_t length = sizeof second.peer;
  char bytes[4096];
  second.id = syscall(SYS_gettid);
  second.result = second.accepts ? table.accept(table.self, second.fd, (sockaddr_t *)&second.peer, &length)
                                 : table.read(table.self, second.fd, bytes, sizeof bytes);
  second.ended = now();
  second.over = true;
  return unused;
}

/* 'S' in /proc is how the tool tells that a call blocks. */
static bool sleeps(void) {
  char path[64], text[256] = "";
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", second.id);
  FILE *const file = fopen(path, "r");
  CHECK(file != NULL);
  const bool any = fgets(text, sizeof text, file) != NULL;
  fclose(file);
  const char *const end = strrchr(text, ')');
  return any && end != NULL && end[2] == 'S';
}

static void begin(int fd, bool accepts) {
  second.fd = fd;
  second.accepts = accepts;
  second.over = false;
  second.id = 0;
  CHECK(pthread_create(&second.thread, NULL, blocking, NULL) == 0);
  while (second.id == 0 || (!sleeps() && !second.over)) continue;
  printf("%s %s\n", accepts ? "accept" : "read", second.over ? "returned" : "sleeps");
}

/* ---- the script -------------------------------------------------------------------- */

static int listening(void) {
  const int fd = table.socket(table.self, AF_INET, SOCK_STREAM, IPPROTO_TCP);
  CHECK(fd > 2);
  const int on = 1;
  CHECK(table.setsockopt(table.self, fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(PORT)};
  inet_pton(AF_INET, "192.168.77.7", &address.sin_addr);
  CHECK(table.bind(table.self, fd, (sockaddr_t *)&address, sizeof address) == 0);
  CHECK(table.listen(table.self, fd, 1) == 0);
  return fd;
}

static void information(int fd) {
  struct tcp_info info;
  socklen_t length = sizeof info;
  memset(&info, 0xff, sizeof info);
  /* The system's function: the preloaded plug-in answers. */
  const int result = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
  if (result < 0) printf("TCP_INFO: errno %d\n", errno);
  else
    printf("TCP_INFO: %u bytes, state %u, mss %u, cwnd %u, wscale %u/%u\n", length, info.tcpi_state,
           info.tcpi_snd_mss, info.tcpi_snd_cwnd, info.tcpi_snd_wscale, info.tcpi_rcv_wscale);
}

static void script(void) {
  const int listener = listening();
  const long long start = now();
  wait_until(start + 100000);
  begin(listener, true);
  inject(TH_SYN, 0);
  expect("SYN-ACK", start);
  wait_until(start + 200000);
  inject(TH_ACK, 0);
  pthread_join(second.thread, NULL);
  const int fd = second.result;
  char peer[32];
  inet_ntop(AF_INET, &second.peer.sin_addr, peer, sizeof peer);
  printf("accepted %s:%d at %.3f\n", peer, ntohs(second.peer.sin_port), (second.ended - start) / 1e6);
  CHECK(fd > 2);
  information(fd);

  begin(fd, false);
  wait_until(start + 300000);
  inject(TH_ACK | TH_PUSH, 1000);
  wait_until(start + 5000000);
  pthread_join(second.thread, NULL);
  printf("read %zd at %.3f\n", second.result, (second.ended - start) / 1e6);
  expect("ACK", start);

  /* A call that blocks on this thread, which moves the clock: it goes on by itself. */
  struct pollfd nothing = {.fd = fd, .events = POLLIN};
  CHECK(table.poll(table.self, &nothing, 1, 2000) == 0);
  printf("poll timed out at %.3f\n", (now() - start) / 1e6);

  CHECK(table.write(table.self, fd, NULL, 10) == -1 && errno == EFAULT);
  char bytes[500] = "";
  CHECK(table.write(table.self, fd, bytes, sizeof bytes) == sizeof bytes);
  expect("data", start);
  while (now() - start < 30000000) expect("again", start);
  acknowledged += sizeof bytes;
  inject(TH_ACK, 0);
  int queued = -1;
  CHECK(table.ioctl(table.self, fd, 0x5411ul, &queued) == 0);
  printf("queued %d\n", queued);
  /* The system's function again. */
  CHECK(close(fd) == 0);
  expect("FIN", start);
  CHECK(table.close(table.self, fd) == -1 && errno == EBADF);
  CHECK(close(listener) == 0);
}

/* What the namespace is set to counts from the next call on. */
static void settings(void) {
  for (int on = 1; on >= 0; on--) {
    FILE *const file = fopen("/proc/sys/net/ipv4/tcp_timestamps", "w");
    CHECK(file != NULL && fprintf(file, "%d\n", on) > 0 && fclose(file) == 0);
    const int fd = table.socket(table.self, AF_INET, SOCK_STREAM, IPPROTO_TCP);
    CHECK(table.fcntl(table.self, fd, F_SETFL, O_RDWR | O_NONBLOCK) == 0);
    CHECK(table.fcntl(table.self, fd, F_GETFL) == (O_RDWR | O_NONBLOCK));
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    inet_pton(AF_INET, "192.0.2.1", &peer.sin_addr);
    CHECK(table.connect(table.self, fd, (sockaddr_t *)&peer, sizeof peer) == -1 && errno == EINPROGRESS);
    uint8_t packet[4096];
    size_t length = sizeof packet;
    long long time;
    CHECK(table.netdev_receive(table.self, packet, &length, &time) == 0);
    printf("SYN with tcp_timestamps=%d: %d bytes\n", on, (packet[32] >> 4) * 4);
    CHECK(close(fd) == 0);
  }
}

int main(int count, char **arguments) {
  if (count != 3 && count != 4) return 2;
  setvbuf(stdout, NULL, _IOLBF, 0);
  void *const handle = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
  if (handle == NULL) printf("%s\n", dlerror());
  CHECK(handle != NULL);
  void (*init)(const char *, struct packetdrill_interface *);
  *(void **)&init = dlsym(handle, "packetdrill_interface_init");
  CHECK(init != NULL);
  init(arguments[2], &table);
  if (count == 3) script();
  else settings();
  table.free(table.self);
  return 0;
}
