#include "pack.h"

#include <string.h>

#include "pack_lines.h"

enum { WORDS_PER_LINE = 16, MOST_LINES = TVMSR_MOST_DEPTH * TAPS };

#define NO_WEIGHT SIZE_MAX

static size_t whole_lines(size_t words) {
    return (words + WORDS_PER_LINE - 1) / WORDS_PER_LINE * WORDS_PER_LINE;
}

/* Plain data may lie at any multiple of 4, in a section of bytes: copying is what C allows. */
static int32_t word_at(const void *plain, size_t index) {
    int32_t word;
    memcpy(&word, (const uint8_t *)plain + 4 * index, sizeof word);
    return word;
}

/* Elements of one column: see packer. */
static size_t column_bytes(const tvmsr_weight_layout *l) { return (size_t)l->depth * (size_t)l->element_bytes; }

static size_t block_width(const tvmsr_weight_layout *l) { return (size_t)l->vectors * (size_t)l->lanes; }

/* Of one block: kernel rows, or positions of a transform, and the bytes of each. */
static size_t point_count(const tvmsr_weight_layout *l) {
    size_t t = (size_t)l->transform + 2;
    return l->transform ? t * t : (size_t)l->kernel_h;
}

static size_t start_bytes(const tvmsr_weight_layout *l) {
    return l->transform != 0 && l->element_bytes == 1 ? 4 * block_width(l) : 0;
}

static size_t point_bytes(const tvmsr_weight_layout *l) {
    size_t columns = (size_t)l->runs * (size_t)l->steps * (size_t)l->halves * block_width(l);
    return start_bytes(l) + columns * column_bytes(l);
}

size_t tvmsr_weight_bytes(const tvmsr_weight_layout *layout) {
    return (size_t)layout->groups * (size_t)layout->blocks * point_count(layout) * point_bytes(layout);
}

static plain_codes codes_of(const tvmsr_weight_layout *l, const void *codes, int32_t weight_bits) {
    size_t count = (size_t)l->kernel_h * (size_t)l->kernel_w * (size_t)l->inputs * (size_t)l->outputs;
    return (plain_codes){(const uint8_t *)codes, count, weight_bits};
}

/* A column is one lane of one step and half: `depth` elements side by side. A span is up to COLUMNS neighbouring ones:
 * whole blocks, or a part of a wide one. A line holds what one input (of a transform: of one tap) gives to each. */
typedef struct {
    const tvmsr_weight_layout *l;
    plain_codes plain;
    size_t lines;
    int8_t room[CHUNK + MOST_LINES * LINE];    /* of the lines, LINE apart, and for what `fetch` writes before one */
    int16_t whole[COLUMNS * TVMSR_MOST_DEPTH]; /* columns that do not lie side by side in memory */
    size_t columns;                            /* of the span; `channels` of them have weights */
    size_t channels;
    size_t lane; /* of its first block, where the span begins */
    size_t block_bytes;
} packer;

/* `first`: of all columns of a group, from 0; `outputs` of them have weights. True as long as there are any. */
static int next_span(packer *p, size_t first, size_t outputs) {
    const size_t width = block_width(p->l), end = (size_t)p->l->blocks * width;
    p->lane = first % width;
    p->columns = smaller(end - first, width > COLUMNS ? smaller(COLUMNS, width - p->lane) : COLUMNS / width * width);
    p->channels = first < outputs ? smaller(outputs - first, p->columns) : 0;
    return first < end;
}

static size_t span_chunks(const packer *p) { return (p->columns + CHUNK - 1) / CHUNK; }

/* Codes to lines. `from`: where the codes of each line begin, or NO_WEIGHT. */
static void gather(packer *p, const size_t *restrict from) {
    const plain_codes plain = p->plain;
    const size_t lines = p->lines, channels = p->channels, columns = p->columns;
    int8_t *line = p->room + CHUNK;
    for (size_t k = 0; k < lines; ++k, line += LINE) {
        size_t found = from[k] == NO_WEIGHT ? 0 : channels;
        if (found > 0) fetch(&plain, from[k], found, line);
        if (found < columns) memset(line + found, 0, columns - found);
    }
}

/* Where the span's columns may be spread to: their place in memory, or a place from where `settle` takes them there.
 * `unit`: of this step and half, the first column of the span's first block. */
static void *place(packer *p, uint8_t *unit) {
    const int apart = p->columns % CHUNK != 0 || p->lane + p->columns > block_width(p->l);
    return apart ? (void *)p->whole : unit + p->lane * column_bytes(p->l);
}

static void settle(packer *p, const void *from, uint8_t *unit) {
    if (from != p->whole) return;
    const size_t bytes = column_bytes(p->l), width = block_width(p->l);
    const uint8_t *next = (const uint8_t *)from;
    for (size_t left = p->columns, lane = p->lane, n; left > 0; left -= n, lane = 0, unit += p->block_bytes) {
        n = smaller(left, width - lane);
        memcpy(unit + lane * bytes, next, n * bytes);
        next += n * bytes;
    }
}

