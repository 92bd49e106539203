/* From the pixels that choices gave to the picture. Choices come in ascending order: the first of those that a pixel is blended
 * of begins its sum, the last one rounds it. */
#include <string.h>

#include "memory.h"
#include "small.h"
#include "tiles.h"

SR_SMALL

/* Weights of both sides together; a pixel's sum fits 16 bits. Rounded down after a quarter was added, or three by turns: so few
 * codes of difference do not step at the border itself. */
enum { SHARE = 128, WEIGHT_SHIFT = 8, QUARTER = 64, HALF = 128, BOTH_SHIFT = 6, GRAY_SHIFT = 16 };

/* One vector at a time: bands are short. */
#if defined(__clang__)
#define VECTORS _Pragma("clang loop interleave_count(1) unroll(disable)")
#else
#define VECTORS
#endif

/* Whose of a cell's tiles are the part's, and where it comes among their choices. */
typedef struct corners {
    int own[2][2]; /* [above, below][left, right] */
    int any, all;
    int first, last;
} corners;

int64_t sr_cell_start(const sr_side *side, int64_t cell) {
    if (cell == 0) return 0;
    if (cell == side->cells) return side->pixels;
    const int64_t border = (cell + 1) / 2 * sr_the_model.tile, half = sr_the_model.band / 2;
    return cell % 2 == 0 ? border + half : border - half;
}

static sr_side side_of(int64_t pixels) {
    const int64_t tiles = sr_tiles_of(pixels);
    return (sr_side){pixels, tiles, 2 * tiles - 1};
}

/* Alike on both sides of a border. at: pixels of the picture from the band's first. */
static int band_turn(int64_t at) {
    const int64_t half = sr_the_model.band / 2;
    return (at < half ? half - 1 - at : at - half) & 1;
}

void sr_blend_open(sr_blend *blend, const sr_map *map, const sr_plane *in, const sr_plane *out) {
    memset(blend, 0, sizeof *blend);
    blend->map = map;
    blend->out = out;
    blend->down = side_of(in->height);
    blend->across = side_of(in->width);
    const int64_t scale = sr_the_model.scale, wide = scale * sr_the_model.band;
    for (int64_t i = 0; i < SR_BLOCK; i++) {
        const int64_t pixel = i / 3, at = pixel / scale;
        blend->tile.turns[i] = (uint8_t)(HALF * (at & 1));
        if (pixel >= wide) continue;
        blend->band.shares[i] = (uint8_t)(((2 * pixel + 1) * SHARE + wide) / (2 * wide));
        blend->band.turns[i] = (uint8_t)(HALF * band_turn(at));
    }
}

static corners corners_of(const sr_blend *blend, int64_t row, int64_t column) {
    corners found = {{{0}}, 0, 1, 1, 1};
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 2; j++) {
            const int32_t choice = blend->map->choices[(row + i) / 2 * blend->map->across + (column + j) / 2];
            found.own[i][j] = choice == blend->part.choice;
            found.any |= found.own[i][j];
            found.all &= found.own[i][j];
            found.first &= choice >= blend->part.choice;
            found.last &= choice <= blend->part.choice;
        }
    }
    return found;
}

static uint8_t gray_of(const uint8_t *p) {
    return (uint8_t)((19595 * p[0] + 38470 * p[1] + 7471 * p[2] + (1 << (GRAY_SHIFT - 1))) >> GRAY_SHIFT);
}

static void copy_pixels(const uint8_t *from, int64_t count, int bytes, uint8_t *to) {
    if (bytes == 1) {
        for (int64_t i = 0; i < count; i++) to[i] = gray_of(from + 3 * i);
    } else {
        memcpy(to, from, (size_t)(count * bytes));
    }
}

/* Pixels of a row, all of one cell. */
typedef struct stretch {
    const corners *corners;
    uint16_t down; /* the share of the tile below */
    uint16_t flip; /* of the turns: the row's, and where the stretch begins */
    const sr_ramp *ramp;
    int64_t bytes; /* three a pixel */
} stretch;

SR_SMALL_END

/* Inlined with its constants. */
static inline __attribute__((always_inline)) void sum_up(const stretch *s, const uint8_t *restrict from, int first, int last,
                                                         uint16_t *restrict sums, uint8_t *restrict to) {
    const uint16_t above_left = (uint16_t)-s->corners->own[0][0], above_right = (uint16_t)-s->corners->own[0][1];
    const uint16_t below_left = (uint16_t)-s->corners->own[1][0], below_right = (uint16_t)-s->corners->own[1][1];
    const uint16_t down = s->down, flip = s->flip;
    const uint8_t *restrict shares = s->ramp->shares, *restrict turns = s->ramp->turns;
    const int64_t bytes = s->bytes;
    VECTORS
    for (int64_t i = 0; i < bytes; i++) {
        const uint16_t right = shares[i], both = (uint16_t)((uint16_t)(down * right) >> BOTH_SHIFT);
        const uint16_t lower = (uint16_t)(2 * down - both), beside = (uint16_t)(2 * right - both);
        const uint16_t rest = (uint16_t)((1 << WEIGHT_SHIFT) - 2 * down - beside);
        const uint16_t weight = (uint16_t)((rest & above_left) + (beside & above_right) + (lower & below_left) + (both & below_right));
        const uint16_t sum = (uint16_t)((first ? 0 : sums[i]) + (uint16_t)(weight * from[i]));
        if (last) {
            to[i] = (uint8_t)((uint16_t)(sum + QUARTER + (turns[i] ^ flip)) >> WEIGHT_SHIFT);
        } else {
            sums[i] = sum;
        }
    }
}

