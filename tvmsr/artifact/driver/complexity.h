/* How busy a picture is: docs/numerics.md is the definition, tvmsr/quant/complexity.py the reference. */
#ifndef SR_COMPLEXITY_H
#define SR_COMPLEXITY_H

#include <stdint.h>

struct sr_plane;

/* Of any picture at most: 256 times both gradients of a pixel. */
#define SR_MOST_COMPLEXITY (256u * 2u * 4u * 255u)

/* The sum of |gx| + |gy| over the pixels of rows [first, last) and columns [left, right); a picture may be summed up in any
 * parts. */
uint64_t sr_gradient(const struct sr_plane *in, int64_t first, int64_t last, int64_t left, int64_t right);

/* Of a picture or a tile of it, from that sum over all its pixels. */
uint32_t sr_complexity(uint64_t gradient, int64_t height, int64_t width);

#endif
