/* Of the packer alone: plain codes to lines of neighbouring channels, their transforms, and lines to what lies side by
 * side in packed weights. It is the time that opening takes: the loops go by whole chunks, without a branch, so that
 * compilers make vectors of them on every CPU.
 */
#ifndef TVMSR_PACK_LINES_H
#define TVMSR_PACK_LINES_H

#include <string.h>

#include "pack.h"

enum { CHUNK = 16, COLUMNS = 4 * CHUNK, LINE = COLUMNS + CHUNK, TAPS = 9 };

/* In front of a loop over a line: clang takes interleaved bytes for dearer than they are. Where it makes no vectors it
 * need not say so. Artifacts are compiled without unrolling, to be small. WHOLE: in front of a loop in such a one, which is
 * gone then. FOURS: of one that gets no vectors. */
#ifdef __clang__
#pragma clang diagnostic ignored "-Wpass-failed"
#define VECTORS _Pragma("clang loop vectorize(enable) interleave(disable)")
#define WHOLE _Pragma("clang loop unroll(full)")
#define FOURS _Pragma("clang loop unroll_count(4)")
#else
#define VECTORS
#define WHOLE
#define FOURS
#endif

static inline size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* A layer's codes. */
typedef struct {
    const uint8_t *codes;
    size_t count;
    int32_t bits;
} plain_codes;

static inline int8_t signed_nibble(int nibble) { return (int8_t)((nibble ^ 8) - 8); }

static inline int8_t code_at(const plain_codes *p, size_t index) {
    if (p->bits > 4) return ((const int8_t *)p->codes)[index];
    return signed_nibble(index % 2 ? p->codes[index / 2] >> 4 : p->codes[index / 2] & 15);
}

/* `count` neighbouring codes. Of nibbles whole bytes and chunks, as far as the layer reaches: one code before `to` may
 * be written, and less than a chunk past the last. */
static inline void fetch(const plain_codes *p, size_t index, size_t count, int8_t *restrict to) {
    if (p->bits > 4) {
        memcpy(to, p->codes + index, count);
        return;
    }
    const uint8_t *bytes = p->codes + index / 2;
    int8_t *pairs = to - index % 2;
    count += index % 2;
    index -= index % 2;
    const size_t chunks = smaller((count + CHUNK - 1) / CHUNK, (p->count - index) / CHUNK);
    VECTORS for (size_t i = 0; i < chunks * (CHUNK / 2); ++i) {
        pairs[2 * i] = signed_nibble(bytes[i] & 15);
        pairs[2 * i + 1] = signed_nibble(bytes[i] >> 4);
    }
    for (size_t i = chunks * CHUNK; i < count; ++i) pairs[i] = code_at(p, index + i);
}

/* Lines, PITCH apart, -> columns of `depth` elements side by side; whole chunks of them. SOME and OTHER: the depths
 * that most layouts have. */
#define SPREAD_DEPTH(DEPTH, PITCH)                                                                     \
    for (size_t i = 0; i < chunks * CHUNK; ++i) {                                                      \
        WHOLE for (size_t d = 0; d < (DEPTH); ++d) out[i * (DEPTH) + d] = lines[d * (PITCH) + i];      \
    }
#define SPREAD(NAME, FROM, PITCH, TO, SOME, OTHER)                                                     \
    static void NAME(const FROM *restrict lines, size_t depth, size_t chunks, TO *restrict out) {      \
        if (depth == (SOME)) {                                                                         \
            VECTORS SPREAD_DEPTH(SOME, PITCH)                                                          \
        } else if (depth == (OTHER)) {                                                                 \
            VECTORS SPREAD_DEPTH(OTHER, PITCH)                                                         \
        }                                                                                              \
        for (size_t d = 0; depth != (SOME) && depth != (OTHER) && d < depth; ++d) {                    \
            FOURS for (size_t i = 0; i < chunks * CHUNK; ++i) out[i * depth + d] = lines[d * (PITCH) + i]; \
        }                                                                                              \
    }
