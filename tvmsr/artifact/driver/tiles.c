/* What of a picture each choice computes, and in what memory.
 *
 * A choice gives the pixels of its tiles and of the bands around them, and to be exact it computes as much around them as the
 * network sees: `radius` pixels, as pieces of any picture. Tiles of one choice that lie near each other are computed together
 * where that is less. Rows of the picture are put together as many at one time as the limit of memory allows.
 */
#include "tiles.h"

#include <string.h>

#include "memory.h"
#include "small.h"

SR_SMALL

/* What alpha and chroma read of their neighbours (docs/numerics-colour.md). */
#define COLOUR_RADIUS 2

/* Pixels of a part that take the time of beginning one. */
#define BEGINNING 1024

/* A call in progress. */
typedef struct tiled {
    tvmsr_session *session;
    const sr_plane *in;
    sr_blend blend;
    unsigned char *made; /* memory of blend.made */
    sr_part *parts;      /* of the rows that are put together */
    size_t part_count;
    int64_t strips;
    tvmsr_progress progress;
    void *user;
    uint64_t before; /* of these rows' work: what other parts did, */
    uint64_t part;   /* the one that runs, */
    uint64_t work;   /* all of them */
    int64_t said;
    int cancelled;
} tiled;

static int is_whole(const tvmsr_session *session) { return sr_the_model.whole || session->tracing; }

static int64_t margin(void) { return sr_max(sr_the_model.radius, COLOUR_RADIUS); }

/* From the pixels that are wanted of a side to those that give them. */
static void widen(int64_t pixels, int64_t least, int64_t *low, int64_t *high) {
    const int64_t grid = sr_the_model.grid;
    const int64_t begin = sr_max(0, *low - margin()) / grid * grid;
    const int64_t end = sr_min(pixels, sr_ceil_div(*high + margin(), grid) * grid);
    *low = sr_max(0, sr_min(begin, sr_floor_div(end - least, grid) * grid));
    *high = sr_min(pixels, sr_max(end, *low + least));
}

/* The most that `widen` makes of so many. */
static int64_t most_widened(int64_t wanted, int64_t pixels, int64_t least) {
    return sr_min(pixels, sr_max(wanted + 2 * margin(), least) + 2 * (int64_t)sr_the_model.grid);
}

/* Bytes of what the choices make, of sums, parts and marks, each rounded up. */
static uint64_t made_bytes(int64_t rows, int64_t width) {
    const uint64_t pixels = sr_times((uint64_t)rows, (uint64_t)width);
    return sr_round_up(sr_times(pixels, 4ull * sr_the_model.scale * sr_the_model.scale), SR_ALIGN);
}

static uint64_t sums_bytes(int64_t rows, int64_t width) {
    const uint64_t pixels = sr_times((uint64_t)rows, (uint64_t)width);
    return sr_round_up(sr_times(pixels, 6ull * sr_the_model.scale * sr_the_model.scale), SR_ALIGN);
}

static uint64_t parts_bytes(int64_t height, int64_t width) {
    const uint64_t tiles = (uint64_t)(sr_tiles_of(height) * sr_tiles_of(width));
    return sr_round_up(tiles * sizeof(sr_part), SR_ALIGN);
}

static uint64_t marks_bytes(int64_t height, int64_t width) {
    return sr_round_up(4u * (uint64_t)(sr_tiles_of(height) * sr_tiles_of(width)), SR_ALIGN);
}

/* Whether all choices get by with the limit where so many rows are put together; what they take in any case. */
static sr_fit try_rows(tvmsr_session *session, int64_t rows, sr_tiling *tiling) {
    const int64_t height = tiling->height, width = tiling->width;
    const int64_t reach = tiling->whole ? height : most_widened(rows, height, sr_the_model.minimum_height);
    const uint64_t limit = session->memory_limit, made = made_bytes(reach, width), sums = sums_bytes(rows, width);
    if (made > SIZE_MAX / 8 || sums > SIZE_MAX / 8) return SR_TOO_LARGE;
    tiling->rows = rows;
    tiling->beside = made + sums + parts_bytes(height, width) + marks_bytes(height, width);
    tiling->run = 0;
    const uint64_t left = limit == 0 ? 0 : limit > tiling->beside ? limit - tiling->beside : 1;
    sr_fit found = SR_FITS;
    for (uint32_t c = 0; c < sr_the_model.choices; c++) {
        sr_flow *flow = &session->choices[c].flow;
        const sr_fit fit = sr_flow_plan(flow, reach, width, session->threads, left);
        if (fit == SR_TOO_LARGE || fit == SR_CONTRADICTS) return fit;
        if (fit != SR_FITS) found = fit;
        if (flow->bytes > tiling->run) tiling->run = flow->bytes;
    }
    return found;
}

uint64_t sr_tiles_bytes(const tvmsr_session *session) { return session->tiling.beside + session->tiling.run; }

