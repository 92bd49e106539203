/* One picture through the steps of a choice's program, phase by phase and strip by strip. */
#define _GNU_SOURCE
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "convert.h"
#include "edges.h"
#include "memory.h"
#include "rows.h"
#include "session.h"
#include "small.h"
#include "steps.h"

SR_SMALL

/* A call in progress. */
typedef struct run {
    tvmsr_session *session;
    const sr_plane *in;
    const sr_plane *out;
    int direct; /* the last steps store into the caller's picture */
    sr_choice *choice;
    sr_finish finish;
} run;

/* A step and what of it threads share. */
typedef struct job {
    sr_share share;
    const run *run;
    sr_work work;
} job;

#if defined(__linux__) && defined(__arm__)
/* A C library's seconds have 32 or 64 bits there, and one build runs on musl and bionic: the kernel's have 32. */
uint64_t sr_now(void) {
    long now[2] = {0, 0};
    syscall(263 /* clock_gettime */, CLOCK_MONOTONIC, now);
    return (uint64_t)now[0] * 1000000000u + (uint64_t)now[1];
}
#else
uint64_t sr_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
#endif

/* Border columns that are pixels of the picture itself, of the rows [0, rows) that the step has stored. */
static void fill_edges(const job *j, int64_t rows) {
    const sr_flow *flow = &j->run->choice->flow;
    const sr_step *step = j->work.shape.step;
    for (int o = 1 + step->residuals; o < sr_operand_count(step); o++) {
        const sr_operand *store = &step->operands[o];
        const sr_buffer *buffer = &flow->program->buffers[store->buffer];
        if (buffer->mode == SR_PAD_CONSTANT || buffer->border == 0) continue;
        const uint32_t bytes = step->stored[o - 1 - step->residuals].channels * (uint32_t)sr_code_bytes(buffer);
        const size_t left = (size_t)buffer->border * buffer->pitch + store->offset;
        for (int64_t row = 0; row < rows * store->block; row++) {
            unsigned char *at = j->work.base[o] + j->work.table[o][row] - left;
            sr_fill_edges(buffer, &flow->rings[store->buffer], at, store->offset, bytes);
        }
    }
}

static void job_task(void *context, int worker) {
    job *j = context;
    sr_work work = j->work;
    sr_turn turn = {0, 0};
    sr_piece piece;
    while (sr_share_next(&j->share, &turn, &piece)) {
        work.col0 = piece.col0;
        work.col1 = piece.col1;
        SR_KIND[work.shape.step->kind]->run(&work, worker, piece.row0, piece.row1);
    }
}

/* The row table of an operand: `entries` rows of its buffer from `start` on, or always the one that a 1x1 map has. */
static void fill_table(const sr_buffer *buffer, const sr_ring *ring, const sr_operand *operand, int64_t start,
                       int64_t entries, int32_t *table) {
    for (int64_t i = 0; i < entries; i++) {
        const int64_t row = operand->block == 0 ? 0 : start + i;
        table[i] = sr_ring_row(ring, buffer->mode == SR_PAD_CONSTANT ? row : sr_inside(row, ring->height, buffer->mode));
    }
}

/* Base pointer and row table of one operand for this strip; returns where the next table begins. */
static int32_t *bind_operand(const run *r, sr_work *w, int o, const sr_span *span, int32_t *table) {
    const sr_flow *flow = &r->choice->flow;
    const sr_step *step = w->shape.step;
    const sr_operand *operand = &step->operands[o];
    const sr_buffer *buffer = &flow->program->buffers[operand->buffer];
    const sr_ring *ring = &flow->rings[operand->buffer];
    const int64_t rows = step->kind == SR_STATISTIC && o > 0 ? 1 : span->goal - span->done;
    const int64_t entries = o == 0 ? sr_input_entries(span, &w->x_first) : sr_other_entries(step, operand, rows);
    const int64_t start = o == 0 ? w->x_first : step->kind == SR_STATISTIC ? 0 : span->done * operand->block;
    w->table[o] = table;
    if (r->direct && operand->buffer == flow->program->output) {
        /* Rows past the strip's are never stored to; their entries need only be harmless numbers. */
        w->base[o] = sr_row(r->out, start) + operand->offset;
        for (int64_t i = 0; i < entries; i++) table[i] = (int32_t)(sr_min(i, rows * operand->block - 1) * r->out->stride);
        return table + entries;
    }
    const int64_t left = buffer->border - (o == 0 && step->kind == SR_KERNEL ? step->pad_left : 0);
    w->base[o] = r->session->workspace + ring->room.offset + left * buffer->pitch + operand->offset;
    fill_table(buffer, ring, operand, start, entries, table);
    return table + entries;
}

