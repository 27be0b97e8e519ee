/*
 * lwIP as Debian packages it (liblwip-dev), on a TUN device, with the services of peer.c: what the
 * wire benchmarks compare with. Built and run by bench/wire; not part of the product.
 *
 *   lwip DEVICE ADDRESS     DEVICE is made; prints a line when it is there
 */
#define _GNU_SOURCE
#include <lwip/init.h>
#include <lwip/ip.h>
#include <lwip/netif.h>
#include <lwip/opt.h>
#include <lwip/tcp.h>
#include <lwip/timeouts.h>

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

/* After lwIP's: both have byte order macros. */
#include <linux/if.h>
#include <linux/if_tun.h>

#define SINK 5001
#define SOURCE 5002
#define ANSWER 8000
#define BACKLOG 250
#define BATCH 64
#define PARTS 16

static int device;
static char bytes[65536];

static err_t ended(struct tcp_pcb *pcb, struct pbuf *text) {
  if (text == NULL) return tcp_close(pcb);
  tcp_recved(pcb, text->tot_len);
  pbuf_free(text);
  return ERR_OK;
}

static err_t sink_received(void *arg, struct tcp_pcb *pcb, struct pbuf *text, err_t error) {
  (void)arg, (void)error;
  return ended(pcb, text);
}

static err_t sink_accepted(void *arg, struct tcp_pcb *pcb, err_t error) {
  (void)arg;
  if (error != ERR_OK || pcb == NULL) return ERR_VAL;
  tcp_recv(pcb, sink_received);
  return ERR_OK;
}

static err_t fill(void *arg, struct tcp_pcb *pcb) {
  (void)arg;
  for (unsigned room = tcp_sndbuf(pcb); room >= 2 * TCP_MSS; room = tcp_sndbuf(pcb)) {
    unsigned length = room < 0xffff ? room : 0xffff;
    // Without a copy flag the bytes stay where they are: the cheapest way there is.
    if (tcp_write(pcb, bytes, (u16_t)length, 0) != ERR_OK) break;
  }
  return tcp_output(pcb);
}

static err_t source_sent(void *arg, struct tcp_pcb *pcb, u16_t length) {
  (void)length;
  return fill(arg, pcb);
}

static err_t source_received(void *arg, struct tcp_pcb *pcb, struct pbuf *text, err_t error) {
  (void)arg, (void)error;
  if (text != NULL) return ended(pcb, text);
  tcp_abort(pcb);
  return ERR_ABRT;
}

static err_t source_accepted(void *arg, struct tcp_pcb *pcb, err_t error) {
  if (error != ERR_OK || pcb == NULL) return ERR_VAL;
  tcp_recv(pcb, source_received);
  tcp_sent(pcb, source_sent);
  tcp_poll(pcb, fill, 1);
  return fill(arg, pcb);
}

static err_t answer_received(void *arg, struct tcp_pcb *pcb, struct pbuf *text, err_t error) {
  (void)arg, (void)error;
  if (text == NULL) return tcp_close(pcb);
  ended(pcb, text);
  tcp_recv(pcb, NULL);
  tcp_write(pcb, "y", 1, TCP_WRITE_FLAG_COPY);
  return tcp_close(pcb);
}

static err_t answer_accepted(void *arg, struct tcp_pcb *pcb, err_t error) {
  (void)arg;
  if (error != ERR_OK || pcb == NULL) return ERR_VAL;
  tcp_nagle_disable(pcb);
  tcp_recv(pcb, answer_received);
  return ERR_OK;
}

static void listen_on(u16_t port, tcp_accept_fn accepted) {
  struct tcp_pcb *pcb = tcp_new();
  tcp_bind(pcb, IP_ADDR_ANY, port);
  tcp_accept(tcp_listen_with_backlog(pcb, BACKLOG), accepted);
}

static err_t transmit(struct netif *netif, struct pbuf *packet, const ip4_addr_t *to) {
  struct iovec parts[PARTS];
  int count = 0;
  (void)netif, (void)to;
  for (; packet != NULL && count < PARTS; packet = packet->next) parts[count++] = (struct iovec){packet->payload, packet->len};
  // A full queue loses it, as a wire would.
  return writev(device, parts, count) < 0 ? ERR_BUF : ERR_OK;
}

static err_t prepare(struct netif *netif) {
  netif->name[0] = 't';
  netif->name[1] = 'n';
  netif->mtu = 1500;
  netif->output = transmit;
  netif->flags = NETIF_FLAG_UP | NETIF_FLAG_LINK_UP;
  return ERR_OK;
}

/* One packet into the stack; false: nothing waits. */
static bool receive(struct netif *netif) {
  char packet[2048];
  ssize_t length = read(device, packet, sizeof packet);
  if (length <= 0) return false;
  // PBUF_RAM: Debian's pool blocks are smaller than its headers say.
  struct pbuf *buffer = pbuf_alloc(PBUF_RAW, (u16_t)length, PBUF_RAM);
  if (buffer == NULL) return true;
  pbuf_take(buffer, packet, (u16_t)length);
  if (netif->input(buffer, netif) != ERR_OK) pbuf_free(buffer);
  return true;
}

int main(int count, char **words) {
  if (count != 3) return 2;
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  strncpy(request.ifr_name, words[1], IFNAMSIZ - 1);
  device = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
  if (device < 0 || ioctl(device, TUNSETIFF, &request) < 0) {
    perror("/dev/net/tun");
    return 1;
  }
  lwip_init();
  struct netif netif;
  ip4_addr_t own, mask, gateway;
  if (!ip4addr_aton(words[2], &own)) return 2;
  IP4_ADDR(&mask, 255, 255, 0, 0);
  ip4_addr_set_zero(&gateway);
  netif_add(&netif, &own, &mask, &gateway, NULL, prepare, ip_input);
  netif_set_default(&netif);
  netif_set_up(&netif);
  netif_set_link_up(&netif);
  listen_on(SINK, sink_accepted);
  listen_on(SOURCE, source_accepted);
  listen_on(ANSWER, answer_accepted);
  printf("ready\n");
  fflush(stdout);
  struct pollfd waiting = {device, POLLIN, 0};
  for (;;) {
    int moved = 0;
    while (moved < BATCH && receive(&netif)) moved++;
    sys_check_timeouts();
    if (moved < BATCH) poll(&waiting, 1, 20);
  }
}