tvmsr_status sr_tiles_plan(tvmsr_session *session, int64_t width, int64_t height) {
    sr_tiling *tiling = &session->tiling;
    const int32_t whole = is_whole(session);
    if (tiling->height == height && tiling->width == width && tiling->whole == whole) return TVMSR_OK;
    *tiling = (sr_tiling){height, width, whole, 0, 0, 0};
    sr_fit fit = try_rows(session, height, tiling);
    while (fit == SR_OVER_LIMIT && !whole && tiling->rows > 1) fit = try_rows(session, (tiling->rows + 1) / 2, tiling);
    if (fit == SR_FITS) return TVMSR_OK;
    tiling->height = 0;
    return sr_planned(session, fit, width, height, sr_tiles_bytes(session));
}

static sr_part joined(const sr_part *a, const sr_part *b) {
    return (sr_part){(int32_t)sr_min(a->row0, b->row0), (int32_t)sr_max(a->row1, b->row1),
                     (int32_t)sr_min(a->column0, b->column0), (int32_t)sr_max(a->column1, b->column1), a->choice};
}

/* Pixels of the picture that give the part's in the rows that are put together. */
static void region_of(const tiled *t, const sr_part *part, int64_t rows[2], int64_t columns[2]) {
    const sr_blend *b = &t->blend;
    rows[0] = sr_max(b->top, sr_cell_start(&b->down, part->row0));
    rows[1] = sr_min(b->bottom, sr_cell_start(&b->down, part->row1));
    columns[0] = sr_cell_start(&b->across, part->column0);
    columns[1] = sr_cell_start(&b->across, part->column1);
    widen(b->down.pixels, sr_the_model.minimum_height, &rows[0], &rows[1]);
    widen(b->across.pixels, sr_the_model.minimum_width, &columns[0], &columns[1]);
}

static uint64_t work_of(const tiled *t, const sr_part *part) {
    int64_t rows[2], columns[2];
    region_of(t, part, rows, columns);
    return (uint64_t)(rows[1] - rows[0]) * (uint64_t)(columns[1] - columns[0]) + BEGINNING;
}

/* Another part of the choice whose parts begin at `first`: together with those where that is less work. */
static void add_part(tiled *t, size_t first, sr_part part) {
    for (size_t i = first; i < t->part_count; i++) {
        const sr_part both = joined(&part, &t->parts[i]);
        if (work_of(t, &both) > work_of(t, &part) + work_of(t, &t->parts[i])) continue;
        part = both;
        t->parts[i] = t->parts[--t->part_count];
        i = first - 1; /* from the beginning: it has become larger */
    }
    t->parts[t->part_count++] = part;
}

/* The runs of tiles of one choice in a row of tiles. */
static void add_runs(tiled *t, size_t first, int64_t tile_row, int32_t choice) {
    const sr_blend *b = &t->blend;
    const uint8_t *choices = b->map->choices + tile_row * b->map->across;
    sr_part part = {(int32_t)sr_max(0, 2 * tile_row - 1), (int32_t)sr_min(b->down.cells, 2 * tile_row + 2), 0, 0, choice};
    if (sr_cell_start(&b->down, part.row0) >= b->bottom || sr_cell_start(&b->down, part.row1) <= b->top) return;
    for (int64_t begin = 0, end; begin < b->map->across; begin = end) {
        for (end = begin + 1; end < b->map->across && choices[end] == choices[begin]; end++) {
        }
        if (choices[begin] != choice) continue;
        part.column0 = (int32_t)sr_max(0, 2 * begin - 1);
        part.column1 = (int32_t)sr_min(b->across.cells, 2 * end);
        add_part(t, first, part);
    }
}

/* All that is to be computed for the rows, choice by choice in ascending order. */
static void find_parts(tiled *t) {
    const sr_blend *b = &t->blend;
    const sr_part all = {0, (int32_t)b->down.cells, 0, (int32_t)b->across.cells, 0};
    t->part_count = 0;
    for (int32_t choice = 0; choice < (int32_t)sr_the_model.choices; choice++) {
        const size_t first = t->part_count;
        for (int64_t row = 0; row < b->map->down; row++) add_runs(t, first, row, choice);
        uint64_t work = 0;
        for (size_t i = first; i < t->part_count; i++) work += work_of(t, &t->parts[i]);
        if (t->part_count == first || (!t->session->tiling.whole && work < work_of(t, &all))) continue;
        t->parts[first] = all;
        t->parts[first].choice = choice;
        t->part_count = first + 1;
    }
    t->before = t->part = t->work = 0;
    for (size_t i = 0; i < t->part_count; i++) t->work += work_of(t, &t->parts[i]);
}

/* What a part's run says of its own rows, as rows of the result. */
static int forward(void *user, int64_t done, int64_t total) {
    tiled *t = user;
    if (t->progress == NULL) return 0;
    const int64_t scale = sr_the_model.scale, all = t->blend.out->height;
    const uint64_t unit = t->work / (1u << 30) + 1; /* so that products fit */
    const int64_t share = (int64_t)(t->before / unit) + (int64_t)(t->part / unit) * done / total;
    const int64_t now = scale * (t->blend.top + (t->blend.bottom - t->blend.top) * share / (int64_t)(t->work / unit));
    t->said = sr_max(t->said, sr_min(now, all - 1));
    t->cancelled |= t->progress(t->user, t->said, all) != 0;
    return t->cancelled;
}

