#include "convert.h"

#include <string.h>

#include "edges.h"
#include "memory.h"
#include "rows.h"

/* Rows of the picture to convert, before or after the network. */
typedef struct conversion {
    sr_share share;
    const tvmsr_session *session;
    const sr_choice *choice;
    const sr_plane *in;
    const sr_finish *finish;
    int64_t first;
} conversion;

/* A picture that is smaller than what the network runs on is continued by its last column, and by its last row. */
static void input_row(const conversion *c, int64_t row, uint8_t *to) {
    const sr_flow *flow = &c->choice->flow;
    const sr_buffer *buffer = &flow->program->buffers[flow->program->input];
    sr_codes_from_row(c->in, sr_min(row, c->in->height - 1), to, buffer->pitch, (uint8_t)buffer->offset);
    const uint8_t *last = to + (c->in->width - 1) * buffer->pitch;
    for (int64_t x = c->in->width; x < flow->width; x++) memcpy(to + x * buffer->pitch, last, 3);
}

static void input_task(void *context, int worker) {
    (void)worker;
    conversion *c = context;
    const sr_program *program = c->choice->program;
    const sr_buffer *buffer = &program->buffers[program->input];
    const sr_ring *ring = &c->choice->flow.rings[program->input];
    uint8_t *base = c->session->workspace + ring->room.offset;
    sr_turn turn = {0, 0};
    sr_piece piece;
    while (sr_share_next(&c->share, &turn, &piece)) {
        for (int64_t row = c->first + piece.row0; row < c->first + piece.row1; row++) {
            uint8_t *to = base + sr_ring_row(ring, row);
            input_row(c, row, to + (size_t)buffer->border * buffer->pitch);
            if (buffer->mode != SR_PAD_CONSTANT) sr_fill_edges(buffer, ring, to, 0, 3);
        }
    }
}

/* Strips end at whole rows of the picture. */
static void output_task(void *context, int worker) {
    (void)worker;
    conversion *c = context;
    const sr_program *program = c->choice->program;
    const sr_buffer *buffer = &program->buffers[program->output];
    const sr_ring *ring = &c->choice->flow.rings[program->output];
    const size_t left = (size_t)buffer->border * buffer->pitch;
    const sr_result network = {c->session->workspace + ring->room.offset + left, ring, buffer->pitch};
    sr_turn turn = {0, 0};
    sr_piece piece;
    while (sr_share_next(&c->share, &turn, &piece)) {
        sr_finish_rows(c->finish, &network, c->first + piece.row0, c->first + piece.row1);
    }
}

static void convert(tvmsr_session *session, conversion *c, sr_task task, int64_t first, int64_t last) {
    if (first >= last) return;
    c->session = session;
    c->first = first;
    sr_share_rows(&c->share, last - first, c->choice->flow.width, 1, sr_pool_threads(session->pool));
    sr_pool_run(session->pool, task, c);
}

void sr_convert_input(tvmsr_session *session, const sr_choice *choice, const sr_plane *in, int64_t first, int64_t last) {
    conversion c;
    c.choice = choice;
    c.in = in;
    c.finish = NULL;
    convert(session, &c, input_task, first, last);
}

void sr_convert_output(tvmsr_session *session, const sr_choice *choice, const sr_finish *finish, int64_t first,
                       int64_t last) {
    conversion c;
    c.choice = choice;
    c.in = NULL;
    c.finish = finish;
    convert(session, &c, output_task, first, last);
}
