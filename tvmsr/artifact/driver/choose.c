/* Which bit choice a picture gets, or each of its tiles: that which was forced, or what the file's bounds say of complexity. */
#include <stdlib.h>
#include <string.h>

#include "complexity.h"
#include "rows.h"
#include "session.h"
#include "small.h"
#include "tiles.h"

SR_SMALL

/* Rows that a thread looks at together: the two beside them are looked at once more. */
#define LOOK_ROWS 16

/* Without complexity.c, where a file has no bounds: nobody asks. */
#ifndef SR_WITHOUT_COMPLEXITY

/* A picture whose rows, or tiles, threads share. */
typedef struct looking {
    sr_share share;
    const sr_plane *in;
    const sr_map *map;
    atomic_ullong gradient;
} looking;

static uint8_t choice_of(uint32_t found) {
    const sr_bound *bound = sr_the_model.bounds;
    while (found >= bound->below) bound++; /* the last one is above all pictures: check.c */
    return (uint8_t)bound->choice;
}

static void look_task(void *context, int worker) {
    (void)worker;
    looking *l = context;
    sr_turn turn = {0, 0};
    sr_piece piece;
    while (sr_share_next(&l->share, &turn, &piece)) {
        const uint64_t found = sr_gradient(l->in, piece.row0, piece.row1, 0, l->in->width);
        atomic_fetch_add_explicit(&l->gradient, found, memory_order_relaxed);
    }
}

/* Tile i of a side, the last one with the rest. */
static void tile_of(int64_t i, int64_t tiles, int64_t pixels, int64_t *first, int64_t *last) {
    *first = i * sr_the_model.tile;
    *last = i == tiles - 1 ? pixels : *first + sr_the_model.tile;
}

static void tile_task(void *context, int worker) {
    (void)worker;
    looking *l = context;
    sr_turn turn = {0, 0};
    sr_piece piece;
    while (sr_share_next(&l->share, &turn, &piece)) {
        for (int64_t i = piece.row0; i < piece.row1; i++) {
            int64_t top, bottom, left, right;
            tile_of(i / l->map->across, l->map->down, l->in->height, &top, &bottom);
            tile_of(i % l->map->across, l->map->across, l->in->width, &left, &right);
            const uint64_t found = sr_gradient(l->in, top, bottom, left, right);
            l->map->choices[i] = choice_of(sr_complexity(found, bottom - top, right - left));
        }
    }
}

/* A single tile has the picture's rows for threads to share. */
static void look_at(const tvmsr_session *session, const sr_plane *in) {
    looking l;
    l.in = in;
    l.map = &session->map;
    const int threads = sr_pool_threads(session->pool);
    const int64_t tiles = l.map->down * l.map->across;
    atomic_init(&l.gradient, 0);
    if (SR_TILES && tiles > 1) {
        sr_share_rows(&l.share, tiles, 1, 1, threads);
        sr_pool_run(session->pool, tile_task, &l);
    } else {
        sr_share_rows(&l.share, in->height, in->width, LOOK_ROWS, threads);
        sr_pool_run(session->pool, look_task, &l);
        l.map->choices[0] = choice_of(sr_complexity(atomic_load(&l.gradient), in->height, in->width));
    }
}

#else

static void look_at(const tvmsr_session *session, const sr_plane *in) { (void)session, (void)in; }

#endif

/* Who chooses. */
enum { FORCED, BY_PATTERN, BY_COMPLEXITY };

static int chooser(const tvmsr_session *session) {
    if (session->forced >= 0) return FORCED;
    if (SR_TILES && session->pattern.across > 0) return BY_PATTERN;
    return session->adaptive && sr_the_model.bound_count > 0 ? BY_COMPLEXITY : FORCED;
}

void sr_usable_choices(const tvmsr_session *session, uint32_t *first, uint32_t *last) {
    *first = session->forced < 0 ? 0 : (uint32_t)session->forced;
    *last = chooser(session) == FORCED ? *first + 1 : sr_the_model.choices;
}

/* Room for so many tiles, all of choice 0. 0: out of memory. */
static int open_map(sr_map *map, int64_t down, int64_t across) {
    const uint64_t tiles = (uint64_t)(down * across);
    if (map->room < tiles) {
        free(map->choices);
        map->room = 0;
        map->choices = malloc((size_t)tiles);
        if (map->choices == NULL) return 0;
        map->room = tiles;
    }
    map->down = down;
    map->across = across;
    memset(map->choices, 0, (size_t)tiles);
    return 1;
}

static void repeat(const sr_map *pattern, sr_map *map) {
    for (int64_t i = 0; i < map->down; i++) {
        const uint8_t *row = pattern->choices + i % pattern->down * pattern->across;
        for (int64_t j = 0; j < map->across; j++) map->choices[i * map->across + j] = row[j % pattern->across];
    }
}

