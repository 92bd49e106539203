/* A hand-written program for the driver: small kernels in C, with everything a driver must get right.
 *
 * Pad codes that are not zero, a slice of a buffer that is read while another is written, a residual from far above, a
 * kernel of five rows with two stores, signed and 16-bit forms, depth to space, two bit choices, scratch of each thread.
 * tests/artifact/fake_reference.py computes the same in numpy.
 */
#include <stdlib.h>

#include "program.h"

#define K2 void *x, const int32_t *xr, void *y, const int32_t *yr, const void *w, const void *p, void *s, \
           int32_t row0, int32_t row1, int32_t col0, int32_t col1
#define K3 void *x, const int32_t *xr, void *y, const int32_t *yr, void *z, const int32_t *zr, const void *w, \
           const void *p, void *s, int32_t row0, int32_t row1, int32_t col0, int32_t col1
#define K4 void *x, const int32_t *xr, void *a, const int32_t *ar, void *b, const int32_t *br, void *y, \
           const int32_t *yr, const void *w, const void *p, void *s, int32_t row0, int32_t row1, int32_t col0, int32_t col1

/* Grid rows and columns that some kernels compute together, as those of a transform do. */
#ifndef GRANULE
#define GRANULE 1
#endif
#define PATCH (GRANULE + 2)

/* Bytes of scratch that the first choice's steps have more than those of the second, and do not use. */
#ifndef MORE
#define MORE 0
#endif

static void must_begin_at_granules(int32_t row0, int32_t col0) {
    if (row0 % GRANULE != 0 || col0 % GRANULE != 0) abort();
}

/* y[c] = bias + sum (1 + 3 i + j) x[i][j][c], 3 x 3; the first operand's stored values are q - minus. A granule's inputs are
 * read together, into the scratch, which no other thread may use: those of pixels outside of the range too. */
static void blur(uint8_t *x, const int32_t *xr, int xp, uint8_t *y, const int32_t *yr, int yp, int minus, int bias,
                 uint8_t (*s)[PATCH][3], int32_t row0, int32_t row1, int32_t col0, int32_t col1) {
    must_begin_at_granules(row0, col0);
    const int32_t across = (col1 - col0 + GRANULE - 1) / GRANULE;
    for (int32_t n = 0; row0 + n / across * GRANULE < row1; n++) {
        const int32_t r0 = row0 + n / across * GRANULE, c0 = col0 + n % across * GRANULE;
        for (int i = 0; i < PATCH * PATCH * 3; i++) {
            const int u = i / (PATCH * 3), v = i / 3 % PATCH, k = i % 3;
            s[u][v][k] = (uint8_t)(x[xr[r0 + u] + (c0 + v) * xp + k] + minus);
        }
        for (int i = 0; i < GRANULE * GRANULE * 3; i++) {
            const int u = i / (GRANULE * 3), v = i / 3 % GRANULE, k = i % 3;
            if (r0 + u >= row1 || c0 + v >= col1) continue;
            int sum = bias;
            for (int j = 0; j < 9; j++) sum += (1 + j) * s[u + j / 3][v + j % 3][k];
            y[yr[r0 + u] + (c0 + v) * yp + k] = (uint8_t)sum;
        }
    }
}

static int bias_of(const void *p) { return *(const int32_t *)p; }

static void blur_input(K2) {
    (void)w;
    blur(x, xr, 4, y, yr, 8, 128, bias_of(p), s, row0, row1, col0, col1);
}

static void blur_slice(K2) {
    (void)w;
    blur(x, xr, 8, y, yr, 3, 0, bias_of(p), s, row0, row1, col0, col1);
}

/* y = sum of five rows, i + 1 times each; z = 257 times the second row's code, 16 bits. */
static void tall(K3) {
    (void)w, (void)s;
    for (int32_t r = row0; r < row1; r++) {
        for (int32_t c = col0; c < col1; c++) {
            for (int k = 0; k < 3; k++) {
                int sum = bias_of(p);
                for (int i = 0; i < 5; i++) sum += (i + 1) * ((uint8_t *)x)[xr[r + i] + c * 8 + k];
                ((uint8_t *)y)[yr[r] + c * 8 + k] = (uint8_t)sum;
                *(uint16_t *)(void *)((uint8_t *)z + zr[r] + c * 6 + 2 * k) =
                    (uint16_t)(257 * ((uint8_t *)x)[xr[r + 1] + c * 8 + k]);
            }
        }
    }
}

