/* Memory of a block of words back to the kernel (src/timewait/blocks.ts). */
#include "addon.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * All words are 0 afterwards. Whole pages go back at once: such memory of V8's is private and
 * anonymous, so that the kernel shows zeros where it is touched again. What shares a page with
 * something else, and what may not go (mlockall), is cleared.
 */
napi_value discard_entry(napi_env env, napi_callback_info info) {
  napi_value argv[MAX_ARGUMENTS];
  void *data;
  size_t words;
  if (!read_arguments(env, info, 1, argv, NULL)) return NULL;
  if (!read_array(env, argv[0], "block", napi_int32_array, &data, &words)) return NULL;
  if (words == 0) return NULL;
  uintptr_t mask = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
  uintptr_t start = (uintptr_t)data, end = start + words * sizeof(int32_t);
  uintptr_t first = (start + mask) & ~mask, last = end & ~mask;
  if (first < last && madvise((void *)first, last - first, MADV_DONTNEED) == 0) {
    memset(data, 0, first - start);
    memset((void *)last, 0, end - last);
  } else {
    memset(data, 0, end - start);
  }
  return NULL;
}
