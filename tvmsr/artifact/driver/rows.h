/* Rows: where they lie in rings, and how threads share what is computed of them. */
#ifndef SR_ROWS_H
#define SR_ROWS_H

#include <stdatomic.h>

#include "flow.h"
#include "memory.h"

/* Rows and columns of a grid, counted from the strip's first row. */
typedef struct sr_piece {
    int64_t row0, row1;
    int64_t col0, col1;
} sr_piece;

/* Work over a grid, in units that are numbered along rows: unit u is part u % across of granule u / across. Threads take
 * runs of units, long ones first: all end together, whatever else the machine does, and few pieces are cut. */
typedef struct sr_share {
    atomic_llong next;
    int64_t units;
    int64_t across; /* units beside each other */
    int64_t rows;
    int64_t columns;
    int64_t unit_rows;
    int64_t unit_columns;
    int64_t threads;
} sr_share;

/* Units that a thread has taken and not yet cut into pieces. */
typedef struct sr_turn {
    int64_t next;
    int64_t end;
} sr_turn;

/* Whole rows only, a granule of them a unit. */
void sr_share_rows(sr_share *share, int64_t rows, int64_t columns, int64_t granule, int threads);

/* Rows of a kernel's grid, cut across too where there are too few rows for the threads. */
void sr_share_grid(sr_share *share, const sr_shape *shape, int64_t rows, int threads);

/* The next piece of a thread, whose turn began as {0, 0}; 0: nothing is left. */
int sr_share_next(sr_share *share, sr_turn *turn, sr_piece *piece);

/* Offset of row `row` of a buffer from its first byte: in the ring, or the row of pad codes where it is none. */
static inline int32_t sr_ring_row(const sr_ring *ring, int64_t row) {
    const int64_t slot = row < 0 || row >= ring->height ? 0 : 1 + row % ring->rows;
    return (int32_t)(slot * (int64_t)ring->row_bytes);
}

#endif
