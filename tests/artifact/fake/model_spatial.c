/* A hand-written program of every step of the driver's own, with one kernel: phases, 1x1 maps, mirrored and repeated edges,
 * a smallest picture and a multiple, so that sanitizers see all of it.
 *
 *     input -> pool (5x3, repeated edges: read by `blur`) -> blur -> mean, deviation -> gate (kernel, two 1x1 maps)
 *     gate -> norm -> largest -> gate again, with `norm` -> half (pool, stride 2) -> back (resize to the gate's size) -> output
 */
#include "program.h"

#define TAIL const void *w, const void *p, void *s, int32_t row0, int32_t row1, int32_t col0, int32_t col1
#define PAIR(name) void *name, const int32_t *name##r

/* 3x3 sum, modulo 256; also reads what lies outside. */
static void blur(PAIR(x), PAIR(y), TAIL) {
    (void)w, (void)p, (void)s;
    for (int32_t r = row0; r < row1; r++) {
        for (int32_t c = col0; c < col1; c++) {
            for (int k = 0; k < 3; k++) {
                int sum = 0;
                for (int i = 0; i < 9; i++) sum += (i + 1) * ((uint8_t *)x)[xr[r + i / 3] + (c + i % 3) * 4 + k];
                ((uint8_t *)y)[yr[r] + c * 4 + k] = (uint8_t)sum;
            }
        }
    }
}

/* y = x + a + b, a and b the same for every pixel */
static void gate(PAIR(x), PAIR(a), PAIR(b), PAIR(y), TAIL) {
    (void)w, (void)p, (void)s;
    for (int32_t r = row0; r < row1; r++) {
        for (int32_t c = col0; c < col1; c++) {
            for (int k = 0; k < 3; k++) {
                const int sum = ((uint8_t *)x)[xr[r] + c * 4 + k] + ((uint8_t *)a)[ar[r] + k] + ((uint8_t *)b)[br[r] + k];
                ((uint8_t *)y)[yr[r] + c * 4 + k] = (uint8_t)sum;
            }
        }
    }
}

/* The picture's side; half of it; twice; one. */
static const sr_affine AFFINES[] = {{1, 0, 2}, {2, 0, 1}, {0, 1, 1}};
static const sr_extent EXTENTS[] = {{0, 0}, {0, 1}, {1, 1}, {2, 1}};

enum { INPUT, POOLED, BLURRED, MEAN, DEVIATION, GATED, NORMED, LARGEST, GATED_AGAIN, HALF, BACK, OUTPUT };

static const sr_buffer BUFFERS[] = {
    [INPUT] = {"input", 3, 4, 0, 0, 0, SR_FORM_S8, 8, 128, SR_PAD_CONSTANT, 0},
    [POOLED] = {"pooled", 3, 4, 0, 0, 2, SR_FORM_U8, 8, 0, SR_PAD_REFLECT, 0},
    [BLURRED] = {"blurred", 3, 4, 0, 0, 0, SR_FORM_U8, 8, 0, SR_PAD_CONSTANT, 0},
    [MEAN] = {"mean", 3, 3, 3, 3, 0, SR_FORM_U8, 8, 0, SR_PAD_CONSTANT, 0},
    [DEVIATION] = {"deviation", 3, 3, 3, 3, 1, SR_FORM_U8, 8, 0, SR_PAD_REPLICATE, 0},
    [GATED] = {"gated", 3, 4, 0, 0, 0, SR_FORM_U8, 8, 0, SR_PAD_CONSTANT, 0},
    [NORMED] = {"normed", 3, 8, 0, 0, 1, SR_FORM_U16, 16, 0, SR_PAD_REPLICATE, 0},
    [LARGEST] = {"largest", 3, 3, 3, 3, 0, SR_FORM_U8, 8, 0, SR_PAD_CONSTANT, 0},
    [GATED_AGAIN] = {"gated again", 3, 4, 0, 0, 0, SR_FORM_U8, 8, 0, SR_PAD_CONSTANT, 0},
    [HALF] = {"half", 3, 3, 1, 1, 0, SR_FORM_U8, 8, 0, SR_PAD_CONSTANT, 0},
    [BACK] = {"back", 3, 4, 0, 0, 0, SR_FORM_U8, 8, 0, SR_PAD_CONSTANT, 0},
    [OUTPUT] = {"output", 3, 3, 2, 2, 0, SR_FORM_U8, 8, 0, SR_PAD_CONSTANT, 0},
};

/* Plain parameters lie in sr_data: of all kinds the same words, whatever they mean there. */
static const tvmsr_param_layout BLOCK = {3, 1, 16, 1, 0, 0, 0};
static const sr_stored HOLDS[] = {{"some", 0, 3}, {"more", 0, 3}};