/* y = x + high byte of a + b, b the input's codes less 128 */
static void add(K4) {
    (void)w, (void)s;
    for (int32_t r = row0; r < row1; r++) {
        for (int32_t c = col0; c < col1; c++) {
            for (int k = 0; k < 3; k++) {
                uint16_t wide = *(uint16_t *)(void *)((uint8_t *)a + ar[r] + c * 6 + 2 * k);
                int sum = ((uint8_t *)x)[xr[r] + c * 3 + k] + (wide >> 8) + ((uint8_t *)b)[br[r] + c * 4 + k] + 128;
                ((uint8_t *)y)[yr[r] + c * 4 + k] = (uint8_t)(sum + bias_of(p));
            }
        }
    }
}

/* 0 where sums are rounded to nearest even, 1 where upwards: 2^23 + 2.5 has no float. */
static int rounding_error(void) {
    volatile float large = 8388608.0f, part = 2.5f;
    return (int)((large + part) - large) - 2;
}

/* depth to space, block 2: y[2r + dy][2c + dx] = x (1 + 2 dy + dx) */
static void expand(const uint8_t *x, const int32_t *xr, uint8_t *y, const int32_t *yr, int yp, int bias, int32_t row0,
                   int32_t row1, int32_t col0, int32_t col1) {
    must_begin_at_granules(row0, col0);
    bias += rounding_error();
    for (int32_t r = row0; r < row1; r++) {
        for (int32_t c = col0; c < col1; c++) {
            for (int n = 0; n < 12; n++) {
                const int dy = n / 6, dx = n / 3 % 2, k = n % 3;
                y[yr[2 * r + dy] + (2 * c + dx) * yp + k] = (uint8_t)(x[xr[r] + c * 4 + k] * (1 + 2 * dy + dx) + bias);
            }
        }
    }
}

static void expand3(K2) {
    (void)w, (void)s;
    expand(x, xr, y, yr, 3, bias_of(p), row0, row1, col0, col1);
}

static void expand4(K2) {
    (void)w, (void)s;
    expand(x, xr, y, yr, 4, bias_of(p), row0, row1, col0, col1);
}

/* Of each choice. */
static const uint16_t PAD_INPUT[][3] = {{7, 0, 255}, {9, 1, 254}};
static const uint16_t PAD_SLICES[][8] = {{1, 2, 3, 0, 4, 5, 6, 0}, {11, 12, 13, 0, 14, 15, 16, 0}};

/* Extents: the picture's side, and twice that. */
#define BUFFERS(choice, out_pitch) \
    {"input", 3, 4, 0, 0, 1, SR_FORM_S8, 8, 128, 0, PAD_INPUT[choice]}, {"slices", 8, 8, 0, 0, 1, SR_FORM_U8, 8, 0, 0, PAD_SLICES[choice]}, \
    {"wide", 3, 6, 0, 0, 0, SR_FORM_U16, 16, 0, 0, 0}, {"blurred", 3, 3, 0, 0, 0, SR_FORM_U8, 8, 0, 0, 0}, \
    {"sum", 3, 4, 0, 0, 0, SR_FORM_U8, 8, 0, 0, 0}, {"output", 3, out_pitch, 1, 1, 0, SR_FORM_U8, 8, 0, 0, 0}

static const sr_affine AFFINES[] = {{2, 0, 1}};
static const sr_extent EXTENTS[] = {{0, 0}, {0, 1}};

static const sr_buffer DIRECT[][6] = {{BUFFERS(0, 3)}, {BUFFERS(1, 3)}};
static const sr_buffer COPIED[][6] = {{BUFFERS(0, 4)}, {BUFFERS(1, 4)}};

static const sr_operand OP0[] = {{0, 1, 0}, {1, 1, 0}};
static const sr_operand OP1[] = {{1, 1, 0}, {1, 1, 4}, {2, 1, 0}};
static const sr_operand OP2[] = {{1, 1, 4}, {3, 1, 0}};
static const sr_operand OP3[] = {{3, 1, 0}, {2, 1, 0}, {0, 1, 0}, {4, 1, 0}};
static const sr_operand OP4[] = {{4, 1, 0}, {5, 2, 0}};