SPREAD(spread_bytes, int8_t, LINE, int8_t, 2, 4)
SPREAD(widen_bytes, int8_t, LINE, int16_t, 1, 2)
SPREAD(spread_words, int16_t, COLUMNS, int16_t, 1, 2)

/* Rows of G of F(2x2,3x3) of three lines: four lines, `pitch` apart. As bytes modulo 256: what is stored fits a byte. */
#define ROWS2(NAME, TYPE)                                                                                        \
    static inline void NAME(const TYPE *restrict a, const TYPE *restrict b, const TYPE *restrict c, size_t chunks, \
                            TYPE *restrict to, size_t pitch) {                                                   \
        VECTORS for (size_t i = 0; i < chunks * CHUNK; ++i) {                                                    \
            to[i] = (TYPE)(a[i] + a[i]);                                                                         \
            to[pitch + i] = (TYPE)(a[i] + c[i] + b[i]);                                                          \
            to[2 * pitch + i] = (TYPE)(a[i] + c[i] - b[i]);                                                      \
            to[3 * pitch + i] = (TYPE)(c[i] + c[i]);                                                             \
        }                                                                                                        \
    }
ROWS2(rows2, int8_t)
ROWS2(rows2_words, int16_t)

/* Of F(4x4,3x3), as words: six lines. */
static inline void rows4(const int16_t *restrict a, const int16_t *restrict b, const int16_t *restrict c, size_t chunks,
                         int16_t *restrict to, size_t pitch) {
    VECTORS for (size_t i = 0; i < chunks * CHUNK; ++i) {
        int16_t ends = (int16_t)(a[i] + c[i]), far = (int16_t)(a[i] + 4 * c[i]), twice = (int16_t)(2 * b[i]);
        to[i] = (int16_t)(6 * a[i]);
        to[pitch + i] = (int16_t)(-4 * (ends + b[i]));
        to[2 * pitch + i] = (int16_t)(4 * (b[i] - ends));
        to[3 * pitch + i] = (int16_t)(far + twice);
        to[4 * pitch + i] = (int16_t)(far - twice);
        to[5 * pitch + i] = (int16_t)(12 * c[i]);
    }
}

/* U = G w G': TAPS lines of codes -> a line for every position, `pitch` apart. */
static inline void transform2(const int8_t *codes, size_t chunks, int8_t *u, size_t pitch) {
    int8_t half[4][3][LINE];
    for (size_t j = 0; j < 3; ++j) {
        rows2(codes + j * LINE, codes + (3 + j) * LINE, codes + (6 + j) * LINE, chunks, half[0][j], 3 * LINE);
    }
    for (size_t i = 0; i < 4; ++i) rows2(half[i][0], half[i][1], half[i][2], chunks, u + 4 * i * pitch, pitch);
}

static inline void transform2_words(const int8_t *codes, size_t chunks, int16_t *u, size_t pitch) {
    int16_t taps[TAPS][COLUMNS], half[4][3][COLUMNS];
    for (size_t k = 0; k < TAPS; ++k) widen_bytes(codes + k * LINE, 1, chunks, taps[k]);
    for (size_t j = 0; j < 3; ++j) rows2_words(taps[j], taps[3 + j], taps[6 + j], chunks, half[0][j], 3 * COLUMNS);
    for (size_t i = 0; i < 4; ++i) rows2_words(half[i][0], half[i][1], half[i][2], chunks, u + 4 * i * pitch, pitch);
}

static inline void transform4(const int8_t *codes, size_t chunks, int16_t *u, size_t pitch) {
    int16_t taps[TAPS][COLUMNS], half[6][3][COLUMNS];
    for (size_t k = 0; k < TAPS; ++k) widen_bytes(codes + k * LINE, 1, chunks, taps[k]);
    for (size_t j = 0; j < 3; ++j) rows4(taps[j], taps[3 + j], taps[6 + j], chunks, half[0][j], 3 * COLUMNS);
    for (size_t i = 0; i < 6; ++i) rows4(half[i][0], half[i][1], half[i][2], chunks, u + 6 * i * pitch, pitch);
}

#endif
