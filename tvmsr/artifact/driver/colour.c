#include "colour.h"

#include <string.h>

#include "program.h"
#include "session.h"

void sr_finish_open(sr_finish *finish, const sr_plane *in, const sr_plane *out, int colour, int scale) {
    memset(finish, 0, sizeof *finish);
    finish->in = in;
    finish->out = out;
    finish->colour = colour;
    finish->scale = scale;
}

void sr_finish_row(const sr_finish *finish, const uint8_t *network, uint32_t pitch, int64_t row) {
    const sr_plane *out = finish->out;
    uint8_t *to = sr_row(out, row);
    for (int64_t x = 0; x < out->width; x++, network += pitch, to += out->bytes) {
        if (out->bytes == 1) {
            to[0] = (uint8_t)((77 * network[0] + 150 * network[1] + 29 * network[2] + 128) >> 8);
            continue;
        }
        to[0] = network[0];
        to[1] = network[1];
        to[2] = network[2];
        if (out->bytes == 4) to[3] = 255;
    }
}
