/* Checksums of what every step stores, taken right after it ran on the rows of a strip, by the thread that waited for it.
 * No row is computed twice and sums commute: strips and threads leave no mark. */
#include <stdlib.h>
#include <string.h>

#include "checksum.h"
#include "session.h"
#include "small.h"
#include "steps.h"

SR_SMALL

static size_t count_stores(const sr_program *program, uint32_t steps) {
    size_t count = 0;
    for (uint32_t i = 0; i < steps; i++) count += program->steps[i].stores;
    return count;
}

/* A picture in tiles goes through several choices. */
static size_t all_stores(const tvmsr_session *session) {
    size_t count = 0;
    for (uint32_t c = 0; c < sr_the_model.choices; c++) {
        const sr_program *program = session->choices[c].program;
        count += count_stores(program, program->step_count);
    }
    return count;
}

void sr_trace_begin(tvmsr_session *session, const sr_choice *choice) {
    tvmsr_step_sum *sum = session->sums + session->sum_count;
    session->sum_first = session->sum_count;
    session->sum_count += count_stores(choice->program, choice->program->step_count);
    for (uint32_t i = 0; i < choice->program->step_count; i++) {
        const sr_step *step = &choice->program->steps[i];
        for (int s = 0; s < step->stores; s++, sum++) {
            const sr_stored *stored = &step->stored[s];
            *sum = (tvmsr_step_sum){step->name, stored->tensor, (int32_t)stored->first, (int32_t)stored->channels, 0};
        }
    }
}

/* A statistic stores once, when it is complete. */
void sr_trace_step(tvmsr_session *session, const sr_choice *choice, uint32_t index, const sr_work *work) {
    const sr_program *program = choice->program;
    const sr_step *step = &program->steps[index];
    const sr_span *span = &choice->flow.spans[index];
    tvmsr_step_sum *sums = session->sums + session->sum_first + count_stores(program, index);
    for (int s = 0; s < step->stores; s++) {
        const int o = 1 + step->residuals + s;
        const sr_operand *store = &step->operands[o];
        const sr_buffer *buffer = &program->buffers[store->buffer];
        const sr_codes codes = {buffer->pitch, step->stored[s].channels, sr_code_bytes(buffer), buffer->offset,
                                step->kind == SR_STATISTIC ? 1 : span->shape.width * store->block};
        const int64_t first = sr_stored_rows(&span->shape, store, span->done);
        const int64_t last = sr_stored_rows(&span->shape, store, span->goal);
        for (int64_t row = first; row < last; row++) {
            const unsigned char *pixels = work->base[o] + work->table[o][row - first];
            sums[s].sum += sr_row_checksum(&codes, pixels, (uint64_t)row);
        }
    }
}

SR_API tvmsr_status TVMSR_FN(trace)(tvmsr_session *session, int32_t on) {
    const tvmsr_status status = sr_enter(session);
    if (status != TVMSR_OK) return status;
    if (on != 0 && session->sums == NULL) {
        session->sums = calloc(all_stores(session) + 1, sizeof *session->sums);
        if (session->sums == NULL) return sr_leave(session, sr_fail(session, TVMSR_OUT_OF_MEMORY, "out of memory"));
    }
    session->tracing = on != 0;
    return sr_leave(session, TVMSR_OK);
}

SR_API tvmsr_status TVMSR_FN(read_trace)(tvmsr_session *session, const tvmsr_step_sum **sums, size_t *count) {
    const tvmsr_status status = sr_enter(session);
    if (status != TVMSR_OK) return status;
    if (sums == NULL || count == NULL) {
        return sr_leave(session, sr_fail(session, TVMSR_BAD_ARGUMENT, "no place for the sums was given"));
    }
    *sums = session->sums;
    *count = session->traced ? session->sum_count : 0;
    return sr_leave(session, TVMSR_OK);
}

SR_SMALL_END
