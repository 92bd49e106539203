/* What lies outside of pictures: pad codes, or pixels of the picture itself. */
#ifndef SR_EDGES_H
#define SR_EDGES_H

#include "flow.h"

/* Pad codes, in their stored form: the row that stands for all rows outside of the picture, and, where the
 * buffer's mode has them there, the columns beside it. */
void sr_fill_pads(const sr_buffer *buffer, const sr_ring *ring, unsigned char *memory);

/* The border columns of one row whose pixels [0, width) are there: bytes [from, from + bytes) of each pixel, by the buffer's
 * mode. `row` is its first border pixel. */
void sr_fill_edges(const sr_buffer *buffer, const sr_ring *ring, unsigned char *row, uint32_t from, uint32_t bytes);

#endif
