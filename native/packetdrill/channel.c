#include "channel.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* Calls that block at the same time; the tool has one thread for them. */
#define MOST_BLOCKED 16
#define REPLY_HEADER 21

struct waiting {
  uint32_t id;
  bool used;
  bool done;
  struct reply reply;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t news = PTHREAD_COND_INITIALIZER;
static int wire = -1;
static pid_t owner;
static uint32_t last_id;
static struct waiting blocked[MOST_BLOCKED];
static _Thread_local int64_t ended = -1;

_Noreturn void plugin_fail(const char *what, const char *detail) {
  fprintf(stderr, "timewait packetdrill plug-in: %s: %s\n", what, detail);
  fflush(stderr);
  _exit(1);
}

/* ---- requests and replies ------------------------------------------------------ */

void put_bytes(struct request *request, const void *bytes, size_t length) {
  if (length > MOST_BYTES - request->used) request->failed = true;
  if (request->failed || length == 0) return;
  if (request->used + length > request->room) {
    request->room = 2 * (request->used + length);
    request->bytes = realloc(request->bytes, request->room);
    if (request->bytes == NULL) plugin_fail("no memory for a request", strerror(ENOMEM));
  }
  memcpy(request->bytes + request->used, bytes, length);
  request->used += length;
}

void put_u8(struct request *request, uint8_t value) { put_bytes(request, &value, 1); }

void put_u32(struct request *request, uint32_t value) {
  const uint8_t bytes[4] = {value, value >> 8, value >> 16, value >> 24};
  put_bytes(request, bytes, sizeof bytes);
}

void put_u64(struct request *request, uint64_t value) {
  put_u32(request, (uint32_t)value);
  put_u32(request, (uint32_t)(value >> 32));
}

struct request request_new(enum operation operation) {
  struct request request = {NULL, 0, 0, false};
  /* Length and id are filled in when it is sent. */
  put_u64(&request, 0);
  put_u8(&request, operation);
  return request;
}

static uint32_t load_u32(const uint8_t *at) {
  return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void store_u32(uint8_t *at, uint32_t value) {
  for (int i = 0; i < 4; i++) at[i] = value >> (8 * i);
}

uint32_t take_u32(struct reply *reply) {
  if (reply->length - reply->at < 4) plugin_fail("the server's answer is too short", "another version?");
  const uint32_t value = load_u32(reply->bytes + reply->at);
  reply->at += 4;
  return value;
}

uint64_t take_u64(struct reply *reply) {
  const uint64_t low = take_u32(reply);
  return low | (uint64_t)take_u32(reply) << 32;
}

/* ---- the socket ---------------------------------------------------------------- */

void channel_open(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) plugin_fail("path of the socket too long", path);
  strcpy(address.sun_path, path);
  wire = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (wire < 0 || connect(wire, (struct sockaddr *)&address, sizeof address) != 0) {
    char detail[256];
    snprintf(detail, sizeof detail, "%s (%s); is `timewait packetdrill-server` running?", path, strerror(errno));
    plugin_fail("no server", detail);
  }
  owner = getpid();
}

/* A child of the tool (a shell line) has the plug-in preloaded as well, but not the conversation. */
bool channel_is_open(void) { return wire >= 0 && owner == getpid(); }

void channel_close(void) {
  pthread_mutex_lock(&lock);
  if (wire >= 0) syscall(SYS_close, wire);
  wire = -1;
  pthread_mutex_unlock(&lock);
}

static void send_all(const uint8_t *bytes, size_t length) {
  while (length > 0) {
    const ssize_t sent = send(wire, bytes, length, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) plugin_fail("the server has gone", strerror(errno));
    bytes += sent;
    length -= sent;
  }
}

static void receive_all(uint8_t *bytes, size_t length) {
  while (length > 0) {
    const ssize_t got = recv(wire, bytes, length, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) plugin_fail("the server has gone", got == 0 ? "it closed the socket" : strerror(errno));
    bytes += got;
    length -= got;
  }
}

/* ---- calls --------------------------------------------------------------------- */

static enum kind receive_frame(uint32_t *id, struct reply *reply) {
  uint8_t header[4 + REPLY_HEADER];
  receive_all(header, sizeof header);
  const uint32_t length = load_u32(header);
  if (length < REPLY_HEADER || length > MOST_BYTES) plugin_fail("no answer of the server", "another program?");
  *id = load_u32(header + 4);
  *reply = (struct reply){
      .time = (int64_t)(load_u32(header + 9) | (uint64_t)load_u32(header + 13) << 32),
      .value = (int32_t)load_u32(header + 17),
      .error = (int32_t)load_u32(header + 21),
      .length = length - REPLY_HEADER,
  };
  if (reply->length > 0) {
    reply->bytes = malloc(reply->length);
    if (reply->bytes == NULL) plugin_fail("no memory for an answer", strerror(ENOMEM));
    receive_all(reply->bytes, reply->length);
  }
  return header[8] == KIND_BLOCKED ? KIND_BLOCKED : KIND_DONE;
}

static void deliver(uint32_t id, const struct reply *reply) {
  for (int i = 0; i < MOST_BLOCKED; i++) {
    if (!blocked[i].used || blocked[i].id != id) continue;
    blocked[i].reply = *reply;
    blocked[i].done = true;
    pthread_cond_broadcast(&news);
    return;
  }
  free(reply->bytes);
}

static void unlock(void *unused) {
  (void)unused;
  pthread_mutex_unlock(&lock);
}

static struct waiting *slot_for(uint32_t id) {
  struct waiting *slot = blocked;
  while (slot->used)
    if (++slot == blocked + MOST_BLOCKED) plugin_fail("too many calls", "16 calls that block at most");
  *slot = (struct waiting){.id = id, .used = true};
  return slot;
}

/* Whoever makes the request that ends the call reads its result off the socket and leaves it here. */
static struct reply sleep_until_done(struct waiting *const slot) {
  int before;
  /* The tool may cancel its second thread while a call blocks. */
  pthread_cleanup_push(unlock, NULL);
  pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &before);
  while (!slot->done) pthread_cond_wait(&news, &lock);
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
  pthread_cleanup_pop(0);
  slot->used = false;
  return slot->reply;
}

