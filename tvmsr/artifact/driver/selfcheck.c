/* The check pictures of the file, upscaled here and compared with what its compiler computed. */
#include <stdlib.h>

#include "checksum.h"
#include "memory.h"
#include "rounding.h"
#include "session.h"
#include "small.h"

SR_SMALL

/* What a check must leave as it was. */
typedef struct {
    int32_t profiling, tracing;
} habits;

static habits rest(tvmsr_session *session) {
    const habits before = {session->profiling, session->tracing};
    session->profiling = session->tracing = 0;
    return before;
}

static void resume(tvmsr_session *session, habits before) {
    session->profiling = before.profiling;
    session->tracing = before.tracing;
}

static tvmsr_status upscale(tvmsr_session *session, const sr_check *check, uint8_t *in, uint8_t *out, uint64_t *sum) {
    const int64_t width = check->width, height = check->height, scale = sr_the_model.scale;
    const sr_plane from = {in, width * 3, width, height, 3}, to = {out, width * scale * 3, width * scale, height * scale, 3};
    const sr_codes codes = {3, 3, 1, 0, to.width};
    sr_seeded_picture(check->seed, width, height, in);
    const tvmsr_status status = sr_run(session, &session->choices[check->choice], &from, &to, NULL, NULL);
    *sum = 0;
    for (int64_t row = 0; row < to.height; row++) *sum += sr_row_checksum(&codes, sr_row(&to, row), (uint64_t)row);
    return status;
}

static tvmsr_status run_check(tvmsr_session *session, uint32_t index) {
    const sr_check *check = &sr_the_model.checks[index];
    const uint64_t pixels = (uint64_t)check->width * check->height, scale = sr_the_model.scale;
    tvmsr_status status = sr_plan(session, &session->choices[check->choice], check->width, check->height);
    if (status != TVMSR_OK) return status;
    uint8_t *in = sr_alloc(pixels * 3), *out = sr_alloc(pixels * scale * scale * 3);
    uint64_t sum = 0;
    status = TVMSR_OUT_OF_MEMORY;
    if (in != NULL && out != NULL) status = upscale(session, check, in, out, &sum);
    sr_free(in);
    sr_free(out);
    if (status == TVMSR_OUT_OF_MEMORY) return sr_fail(session, status, "out of memory");
    if (status != TVMSR_OK || sum == check->checksum) return status;
    return sr_fail(session, TVMSR_CHECK_FAILED,
                   "check picture %u of %u (%u x %u, seed %u) gives %016llx, not %016llx: level %s computes wrongly here",
                   index + 1, sr_the_model.check_count, check->width, check->height, check->seed,
                   (unsigned long long)sum, (unsigned long long)check->checksum, session->level->name);
}

tvmsr_status sr_self_check(tvmsr_session *session) {
    if (sr_the_model.check_count == 0) return sr_fail(session, TVMSR_BAD_ARGUMENT, "this file has no check pictures");
    const uint64_t workspace = session->workspace_bytes;
    const habits before = rest(session);
    const sr_rounding rounding = sr_rounding_enter();
    tvmsr_status status = TVMSR_OK;
    sr_pool_revive(session->pool);
    for (uint32_t i = 0; i < sr_the_model.check_count && status == TVMSR_OK; i++) status = run_check(session, i);
    sr_rounding_set(rounding);
    resume(session, before);
    if (session->workspace_bytes != workspace) {
        sr_free(session->workspace);
        session->workspace = NULL;
        session->workspace_bytes = 0;
    }
    return status;
}

SR_API tvmsr_status TVMSR_FN(check)(tvmsr_session *session) {
    const tvmsr_status status = sr_enter(session);
    if (status != TVMSR_OK) return status;
    return sr_leave(session, sr_self_check(session));
}

SR_SMALL_END
