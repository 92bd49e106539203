/* The compiled program: the tables that tvmsr/lower/emit.py writes as C and the driver runs.
 *
 * Everything here is constant data, shared by all sessions. One artifact holds one `sr_model`; it has one `sr_level` per
 * CPU level, best first, and each of them one `sr_program` per bit choice; all share the layers' weight codes.
 *
 * What the tables mean when rows are computed is the kernel contract in docs/architecture.md.
 */
#ifndef SR_PROGRAM_H
#define SR_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "pack.h"

#define SR_PROGRAM_VERSION 5

/* Operands a kernel may take: those it reads, then stores. */
#define SR_MAX_OPERANDS 8

/* How a code lies in memory (tvmsr/kernels/spec.py, Form). */
enum { SR_FORM_U8 = 0, SR_FORM_S8 = 1, SR_FORM_U16 = 2, SR_FORM_S16 = 3 };

/* What the network computes. */
enum { SR_COLOUR_RGB = 0, SR_COLOUR_Y = 1 };

/* What lies outside of a buffer's picture: its pad codes, the nearest pixel, or the picture mirrored at its outermost
 * pixels, which are not repeated. */
enum { SR_PAD_CONSTANT = 0, SR_PAD_REPLICATE = 1, SR_PAD_REFLECT = 2 };

/* What a step does: a kernel, or plain C of the driver (steps.h). */
enum { SR_KERNEL = 0, SR_MAX_POOL = 1, SR_RESIZE = 2, SR_STATISTIC = 3, SR_LAYER_NORM = 4, SR_KINDS = 5 };

/* sr_spatial.method of a resize and of a statistic; sr_spatial.grid of a resize. */
enum { SR_NEAREST = 0, SR_LINEAR = 1, SR_CUBIC = 2 };
enum { SR_MEAN = 0, SR_VARIANCE = 1, SR_DEVIATION = 2, SR_MAX = 3 };
enum { SR_HALF_PIXEL = 0, SR_ALIGN_CORNERS = 1, SR_ASYMMETRIC = 2 };

/* n -> floor((n * times + plus) / by). */
typedef struct sr_affine {
    int32_t times;
    int32_t plus;
    int32_t by;
} sr_affine;

/* Height or width of a tensor as a function of the picture's: sr_model.affines[first] ..., one after the other. */
typedef struct sr_extent {
    uint32_t first;
    uint32_t count; /* 0: the picture's own */
} sr_extent;

/* A stored tensor. The driver keeps as many of its rows as the steps need at one time.
 * A row is `border` pixels, the tensor's width, `border` pixels; pixels are `pitch` bytes apart.
 */
typedef struct sr_buffer {
    const char *name;
    uint32_t channels;
    uint32_t pitch;
    uint32_t rows;    /* height and width: indices into sr_model.extents */
    uint32_t columns;
    uint16_t border;  /* columns outside of the picture on each side */
    uint8_t form;     /* SR_FORM_* */
    uint8_t bits;
    uint16_t offset;  /* what a stored value is less than its code: 0, 128 or 32768 */
    uint16_t mode;    /* SR_PAD_*: what lies in the border, and in rows outside of the picture */
    const uint16_t *pad; /* codes, [channels]; NULL: zero codes */
} sr_buffer;

