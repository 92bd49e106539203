/* How large strips and rings are for a picture, and where everything lies in the workspace. */
#include "bands.h"
#include "flow.h"
#include "memory.h"
#include "small.h"
#include "steps.h"

SR_SMALL

/* Kernels may read this far past the last pixel they need (the kernel contract). */
#define READ_SLACK 64u

/* Sizes that do not depend on the strips. 0: too large. */
static int set_sizes(sr_flow *flow) {
    const sr_program *program = flow->program;
    for (uint32_t i = 0; i < program->buffer_count; i++) {
        const sr_buffer *buffer = &program->buffers[i];
        sr_ring *ring = &flow->rings[i];
        ring->height = sr_extent_of(buffer->rows, flow->height);
        ring->width = sr_extent_of(buffer->columns, flow->width);
        if (ring->height > INT32_MAX || ring->width > INT32_MAX) return 0;
        ring->row_bytes = sr_round_up(((uint64_t)ring->width + 2u * buffer->border) * buffer->pitch, SR_ALIGN);
        ring->slack = READ_SLACK;
        if (ring->row_bytes > INT32_MAX / 4) return 0;
    }
    for (uint32_t i = 0; i < program->step_count; i++) {
        const sr_step *step = &program->steps[i];
        flow->spans[i].shape = sr_shape_of(program, step, flow->height, flow->width);
        sr_ring *x = &flow->rings[step->operands[0].buffer];
        const uint64_t pitch = program->buffers[step->operands[0].buffer].pitch;
        const uint64_t reach = READ_SLACK + (uint64_t)step->read_ahead_pixels * pitch;
        if (reach > x->slack) x->slack = reach;
    }
    return 1;
}

/* Rows of buffer `index` that are alive in this strip: from the first that a reader has not finished with, to the last
 * that a writer makes. */
static int64_t alive(const sr_flow *flow, uint32_t index) {
    const sr_program *program = flow->program;
    const sr_ring *ring = &flow->rings[index];
    int64_t low = index == program->output ? flow->out_done : ring->height;
    int64_t high = index == program->input ? flow->in_goal : 0;
    if (index == program->input) low = sr_min(low, flow->in_done);
    for (uint32_t n = flow->user_starts[index]; n < flow->user_starts[index + 1]; n++) {
        const sr_user *user = &flow->users[n];
        const sr_step *step = &program->steps[user->step];
        const sr_span *span = &flow->spans[user->step];
        const sr_operand *operand = &step->operands[user->operand];
        if (sr_is_store(step, (int)user->operand)) {
            high = sr_max(high, sr_stored_rows(&span->shape, operand, span->goal));
            low = sr_min(low, sr_stored_rows(&span->shape, operand, span->done));
        } else if (span->done < span->shape.height) {
            int64_t first = operand->block == 0 ? 0 : span->done;
            if (user->operand == 0) first = SR_KIND[step->kind]->keeps(&span->shape, span->done);
            low = sr_min(low, first);
        }
    }
    return sr_max(1, high - low);
}

static void use(sr_room *room, int32_t phase) {
    if (room->first == INT32_MAX) room->first = phase;
    room->last = phase;
}

/* Row tables of one step lie together; the largest set decides. */
static void measure_tables(sr_flow *flow, uint32_t index) {
    const sr_step *step = &flow->program->steps[index];
    const sr_span *span = &flow->spans[index];
    int64_t first;
    if (span->goal == span->done) return;
    uint64_t entries = (uint64_t)sr_input_entries(span, &first);
    for (int o = 1; o < sr_operand_count(step); o++) {
        entries += (uint64_t)sr_other_entries(step, &step->operands[o], span->goal - span->done);
    }
    if (entries > flow->table_entries) flow->table_entries = entries;
}

/* Which rooms the phase that has begun uses. */
static void measure_phase(sr_flow *flow) {
    const sr_program *program = flow->program;
    for (uint32_t n = 0; n < flow->active_step_count; n++) {
        const sr_step *step = &program->steps[flow->active_steps[n]];
        use(&flow->spans[flow->active_steps[n]].own, flow->phase);
        for (int o = 0; o < sr_operand_count(step); o++) use(&flow->rings[step->operands[o].buffer].room, flow->phase);
    }
    if (sr_flow_ends(flow)) use(&flow->rings[program->output].room, flow->phase);
}

