/* What the parts of the addon share: argument reading, errors, the two classes of entry points. */
#ifndef TIMEWAIT_ADDON_H
#define TIMEWAIT_ADDON_H

#ifndef NAPI_VERSION
#define NAPI_VERSION 8
#endif

#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Most arguments any entry point takes. */
#define MAX_ARGUMENTS 9

/*
 * Reads the arguments of a call; false (with a TypeError pending) when there are
 * fewer than `wanted`. `self` may be NULL.
 */
bool read_arguments(napi_env env, napi_callback_info info, size_t wanted, napi_value *argv, napi_value *self);

/* An integer within [low, high]; false with a RangeError or TypeError pending. */
bool read_integer(napi_env env, napi_value value, const char *name, int64_t low, int64_t high, int64_t *out);

/* The memory of a typed array of the given element type; false with a TypeError pending. */
bool read_array(napi_env env, napi_value value, const char *name, napi_typedarray_type type, void **data,
                size_t *elements);

/*
 * Throws Error `message` = "<syscall> <CODE>: <text>, <subject>", with `code` (the
 * errno's name), `errno` (negative, as Node's own errors have it) and `syscall`.
 */
void throw_errno(napi_env env, int error, const char *syscall, const char *subject);

/* Define the classes TunQueue and PacketQueue on `exports`. */
napi_status define_tun_queue(napi_env env, napi_value exports);
napi_status define_packet_queue(napi_env env, napi_value exports);

/* Defines syscall, syscallAsync and address on `exports` (syscall.c). */
bool add_syscalls(napi_env env, napi_value exports);

/* checksum(bytes, offset, length, initial) */
napi_value checksum_entry(napi_env env, napi_callback_info info);

/* discard(block) (memory.c) */
napi_value discard_entry(napi_env env, napi_callback_info info);

#endif
