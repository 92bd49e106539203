/* The kinds of steps: which rows of x their rows read, what memory they have, and how they run.
 *
 * A kernel is one kind. The others are plain C of the driver, for operations that look at all pixels or choose them by the
 * picture's size: they read x and write one store (statistics several), in any stored form, with the integers of
 * docs/numerics.md.
 */
#ifndef SR_STEPS_H
#define SR_STEPS_H

#include "sizes.h"

/* A step over the rows of a strip, as its threads see it. Rows are numbered from the strip's first. */
typedef struct sr_work {
    sr_shape shape;
    unsigned char *base[SR_MAX_OPERANDS];
    const int32_t *table[SR_MAX_OPERANDS]; /* byte offsets of rows from base; of stores, of the strip's */
    int64_t first;        /* grid row that the strip begins with */
    int64_t x_first;      /* row of x that x's table begins with */
    const void *weights;
    const int32_t *block; /* a kernel's parameter block; plain parameters of the others */
    unsigned char *own;   /* what the step keeps */
    uint64_t own_bytes;   /* of it, a thread's */
    unsigned char *scratch;
    uint64_t scratch_bytes; /* a thread */
    int threads;
    int64_t col0, col1; /* of a kernel: columns of the piece that runs now; a thread sets them in a copy of its own */
} sr_work;

/* Rows of the caller's picture or of a buffer are below 2^31. */
typedef struct sr_kind {
    /* 1 where the sizes of x and of the grid fit each other. */
    int (*fits)(const sr_shape *shape);
    /* NULL, or what is wrong with the fields that only this kind has. */
    const char *(*check)(const sr_step *step);
    /* How many rows of x, from its first on, grid rows [done, goal) ask for; the first one that rows from `done` on read. */
    int64_t (*needs)(const sr_shape *shape, int64_t done, int64_t goal);
    int64_t (*keeps)(const sr_shape *shape, int64_t done);
    /* Words of plain parameters; of a kernel 0: its layout says that. */
    uint64_t (*words)(const sr_step *step);
    /* Bytes that it keeps, and that it needs while it runs, of each thread. NULL: none. */
    uint64_t (*own)(const sr_shape *shape);
    uint64_t (*scratch)(const sr_shape *shape);
    /* Make ready what it keeps, before its first rows; NULL: nothing. */
    void (*open)(const sr_work *work);
    /* Grid rows [row0, row1) of the strip. */
    void (*run)(const sr_work *work, int worker, int64_t row0, int64_t row1);
    /* After the last row; NULL: nothing. */
    void (*close)(const sr_work *work);
} sr_kind;

/* NULL: a kind that no step of this file is. */
extern const sr_kind *const SR_KIND[SR_KINDS];

/* `needs` and `keeps` of a kind whose row reads the row of x that has its number. */
int64_t sr_needs_same_rows(const sr_shape *shape, int64_t done, int64_t goal);
int64_t sr_keeps_same_rows(const sr_shape *shape, int64_t done);

/* The row or column of the picture that stands for one that may lie outside, where that is not pad codes. */
int64_t sr_inside(int64_t at, int64_t size, int mode);

/* Where x's row `row` and the store's row `row` (of the strip) begin. */
static inline const unsigned char *sr_x_row(const sr_work *work, int64_t row) {
    return work->base[0] + work->table[0][row - work->x_first];
}
static inline unsigned char *sr_y_row(const sr_work *work, int64_t row) { return work->base[1] + work->table[1][row]; }

static inline int32_t *sr_scratch_of(const sr_work *work, int worker) {
    return (int32_t *)(void *)(work->scratch + (uint64_t)worker * work->scratch_bytes);
}

/* Stored values of `pixels` neighbouring pixels as int32 without gaps, and back. */
void sr_unpack(const sr_buffer *buffer, uint32_t channels, const unsigned char *from, int64_t pixels, int32_t *to);
void sr_repack(const sr_buffer *buffer, uint32_t channels, const int32_t *from, int64_t pixels, unsigned char *to);

/* rne(clamp(value * m, lo, hi)), whose result is below 2^22: adding 1.5 * 2^23 leaves it in the low bits. */
static inline int32_t sr_scaled(int32_t value, float m, float lo, float hi) {
    float product = (float)value * m;
    product = product < lo ? lo : product;
    product = product > hi ? hi : product;
    const float shifted = product + 12582912.0f;
    uint32_t bits;
    __builtin_memcpy(&bits, &shifted, sizeof bits);
    return (int32_t)(bits - 0x4B400000u);
}

/* floor(sqrt(value)) */
static inline uint64_t sr_root(uint64_t value) {
    uint64_t root = 0;
    if (value == 0) return 0;
    for (uint64_t bit = UINT64_C(1) << ((63 - __builtin_clzll(value)) & ~1); bit != 0; bit >>= 2) {
        const uint64_t next = root + bit;
        root >>= 1;
        if (value >= next) {
            value -= next;
            root += bit;
        }
    }
    return root;
}

/* Sizes and rows of all that slides a window over x, kernels too. */
int sr_window_fits(const sr_shape *shape);
int64_t sr_window_needs(const sr_shape *shape, int64_t done, int64_t goal);
int64_t sr_window_keeps(const sr_shape *shape, int64_t done);

/* The files of the kinds. */
extern const sr_kind sr_max_pool, sr_resize, sr_statistic, sr_layer_norm;

#endif