static const sr_spatial PLAIN = {3, 0, 0, 0, 0, 0, 0}, A_MAX = {3, SR_MAX, 0, 0, 0, 0, 0};
static const sr_spatial CONTRAST[] = {{3, SR_MEAN, 0, 0, 0, 0, 0}, {3, SR_DEVIATION, 0, 1, 0, 0, 0}};
static const sr_spatial BY_SIZE = {3, SR_LINEAR, SR_ALIGN_CORNERS, 0, 0, 0, 0}, TWICE = {3, SR_CUBIC, 0, 0, 2, 1, -192};

#define OPERANDS(name, from, to) static const sr_operand name[] = {{from, 1, 0}, {to, 1, 0}}
OPERANDS(OP_POOL, INPUT, POOLED);
OPERANDS(OP_BLUR, POOLED, BLURRED);
OPERANDS(OP_NORM, GATED, NORMED);
OPERANDS(OP_LARGEST, NORMED, LARGEST);
OPERANDS(OP_HALF, GATED_AGAIN, HALF);
OPERANDS(OP_BACK, HALF, BACK);
OPERANDS(OP_OUT, BACK, OUTPUT);
static const sr_operand OP_CONTRAST[] = {{BLURRED, 1, 0}, {MEAN, 1, 0}, {DEVIATION, 1, 0}};
static const sr_operand OP_GATE[] = {{BLURRED, 1, 0}, {MEAN, 0, 0}, {DEVIATION, 0, 0}, {GATED, 1, 0}};
static const sr_operand OP_AGAIN[] = {{GATED, 1, 0}, {LARGEST, 0, 0}, {MEAN, 0, 0}, {GATED_AGAIN, 1, 0}};

#define OWNS(name, operands, kind, stores, stride, rows, columns, top, left, bottom, right, spatial) \
    {name, 0, operands, kind, 0, stores, stride, rows, columns, top, left, bottom, right, 1, 1, 0, 0, 0, -1, 0, spatial, 0, 0, 0, \
     HOLDS}
#define OWN(name, operands, kind, ...) OWNS(name, operands, kind, 1, __VA_ARGS__)
#define KERNEL(name, kernel, operands, beside, side, pad) \
    {name, (sr_kernel)kernel, operands, SR_KERNEL, beside, 1, 1, side, side, pad, pad, pad, pad, 1, 8, 0, 0, 0, -1, 5000, 0, 0, \
     &BLOCK, 0, HOLDS}

static const sr_step STEPS[] = {
    OWN("pool", OP_POOL, SR_MAX_POOL, 1, 5, 3, 3, 1, 1, 1, &PLAIN),
    KERNEL("blur", blur, OP_BLUR, 0, 3, 1),
    OWNS("mean", OP_CONTRAST, SR_STATISTIC, 2, 1, 1, 1, 0, 0, 0, 0, CONTRAST),
    KERNEL("gate", gate, OP_GATE, 2, 1, 0),
    OWN("norm", OP_NORM, SR_LAYER_NORM, 1, 1, 1, 0, 0, 0, 0, &PLAIN),
    OWN("largest", OP_LARGEST, SR_STATISTIC, 1, 1, 1, 0, 0, 0, 0, &A_MAX),
    KERNEL("again", gate, OP_AGAIN, 2, 1, 0),
    OWN("half", OP_HALF, SR_MAX_POOL, 2, 2, 2, 0, 0, 0, 0, &PLAIN),
    OWN("back", OP_BACK, SR_RESIZE, 1, 1, 1, 0, 0, 0, 0, &BY_SIZE),
    OWN("out", OP_OUT, SR_RESIZE, 1, 1, 1, 0, 0, 0, 0, &TWICE),
};

static const char *const NOTHING[] = {0};
static const sr_program PROGRAMS[] = {{BUFFERS, STEPS, 12, 10, INPUT, OUTPUT}, {0}};
static const sr_level LEVELS[] = {{"only", NOTHING, PROGRAMS}, {0}};
/* Of a core, and shared. */
#ifndef CACHES
#define CACHES 0, 0
#endif

static const char *const CHOICES[] = {"a8", 0};

const sr_model sr_the_model = {
    SR_PROGRAM_VERSION, 2, SR_COLOUR_RGB, 4, 4, 4, 2, 2, 1, 0, 4, 3, 1, CACHES, CHOICES, 0, 0, EXTENTS, AFFINES, 0, LEVELS, sr_data, 160,
    UINT64_C(0x1b8abe691f83a397), 0, 0, 0, 0, 0};
