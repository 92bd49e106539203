/* One step of the driver's own over one picture, for tests: rows in parts, by two workers, x's table no longer than asked for. */
#include <stdlib.h>
#include <string.h>

#include "flow.h"
#include "memory.h"
#include "steps.h"

/* Everything that tables say of the step, in the order of tests/artifact/test_steps.py. */
typedef struct {
    int32_t kind, stride, extent, extent_columns, top, left, bottom, right;
    int32_t channels, method, grid, unbiased, numerator, denominator, cubic;
    int32_t x_form, x_offset, x_pitch, x_height, x_width;
    int32_t y_form, y_offset, y_pitch, height, width;
    int32_t cut; /* rows of the first part */
} numbers;

static int32_t table_x[4096], table_y[4096];

static void run_part(sr_work *work, const numbers *n, int64_t done, int64_t goal, size_t x_row, size_t y_row) {
    const sr_kind *kind = SR_KIND[n->kind];
    work->first = done;
    work->x_first = kind->keeps(&work->shape, done);
    for (int64_t i = 0; i < 4096; i++) table_x[i] = INT32_MIN / 2; /* a crash, where it is read */
    for (int64_t row = work->x_first; row < kind->needs(&work->shape, done, goal); row++) {
        table_x[row - work->x_first] = (int32_t)((size_t)row * x_row);
    }
    const int64_t stored = n->kind == SR_STATISTIC ? 1 : goal - done;
    for (int64_t i = 0; i < stored; i++) table_y[i] = (int32_t)((size_t)(n->kind == SR_STATISTIC ? 0 : done + i) * y_row);
    const int64_t half = (goal - done) / 2;
    if (half > 0) kind->run(work, 1, 0, half);
    if (goal - done > half) kind->run(work, 0, half, goal - done);
}

__attribute__((visibility("default"))) const char *step_run(const numbers *n, unsigned char *x, unsigned char *y,
                                                           const int32_t *block);

const char *step_run(const numbers *n, unsigned char *x, unsigned char *y, const int32_t *block) {
    const sr_kind *kind = SR_KIND[n->kind];
    const sr_spatial spatial = {(uint32_t)n->channels, (uint8_t)n->method, (uint8_t)n->grid, (uint8_t)n->unbiased,
                                n->numerator, n->denominator, n->cubic};
    sr_step step;
    sr_buffer from, to;
    memset(&step, 0, sizeof step), memset(&from, 0, sizeof from), memset(&to, 0, sizeof to);
    step.kind = (uint8_t)n->kind, step.stores = 1, step.stride = (uint16_t)n->stride;
    step.extent = (uint16_t)n->extent, step.extent_columns = (uint16_t)n->extent_columns;
    step.pad_top = (int16_t)n->top, step.pad_left = (int16_t)n->left;
    step.pad_bottom = (int16_t)n->bottom, step.pad_right = (int16_t)n->right;
    step.spatial = &spatial;
    from.form = (uint8_t)n->x_form, from.offset = (uint16_t)n->x_offset, from.pitch = (uint32_t)n->x_pitch;
    to.form = (uint8_t)n->y_form, to.offset = (uint16_t)n->y_offset, to.pitch = (uint32_t)n->y_pitch;
    sr_work work;
    memset(&work, 0, sizeof work);
    work.shape = (sr_shape){&step, &from, &to, n->x_height, n->x_width, n->height, n->width};
    const char *wrong = kind->check(&step);
    if (wrong != NULL) return wrong;
    if (!kind->fits(&work.shape)) return "sizes";
    work.block = block;
    work.threads = 2;
    work.base[0] = x, work.base[1] = y;
    work.table[0] = table_x, work.table[1] = table_y;
    work.own_bytes = kind->own == NULL ? 0 : sr_round_up(kind->own(&work.shape), SR_ALIGN);
    work.scratch_bytes = sr_round_up(kind->scratch(&work.shape), SR_ALIGN);
    work.own = sr_alloc(2 * work.own_bytes), work.scratch = sr_alloc(2 * work.scratch_bytes);
    memset(work.own, 0xA5, 2 * work.own_bytes), memset(work.scratch, 0xA5, 2 * work.scratch_bytes);
    if (kind->open != NULL) kind->open(&work);
    const size_t x_row = (size_t)n->x_width * (size_t)n->x_pitch, y_row = (size_t)n->width * (size_t)n->y_pitch;
    if (n->cut > 0) run_part(&work, n, 0, n->cut, x_row, y_row);
    run_part(&work, n, n->cut, n->height, x_row, y_row);
    if (kind->close != NULL) kind->close(&work);
    sr_free(work.own), sr_free(work.scratch);
    return NULL;
}
