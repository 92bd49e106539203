/* docs/numerics-colour.md is the definition, tvmsr/imaging/colour.py the reference. A row is finished in blocks of input
 * columns, so that what lies between the two passes of a resize fits the stack. */
#include "colour.h"

#include <string.h>

#include "memory.h"
#include "program.h"
#include "session.h"

/* Input columns of a block. */
#define BLOCK 64

/* Around a block: two taps on the left, two on the right. */
#define MARGIN 2

enum { FRACTION = 6, WEIGHT_SHIFT = 11, CHROMA_SHIFT = 14, RGB_SHIFT = 19, GRAY_SHIFT = 16 };

/* A plane of samples that is made from the input picture's pixels. */
typedef enum { CB, CR, ALPHA } plane_kind;

/* An enlarged block, by phase: sample [p][j] belongs to output column scale * j + p. */
typedef int16_t enlarged[SR_MAX_SCALE][BLOCK];

static int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

/* 2048 times Keys' cubic at distance d / n, rounded to nearest, ties up. */
static int64_t cubic(int64_t d, int64_t n) {
    const int64_t twice = d <= n ? 3 * d * d * d - 5 * d * d * n + 2 * n * n * n
                          : d <= 2 * n ? -d * d * d + 5 * d * d * n - 8 * d * n * n + 4 * n * n * n
                                       : 0;
    return floor_div(twice * (1 << WEIGHT_SHIFT) + n * n * n, 2 * n * n * n);
}

/* Output sample scale * i + phase lies at i + (2 phase + 1 - scale) / (2 scale) of the input. */
static void set_phase(sr_finish *finish, int phase) {
    const int64_t n = 2 * finish->scale, offset = 2 * phase + 1 - finish->scale;
    const int64_t whole = floor_div(offset, n), part = offset - whole * n;
    int64_t missing = 1 << WEIGHT_SHIFT;
    int largest = 0;
    for (int k = 0; k < SR_TAPS; k++) {
        const int64_t d = part + n * (1 - k), weight = cubic(d < 0 ? -d : d, n);
        finish->weights[phase][k] = (int16_t)weight;
        missing -= weight;
        if (weight > finish->weights[phase][largest]) largest = k;
    }
    finish->weights[phase][largest] = (int16_t)(finish->weights[phase][largest] + missing);
    finish->first[phase] = (int8_t)(whole - 1);
}

void sr_finish_open(sr_finish *finish, const sr_plane *in, const sr_plane *out, int colour, int scale) {
    memset(finish, 0, sizeof *finish);
    finish->in = in;
    finish->out = out;
    finish->colour = colour;
    finish->scale = scale;
    for (int phase = 0; phase < scale; phase++) set_phase(finish, phase);
}

static int16_t sample(const uint8_t *pixel, plane_kind kind) {
    const int32_t r = pixel[0], g = pixel[1], b = pixel[2], half = 1 << (CHROMA_SHIFT - 1);
    switch (kind) {
        case CB: return (int16_t)((-155424 * r - 305127 * g + 460551 * b + half) >> CHROMA_SHIFT);
        case CR: return (int16_t)((460551 * r - 385654 * g - 74897 * b + half) >> CHROMA_SHIFT);
        default: return (int16_t)(pixel[3] << FRACTION);
    }
}

/* Rows first: the sum of four input rows at columns [from, from + count), indices beyond the picture held to its edge. */
static void resize_rows(const sr_finish *finish, plane_kind kind, int64_t row, int64_t from, int count, int16_t *t) {
    const sr_plane *in = finish->in;
    const int phase = (int)(row % finish->scale);
    const int64_t top = row / finish->scale + finish->first[phase];
    int32_t sums[BLOCK + 2 * MARGIN];
    for (int j = 0; j < count; j++) sums[j] = 1 << (WEIGHT_SHIFT - 1);
    for (int k = 0; k < SR_TAPS; k++) {
        const uint8_t *pixels = sr_row(in, sr_max(0, sr_min(top + k, in->height - 1)));
        const int32_t weight = finish->weights[phase][k];
        for (int j = 0; j < count; j++) {
            const int64_t column = sr_max(0, sr_min(from + j, in->width - 1));
            sums[j] += weight * sample(pixels + column * in->bytes, kind);
        }
    }
    for (int j = 0; j < count; j++) t[j] = (int16_t)(sums[j] >> WEIGHT_SHIFT);
}

