/* Statistics: a number a channel over all pixels, stored when the last row was seen. Several of the same rows are one step,
 * with a store and parameters for each: what they are made of is added up once. Plain parameters: zero of x and of the
 * store (both of stored values), shift of a variance, then per channel m, lo, hi (float32), eps (low words, then high ones).
 *
 * Every thread adds up stored values and their squares; zero points are taken off at the end, modulo 2^64. Pictures have
 * less than 2^31 pixels, and codes are less than 2^16: what the end needs fits 64 bits.
 */
#include <string.h>

#include "flow.h"
#include "memory.h"
#include "steps.h"

enum { X_ZERO, Y_ZERO, SHIFT, SCALARS };
enum { MEAN_BITS = 8, VARIANCE_BITS = 16 };

/* Channels that are added up together, and pixels whose sums fit 32 bits. */
#define BLOCK 16
#define RUN 32768

/* One thread's. */
typedef struct sums {
    uint64_t *total;
    uint64_t *squares;
    int64_t *largest;
} sums;

static sums sums_of(const sr_work *work, int worker) {
    const uint32_t channels = work->shape.step->spatial->channels;
    uint64_t *at = (uint64_t *)(void *)(work->own + (uint64_t)worker * work->own_bytes);
    return (sums){at, at + channels, (int64_t *)(void *)(at + 2 * (uint64_t)channels)};
}

/* Of one of the statistics. */
static uint64_t words_each(const sr_step *step) { return SCALARS + 5 * (uint64_t)step->spatial->channels; }

static uint64_t words(const sr_step *step) { return step->stores * words_each(step); }

static const char *check(const sr_step *step) {
    for (int i = 0; i < step->stores; i++) {
        if (step->spatial[i].method > SR_MAX) return "a statistic's kind";
    }
    return NULL;
}

/* 1 where one of the statistics is between these two in the list of their kinds. */
static int wants(const sr_step *step, int first, int last) {
    for (int i = 0; i < step->stores; i++) {
        if (step->spatial[i].method >= first && step->spatial[i].method <= last) return 1;
    }
    return 0;
}

static int fits(const sr_shape *shape) { return shape->height <= INT32_MAX / shape->width; }

static uint64_t own(const sr_shape *shape) { return 3 * sizeof(uint64_t) * (uint64_t)shape->step->spatial->channels; }

static uint64_t scratch(const sr_shape *shape) { return sizeof(int32_t) * (uint64_t)shape->step->spatial->channels; }

static void open(const sr_work *work) {
    for (int worker = 0; worker < work->threads; worker++) {
        const sums s = sums_of(work, worker);
        memset(s.total, 0, 2 * sizeof(uint64_t) * work->shape.step->spatial->channels);
        for (uint32_t c = 0; c < work->shape.step->spatial->channels; c++) s.largest[c] = INT32_MIN;
    }
}

/* Up to BLOCK channels of a row, signed values made unsigned by `sign`: fewer of them in arrays, all in vectors, whose sums
 * stay in registers whatever a compiler unrolls. Halves of a square are added up apart: of bytes they are one, of words two
 * that vector units make at once. */
typedef uint32_t lanes __attribute__((vector_size(4 * BLOCK)));
typedef uint32_t array[BLOCK];

#define ADD(name, type, kind, squared, split, ADD_PIXEL) \
    static void name(const unsigned char *from, int64_t pitch, int64_t pixels, int count, type sign, uint64_t *total, \
                     uint64_t *squares) { \
        while (pixels > 0) { \
            const int64_t now = sr_min(pixels, RUN); \
            kind t = {0}, low = {0}, high = {0}; \
            for (int64_t x = 0; x < now; x++, from += pitch) ADD_PIXEL(type, squared, split) \
            for (int c = 0; c < count; c++) { \
                total[c] += t[c]; \
                squares[c] += low[c] + ((uint64_t)high[c] << 16); \
            } \
            pixels -= now; \
        } \
    }
#define FEW(type, squared, split) \
    for (int c = 0; c < count; c++) { \
        const uint32_t value = (type)(((const type *)(const void *)from)[c] ^ sign), square = value * value; \
        t[c] += value; \
        low[c] += split ? square & 0xFFFFu : square; \
        if (split) high[c] += square >> 16; \
    }
#define ALL(type, squared, split) \
    { \
        type pixel __attribute__((vector_size(BLOCK * sizeof(type)))); \
        memcpy(&pixel, from, sizeof pixel); \
        const lanes value = __builtin_convertvector(pixel ^ sign, lanes), square = value * value; \
        t += value; \
        if (squared) low += split ? square & 0xFFFFu : square; \
        if (squared && split) high += square >> 16; \
    }
ADD(add_few_bytes, uint8_t, array, 1, 0, FEW)
ADD(add_bytes, uint8_t, lanes, 0, 0, ALL)
ADD(square_bytes, uint8_t, lanes, 1, 0, ALL)
ADD(add_few_words, uint16_t, array, 1, 1, FEW)
ADD(add_words, uint16_t, lanes, 0, 1, ALL)
ADD(square_words, uint16_t, lanes, 1, 1, ALL)
#undef ADD
#undef FEW
#undef ALL

/* What signed forms store is less than what is added up. */
static uint32_t sign_of(const sr_buffer *x) { return x->form == SR_FORM_S8 ? 1u << 7 : x->form == SR_FORM_S16 ? 1u << 15 : 0; }

