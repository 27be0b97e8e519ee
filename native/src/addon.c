/* Module start, and the helpers of addon.h. Nothing here is static and mutable: one copy serves all worker threads. */
#include "addon.h"

#include <math.h>
#include <stdio.h>
#include <uv.h>

bool read_arguments(napi_env env, napi_callback_info info, size_t wanted, napi_value *argv, napi_value *self) {
  size_t argc = MAX_ARGUMENTS;
  if (napi_get_cb_info(env, info, &argc, argv, self, NULL) != napi_ok) return false;
  if (argc < wanted) {
    char text[96];
    snprintf(text, sizeof text, "%zu arguments wanted, %zu given", wanted, argc);
    napi_throw_type_error(env, "ERR_MISSING_ARGS", text);
    return false;
  }
  return true;
}

bool read_integer(napi_env env, napi_value value, const char *name, int64_t low, int64_t high, int64_t *out) {
  char text[128];
  double number;
  if (napi_get_value_double(env, value, &number) != napi_ok) {
    snprintf(text, sizeof text, "%s must be a number", name);
    napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", text);
    return false;
  }
  // Written so that NaN fails it.
  if (!(number >= (double)low && number <= (double)high) || number != floor(number)) {
    snprintf(text, sizeof text, "%s must be an integer from %lld to %lld", name, (long long)low, (long long)high);
    napi_throw_range_error(env, "ERR_OUT_OF_RANGE", text);
    return false;
  }
  *out = (int64_t)number;
  return true;
}

bool read_array(napi_env env, napi_value value, const char *name, napi_typedarray_type type, void **data,
                size_t *elements) {
  bool is_array = false;
  napi_typedarray_type found;
  if (napi_is_typedarray(env, value, &is_array) == napi_ok && is_array &&
      napi_get_typedarray_info(env, value, &found, elements, data, NULL, NULL) == napi_ok && found == type) {
    return true;
  }
  char text[128];
  snprintf(text, sizeof text, "%s must be %s", name, type == napi_uint8_array ? "a Uint8Array" : "an Int32Array");
  napi_throw_type_error(env, "ERR_INVALID_ARG_TYPE", text);
  return false;
}

static bool set_string(napi_env env, napi_value object, const char *key, const char *text) {
  napi_value value;
  return napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value) == napi_ok &&
         napi_set_named_property(env, object, key, value) == napi_ok;
}

void throw_errno(napi_env env, int error, const char *syscall, const char *subject) {
  char name[32];
  char words[128];
  char text[224];
  // EBADFD has no name in libuv; the kernel answers it when the device of a queue is gone.
  int shown = error == EBADFD ? ENODEV : error;
  uv_err_name_r(uv_translate_sys_error(shown), name, sizeof name);
  uv_strerror_r(uv_translate_sys_error(shown), words, sizeof words);
  snprintf(text, sizeof text, "%s %s: %s, %s", syscall, name, words, subject);
  napi_value message, code, object, number;
  if (napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &message) != napi_ok ||
      napi_create_string_utf8(env, name, NAPI_AUTO_LENGTH, &code) != napi_ok ||
      napi_create_error(env, code, message, &object) != napi_ok ||
      napi_create_int32(env, -shown, &number) != napi_ok ||
      napi_set_named_property(env, object, "errno", number) != napi_ok ||
      !set_string(env, object, "syscall", syscall)) {
    return;
  }
  napi_throw(env, object);
}

static bool set_function(napi_env env, napi_value exports, const char *name, napi_callback entry) {
  napi_value function;
  return napi_create_function(env, name, NAPI_AUTO_LENGTH, entry, NULL, &function) == napi_ok &&
         napi_set_named_property(env, exports, name, function) == napi_ok;
}

NAPI_MODULE_INIT(/* napi_env env, napi_value exports */) {
  if (!set_function(env, exports, "checksum", checksum_entry) || !set_function(env, exports, "discard", discard_entry) ||
      define_tun_queue(env, exports) != napi_ok || define_packet_queue(env, exports) != napi_ok || !add_syscalls(env, exports)) {
    napi_throw_error(env, NULL, "the addon could not set itself up");
    return NULL;
  }
  return exports;
}