/* One row of an enlarged plane over `count` input columns from `from` on. */
static void enlarge(const sr_finish *finish, plane_kind kind, int64_t row, int64_t from, int count, enlarged y) {
    int16_t t[BLOCK + 2 * MARGIN];
    resize_rows(finish, kind, row, from - MARGIN, count + 2 * MARGIN, t);
    for (int p = 0; p < finish->scale; p++) {
        const int16_t *at = t + MARGIN + finish->first[p], *w = finish->weights[p];
        for (int j = 0; j < count; j++) {
            const int32_t sum = w[0] * at[j] + w[1] * at[j + 1] + w[2] * at[j + 2] + w[3] * at[j + 3];
            y[p][j] = (int16_t)((sum + (1 << (WEIGHT_SHIFT - 1))) >> WEIGHT_SHIFT);
        }
    }
}

static uint8_t clamp8(int32_t value) { return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value); }

static void rgb_of_ycbcr(int32_t y, int32_t cb, int32_t cr, uint8_t *rgb) {
    const int32_t base = 9539 * ((y - 16) * (1 << FRACTION)) + (1 << (RGB_SHIFT - 1));
    rgb[0] = clamp8((base + 13075 * cr) >> RGB_SHIFT);
    rgb[1] = clamp8((base - 3209 * cb - 6660 * cr) >> RGB_SHIFT);
    rgb[2] = clamp8((base + 16525 * cb) >> RGB_SHIFT);
}

/* A pixel of the result in the caller's format; alpha is stored separately. */
static void store_pixel(const uint8_t *rgb, uint8_t *to, int bytes) {
    if (bytes == 1) {
        to[0] = (uint8_t)((19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + (1 << (GRAY_SHIFT - 1))) >> GRAY_SHIFT);
        return;
    }
    to[0] = rgb[0];
    to[1] = rgb[1];
    to[2] = rgb[2];
}

static void finish_rgb(const uint8_t *network, uint32_t pitch, uint8_t *to, int bytes, int64_t count) {
    for (int64_t x = 0; x < count; x++, network += pitch, to += bytes) store_pixel(network, to, bytes);
}

/* Y of the network and enlarged chroma; a gray input has none, exactly. */
static void finish_y(const sr_finish *finish, const uint8_t *network, uint32_t pitch, uint8_t *to, int64_t row,
                     int64_t from, int count) {
    enlarged cb, cr;
    uint8_t rgb[3];
    const int gray = finish->in->bytes == 1, bytes = finish->out->bytes;
    if (!gray) {
        enlarge(finish, CB, row, from, count, cb);
        enlarge(finish, CR, row, from, count, cr);
    }
    for (int j = 0; j < count; j++) {
        for (int p = 0; p < finish->scale; p++, network += pitch, to += bytes) {
            rgb_of_ycbcr(network[0], gray ? 0 : cb[p][j], gray ? 0 : cr[p][j], rgb);
            store_pixel(rgb, to, bytes);
        }
    }
}

static void finish_alpha(const sr_finish *finish, uint8_t *to, int64_t row, int64_t from, int count) {
    enlarged alpha;
    const int opaque = finish->in->bytes != 4;
    if (!opaque) enlarge(finish, ALPHA, row, from, count, alpha);
    for (int j = 0; j < count; j++) {
        for (int p = 0; p < finish->scale; p++, to += 4) {
            to[3] = opaque ? 255 : clamp8((alpha[p][j] + (1 << (FRACTION - 1))) >> FRACTION);
        }
    }
}

void sr_finish_row(const sr_finish *finish, const uint8_t *network, uint32_t pitch, int64_t row) {
    const int bytes = finish->out->bytes;
    uint8_t *to = sr_row(finish->out, row);
    for (int64_t from = 0; from < finish->in->width; from += BLOCK) {
        const int count = (int)sr_min(BLOCK, finish->in->width - from);
        const int64_t first = from * finish->scale;
        const uint8_t *result = network + first * pitch;
        if (finish->colour == SR_COLOUR_Y) {
            finish_y(finish, result, pitch, to + first * bytes, row, from, count);
        } else {
            finish_rgb(result, pitch, to + first * bytes, bytes, (int64_t)count * finish->scale);
        }
        if (bytes == 4) finish_alpha(finish, to + first * bytes, row, from, count);
    }
}
