/* Scripts pass bad pointers on purpose; a system call answers EFAULT where we would crash. */
#ifndef TIMEWAIT_PACKETDRILL_MEMORY_H
#define TIMEWAIT_PACKETDRILL_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* The kernel can read all pages of it (where it may not tell, only NULL is bad). */
bool memory_reachable(const void *from, size_t length);

#endif
