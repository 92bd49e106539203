/* How large every tensor of a picture is, and whether the steps fit each other there. */
#ifndef SR_SIZES_H
#define SR_SIZES_H

#include "program.h"

/* The extent of that index for a picture of `side` pixels; 0 where there is none, any number above INT32_MAX where that is
 * what it comes to. */
int64_t sr_extent_of(uint32_t extent, int64_t side);

/* What rows and columns of a step's operands are, for one picture. */
typedef struct sr_shape {
    const sr_program *program;
    const sr_step *step;
    const sr_buffer *x;
    const sr_buffer *y; /* of the first store */
    int64_t x_height;
    int64_t x_width;
    int64_t height; /* of the grid: what rows are handed out of. Of a statistic: its input's */
    int64_t width;
} sr_shape;

sr_shape sr_shape_of(const sr_program *program, const sr_step *step, int64_t height, int64_t width);

/* NULL, or what of the program's tables contradicts itself for a picture of this size. Where nothing does, no step reads or
 * writes outside of its operands. */
const char *sr_sizes_wrong(const sr_program *program, int64_t height, int64_t width);

/* The side that the programs run on: at least the smallest, a multiple. */
int64_t sr_padded(int64_t side, uint32_t minimum, uint32_t multiple);

#endif