/* Lay out the choice for a region. The whole width takes no more than was planned; a part of it seldom does. */
static tvmsr_status plan_region(tvmsr_session *session, sr_choice *choice, int64_t width, int64_t height) {
    const sr_tiling *tiling = &session->tiling;
    const uint64_t limit = session->memory_limit;
    sr_fit fit = sr_flow_plan(&choice->flow, height, width, session->threads, tiling->run);
    if (fit == SR_OVER_LIMIT) {
        fit = sr_flow_plan(&choice->flow, height, width, session->threads, limit == 0 ? 0 : limit - tiling->beside);
    }
    return sr_planned(session, fit, tiling->width, tiling->height, tiling->beside + choice->flow.bytes);
}

static tvmsr_status cancelled(const tiled *t) {
    return sr_fail(t->session, TVMSR_CANCELLED, "cancelled after %lld of %lld rows", (long long)t->said,
                   (long long)t->blend.out->height);
}

static tvmsr_status run_part(tiled *t, const sr_part *part) {
    tvmsr_session *session = t->session;
    sr_blend *b = &t->blend;
    sr_choice *choice = &session->choices[part->choice];
    const int64_t scale = sr_the_model.scale, bytes = b->made.bytes;
    int64_t rows[2], columns[2];
    region_of(t, part, rows, columns);
    const int64_t height = rows[1] - rows[0], width = columns[1] - columns[0];
    const sr_plane in = {sr_row(t->in, rows[0]) + columns[0] * t->in->bytes, t->in->stride, width, height, t->in->bytes};
    b->made = (sr_plane){t->made, width * scale * bytes, width * scale, height * scale, (int)bytes};
    b->made_row = rows[0];
    b->made_column = columns[0];
    b->part = *part;
    t->part = work_of(t, part);
    tvmsr_status status = plan_region(session, choice, width, height);
    if (status != TVMSR_OK) return status;
    if (session->tracing) sr_trace_begin(session, choice);
    status = sr_run(session, choice, &in, &b->made, forward, t);
    if (t->cancelled) return cancelled(t);
    if (status != TVMSR_OK) return status;
    uint64_t at = session->profiling ? sr_now() : 0;
    sr_blend_part(session, b);
    sr_tick(session, &session->times[session->time_count - 1], 0, &at);
    t->strips += choice->flow.strips;
    t->before += t->part;
    return TVMSR_OK;
}

static tvmsr_status run_rows(tiled *t) {
    const sr_blend *b = &t->blend;
    find_parts(t);
    for (size_t i = 0; i < t->part_count; i++) {
        if (i == 0 || t->parts[i].choice != t->parts[i - 1].choice) {
            memset(b->done, 0, (size_t)(b->down.cells * b->across.cells));
        }
        const tvmsr_status status = run_part(t, &t->parts[i]);
        if (status != TVMSR_OK) return status;
    }
    return TVMSR_OK;
}

static tvmsr_status prepare(tiled *t) {
    tvmsr_session *s = t->session;
    const sr_tiling *tiling = &s->tiling;
    if (s->beside_bytes < tiling->beside) {
        sr_free(s->beside);
        s->beside_bytes = 0;
        s->beside = sr_alloc(tiling->beside);
        if (s->beside == NULL) {
            return sr_fail(s, TVMSR_OUT_OF_MEMORY, "out of memory: %llu bytes are needed to put tiles together",
                           (unsigned long long)tiling->beside);
        }
        s->beside_bytes = tiling->beside;
    }
    unsigned char *at = s->beside;
    t->parts = (sr_part *)(void *)at;
    at += parts_bytes(tiling->height, tiling->width);
    t->blend.done = at;
    at += marks_bytes(tiling->height, tiling->width);
    t->blend.sums = (uint16_t *)(void *)at;
    t->made = at + sums_bytes(tiling->rows, tiling->width);
    return TVMSR_OK;
}

tvmsr_status sr_tiles_run(tvmsr_session *session, const sr_plane *in, const sr_plane *out, tvmsr_progress progress, void *user,
                          int64_t *strips) {
    tiled t;
    memset(&t, 0, sizeof t);
    t.session = session;
    t.in = in;
    t.progress = progress;
    t.user = user;
    sr_blend_open(&t.blend, &session->map, in, out);
    t.blend.made.bytes = out->bytes == 4 ? 4 : 3;
    tvmsr_status status = prepare(&t);
    for (int64_t top = 0; top < in->height && status == TVMSR_OK; top += session->tiling.rows) {
        t.blend.top = top;
        t.blend.bottom = sr_min(in->height, top + session->tiling.rows);
        status = run_rows(&t);
    }
    if (status == TVMSR_OK && progress != NULL) progress(user, out->height, out->height);
    *strips = t.strips;
    return status;
}

SR_SMALL_END
