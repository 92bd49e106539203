#include "flow.h"

#include <string.h>

#include "memory.h"

/* Bytes of the widest buffer that a strip should bring forth for each thread: about what a core's own cache holds beside
 * the weights. */
#define STRIP_BYTES (192u << 10)

/* Kernels may read this far past the last pixel they need (the kernel contract). */
#define READ_SLACK 64u

/* Where the bytes of a pixel that an operand reads end; the pixel's end where the tables do not say. */
static uint32_t read_end(const sr_level *level, const sr_step *step, int o) {
    const sr_operand *operand = &step->operands[o];
    const sr_buffer *buffer = &level->buffers[operand->buffer];
    if (o == 0 && step->weights == NULL) return buffer->pitch;
    const int32_t channels = o == 0 ? step->weights->inputs * step->weights->groups : step->block->outputs;
    return (uint32_t)sr_min(buffer->pitch, operand->offset + (int64_t)channels * sr_code_bytes(buffer));
}

/* Where the bytes that a store writes end at the latest: before the next slice that somebody writes. */
static uint32_t store_end(const sr_level *level, const sr_operand *store) {
    uint32_t end = level->buffers[store->buffer].pitch;
    for (uint32_t i = 0; i < level->step_count; i++) {
        const sr_step *step = &level->steps[i];
        for (int o = 1 + step->residuals; o < sr_operand_count(step); o++) {
            const sr_operand *other = &step->operands[o];
            if (other->buffer == store->buffer && other->offset > store->offset && other->offset < end) end = other->offset;
        }
    }
    return end;
}

/* The links of one operand; `links` NULL only counts them. */
static size_t link_operand(const sr_level *level, uint32_t reader, int o, sr_link *links) {
    const sr_operand *read = &level->steps[reader].operands[o];
    const uint32_t end = read_end(level, &level->steps[reader], o);
    size_t count = 0;
    if (read->buffer == level->input) {
        if (links != NULL) links[count] = (sr_link){reader, SR_DRIVER, (uint16_t)o, 1};
        count++;
    }
    for (uint32_t writer = 0; writer < reader; writer++) {
        const sr_step *step = &level->steps[writer];
        for (int s = 1 + step->residuals; s < sr_operand_count(step); s++) {
            const sr_operand *store = &step->operands[s];
            if (store->buffer != read->buffer || store->offset >= end || store_end(level, store) <= read->offset) continue;
            if (links != NULL) links[count] = (sr_link){reader, writer, (uint16_t)o, store->block};
            count++;
        }
    }
    return count;
}

static size_t link_all(const sr_level *level, sr_link *links) {
    size_t count = 0;
    for (uint32_t reader = level->step_count; reader-- > 0;) {
        for (int o = 0; o <= level->steps[reader].residuals; o++) {
            count += link_operand(level, reader, o, links == NULL ? NULL : links + count);
        }
    }
    return count;
}

int sr_flow_open(sr_flow *flow, const sr_level *level) {
    memset(flow, 0, sizeof *flow);
    flow->level = level;
    flow->link_count = link_all(level, NULL);
    flow->rings = calloc(level->buffer_count, sizeof *flow->rings);
    flow->spans = calloc(level->step_count + 1, sizeof *flow->spans);
    flow->links = calloc(flow->link_count + 1, sizeof *flow->links);
    if (flow->rings == NULL || flow->spans == NULL || flow->links == NULL) return 0;
    link_all(level, flow->links);
    return 1;
}

void sr_flow_close(sr_flow *flow) {
    free(flow->rings);
    free(flow->spans);
    free(flow->links);
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
    flow->in_done = flow->in_goal = 0;
    flow->out_done = flow->out_goal = 0;
    for (uint32_t i = 0; i < flow->level->step_count; i++) flow->spans[i].done = flow->spans[i].goal = 0;
}

/* Whoever makes what the link reads must have made its first `rows` rows. */
static void want(sr_flow *flow, const sr_link *link, int64_t rows) {
    if (link->writer == SR_DRIVER) {
        flow->in_goal = sr_max(flow->in_goal, sr_min(rows, flow->height));
        return;
    }
    sr_span *span = &flow->spans[link->writer];
    span->goal = sr_max(span->goal, sr_min(sr_ceil_div(rows, link->block), span->height));
}

/* The output's writers must reach out_goal; without a step the driver itself writes it. */
static void want_output(sr_flow *flow) {
    const sr_level *level = flow->level;
    if (level->output == level->input) flow->in_goal = sr_max(flow->in_goal, flow->out_goal);
    for (uint32_t i = 0; i < level->step_count; i++) {
        const sr_step *step = &level->steps[i];
        for (int o = 1 + step->residuals; o < sr_operand_count(step); o++) {
            const sr_link link = {0, i, (uint16_t)o, step->operands[o].block};
            if (step->operands[o].buffer == level->output) want(flow, &link, flow->out_goal);
        }
    }
}

int sr_flow_next(sr_flow *flow) {
    if (flow->out_done >= flow->out_height) return 0;
    flow->out_goal = sr_min(flow->out_done + flow->strip, flow->out_height);
    want_output(flow);
    for (size_t i = 0; i < flow->link_count; i++) {
        /* Readers come last first, and write only for readers after them: their goals are final here. */
        const sr_link *link = &flow->links[i];
        const sr_step *step = &flow->level->steps[link->reader];
        const sr_span *span = &flow->spans[link->reader];
        if (span->goal == span->done) continue;
        want(flow, link, link->operand == 0 ? (span->goal - 1) * step->stride - step->pad_top + step->extent : span->goal);
    }
    return 1;
}

void sr_flow_advance(sr_flow *flow) {
    flow->in_done = flow->in_goal;
    flow->out_done = flow->out_goal;
    for (uint32_t i = 0; i < flow->level->step_count; i++) flow->spans[i].done = flow->spans[i].goal;
}

/* Rows of buffer `index` that are alive in this strip: from the first that a reader has not finished with, to the last
 * that a writer makes. */
static int64_t alive(const sr_flow *flow, uint32_t index) {
    const sr_level *level = flow->level;
    const sr_ring *ring = &flow->rings[index];
    int64_t low = index == level->output ? flow->out_done : ring->height;
    int64_t high = index == level->input ? flow->in_goal : 0;
    if (index == level->input) low = sr_min(low, flow->in_done);
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
