/* Which steps go down the picture together: a planner that knows bytes only, not what they are. */
#ifndef SR_BANDS_H
#define SR_BANDS_H

#include <stdint.h>

/* A step of one phase, in the order in which they run. */
typedef struct sr_band_step {
    uint64_t weights; /* bytes that it reads in every strip, packed */
    uint64_t working; /* bytes of the rows that it reads and stores in a strip */
} sr_band_step;

/* What is stored between steps: made from step `first` on, read by step `last` at the latest. */
typedef struct sr_band_map {
    uint32_t first;
    uint32_t last; /* at least first */
    uint64_t bytes; /* of the whole map; 0: it is whole in any case */
    uint64_t kept;  /* of the rows that are alive from one strip to the next */
} sr_band_map;

typedef struct sr_bands {
    const sr_band_step *steps;
    const sr_band_map *maps; /* in any order */
    uint32_t step_count;
    uint32_t map_count;
    uint64_t strips;
    uint64_t cache; /* bytes that stay from strip to strip; 0: not known */
    uint64_t macs;  /* multiplications of all steps, over the whole picture */
} sr_bands;

/* Rows of a map that a strip brings forth, `row_bytes` each: enough work for every thread between two barriers, as little as
 * stays in the cache that a core has beside the weights. core: bytes of a core's own; shared: of one that all share; 0: not
 * known, or none. */
int64_t sr_strip_rows(uint64_t row_bytes, uint64_t threads, uint64_t core, uint64_t shared);

/* Bytes that stay from strip to strip. */
uint64_t sr_band_cache(uint64_t threads, uint64_t core, uint64_t shared);

/* The group of each step, from 0 on; returns how many there are. One where nothing else is clearly better, where the cache
 * is not known or where memory runs out. With SR_LAYER_BY_LAYER, for tests, each step is its own. */
uint32_t sr_bands_plan(const sr_bands *bands, uint32_t *groups);

#endif
