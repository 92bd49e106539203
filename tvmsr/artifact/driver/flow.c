#include "flow.h"

#include <string.h>

#include "memory.h"
#include "small.h"
#include "steps.h"

SR_SMALL

/* Channels that a convolution reads. A depthwise one's weights lie as those of one input: it reads as many as it makes. */
static int64_t conv_channels(const tvmsr_weight_layout *weights) {
    const int64_t inputs = (int64_t)weights->inputs * weights->groups;
    return inputs > 1 ? inputs : weights->outputs;
}

/* Where the bytes of a pixel that an operand reads end; the pixel's end where the tables do not say. */
static uint32_t read_end(const sr_program *program, const sr_step *step, int o) {
    const sr_operand *operand = &step->operands[o];
    const sr_buffer *buffer = &program->buffers[operand->buffer];
    if (step->spatial == NULL && o == 0 && step->weights == NULL) return buffer->pitch;
    const int64_t channels = step->spatial != NULL ? (int64_t)step->spatial->channels
                             : o == 0              ? conv_channels(step->weights)
                                                   : step->block->outputs;
    return (uint32_t)sr_min(buffer->pitch, operand->offset + channels * sr_code_bytes(buffer));
}

/* Where the bytes that a store writes end at the latest: before the next slice that somebody writes. */
static uint32_t store_end(const sr_program *program, const sr_operand *store) {
    uint32_t end = program->buffers[store->buffer].pitch;
    for (uint32_t i = 0; i < program->step_count; i++) {
        const sr_step *step = &program->steps[i];
        for (int o = 1 + step->residuals; o < sr_operand_count(step); o++) {
            const sr_operand *other = &step->operands[o];
            if (other->buffer == store->buffer && other->offset > store->offset && other->offset < end) end = other->offset;
        }
    }
    return end;
}

/* The links of one operand; `links` NULL only counts them. */
static size_t link_operand(const sr_program *program, uint32_t reader, int o, sr_link *links) {
    const sr_operand *read = &program->steps[reader].operands[o];
    const uint32_t end = read_end(program, &program->steps[reader], o);
    size_t count = 0;
    if (read->buffer == program->input) {
        if (links != NULL) links[count] = (sr_link){reader, SR_DRIVER, (uint16_t)o, 1};
        count++;
    }
    for (uint32_t writer = 0; writer < reader; writer++) {
        const sr_step *step = &program->steps[writer];
        for (int s = 1 + step->residuals; s < sr_operand_count(step); s++) {
            const sr_operand *store = &step->operands[s];
            if (store->buffer != read->buffer || store->offset >= end || store_end(program, store) <= read->offset) continue;
            if (links != NULL) links[count] = (sr_link){reader, writer, (uint16_t)o, store->block};
            count++;
        }
    }
    return count;
}

static size_t link_all(const sr_program *program, sr_link *links) {
    size_t count = 0;
    for (uint32_t reader = program->step_count; reader-- > 0;) {
        for (int o = 0; o <= program->steps[reader].residuals; o++) {
            count += link_operand(program, reader, o, links == NULL ? NULL : links + count);
        }
    }
    return count;
}

static int is_statistic(const sr_flow *flow, uint32_t index) { return flow->program->steps[index].kind == SR_STATISTIC; }

static int makes_output(const sr_flow *flow, uint32_t index) {
    const sr_step *step = &flow->program->steps[index];
    for (int o = 1 + step->residuals; o < sr_operand_count(step); o++) {
        if (step->operands[o].buffer == flow->program->output) return 1;
    }
    return 0;
}

/* The earliest part in which each step can run, in `phase`. Links backwards are first reader first: what a writer reads was
 * looked at before its own readers. */
static void find_earliest(sr_flow *flow) {
    flow->parts = 1;
    for (size_t i = flow->link_count; i-- > 0;) {
        const sr_link *link = &flow->links[i];
        if (link->writer == SR_DRIVER) continue;
        const int32_t phase = flow->spans[link->writer].phase + is_statistic(flow, link->writer);
        sr_span *reader = &flow->spans[link->reader];
        if (phase > reader->phase) reader->phase = phase;
    }
    for (uint32_t i = 0; i < flow->program->step_count; i++) {
        if (is_statistic(flow, i) && flow->spans[i].phase + 2 > flow->parts) flow->parts = flow->spans[i].phase + 2;
    }
}