/* A buffer grows only where it is written. */
static void measure_rings(sr_flow *flow) {
    const sr_program *program = flow->program;
    flow->rings[program->input].rows = sr_max(flow->rings[program->input].rows, alive(flow, program->input));
    for (uint32_t n = 0; n < flow->active_step_count; n++) {
        const sr_step *step = &program->steps[flow->active_steps[n]];
        for (int o = 1 + step->residuals; o < sr_operand_count(step); o++) {
            const uint32_t buffer = step->operands[o].buffer;
            flow->rings[buffer].rows = sr_max(flow->rings[buffer].rows, alive(flow, buffer));
        }
        measure_tables(flow, flow->active_steps[n]);
    }
}

/* Go through all strips, and take the largest of everything. */
static void measure(sr_flow *flow) {
    const sr_room unused = {0, 0, INT32_MAX, -1};
    flow->table_entries = 0;
    for (uint32_t i = 0; i < flow->program->buffer_count; i++) {
        flow->rings[i].rows = 1;
        flow->rings[i].room = unused;
    }
    for (uint32_t i = 0; i < flow->program->step_count; i++) flow->spans[i].own = unused;
    for (sr_flow_rewind(flow); sr_flow_next(flow); sr_flow_advance(flow)) {
        if (sr_flow_begins(flow)) measure_phase(flow);
        measure_rings(flow);
    }
    sr_flow_rewind(flow);
}

/* Room i of all: buffers, then what steps keep. */
static sr_room *room_at(sr_flow *flow, uint32_t i) {
    const uint32_t buffers = flow->program->buffer_count;
    return i < buffers ? &flow->rings[i].room : &flow->spans[i - buffers].own;
}

/* The lowest place where a room lies apart from those before it whose phases overlap its own; returns its end. */
static uint64_t find_place(sr_flow *flow, uint32_t index) {
    sr_room *room = room_at(flow, index);
    room->offset = 0;
    for (uint32_t i = 0; i < index; i++) {
        const sr_room *other = room_at(flow, i);
        if (other->bytes == 0 || other->first > room->last || room->first > other->last) continue;
        if (other->offset >= room->offset + room->bytes || room->offset >= other->offset + other->bytes) continue;
        room->offset = other->offset + other->bytes;
        i = UINT32_MAX; /* from the beginning: what was passed may be in the way now */
    }
    return room->offset + room->bytes;
}

/* 0: too large. Row offsets are 32-bit in kernels, sizes 64-bit here. */
static int size_rooms(sr_flow *flow) {
    for (uint32_t i = 0; i < flow->program->buffer_count; i++) {
        sr_ring *ring = &flow->rings[i];
        const uint64_t rows = sr_times((uint64_t)ring->rows + 1, ring->row_bytes);
        if (rows > INT32_MAX) return 0;
        ring->room.bytes = ring->room.first == INT32_MAX ? 0 : sr_round_up(rows + ring->slack, SR_ALIGN);
    }
    flow->scratch_bytes = 0;
    for (uint32_t i = 0; i < flow->program->step_count; i++) {
        sr_span *span = &flow->spans[i];
        const sr_kind *kind = SR_KIND[flow->program->steps[i].kind];
        const uint64_t scratch = kind->scratch == NULL ? 0 : sr_round_up(kind->scratch(&span->shape), SR_ALIGN);
        if (scratch > flow->scratch_bytes) flow->scratch_bytes = scratch;
        span->own_bytes = kind->own == NULL ? 0 : sr_round_up(kind->own(&span->shape), SR_ALIGN);
        span->own.bytes = sr_times(span->own_bytes, span->shape.step->kind == SR_STATISTIC ? (uint64_t)flow->threads : 1);
        if (scratch > INT32_MAX || span->own.bytes > INT32_MAX) return 0;
    }
    return 1;
}

/* Place rooms, then tables and scratch. */
static sr_fit place(sr_flow *flow, uint64_t limit) {
    uint64_t end = 0;
    if (!size_rooms(flow)) return SR_TOO_LARGE;
    for (uint32_t i = 0; i < flow->program->buffer_count + flow->program->step_count; i++) {
        sr_room *room = room_at(flow, i);
        if (room->bytes == 0) continue;
        if (flow->phases == 1) {
            room->offset = end;
            end += room->bytes;
        } else {
            const uint64_t here = find_place(flow, i);
            if (here > end) end = here;
        }
    }
    flow->table_offset = end;
    flow->scratch_offset = end + sr_round_up(flow->table_entries * sizeof(int32_t), SR_ALIGN);
    flow->bytes = flow->scratch_offset + sr_times(flow->scratch_bytes, (uint64_t)flow->threads);
    if (flow->bytes > SIZE_MAX / 2) return SR_TOO_LARGE;
    return limit != 0 && flow->bytes > limit ? SR_OVER_LIMIT : SR_FITS;
}

