#include "rows.h"

#include "small.h"

SR_SMALL

/* Units a thread: the last ones are what threads may wait for, and a unit's own share of that is small. */
#define UNITS 16

/* A unit's columns at least: kernels read their weights anew for each piece, and fill their last tile in part only. */
#define LEAST_COLUMNS 64

/* A unit's work at least, in multiplications: some microseconds, against a tenth of one for the call. A pixel counts as many
 * as its stores and its scaling take the time of. */
#define LEAST_WORK (1 << 18)
#define PIXEL_WORK 256

static void open_share(sr_share *share, int64_t across, int64_t threads) {
    atomic_init(&share->next, 0);
    share->across = across;
    share->threads = threads;
    share->units = sr_ceil_div(share->rows, share->unit_rows) * across;
}

void sr_share_rows(sr_share *share, int64_t rows, int64_t columns, int64_t granule, int threads) {
    share->rows = rows;
    share->columns = share->unit_columns = columns;
    share->unit_rows = granule;
    open_share(share, 1, threads);
}

void sr_share_grid(sr_share *share, const sr_shape *shape, int64_t rows, int threads) {
    const sr_step *step = shape->step;
    const int64_t width = shape->width, step_columns = step->granule_columns;
    sr_share_rows(share, rows, width, step->granule_rows, threads);
    const int64_t missing = sr_ceil_div((int64_t)threads * UNITS, share->units);
    if (threads == 1 || missing == 1) return;
    const int64_t work = ((int64_t)step->macs_per_pixel + PIXEL_WORK) * step->granule_rows;
    const int64_t least = sr_max(LEAST_COLUMNS, sr_ceil_div(LEAST_WORK, work));
    const int64_t across = sr_max(1, sr_min(missing, width / least));
    /* Both to the nearest: parts are not much larger than asked for, and the last one of a row is no sliver. */
    const int64_t columns = sr_max(1, (width / across + step_columns / 2) / step_columns) * step_columns;
    share->unit_columns = sr_min(columns, width);
    open_share(share, sr_max(1, (width + columns / 2) / columns), threads);
}

/* Half of a thread's share of what is left; what is longer than a row ends with one. */
static int take(sr_share *share, sr_turn *turn) {
    long long first = atomic_load_explicit(&share->next, memory_order_relaxed);
    int64_t end;
    do {
        const int64_t left = share->units - first;
        if (left <= 0) return 0;
        end = first + (share->threads == 1 ? left : sr_max(1, left / (2 * share->threads)));
        const int64_t whole = end / share->across * share->across;
        if (whole > first) end = whole;
    } while (!atomic_compare_exchange_weak_explicit(&share->next, &first, end, memory_order_relaxed, memory_order_relaxed));
    turn->next = first;
    turn->end = end;
    return 1;
}

int sr_share_next(sr_share *share, sr_turn *turn, sr_piece *piece) {
    if (turn->next >= turn->end && !take(share, turn)) return 0;
    const int64_t at = turn->next % share->across, left = turn->end - turn->next;
    const int64_t rows = at == 0 ? left / share->across : 0;
    const int64_t units = rows > 0 ? rows * share->across : sr_min(left, share->across - at);
    piece->row0 = turn->next / share->across * share->unit_rows;
    piece->row1 = sr_min(piece->row0 + sr_max(rows, 1) * share->unit_rows, share->rows);
    piece->col0 = at * share->unit_columns;
    piece->col1 = at + units >= share->across ? share->columns : (at + units) * share->unit_columns;
    turn->next += units;
    return 1;
}

SR_SMALL_END