static const sr_stored HOLDS0[] = {{"blur0", 0, 3}};
static const sr_stored HOLDS1[] = {{"tall", 0, 3}, {"wide", 0, 3}};
static const sr_stored HOLDS2[] = {{"blur1", 0, 3}};
static const sr_stored HOLDS3[] = {{"add", 0, 3}};
static const sr_stored HOLDS4[] = {{"expand", 0, 3}};

static const tvmsr_param_layout BLOCK = {3, 1, 16, 1, 0, 0, 0};

#define STEP(choice, n, name, kernel, residuals, stores, rows, top, left, granule, ahead) \
    {name, (sr_kernel)kernel, OP##n, SR_KERNEL, residuals, stores, 1, rows, 2 * left + 1, top, left, top, left, granule, 4 * (granule), \
     ahead, ahead, PATCH * PATCH * 3 + (1 - (choice)) * MORE, -1, 5000, 0, 0, &BLOCK, 4 * (choice), HOLDS##n}
#define AHEAD (GRANULE - 1)
#define STEPS(c, of, last) \
    STEP(c, 0, of "blur0", blur_input, 0, 1, 3, 1, 1, GRANULE, 2 + AHEAD), STEP(c, 1, of "tall", tall, 0, 2, 5, 2, 0, 1, 0), \
    STEP(c, 2, of "blur1", blur_slice, 0, 1, 3, 1, 1, GRANULE, AHEAD), STEP(c, 3, of "add", add, 2, 1, 1, 0, 0, 1, 1), \
    STEP(c, 4, of "expand", last, 0, 1, 1, 0, 0, GRANULE, 0)

static const sr_step STEPS_DIRECT[][5] = {{STEPS(0, "", expand3)}, {STEPS(1, "a6:", expand3)}};
static const sr_step STEPS_COPIED[][5] = {{STEPS(0, "", expand4)}, {STEPS(1, "a6:", expand4)}};

static const char *const NOTHING[] = {0};
static const char *const IMPOSSIBLE[] = {"no-such-feature", 0};

#define PROGRAMS(buffers, steps) {buffers[0], steps[0], 6, 5, 0, 5}, {buffers[1], steps[1], 6, 5, 0, 5}, {0}
static const sr_program DIRECT_PROGRAMS[] = {PROGRAMS(DIRECT, STEPS_DIRECT)}, COPIED_PROGRAMS[] = {PROGRAMS(COPIED, STEPS_COPIED)};

static const sr_level LEVELS[] = {
    {"future", IMPOSSIBLE, DIRECT_PROGRAMS},
    {"direct", NOTHING, DIRECT_PROGRAMS},
    {"copied", NOTHING, COPIED_PROGRAMS},
    {0},
};

/* Pictures of a complexity below a number get the second choice. */
#ifdef BELOW
static const sr_bound BOUNDS[] = {{BELOW, 1}, {UINT32_MAX, 0}};
#define CHOSEN_BY BOUNDS, 2
#else
#define CHOSEN_BY 0, 0
#endif

/* Tiles that choose for themselves, and the band around their borders; whether the network sees the whole picture. */
#ifndef TILES
#define TILES 0, 0, 0
#endif

/* Of a core, and shared. */
#ifndef CACHES
#define CACHES 0, 0
#endif

static const char *const CHOICES[] = {"a8", "a6", 0};

#ifndef DATA_CHECKSUM
#define DATA_CHECKSUM UINT64_C(0xb7cb519dec7736bc)
#endif

/* Checksums as tvmsr/quant/checks.py has them, of fake_reference.py's results; tests/artifact/test_driver.py says so. */
static const sr_check CHECKS[] = {{3, 24, 18, 0, UINT64_C(0x72f29d6d0f792b2f)}, {4, 24, 18, 1, UINT64_C(0x8a22fa2a701b843f)}};

const sr_model sr_the_model = {
    SR_PROGRAM_VERSION, 2, SR_COLOUR_RGB, 4, 1, 1, 1, 1, 2, 0, 2, 1, 3, CACHES, CHOICES, CHOSEN_BY, EXTENTS, AFFINES, 0, LEVELS, sr_data, 8,
    DATA_CHECKSUM, CHECKS, 2, TILES};
