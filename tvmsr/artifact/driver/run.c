/* One picture through the steps of a level, strip by strip. */
#define _GNU_SOURCE
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "colour.h"
#include "memory.h"
#include "session.h"

/* A call in progress. */
typedef struct run {
    tvmsr_session *session;
    const sr_plane *in;
    const sr_plane *out;
    int direct; /* the last steps store into the caller's picture */
    int32_t choice;
    sr_finish finish;
} run;

/* Rows handed out to threads, a few at a time. */
typedef struct share {
    atomic_llong next;
    int64_t end;
    int64_t chunk;
} share;

/* A step over the rows of a strip, as its threads see it; rows are numbered from the strip's first. */
typedef struct job {
    share rows;
    const sr_step *step;
    void *base[SR_MAX_OPERANDS];
    const int32_t *table[SR_MAX_OPERANDS];
    const void *weights;
    const void *block;
    unsigned char *scratch;
    uint64_t scratch_bytes;
    int32_t width;
} job;

/* Rows of the picture to convert, before or after the network. */
typedef struct conversion {
    share rows;
    const run *run;
    int64_t first;
} conversion;

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

static void share_open(share *rows, int64_t count, int64_t granule, int threads) {
    atomic_init(&rows->next, 0);
    rows->end = count;
    /* Three turns a thread even out what the machine's other work takes from one of them. */
    rows->chunk = threads == 1 ? count : sr_ceil_div(sr_ceil_div(count, (int64_t)threads * 3), granule) * granule;
}

/* The next rows of this thread: [*row0, *row1), or 0. */
static int share_next(share *rows, int64_t *row0, int64_t *row1) {
    *row0 = atomic_fetch_add_explicit(&rows->next, rows->chunk, memory_order_relaxed);
    *row1 = sr_min(*row0 + rows->chunk, rows->end);
    return *row0 < rows->end;
}

#define PAIR void *, const int32_t *
#define TAIL const void *, const void *, void *, int32_t, int32_t, int32_t, int32_t
typedef void (*kernel2)(PAIR, PAIR, TAIL);
typedef void (*kernel3)(PAIR, PAIR, PAIR, TAIL);
typedef void (*kernel4)(PAIR, PAIR, PAIR, PAIR, TAIL);
typedef void (*kernel5)(PAIR, PAIR, PAIR, PAIR, PAIR, TAIL);
typedef void (*kernel6)(PAIR, PAIR, PAIR, PAIR, PAIR, PAIR, TAIL);
typedef void (*kernel7)(PAIR, PAIR, PAIR, PAIR, PAIR, PAIR, PAIR, TAIL);
typedef void (*kernel8)(PAIR, PAIR, PAIR, PAIR, PAIR, PAIR, PAIR, PAIR, TAIL);
#undef PAIR
#undef TAIL

#define PAIR(i) j->base[i], j->table[i]
#define TAIL j->weights, j->block, scratch, (int32_t)row0, (int32_t)row1, 0, j->width
static void call_kernel(const job *j, void *scratch, int64_t row0, int64_t row1) {
    const sr_kernel kernel = j->step->kernel;
    switch (sr_operand_count(j->step)) {
        case 2: ((kernel2)kernel)(PAIR(0), PAIR(1), TAIL); break;
        case 3: ((kernel3)kernel)(PAIR(0), PAIR(1), PAIR(2), TAIL); break;
        case 4: ((kernel4)kernel)(PAIR(0), PAIR(1), PAIR(2), PAIR(3), TAIL); break;
        case 5: ((kernel5)kernel)(PAIR(0), PAIR(1), PAIR(2), PAIR(3), PAIR(4), TAIL); break;
        case 6: ((kernel6)kernel)(PAIR(0), PAIR(1), PAIR(2), PAIR(3), PAIR(4), PAIR(5), TAIL); break;
        case 7: ((kernel7)kernel)(PAIR(0), PAIR(1), PAIR(2), PAIR(3), PAIR(4), PAIR(5), PAIR(6), TAIL); break;
        case 8: ((kernel8)kernel)(PAIR(0), PAIR(1), PAIR(2), PAIR(3), PAIR(4), PAIR(5), PAIR(6), PAIR(7), TAIL); break;
        default: break; /* check.c lets no other number through */
    }
}
#undef PAIR
#undef TAIL

static void job_task(void *context, int worker) {
    job *j = context;
    int64_t row0, row1;
    while (share_next(&j->rows, &row0, &row1)) {
        call_kernel(j, j->scratch + (uint64_t)worker * j->scratch_bytes, row0, row1);
    }
}

/* Offset of row `row` of a buffer from its base: in the ring, or the row of pad codes. */
static int32_t ring_row(const sr_ring *ring, int64_t row) {
    const int64_t slot = row < 0 || row >= ring->height ? 0 : 1 + row % ring->rows;
    return (int32_t)(slot * (int64_t)ring->row_bytes);
}

