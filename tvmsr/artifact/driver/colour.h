/* From the network's result to the caller's pixels: the integer operations of docs/numerics-colour.md. */
#ifndef SR_COLOUR_H
#define SR_COLOUR_H

#include <stdint.h>

struct sr_plane;
struct sr_ring;
struct sr_finish;

#define SR_MAX_SCALE 8
#define SR_TAPS 4

/* The network's result: its rows lie in a ring, the first pixel of each `base` + its offset, pixels `pitch` bytes apart. */
typedef struct sr_result {
    const uint8_t *base;
    const struct sr_ring *ring;
    uint32_t pitch;
} sr_result;

typedef void (*sr_finish_run)(const struct sr_finish *finish, const sr_result *network, int64_t first, int64_t last);

/* What finishing a picture's rows needs; no memory of its own, shared by all threads. */
typedef struct sr_finish {
    const struct sr_plane *in;
    const struct sr_plane *out;
    int colour; /* SR_COLOUR_* */
    int scale;
    int16_t weights[SR_MAX_SCALE][SR_TAPS]; /* bicubic, by phase, 2048 in sum */
    int8_t first[SR_MAX_SCALE]; /* first tap, counted from the input pixel that the output pixel lies in */
    sr_finish_run run; /* compiled for this CPU */
} sr_finish;

void sr_finish_open(sr_finish *finish, const struct sr_plane *in, const struct sr_plane *out, int colour, int scale);

/* The output rows that belong to input rows [first, last), `scale` each. */
void sr_finish_rows(const sr_finish *finish, const sr_result *network, int64_t first, int64_t last);

#endif
