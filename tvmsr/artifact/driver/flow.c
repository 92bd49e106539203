#include "flow.h"

#include <string.h>

#include "memory.h"

/* Bytes of the widest buffer that a strip should bring forth for each thread: about what a core's own cache holds beside
 * the weights. */
#define STRIP_BYTES (192u << 10)

/* Kernels may read this far past the last pixel they need (the kernel contract). */
#define READ_SLACK 64u

int sr_flow_open(sr_flow *flow, const sr_level *level) {
    memset(flow, 0, sizeof *flow);
    flow->level = level;
    flow->rings = calloc(level->buffer_count, sizeof *flow->rings);
    flow->spans = calloc(level->step_count, sizeof *flow->spans);
    return flow->rings != NULL && flow->spans != NULL;
}

void sr_flow_close(sr_flow *flow) {
    free(flow->rings);
    free(flow->spans);
    memset(flow, 0, sizeof *flow);
}

int64_t sr_input_entries(const sr_step *step, int64_t rows) {
    return (sr_max(rows, 1) - 1) * step->stride + step->extent + step->read_ahead_rows;
}

int64_t sr_other_entries(const sr_step *step, const sr_operand *operand, int64_t rows) {
    return (rows + step->read_ahead_rows) * operand->block;
}

/* Sizes that do not depend on the strips. 0: too large. */
static int set_sizes(sr_flow *flow) {
    const sr_level *level = flow->level;
    for (uint32_t i = 0; i < level->buffer_count; i++) {
        const sr_buffer *buffer = &level->buffers[i];
        sr_ring *ring = &flow->rings[i];
        ring->height = sr_ceil_div(flow->height * buffer->ratio_num, buffer->ratio_den);
        ring->width = sr_ceil_div(flow->width * buffer->ratio_num, buffer->ratio_den);
        ring->row_bytes = sr_round_up(((uint64_t)ring->width + 2u * buffer->border) * buffer->pitch, SR_ALIGN);
        ring->slack = READ_SLACK;
        if (ring->height > INT32_MAX || ring->width > INT32_MAX || ring->row_bytes > INT32_MAX / 4) return 0;
    }
    for (uint32_t i = 0; i < level->step_count; i++) {
        const sr_step *step = &level->steps[i];
        const sr_operand *store = &step->operands[1 + step->residuals];
        flow->spans[i].height = flow->rings[store->buffer].height / store->block;
        flow->spans[i].width = flow->rings[store->buffer].width / store->block;
        sr_ring *x = &flow->rings[step->operands[0].buffer];
        uint64_t reach = READ_SLACK + (uint64_t)step->read_ahead_pixels * level->buffers[step->operands[0].buffer].pitch;
        if (reach > x->slack) x->slack = reach;
    }
    return 1;
}

void sr_flow_rewind(sr_flow *flow) {
    flow->out_done = 0;
    flow->out_goal = 0;
    for (uint32_t i = 0; i < flow->level->step_count; i++) flow->spans[i].done = flow->spans[i].goal = 0;
    for (uint32_t i = 0; i < flow->level->buffer_count; i++) flow->rings[i].need = 0;
}

static void want(sr_ring *ring, int64_t rows) { ring->need = sr_max(ring->need, sr_min(rows, ring->height)); }

int sr_flow_next(sr_flow *flow) {
    if (flow->out_done >= flow->out_height) return 0;
    const sr_level *level = flow->level;
    flow->out_goal = sr_min(flow->out_done + flow->strip, flow->out_height);
    want(&flow->rings[level->output], flow->out_goal);
    for (uint32_t i = level->step_count; i-- > 0;) {
        const sr_step *step = &level->steps[i];
        sr_span *span = &flow->spans[i];
        const sr_operand *operand = step->operands;
        int64_t goal = span->done;
        for (int o = 1 + step->residuals; o < sr_operand_count(step); o++) {
            goal = sr_max(goal, sr_ceil_div(flow->rings[operand[o].buffer].need, operand[o].block));
        }
        span->goal = sr_min(goal, span->height);
        if (span->goal == span->done) continue;
        want(&flow->rings[operand->buffer], (span->goal - 1) * step->stride - step->pad_top + step->extent);
        for (int o = 1; o <= step->residuals; o++) want(&flow->rings[operand[o].buffer], span->goal);
    }
    return 1;
}

void sr_flow_advance(sr_flow *flow) {
    flow->out_done = flow->out_goal;
    for (uint32_t i = 0; i < flow->level->step_count; i++) flow->spans[i].done = flow->spans[i].goal;
}

/* Rows of buffer `index` that are alive in this strip: from the first that a reader has not finished with, to the last
 * that a writer makes. */