/* What does not depend on the strip. */
static void open_work(const run *r, uint32_t index, sr_work *w) {
    const tvmsr_session *s = r->session;
    const sr_flow *flow = &r->choice->flow;
    const sr_span *span = &flow->spans[index];
    memset(w, 0, sizeof *w);
    w->shape = span->shape;
    w->first = span->done;
    w->weights = r->choice->weights[index];
    w->block = r->choice->blocks[index];
    w->own = s->workspace + span->own.offset;
    w->own_bytes = span->own_bytes;
    w->scratch = s->workspace + flow->scratch_offset;
    w->scratch_bytes = flow->scratch_bytes;
    w->threads = flow->threads;
}

static void run_step(const run *r, uint32_t index) {
    tvmsr_session *s = r->session;
    const sr_flow *flow = &r->choice->flow;
    const sr_step *step = &flow->program->steps[index];
    const sr_span *span = &flow->spans[index];
    const int64_t rows = span->goal - span->done;
    job j;
    j.run = r;
    open_work(r, index, &j.work);
    int32_t *table = (int32_t *)(void *)(s->workspace + flow->table_offset);
    for (int o = 0; o < sr_operand_count(step); o++) table = bind_operand(r, &j.work, o, span, table);
    const int threads = sr_pool_threads(s->pool);
    if (step->kind == SR_KERNEL) {
        sr_share_grid(&j.share, &span->shape, rows, threads);
    } else {
        sr_share_rows(&j.share, rows, span->shape.width, step->granule_rows, threads);
    }
    sr_pool_run(s->pool, job_task, &j);
    const int complete = span->goal == span->shape.height;
    if (complete && SR_KIND[step->kind]->close != NULL) SR_KIND[step->kind]->close(&j.work);
    /* Whole rows: whoever computed a piece has only a part of one. */
    fill_edges(&j, step->kind != SR_STATISTIC ? rows : complete);
    if (s->tracing) sr_trace_step(s, r->choice, index, &j.work);
}

void sr_tick(const tvmsr_session *session, tvmsr_step_time *entry, uint64_t macs, uint64_t *at) {
    if (!session->profiling) return;
    const uint64_t now = sr_now();
    entry->nanoseconds += now - *at;
    entry->macs += macs;
    entry->calls++;
    *at = now;
}

/* What lies in memory that other phases used before. */
static void begin_phase(const run *r) {
    const sr_flow *flow = &r->choice->flow;
    const sr_program *program = flow->program;
    for (uint32_t i = 0; i < program->buffer_count; i++) {
        const sr_ring *ring = &flow->rings[i];
        if (ring->room.first != flow->phase) continue;
        sr_fill_pads(&program->buffers[i], ring, r->session->workspace + ring->room.offset);
    }
    for (uint32_t i = 0; i < program->step_count; i++) {
        const sr_kind *kind = SR_KIND[program->steps[i].kind];
        if (kind->open == NULL || flow->spans[i].own.first != flow->phase) continue;
        sr_work work;
        open_work(r, i, &work);
        kind->open(&work);
    }
}

