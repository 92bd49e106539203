/* The compiled program: the tables that tvmsr/lower/emit.py writes as C and the driver runs.
 *
 * Everything here is constant data, shared by all sessions. One artifact holds one `sr_model`; it has one `sr_level` per
 * CPU level, best first; all levels and bit choices share the layers' weight codes.
 *
 * What the tables mean when rows are computed is the kernel contract in docs/architecture.md.
 */
#ifndef SR_PROGRAM_H
#define SR_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "pack.h"

#define SR_PROGRAM_VERSION 1

/* Operands a kernel may take: those it reads, then stores. */
#define SR_MAX_OPERANDS 8

/* How a code lies in memory (tvmsr/kernels/spec.py, Form). */
enum { SR_FORM_U8 = 0, SR_FORM_S8 = 1, SR_FORM_U16 = 2, SR_FORM_S16 = 3 };

/* What the network computes. */
enum { SR_COLOUR_RGB = 0, SR_COLOUR_Y = 1 };

/* A stored tensor. The driver keeps as many of its rows as the steps need at one time.
 * A row is `border` pixels, the picture's width, `border` pixels; pixels are `pitch` bytes apart.
 */
typedef struct sr_buffer {
    const char *name;
    uint32_t channels;
    uint32_t pitch;
    uint16_t ratio_num; /* height and width relative to the input picture: ceil(size * num / den) */
    uint16_t ratio_den;
    uint16_t border;    /* columns of pad codes on each side; rows outside the picture are pad codes too */
    uint8_t form;       /* SR_FORM_* */
    uint8_t bits;       /* of the widest bit choice */
    uint16_t offset;    /* what a stored value is less than its code: 0, 128 or 32768 */
    const uint16_t *pad; /* codes, [choices][channels]; NULL: zero codes */
} sr_buffer;

/* One (pointer, rows) pair of a kernel. */
typedef struct sr_operand {
    uint16_t buffer; /* index into sr_level.buffers */
    uint16_t block;  /* stores: depth to space, grid row r writes rows r * block + [0, block); else 1 */
    uint32_t offset; /* bytes from the pixel's first, for a slice of a concat */
} sr_operand;

/* What a store holds: codes of channels [first, first + channels) of a tensor of the network. */
typedef struct sr_stored {
    const char *tensor;
    uint32_t first;
    uint32_t channels;
} sr_stored;

/* The weights of a convolution: plain codes as tvmsr/kernels/pack.h has them (two in a byte where bits <= 4). */
typedef struct sr_layer {
    const char *name;
    uint64_t offset; /* in sr_model.data, a multiple of 64 */
    uint32_t bytes;
    uint8_t bits; /* 2..8 */
} sr_layer;

/* A kernel is called as the contract says, through the type that has its number of operands. */
typedef void (*sr_kernel)(void);

/* One kernel call over all rows. Operands in the kernel's order: x, the second factor of a
 * product, residuals, stores. */
typedef struct sr_step {
    const char *name; /* unique in its level; shown in profiles */
    sr_kernel kernel;
    const sr_operand *operands;
    uint8_t residuals; /* all operands read beside x, the second factor too: at the grid's own pixels */
    uint8_t stores;
    uint16_t stride;
    uint16_t extent;   /* input rows that one grid row reads: (kernel height - 1) * dilation + 1 */
    uint16_t pad_top;
    uint16_t pad_left; /* <= border of x */
    uint16_t granule_rows; /* row0 is a multiple of this (1: any) */
    uint16_t read_ahead_rows;   /* input rows read beyond those of the last grid row, by number: table entries */
    uint16_t read_ahead_pixels; /* input pixels read beyond the last one needed in a row */
    uint32_t scratch;  /* bytes a thread, 64-byte aligned */
    int32_t layer;     /* index into sr_model.layers, -1: none */
    uint32_t macs_per_pixel; /* of its grid */
    const tvmsr_weight_layout *weights; /* NULL where layer is -1 */
    const tvmsr_param_layout *block;
    const uint64_t *params; /* [choices]: offsets in sr_model.data of the plain parameters, multiples of 4 */
    const sr_stored *stored; /* [stores] */
} sr_step;

/* The program of one CPU level. */
typedef struct sr_level {
    const char *name;
    const char *const *needs; /* CPU features, names of driver/cpu.c, NULL-terminated */
    const sr_buffer *buffers;
    const sr_step *steps;
    uint32_t buffer_count;
    uint32_t step_count;
    uint32_t input;  /* buffer of 3 channels (R, G, B), 8 bits, filled by the driver */
    uint32_t output; /* buffer of 3 (R, G, B) or 1 (Y) channels, form U8, ratio = scale */
} sr_level;

/* A picture made from a seed, and the checksum of its result (checksum.h). */
typedef struct sr_check {
    uint32_t seed;
    uint32_t width;
    uint32_t height;
    uint32_t choice;
    uint64_t checksum;
} sr_check;

typedef struct sr_model {
    uint32_t version; /* SR_PROGRAM_VERSION */
    uint32_t scale;
    uint32_t colour; /* SR_COLOUR_* */
    uint32_t radius; /* receptive radius in input pixels */
    uint32_t minimum_height;
    uint32_t minimum_width;
    uint32_t choices; /* bit choices, at least 1 */
    uint32_t layer_count;
    uint32_t level_count;
    const char *const *choice_names; /* [choices], then NULL */
    const sr_layer *layers;
    const sr_level *levels; /* best first; behind the last one a row of zeros */
    const unsigned char *data; /* plain weights and plain parameters, 64-byte aligned: `sr_data` */
    uint64_t data_bytes;
    uint64_t data_checksum; /* sr_data_checksum of them */
    const sr_check *checks;
    uint32_t check_count;
} sr_model;

/* The one definition, in the generated file. */
extern const sr_model sr_the_model;

/* Plain weights and parameters, in an object of their own that tvmsr/artifact/link.py makes from the bytes. Equal runs of
 * bytes (parameters of two levels) need to be there once only. */
extern const unsigned char sr_data[];
extern const unsigned char sr_data_end[]; /* behind the last of data_bytes */

#endif
