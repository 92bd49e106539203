/* Memory aligned to cache lines, and 64-bit sizes that cannot wrap. */
#ifndef SR_MEMORY_H
#define SR_MEMORY_H

#include <stdint.h>
#include <stdlib.h>

#define SR_ALIGN 64u

static inline uint64_t sr_round_up(uint64_t value, uint64_t step) { return (value + step - 1) / step * step; }

static inline int64_t sr_min(int64_t a, int64_t b) { return a < b ? a : b; }

static inline int64_t sr_max(int64_t a, int64_t b) { return a > b ? a : b; }

/* Of a that is not negative. */
static inline int64_t sr_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* Of any a; b > 0. */
static inline int64_t sr_floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

/* a * b, or UINT64_MAX where it does not fit. */
static inline uint64_t sr_times(uint64_t a, uint64_t b) {
    return b != 0 && a > UINT64_MAX / b ? UINT64_MAX : a * b;
}

/* `bytes` aligned to SR_ALIGN, or NULL. The pointer that malloc gave lies in front: aligned_alloc is too young for some
 * of the C libraries an artifact meets. */
static inline void *sr_alloc(uint64_t bytes) {
    if (bytes > SIZE_MAX - SR_ALIGN - sizeof(void *)) return NULL;
    char *raw = malloc((size_t)bytes + SR_ALIGN + sizeof(void *));
    if (raw == NULL) return NULL;
    uintptr_t start = (uintptr_t)(raw + sizeof(void *));
    char *aligned = raw + sizeof(void *) + (SR_ALIGN - start % SR_ALIGN) % SR_ALIGN;
    ((void **)(void *)aligned)[-1] = raw;
    return aligned;
}

static inline void sr_free(void *memory) {
    if (memory != NULL) free(((void **)memory)[-1]);
}

#endif
