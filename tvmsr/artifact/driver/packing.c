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

/* A step of any choice, and what of it is packed. */
typedef struct item {
    const sr_step *step;
    const struct item *like; /* of a choice before, whose packed weights are these too; NULL: packs its own */
    int32_t *plain; /* parameters, unfolded */
    const void **weights; /* in the choice */
    const void **block;
    uint64_t offset; /* in the session's packed memory */
} item;

static const void *layer_codes(const sr_step *step) { return sr_the_model.data + sr_the_model.layers[step->layer].offset; }

/* Steps of the driver's own read plain parameters. */
static uint64_t plain_bytes(const sr_step *step) { return 4 * SR_KIND[step->kind]->words(step); }

static uint64_t block_bytes(const item *it) {
    const sr_step *step = it->step;
    return sr_round_up(step->block == NULL ? plain_bytes(step) : tvmsr_block_bytes(step->block, it->plain), SR_ALIGN);
}

static uint64_t weight_bytes(const item *it) {
    const int own = it->step->weights != NULL && it->like == NULL;
    return own ? sr_round_up(tvmsr_weight_bytes(it->step->weights), SR_ALIGN) : 0;
}

/* Bytes of a step's parameters, unfolded and packed; of plain NULL: without a table, whose length is among them. */
static uint64_t param_bytes(const sr_step *step, const int32_t *plain) {
    if (step->block == NULL) return 2 * sr_round_up(plain_bytes(step), SR_ALIGN);
    tvmsr_param_layout layout = *step->block;
    if (plain == NULL) layout.has_table = 0;
    return tvmsr_plain_bytes(&layout, plain) + sr_round_up(tvmsr_block_bytes(&layout, plain), SR_ALIGN);
}

/* A layout is int32 and nothing else. By hand: compilers make bcmp of memcmp, which some C libraries lack. */
static int same_layout(const tvmsr_weight_layout *a, const tvmsr_weight_layout *b) {
    const int32_t *x = (const int32_t *)(const void *)a, *y = (const int32_t *)(const void *)b;
    for (size_t i = 0; i < sizeof *a / sizeof *x; i++) {
        if (x[i] != y[i]) return 0;
    }
    return 1;
}

/* A step before these that has the same weights in the same layout: choices share them. */
static const item *find_like(const item *items, size_t count, const sr_step *step) {
    for (size_t i = 0; i < count && step->weights != NULL; i++) {
        const sr_step *other = items[i].step;
        if (other->layer != step->layer || other->weights == NULL || !same_layout(other->weights, step->weights)) continue;
        return items[i].like != NULL ? items[i].like : &items[i];
    }
    return NULL;
}

static size_t count_items(const tvmsr_session *session) {
    size_t count = 0;
    for (uint32_t c = 0; c < sr_the_model.choices; c++) count += session->choices[c].program->step_count;
    return count;
}

/* All steps of all choices. 0: out of memory. */
static int list_items(tvmsr_session *session, item *items) {
    size_t count = 0;
    for (uint32_t c = 0; c < sr_the_model.choices; c++) {
        sr_choice *choice = &session->choices[c];
        const uint32_t steps = choice->program->step_count;
        const size_t before = count;
        choice->weights = calloc((size_t)steps + 1, sizeof *choice->weights);
        choice->blocks = calloc((size_t)steps + 1, sizeof *choice->blocks);
        if (choice->weights == NULL || choice->blocks == NULL) return 0;
        for (uint32_t i = 0; i < steps; i++) {
            const sr_step *step = &choice->program->steps[i];
            items[count++] = (item){step, find_like(items, before, step), NULL, &choice->weights[i], &choice->blocks[i], 0};
        }
    }
    return 1;
}

/* Bytes that opening takes, tables aside; more than MOST_BYTES where there would be more. */
static uint64_t all_bytes(const item *items, size_t count) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < count && bytes <= MOST_BYTES; i++) bytes += weight_bytes(&items[i]) + param_bytes(items[i].step, NULL);
    return bytes;
}

/* Plain parameters are unfolded here once, and proven by that. 0: see sr_pack_open. */
static int open_plain(item *items, size_t count, const char **wrong) {
    uint64_t bytes = all_bytes(items, count);
    *wrong = TOO_MUCH;
    for (size_t i = 0; i < count && bytes <= MOST_BYTES; i++) {
        const sr_step *step = items[i].step;
        items[i].plain = sr_plain_open(&sr_the_model, step, wrong);
        if (items[i].plain == NULL) return 0;
        bytes += param_bytes(step, items[i].plain) - param_bytes(step, NULL);
        *wrong = TOO_MUCH;
    }
    if (bytes > MOST_BYTES) return 0;
    *wrong = NULL;
    return 1;
}

/* Weights, then the block, from `at` on. */
static void pack_item(const item *it, unsigned char *at) {
    const sr_step *step = it->step;
    const void *codes = step->layer < 0 ? NULL : layer_codes(step);
    const int32_t bits = step->layer < 0 ? 8 : sr_the_model.layers[step->layer].bits;
    if (weight_bytes(it) > 0) tvmsr_pack_weights(step->weights, codes, bits, at);
    at += weight_bytes(it);
    if (step->block == NULL) {
        memcpy(at, it->plain, (size_t)plain_bytes(step));
    } else {
        tvmsr_pack_params(step->block, it->plain, step->weights, codes, bits, at);
    }
}

/* Steps that threads take one by one; each has its place. */
typedef struct packing {
    atomic_size_t next;
    const item *items;
    size_t count;
    unsigned char *memory;
} packing;

static void pack_task(void *context, int worker) {
    (void)worker;
    packing *p = context;
    for (;;) {
        const size_t i = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (i >= p->count) return;
        pack_item(&p->items[i], p->memory + p->items[i].offset);
    }
}

/* The place of every step, told to its choice, and the memory for all. 0: out of memory. */
static int place_items(tvmsr_session *session, item *items, size_t count) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        items[i].offset = bytes;
        bytes += weight_bytes(&items[i]) + block_bytes(&items[i]);
    }
    session->packed = sr_alloc(bytes + SR_ALIGN); /* kernels may read a little past the end of their weights */
    if (session->packed == NULL) return 0;
    for (size_t i = 0; i < count; i++) {
        const item *it = &items[i], *whose = it->like != NULL ? it->like : it;
        if (it->step->weights != NULL) *it->weights = session->packed + whose->offset;
        *it->block = session->packed + it->offset + weight_bytes(it);
    }
    return 1;
}

int sr_pack_open(tvmsr_session *session, const char **wrong) {
    const size_t count = count_items(session);
    item *items = calloc(count + 1, sizeof *items);
    *wrong = NULL;
    const int there = items != NULL && list_items(session, items) && open_plain(items, count, wrong) &&
                      place_items(session, items, count);
    if (there) {
        packing p;
        atomic_init(&p.next, 0);
        p.items = items;
        p.count = count;
        p.memory = session->packed;
        sr_pool_run(session->pool, pack_task, &p);
    }
    for (size_t i = 0; items != NULL && i < count; i++) free(items[i].plain);
    free(items);
    return there;
}

void sr_pack_close(tvmsr_session *session) {
    for (uint32_t c = 0; session->choices != NULL && c < sr_the_model.choices; c++) {
        free((void *)session->choices[c].weights);
        free((void *)session->choices[c].blocks);
    }
    sr_free(session->packed);
}

SR_SMALL_END
