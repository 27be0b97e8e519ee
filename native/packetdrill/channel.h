/* One ordered conversation with the server, for all threads of the tool. */
#ifndef TIMEWAIT_PACKETDRILL_CHANNEL_H
#define TIMEWAIT_PACKETDRILL_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol.h"

/* A request being written. Too long a request keeps `failed` and is never sent. */
struct request {
  uint8_t *bytes;
  size_t used;
  size_t room;
  bool failed;
};

/* What came back; `bytes` is to be freed, `at` is where the next result is read. */
struct reply {
  int64_t time;
  int32_t value;
  int32_t error;
  uint8_t *bytes;
  size_t length;
  size_t at;
};

struct request request_new(enum operation operation);
void put_u8(struct request *request, uint8_t value);
void put_u32(struct request *request, uint32_t value);
void put_u64(struct request *request, uint64_t value);
void put_bytes(struct request *request, const void *bytes, size_t length);

uint32_t take_u32(struct reply *reply);
uint64_t take_u64(struct reply *reply);

/* Ends the process with one line when the server cannot be reached. */
void channel_open(const char *path);
bool channel_is_open(void);
void channel_close(void);

/* Sends and frees the request, waits for the reply: asleep in the kernel while the call blocks. */
struct reply channel_call(struct request *request);

/* The same, with only value and errno of interest. */
int channel_result(struct request *request);

/* Returns value, having set errno. */
int reply_result(struct reply *reply);

/* When the last call of this thread returned, once; -1 when there is none. See shim_gettimeofday. */
int64_t channel_ended(void);

_Noreturn void plugin_fail(const char *what, const char *detail);

#endif
