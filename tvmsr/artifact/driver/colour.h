/* From the network's result to the caller's pixels: the integer operations of docs/numerics-colour.md. */
#ifndef SR_COLOUR_H
#define SR_COLOUR_H

#include <stdint.h>

struct sr_plane;

#define SR_MAX_SCALE 8
#define SR_TAPS 4

/* What finishing a picture's rows needs; no memory of its own, shared by all threads. */
typedef struct sr_finish {
    const struct sr_plane *in;
    const struct sr_plane *out;
    int colour; /* SR_COLOUR_* */
    int scale;
    int16_t weights[SR_MAX_SCALE][SR_TAPS]; /* bicubic, by phase, 2048 in sum */
    int8_t first[SR_MAX_SCALE]; /* first tap, counted from the input pixel that the output pixel lies in */
} sr_finish;

void sr_finish_open(sr_finish *finish, const struct sr_plane *in, const struct sr_plane *out, int colour, int scale);

/* The `scale` output rows that belong to one input row. network: the network's rows, pixels `pitch` bytes apart. */
void sr_finish_rows(const sr_finish *finish, const uint8_t *const *network, uint32_t pitch, int64_t input_row);

#endif