/* Bytes that a buffer has for each row of the picture. */
static uint64_t bytes_per_row(const sr_flow *flow, const sr_ring *ring) {
    return ring->row_bytes * (uint64_t)ring->height / (uint64_t)flow->height;
}

/* Input rows of a strip where memory does not matter. */
static int64_t preferred_rows(const sr_flow *flow) {
    uint64_t widest = 1;
    for (uint32_t i = 0; i < flow->program->buffer_count; i++) {
        const uint64_t bytes = bytes_per_row(flow, &flow->rings[i]);
        if (bytes > widest) widest = bytes;
    }
    return sr_strip_rows(widest, (uint64_t)flow->threads, sr_the_model.core_cache, sr_the_model.shared_cache);
}

/* Strips of nearly one size, rather than a thin one at the end; of whole granules where they have that many rows. */
static void set_strip(sr_flow *flow, int64_t height, int64_t rows) {
    int64_t granule = 1;
    for (uint32_t i = 0; i < flow->program->step_count; i++) granule = sr_max(granule, flow->program->steps[i].granule_rows);
    if (rows < granule) granule = 1;
    const int64_t even = sr_ceil_div(height, sr_ceil_div(height, rows));
    flow->strip = sr_min(height, sr_ceil_div(even, granule) * granule) * sr_the_model.scale;
}

/* Measure and place what the phases are now. A picture of one strip is made at once; others begin above it, by whole strips,
 * so that all end where they would without. */
static sr_fit settle(sr_flow *flow, uint64_t limit) {
    const int64_t strip = flow->strip / sr_the_model.scale, height = flow->out_height / sr_the_model.scale;
    sr_flow_set_lead(flow);
    flow->lead = height <= strip ? 0 : sr_ceil_div(flow->lead, strip) * strip;
    flow->strips = sr_ceil_div(height + flow->lead, strip);
    measure(flow);
    return place(flow, limit);
}

/* What the planner of bands is told of the steps of one part. */
typedef struct description {
    sr_bands bands;
    sr_band_step *steps; /* [steps] */
    sr_band_map *maps;   /* [buffers] */
    uint32_t *numbers;   /* [steps]: their numbers in the part */
    uint32_t *found;     /* [steps]: groups by that number */
} description;

static void describe_step(const sr_flow *flow, uint32_t index, description *d) {
    const sr_step *step = &flow->program->steps[index];
    const sr_shape *shape = &flow->spans[index].shape;
    sr_band_step *told = &d->steps[d->bands.step_count];
    told->weights = step->weights == NULL ? 0 : tvmsr_weight_bytes(step->weights);
    told->working = sr_times(flow->scratch_bytes, (uint64_t)flow->threads);
    for (int o = 0; o < sr_operand_count(step); o++) {
        const uint64_t row = bytes_per_row(flow, &flow->rings[step->operands[o].buffer]);
        told->working += row * (uint64_t)(flow->strip / sr_the_model.scale);
    }
    d->bands.macs += (uint64_t)(shape->height * shape->width) * step->macs_per_pixel;
    d->numbers[index] = d->bands.step_count++;
}

/* A buffer that steps of this part write, or the driver; whole in any case where another part reads it. */
static void describe_map(const sr_flow *flow, uint32_t index, int32_t part, description *d) {
    const sr_program *program = flow->program;
    const sr_ring *ring = &flow->rings[index];
    sr_band_map map = {UINT32_MAX, 0, ring->row_bytes * (uint64_t)ring->height, 0};
    for (uint32_t n = flow->user_starts[index]; n < flow->user_starts[index + 1]; n++) {
        const uint32_t step = flow->users[n].step;
        if (flow->spans[step].part != part) {
            map.bytes = 0;
            continue;
        }
        if (d->numbers[step] < map.first) map.first = d->numbers[step];
        if (d->numbers[step] > map.last) map.last = d->numbers[step];
    }
    if (map.first == UINT32_MAX) return;
    const int64_t strip = flow->strip / sr_the_model.scale;
    const int64_t made = sr_min(ring->rows, sr_ceil_div(ring->height * strip, flow->height));
    map.kept = map.bytes == 0 || index == program->output ? 0 : (uint64_t)(ring->rows - made) * ring->row_bytes;
    d->maps[d->bands.map_count++] = map;
}

