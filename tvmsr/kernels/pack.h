/* Packing at open: from the plain weights and parameters of the file to what kernels read.
 *
 * Plain weights: int8 codes (kernel_h, kernel_w, inputs, outputs), innermost last, `inputs` those of one group; where
 * the weight bits are 4 or fewer two codes share a byte, the first in the low nibble, the last byte padded with 0.
 *
 * Plain parameters: 4-byte words in the order that tvmsr.kernels.layout.param_fields(spec) lists: the scalars, then
 * arrays of `outputs` words, then the table's entries (uint16, padded to whole words). Zero points in it are those of
 * stored values (zero - form offset). Blocks and packed weights are aligned to 64 bytes, plain data to 4.
 *
 * Layouts are plain ints: tvmsr.kernels.layout prints them in this field order.
 */
#ifndef TVMSR_PACK_H
#define TVMSR_PACK_H

#include <stddef.h>
#include <stdint.h>

/* What the packer has room for: layouts are to be checked before it runs. WORDS: depth of a transform to words. */
enum { TVMSR_MOST_DEPTH = 8, TVMSR_MOST_WORDS = 4, TVMSR_MOST_HALVES = 4 };

/* Packed weights: [groups][blocks][kernel_h][runs][steps][halves][vectors][lanes][depth] elements.
 *
 * A run is what the inner loop walks without a jump: one tap (tap_pitch 0, runs = kernel_w) of `inputs` elements, or a
 * whole kernel row (runs = 1), whose taps lie tap_pitch elements apart. Element (step, half, d) of a run is
 * its input e = (step * depth + d) * halves + half. What has no weight is 0.
 *
 * Of a transform (3x3, one group): [blocks][positions]{[starts]}[steps][halves][vectors][lanes][depth], positions =
 * (m + 2)**2, row by row, of U = G w G' with the integer rows of G that tvmsr/kernels/transforms.py lists. Where
 * elements are bytes (m = 2 alone), an int32 for each lane of the block comes first, [vectors][lanes]: -offset * (sum of
 * U over the inputs), at position (1, 1) -centre * that sum. Words (m = 2, 4) have no start values.
 */
typedef struct tvmsr_weight_layout {
    int32_t element_bytes; /* 1 or 2 */
    int32_t kernel_h;
    int32_t kernel_w;
    int32_t inputs;  /* of one group */
    int32_t outputs; /* of all groups */
    int32_t groups;
    int32_t tap_pitch;
    int32_t runs;
    int32_t steps;
    int32_t halves;
    int32_t depth;
    int32_t blocks; /* of one group: blocks * vectors * lanes positions hold its outputs */
    int32_t vectors;
    int32_t lanes;
    int32_t transform; /* 0, or m of Winograd's F(m x m, 3x3) */
    int32_t offset;
    int32_t centre;
} tvmsr_weight_layout;

/* Parameter block: [header: scalars][start values, a convolution's only][arrays][table as int32, less its zero point].
 *
 * Header and arrays are padded to 64 bytes. Channel c of group g lies at position g * positions + c % (outputs / groups).
 */
typedef struct tvmsr_param_layout {
    int32_t outputs;
    int32_t groups;
    int32_t positions; /* of one group, padding included */
    int32_t scalars;
    int32_t arrays;    /* per channel, start values not counted, a convolution's bias included (the first) */
    int32_t has_start; /* 1: the first array is the bias; start values take its place */
    int32_t has_table; /* 1: scalars[1] is the table's length, scalars[2] the zero point of its codes */
} tvmsr_param_layout;

size_t tvmsr_weight_bytes(const tvmsr_weight_layout *layout);

/* Every byte of `packed` is written. Re-entrant, without memory but about 30 KB of stack; so are the others. */
void tvmsr_pack_weights(const tvmsr_weight_layout *layout, const void *codes, int32_t weight_bits, void *packed);

size_t tvmsr_plain_bytes(const tvmsr_param_layout *layout, const void *plain);

size_t tvmsr_block_bytes(const tvmsr_param_layout *layout, const void *plain);

/* `weights` and `codes` are needed where has_start is 1: start = bias - x_zero * (sum of the channel's weights),
 * x_zero = scalars[0]. */
void tvmsr_pack_params(const tvmsr_param_layout *layout, const void *plain, const tvmsr_weight_layout *weights,
                       const void *codes, int32_t weight_bits, void *block);

#endif
