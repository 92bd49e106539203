/* docs/numerics-colour.md is the definition, tvmsr/imaging/colour.py the reference.
 *
 * Rows are finished in blocks of input columns, so that what lies between the steps fits the stack. Of a block's input rows
 * the samples are made once: five rows of them pass by as the block goes down. Loops run over whole blocks, in planes, for
 * the compiler's vectors; columns past the picture's edge repeat it and are not stored. On x86, where the driver may use
 * no more than SSE2, everything is there a second time for CPUs with AVX2; the first is small then.
 */
#include "colour.h"

#include <string.h>

#include "cpu.h"
#include "memory.h"
#include "program.h"
#include "rows.h"
#include "session.h"

/* Input columns of a block; around it two taps on each side; input rows that one input row's outputs read. */
#define BLOCK 64
#define MARGIN 2
#define WIDE (BLOCK + 2 * MARGIN)
#define ROWS 5
#define LONG (SR_MAX_SCALE * BLOCK)

/* Compiled into each of the functions that are there for several CPUs. */
#define INLINE static inline __attribute__((always_inline))

/* In front of a loop that one vector at a time is enough for, or one number: blocks are short, and an artifact small. */
#if defined(__clang__)
#define VECTORS _Pragma("clang loop interleave_count(1) unroll(disable)")
#define NUMBERS _Pragma("clang loop vectorize(disable) unroll(disable)")
#define SMALL __attribute__((minsize))
#else
#define VECTORS
#define NUMBERS
#define SMALL
#endif

enum { FRACTION = 6, WEIGHT_SHIFT = 11, CHROMA_SHIFT = 14, RGB_SHIFT = 19, GRAY_SHIFT = 16 };

enum { CB, CR, ALPHA, PLANES };

/* Samples of an input plane: rows i - 2 .. i + 2, row r in slot (r + ROWS) % ROWS, columns from - 2 .. */
typedef int16_t samples[ROWS][WIDE];

/* A row of a block's output, in the output's order. */
typedef int16_t enlarged[LONG];
typedef uint8_t finished[LONG];

/* 2048 times Keys' cubic at distance d / n, rounded to nearest, ties up. */
SMALL static int64_t cubic(int64_t d, int64_t n) {
    const int64_t twice = d <= n ? 3 * d * d * d - 5 * d * d * n + 2 * n * n * n
                          : d <= 2 * n ? -d * d * d + 5 * d * d * n - 8 * d * n * n + 4 * n * n * n
                                       : 0;
    return sr_floor_div(twice * (1 << WEIGHT_SHIFT) + n * n * n, 2 * n * n * n);
}