/* Base pointer and row table of one operand for grid rows from `first` on; returns where the next table begins. */
static int32_t *bind_operand(const run *r, job *j, int o, int64_t first, int64_t rows, int32_t *table) {
    const sr_flow *flow = &r->session->flow;
    const sr_step *step = j->step;
    const sr_operand *operand = &step->operands[o];
    const sr_buffer *buffer = &flow->level->buffers[operand->buffer];
    const sr_ring *ring = &flow->rings[operand->buffer];
    const int64_t entries = o == 0 ? sr_input_entries(step, rows) : sr_other_entries(step, operand, rows);
    const int64_t start = o == 0 ? first * step->stride - step->pad_top : first * operand->block;
    j->table[o] = table;
    if (r->direct && operand->buffer == flow->level->output) {
        /* Rows past the strip's are never stored to; their entries need only be harmless numbers. */
        j->base[o] = sr_row(r->out, start) + operand->offset;
        for (int64_t i = 0; i < entries; i++) table[i] = (int32_t)(sr_min(i, rows * operand->block - 1) * r->out->stride);
        return table + entries;
    }
    const int64_t left = buffer->border - (o == 0 ? step->pad_left : 0);
    j->base[o] = r->session->workspace + ring->offset + left * buffer->pitch + operand->offset;
    for (int64_t i = 0; i < entries; i++) table[i] = ring_row(ring, start + i);
    return table + entries;
}

static void run_step(const run *r, uint32_t index) {
    tvmsr_session *s = r->session;
    const sr_step *step = &s->level->steps[index];
    const sr_span *span = &s->flow.spans[index];
    const int64_t rows = span->goal - span->done;
    if (rows == 0) return;
    job j;
    memset(&j, 0, sizeof j);
    j.step = step;
    j.weights = s->packed.weights[index];
    j.block = s->packed.blocks[(size_t)r->choice * s->level->step_count + index];
    j.scratch = s->workspace + s->flow.scratch_offset;
    j.scratch_bytes = s->flow.scratch_bytes;
    j.width = (int32_t)span->width;
    int32_t *table = (int32_t *)(void *)(s->workspace + s->flow.table_offset);
    for (int o = 0; o < sr_operand_count(step); o++) table = bind_operand(r, &j, o, span->done, rows, table);
    share_open(&j.rows, rows, step->granule_rows, sr_pool_threads(s->pool));
    sr_pool_run(s->pool, job_task, &j);
    if (s->tracing) sr_trace_step(s, index, j.base, j.table);
}

/* Pad codes in their stored form: the row that stands for all rows outside of the picture, and the columns beside it. */
static void fill_pads(const run *r, uint32_t index) {
    const sr_buffer *buffer = &r->session->level->buffers[index];
    const sr_ring *ring = &r->session->flow.rings[index];
    unsigned char *base = r->session->workspace + ring->offset;
    const uint64_t used = ((uint64_t)ring->width + 2u * buffer->border) * buffer->pitch;
    memset(base, 0, buffer->pitch);
    for (uint32_t c = 0; c < buffer->channels; c++) {
        const uint16_t code = buffer->pad == NULL ? 0 : buffer->pad[(size_t)r->choice * buffer->channels + c];
        const uint16_t stored = (uint16_t)(code - buffer->offset);
        if (buffer->form == SR_FORM_U16 || buffer->form == SR_FORM_S16) {
            memcpy(base + 2 * (size_t)c, &stored, 2);
        } else {
            base[c] = (unsigned char)stored;
        }
    }
    for (uint64_t done = buffer->pitch; done < used; done *= 2) {
        memcpy(base + done, base, (size_t)(done * 2 < used ? done : used - done));
    }
    const size_t side = (size_t)buffer->border * buffer->pitch;
    if (side == 0) return;
    for (int64_t row = 1; row <= ring->rows; row++) {
        unsigned char *at = base + (uint64_t)row * ring->row_bytes;
        memcpy(at, base, side);
        memcpy(at + side + (uint64_t)ring->width * buffer->pitch, base, side);
    }
}

static void input_task(void *context, int worker) {
    (void)worker;
    conversion *c = context;
    const tvmsr_session *s = c->run->session;
    const sr_buffer *buffer = &s->level->buffers[s->level->input];
    const sr_ring *ring = &s->flow.rings[s->level->input];
    uint8_t *base = s->workspace + ring->offset + (size_t)buffer->border * buffer->pitch;
    int64_t row0, row1;
    while (share_next(&c->rows, &row0, &row1)) {
        for (int64_t row = c->first + row0; row < c->first + row1; row++) {
            sr_codes_from_row(c->run->in, row, base + ring_row(ring, row), buffer->pitch, (uint8_t)buffer->offset);
        }
    }
}