static void describe(const sr_flow *flow, int32_t part, description *d) {
    d->bands = (sr_bands){d->steps, d->maps, 0, 0, (uint64_t)flow->strips, 0, 0};
    d->bands.cache = sr_band_cache((uint64_t)flow->threads, sr_the_model.core_cache, sr_the_model.shared_cache);
    for (uint32_t i = 0; i < flow->program->step_count; i++) {
        if (flow->spans[i].part == part) describe_step(flow, i, d);
    }
    for (uint32_t i = 0; i < flow->program->buffer_count; i++) describe_map(flow, i, part, d);
}

/* The group of each step in its part; 1 where a part is cut. */
static int find_groups(const sr_flow *flow, description *d, uint32_t *groups) {
    int cut = 0;
    for (int32_t part = 0; part < flow->parts; part++) {
        describe(flow, part, d);
        cut |= sr_bands_plan(&d->bands, d->found) > 1;
        for (uint32_t i = 0; i < flow->program->step_count; i++) {
            if (flow->spans[i].part == part) groups[i] = d->found[d->numbers[i]];
        }
    }
    return cut;
}

static int open_description(description *d, const sr_program *program) {
    const size_t steps = (size_t)program->step_count + 1;
    d->steps = calloc(steps, sizeof *d->steps);
    d->maps = calloc((size_t)program->buffer_count + 1, sizeof *d->maps);
    d->numbers = calloc(steps, sizeof *d->numbers);
    d->found = calloc(steps, sizeof *d->found);
    return d->steps != NULL && d->maps != NULL && d->numbers != NULL && d->found != NULL;
}

static void close_description(description *d) {
    free(d->steps);
    free(d->maps);
    free(d->numbers);
    free(d->found);
}

/* Cut parts in groups where that pays and the memory is there; else everything stays as it is, and fits as it did. */
static sr_fit cut_in_groups(sr_flow *flow, uint64_t limit, sr_fit fit) {
    description d;
    uint32_t *groups = calloc((size_t)flow->program->step_count + 1, sizeof *groups);
    if (open_description(&d, flow->program) && groups != NULL && find_groups(flow, &d, groups)) {
        sr_flow_arrange(flow, groups);
        if (settle(flow, limit) == SR_FITS) {
            fit = SR_FITS;
        } else {
            sr_flow_arrange(flow, NULL);
            settle(flow, limit);
        }
    }
    close_description(&d);
    free(groups);
    return fit;
}

static sr_fit plan(sr_flow *flow, int64_t height, int64_t width, int threads, uint64_t limit) {
    const int64_t scale = sr_the_model.scale;
    flow->height = sr_padded(height, sr_the_model.minimum_height, sr_the_model.multiple);
    flow->width = sr_padded(width, sr_the_model.minimum_width, sr_the_model.multiple);
    flow->out_height = height * scale;
    flow->threads = threads;
    flow->bytes = 0;
    if (flow->height * scale > INT32_MAX || flow->width * scale > INT32_MAX || !set_sizes(flow)) return SR_TOO_LARGE;
    if (sr_sizes_wrong(flow->program, flow->height, flow->width) != NULL) return SR_CONTRADICTS;
    sr_flow_arrange(flow, NULL);
    uint64_t before = UINT64_MAX;
    for (int64_t rows = sr_min(preferred_rows(flow), height);; rows = (rows + 1) / 2) {
        set_strip(flow, height, rows);
        sr_fit fit = settle(flow, limit);
        if (fit != SR_TOO_LARGE) fit = cut_in_groups(flow, limit, fit);
        if (fit == SR_FITS || rows <= 1) return fit;
        if (fit == SR_TOO_LARGE) continue; /* and nobody knows how large */
        /* Whole tensors do not get smaller with the strips. */
        if (flow->bytes >= before) return fit;
        before = flow->bytes;
    }
}

sr_fit sr_flow_plan(sr_flow *flow, int64_t height, int64_t width, int threads, uint64_t limit) {
    const sr_asked *last = &flow->asked;
    const int known = last->height == height && last->width == width && last->threads == threads && last->limit == limit;
    if (!known) flow->fit = plan(flow, height, width, threads, limit);
    flow->asked = (sr_asked){height, width, threads, limit};
    return (sr_fit)flow->fit;
}

SR_SMALL_END
