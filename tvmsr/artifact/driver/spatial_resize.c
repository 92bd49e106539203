/* Resizing, rows first, then columns, each with integer weights of sum 2^11. Plain parameters: nearest none; linear the
 * shifts after rows and after columns; cubic these, then zero of x times 2^fraction and zero of the store (of stored
 * values), then per channel m, lo, hi (float32).
 *
 * What a form subtracts from codes goes through both sums unchanged: weights add up to 1.
 */
#include <string.h>

#include "memory.h"
#include "steps.h"

enum { ROW_SHIFT, COLUMN_SHIFT, LINEAR_WORDS, X_ZERO = LINEAR_WORDS, Y_ZERO, CUBIC_WORDS };
enum { WEIGHT_BITS = 11, CUBIC_BITS = 8, MOST_TAPS = 4 };

/* Positions are fractions of 64-bit integers: sides below this fit them. */
#define MOST_PIXELS (1 << 29)

/* What a resized row or column is made of: sources inside of the picture, and their weights. */
typedef struct taps {
    int32_t at[MOST_TAPS];
    int32_t weight[MOST_TAPS];
} taps;

static int count_of(const sr_step *step) {
    return step->spatial->method == SR_NEAREST ? 1 : step->spatial->method == SR_LINEAR ? 2 : 4;
}

static uint64_t words(const sr_step *step) {
    if (step->spatial->method == SR_NEAREST) return 0;
    return step->spatial->method == SR_LINEAR ? LINEAR_WORDS : CUBIC_WORDS + 3 * (uint64_t)step->spatial->channels;
}

static const char *check(const sr_step *step) {
    const sr_spatial *s = step->spatial;
    if (s->method > SR_CUBIC || s->grid > SR_ASYMMETRIC || s->cubic < -1024 || s->cubic > 1024) return "a resize's method";
    if (s->numerator == 0) return NULL;
    if (s->numerator < 0 || s->denominator < 1) return "a resize's factor";
    return s->numerator > MOST_PIXELS || s->denominator > MOST_PIXELS ? "a resize's factor" : NULL;
}

static int side_fits(const sr_spatial *s, int64_t from, int64_t to) {
    if (from > MOST_PIXELS || to > MOST_PIXELS) return 0;
    return s->numerator == 0 || to == from * s->numerator / s->denominator;
}

static int fits(const sr_shape *shape) {
    const sr_spatial *s = shape->step->spatial;
    return side_fits(s, shape->x_height, shape->height) && side_fits(s, shape->x_width, shape->width);
}

/* Of resized pixel `index` of `count`: the source pixel at or before its exact position, and how far beyond it that lies,
 * in 2^-11, halves upwards. */
static int64_t position(const sr_spatial *s, int64_t index, int64_t count, int64_t size, int64_t *phase) {
    int64_t above = s->numerator == 0 ? size : s->denominator, below = s->numerator == 0 ? count : s->numerator;
    if (s->grid == SR_ALIGN_CORNERS) {
        above = count > 1 ? index * (size - 1) : 0;
        below = count > 1 ? count - 1 : 1;
    } else if (s->grid == SR_ASYMMETRIC) {
        above *= index;
    } else {
        above = (2 * index + 1) * above - (s->method == SR_NEAREST ? 0 : below);
        below *= 2;
    }
    const int64_t base = sr_floor_div(above, below), rest = above - base * below;
    *phase = (rest * (2 << WEIGHT_BITS) + below) / (2 * below);
    return base;
}

/* Keys' polynomials at distance d / 2^11, times 2^41; a is 256 times his coefficient. */
static int64_t far_weight(int64_t a, int64_t d) {
    const int64_t one = 1 << WEIGHT_BITS;
    return a * (d * d * d - 5 * one * d * d + 8 * one * one * d - 4 * one * one * one);
}

static int64_t near_weight(int64_t a, int64_t d) {
    const int64_t one = 1 << WEIGHT_BITS, unit = 1 << CUBIC_BITS;
    return (a + 2 * unit) * d * d * d - (a + 3 * unit) * one * d * d + unit * one * one * one;
}

