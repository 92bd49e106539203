/* For tests: one step of the driver's own over one picture, rows in parts, by two workers, x's table no longer than asked
 * for; and the words of plain parameters. */
#include <stdlib.h>
#include <string.h>

#include "flow.h"
#include "memory.h"
#include "plain.h"
#include "steps.h"

/* Everything that tables say of the step, in the order of tests/artifact/test_steps.py. */
typedef struct {
    int32_t kind, stride, extent, extent_columns, top, left, bottom, right;
    int32_t channels, grid, numerator, denominator, cubic;
    int32_t x_form, x_offset, x_pitch, x_height, x_width;
    int32_t height, width;
    int32_t cut; /* rows of the first part */
    int32_t stores;
    struct {
        int32_t method, unbiased, form, offset, pitch;
    } store[SR_MAX_OPERANDS - 1];
} numbers;

static int32_t table_x[4096], table_y[SR_MAX_OPERANDS][4096];

static void run_part(sr_work *work, const numbers *n, int64_t done, int64_t goal) {
    const sr_kind *kind = SR_KIND[n->kind];
    const size_t x_row = (size_t)n->x_width * (size_t)n->x_pitch;
    work->first = done;
    work->x_first = kind->keeps(&work->shape, done);
    for (int64_t i = 0; i < 4096; i++) table_x[i] = INT32_MIN / 2; /* a crash, where it is read */
    for (int64_t row = work->x_first; row < kind->needs(&work->shape, done, goal); row++) {
        table_x[row - work->x_first] = (int32_t)((size_t)row * x_row);
    }
    const int64_t rows = n->kind == SR_STATISTIC ? 1 : goal - done, start = n->kind == SR_STATISTIC ? 0 : done;
    for (int s = 0; s < n->stores; s++) {
        for (int64_t i = 0; i < rows; i++) table_y[1 + s][i] = (int32_t)((start + i) * n->width * n->store[s].pitch);
    }
    const int64_t half = (goal - done) / 2;
    if (half > 0) kind->run(work, 1, 0, half);
    if (goal - done > half) kind->run(work, 0, half, goal - done);
}

/* Buffers: x, then stores. */
static void set_buffers(const numbers *n, sr_buffer *buffers) {
    memset(buffers, 0, SR_MAX_OPERANDS * sizeof *buffers);
    buffers[0].form = (uint8_t)n->x_form, buffers[0].offset = (uint16_t)n->x_offset;
    buffers[0].pitch = (uint32_t)n->x_pitch;
    for (int s = 0; s < n->stores; s++) {
        buffers[1 + s].form = (uint8_t)n->store[s].form, buffers[1 + s].offset = (uint16_t)n->store[s].offset;
        buffers[1 + s].pitch = (uint32_t)n->store[s].pitch;
    }
}

/* given: x, then stores. */
__attribute__((visibility("default"))) const char *step_run(const numbers *n, unsigned char *const *given,
                                                           const int32_t *block);

const char *step_run(const numbers *n, unsigned char *const *given, const int32_t *block) {
    const sr_kind *kind = SR_KIND[n->kind];
    sr_spatial spatial[SR_MAX_OPERANDS - 1];
    sr_operand operands[SR_MAX_OPERANDS];
    sr_buffer buffers[SR_MAX_OPERANDS];
    sr_program program;
    sr_step step;
    for (int s = 0; s < n->stores; s++) {
        spatial[s] = (sr_spatial){(uint32_t)n->channels, (uint8_t)n->store[s].method, (uint8_t)n->grid,
                                  (uint8_t)n->store[s].unbiased, n->numerator, n->denominator, n->cubic};
    }
    for (int o = 0; o <= n->stores; o++) operands[o] = (sr_operand){(uint16_t)o, 1, 0};
    set_buffers(n, buffers);
    memset(&program, 0, sizeof program), memset(&step, 0, sizeof step);
    program.buffers = buffers;
    step.operands = operands;
    step.kind = (uint8_t)n->kind, step.stores = (uint8_t)n->stores, step.stride = (uint16_t)n->stride;
    step.extent = (uint16_t)n->extent, step.extent_columns = (uint16_t)n->extent_columns;
    step.pad_top = (int16_t)n->top, step.pad_left = (int16_t)n->left;
    step.pad_bottom = (int16_t)n->bottom, step.pad_right = (int16_t)n->right;
    step.spatial = spatial;
    sr_work work;
    memset(&work, 0, sizeof work);
    work.shape = (sr_shape){&program, &step, &buffers[0], &buffers[1], n->x_height, n->x_width, n->height, n->width};
    const char *wrong = kind->check(&step);
    if (wrong != NULL) return wrong;
    if (!kind->fits(&work.shape)) return "sizes";
    work.block = block;
    work.threads = 2;
    for (int o = 0; o <= n->stores; o++) work.base[o] = given[o], work.table[o] = o == 0 ? table_x : table_y[o];
    work.own_bytes = kind->own == NULL ? 0 : sr_round_up(kind->own(&work.shape), SR_ALIGN);
    work.scratch_bytes = sr_round_up(kind->scratch(&work.shape), SR_ALIGN);
    work.own = sr_alloc(2 * work.own_bytes), work.scratch = sr_alloc(2 * work.scratch_bytes);
    memset(work.own, 0xA5, 2 * work.own_bytes), memset(work.scratch, 0xA5, 2 * work.scratch_bytes);
    if (kind->open != NULL) kind->open(&work);
    if (n->cut > 0) run_part(&work, n, 0, n->cut);
    run_part(&work, n, n->cut, n->height);
    if (kind->close != NULL) kind->close(&work);
    sr_free(work.own), sr_free(work.scratch);
    return NULL;
}

__attribute__((visibility("default"))) const char *plain_run(const unsigned char *data, uint64_t bytes, uint64_t offset,
                                                            int32_t words, int32_t table, int32_t *to);

/* Plain parameters: three scalars, the others of an array, the table's words last. NULL, or what is wrong with them. */
const char *plain_run(const unsigned char *data, uint64_t bytes, uint64_t offset, int32_t words, int32_t table, int32_t *to) {
    const tvmsr_param_layout block = {words - 3, 1, words - 3, 3, 1, 0, table > 0};
    sr_model model;
    sr_step step;
    memset(&model, 0, sizeof model), memset(&step, 0, sizeof step);
    model.data = data, model.data_bytes = bytes;
    step.block = &block, step.params = offset;
    const char *wrong;
    int32_t *found = sr_plain_open(&model, &step, &wrong);
    if (found != NULL) memcpy(to, found, 4 * (size_t)(words + table));
    free(found);
    return wrong;
}