/* Rows here are input rows: strips end at whole ones. */
static void output_task(void *context, int worker) {
    (void)worker;
    conversion *c = context;
    const tvmsr_session *s = c->run->session;
    const sr_buffer *buffer = &s->level->buffers[s->level->output];
    const sr_ring *ring = &s->flow.rings[s->level->output];
    const uint8_t *base = s->workspace + ring->offset + (size_t)buffer->border * buffer->pitch;
    const uint8_t *network[SR_MAX_SCALE];
    const int scale = c->run->finish.scale;
    int64_t row0, row1;
    while (share_next(&c->rows, &row0, &row1)) {
        for (int64_t row = c->first + row0; row < c->first + row1; row++) {
            for (int phase = 0; phase < scale; phase++) network[phase] = base + ring_row(ring, row * scale + phase);
            sr_finish_rows(&c->run->finish, network, buffer->pitch, row);
        }
    }
}

static void convert(const run *r, sr_task task, int64_t first, int64_t last) {
    if (first >= last) return;
    conversion c;
    c.run = r;
    c.first = first;
    share_open(&c.rows, last - first, 1, sr_pool_threads(r->session->pool));
    sr_pool_run(r->session->pool, task, &c);
}

/* Add the time since *at to entry `index`, and begin the next. */
static void tick(tvmsr_session *s, uint32_t index, uint64_t macs, uint64_t *at) {
    if (!s->profiling) return;
    const uint64_t now = sr_now();
    s->times[index].nanoseconds += now - *at;
    s->times[index].macs += macs;
    s->times[index].calls++;
    *at = now;
}

static void run_strip(run *r) {
    tvmsr_session *s = r->session;
    const sr_level *level = s->level;
    uint64_t at = s->profiling ? sr_now() : 0;
    convert(r, input_task, s->flow.in_done, s->flow.in_goal);
    tick(s, 0, 0, &at);
    for (uint32_t i = 0; i < level->step_count; i++) {
        const sr_span *span = &s->flow.spans[i];
        run_step(r, i);
        tick(s, i + 1, (uint64_t)(span->goal - span->done) * (uint64_t)span->width * level->steps[i].macs_per_pixel, &at);
    }
    const int64_t scale = r->finish.scale;
    if (!r->direct) convert(r, output_task, s->flow.out_done / scale, s->flow.out_goal / scale);
    tick(s, level->step_count + 1, 0, &at);
}

/* 1 where the network's pixels are the picture's and nobody else reads them. */
static int can_store_directly(const tvmsr_session *s, const sr_plane *out) {
    const sr_level *level = s->level;
    const sr_buffer *buffer = &level->buffers[level->output];
    if (sr_the_model.colour != SR_COLOUR_RGB || out->bytes != 3 || buffer->pitch != 3 || buffer->border != 0) return 0;
    for (uint32_t i = 0; i < level->step_count; i++) {
        const sr_step *step = &level->steps[i];
        for (int o = 0; o <= step->residuals; o++) {
            if (step->operands[o].buffer == level->output) return 0;
        }
        const int64_t rows = s->flow.strip + step->read_ahead_rows + (int64_t)sr_the_model.scale * 2;
        if (out->stride > INT32_MAX / rows || out->stride < -(INT32_MAX / rows)) return 0;
    }
    return 1;
}

static tvmsr_status prepare(run *r) {
    tvmsr_session *s = r->session;
    if (s->workspace_bytes < s->flow.bytes) {
        sr_free(s->workspace);
        s->workspace_bytes = 0;
        s->workspace = sr_alloc(s->flow.bytes);
        if (s->workspace == NULL) {
            return sr_fail(s, TVMSR_OUT_OF_MEMORY, "out of memory: %llu bytes of workspace are needed",
                           (unsigned long long)s->flow.bytes);
        }
        s->workspace_bytes = s->flow.bytes;
    }
    r->direct = can_store_directly(s, r->out);
    for (uint32_t i = 0; i < s->level->buffer_count; i++) fill_pads(r, i);
    return TVMSR_OK;
}

tvmsr_status sr_run(tvmsr_session *session, const sr_plane *in, const sr_plane *out, int32_t choice,
                    tvmsr_progress progress, void *user) {
    run r;
    memset(&r, 0, sizeof r);
    r.session = session;
    r.in = in;
    r.out = out;
    r.choice = choice;
    tvmsr_status status = prepare(&r);
    if (status != TVMSR_OK) return status;
    sr_finish_open(&r.finish, in, out, (int)sr_the_model.colour, (int)sr_the_model.scale);
    sr_flow *flow = &session->flow;
    for (sr_flow_rewind(flow); sr_flow_next(flow); sr_flow_advance(flow)) {
        run_strip(&r);
        const int stop = progress != NULL && progress(user, flow->out_goal, flow->out_height) != 0;
        if (stop && flow->out_goal < flow->out_height) {
            return sr_fail(session, TVMSR_CANCELLED, "cancelled after %lld of %lld rows", (long long)flow->out_goal,
                           (long long)flow->out_height);
        }
    }
    return TVMSR_OK;
}