static void cubic_weights(int64_t a, int64_t phase, int32_t *weight) {
    const int64_t one = 1 << WEIGHT_BITS, unit = one * one << CUBIC_BITS;
    const int64_t exact[MOST_TAPS] = {far_weight(a, phase + one), near_weight(a, phase), near_weight(a, one - phase),
                                      far_weight(a, 2 * one - phase)};
    int32_t missing = 1 << WEIGHT_BITS;
    for (int k = 0; k < MOST_TAPS; k++) {
        weight[k] = (int32_t)sr_floor_div(exact[k] + unit / 2, unit);
        missing -= weight[k];
    }
    weight[weight[1] >= weight[2] ? 1 : 2] += missing;
}

static taps taps_of(const sr_spatial *s, int64_t index, int64_t count, int64_t size) {
    int64_t phase;
    taps t;
    const int64_t base = position(s, index, count, size, &phase) - (s->method == SR_CUBIC);
    for (int k = 0; k < MOST_TAPS; k++) t.at[k] = (int32_t)sr_max(0, sr_min(base + k, size - 1));
    memset(t.weight, 0, sizeof t.weight);
    t.weight[0] = (1 << WEIGHT_BITS) - (s->method == SR_LINEAR ? (int32_t)phase : 0);
    t.weight[1] = s->method == SR_LINEAR ? (int32_t)phase : 0;
    if (s->method == SR_CUBIC) cubic_weights(s->cubic, phase, t.weight);
    return t;
}

static int64_t needs(const sr_shape *shape, int64_t done, int64_t goal) {
    (void)done;
    const taps last = taps_of(shape->step->spatial, goal - 1, shape->height, shape->x_height);
    return last.at[count_of(shape->step) - 1] + 1;
}

static int64_t keeps(const sr_shape *shape, int64_t done) {
    return taps_of(shape->step->spatial, done, shape->height, shape->x_height).at[0];
}

/* The taps of every column. */
static uint64_t own(const sr_shape *shape) { return sr_times(sizeof(taps), (uint64_t)shape->width); }

static void open(const sr_work *work) {
    const sr_shape *s = &work->shape;
    const int64_t channels = s->step->spatial->channels;
    taps *columns = (taps *)(void *)work->own;
    for (int64_t x = 0; x < s->width; x++) {
        columns[x] = taps_of(s->step->spatial, x, s->width, s->x_width);
        for (int k = 0; k < MOST_TAPS; k++) columns[x].at[k] = (int32_t)(columns[x].at[k] * channels);
    }
}

/* The blended row, a row of x, the resized row. */
static uint64_t scratch(const sr_shape *shape) {
    return sr_times(shape->step->spatial->channels * sizeof(int32_t), (uint64_t)(2 * shape->x_width + shape->width));
}

static void blend_rows(const sr_work *work, int64_t row, int32_t *tall, int32_t *line) {
    const sr_shape *s = &work->shape;
    const uint32_t channels = s->step->spatial->channels;
    const int64_t values = s->x_width * channels;
    const taps t = taps_of(s->step->spatial, row, s->height, s->x_height);
    if (s->step->spatial->method == SR_NEAREST) {
        sr_unpack(s->x, channels, sr_x_row(work, t.at[0]), s->x_width, tall);
        return;
    }
    const int32_t shift = work->block[ROW_SHIFT] & 31;
    const uint32_t half = (1u << shift) >> 1;
    for (int k = 0; k < count_of(s->step); k++) {
        const uint32_t weight = (uint32_t)t.weight[k];
        sr_unpack(s->x, channels, sr_x_row(work, t.at[k]), s->x_width, line);
        if (k == 0) {
            for (int64_t i = 0; i < values; i++) tall[i] = (int32_t)(weight * (uint32_t)line[i] + half);
        } else {
            for (int64_t i = 0; i < values; i++) tall[i] = (int32_t)((uint32_t)tall[i] + weight * (uint32_t)line[i]);
        }
    }
    for (int64_t i = 0; i < values; i++) tall[i] >>= shift;
}

/* Channels that are blended together. Maps that are resized have few, and what compilers put around loops over a number that
 * they do not know takes longer than the loops (16 channels: 3.0 ms, this 1.8). */
