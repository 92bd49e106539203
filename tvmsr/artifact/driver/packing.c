#include <string.h>

#include "memory.h"
#include "session.h"
#include "steps.h"

static const void *layer_codes(const sr_step *step) { return sr_the_model.data + sr_the_model.layers[step->layer].offset; }

/* Steps of the driver's own read plain parameters. */
static uint64_t plain_bytes(const sr_step *step) { return 4 * SR_KIND[step->kind]->words(step); }

static uint64_t block_bytes(const sr_step *step, uint32_t choice) {
    if (step->block == NULL) return sr_round_up(plain_bytes(step), SR_ALIGN);
    return sr_round_up(tvmsr_block_bytes(step->block, sr_the_model.data + step->params[choice]), SR_ALIGN);
}

static uint64_t weight_bytes(const sr_step *step) {
    return step->weights == NULL ? 0 : sr_round_up(tvmsr_weight_bytes(step->weights), SR_ALIGN);
}

int sr_pack_open(sr_packed *packed, const sr_level *level) {
    const uint32_t steps = level->step_count, choices = sr_the_model.choices;
    uint64_t bytes = SR_ALIGN; /* kernels may read a little past the end of their weights */
    for (uint32_t i = 0; i < steps; i++) {
        bytes += weight_bytes(&level->steps[i]);
        for (uint32_t c = 0; c < choices; c++) bytes += block_bytes(&level->steps[i], c);
    }
    memset(packed, 0, sizeof *packed);
    packed->memory = sr_alloc(bytes);
    packed->weights = calloc(steps, sizeof *packed->weights);
    packed->blocks = calloc((size_t)steps * choices, sizeof *packed->blocks);
    if (packed->memory == NULL || packed->weights == NULL || packed->blocks == NULL) return 0;
    unsigned char *at = packed->memory;
    for (uint32_t i = 0; i < steps; i++) {
        const sr_step *step = &level->steps[i];
        const void *codes = step->layer < 0 ? NULL : layer_codes(step);
        const int32_t bits = step->layer < 0 ? 8 : sr_the_model.layers[step->layer].bits;
        if (step->weights != NULL) {
            tvmsr_pack_weights(step->weights, codes, bits, at);
            packed->weights[i] = at;
            at += weight_bytes(step);
        }
        for (uint32_t c = 0; c < choices; c++) {
            const void *plain = sr_the_model.data + step->params[c];
            if (step->block == NULL) {
                memcpy(at, plain, plain_bytes(step));
            } else {
                tvmsr_pack_params(step->block, plain, step->weights, codes, bits, at);
            }
            packed->blocks[(size_t)c * steps + i] = at;
            at += block_bytes(step, c);
        }
    }
    return 1;
}

void sr_pack_close(sr_packed *packed) {
    sr_free(packed->memory);
    free((void *)packed->weights);
    free((void *)packed->blocks);
    memset(packed, 0, sizeof *packed);
}
