#include "edges.h"

#include <string.h>

#include "memory.h"
#include "small.h"
#include "steps.h"

SR_SMALL

static void fill_pixel(const sr_buffer *buffer, unsigned char *to) {
    memset(to, 0, buffer->pitch);
    for (uint32_t c = 0; c < buffer->channels; c++) {
        const uint16_t code = buffer->pad == NULL ? 0 : buffer->pad[c];
        const uint16_t stored = (uint16_t)(code - buffer->offset);
        if (sr_code_bytes(buffer) == 2) {
            memcpy(to + 2 * (size_t)c, &stored, 2);
        } else {
            to[c] = (unsigned char)stored;
        }
    }
}

void sr_fill_pads(const sr_buffer *buffer, const sr_ring *ring, unsigned char *memory) {
    const uint64_t used = ((uint64_t)ring->width + 2u * buffer->border) * buffer->pitch;
    fill_pixel(buffer, memory);
    for (uint64_t done = buffer->pitch; done < used; done *= 2) {
        memcpy(memory + done, memory, (size_t)(done * 2 < used ? done : used - done));
    }
    const size_t side = (size_t)buffer->border * buffer->pitch;
    if (side == 0 || buffer->mode != SR_PAD_CONSTANT) return;
    for (int64_t row = 1; row <= ring->rows; row++) {
        unsigned char *at = memory + (uint64_t)row * ring->row_bytes;
        memcpy(at, memory, side);
        memcpy(at + side + (uint64_t)ring->width * buffer->pitch, memory, side);
    }
}

void sr_fill_edges(const sr_buffer *buffer, const sr_ring *ring, unsigned char *row, uint32_t from, uint32_t bytes) {
    unsigned char *pixels = row + (size_t)buffer->border * buffer->pitch + from;
    for (int64_t i = 0; i < buffer->border; i++) {
        const int64_t sides[] = {-1 - i, ring->width + i};
        for (int side = 0; side < 2; side++) {
            const int64_t source = sr_inside(sides[side], ring->width, buffer->mode);
            memcpy(pixels + sides[side] * buffer->pitch, pixels + source * buffer->pitch, bytes);
        }
    }
}

SR_SMALL_END
