/*
 * System calls of sockets, by name, for the kernel as a target of packet scripts: what a
 * script says is what the kernel gets, byte for byte.
 *
 *   syscall(name, ...arguments)       result, or -errno; at once (never a call that may block)
 *   syscallAsync(name, ...arguments)  the same as a promise; on a thread of its own
 *   address(array)                    where its memory is, as a BigInt: for structures that hold pointers
 *
 * An argument is an integer, or a Uint8Array that stands for its address; arrays are kept
 * alive until the call has returned. Only the calls of `known` exist.
 */
#include "addon.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOST 6

struct known_call {
  const char *name;
  long number;
};

static const struct known_call known[] = {
    {"socket", SYS_socket},         {"bind", SYS_bind},
    {"listen", SYS_listen},         {"accept", SYS_accept4},
    {"connect", SYS_connect},       {"read", SYS_read},
    {"readv", SYS_readv},           {"write", SYS_write},
    {"writev", SYS_writev},         {"sendto", SYS_sendto},
    {"recvfrom", SYS_recvfrom},     {"sendmsg", SYS_sendmsg},
    {"recvmsg", SYS_recvmsg},       {"fcntl", SYS_fcntl},
    {"ioctl", SYS_ioctl},           {"shutdown", SYS_shutdown},
    {"close", SYS_close},           {"getsockopt", SYS_getsockopt},
    {"setsockopt", SYS_setsockopt}, {"getsockname", SYS_getsockname},
    {"getpeername", SYS_getpeername}, {"ppoll", SYS_ppoll},
    {"epoll_create1", SYS_epoll_create1}, {"epoll_ctl", SYS_epoll_ctl},
    {"epoll_pwait", SYS_epoll_pwait}, {"splice", SYS_splice},
    {"pipe2", SYS_pipe2},           {"setns", SYS_setns},
};

struct call {
  long number;
  long arguments[MOST];
  napi_ref kept[MOST];
  size_t references;
};

static long number_of(const char *name) {
  for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
    if (strcmp(known[i].name, name) == 0) return known[i].number;
  }
  return -1;
}

static long run(const struct call *call) {
  const long *a = call->arguments;
  long result = syscall(call->number, a[0], a[1], a[2], a[3], a[4], a[5]);
  return result < 0 ? -(long)errno : result;
}

static bool read_argument(napi_env env, napi_value value, struct call *call, size_t place, bool keep) {
  bool is_array = false;
  if (napi_is_typedarray(env, value, &is_array) == napi_ok && is_array) {
    napi_typedarray_type type;
    void *data;
    if (napi_get_typedarray_info(env, value, &type, NULL, &data, NULL, NULL) == napi_ok && type == napi_uint8_array) {
      call->arguments[place] = (long)data;
      if (!keep) return true;
      return napi_create_reference(env, value, 1, &call->kept[call->references++]) == napi_ok;
    }
  }
  int64_t number;
  if (napi_get_value_int64(env, value, &number) != napi_ok) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "an argument of a system call is an integer or a Uint8Array");
    return false;
  }
  call->arguments[place] = (long)number;
  return true;
}

/* Reads name and arguments; with `keep` arrays are referenced until `release`. */
static bool read_call(napi_env env, napi_callback_info info, struct call *call, bool keep) {
  napi_value argv[MOST + 1];
  size_t argc = MOST + 1;
  char name[32];
  memset(call, 0, sizeof *call);
  if (napi_get_cb_info(env, info, &argc, argv, NULL, NULL) != napi_ok) return false;
  if (argc < 1 || napi_get_value_string_utf8(env, argv[0], name, sizeof name, NULL) != napi_ok) {
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", "the name of a system call must be a string");
    return false;
  }
  call->number = number_of(name);
  if (call->number < 0) {
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE", "no such system call here");
    return false;
  }
  for (size_t i = 1; i < argc && i <= MOST; i++) {
    if (!read_argument(env, argv[i], call, i - 1, keep)) return false;
  }
  return true;
}

static void release(napi_env env, struct call *call) {
  for (size_t i = 0; i < call->references; i++) napi_delete_reference(env, call->kept[i]);
  call->references = 0;
}

static napi_value call_now(napi_env env, napi_callback_info info) {
  struct call call;
  napi_value result;
  if (!read_call(env, info, &call, false)) return NULL;
  if (napi_create_int64(env, run(&call), &result) != napi_ok) return NULL;
  return result;
}

struct waiting {
  struct call call;
  long result;
  napi_deferred deferred;
  napi_threadsafe_function done;
};

/* On the main thread again. */
static void settle(napi_env env, napi_value function, void *context, void *data) {
  (void)function;
  (void)context;
  struct waiting *waiting = data;
  napi_value result;
  if (env != NULL) {
    release(env, &waiting->call);
    if (napi_create_int64(env, waiting->result, &result) == napi_ok) {
      napi_resolve_deferred(env, waiting->deferred, result);
    }
  }
  napi_release_threadsafe_function(waiting->done, napi_tsfn_release);
  free(waiting);
}

static void *thread_main(void *data) {
  struct waiting *waiting = data;
  waiting->result = run(&waiting->call);
  napi_call_threadsafe_function(waiting->done, waiting, napi_tsfn_blocking);
  return NULL;
}

/* A thread for each call: libuv's pool is small, and a blocked accept must not hold up files. */
static bool start(napi_env env, struct waiting *waiting) {
  napi_value name;
  if (napi_create_string_utf8(env, "system call", NAPI_AUTO_LENGTH, &name) != napi_ok) return false;
  if (napi_create_threadsafe_function(env, NULL, NULL, name, 0, 1, NULL, NULL, NULL, settle, &waiting->done) != napi_ok)
    return false;
  /* A call that never returns must not keep the process. */
  napi_unref_threadsafe_function(env, waiting->done);
  pthread_attr_t attributes;
  pthread_t thread;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, 256 * 1024);
  int failed = pthread_create(&thread, &attributes, thread_main, waiting);
  pthread_attr_destroy(&attributes);
  if (failed == 0) return true;
  napi_release_threadsafe_function(waiting->done, napi_tsfn_abort);
  throw_errno(env, failed, "pthread_create", "for a blocking system call");
  return false;
}

static napi_value call_async(napi_env env, napi_callback_info info) {
  struct waiting *waiting = calloc(1, sizeof *waiting);
  napi_value promise;
  if (waiting == NULL) {
    throw_errno(env, ENOMEM, "calloc", "for a system call");
    return NULL;
  }
  if (read_call(env, info, &waiting->call, true) &&
      napi_create_promise(env, &waiting->deferred, &promise) == napi_ok && start(env, waiting)) {
    return promise;
  }
  release(env, &waiting->call);
  free(waiting);
  return NULL;
}

static napi_value address_of(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGUMENTS];
  napi_value result;
  void *data;
  size_t length;
  if (!read_arguments(env, info, 1, argv, NULL)) return NULL;
  if (!read_array(env, argv[0], "array", napi_uint8_array, &data, &length)) return NULL;
  if (napi_create_bigint_uint64(env, (uint64_t)(uintptr_t)data, &result) != napi_ok) return NULL;
  return result;
}

bool add_syscalls(napi_env env, napi_value exports) {
  const struct {
    const char *name;
    napi_callback function;
  } functions[] = {{"syscall", call_now}, {"syscallAsync", call_async}, {"address", address_of}};
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    napi_value function;
    if (napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].function, NULL, &function) !=
            napi_ok ||
        napi_set_named_property(env, exports, functions[i].name, function) != napi_ok) {
      return false;
    }
  }
  return true;
}
