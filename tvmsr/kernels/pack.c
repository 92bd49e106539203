#include "pack.h"

#include <string.h>

enum { WORDS_PER_LINE = 16 };

static size_t whole_lines(size_t words) {
    return (words + WORDS_PER_LINE - 1) / WORDS_PER_LINE * WORDS_PER_LINE;
}

/* Plain data may lie at any multiple of 4, in a section of bytes: copying is what C allows. */
static int32_t word_at(const void *plain, size_t index) {
    int32_t word;
    memcpy(&word, (const uint8_t *)plain + 4 * index, sizeof word);
    return word;
}

static int32_t nibble_at(const uint8_t *codes, size_t index) {
    int32_t nibble = index % 2 ? codes[index / 2] >> 4 : codes[index / 2] & 15;
    return nibble < 8 ? nibble : nibble - 16;
}

static int32_t byte_at(const uint8_t *codes, size_t index) {
    return codes[index] < 128 ? codes[index] : (int32_t)codes[index] - 256;
}

static size_t block_elements(const tvmsr_weight_layout *l) {
    return (size_t)l->kernel_h * (size_t)l->runs * (size_t)l->steps * (size_t)l->halves * (size_t)l->vectors *
           (size_t)l->lanes * (size_t)l->depth;
}

size_t tvmsr_weight_bytes(const tvmsr_weight_layout *layout) {
    return (size_t)layout->groups * (size_t)layout->blocks * block_elements(layout) * (size_t)layout->element_bytes;
}

/* The index of input e of a run in (kernel_w, inputs), or -1 where a run has no weight. */
static int32_t run_input(const tvmsr_weight_layout *l, int32_t run, int32_t e) {
    int32_t tap = l->tap_pitch ? e / l->tap_pitch : run;
    int32_t input = l->tap_pitch ? e % l->tap_pitch : e;
    return tap < l->kernel_w && input < l->inputs ? tap * l->inputs + input : -1;
}

/* `count` neighbouring codes to every depth-th element from `at` on. Four loops without a branch: this is the time that
 * opening an artifact takes. */
static void scatter(const tvmsr_weight_layout *l, const uint8_t *codes, int32_t weight_bits, size_t index, size_t count,
                    void *packed, size_t at) {
    size_t depth = (size_t)l->depth;
    int8_t *bytes = (int8_t *)packed;
    int16_t *words = (int16_t *)packed;
    if (l->element_bytes == 1 && weight_bits > 4) {
        for (size_t i = 0; i < count; ++i) bytes[at + i * depth] = (int8_t)byte_at(codes, index + i);
    } else if (l->element_bytes == 1) {
        for (size_t i = 0; i < count; ++i) bytes[at + i * depth] = (int8_t)nibble_at(codes, index + i);
    } else if (weight_bits > 4) {
        for (size_t i = 0; i < count; ++i) words[at + i * depth] = (int16_t)byte_at(codes, index + i);
    } else {
        for (size_t i = 0; i < count; ++i) words[at + i * depth] = (int16_t)nibble_at(codes, index + i);
    }
}

/* One run of one block: weights[steps][halves][vectors][lanes][depth]. `first` is the block's first channel, `end` the
 * end of its group, `row` the index of the kernel row's first weight in units of `outputs`. */
static void pack_run(const tvmsr_weight_layout *l, const uint8_t *codes, int32_t weight_bits, int32_t row, int32_t run,
                     int32_t first, int32_t end, void *packed, size_t at) {
    int32_t width = l->vectors * l->lanes;
    size_t count = (size_t)(end - first < width ? end - first : width);
    for (int32_t step = 0; step < l->steps; ++step) {
        for (int32_t half = 0; half < l->halves; ++half, at += (size_t)width * (size_t)l->depth) {
            for (int32_t d = 0; d < l->depth; ++d) {
                int32_t input = run_input(l, run, (step * l->depth + d) * l->halves + half);
                if (input < 0) continue;
                size_t index = (size_t)(row + input) * (size_t)l->outputs + (size_t)first;
                scatter(l, codes, weight_bits, index, count, packed, at + (size_t)d);
            }
        }
    }
}

void tvmsr_pack_weights(const tvmsr_weight_layout *layout, const void *codes, int32_t weight_bits, void *packed) {
    const tvmsr_weight_layout *l = layout;
    int32_t width = l->outputs / l->groups;
    size_t run_elements = block_elements(l) / (size_t)(l->kernel_h * l->runs);
    size_t at = 0;
    memset(packed, 0, tvmsr_weight_bytes(l));
    for (int32_t group = 0; group < l->groups; ++group) {
        for (int32_t block = 0; block < l->blocks; ++block) {
            int32_t first = group * width + block * l->vectors * l->lanes;
            for (int32_t i = 0; i < l->kernel_h; ++i) {
                for (int32_t run = 0; run < l->runs; ++run, at += run_elements) {
                    pack_run(l, (const uint8_t *)codes, weight_bits, i * l->kernel_w * l->inputs, run, first,
                             (group + 1) * width, packed, at);
                }
            }
        }
    }
}

