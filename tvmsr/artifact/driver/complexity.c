/* Rows are looked at in blocks of columns, so that what lies between the steps fits the stack; three rows of gray bytes
 * pass by as a block goes down, each made once. */
#include "complexity.h"

#include "memory.h"
#include "session.h"

/* Columns of a block, and one on each side. */
#define BLOCK 256
#define WIDE (BLOCK + 2)
#define ROWS 3

/* An artifact is to be small, and these loops are short: one vector at a time. */
#if defined(__clang__)
#define VECTORS _Pragma("clang loop interleave_count(1) unroll(disable)")
#define NUMBERS _Pragma("clang loop vectorize(disable) unroll(disable)")
#else
#define VECTORS
#define NUMBERS
#endif

/* Inlined with its constants: a loop for each pixel size. */
static inline void gray_of(const uint8_t *from, int64_t count, int bytes, int16_t *to) {
    NUMBERS
    for (int64_t i = 0; i < count; i++, from += bytes) {
        to[i] = bytes == 1 ? from[0] : (int16_t)((19595 * from[0] + 38470 * from[1] + 7471 * from[2] + (1 << 15)) >> 16);
    }
}

/* Columns [left - 1, left + count + 1) of a row, held to the picture's edges. */
static void sample_row(const sr_plane *in, int64_t row, int64_t left, int64_t count, int16_t *to) {
    const int64_t before = left > 0, after = left + count < in->width, inside = before + count + after;
    const uint8_t *from = sr_row(in, sr_max(0, sr_min(row, in->height - 1))) + (left - before) * in->bytes;
    int16_t *first = to + 1 - before;
    if (in->bytes == 1) {
        gray_of(from, inside, 1, first);
    } else if (in->bytes == 3) {
        gray_of(from, inside, 3, first);
    } else {
        gray_of(from, inside, 4, first);
    }
    if (!before) to[0] = to[1];
    if (!after) to[count + 1] = to[count];
}

/* One row of a block between the rows above and below it; the sum of 256 pixels fits easily. */
static uint32_t row_gradient(const int16_t *above, const int16_t *row, const int16_t *below, int64_t count) {
    int16_t tall[WIDE], steep[WIDE];
    int32_t sum = 0;
    VECTORS
    for (int64_t i = 0; i < count + 2; i++) {
        tall[i] = (int16_t)(above[i] + 2 * row[i] + below[i]);
        steep[i] = (int16_t)(below[i] - above[i]);
    }
    VECTORS
    for (int64_t i = 0; i < count; i++) {
        const int16_t gx = (int16_t)(tall[i + 2] - tall[i]), gy = (int16_t)(steep[i] + 2 * steep[i + 1] + steep[i + 2]);
        sum += (int16_t)((gx < 0 ? -gx : gx) + (gy < 0 ? -gy : gy));
    }
    return (uint32_t)sum;
}

uint64_t sr_gradient(const sr_plane *in, int64_t first, int64_t last, int64_t left, int64_t right) {
    int16_t gray[ROWS][WIDE];
    uint64_t sum = 0;
    for (; left < right; left += BLOCK) {
        const int64_t count = sr_min(BLOCK, right - left);
        for (int64_t next = first - 1; next <= last; next++) {
            sample_row(in, next, left, count, gray[(next + ROWS) % ROWS]);
            if (next <= first) continue;
            const int64_t row = next - 1;
            sum += row_gradient(gray[(row + 2) % ROWS], gray[row % ROWS], gray[next % ROWS], count);
        }
    }
    return sum;
}

/* 256 times the mean, rounded down; a picture that fits the memory has fewer than 2^48 pixels. */
uint32_t sr_complexity(uint64_t gradient, int64_t height, int64_t width) {
    const uint64_t pixels = (uint64_t)height * (uint64_t)width;
    return (uint32_t)((gradient / pixels << 8) + (gradient % pixels << 8) / pixels);
}