/* Output sample scale * i + phase lies at i + (2 phase + 1 - scale) / (2 scale) of the input. */
SMALL static void set_phase(sr_finish *finish, int phase) {
    const int64_t n = 2 * finish->scale, offset = 2 * phase + 1 - finish->scale;
    const int64_t whole = sr_floor_div(offset, n), part = offset - whole * n;
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

/* Channels [first, last) of one input row, columns from - MARGIN on, held to the picture's edges. */
static __attribute__((noinline)) void gather(const sr_plane *in, const uint8_t *row, int64_t from, int first, int last,
                                             int16_t (*to)[WIDE]) {
    const int64_t rightmost = in->width - 1;
    NUMBERS
    for (int j = 0; j < WIDE; j++) {
        const uint8_t *pixel = row + sr_max(0, sr_min(from - MARGIN + j, rightmost)) * in->bytes;
        NUMBERS
        for (int channel = first; channel < last; channel++) to[channel - first][j] = pixel[channel];
    }
}

INLINE void sample_chroma(int16_t rgb[3][WIDE], int16_t *cb, int16_t *cr) {
    const int32_t half = 1 << (CHROMA_SHIFT - 1);
    const int16_t *r = rgb[0], *g = rgb[1], *b = rgb[2];
    VECTORS
    for (int j = 0; j < WIDE; j++) {
        cb[j] = (int16_t)((-155424 * r[j] - 305127 * g[j] + 460551 * b[j] + half) >> CHROMA_SHIFT);
        cr[j] = (int16_t)((460551 * r[j] - 385654 * g[j] - 74897 * b[j] + half) >> CHROMA_SHIFT);
    }
}

/* Which planes a picture's finish enlarges: bits 1 << plane. A gray picture has no chroma, exactly. */
static int enlarged_planes(const sr_finish *finish) {
    const int chroma = finish->colour == SR_COLOUR_Y && finish->in->bytes != 1;
    const int alpha = finish->in->bytes == 4 && finish->out->bytes == 4;
    return (chroma ? 1 << CB | 1 << CR : 0) | (alpha ? 1 << ALPHA : 0);
}

INLINE void sample_row(const sr_finish *finish, int planes, int64_t row, int64_t from, samples x[PLANES]) {
    const sr_plane *in = finish->in;
    const uint8_t *pixels = sr_row(in, sr_max(0, sr_min(row, in->height - 1)));
    const int slot = (int)((row + ROWS) % ROWS);
    int16_t rgb[3][WIDE];
    if (planes & 1 << CB) {
        gather(in, pixels, from, 0, 3, rgb);
        sample_chroma(rgb, x[CB][slot], x[CR][slot]);
    }
    if (planes & 1 << ALPHA) {
        gather(in, pixels, from, 3, 4, &x[ALPHA][slot]);
        VECTORS
        for (int j = 0; j < WIDE; j++) x[ALPHA][slot][j] = (int16_t)(x[ALPHA][slot][j] * (1 << FRACTION));
    }
}

/* Planes by phase to one in the output's order. shuffles: the CPU has them for bytes, so that it pays to write such loops
 * with constants. */
INLINE void interleave(int16_t y[SR_MAX_SCALE][BLOCK], int scale, int shuffles, enlarged to) {
    switch (shuffles ? scale : 0) {
        case 2:
            VECTORS
            for (int j = 0; j < BLOCK; j++) to[2 * j] = y[0][j], to[2 * j + 1] = y[1][j];
            return;
        case 3:
            VECTORS
            for (int j = 0; j < BLOCK; j++) to[3 * j] = y[0][j], to[3 * j + 1] = y[1][j], to[3 * j + 2] = y[2][j];
            return;
        case 4:
            VECTORS
            for (int j = 0; j < BLOCK; j++) {
                to[4 * j] = y[0][j], to[4 * j + 1] = y[1][j], to[4 * j + 2] = y[2][j], to[4 * j + 3] = y[3][j];
            }
            return;
        default:
            for (int p = 0; p < scale; p++) {
                NUMBERS
                for (int j = 0; j < BLOCK; j++) to[j * scale + p] = y[p][j];
            }
    }
}

/* Four samples by the weights of a phase. */
INLINE int16_t weighted(const int16_t w[SR_TAPS], int32_t a, int32_t b, int32_t c, int32_t d) {
    return (int16_t)((w[0] * a + w[1] * b + w[2] * c + w[3] * d + (1 << (WEIGHT_SHIFT - 1))) >> WEIGHT_SHIFT);
}

/* Rows first, then columns: the output row of this phase of input row `row`. */
INLINE void enlarge(const sr_finish *finish, int phase, int64_t row, samples x, int shuffles, enlarged to) {
    const int64_t first = row + finish->first[phase] + ROWS;
    const int16_t *x0 = x[first % ROWS], *x1 = x[(first + 1) % ROWS], *x2 = x[(first + 2) % ROWS], *x3 = x[(first + 3) % ROWS];
    int16_t t[WIDE], y[SR_MAX_SCALE][BLOCK];
    VECTORS
    for (int j = 0; j < WIDE; j++) t[j] = weighted(finish->weights[phase], x0[j], x1[j], x2[j], x3[j]);
    for (int p = 0; p < finish->scale; p++) {
        const int16_t *at = t + MARGIN + finish->first[p];
        VECTORS
        for (int j = 0; j < BLOCK; j++) y[p][j] = weighted(finish->weights[p], at[j], at[j + 1], at[j + 2], at[j + 3]);
    }
    interleave(y, finish->scale, shuffles, to);
}

INLINE uint8_t clamp8(int32_t value) { return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value); }

/* Y of the network's row and chroma to RGB. */
INLINE void rgb_of_ycbcr(const uint8_t *network, uint32_t pitch, int count, enlarged cb, enlarged cr, finished rgb[3]) {
    finished luma;
    VECTORS
    for (int i = 0; i < count; i++) luma[i] = network[(uint32_t)i * pitch];
    VECTORS
    for (int i = 0; i < count; i++) {
        const int16_t y = (int16_t)((luma[i] - 16) * (1 << FRACTION));
        const int32_t base = 9539 * y + (1 << (RGB_SHIFT - 1));
        rgb[0][i] = clamp8((base + 13075 * cr[i]) >> RGB_SHIFT);
        rgb[1][i] = clamp8((base - 3209 * cb[i] - 6660 * cr[i]) >> RGB_SHIFT);
        rgb[2][i] = clamp8((base + 16525 * cb[i]) >> RGB_SHIFT);
    }
}

INLINE uint8_t gray_of_rgb(int32_t r, int32_t g, int32_t b) {
    return (uint8_t)((19595 * r + 38470 * g + 7471 * b + (1 << (GRAY_SHIFT - 1))) >> GRAY_SHIFT);
}

