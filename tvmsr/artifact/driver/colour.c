/* docs/numerics-colour.md is the definition, tvmsr/imaging/colour.py the reference.
 *
 * Rows are finished in blocks of input columns, so that what lies between the steps fits the stack, and all output rows of
 * an input row together, so that its samples are made once. Loops run over whole blocks, in planes, for the compiler's
 * vectors; columns past the picture's edge repeat it and are not stored.
 */
#include "colour.h"

#include <string.h>

#include "memory.h"
#include "program.h"
#include "session.h"

/* Input columns of a block; around it two taps on each side; input rows that one input row's outputs read. */
#define BLOCK 64
#define MARGIN 2
#define WIDE (BLOCK + 2 * MARGIN)
#define ROWS 5

enum { FRACTION = 6, WEIGHT_SHIFT = 11, CHROMA_SHIFT = 14, RGB_SHIFT = 19, GRAY_SHIFT = 16 };

/* Samples of an input plane: rows i - 2 .. i + 2, columns from - 2 .. */
typedef int16_t samples[ROWS][WIDE];

/* One row of an enlarged block, by phase: [p][j] belongs to output column scale * (from + j) + p. */
typedef int16_t enlarged[SR_MAX_SCALE][BLOCK];

typedef uint8_t finished[3][SR_MAX_SCALE][BLOCK];

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

/* A channel of one input row, columns from - MARGIN on, held to the picture's edges. */
static void gather(const sr_plane *in, int64_t row, int64_t from, int channel, int16_t *to) {
    const uint8_t *pixels = sr_row(in, sr_max(0, sr_min(row, in->height - 1))) + channel;
    const int bytes = in->bytes;
    if (from >= MARGIN && from + BLOCK + MARGIN <= in->width) {
        pixels += (from - MARGIN) * bytes;
        for (int j = 0; j < WIDE; j++) to[j] = pixels[j * bytes];
        return;
    }
    for (int j = 0; j < WIDE; j++) to[j] = pixels[sr_max(0, sr_min(from - MARGIN + j, in->width - 1)) * bytes];
}

static void sample_chroma(const sr_plane *in, int64_t input_row, int64_t from, samples cb, samples cr) {
    const int32_t half = 1 << (CHROMA_SHIFT - 1);
    int16_t r[WIDE], g[WIDE], b[WIDE];
    for (int k = 0; k < ROWS; k++) {
        gather(in, input_row - MARGIN + k, from, 0, r);
        gather(in, input_row - MARGIN + k, from, 1, g);
        gather(in, input_row - MARGIN + k, from, 2, b);
        for (int j = 0; j < WIDE; j++) {
            cb[k][j] = (int16_t)((-155424 * r[j] - 305127 * g[j] + 460551 * b[j] + half) >> CHROMA_SHIFT);
            cr[k][j] = (int16_t)((460551 * r[j] - 385654 * g[j] - 74897 * b[j] + half) >> CHROMA_SHIFT);
        }
    }
}

static void sample_alpha(const sr_plane *in, int64_t input_row, int64_t from, samples alpha) {
    for (int k = 0; k < ROWS; k++) {
        gather(in, input_row - MARGIN + k, from, 3, alpha[k]);
        for (int j = 0; j < WIDE; j++) alpha[k][j] = (int16_t)(alpha[k][j] * (1 << FRACTION));
    }
}

/* Rows first, then columns: the output row of this phase. */
static void enlarge(const sr_finish *finish, int phase, samples x, enlarged y) {
    const int32_t half = 1 << (WEIGHT_SHIFT - 1);
    const int16_t *w = finish->weights[phase];
    const int16_t *x0 = x[MARGIN + finish->first[phase]], *x1 = x0 + WIDE, *x2 = x1 + WIDE, *x3 = x2 + WIDE;
    int16_t t[WIDE];
    for (int j = 0; j < WIDE; j++) {
        t[j] = (int16_t)((w[0] * x0[j] + w[1] * x1[j] + w[2] * x2[j] + w[3] * x3[j] + half) >> WEIGHT_SHIFT);
    }
    for (int p = 0; p < finish->scale; p++) {
        const int16_t *at = t + MARGIN + finish->first[p], w0 = finish->weights[p][0], w1 = finish->weights[p][1],
                      w2 = finish->weights[p][2], w3 = finish->weights[p][3];
        for (int j = 0; j < BLOCK; j++) {
            y[p][j] = (int16_t)((w0 * at[j] + w1 * at[j + 1] + w2 * at[j + 2] + w3 * at[j + 3] + half) >> WEIGHT_SHIFT);
        }
    }
}

static uint8_t clamp8(int32_t value) { return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value); }