#define LANES 4
typedef uint32_t lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t signed_lanes __attribute__((vector_size(4 * LANES)));

/* A constant number of taps, a loop of which is no loop then. */
#if defined(__clang__)
#define WHOLE _Pragma("clang loop unroll(full)")
#else
#define WHOLE
#endif
static inline __attribute__((always_inline)) void blend_each(const sr_work *work, const int32_t *tall, int count,
                                                            int32_t *to) {
    const taps *columns = (const taps *)(const void *)work->own;
    const int64_t channels = work->shape.step->spatial->channels;
    const int32_t shift = work->block[COLUMN_SHIFT] & 31;
    const uint32_t half = (1u << shift) >> 1;
    for (int64_t x = 0; x < work->shape.width; x++, to += channels) {
        const taps *t = &columns[x];
        int64_t c = 0;
        for (; c + LANES <= channels; c += LANES) {
            lanes sum = {half, half, half, half}, from;
            WHOLE for (int k = 0; k < count; k++) {
                memcpy(&from, tall + t->at[k] + c, sizeof from);
                sum += (uint32_t)t->weight[k] * from;
            }
            const signed_lanes result = (signed_lanes)sum >> shift;
            memcpy(to + c, &result, sizeof result);
        }
        for (; c < channels; c++) {
            uint32_t sum = half;
            WHOLE for (int k = 0; k < count; k++) sum += (uint32_t)t->weight[k] * (uint32_t)tall[t->at[k] + c];
            to[c] = (int32_t)sum >> shift;
        }
    }
}

static void blend_columns(const sr_work *work, const int32_t *tall, int32_t *to) {
    if (count_of(work->shape.step) == 2) {
        blend_each(work, tall, 2, to);
    } else {
        blend_each(work, tall, 4, to);
    }
}

static void pick_columns(const sr_work *work, const int32_t *tall, int32_t *to) {
    const taps *columns = (const taps *)(const void *)work->own;
    const size_t channels = work->shape.step->spatial->channels;
    for (int64_t x = 0; x < work->shape.width; x++, to += channels) {
        memcpy(to, tall + columns[x].at[0], channels * sizeof *to);
    }
}

/* Cubic values overshoot: they have a code of their own. */
static void requantize(const sr_work *work, int32_t *values) {
    const int64_t channels = work->shape.step->spatial->channels;
    const float *m = (const float *)(const void *)(work->block + CUBIC_WORDS), *lo = m + channels, *hi = lo + channels;
    const uint32_t from = (uint32_t)work->block[X_ZERO], to = (uint32_t)work->block[Y_ZERO];
    for (int64_t x = 0; x < work->shape.width; x++, values += channels) {
        for (int64_t c = 0; c < channels; c++) {
            const int32_t code = sr_scaled((int32_t)((uint32_t)values[c] - from), m[c], lo[c], hi[c]);
            values[c] = (int32_t)((uint32_t)code + to);
        }
    }
}

static void shift_form(const sr_shape *s, int32_t *values) {
    const int32_t shift = s->x->offset - s->y->offset;
    if (shift == 0) return;
    for (int64_t i = 0; i < s->width * s->step->spatial->channels; i++) values[i] += shift;
}

static void run(const sr_work *work, int worker, int64_t row0, int64_t row1) {
    const sr_shape *s = &work->shape;
    const uint32_t channels = s->step->spatial->channels;
    int32_t *tall = sr_scratch_of(work, worker), *line = tall + s->x_width * channels;
    int32_t *result = line + s->x_width * channels;
    for (int64_t row = row0; row < row1; row++) {
        blend_rows(work, work->first + row, tall, line);
        (s->step->spatial->method == SR_NEAREST ? pick_columns : blend_columns)(work, tall, result);
        if (s->step->spatial->method == SR_CUBIC) {
            requantize(work, result);
        } else {
            shift_form(s, result);
        }
        sr_repack(s->y, channels, result, s->width, sr_y_row(work, row));
    }
}

const sr_kind sr_resize = {.fits = fits,
                           .check = check,
                           .needs = needs,
                           .keeps = keeps,
                           .words = words,
                           .own = own,
                           .scratch = scratch,
                           .open = open,
                           .run = run};
