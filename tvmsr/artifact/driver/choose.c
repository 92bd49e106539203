/* Which bit choice a picture gets: that which was forced, or what the file's bounds say of its complexity. */
#include "complexity.h"
#include "rows.h"
#include "session.h"
#include "small.h"

SR_SMALL

/* Rows that a thread looks at together: the two beside them are looked at once more. */
#define LOOK_ROWS 16

/* Without complexity.c, where a file has no bounds: nobody asks. */
#ifndef SR_WITHOUT_COMPLEXITY

/* A picture whose rows threads share. */
typedef struct looking {
    sr_share share;
    const sr_plane *in;
    atomic_ullong gradient;
} looking;

static void look_task(void *context, int worker) {
    (void)worker;
    looking *l = context;
    sr_turn turn = {0, 0};
    sr_piece piece;
    while (sr_share_next(&l->share, &turn, &piece)) {
        const uint64_t found = sr_gradient(l->in, piece.row0, piece.row1);
        atomic_fetch_add_explicit(&l->gradient, found, memory_order_relaxed);
    }
}

static uint32_t look_at(const tvmsr_session *session, const sr_plane *in) {
    looking l;
    l.in = in;
    atomic_init(&l.gradient, 0);
    sr_share_rows(&l.share, in->height, in->width, LOOK_ROWS, sr_pool_threads(session->pool));
    sr_pool_run(session->pool, look_task, &l);
    return sr_complexity(atomic_load(&l.gradient), in->height, in->width);
}

#else

static uint32_t look_at(const tvmsr_session *session, const sr_plane *in) {
    (void)session, (void)in;
    return 0;
}

#endif

void sr_usable_choices(const tvmsr_session *session, uint32_t *first, uint32_t *last) {
    const int any = session->adaptive && session->forced < 0 && sr_the_model.bound_count > 0;
    *first = session->forced < 0 ? 0 : (uint32_t)session->forced;
    *last = any ? sr_the_model.choices : *first + 1;
}

int32_t sr_choose(tvmsr_session *session, const sr_plane *in) {
    uint32_t first, last;
    sr_usable_choices(session, &first, &last);
    if (last == first + 1) return (int32_t)first;
    const uint32_t found = look_at(session, in);
    const sr_bound *bound = sr_the_model.bounds;
    while (found >= bound->below) bound++; /* the last one is above all pictures: check.c */
    return (int32_t)bound->choice;
}

SR_API tvmsr_status TVMSR_FN(predict_choice)(tvmsr_session *session, const tvmsr_picture *in, int32_t *choice) {
    tvmsr_status status = sr_enter(session);
    if (status != TVMSR_OK) return status;
    if (choice == NULL) return sr_leave(session, sr_fail(session, TVMSR_BAD_ARGUMENT, "no place for the choice was given"));
    status = sr_check_picture(session, "input", in);
    if (status != TVMSR_OK) return sr_leave(session, status);
    const sr_plane from = sr_plane_of(in);
    sr_pool_revive(session->pool);
    *choice = sr_choose(session, &from);
    return sr_leave(session, status);
}

SR_API tvmsr_status TVMSR_FN(force_choice)(tvmsr_session *session, int32_t choice) {
    tvmsr_status status = sr_enter(session);
    if (status != TVMSR_OK) return status;
    if (choice < -1 || choice >= (int32_t)sr_the_model.choices) {
        status = sr_fail(session, TVMSR_BAD_ARGUMENT, "choice %d; the file has %u", choice, sr_the_model.choices);
        return sr_leave(session, status);
    }
    session->forced = choice;
    return sr_leave(session, TVMSR_OK);
}

SR_SMALL_END
