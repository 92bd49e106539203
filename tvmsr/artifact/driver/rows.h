/* Rows: where they lie in rings, and how threads share them. */
#ifndef SR_ROWS_H
#define SR_ROWS_H

#include <stdatomic.h>

#include "flow.h"
#include "memory.h"

/* Rows handed out to threads, a few at a time. */
typedef struct sr_share {
    atomic_llong next;
    int64_t end;
    int64_t chunk;
} sr_share;

static inline void sr_share_open(sr_share *rows, int64_t count, int64_t granule, int threads) {
    atomic_init(&rows->next, 0);
    rows->end = count;
    /* Three turns a thread even out what the machine's other work takes from one of them. */
    rows->chunk = threads == 1 ? count : sr_ceil_div(sr_ceil_div(count, (int64_t)threads * 3), granule) * granule;
}

/* The next rows of this thread: [*row0, *row1), or 0. */
static inline int sr_share_next(sr_share *rows, int64_t *row0, int64_t *row1) {
    *row0 = atomic_fetch_add_explicit(&rows->next, rows->chunk, memory_order_relaxed);
    *row1 = sr_min(*row0 + rows->chunk, rows->end);
    return *row0 < rows->end;
}

/* Offset of row `row` of a buffer from its first byte: in the ring, or the row of pad codes where it is none. */
static inline int32_t sr_ring_row(const sr_ring *ring, int64_t row) {
    const int64_t slot = row < 0 || row >= ring->height ? 0 : 1 + row % ring->rows;
    return (int32_t)(slot * (int64_t)ring->row_bytes);
}

#endif
