/*
 * The processor time of the calling thread in ms. Node 20 has that of the process only, in which V8's
 * helper threads are; /proc/thread-self/schedstat stands still between two switches of the thread.
 */
#include <node_api.h>
#include <time.h>

static napi_value now(napi_env env, napi_callback_info info) {
  struct timespec t;
  napi_value result;
  (void)info;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  napi_create_double(env, t.tv_sec * 1e3 + t.tv_nsec / 1e6, &result);
  return result;
}

NAPI_MODULE_INIT(/* napi_env env, napi_value exports */) {
  napi_value f;
  napi_create_function(env, "now", NAPI_AUTO_LENGTH, now, NULL, &f);
  napi_set_named_property(env, exports, "now", f);
  return exports;
}