/* Y of the network's row and chroma to RGB. */
static void rgb_of_ycbcr(const sr_finish *finish, const uint8_t *network, uint32_t pitch, int count, enlarged cb,
                         enlarged cr, finished rgb) {
    int16_t luma[BLOCK];
    memset(luma, 0, sizeof luma);
    for (int p = 0; p < finish->scale; p++) {
        const uint8_t *at = network + (uint32_t)p * pitch;
        for (int j = 0; j < count; j++, at += (uint32_t)finish->scale * pitch) luma[j] = (int16_t)((*at - 16) * (1 << FRACTION));
        for (int j = 0; j < BLOCK; j++) {
            const int32_t base = 9539 * luma[j] + (1 << (RGB_SHIFT - 1));
            rgb[0][p][j] = clamp8((base + 13075 * cr[p][j]) >> RGB_SHIFT);
            rgb[1][p][j] = clamp8((base - 3209 * cb[p][j] - 6660 * cr[p][j]) >> RGB_SHIFT);
            rgb[2][p][j] = clamp8((base + 16525 * cb[p][j]) >> RGB_SHIFT);
        }
    }
}

static uint8_t gray_of_rgb(int32_t r, int32_t g, int32_t b) {
    return (uint8_t)((19595 * r + 38470 * g + 7471 * b + (1 << (GRAY_SHIFT - 1))) >> GRAY_SHIFT);
}

/* Planes by phase to the caller's pixels; alpha is stored separately. */
static void store_planes(const sr_finish *finish, finished rgb, int count, uint8_t *to) {
    const int bytes = finish->out->bytes;
    for (int j = 0; j < count; j++) {
        for (int p = 0; p < finish->scale; p++, to += bytes) {
            if (bytes == 1) {
                to[0] = gray_of_rgb(rgb[0][p][j], rgb[1][p][j], rgb[2][p][j]);
            } else {
                to[0] = rgb[0][p][j];
                to[1] = rgb[1][p][j];
                to[2] = rgb[2][p][j];
            }
        }
    }
}

/* The network's own RGB to the caller's pixels. */
static void store_rgb(const uint8_t *network, uint32_t pitch, uint8_t *to, int bytes, int count) {
    for (int x = 0; x < count; x++, network += pitch, to += bytes) {
        if (bytes == 1) {
            to[0] = gray_of_rgb(network[0], network[1], network[2]);
        } else {
            to[0] = network[0];
            to[1] = network[1];
            to[2] = network[2];
        }
    }
}

static void store_alpha(const sr_finish *finish, enlarged alpha, int count, uint8_t *to) {
    for (int j = 0; j < count; j++) {
        for (int p = 0; p < finish->scale; p++, to += 4) {
            to[3] = clamp8((alpha[p][j] + (1 << (FRACTION - 1))) >> FRACTION);
        }
    }
}

/* What the rows of one block share: the input's samples. */
typedef struct block {
    int64_t from; /* first input column */
    int count;
    samples cb, cr, alpha;
} block;

static void open_block(const sr_finish *finish, int64_t input_row, int64_t from, block *b) {
    const sr_plane *in = finish->in;
    b->from = from;
    b->count = (int)sr_min(BLOCK, in->width - from);
    if (finish->colour == SR_COLOUR_Y) {
        if (in->bytes == 1) { /* gray has no chroma, exactly */
            memset(b->cb, 0, sizeof b->cb);
            memset(b->cr, 0, sizeof b->cr);
        } else {
            sample_chroma(in, input_row, from, b->cb, b->cr);
        }
    }
    if (finish->out->bytes != 4) return;
    if (in->bytes == 4) {
        sample_alpha(in, input_row, from, b->alpha);
    } else {
        for (int j = 0; j < ROWS * WIDE; j++) b->alpha[j / WIDE][j % WIDE] = 255 << FRACTION;
    }
}

static void finish_block(const sr_finish *finish, block *b, int phase, const uint8_t *network, uint32_t pitch, uint8_t *to) {
    enlarged first, second;
    if (finish->colour == SR_COLOUR_Y) {
        finished rgb;
        enlarge(finish, phase, b->cb, first);
        enlarge(finish, phase, b->cr, second);
        rgb_of_ycbcr(finish, network, pitch, b->count, first, second, rgb);
        store_planes(finish, rgb, b->count, to);
    } else {
        store_rgb(network, pitch, to, finish->out->bytes, b->count * finish->scale);
    }
    if (finish->out->bytes == 4) {
        enlarge(finish, phase, b->alpha, first);
        store_alpha(finish, first, b->count, to);
    }
}

void sr_finish_rows(const sr_finish *finish, const uint8_t *const *network, uint32_t pitch, int64_t input_row) {
    block b;
    for (int64_t from = 0; from < finish->in->width; from += BLOCK) {
        open_block(finish, input_row, from, &b);
        const int64_t first = from * finish->scale;
        for (int phase = 0; phase < finish->scale; phase++) {
            uint8_t *to = sr_row(finish->out, input_row * finish->scale + phase) + first * finish->out->bytes;
            finish_block(finish, &b, phase, network[phase] + first * pitch, pitch, to);
        }
    }
}
