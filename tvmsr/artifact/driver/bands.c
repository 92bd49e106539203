/* Depth first, all steps of a strip follow each other, and what a step stores is read while it is in a cache. What has to
 * stay there from one strip to the next are the weights and the rows that the next strip reads again. Where those are more
 * than the cache holds, least-recently-used means that every one of them is gone when its turn comes: each strip brings the
 * weights from memory, and writes its last rows and reads them again.
 *
 * Cut in two groups, the first goes down the whole picture before the second begins. Each may fit the cache; in exchange
 * whole maps are written and read. So of one group the cost is, in bytes moved,
 *
 *     TRANSFERS * (maps that later groups read)
 *   + where weights + kept rows + the rows at work are more than the cache:
 *     strips * weights + TRANSFERS * (kept rows of every strip, no map more often than once as a whole)
 *
 * and the groups with the least sum are found step by step: the best groups of the first n steps end with a group [i, n), before
 * which the best groups of the first i steps lie.
 *
 * Bytes are not time. Memory brings a byte in the time of BYTE multiplications or less (10 GB/s against 200 GMAC/s), most
 * of it while others are done, so that groups are cut only where that saves PART of the time that the multiplications take:
 * a whole map is memory that somebody else may want.
 */
#include "bands.h"

#include <stdlib.h>
#include <string.h>

#include "small.h"

SR_SMALL

/* A byte stored and read once: its line is fetched, written back, and fetched. */
#define TRANSFERS 3

#define BYTE 20
#define PART 16

/* Of the caches, what is left beside other programs' data and all that passes through once: three quarters. */
#define OURS(bytes) ((bytes) / 4 * 3)

/* Bytes of the widest map that a strip should bring forth for each thread: with as many that it reads, they leave a
 * quarter of a core's cache to the weights. More than the largest saves nothing, and every ring grows with it. */
#define STRIP_MOST (192u << 10)
#define STRIP_PART(bytes) ((bytes) / 8 * 3)

/* Sums over maps that begin, and that end, before a step; so that those of any group are differences. */
typedef struct sums {
    uint64_t kept;
    uint64_t again; /* what is moved where they do not stay */
    uint64_t bytes;
} sums;

typedef struct search {
    const sr_bands *bands;
    uint64_t *best;  /* [n]: the least cost of the first n steps */
    uint32_t *from;  /* [n]: where the last of their groups begins */
    sums *begun;     /* [n]: of maps with first < n */
    sums *ended;     /* with last < n */
    uint32_t *chain; /* [maps]: the next map that ends where this one does, plus one */
    uint32_t *ends;  /* [n]: the first of those that end with step n, plus one */
} search;

static void close_search(search *s) {
    free(s->best);
    free(s->from);
    free(s->begun);
    free(s->ended);
    free(s->chain);
    free(s->ends);
}

static int open_search(search *s, const sr_bands *bands) {
    const size_t steps = (size_t)bands->step_count + 1, maps = (size_t)bands->map_count + 1;
    s->bands = bands;
    s->best = calloc(steps, sizeof *s->best);
    s->from = calloc(steps, sizeof *s->from);
    s->begun = calloc(steps, sizeof *s->begun);
    s->ended = calloc(steps, sizeof *s->ended);
    s->chain = calloc(maps, sizeof *s->chain);
    s->ends = calloc(steps, sizeof *s->ends);
    return s->best != NULL && s->from != NULL && s->begun != NULL && s->ended != NULL && s->chain != NULL && s->ends != NULL;
}

static void add(sums *to, const sums *more) {
    to->kept += more->kept;
    to->again += more->again;
    to->bytes += more->bytes;
}

static void sum_maps(search *s) {
    const sr_bands *bands = s->bands;
    for (uint32_t i = 0; i < bands->map_count; i++) {
        const sr_band_map *map = &bands->maps[i];
        const uint64_t every = map->kept * bands->strips;
        const sums its = {map->kept, map->bytes != 0 && map->bytes < every ? map->bytes : every, map->bytes};
        add(&s->begun[map->first + 1], &its);
        add(&s->ended[map->last + 1], &its);
        s->chain[i] = s->ends[map->last];
        s->ends[map->last] = i + 1;
    }
    for (uint32_t n = 1; n <= bands->step_count; n++) {
        add(&s->begun[n], &s->begun[n - 1]);
        add(&s->ended[n], &s->ended[n - 1]);
    }
}

/* Bytes of maps from before `first` that end with step `at`. */
static uint64_t ending(const search *s, uint32_t first, uint32_t at) {
    uint64_t bytes = 0;
    for (uint32_t i = s->ends[at]; i != 0; i = s->chain[i - 1]) {
        if (s->bands->maps[i - 1].first < first) bytes += s->bands->maps[i - 1].bytes;
    }
    return bytes;
}

/* Try the groups that begin with step `first`. */
static void extend(search *s, uint32_t first) {
    const sr_bands *bands = s->bands;
    uint64_t weights = 0, working = 0, older = s->begun[first].bytes - s->ended[first].bytes;
    for (uint32_t end = first + 1; end <= bands->step_count; end++) {
        const sr_band_step *step = &bands->steps[end - 1];
        weights += step->weights;
        if (step->working > working) working = step->working;
        older -= ending(s, first, end - 1);
        const uint64_t kept = s->begun[end].kept - s->ended[first].kept;
        uint64_t cost = s->best[first] + TRANSFERS * (s->begun[end].bytes - s->ended[end].bytes - older);
        if (weights + kept + working > bands->cache) {
            cost += bands->strips * weights + TRANSFERS * (s->begun[end].again - s->ended[first].again);
        }
        if (first > 0 && cost >= s->best[end]) continue;
        s->best[end] = cost;
        s->from[end] = first;
    }
}

static uint32_t number(const uint32_t *from, uint32_t count, uint32_t *groups) {
    uint32_t total = 0;
    for (uint32_t end = count; end > 0; end = from[end]) total++;
    uint32_t group = total;
    for (uint32_t end = count; end > 0; end = from[end]) {
        group--;
        for (uint32_t i = from[end]; i < end; i++) groups[i] = group;
    }
    return total;
}

int64_t sr_strip_rows(uint64_t row_bytes, uint64_t threads, uint64_t core, uint64_t shared) {
    const uint64_t own = core != 0 ? core : shared / threads;
    const uint64_t bytes = own != 0 && STRIP_PART(own) < STRIP_MOST ? STRIP_PART(own) : STRIP_MOST;
    const uint64_t rows = threads * bytes / row_bytes, least = threads < 2 ? 4 : 2 * threads;
    return (int64_t)(rows > least ? rows : least);
}

uint64_t sr_band_cache(uint64_t threads, uint64_t core, uint64_t shared) { return OURS(threads * core + shared); }

uint32_t sr_bands_plan(const sr_bands *bands, uint32_t *groups) {
    const uint32_t count = bands->step_count;
#ifdef SR_LAYER_BY_LAYER
    for (uint32_t i = 0; i < count; i++) groups[i] = i;
    if (count > 0) return count;
#endif
    search s;
    memset(groups, 0, count * sizeof *groups);
    if (count < 2 || bands->cache == 0) return 1;
    uint32_t total = 1;
    if (open_search(&s, bands)) {
        const uint64_t worth = bands->macs / (BYTE * PART);
        sum_maps(&s);
        extend(&s, 0);
        const uint64_t together = s.best[count];
        for (uint32_t first = 1; first < count && together > worth; first++) extend(&s, first);
        if (together - s.best[count] > worth) total = number(s.from, count, groups);
    }
    close_search(&s);
    return total;
}

SR_SMALL_END
