#include "queue.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void release(queue_t *queue) {
  if (--queue->shares == 0) free(queue);
}

static void on_closed(uv_handle_t *handle) {
  queue_t *queue = handle->data;
  napi_remove_async_cleanup_hook(queue->hook);
  release(queue);
}

/* Idempotent. Touches no JavaScript, so finalizers and the end of an environment may call it. */
static void close_device(queue_t *queue) {
  if (queue->closed) return;
  queue->closed = true;
  queue->polling = false;
  // Takes the descriptor out of the loop at once: only then may its number be given back.
  uv_close((uv_handle_t *)&queue->poll, on_closed);
  if (queue->dispose != NULL) queue->dispose(queue);
  close(queue->fd);
  queue->fd = -1;
}

static void on_cleanup(napi_async_cleanup_hook_handle handle, void *data) {
  (void)handle;
  close_device(data);
}

static void on_finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  queue_t *queue = data;
  close_device(queue);
  release(queue);
}

static void forget_listener(queue_t *queue) {
  if (queue->listener == NULL) return;
  napi_delete_reference(queue->env, queue->listener);
  napi_delete_reference(queue->env, queue->self);
  queue->listener = NULL;
  queue->self = NULL;
}

static void on_poll(uv_poll_t *poll, int status, int events);

void pause_polling(queue_t *queue) {
  if (!queue->polling) return;
  queue->polling = false;
  uv_poll_stop(&queue->poll);
}

void resume_polling(queue_t *queue) {
  if (queue->polling || queue->closed || queue->listener == NULL) return;
  queue->polling = uv_poll_start(&queue->poll, UV_READABLE, on_poll) == 0;
}

static void on_poll(uv_poll_t *poll, int status, int events) {
  (void)events;
  queue_t *queue = poll->data;
  // The device is gone: libuv has stopped the watcher, the next receive() says why.
  if (status < 0) queue->polling = false;
  // Called before and nobody came to receive: silence until somebody does, instead of a busy loop.
  if (queue->unserved) {
    pause_polling(queue);
    return;
  }
  queue->unserved = true;
  napi_env env = queue->env;
  napi_handle_scope scope;
  napi_value listener, receiver;
  if (napi_open_handle_scope(env, &scope) != napi_ok) return;
  // The listener may close the queue; this share keeps the struct until we are done.
  queue->shares++;
  if (napi_get_reference_value(env, queue->listener, &listener) == napi_ok && listener != NULL &&
      napi_get_global(env, &receiver) == napi_ok &&
      napi_make_callback(env, NULL, receiver, listener, 0, NULL, NULL) == napi_pending_exception) {
    napi_value error;
    if (napi_get_and_clear_last_exception(env, &error) == napi_ok) napi_fatal_exception(env, error);
  }
  release(queue);
  napi_close_handle_scope(env, scope);
}

/* The queue behind `this`, or NULL with an error pending. */
static queue_t *queue_of(napi_env env, napi_value self, const queue_class_t *of, bool must_be_open) {
  bool ours = false;
  void *data = NULL;
  if (napi_check_object_type_tag(env, self, &of->tag, &ours) != napi_ok || !ours ||
      napi_unwrap(env, self, &data) != napi_ok || data == NULL) {
    char text[64];
    snprintf(text, sizeof text, "this is not a %s", of->name);
    napi_throw_type_error(env, "ERR_INVALID_THIS", text);
    return NULL;
  }
  queue_t *queue = data;
  if (must_be_open && queue->closed) {
    napi_throw_error(env, "ERR_CLOSED", "the queue is closed");
    return NULL;
  }
  return queue;
}

queue_t *read_ring(napi_env env, napi_callback_info info, const queue_class_t *of, size_t wanted, napi_value *argv,
                   ring_t *ring) {
  napi_value self;
  void *bytes, *lengths;
  size_t size, entries;
  int64_t head, count, slots, slot_size;
  if (!read_arguments(env, info, wanted, argv, &self)) return NULL;
  queue_t *queue = queue_of(env, self, of, true);
  if (queue == NULL) return NULL;
  if (!read_array(env, argv[0], "bytes", napi_uint8_array, &bytes, &size)) return NULL;
  if (!read_array(env, argv[1], "lengths", napi_int32_array, &lengths, &entries)) return NULL;
  if (!read_integer(env, argv[4], "slots", 1, 1 << 24, &slots)) return NULL;
  if (!read_integer(env, argv[2], "head", 0, slots - 1, &head)) return NULL;
  if (!read_integer(env, argv[3], "count", 0, slots, &count)) return NULL;
  if (!read_integer(env, argv[5], "slotSize", 1, 1 << 24, &slot_size)) return NULL;
  if ((slots & (slots - 1)) != 0 || (size_t)slots > entries || (uint64_t)slots * (uint64_t)slot_size > size) {
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "slots must be a power of two, and both arrays must hold them");
    return NULL;
  }
  ring->bytes = bytes;
  ring->lengths = lengths;
  ring->head = (uint32_t)head;
  ring->count = (uint32_t)count;
  ring->slots = (uint32_t)slots;
  ring->slot_size = (uint32_t)slot_size;
  return queue;
}

queue_t *queue_of_call(napi_env env, napi_callback_info info, const queue_class_t *of) {
  napi_value argv[MAX_ARGUMENTS], self;
  if (!read_arguments(env, info, 0, argv, &self)) return NULL;
  return queue_of(env, self, of, false);
}

/* The class of a call to one of the methods that all have: it came as the method's data. */
static const queue_class_t *class_of(napi_env env, napi_callback_info info) {
  void *data = NULL;
  size_t argc = 0;
  napi_get_cb_info(env, info, &argc, NULL, NULL, &data);
  return data;
}