/* One (pointer, rows) pair of a kernel. */
typedef struct sr_operand {
    uint16_t buffer; /* index into sr_program.buffers */
    uint16_t block;  /* stores: depth to space, grid row r writes rows r * block + [0, block); what is read: 1, or 0 for a
                        1x1 map that stands for all pixels */
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

/* How plain parameters lie in the data. */
enum { SR_SHORT = 1 };

/* A kernel is called as the contract says, through the type that has its number of operands. */
typedef void (*sr_kernel)(void);

/* What a step of the driver's own does, whatever its bits; what its kind does not need is 0. Numbers that depend on bits
 * are plain parameters: 4-byte words in the order that its file says. */
typedef struct sr_spatial {
    uint32_t channels;
    uint8_t method;
    uint8_t grid;
    uint8_t unbiased;    /* of a statistic: variances are divided by the number of pixels less one */
    int32_t numerator;   /* of a resize's factor; 0: the step of its grid is the ratio of the sizes */
    int32_t denominator;
    int32_t cubic;       /* 256 times Keys' coefficient */
} sr_spatial;

/* One kernel, or one loop of the driver's own, over all rows. Operands in the kernel's order: x, the second factor of a
 * product, residuals, stores. A step of the driver's own has x and one store; statistics of the same rows are one step, with a
 * store for each. */
typedef struct sr_step {
    const char *name; /* unique in its level, over all choices; shown in profiles */
    sr_kernel kernel; /* NULL where kind is not SR_KERNEL */
    const sr_operand *operands;
    uint8_t kind;      /* SR_KERNEL ... */
    uint8_t residuals; /* all operands read beside x, the second factor too: at the grid's own pixels */
    uint8_t stores;
    uint16_t stride;
    uint16_t extent;   /* input rows that one grid row reads: (kernel height - 1) * dilation + 1 */
    uint16_t extent_columns;
    int16_t pad_top;   /* negative: rows and columns of x that are left out */
    int16_t pad_left;  /* <= border of x */
    int16_t pad_bottom;
    int16_t pad_right;
    uint16_t granule_rows; /* row0 is a multiple of this (1: any) */
    uint16_t granule_columns; /* col0 is one of this: the kernel's own granule, or what fills its tiles */
    uint16_t read_ahead_rows;   /* input rows read beyond those of the last grid row, by number: table entries */
    uint16_t read_ahead_pixels; /* input pixels read beyond the last one needed in a row */
    uint32_t scratch;  /* bytes a thread, 64-byte aligned */
    int32_t layer;     /* index into sr_model.layers, -1: none */
    uint32_t macs_per_pixel; /* of its grid */
    const sr_spatial *spatial; /* one for each store; NULL where kind is SR_KERNEL */
    const tvmsr_weight_layout *weights; /* NULL where layer is -1 */
    const tvmsr_param_layout *block;    /* NULL where kind is not SR_KERNEL */
    uint64_t params; /* where in sr_model.data the plain parameters are: a multiple of 4, and SR_SHORT more where they are in
                        the short form (plain.c) */
    const sr_stored *stored; /* [stores] */
} sr_step;

/* What runs for one bit choice on one CPU level. */
typedef struct sr_program {
    const sr_buffer *buffers;
    const sr_step *steps;
    uint32_t buffer_count;
    uint32_t step_count;
    uint32_t input;  /* buffer of 3 channels (R, G, B), 8 bits, filled by the driver */
    uint32_t output; /* buffer of 3 (R, G, B) or 1 (Y) channels, form U8, scale times the picture */
} sr_program;

/* A CPU level. */
typedef struct sr_level {
    const char *name;
    const char *const *needs; /* CPU features, names of driver/cpu.c, NULL-terminated */
    const sr_program *programs; /* [choices], and behind the last one a row of zeros */
} sr_level;

/* Which bit choice pictures get whose complexity (complexity.h) is below this. */
typedef struct sr_bound {
    uint32_t below;
    uint32_t choice;
} sr_bound;

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
    uint32_t minimum_height; /* of what the programs run on: smaller pictures are continued by their outermost pixels, */
    uint32_t minimum_width;
    uint32_t multiple;       /* and those whose sides are no multiples of this */
    uint32_t grid;           /* pieces of a picture that begin at multiples of it are computed as the whole is */
    uint32_t choices; /* bit choices, at least 1 */
    uint32_t layer_count;
    uint32_t extent_count;
    uint32_t affine_count;
    uint32_t level_count;
    uint32_t core_cache;   /* of the target, bytes: the cache that a core has for itself beyond its first; 0: none known */
    uint32_t shared_cache; /* and the largest that cores share */
    const char *const *choice_names; /* [choices], then NULL */
    const sr_bound *bounds; /* [bound_count], ascending, the last one above all pictures: the first one that fits chooses */
    uint32_t bound_count;
    const sr_extent *extents;
    const sr_affine *affines;
    const sr_layer *layers;
    const sr_level *levels; /* best first; behind the last one a row of zeros */
    const unsigned char *data; /* plain weights and plain parameters, 64-byte aligned: `sr_data` */
    uint64_t data_bytes;
    uint64_t data_checksum; /* sr_data_checksum of them */
    const sr_check *checks;
    uint32_t check_count;
    uint32_t tile;  /* pixels of the picture a side of tiles that choose for themselves (tiles.h); 0: it chooses as a whole */
    uint32_t band;  /* and over which neighbours of different choices are blended; even */
    uint32_t whole; /* 1: some step sees the whole picture, so that parts of it would come out otherwise */
} sr_model;

/* The one definition, in the generated file. */
extern const sr_model sr_the_model;

/* Plain weights and parameters, in an object of their own that tvmsr/artifact/link.py makes from the bytes. Equal runs of
 * bytes (parameters of two levels) need to be there once only. */
extern const unsigned char sr_data[];
extern const unsigned char sr_data_end[]; /* behind the last of data_bytes */

#endif
