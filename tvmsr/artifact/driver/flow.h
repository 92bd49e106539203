/* Which rows of which buffer are computed when, and where they lie.
 *
 * The picture is cut into horizontal strips of the output. For each strip the steps run once, in order, over the rows
 * that the strip needs and earlier strips have not computed; what a strip needs is found backwards, from the output
 * through every kernel's height. Buffers are rings of rows: as many as are alive at one time, so that no row is computed
 * twice and none is copied. Every row is computed by the same kernel from the same rows whatever the strips are.
 */
#ifndef SR_FLOW_H
#define SR_FLOW_H

#include "program.h"

/* One buffer in one call. Memory: [row of pad codes][ring rows][slack]. */
typedef struct sr_ring {
    int64_t height; /* of the whole tensor */
    int64_t width;
    int64_t rows;   /* capacity of the ring */
    uint64_t row_bytes;
    uint64_t bytes;
    uint64_t offset; /* in the workspace */
    uint64_t slack;  /* bytes that kernels may read past the last row */
} sr_ring;

/* One step in one call: rows of its grid, [0, done) computed in earlier strips, [done, goal) in this one. */
typedef struct sr_span {
    int64_t height;
    int64_t width;
    int64_t done;
    int64_t goal;
} sr_span;

/* What a step reads: `operand` of `reader` lies, in part at least, in what `writer` stores with this block. By channels,
 * not by buffers: of a concat's slices each is made only as far ahead as its own readers look.
 */
typedef struct sr_link {
    uint32_t reader;
    uint32_t writer; /* SR_DRIVER: the input picture's codes */
    uint16_t operand;
    uint16_t block;
} sr_link;

#define SR_DRIVER UINT32_MAX

typedef struct sr_flow {
    const sr_level *level;
    sr_ring *rings; /* [buffers] */
    sr_span *spans; /* [steps] */
    sr_link *links; /* last reader first */
    size_t link_count;
    int64_t height; /* of the input */
    int64_t width;
    int64_t out_height;
    int64_t strip;  /* output rows of a strip */
    int64_t strips;
    int64_t in_done;  /* input rows converted in earlier strips */
    int64_t in_goal;  /* at the end of this strip */
    int64_t out_done; /* output rows handed out in earlier strips */
    int64_t out_goal; /* in this strip */
    uint64_t table_entries; /* int32 a row table set takes at most */
    uint64_t table_offset;  /* in the workspace */
    uint64_t scratch_bytes; /* a thread */
    uint64_t scratch_offset;
    uint64_t bytes; /* of the workspace */
} sr_flow;

/* Arrays for a level. 0: out of memory. */
int sr_flow_open(sr_flow *flow, const sr_level *level);

void sr_flow_close(sr_flow *flow);

typedef enum { SR_FITS, SR_TOO_LARGE, SR_OVER_LIMIT } sr_fit;

/* Choose strips for a picture and lay out the workspace. limit 0: none. Ends ready for sr_flow_next. */
sr_fit sr_flow_plan(sr_flow *flow, uint32_t scale, int64_t height, int64_t width, int threads, uint64_t limit);

/* Before the first strip. */
void sr_flow_rewind(sr_flow *flow);

/* Set the goals of the next strip; 0 where there is none left. */
int sr_flow_next(sr_flow *flow);

/* The strip is computed: done = goal. */
void sr_flow_advance(sr_flow *flow);

/* Entries of the row tables of a step that computes `rows` grid rows: of its input, and of another operand. */
int64_t sr_input_entries(const sr_step *step, int64_t rows);
int64_t sr_other_entries(const sr_step *step, const sr_operand *operand, int64_t rows);

/* Bytes of a code as the buffer stores it. */
static inline int32_t sr_code_bytes(const sr_buffer *buffer) {
    return buffer->form == SR_FORM_U16 || buffer->form == SR_FORM_S16 ? 2 : 1;
}

/* Operands of a step: x, what else it reads, stores. */
static inline int sr_operand_count(const sr_step *step) { return 1 + step->residuals + step->stores; }

static inline int sr_is_store(const sr_step *step, int operand) { return operand > step->residuals; }

#endif
