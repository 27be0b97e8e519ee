/* The Internet checksum (RFC 1071) over a range of a Uint8Array. */
#include "addon.h"

#include <string.h>

/*
 * One's complement addition is the same in either byte order up to a swap of the
 * result (RFC 1071 section 2 (B)), so the words are added as they lie in memory,
 * 32 bits a step into 64, and the end result is swapped once.
 */
static uint16_t sum_of(const uint8_t *bytes, size_t length) {
  uint64_t total = 0;
  while (length >= 16) {
    uint32_t words[4];
    memcpy(words, bytes, sizeof words);
    total += (uint64_t)words[0] + words[1] + words[2] + words[3];
    bytes += 16;
    length -= 16;
  }
  while (length >= 2) {
    uint16_t word;
    memcpy(&word, bytes, sizeof word);
    total += word;
    bytes += 2;
    length -= 2;
  }
  if (length == 1) {
    // An odd last byte counts as if a zero byte followed.
    uint8_t pair[2] = {bytes[0], 0};
    uint16_t word;
    memcpy(&word, pair, sizeof word);
    total += word;
  }
  while (total > 0xffff) total = (total & 0xffff) + (total >> 16);
  uint8_t wire[2];
  uint16_t folded = (uint16_t)total;
  memcpy(wire, &folded, sizeof wire);
  return (uint16_t)(wire[0] << 8 | wire[1]);
}

napi_value checksum_entry(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGUMENTS], result;
  void *data;
  size_t size;
  int64_t offset, length, initial;
  if (!read_arguments(env, info, 4, argv, NULL)) return NULL;
  if (!read_array(env, argv[0], "bytes", napi_uint8_array, &data, &size)) return NULL;
  if (!read_integer(env, argv[1], "offset", 0, (int64_t)size, &offset)) return NULL;
  if (!read_integer(env, argv[2], "length", 0, (int64_t)size - offset, &length)) return NULL;
  if (!read_integer(env, argv[3], "initial", 0, (int64_t)1 << 48, &initial)) return NULL;
  // An empty array may have no memory at all.
  uint64_t total = (uint64_t)initial + (length == 0 ? 0 : sum_of((const uint8_t *)data + offset, (size_t)length));
  while (total > 0xffff) total = (total & 0xffff) + (total >> 16);
  if (napi_create_uint32(env, (uint32_t)(~total & 0xffff), &result) != napi_ok) return NULL;
  return result;
}
