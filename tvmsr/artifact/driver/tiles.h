/* A picture whose tiles have bit choices of their own: docs/numerics.md, "Tiles", is the definition, tvmsr/quant/tiles.py the
 * reference.
 *
 * Tiles and the bands around their borders cut each side of the picture into cells: cell 2i is what tile i has for itself, cell
 * 2i + 1 the band around the border behind it. Everything about a pixel follows from its cells: which tiles it is blended
 * of, up to four, and with that which choices have to compute it.
 */
#ifndef SR_TILES_H
#define SR_TILES_H

#include "colour.h"
#include "rows.h"
#include "session.h"

/* Where no file's pictures choose in tiles, blend.c and tiles.c are left out. */
#ifdef SR_WITHOUT_TILES
#define SR_TILES 0
#else
#define SR_TILES 1
#endif

#define SR_MOST_TILE (1u << 16)
#define SR_MOST_BAND 64u

/* A side of the picture. */
typedef struct sr_side {
    int64_t pixels;
    int64_t tiles;
    int64_t cells; /* 2 * tiles - 1 */
} sr_side;

/* Cells [row0, row1) x [column0, column1) that are computed together, through one choice. */
typedef struct sr_part {
    int32_t row0, row1;
    int32_t column0, column1;
    int32_t choice;
} sr_part;

/* Bytes of a band's pixels across a border, the most there are: blended at one time. */
enum { SR_BLOCK = 3 * SR_MAX_SCALE * (int)SR_MOST_BAND };

/* Of each byte: the share of the tile behind a border, 0 to 128, and what is added before rounding, 0 or 128 by turns. */
typedef struct sr_ramp {
    uint8_t shares[SR_BLOCK];
    uint8_t turns[SR_BLOCK];
} sr_ramp;

/* Putting together what parts gave. */
typedef struct sr_blend {
    sr_share share;
    const sr_map *map;
    sr_side down, across;
    const sr_plane *out;
    sr_plane made;     /* the choice's pixels, */
    int64_t made_row;  /* and where they begin in the picture */
    int64_t made_column;
    sr_part part;
    int64_t top;       /* rows of the picture [top, bottom) are put together */
    int64_t bottom;
    uint16_t *sums;    /* of their pixels that are blended: weights sum to 256 */
    uint8_t *done;     /* [cells]: 1 where this choice gave its pixels before */
    sr_ramp band; /* across a border, */
    sr_ramp tile; /* and where there is none, from an even pixel on */
} sr_blend;

/* Tiles of a side; 1 where the picture chooses as a whole. */
static inline int64_t sr_tiles_of(int64_t pixels) {
    return SR_TILES && sr_the_model.tile != 0 ? sr_max(1, pixels / sr_the_model.tile) : 1;
}

/* blend.c: sides and shares of a picture. */
void sr_blend_open(sr_blend *blend, const sr_map *map, const sr_plane *in, const sr_plane *out);

/* The first pixel of a cell; of the number of cells, the side's end. */
int64_t sr_cell_start(const sr_side *side, int64_t cell);

/* Give the part's pixels in rows [top, bottom) to the result. */
void sr_blend_part(tvmsr_session *session, sr_blend *blend);

/* tiles.c: lay out session->tiling for a picture of this size. */
tvmsr_status sr_tiles_plan(tvmsr_session *session, int64_t width, int64_t height);

/* What the last plan takes, runs and all. */
uint64_t sr_tiles_bytes(const tvmsr_session *session);

/* Upscale a picture by the session's map; *strips: of all runs together. */
tvmsr_status sr_tiles_run(tvmsr_session *session, const sr_plane *in, const sr_plane *out, tvmsr_progress progress, void *user,
                          int64_t *strips);

#endif
