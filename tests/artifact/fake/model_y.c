/* A hand-written network that computes Y: one step, depth to space by SCALE. */
#include "program.h"

#ifndef SCALE
#define SCALE 2
#endif

/* y[SCALE r + dy][SCALE c + dx] = R + 2 G + 3 B + 7 dy + 13 dx + bias */
static void luma(void *x, const int32_t *xr, void *y, const int32_t *yr, const void *w, const void *p, void *s,
                 int32_t row0, int32_t row1, int32_t col0, int32_t col1) {
    (void)w, (void)s;
    for (int32_t r = row0; r < row1; r++) {
        for (int32_t c = col0; c < col1; c++) {
            const uint8_t *q = (uint8_t *)x + xr[r] + c * 3;
            for (int n = 0; n < SCALE * SCALE; n++) {
                const int dy = n / SCALE, dx = n % SCALE;
                ((uint8_t *)y)[yr[SCALE * r + dy] + SCALE * c + dx] =
                    (uint8_t)(q[0] + 2 * q[1] + 3 * q[2] + 7 * dy + 13 * dx + *(const int32_t *)p);
            }
        }
    }
}

static const sr_buffer BUFFERS[] = {
    {"input", 3, 3, 0, 0, 0, SR_FORM_U8, 8, 0, 0, 0},
    {"output", 1, 1, 1, 1, 0, SR_FORM_U8, 8, 0, 0, 0},
};
static const sr_affine AFFINES[] = {{SCALE, 0, 1}};
static const sr_extent EXTENTS[] = {{0, 0}, {0, 1}};
static const sr_operand OPERANDS[] = {{0, 1, 0}, {1, SCALE, 0}};
static const tvmsr_param_layout BLOCK = {3, 1, 16, 1, 0, 0, 0};
static const sr_stored HOLDS[] = {{"luma", 0, 1}};
static const sr_step STEPS[] = {
    {"luma", (sr_kernel)luma, OPERANDS, SR_KERNEL, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0, 0, -1, 5000, 0, 0, &BLOCK, 0, HOLDS},
};
static const char *const NOTHING[] = {0};
static const sr_program PROGRAMS[] = {{BUFFERS, STEPS, 2, 1, 0, 1}, {0}};
static const sr_level LEVELS[] = {{"only", NOTHING, PROGRAMS}, {0}};
static const char *const CHOICES[] = {"a8", 0};

const sr_model sr_the_model = {
    SR_PROGRAM_VERSION, SCALE, SR_COLOUR_Y, 1, 1, 1, 1, 1, 1, 0, 2, 1, 1, 0, 0, CHOICES, 0, 0, EXTENTS, AFFINES, 0, LEVELS, sr_data, 8,
    UINT64_C(0xb7cb519dec7736bc), 0, 0, 0, 0, 0};