/* A step runs in the first part that wants rows of it: one that needs it for a statistic of its own, or the last. */
static void set_parts(sr_flow *flow) {
    find_earliest(flow);
    for (uint32_t i = 0; i < flow->program->step_count; i++) flow->spans[i].part = -1;
    for (int32_t part = 0; part < flow->parts; part++) {
        const int last = part == flow->parts - 1;
        for (uint32_t i = 0; i < flow->program->step_count; i++) {
            sr_span *span = &flow->spans[i];
            const int wanted = last ? makes_output(flow, i) : is_statistic(flow, i) && span->phase == part;
            if (wanted && span->part < 0) span->part = part;
        }
        for (size_t i = 0; i < flow->link_count; i++) {
            const sr_link *link = &flow->links[i];
            if (link->writer == SR_DRIVER || flow->spans[link->reader].part != part) continue;
            if (flow->spans[link->writer].part < 0) flow->spans[link->writer].part = part;
        }
    }
}

/* The users of each buffer, buffer by buffer: counted, then filled from the back. */
static void list_users(sr_flow *flow) {
    const sr_program *program = flow->program;
    for (uint32_t i = 0; i < program->step_count; i++) {
        for (int o = 0; o < sr_operand_count(&program->steps[i]); o++) flow->user_starts[program->steps[i].operands[o].buffer]++;
    }
    for (uint32_t b = 1; b <= program->buffer_count; b++) flow->user_starts[b] += flow->user_starts[b - 1];
    for (uint32_t i = program->step_count; i-- > 0;) {
        for (int o = sr_operand_count(&program->steps[i]); o-- > 0;) {
            flow->users[--flow->user_starts[program->steps[i].operands[o].buffer]] = (sr_user){i, (uint32_t)o};
        }
    }
}

int sr_flow_open(sr_flow *flow, const sr_program *program) {
    memset(flow, 0, sizeof *flow);
    flow->program = program;
    flow->link_count = link_all(program, NULL);
    flow->rings = calloc(program->buffer_count, sizeof *flow->rings);
    flow->spans = calloc(program->step_count + 1, sizeof *flow->spans);
    flow->links = calloc(flow->link_count + 1, sizeof *flow->links);
    flow->users = calloc((size_t)program->step_count * SR_MAX_OPERANDS + 1, sizeof *flow->users);
    flow->user_starts = calloc((size_t)program->buffer_count + 1, sizeof *flow->user_starts);
    flow->active_links = calloc(flow->link_count + 1, sizeof *flow->active_links);
    flow->active_steps = calloc((size_t)program->step_count + 1, sizeof *flow->active_steps);
    if (flow->rings == NULL || flow->spans == NULL || flow->links == NULL || flow->users == NULL) return 0;
    if (flow->user_starts == NULL || flow->active_links == NULL || flow->active_steps == NULL) return 0;
    link_all(program, flow->links);
    set_parts(flow);
    list_users(flow);
    sr_flow_arrange(flow, NULL);
    return 1;
}

void sr_flow_close(sr_flow *flow) {
    free(flow->rings);
    free(flow->spans);
    free(flow->links);
    free(flow->users);
    free(flow->user_starts);
    free(flow->active_links);
    free(flow->active_steps);
    memset(flow, 0, sizeof *flow);
}

int64_t sr_input_entries(const sr_span *span, int64_t *first) {
    const sr_step *step = span->shape.step;
    if (step->kind == SR_KERNEL) {
        *first = span->done * step->stride - step->pad_top;
        return (sr_max(span->goal - span->done, 1) - 1) * step->stride + step->extent + step->read_ahead_rows;
    }
    /* Those inside of the picture: the others know where it ends. */
    *first = SR_KIND[step->kind]->keeps(&span->shape, span->done);
    return sr_max(0, SR_KIND[step->kind]->needs(&span->shape, span->done, span->goal) - *first);
}

int64_t sr_other_entries(const sr_step *step, const sr_operand *operand, int64_t rows) {
    return (rows + step->read_ahead_rows) * (operand->block > 0 ? operand->block : 1);
}

void sr_flow_arrange(sr_flow *flow, const uint32_t *groups) {
    const uint32_t count = flow->program->step_count;
    flow->phases = 0;
    for (int32_t part = 0; part < flow->parts; part++) {
        int32_t most = 0;
        for (uint32_t i = 0; i < count; i++) {
            sr_span *span = &flow->spans[i];
            const int32_t group = groups == NULL ? 0 : (int32_t)groups[i];
            if (span->part != part) continue;
            span->phase = flow->phases + group;
            most = group > most ? group : most;
        }
        flow->phases += most + 1;
    }
    for (uint32_t i = 0; i < count; i++) {
        sr_span *span = &flow->spans[i];
        if (span->part < 0) span->phase = -1;
        span->leads = is_statistic(flow, i) || (makes_output(flow, i) && span->phase != flow->phases - 1);
    }
    for (size_t i = 0; i < flow->link_count; i++) {
        const sr_link *link = &flow->links[i];
        if (link->writer == SR_DRIVER) continue;
        sr_span *writer = &flow->spans[link->writer];
        if (flow->spans[link->reader].phase > writer->phase) writer->leads = 1;
    }
    sr_flow_rewind(flow);
}

SR_SMALL_END