/* from, to: three bytes a pixel. */
static void blend_stretch(const stretch *s, const uint8_t *from, uint16_t *sums, uint8_t *to) {
    if (s->corners->first) {
        sum_up(s, from, 1, 0, sums, to);
    } else if (s->corners->last) {
        sum_up(s, from, 0, 1, sums, to);
    } else {
        sum_up(s, from, 0, 0, sums, to);
    }
}

SR_SMALL

/* Of other formats: colours by themselves, alpha as it is. */
static void blend_others(const stretch *s, const uint8_t *from, int from_bytes, uint16_t *sums, uint8_t *to, int to_bytes) {
    uint8_t colours[SR_BLOCK] = {0}, blended[SR_BLOCK] = {0};
    const int64_t count = s->bytes / 3;
    for (int64_t i = 0; i < count; i++) memcpy(colours + 3 * i, from + from_bytes * i, 3);
    blend_stretch(s, colours, sums, blended);
    for (int64_t i = 0; i < count && s->corners->last; i++, to += to_bytes) {
        if (to_bytes == 1) {
            to[0] = gray_of(blended + 3 * i);
        } else {
            memcpy(to, blended + 3 * i, 3);
            to[3] = from[from_bytes * i + 3];
        }
    }
}

/* A cell's pixels of a row of the result, where several choices give them. */
static void blend_cell(const sr_blend *b, const corners *c, int64_t cell, int64_t column, int64_t row, const uint8_t *from,
                       uint8_t *to) {
    const int64_t scale = sr_the_model.scale, left = sr_cell_start(&b->across, column), top = sr_cell_start(&b->down, cell);
    const int64_t end = scale * (sr_cell_start(&b->across, column + 1) - left), most = SR_BLOCK / 3 / (2 * scale) * 2 * scale;
    const int in_band = column % 2 != 0, turn = cell % 2 == 0 ? row / scale & 1 : band_turn(row / scale - top);
    uint16_t *sums = b->sums + ((row - scale * b->top) * b->out->width + scale * left) * 3;
    stretch s = {c, 0, 0, in_band ? &b->band : &b->tile, 0};
    s.down = cell % 2 == 0 ? 0 : b->band.shares[3 * (row - scale * top)];
    s.flip = (uint16_t)(HALF * (in_band ? turn : (turn ^ (int)left) & 1));
    for (int64_t at = 0; at < end; at += most) {
        s.bytes = 3 * sr_min(most, end - at);
        if (b->out->bytes == 3) {
            blend_stretch(&s, from + 3 * at, sums + 3 * at, to + 3 * at);
        } else {
            blend_others(&s, from + at * b->made.bytes, b->made.bytes, sums + 3 * at, to + at * b->out->bytes, b->out->bytes);
        }
    }
}

/* A row of the result in the part's cells of row `cell`. */
static void blend_row(const sr_blend *b, int64_t cell, int64_t row) {
    const int64_t scale = sr_the_model.scale;
    const uint8_t *made = sr_row(&b->made, row - scale * b->made_row);
    for (int64_t column = b->part.column0; column < b->part.column1; column++) {
        const corners c = corners_of(b, cell, column);
        if (!c.any || b->done[cell * b->across.cells + column]) continue;
        const int64_t start = scale * sr_cell_start(&b->across, column);
        const int64_t count = scale * sr_cell_start(&b->across, column + 1) - start;
        const uint8_t *from = made + (start - scale * b->made_column) * b->made.bytes;
        uint8_t *to = sr_row(b->out, row) + start * b->out->bytes;
        if (c.all) {
            copy_pixels(from, count, b->out->bytes, to);
        } else {
            blend_cell(b, &c, cell, column, row, from, to);
        }
    }
}

static void blend_task(void *context, int worker) {
    (void)worker;
    sr_blend *b = context;
    const int64_t scale = sr_the_model.scale, first = sr_max(b->top, sr_cell_start(&b->down, b->part.row0));
    sr_turn turn = {0, 0};
    sr_piece piece;
    while (sr_share_next(&b->share, &turn, &piece)) {
        int64_t cell = b->part.row0;
        for (int64_t row = first + piece.row0; row < first + piece.row1; row++) {
            while (sr_cell_start(&b->down, cell + 1) <= row) cell++;
            for (int64_t i = 0; i < scale; i++) blend_row(b, cell, row * scale + i);
        }
    }
}

void sr_blend_part(tvmsr_session *session, sr_blend *b) {
    const int64_t first = sr_max(b->top, sr_cell_start(&b->down, b->part.row0));
    const int64_t last = sr_min(b->bottom, sr_cell_start(&b->down, b->part.row1));
    sr_share_rows(&b->share, last - first, b->across.pixels, 1, sr_pool_threads(session->pool));
    sr_pool_run(session->pool, blend_task, b);
    for (int64_t row = b->part.row0; row < b->part.row1; row++) {
        memset(b->done + row * b->across.cells + b->part.column0, 1, (size_t)(b->part.column1 - b->part.column0));
    }
}

SR_SMALL_END
