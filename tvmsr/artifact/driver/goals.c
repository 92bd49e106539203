/* What each step makes in each strip.
 *
 * A strip moves the front on by as many rows of the picture. What the output wants at the front is passed backwards: every
 * step wants somewhat more rows of what it reads than there are of it, so that the first steps of a deep network are far
 * ahead of its output. The front therefore begins above the picture, by `lead` rows, and wants of rows above it are negative:
 * when the first steps begin, the last ones have nothing to do yet, and no strip makes more rows than another. Began the
 * front at the picture's first row, the first strip would make all rows that the steps are ahead, and every ring would hold
 * them.
 */
#include "flow.h"
#include "memory.h"
#include "small.h"
#include "steps.h"

SR_SMALL

/* Nobody wants any. */
#define NONE (INT64_MIN / 4)

/* Of any a. */
static int64_t ceil_div(int64_t a, int64_t b) { return -sr_floor_div(-a, b); }

void sr_flow_rewind(sr_flow *flow) {
    flow->in_done = flow->in_goal = 0;
    flow->out_done = flow->out_goal = 0;
    flow->phase = -1;
    flow->turn = flow->strips;
    for (uint32_t i = 0; i < flow->program->step_count; i++) flow->spans[i].done = flow->spans[i].goal = 0;
}

/* The steps of this phase, and between which of them its wants are passed on. */
static void begin_phase(sr_flow *flow) {
    flow->active_link_count = 0;
    flow->active_step_count = 0;
    for (size_t i = 0; i < flow->link_count; i++) {
        const sr_link *link = &flow->links[i];
        if (flow->spans[link->reader].phase != flow->phase) continue;
        if (link->writer != SR_DRIVER && flow->spans[link->writer].phase != flow->phase) continue;
        flow->active_links[flow->active_link_count++] = (uint32_t)i;
    }
    for (uint32_t i = 0; i < flow->program->step_count; i++) {
        if (flow->spans[i].phase == flow->phase) flow->active_steps[flow->active_step_count++] = i;
    }
}

/* Whoever makes what the link reads must have made its first `rows` rows. Kernels begin at granules: all but the last row
 * of a grid end at one, for the next strip. */
static void want(sr_flow *flow, uint32_t writer, int64_t block, int64_t rows) {
    if (writer == SR_DRIVER) {
        flow->in_want = sr_max(flow->in_want, rows);
        return;
    }
    sr_span *span = &flow->spans[writer];
    const int64_t granule = span->shape.step->granule_rows;
    span->want = sr_max(span->want, sr_min(ceil_div(ceil_div(rows, block), granule) * granule, span->shape.height));
}

/* The output's writers must reach the front; without a step the driver itself writes it. */
static void want_output(sr_flow *flow, int64_t rows) {
    const sr_program *program = flow->program;
    if (program->output == program->input) flow->in_want = rows;
    for (uint32_t n = 0; n < flow->active_step_count; n++) {
        const uint32_t i = flow->active_steps[n];
        const sr_step *step = &program->steps[i];
        for (int o = 1 + step->residuals; o < sr_operand_count(step); o++) {
            if (step->operands[o].buffer == program->output) want(flow, i, step->operands[o].block, rows);
        }
    }
}

/* What later phases read advances together, each by its part of its rows; of statistics, of their input. */
static void want_leaders(sr_flow *flow, int64_t front, int64_t height) {
    for (uint32_t n = 0; n < flow->active_step_count; n++) {
        const uint32_t i = flow->active_steps[n];
        const sr_span *span = &flow->spans[i];
        if (span->leads) want(flow, i, 1, ceil_div(span->shape.height * front, height));
    }
}

/* Rows of the link's operand that its reader wants. What no row needs, above the picture, goes on as the picture begins. */
static int64_t wanted(const sr_span *reader, const sr_link *link) {
    const sr_shape *shape = &reader->shape;
    const sr_kind *kind = SR_KIND[shape->step->kind];
    const int64_t rows = reader->want;
    if (rows == NONE || (rows > 0 && rows <= reader->done)) return NONE;
    if (link->operand > 0) {
        const int one = shape->step->operands[link->operand].block == 0;
        return one ? (rows > 0 ? 1 : NONE) : rows;
    }
    if (rows > 0) return kind->needs(shape, reader->done, rows);
    return kind->needs(shape, 0, 1) + sr_floor_div((rows - 1) * shape->x_height, shape->height);
}

/* Wants of all steps where the front is at row `front` of the picture. all: what a phase has begun it ends, rows that nobody
 * reads too: a step runs in one phase, and a trace has all of it. */
static void set_wants(sr_flow *flow, int64_t front, int all) {
    const int64_t scale = sr_the_model.scale, height = flow->out_height / scale;
    flow->in_want = NONE;
    for (uint32_t n = 0; n < flow->active_step_count; n++) {
        sr_span *span = &flow->spans[flow->active_steps[n]];
        span->want = all ? span->shape.height : NONE;
    }
    if (sr_flow_ends(flow)) {
        want_output(flow, front * scale);
    } else {
        want_leaders(flow, front, height);
    }
    for (size_t i = 0; i < flow->active_link_count; i++) {
        /* Readers come last first, and write only for readers after them: what they want is final here. */
        const sr_link *link = &flow->links[flow->active_links[i]];
        const int64_t rows = wanted(&flow->spans[link->reader], link);
        if (rows != NONE) want(flow, link->writer, link->block, rows);
    }
}

/* How far the first steps are ahead of the front, in rows of the picture; of the phase where that is most. */
void sr_flow_set_lead(sr_flow *flow) {
    sr_flow_rewind(flow);
    flow->lead = 0;
    for (flow->phase = 0; flow->phase < flow->phases; flow->phase++) {
        begin_phase(flow);
        set_wants(flow, 0, 0);
        flow->lead = sr_max(flow->lead, flow->in_want);
        for (uint32_t n = 0; n < flow->active_step_count; n++) {
            const sr_span *span = &flow->spans[flow->active_steps[n]];
            if (span->want > 0) flow->lead = sr_max(flow->lead, span->want * flow->height / span->shape.height);
        }
    }
    sr_flow_rewind(flow);
}

int sr_flow_next(sr_flow *flow) {
    if (flow->turn == flow->strips) {
        if (flow->phase == flow->phases - 1) return 0;
        flow->phase++;
        flow->turn = 0;
        begin_phase(flow);
    }
    flow->turn++;
    const int64_t scale = sr_the_model.scale, height = flow->out_height / scale;
    const int64_t front = sr_min(flow->turn * (flow->strip / scale) - flow->lead, height);
    set_wants(flow, front, flow->turn == flow->strips);
    if (sr_flow_ends(flow)) flow->out_goal = sr_max(0, front * scale);
    flow->in_goal = sr_max(flow->in_done, sr_min(flow->in_want, flow->height));
    for (uint32_t n = 0; n < flow->active_step_count; n++) {
        sr_span *span = &flow->spans[flow->active_steps[n]];
        span->goal = sr_max(span->done, span->want);
    }
    return 1;
}

void sr_flow_advance(sr_flow *flow) {
    flow->in_done = flow->in_goal;
    flow->out_done = flow->out_goal;
    for (uint32_t n = 0; n < flow->active_step_count; n++) {
        sr_span *span = &flow->spans[flow->active_steps[n]];
        span->done = span->goal;
    }
}

SR_SMALL_END