static void put_codes(packer *p, const size_t *from, uint8_t *unit) {
    const int8_t *lines = p->room + CHUNK;
    const size_t depth = (size_t)p->l->depth, chunks = span_chunks(p);
    void *to = place(p, unit);
    gather(p, from);
    if (p->l->element_bytes == 1) {
        spread_bytes(lines, depth, chunks, (int8_t *)to);
    } else {
        widen_bytes(lines, depth, chunks, (int16_t *)to);
    }
    settle(p, to, unit);
}

/* Of transforms `unit` is that of the first position. */
static void put_bytes(packer *p, const size_t *from, uint8_t *unit) {
    enum { POSITIONS = 16 };
    int8_t u[POSITIONS * TVMSR_MOST_DEPTH][LINE];
    const size_t depth = (size_t)p->l->depth, chunks = span_chunks(p), pitch = point_bytes(p->l);
    gather(p, from);
    for (size_t d = 0; d < depth; ++d) transform2(p->room + CHUNK + d * TAPS * LINE, chunks, u[d], depth * LINE);
    for (size_t i = 0; i < POSITIONS; ++i, unit += pitch) {
        void *to = place(p, unit);
        spread_bytes(u[i * depth], depth, chunks, (int8_t *)to);
        settle(p, to, unit);
    }
}

static void put_words(packer *p, const size_t *from, uint8_t *unit) {
    enum { MOST_POSITIONS = 36 };
    int16_t u[MOST_POSITIONS * TVMSR_MOST_WORDS][COLUMNS];
    const size_t depth = (size_t)p->l->depth, chunks = span_chunks(p), pitch = point_bytes(p->l);
    const size_t positions = point_count(p->l);
    gather(p, from);
    for (size_t d = 0; d < depth; ++d) {
        const int8_t *codes = p->room + CHUNK + d * TAPS * LINE;
        (p->l->transform == 2 ? transform2_words : transform4)(codes, chunks, u[d], depth * COLUMNS);
    }
    for (size_t i = 0; i < positions; ++i, unit += pitch) {
        void *to = place(p, unit);
        spread_words(u[i * depth], depth, chunks, (int16_t *)to);
        settle(p, to, unit);
    }
}

/* One run of a span: `row` is the index of the kernel row's first weight, `tap` the run's first tap. */
static void pack_run(packer *p, size_t row, size_t tap, uint8_t *unit) {
    const tvmsr_weight_layout *l = p->l;
    const size_t pitch = l->tap_pitch ? (size_t)l->tap_pitch : SIZE_MAX, inputs = (size_t)l->inputs;
    const size_t halves = (size_t)l->halves, depth = (size_t)l->depth, taps = (size_t)l->kernel_w;
    const size_t unit_bytes = block_width(l) * column_bytes(l);
    size_t from[TVMSR_MOST_HALVES][TVMSR_MOST_DEPTH], input = 0;
    for (int32_t step = 0; step < l->steps; ++step) {
        for (size_t d = 0; d < depth; ++d) {
            for (size_t half = 0; half < halves; ++half) {
                size_t index = row + (tap * inputs + input) * (size_t)l->outputs;
                from[half][d] = tap < taps && input < inputs ? index : NO_WEIGHT;
                if (++input == pitch) input = 0, ++tap;
            }
        }
        for (size_t half = 0; half < halves; ++half, unit += unit_bytes) put_codes(p, from[half], unit);
    }
}

/* [groups][blocks][kernel_h][runs][steps]... */
static void pack_direct(packer *p, uint8_t *packed) {
    const tvmsr_weight_layout *l = p->l;
    const size_t outputs = (size_t)l->outputs / (size_t)l->groups;
    const size_t runs = (size_t)l->runs, run_bytes = point_bytes(l) / runs;
    const size_t row = (size_t)l->kernel_w * (size_t)l->inputs * (size_t)l->outputs;
    p->lines = (size_t)l->depth;
    for (size_t group = 0; group < (size_t)l->groups; ++group) {
        for (size_t first = 0; next_span(p, first, outputs); first += p->columns) {
            uint8_t *unit = packed + (group * (size_t)l->blocks + first / block_width(l)) * p->block_bytes;
            for (size_t i = 0; i < (size_t)l->kernel_h; ++i) {
                for (size_t run = 0; run < runs; ++run, unit += run_bytes) {
                    pack_run(p, i * row + group * outputs + first, run, unit);
                }
            }
        }
    }
}

