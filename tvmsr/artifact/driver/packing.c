#include <string.h>

#include "memory.h"
#include "plain.h"
#include "session.h"
#include "small.h"
#include "steps.h"

SR_SMALL

/* What opening a level may take for weights and parameters, packed and unfolded, of all its steps together: as much as of any
 * one layout (check.c), and as much as a process of 32 bits may have at all. The largest networks that are published have some
 * 43 million weights; as words of F(4x4, 3x3), eight bytes each, they take a sixth of this. Without it a small file may name
 * one layer, or parameters of which the short form makes gigabytes, in any number of steps. */
#define MOST_BYTES (UINT64_C(1) << 31)
#define TOO_MUCH "its weights and parameters would take more than 2 GiB"

static const void *layer_codes(const sr_step *step) { return sr_the_model.data + sr_the_model.layers[step->layer].offset; }

/* Steps of the driver's own read plain parameters. */
static uint64_t plain_bytes(const sr_step *step) { return 4 * SR_KIND[step->kind]->words(step); }

static uint64_t block_bytes(const sr_step *step, const int32_t *plain) {
    return sr_round_up(step->block == NULL ? plain_bytes(step) : tvmsr_block_bytes(step->block, plain), SR_ALIGN);
}

static uint64_t weight_bytes(const sr_step *step) {
    return step->weights == NULL ? 0 : sr_round_up(tvmsr_weight_bytes(step->weights), SR_ALIGN);
}

static void close_plain(int32_t **plain, size_t count) {
    for (size_t i = 0; plain != NULL && i < count; i++) free(plain[i]);
    free(plain);
}

/* Bytes of a step's parameters of one choice, unfolded and packed; of plain NULL: without a table, whose length is among them. */
static uint64_t param_bytes(const sr_step *step, const int32_t *plain) {
    if (step->block == NULL) return plain_bytes(step) + block_bytes(step, plain);
    tvmsr_param_layout layout = *step->block;
    if (plain == NULL) layout.has_table = 0;
    return tvmsr_plain_bytes(&layout, plain) + sr_round_up(tvmsr_block_bytes(&layout, plain), SR_ALIGN);
}

/* Bytes that opening the level takes, tables aside; more than MOST_BYTES where there would be more. */
static uint64_t level_bytes(const sr_level *level) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < level->step_count && bytes <= MOST_BYTES; i++) {
        const sr_step *step = &level->steps[i];
        bytes += weight_bytes(step) + sr_the_model.choices * param_bytes(step, NULL);
    }
    return bytes;
}

/* Plain parameters, [choices][steps], all NULL before. They are unfolded here once, and proven by that. 0: see sr_pack_open. */
static int open_plain(const sr_level *level, size_t count, int32_t **plain, const char **wrong) {
    uint64_t bytes = level_bytes(level);
    *wrong = TOO_MUCH;
    for (size_t i = 0; i < count && bytes <= MOST_BYTES; i++) {
        const sr_step *step = &level->steps[i % level->step_count];
        plain[i] = sr_plain_open(&sr_the_model, step, (uint32_t)(i / level->step_count), wrong);
        if (plain[i] == NULL) return 0;
        bytes += param_bytes(step, plain[i]) - param_bytes(step, NULL);
        *wrong = TOO_MUCH;
    }
    if (bytes > MOST_BYTES) return 0;
    *wrong = NULL;
    return 1;
}

/* Bytes of all that step i reads. */
static uint64_t step_bytes(const sr_level *level, uint32_t i, int32_t *const *plain) {
    uint64_t bytes = weight_bytes(&level->steps[i]);
    for (uint32_t c = 0; c < sr_the_model.choices; c++) {
        bytes += block_bytes(&level->steps[i], plain[(size_t)c * level->step_count + i]);
    }
    return bytes;
}

/* Weights, then the blocks of all choices, from `at` on. */
static void pack_step(const sr_packed *packed, const sr_level *level, uint32_t i, int32_t *const *plain, unsigned char *at) {
    const sr_step *step = &level->steps[i];
    const void *codes = step->layer < 0 ? NULL : layer_codes(step);
    const int32_t bits = step->layer < 0 ? 8 : sr_the_model.layers[step->layer].bits;
    if (step->weights != NULL) {
        tvmsr_pack_weights(step->weights, codes, bits, at);
        packed->weights[i] = at;
        at += weight_bytes(step);
    }
    for (uint32_t c = 0; c < sr_the_model.choices; c++) {
        const int32_t *words = plain[(size_t)c * level->step_count + i];
        if (step->block == NULL) {
            memcpy(at, words, (size_t)plain_bytes(step));
        } else {
            tvmsr_pack_params(step->block, words, step->weights, codes, bits, at);
        }
        packed->blocks[(size_t)c * level->step_count + i] = at;
        at += block_bytes(step, words);
    }
}

/* Steps that threads take one by one; each has its place. */
typedef struct packing {
    atomic_uint next;
    const sr_packed *packed;
    const sr_level *level;
    const uint64_t *offsets; /* [steps] */
    int32_t *const *plain;
} packing;

static void pack_task(void *context, int worker) {
    (void)worker;
    packing *p = context;
    for (;;) {
        const uint32_t i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (i >= p->level->step_count) return;
        pack_step(p->packed, p->level, i, p->plain, p->packed->memory + p->offsets[i]);
    }
}

/* The place of every step, in offsets [steps], and the memory for all. 0: out of memory. */
static int place_steps(sr_packed *packed, const sr_level *level, int32_t *const *plain, uint64_t *offsets) {
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < level->step_count; i++) {
        offsets[i] = bytes;
        bytes += step_bytes(level, i, plain);
    }
    packed->memory = sr_alloc(bytes + SR_ALIGN); /* kernels may read a little past the end of their weights */
    return packed->memory != NULL;
}

int sr_pack_open(sr_packed *packed, const sr_level *level, sr_pool *pool, const char **wrong) {
    const uint32_t steps = level->step_count;
    const size_t blocks = (size_t)steps * sr_the_model.choices;
    memset(packed, 0, sizeof *packed);
    *wrong = NULL;
    uint64_t *offsets = calloc((size_t)steps + 1, sizeof *offsets);
    int32_t **plain = calloc(blocks + 1, sizeof *plain);
    packed->weights = calloc((size_t)steps + 1, sizeof *packed->weights);
    packed->blocks = calloc(blocks + 1, sizeof *packed->blocks);
    const int there = offsets != NULL && plain != NULL && packed->weights != NULL && packed->blocks != NULL &&
                      open_plain(level, blocks, plain, wrong) && place_steps(packed, level, plain, offsets);
    if (there) {
        packing p;
        atomic_init(&p.next, 0);
        p.packed = packed;
        p.level = level;
        p.offsets = offsets;
        p.plain = plain;
        sr_pool_run(pool, pack_task, &p);
    }
    close_plain(plain, blocks);
    free(offsets);
    return there;
}

void sr_pack_close(sr_packed *packed) {
    sr_free(packed->memory);
    free((void *)packed->weights);
    free((void *)packed->blocks);
    memset(packed, 0, sizeof *packed);
}

SR_SMALL_END