#define REST(sign) from, s->x->pitch, s->width, count, (sign), total, squares
static void add(const sr_shape *s, const unsigned char *from, int count, int squared, uint64_t *total, uint64_t *squares) {
    const uint8_t byte = (uint8_t)sign_of(s->x);
    const uint16_t word = (uint16_t)sign_of(s->x);
    const int whole = count != BLOCK ? 0 : squared ? 2 : 1;
    switch (whole + (sr_code_bytes(s->x) == 2 ? 3 : 0)) {
        case 0: add_few_bytes(REST(byte)); break;
        case 1: add_bytes(REST(byte)); break;
        case 2: square_bytes(REST(byte)); break;
        case 3: add_few_words(REST(word)); break;
        case 4: add_words(REST(word)); break;
        default: square_words(REST(word)); break;
    }
}
#undef REST

static void find_largest(const sr_shape *s, const unsigned char *from, int32_t *pixel, int64_t *largest) {
    const uint32_t channels = s->step->spatial->channels;
    for (int64_t x = 0; x < s->width; x++, from += s->x->pitch) {
        sr_unpack(s->x, channels, from, 1, pixel);
        for (uint32_t c = 0; c < channels; c++) largest[c] = sr_max(largest[c], pixel[c]);
    }
}

static void run(const sr_work *work, int worker, int64_t row0, int64_t row1) {
    const sr_shape *s = &work->shape;
    const sums sum = sums_of(work, worker);
    const uint32_t channels = s->step->spatial->channels, bytes = (uint32_t)sr_code_bytes(s->x);
    const int largest = wants(s->step, SR_MAX, SR_MAX), squared = wants(s->step, SR_VARIANCE, SR_DEVIATION);
    const int added = squared || wants(s->step, SR_MEAN, SR_MEAN);
    for (int64_t row = row0; row < row1; row++) {
        const unsigned char *from = sr_x_row(work, work->first + row);
        if (largest) find_largest(s, from, sr_scratch_of(work, worker), sum.largest);
        for (uint32_t c = 0; added && c < channels; c += BLOCK) {
            add(s, from + c * bytes, (int)sr_min(BLOCK, channels - c), squared, sum.total + c, sum.squares + c);
        }
    }
}

/* Of a channel: sum and sum of squares of its `count` centred codes. */
static int32_t spread_of(const sr_spatial *how, uint64_t total, uint64_t squares, uint64_t count, uint64_t eps, int shift) {
    const int64_t sum = (int64_t)total, size = (int64_t)count;
    const int64_t mean = sum / size - (sum % size < 0), rest = sum - mean * size;
    if (how->method == SR_MEAN) {
        return (int32_t)((uint64_t)mean * (1u << MEAN_BITS) + (((uint64_t)rest << MEAN_BITS) + count / 2) / count);
    }
    const uint64_t spread = squares - (uint64_t)mean * (total + (uint64_t)rest) - (uint64_t)rest * (uint64_t)rest / count;
    const uint64_t divisor = how->unbiased && count > 1 ? count - 1 : count;
    const uint64_t whole = spread / divisor, part = spread % divisor;
    const uint64_t variance = (whole << VARIANCE_BITS) + (part << VARIANCE_BITS) / divisor + eps;
    const uint64_t value = how->method == SR_DEVIATION ? sr_root(variance) : variance >> (shift & 63);
    return (int32_t)(value < INT32_MAX ? value : INT32_MAX);
}

/* Channel c of a statistic with these parameters. */
static int32_t value_of(const sr_work *work, const sr_spatial *how, const int32_t *block, uint32_t c) {
    const uint32_t channels = how->channels;
    const uint32_t *eps = (const uint32_t *)block + SCALARS + 3 * (uint64_t)channels;
    const int64_t zero = block[X_ZERO];
    uint64_t total = 0, squares = 0;
    int64_t largest = INT32_MIN;
    for (int worker = 0; worker < work->threads; worker++) {
        const sums s = sums_of(work, worker);
        total += s.total[c];
        squares += s.squares[c];
        largest = sr_max(largest, s.largest[c]);
    }
    if (how->method == SR_MAX) return (int32_t)(uint32_t)(uint64_t)(largest - zero);
    const uint64_t count = (uint64_t)work->shape.x_height * (uint64_t)work->shape.x_width;
    const uint64_t z = (uint64_t)zero + sign_of(work->shape.x);
    squares += z * (z * count - 2 * total);
    total -= z * count;
    return spread_of(how, total, squares, count, (uint64_t)eps[channels + c] << 32 | eps[c], block[SHIFT]);
}

static void finish_one(const sr_work *work, int store) {
    const sr_step *step = work->shape.step;
    const uint32_t channels = step->spatial->channels;
    const int32_t *block = work->block + (uint64_t)store * words_each(step);
    const float *m = (const float *)(const void *)(block + SCALARS), *lo = m + channels, *hi = lo + channels;
    int32_t *pixel = sr_scratch_of(work, 0);
    for (uint32_t c = 0; c < channels; c++) {
        const int32_t code = sr_scaled(value_of(work, &step->spatial[store], block, c), m[c], lo[c], hi[c]);
        pixel[c] = (int32_t)((uint32_t)code + (uint32_t)block[Y_ZERO]);
    }
    const sr_buffer *y = &work->shape.program->buffers[step->operands[1 + store].buffer];
    sr_repack(y, channels, pixel, 1, work->base[1 + store] + work->table[1 + store][0]);
}

static void finish(const sr_work *work) {
    for (int store = 0; store < work->shape.step->stores; store++) finish_one(work, store);
}

const sr_kind sr_statistic = {.fits = fits,
                              .check = check,
                              .needs = sr_needs_same_rows,
                              .keeps = sr_keeps_same_rows,
                              .words = words,
                              .own = own,
                              .scratch = scratch,
                              .open = open,
                              .run = run,
                              .close = finish};