static uint32_t send_request(struct request *request) {
  store_u32(request->bytes, request->used - 4);
  store_u32(request->bytes + 4, ++last_id);
  send_all(request->bytes, request->used);
  return last_id;
}

/*
 * On the tool's first thread nobody else would make time go on: the server lets it, until the call is
 * over. The result comes before the reply to this request.
 */
static struct reply drive_until_done(struct waiting *const slot) {
  struct request request = request_new(OP_AWAIT);
  put_u32(&request, slot->id);
  const uint32_t mine = send_request(&request);
  free(request.bytes);
  for (uint32_t id = mine - 1; id != mine;) {
    struct reply reply;
    receive_frame(&id, &reply);
    if (id != mine) deliver(id, &reply);
  }
  slot->used = false;
  return slot->done ? slot->reply : (struct reply){.value = -1, .error = EDEADLK};
}

struct reply channel_call(struct request *request) {
  struct reply reply = {.value = -1, .error = request->failed ? EMSGSIZE : ENOTCONN};
  int before;
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
  pthread_mutex_lock(&lock);
  if (wire >= 0 && !request->failed) {
    const bool first_thread = getpid() == gettid();
    const uint32_t mine = send_request(request);
    for (uint32_t id = mine - 1; id != mine;) {
      const enum kind kind = receive_frame(&id, &reply);
      if (id != mine) deliver(id, &reply);
      else if (kind == KIND_BLOCKED)
        reply = first_thread ? drive_until_done(slot_for(mine)) : sleep_until_done(slot_for(mine));
    }
    if (!first_thread) ended = reply.time;
  }
  pthread_mutex_unlock(&lock);
  pthread_setcancelstate(before, &before);
  free(request->bytes);
  return reply;
}

int reply_result(struct reply *reply) {
  if (reply->value < 0) errno = reply->error;
  return reply->value;
}

int channel_result(struct request *request) {
  struct reply reply = channel_call(request);
  free(reply.bytes);
  return reply_result(&reply);
}

int64_t channel_ended(void) {
  const int64_t time = ended;
  ended = -1;
  return time;
}