static void run_strip(run *r) {
    tvmsr_session *s = r->session;
    const sr_flow *flow = &r->choice->flow;
    uint64_t at = s->profiling ? sr_now() : 0;
    if (sr_flow_begins(flow)) begin_phase(r);
    sr_convert_input(s, r->choice, r->in, flow->in_done, flow->in_goal);
    sr_tick(s, &s->times[1], 0, &at);
    for (uint32_t n = 0; n < flow->active_step_count; n++) {
        const uint32_t i = flow->active_steps[n];
        const sr_span *span = &flow->spans[i];
        if (span->goal == span->done) continue; /* above the picture still, or done with it */
        run_step(r, i);
        const uint64_t pixels = (uint64_t)(span->goal - span->done) * (uint64_t)span->shape.width;
        sr_tick(s, &r->choice->times[i], pixels * flow->program->steps[i].macs_per_pixel, &at);
    }
    if (!sr_flow_ends(flow)) return;
    const int64_t scale = r->finish.scale;
    if (!r->direct) sr_convert_output(s, r->choice, &r->finish, flow->out_done / scale, flow->out_goal / scale);
    sr_tick(s, &s->times[s->time_count - 1], 0, &at);
}

/* 1 where the network's pixels are the picture's and nobody else reads them. */
static int can_store_directly(const sr_flow *flow, const sr_plane *in, const sr_plane *out) {
    const sr_program *program = flow->program;
    const sr_buffer *buffer = &program->buffers[program->output];
    if (sr_the_model.colour != SR_COLOUR_RGB || out->bytes != 3 || buffer->pitch != 3 || buffer->border != 0) return 0;
    if (flow->height != in->height || flow->width != in->width) return 0;
    for (uint32_t i = 0; i < program->step_count; i++) {
        const sr_step *step = &program->steps[i];
        int64_t block = 1;
        for (int o = 0; o < sr_operand_count(step); o++) {
            if (step->operands[o].buffer != program->output) continue;
            if (!sr_is_store(step, o)) return 0;
            block = step->operands[o].block;
        }
        const int64_t more = (int64_t)sr_the_model.scale + block * step->granule_rows;
        const int64_t rows = flow->strip + step->read_ahead_rows + 2 * more;
        if (out->stride > INT32_MAX / rows || out->stride < -(INT32_MAX / rows)) return 0;
    }
    return 1;
}

static tvmsr_status prepare(run *r) {
    tvmsr_session *s = r->session;
    const uint64_t bytes = r->choice->flow.bytes;
    r->direct = can_store_directly(&r->choice->flow, r->in, r->out);
    if (s->workspace_bytes >= bytes) return TVMSR_OK;
    sr_free(s->workspace);
    s->workspace_bytes = 0;
    s->workspace = sr_alloc(bytes);
    if (s->workspace == NULL) {
        return sr_fail(s, TVMSR_OUT_OF_MEMORY, "out of memory: %llu bytes of workspace are needed",
                       (unsigned long long)bytes);
    }
    s->workspace_bytes = bytes;
    return TVMSR_OK;
}

/* Output rows that a call is as good as done with: phases count alike. */
static int64_t progress_of(const sr_flow *flow) {
    const int64_t ahead = sr_flow_ends(flow) ? flow->out_goal : flow->out_height * flow->turn / flow->strips;
    return (flow->out_height * flow->phase + ahead) / flow->phases;
}

tvmsr_status sr_run(tvmsr_session *session, sr_choice *choice, const sr_plane *in, const sr_plane *out,
                    tvmsr_progress progress, void *user) {
    run r;
    memset(&r, 0, sizeof r);
    r.session = session;
    r.in = in;
    r.out = out;
    r.choice = choice;
    const tvmsr_status status = prepare(&r);
    if (status != TVMSR_OK) return status;
    sr_finish_open(&r.finish, in, out, (int)sr_the_model.colour, (int)sr_the_model.scale);
    sr_flow *flow = &choice->flow;
    for (sr_flow_rewind(flow); sr_flow_next(flow); sr_flow_advance(flow)) {
        run_strip(&r);
        const int64_t done = progress_of(flow), total = flow->out_height;
        if (progress != NULL && progress(user, done, total) != 0 && done < total) {
            return sr_fail(session, TVMSR_CANCELLED, "cancelled after %lld of %lld rows", (long long)done, (long long)total);
        }
    }
    return TVMSR_OK;
}

SR_SMALL_END
