/* Overwrite what is secret, also where a compiler sees nobody read it again. (explicit_bzero is newer than glibc 2.17.) */
#ifndef TVMSR_DEVICE_WIPE_H
#define TVMSR_DEVICE_WIPE_H

#include <stddef.h>

static inline void wipe(void *memory, size_t size) {
    for (volatile unsigned char *at = memory; size > 0; size--) *at++ = 0;
}

#endif
