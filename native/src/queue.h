/*
 * What device queues have in common: a descriptor in the event loop of its thread, a
 * listener, and the packet ring of src/wire/ring.ts as the arguments of a call.
 *
 *   .receive(...) .transmit(...) .counters()     of each kind
 *   .name .listen(listener | null) .ref() .unref() .close()     the same for all
 *
 * Life: the JavaScript object and the libuv handle each hold one share of the struct;
 * whoever lets go last frees it. A garbage-collected or abandoned queue (end of a
 * worker) closes its device.
 */
#ifndef TIMEWAIT_QUEUE_H
#define TIMEWAIT_QUEUE_H

#include "addon.h"

#include <uv.h>

/* IFNAMSIZ, without the headers that define parts of struct ifreq twice. */
#define NAME_SIZE 16

typedef struct queue queue_t;

/* A class of queues; `tag` tells its objects from others that were wrapped by other addons. */
typedef struct {
  const char *name;
  napi_type_tag tag;
  napi_callback construct, receive, transmit, counters;
  /* NULL: queues of this kind have no such methods. */
  napi_callback steer, descriptor;
} queue_class_t;

/* The first member of each kind's own struct. */
struct queue {
  napi_env env;
  uv_poll_t poll;
  napi_async_cleanup_hook_handle hook;
  /* The listener and the object itself, both strong, while somebody listens. */
  napi_ref listener;
  napi_ref self;
  int fd;
  int shares;
  bool closed;
  /* uv_poll_start is in effect. */
  bool polling;
  /* The listener was called and receive() was not called since. */
  bool unserved;
  char name[NAME_SIZE];
  /* Lets go of what there is besides the descriptor, right before that is closed; may be NULL. */
  void (*dispose)(queue_t *queue);
};

typedef struct {
  uint8_t *bytes;
  int32_t *lengths;
  uint32_t head, count, slots, slot_size;
} ring_t;

/* Defines a class on `exports`. */
napi_status define_queue(napi_env env, napi_value exports, const queue_class_t *of);

/* False with a TypeError pending when the class was called without `new`. */
bool called_with_new(napi_env env, napi_callback_info info, const queue_class_t *of);

/*
 * Ties a queue (from calloc, with fd, name and dispose set) to the loop and to the object
 * under construction. On failure it is released and an error is pending.
 */
bool start_queue(napi_env env, napi_value self, queue_t *queue, const queue_class_t *of);

/*
 * The open queue of a call (bytes, lengths, head, count, slots, slotSize, ...) and its ring,
 * or NULL with an error pending. Whatever the arguments say, memory outside the arrays stays
 * untouched. `argv` has MAX_ARGUMENTS places; `wanted` are there.
 */
queue_t *read_ring(napi_env env, napi_callback_info info, const queue_class_t *of, size_t wanted, napi_value *argv,
                   ring_t *ring);

/* The queue of a call without arguments; it may be closed. NULL with an error pending. */
queue_t *queue_of_call(napi_env env, napi_callback_info info, const queue_class_t *of);

/* receive() was called: room for more, or none. */
void pause_polling(queue_t *queue);
void resume_polling(queue_t *queue);

napi_value count_of(napi_env env, uint32_t count);

/* A property with a number; false with an exception pending. */
bool set_number(napi_env env, napi_value object, const char *key, double number);

#endif