/* Planes to the caller's pixels. */
INLINE void store(finished rgb[3], finished alpha, int bytes, int shuffles, int count, uint8_t *restrict to) {
    const uint8_t *restrict r = rgb[0], *restrict g = rgb[1], *restrict b = rgb[2];
    if (bytes == 1) {
        VECTORS
        for (int i = 0; i < count; i++) to[i] = gray_of_rgb(r[i], g[i], b[i]);
    } else if (shuffles && bytes == 3) {
        VECTORS
        for (int i = 0; i < count; i++) to[3 * i] = r[i], to[3 * i + 1] = g[i], to[3 * i + 2] = b[i];
    } else if (shuffles) {
        VECTORS
        for (int i = 0; i < count; i++) {
            to[4 * i] = r[i], to[4 * i + 1] = g[i], to[4 * i + 2] = b[i], to[4 * i + 3] = alpha[i];
        }
    } else {
        NUMBERS
        for (int i = 0; i < count; i++, to += bytes) {
            to[0] = r[i], to[1] = g[i], to[2] = b[i];
            if (bytes == 4) to[3] = alpha[i];
        }
    }
}

/* The network's own RGB to the caller's pixels. */
INLINE void store_rgb(const uint8_t *network, uint32_t pitch, finished alpha, int bytes, int count, uint8_t *to) {
    NUMBERS
    for (int i = 0; i < count; i++, network += pitch, to += bytes) {
        if (bytes == 1) {
            to[0] = gray_of_rgb(network[0], network[1], network[2]);
            continue;
        }
        to[0] = network[0], to[1] = network[1], to[2] = network[2];
        if (bytes == 4) to[3] = alpha[i];
    }
}

/* One output row of a block: `count` pixels. */
INLINE void finish_row(const sr_finish *finish, int planes, int phase, int64_t row, samples x[PLANES],
                       const uint8_t *network, uint32_t pitch, int count, int shuffles, uint8_t *to) {
    enlarged y[PLANES];
    finished rgb[3], alpha;
    for (int plane = 0; plane < PLANES; plane++) {
        if (planes & 1 << plane) enlarge(finish, phase, row, x[plane], shuffles, y[plane]);
    }
    if (planes & 1 << ALPHA) {
        VECTORS
        for (int i = 0; i < count; i++) alpha[i] = clamp8((y[ALPHA][i] + (1 << (FRACTION - 1))) >> FRACTION);
    } else {
        memset(alpha, 255, sizeof alpha);
    }
    if (finish->colour != SR_COLOUR_Y) {
        store_rgb(network, pitch, alpha, finish->out->bytes, count, to);
        return;
    }
    if (!(planes & 1 << CB)) memset(y, 0, 2 * sizeof *y);
    rgb_of_ycbcr(network, pitch, count, y[CB], y[CR], rgb);
    store(rgb, alpha, finish->out->bytes, shuffles, count, to);
}

INLINE void finish_rows(const sr_finish *finish, const sr_result *network, int64_t first, int64_t last, int shuffles) {
    const int planes = enlarged_planes(finish), scale = finish->scale;
    samples x[PLANES];
    for (int64_t from = 0; from < finish->in->width; from += BLOCK) {
        const int count = scale * (int)sr_min(BLOCK, finish->in->width - from);
        const int64_t start = from * scale;
        for (int64_t next = first - MARGIN; next < last + MARGIN; next++) {
            sample_row(finish, planes, next, from, x);
            const int64_t row = next - MARGIN;
            for (int phase = 0; phase < scale && row >= first; phase++) {
                const uint8_t *line = network->base + sr_ring_row(network->ring, row * scale + phase);
                uint8_t *to = sr_row(finish->out, row * scale + phase) + start * finish->out->bytes;
                finish_row(finish, planes, phase, row, x, line + start * network->pitch, network->pitch, count,
                           shuffles, to);
            }
        }
    }
}

/* With SR_PLAIN_COLOUR, for tests, as on a CPU without AVX2. */
#if defined(__x86_64__) || defined(__i386__)
#define SHUFFLES 0
#define PLAIN SMALL
#if !defined(SR_PLAIN_COLOUR)
#define TWICE
__attribute__((target("avx2"))) static void finish_avx2(const sr_finish *finish, const sr_result *network, int64_t first,
                                                        int64_t last) {
    finish_rows(finish, network, first, last, 1);
}
#endif
#else
#define SHUFFLES 1
#define PLAIN
#endif

PLAIN static void finish_plain(const sr_finish *finish, const sr_result *network, int64_t first, int64_t last) {
    finish_rows(finish, network, first, last, SHUFFLES);
}

static sr_finish_run best_run(void) {
#if defined(TWICE)
    static const char *const AVX2[] = {"avx2", NULL};
    if (sr_cpu_lacks(AVX2) == NULL) return finish_avx2;
#endif
    return finish_plain;
}

SMALL void sr_finish_open(sr_finish *finish, const sr_plane *in, const sr_plane *out, int colour, int scale) {
    memset(finish, 0, sizeof *finish);
    finish->in = in;
    finish->out = out;
    finish->colour = colour;
    finish->scale = scale;
    finish->run = best_run();
    for (int phase = 0; phase < scale; phase++) set_phase(finish, phase);
}

void sr_finish_rows(const sr_finish *finish, const sr_result *network, int64_t first, int64_t last) {
    finish->run(finish, network, first, last);
}