tvmsr_status sr_choose(tvmsr_session *session, const sr_plane *in) {
    const int how = chooser(session);
    sr_map *map = &session->map;
    const int64_t down = how == FORCED ? 1 : sr_tiles_of(in->height), across = how == FORCED ? 1 : sr_tiles_of(in->width);
    if (!open_map(map, down, across)) return sr_fail(session, TVMSR_OUT_OF_MEMORY, "out of memory");
    if (how == FORCED) {
        map->choices[0] = (uint8_t)sr_max(0, session->forced);
    } else if (SR_TILES && how == BY_PATTERN) {
        repeat(&session->pattern, map);
    } else {
        look_at(session, in);
    }
    return TVMSR_OK;
}

int32_t sr_most_chosen(const tvmsr_session *session, int32_t *counts) {
    const sr_map *map = &session->map;
    int32_t own[256] = {0}, most = 0;
    for (int64_t i = 0; i < map->down * map->across; i++) own[map->choices[i]]++;
    for (int32_t c = 0; c < (int32_t)sr_the_model.choices; c++) {
        if (own[c] > own[most]) most = c;
        if (counts != NULL) counts[c] = own[c];
    }
    return most;
}

/* Fill the session's map for a picture that nobody checked. */
static tvmsr_status predict(tvmsr_session *session, const tvmsr_picture *in) {
    const tvmsr_status status = sr_check_picture(session, "input", in);
    if (status != TVMSR_OK) return status;
    const sr_plane from = sr_plane_of(in);
    sr_pool_revive(session->pool);
    return sr_choose(session, &from);
}

SR_API tvmsr_status TVMSR_FN(predict_choice)(tvmsr_session *session, const tvmsr_picture *in, int32_t *choice) {
    tvmsr_status status = sr_enter(session);
    if (status != TVMSR_OK) return status;
    if (choice == NULL) return sr_leave(session, sr_fail(session, TVMSR_BAD_ARGUMENT, "no place for the choice was given"));
    status = predict(session, in);
    if (status == TVMSR_OK) *choice = sr_most_chosen(session, NULL);
    return sr_leave(session, status);
}

SR_API tvmsr_status TVMSR_FN(read_tiles)(tvmsr_session *session, const tvmsr_picture *in, tvmsr_tiles *tiles) {
    tvmsr_status status = sr_enter(session);
    if (status != TVMSR_OK) return status;
    if (tiles == NULL || tiles->struct_size < sizeof tiles->struct_size) {
        return sr_leave(session, sr_fail(session, TVMSR_BAD_ARGUMENT, "tiles->struct_size is not set"));
    }
    if (in != NULL) status = predict(session, in);
    if (status != TVMSR_OK) return sr_leave(session, status);
    const sr_map *map = in == NULL ? &session->last_map : &session->map;
    tvmsr_tiles full = {tiles->struct_size, (int32_t)sr_the_model.tile, (int32_t)map->across, (int32_t)map->down, map->choices};
    memcpy(tiles, &full, tiles->struct_size < sizeof full ? tiles->struct_size : sizeof full);
    return sr_leave(session, TVMSR_OK);
}

SR_API tvmsr_status TVMSR_FN(force_choice)(tvmsr_session *session, int32_t choice) {
    tvmsr_status status = sr_enter(session);
    if (status != TVMSR_OK) return status;
    if (choice < -1 || choice >= (int32_t)sr_the_model.choices) {
        status = sr_fail(session, TVMSR_BAD_ARGUMENT, "choice %d; the file has %u", choice, sr_the_model.choices);
        return sr_leave(session, status);
    }
    session->forced = choice;
    return sr_leave(session, TVMSR_OK);
}

static tvmsr_status set_pattern(tvmsr_session *session, const uint8_t *choices, int32_t across, int32_t down) {
    const int64_t most = (int64_t)1 << 24, count = (int64_t)across * down;
    if (!SR_TILES || sr_the_model.tile == 0) return sr_fail(session, TVMSR_BAD_ARGUMENT, "this file's pictures choose as a whole");
    if (across < 1 || down < 1 || count > most) return sr_fail(session, TVMSR_BAD_ARGUMENT, "%d x %d tiles", across, down);
    for (int64_t i = 0; i < count; i++) {
        if (choices[i] < sr_the_model.choices) continue;
        return sr_fail(session, TVMSR_BAD_ARGUMENT, "choice %d; the file has %u", choices[i], sr_the_model.choices);
    }
    if (!open_map(&session->pattern, down, across)) {
        session->pattern.across = 0;
        return sr_fail(session, TVMSR_OUT_OF_MEMORY, "out of memory");
    }
    memcpy(session->pattern.choices, choices, (size_t)count);
    return TVMSR_OK;
}

SR_API tvmsr_status TVMSR_FN(force_tiles)(tvmsr_session *session, const uint8_t *choices, int32_t across, int32_t down) {
    tvmsr_status status = sr_enter(session);
    if (status != TVMSR_OK) return status;
    if (choices == NULL) {
        session->pattern.across = 0;
    } else {
        status = set_pattern(session, choices, across, down);
    }
    return sr_leave(session, status);
}

SR_SMALL_END
