/* Which rows of which buffer are computed when, and where they lie.
 *
 * The picture is cut into horizontal strips of the output. For each strip the steps run once, in order, over the rows
 * that the strip needs and earlier strips have not computed; what a strip needs is found backwards, from the output
 * through every step's windows (goals.c). Buffers are rings of rows: as many as are alive at one time, so that no row is computed
 * twice and none is copied. Every row is computed by the same step from the same rows whatever the strips are.
 *
 * A phase goes down the whole picture. A statistic has its result after the last row of its input, so that what reads it
 * comes in a later phase: all phases but the last are there for the statistics that can be made in them, all together, and
 * compute what those need and earlier phases have not; the last one makes the output. Where bands.c says so, a phase is cut
 * into several, by the order of its steps. What a later phase still reads is alive from its first row on: those buffers hold
 * the whole tensor, and share memory with buffers of other phases.
 */
#ifndef SR_FLOW_H
#define SR_FLOW_H

#include "program.h"
#include "sizes.h"

/* Memory in the workspace, and the phases from the first to the last in which somebody uses it. */
typedef struct sr_room {
    uint64_t bytes;
    uint64_t offset;
    int32_t first; /* INT32_MAX: never used */
    int32_t last;
} sr_room;

/* One buffer in one call. Memory: [row of pad codes][ring rows][slack]. */
typedef struct sr_ring {
    int64_t height; /* of the whole tensor */
    int64_t width;
    int64_t rows;   /* capacity of the ring */
    uint64_t row_bytes;
    uint64_t slack; /* bytes that kernels may read past the last row */
    sr_room room;
} sr_ring;

/* One step in one call: rows of its grid, [0, done) computed in earlier strips, [done, goal) in this one. Of a statistic:
 * rows of its input; its store has its one row when all are done. */
typedef struct sr_span {
    sr_shape shape;
    int64_t done;
    int64_t goal;
    int64_t want; /* the goal, or less than that: goals.c */
    int32_t part;  /* the phase that runs it where none is cut; -1: nobody wants its rows */
    int32_t phase; /* the one that does */
    int32_t leads; /* 1: its phase goes down by its rows: later phases read them */
    uint64_t own_bytes; /* what its kind keeps, a thread */
    sr_room own;
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

/* An operand of a step, among the users of a buffer. */
typedef struct sr_user {
    uint32_t step;
    uint32_t operand;
} sr_user;

/* What the last plan was made for; height 0: none was. */
typedef struct sr_asked {
    int64_t height;
    int64_t width;
    int64_t threads;
    uint64_t limit;
} sr_asked;

typedef struct sr_flow {
    const sr_program *program;
    sr_ring *rings; /* [buffers] */
    sr_span *spans; /* [steps] */
    sr_link *links; /* last reader first */
    size_t link_count;
    sr_user *users;       /* those of buffer b: [user_starts[b], user_starts[b + 1]) */
    uint32_t *user_starts; /* [buffers + 1] */
    uint32_t *active_links; /* of this phase, in order */
    uint32_t *active_steps;
    size_t active_link_count;
    uint32_t active_step_count;
    int32_t phase;
    int32_t phases;
    int32_t parts; /* phases where none is cut */
    int64_t height; /* that the network runs on */
    int64_t width;
    int64_t out_height; /* of the result: scale times the picture's */
    int64_t strip;  /* output rows of a strip */
    int64_t lead;   /* rows above the picture at which the front begins: goals.c */
    int64_t strips; /* of each phase */
    int64_t turn;   /* strips of this phase that were begun */
    int64_t in_done;  /* input rows converted in earlier strips */
    int64_t in_goal;  /* at the end of this strip */
    int64_t in_want;
    int64_t out_done; /* output rows handed out in earlier strips */
    int64_t out_goal; /* in this strip */
    int threads;
    uint64_t table_entries; /* int32 a row table set takes at most */
    uint64_t table_offset;  /* in the workspace */
    uint64_t scratch_bytes; /* a thread */
    uint64_t scratch_offset;
    uint64_t bytes; /* of the workspace */
    sr_asked asked;
    int32_t fit; /* sr_fit: what came of it */
} sr_flow;

/* Arrays for a program. 0: out of memory. */
int sr_flow_open(sr_flow *flow, const sr_program *program);

void sr_flow_close(sr_flow *flow);

typedef enum { SR_FITS, SR_TOO_LARGE, SR_OVER_LIMIT, SR_CONTRADICTS } sr_fit;

/* Choose strips and phases for a picture and lay out the workspace, anew where anything differs from the last time. limit
 * 0: none. */
sr_fit sr_flow_plan(sr_flow *flow, int64_t height, int64_t width, int threads, uint64_t limit);

/* Which phase runs each step: its part, each cut into groups where groups is not NULL: [steps], of a part from 0 on.
 * Ends in front of the first strip. */
void sr_flow_arrange(sr_flow *flow, const uint32_t *groups);

/* goals.c: find flow->lead, for the phases and sizes that the flow has. Ends in front of the first strip. */
void sr_flow_set_lead(sr_flow *flow);

/* Before the first strip. */
void sr_flow_rewind(sr_flow *flow);

/* Set the goals of the next strip; 0 where there is none left. */
int sr_flow_next(sr_flow *flow);

/* 1 in the first strip of a phase; in the last phase. */
static inline int sr_flow_begins(const sr_flow *flow) { return flow->turn == 1; }
static inline int sr_flow_ends(const sr_flow *flow) { return flow->phase == flow->phases - 1; }

/* The strip is computed: done = goal. */
void sr_flow_advance(sr_flow *flow);

/* Rows of x that the row table of a step has in this strip: from *first on; returns how many. */
int64_t sr_input_entries(const sr_span *span, int64_t *first);

/* Entries of the row table of another operand for `rows` grid rows. */
int64_t sr_other_entries(const sr_step *step, const sr_operand *operand, int64_t rows);

/* Bytes of a code as the buffer stores it. */
static inline int32_t sr_code_bytes(const sr_buffer *buffer) {
    return buffer->form == SR_FORM_U16 || buffer->form == SR_FORM_S16 ? 2 : 1;
}

/* Operands of a step: x, what else it reads, stores. */
static inline int sr_operand_count(const sr_step *step) { return 1 + step->residuals + step->stores; }

static inline int sr_is_store(const sr_step *step, int operand) { return operand > step->residuals; }

/* Rows of its store that grid rows [0, rows) of a step make. */
static inline int64_t sr_stored_rows(const sr_shape *shape, const sr_operand *store, int64_t rows) {
    return shape->step->kind == SR_STATISTIC ? rows == shape->height : rows * store->block;
}

#endif