static size_t table_length(const tvmsr_param_layout *layout, const void *plain) {
    return layout->has_table ? (size_t)word_at(plain, 1) : 0;
}

static size_t plain_words(const tvmsr_param_layout *l) {
    return (size_t)l->scalars + (size_t)l->arrays * (size_t)l->outputs;
}

static size_t array_words(const tvmsr_param_layout *l) {
    return whole_lines((size_t)l->groups * (size_t)l->positions);
}

size_t tvmsr_plain_bytes(const tvmsr_param_layout *layout, const void *plain) {
    return 4 * (plain_words(layout) + (table_length(layout, plain) + 1) / 2);
}

size_t tvmsr_block_bytes(const tvmsr_param_layout *layout, const void *plain) {
    return 4 * (whole_lines((size_t)layout->scalars) + (size_t)layout->arrays * array_words(layout) +
                whole_lines(table_length(layout, plain)));
}

/* Plain array -> its place in the block, every group at the next multiple of `positions`. */
static void place_array(const tvmsr_param_layout *l, const void *plain, size_t from, int32_t *array) {
    int32_t width = l->outputs / l->groups;
    for (int32_t c = 0; c < l->outputs; ++c) {
        array[c / width * l->positions + c % width] = word_at(plain, from + (size_t)c);
    }
}

/* Adds up the weights of every channel, each at its place. Up to 2**24 of them cannot wrap. */
static void sum_weights(const tvmsr_param_layout *l, const tvmsr_weight_layout *w, const uint8_t *codes,
                        int32_t weight_bits, int32_t *sums) {
    size_t width = (size_t)(l->outputs / l->groups), index = 0;
    size_t count = (size_t)w->kernel_h * (size_t)w->kernel_w * (size_t)w->inputs;
    for (size_t i = 0; i < count; ++i) {
        for (int32_t group = 0; group < l->groups; ++group, index += width) {
            int32_t *sum = sums + (size_t)group * (size_t)l->positions;
            if (weight_bits > 4) {
                for (size_t c = 0; c < width; ++c) sum[c] += byte_at(codes, index + c);
            } else {
                for (size_t c = 0; c < width; ++c) sum[c] += nibble_at(codes, index + c);
            }
        }
    }
}

/* Sums of weights -> start = bias - x_zero * sum. The compiler has proven that it fits; the detour keeps a bad file
 * defined. */
static void fold_zero(const tvmsr_param_layout *l, const void *plain, int32_t *array) {
    int32_t width = l->outputs / l->groups;
    int64_t x_zero = word_at(plain, 0);
    for (int32_t c = 0; c < l->outputs; ++c) {
        int32_t *start = &array[c / width * l->positions + c % width];
        int64_t value = word_at(plain, (size_t)(l->scalars + c)) - x_zero * *start;
        *start = (int32_t)(uint32_t)(uint64_t)value;
    }
}

void tvmsr_pack_params(const tvmsr_param_layout *layout, const void *plain, const tvmsr_weight_layout *weights,
                       const void *codes, int32_t weight_bits, void *block) {
    const tvmsr_param_layout *l = layout;
    int32_t *words = (int32_t *)block;
    size_t header = whole_lines((size_t)l->scalars);
    memset(block, 0, tvmsr_block_bytes(l, plain));
    for (size_t i = 0; i < (size_t)l->scalars; ++i) {
        words[i] = word_at(plain, i);
    }
    for (size_t i = l->has_start ? 1 : 0; i < (size_t)l->arrays; ++i) {
        place_array(l, plain, (size_t)l->scalars + i * (size_t)l->outputs, words + header + i * array_words(l));
    }
    if (l->has_start) {
        sum_weights(l, weights, (const uint8_t *)codes, weight_bits, words + header);
        fold_zero(l, plain, words + header);
    }
    int32_t *table = words + header + (size_t)l->arrays * array_words(l);
    for (size_t i = 0; i < table_length(l, plain); ++i) {
        uint32_t pair = (uint32_t)word_at(plain, plain_words(l) + i / 2);
        table[i] = (int32_t)((i % 2 ? pair >> 16 : pair & 65535) - (uint32_t)word_at(plain, 2));
    }
}