napi_value count_of(napi_env env, uint32_t count) {
  napi_value result = NULL;
  napi_create_uint32(env, count, &result);
  return result;
}

bool set_number(napi_env env, napi_value object, const char *key, double number) {
  napi_value value;
  return napi_create_double(env, number, &value) == napi_ok && napi_set_named_property(env, object, key, value) == napi_ok;
}

static napi_value queue_listen(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGUMENTS], self;
  napi_valuetype type;
  if (!read_arguments(env, info, 1, argv, &self)) return NULL;
  queue_t *queue = queue_of(env, self, class_of(env, info), false);
  if (queue == NULL || napi_typeof(env, argv[0], &type) != napi_ok) return NULL;
  if (type != napi_function && type != napi_null) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "listener must be a function or null");
    return NULL;
  }
  forget_listener(queue);
  pause_polling(queue);
  if (type == napi_null || queue->closed) return NULL;
  if (napi_create_reference(env, argv[0], 1, &queue->listener) != napi_ok) {
    queue->listener = NULL;
    return NULL;
  }
  if (napi_create_reference(env, self, 1, &queue->self) != napi_ok) {
    napi_delete_reference(env, queue->listener);
    queue->listener = NULL;
    return NULL;
  }
  queue->unserved = false;
  resume_polling(queue);
  return NULL;
}

static napi_value queue_ref(napi_env env, napi_callback_info info) {
  queue_t *queue = queue_of_call(env, info, class_of(env, info));
  if (queue != NULL && !queue->closed) uv_ref((uv_handle_t *)&queue->poll);
  return NULL;
}

static napi_value queue_unref(napi_env env, napi_callback_info info) {
  queue_t *queue = queue_of_call(env, info, class_of(env, info));
  if (queue != NULL && !queue->closed) uv_unref((uv_handle_t *)&queue->poll);
  return NULL;
}

static napi_value queue_close(napi_env env, napi_callback_info info) {
  queue_t *queue = queue_of_call(env, info, class_of(env, info));
  if (queue == NULL) return NULL;
  forget_listener(queue);
  close_device(queue);
  return NULL;
}

static napi_value queue_name(napi_env env, napi_callback_info info) {
  napi_value result = NULL;
  queue_t *queue = queue_of_call(env, info, class_of(env, info));
  if (queue != NULL) napi_create_string_utf8(env, queue->name, NAPI_AUTO_LENGTH, &result);
  return result;
}

bool called_with_new(napi_env env, napi_callback_info info, const queue_class_t *of) {
  napi_value target = NULL;
  if (napi_get_new_target(env, info, &target) == napi_ok && target != NULL) return true;
  char text[64];
  snprintf(text, sizeof text, "%s needs new", of->name);
  napi_throw_type_error(env, "ERR_CONSTRUCT_CALL_REQUIRED", text);
  return false;
}

/* Before the loop knows it. */
static void discard(queue_t *queue) {
  if (queue->dispose != NULL) queue->dispose(queue);
  close(queue->fd);
  free(queue);
}

bool start_queue(napi_env env, napi_value self, queue_t *queue, const queue_class_t *of) {
  uv_loop_t *loop;
  queue->env = env;
  if (napi_get_uv_event_loop(env, &loop) != napi_ok) {
    discard(queue);
    napi_throw_error(env, NULL, "no event loop");
    return false;
  }
  int status = uv_poll_init(loop, &queue->poll, queue->fd);
  if (status != 0) {
    char name[NAME_SIZE];
    memcpy(name, queue->name, NAME_SIZE);
    discard(queue);
    throw_errno(env, -status, "epoll", name);
    return false;
  }
  queue->poll.data = queue;
  // One share for the handle, one for the object.
  queue->shares = 2;
  if (napi_add_async_cleanup_hook(env, on_cleanup, queue, &queue->hook) != napi_ok ||
      napi_wrap(env, self, queue, on_finalize, NULL, NULL) != napi_ok) {
    queue->shares = 1;
    close_device(queue);
    napi_throw_error(env, NULL, "the queue could not be tied to its object");
    return false;
  }
  if (napi_type_tag_object(env, self, &of->tag) != napi_ok) {
    close_device(queue);
    napi_throw_error(env, NULL, "the queue could not be marked");
    return false;
  }
  return true;
}

napi_status define_queue(napi_env env, napi_value exports, const queue_class_t *of) {
  napi_value class_value;
  void *data = (void *)of;
  napi_property_descriptor members[] = {
      {"name", NULL, NULL, queue_name, NULL, NULL, napi_default, data},
      {"receive", NULL, of->receive, NULL, NULL, NULL, napi_default_method, data},
      {"transmit", NULL, of->transmit, NULL, NULL, NULL, napi_default_method, data},
      {"listen", NULL, queue_listen, NULL, NULL, NULL, napi_default_method, data},
      {"ref", NULL, queue_ref, NULL, NULL, NULL, napi_default_method, data},
      {"unref", NULL, queue_unref, NULL, NULL, NULL, napi_default_method, data},
      {"close", NULL, queue_close, NULL, NULL, NULL, napi_default_method, data},
      {"counters", NULL, of->counters, NULL, NULL, NULL, napi_default_method, data},
      {"steer", NULL, of->steer, NULL, NULL, NULL, napi_default_method, data},
      {"descriptor", NULL, of->descriptor, NULL, NULL, NULL, napi_default_method, data},
  };
  size_t count = sizeof members / sizeof members[0] - (of->steer == NULL ? 2 : 0);
  napi_status status =
      napi_define_class(env, of->name, NAPI_AUTO_LENGTH, of->construct, data, count, members, &class_value);
  return status == napi_ok ? napi_set_named_property(env, exports, of->name, class_value) : status;
}