/* Start values of a position: -offset * (sum of its weights), read back from where they were packed. */
static void put_starts(const tvmsr_weight_layout *l, int32_t offset, const int8_t *u, uint8_t *starts) {
    size_t depth = (size_t)l->depth, width = block_width(l), n;
    for (size_t lane = 0; lane < width; lane += n) {
        int32_t sums[CHUNK * TVMSR_MOST_DEPTH] = {0};
        n = smaller(width - lane, CHUNK);
        for (size_t line = 0; line < (size_t)l->steps * (size_t)l->halves; ++line) {
            const int8_t *from = u + (line * width + lane) * depth;
            for (size_t i = 0; i < n * depth; ++i) sums[i] += from[i];
        }
        for (size_t i = 0; i < n; ++i) {
            int64_t sum = 0;
            for (size_t d = 0; d < depth; ++d) sum += sums[i * depth + d];
            int32_t start = (int32_t)(uint32_t)(uint64_t)(-offset * sum);
            memcpy(starts + 4 * (lane + i), &start, sizeof start);
        }
    }
}

static void pack_starts(const tvmsr_weight_layout *l, uint8_t *packed) {
    const size_t positions = point_count(l), centre = (size_t)l->transform + 3; /* (1, 1) */
    for (size_t block = 0; block < (size_t)l->blocks; ++block) {
        for (size_t i = 0; i < positions; ++i, packed += point_bytes(l)) {
            put_starts(l, i == centre ? l->centre : l->offset, (const int8_t *)(packed + start_bytes(l)), packed);
        }
    }
}

/* [blocks][positions]{[starts]}[steps]... */
static void pack_transformed(packer *p, uint8_t *packed) {
    const tvmsr_weight_layout *l = p->l;
    const size_t inputs = (size_t)l->inputs, halves = (size_t)l->halves, units = (size_t)l->steps * halves;
    const size_t outputs = (size_t)l->outputs, lines = (size_t)l->depth * TAPS;
    size_t from[MOST_LINES];
    p->lines = lines;
    for (size_t first = 0; next_span(p, first, outputs); first += p->columns) {
        uint8_t *unit = packed + first / block_width(l) * p->block_bytes + start_bytes(l);
        for (size_t n = 0; n < units; ++n, unit += block_width(l) * column_bytes(l)) {
            for (size_t k = 0; k < lines; ++k) {
                size_t input = (n / halves * (size_t)l->depth + k / TAPS) * halves + n % halves;
                from[k] = input < inputs ? (k % TAPS * inputs + input) * outputs + first : NO_WEIGHT;
            }
            (l->element_bytes == 1 ? put_bytes : put_words)(p, from, unit);
        }
    }
    if (start_bytes(l) > 0) pack_starts(l, packed);
}

void tvmsr_pack_weights(const tvmsr_weight_layout *layout, const void *codes, int32_t weight_bits, void *packed) {
    packer p;
    p.l = layout;
    p.plain = codes_of(layout, codes, weight_bits);
    p.block_bytes = point_count(layout) * point_bytes(layout);
    memset(p.room, 0, sizeof p.room);
    (layout->transform ? pack_transformed : pack_direct)(&p, (uint8_t *)packed);
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

/* Adds up the weights of every channel, each at its place, a line of channels at a time: MOST_ADDED codes stay within
 * 16 bits, and up to 2**24 of them within 32. */
static void sum_weights(const tvmsr_param_layout *l, const plain_codes *plain, int32_t *sums) {
    enum { MOST_ADDED = 255 };
    const size_t outputs = (size_t)l->outputs, width = outputs / (size_t)l->groups;
    int8_t space[CHUNK + LINE] = {0}, *line = space + CHUNK;
    for (size_t first = 0, count; first < outputs; first += count) {
        int32_t total[COLUMNS] = {0};
        count = smaller(outputs - first, COLUMNS);
        const size_t columns = (count + CHUNK - 1) / CHUNK * CHUNK;
        for (size_t index = first; index < plain->count;) {
            int16_t part[COLUMNS] = {0};
            for (int32_t k = 0; k < MOST_ADDED && index < plain->count; ++k, index += outputs) {
                fetch(plain, index, count, line);
                VECTORS for (size_t i = 0; i < columns; ++i) part[i] = (int16_t)(part[i] + line[i]);
            }
            for (size_t i = 0; i < COLUMNS; ++i) total[i] += part[i];
        }
        for (size_t c = first; c < first + count; ++c) {
            sums[c / width * (size_t)l->positions + c % width] = total[c - first];
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
        plain_codes plain_weights = codes_of(weights, codes, weight_bits);
        sum_weights(l, &plain_weights, words + header);
        fold_zero(l, plain, words + header);
    }
    int32_t *table = words + header + (size_t)l->arrays * array_words(l);
    for (size_t i = 0; i < table_length(l, plain); ++i) {
        uint32_t pair = (uint32_t)word_at(plain, plain_words(l) + i / 2);
        table[i] = (int32_t)((i % 2 ? pair >> 16 : pair & 65535) - (uint32_t)word_at(plain, 2));
    }
}