static int64_t alive(const sr_flow *flow, uint32_t index) {
    const sr_level *level = flow->level;
    const sr_ring *ring = &flow->rings[index];
    int64_t low = index == level->output ? flow->out_done : ring->height;
    int64_t high = ring->need;
    for (uint32_t i = 0; i < level->step_count; i++) {
        const sr_step *step = &level->steps[i];
        const sr_span *span = &flow->spans[i];
        for (int o = 0; o < sr_operand_count(step); o++) {
            if (step->operands[o].buffer != index) continue;
            if (sr_is_store(step, o)) {
                high = sr_max(high, span->goal * step->operands[o].block);
                low = sr_min(low, span->done * step->operands[o].block);
            } else if (span->done < span->height) {
                low = sr_min(low, o == 0 ? sr_max(0, span->done * step->stride - step->pad_top) : span->done);
            }
        }
    }
    return sr_max(1, high - low);
}

/* Row tables of one step lie together; the largest set decides. */
static uint64_t table_entries(const sr_step *step, int64_t rows) {
    uint64_t entries = (uint64_t)sr_input_entries(step, rows);
    for (int o = 1; o < sr_operand_count(step); o++) {
        entries += (uint64_t)sr_other_entries(step, &step->operands[o], rows);
    }
    return entries;
}

/* Go through all strips, and take the largest of everything. */
static void measure(sr_flow *flow) {
    const sr_level *level = flow->level;
    flow->table_entries = 0;
    flow->strips = 0;
    for (uint32_t i = 0; i < level->buffer_count; i++) flow->rings[i].rows = 1;
    for (sr_flow_rewind(flow); sr_flow_next(flow); sr_flow_advance(flow)) {
        flow->strips++;
        for (uint32_t i = 0; i < level->buffer_count; i++) {
            flow->rings[i].rows = sr_max(flow->rings[i].rows, alive(flow, i));
        }
        for (uint32_t i = 0; i < level->step_count; i++) {
            const sr_span *span = &flow->spans[i];
            uint64_t entries = table_entries(&level->steps[i], span->goal - span->done);
            if (entries > flow->table_entries) flow->table_entries = entries;
        }
    }
    sr_flow_rewind(flow);
}

/* Place rings, tables and scratch one after the other. Row offsets are 32-bit in kernels, sizes 64-bit here. */
static sr_fit place(sr_flow *flow, int threads, uint64_t limit) {
    uint64_t at = 0;
    for (uint32_t i = 0; i < flow->level->buffer_count; i++) {
        sr_ring *ring = &flow->rings[i];
        uint64_t rows = sr_times((uint64_t)ring->rows + 1, ring->row_bytes);
        if (rows > INT32_MAX) return SR_TOO_LARGE;
        ring->bytes = rows;
        ring->offset = at;
        at += sr_round_up(rows + ring->slack, SR_ALIGN);
    }
    flow->scratch_bytes = 0;
    for (uint32_t i = 0; i < flow->level->step_count; i++) {
        uint64_t scratch = sr_round_up(flow->level->steps[i].scratch, SR_ALIGN);
        if (scratch > flow->scratch_bytes) flow->scratch_bytes = scratch;
    }
    flow->table_offset = at;
    at += sr_round_up(flow->table_entries * sizeof(int32_t), SR_ALIGN);
    flow->scratch_offset = at;
    flow->bytes = at + sr_times(flow->scratch_bytes, (uint64_t)threads);
    if (flow->bytes > SIZE_MAX / 2) return SR_TOO_LARGE;
    return limit != 0 && flow->bytes > limit ? SR_OVER_LIMIT : SR_FITS;
}

/* Input rows of a strip where memory does not matter: enough work for every thread between two barriers. */
static int64_t preferred_rows(const sr_flow *flow, int threads) {
    uint64_t widest = 1;
    for (uint32_t i = 0; i < flow->level->buffer_count; i++) {
        const sr_buffer *buffer = &flow->level->buffers[i];
        uint64_t bytes = flow->rings[i].row_bytes * buffer->ratio_num / buffer->ratio_den;
        if (bytes > widest) widest = bytes;
    }
    int64_t rows = (int64_t)((uint64_t)threads * STRIP_BYTES / widest);
    return sr_max(rows, sr_max(4, 2 * (int64_t)threads));
}

sr_fit sr_flow_plan(sr_flow *flow, uint32_t scale, int64_t height, int64_t width, int threads, uint64_t limit) {
    flow->height = height;
    flow->width = width;
    flow->out_height = height * scale;
    if (flow->out_height > INT32_MAX || width * scale > INT32_MAX || !set_sizes(flow)) return SR_TOO_LARGE;
    for (int64_t rows = sr_min(preferred_rows(flow, threads), height);; rows = (rows + 1) / 2) {
        /* Strips of nearly one size, rather than a thin one at the end. */
        flow->strip = sr_ceil_div(height, sr_ceil_div(height, rows)) * scale;
        measure(flow);
        sr_fit fit = place(flow, threads, limit);
        if (fit == SR_FITS || rows <= 1) return fit;
    }
}
