/* From options to a session, and its end. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cpu.h"
#include "memory.h"
#include "session.h"
#include "small.h"

SR_SMALL

#define MAX_THREADS 256

static atomic_flag open_error_lock = ATOMIC_FLAG_INIT;
static char open_error_text[256];

static void lock_open_error(void) {
    while (atomic_flag_test_and_set_explicit(&open_error_lock, memory_order_acquire)) {
    }
}

static void unlock_open_error(void) { atomic_flag_clear_explicit(&open_error_lock, memory_order_release); }

static tvmsr_status fail_open(tvmsr_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

static tvmsr_status fail_open(tvmsr_status status, const char *format, ...) {
    char text[sizeof open_error_text];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    lock_open_error();
    memcpy(open_error_text, text, sizeof text);
    unlock_open_error();
    return status;
}

/* The level asked for, or the best that runs here. */
static tvmsr_status choose_level(const char *name, const sr_level **level) {
    const char *lacks = "a level";
    for (uint32_t i = 0; i < sr_the_model.level_count; i++) {
        const sr_level *candidate = &sr_the_model.levels[i];
        if (name != NULL && strcmp(candidate->name, name) != 0) continue;
        *level = candidate;
        lacks = sr_cpu_lacks(candidate->needs);
        if (lacks == NULL) return TVMSR_OK;
        if (name != NULL) return fail_open(TVMSR_WRONG_CPU, "this CPU has no %s, which level %s needs", lacks, name);
    }
    if (name != NULL) return fail_open(TVMSR_BAD_ARGUMENT, "there is no level %.64s in this file", name);
    return fail_open(TVMSR_WRONG_CPU, "this CPU has no %s, which this file needs", lacks);
}

/* The caller's options in our version of the structure. */
static tvmsr_status read_options(const tvmsr_options *given, tvmsr_options *options) {
    memset(options, 0, sizeof *options);
    if (given == NULL) return TVMSR_OK;
    if (given->struct_size < sizeof given->struct_size) return fail_open(TVMSR_BAD_ARGUMENT, "options.struct_size is not set");
    memcpy(options, given, given->struct_size < sizeof *options ? given->struct_size : sizeof *options);
    for (uint32_t i = sizeof *options; i < given->struct_size; i++) {
        if (((const unsigned char *)given)[i] != 0) {
            return fail_open(TVMSR_BAD_ARGUMENT, "options of a newer header that this file does not know");
        }
    }
    if (options->threads < 0 || options->threads > MAX_THREADS) {
        return fail_open(TVMSR_BAD_ARGUMENT, "%d threads; 0 to %d can be asked for", options->threads, MAX_THREADS);
    }
    return TVMSR_OK;
}

static tvmsr_status out_of_memory(tvmsr_session *session) {
    TVMSR_FN(close)(session);
    return fail_open(TVMSR_OUT_OF_MEMORY, "out of memory");
}

static tvmsr_status check_tables(const char *wrong) {
    return wrong == NULL ? TVMSR_OK : fail_open(TVMSR_DAMAGED, "this file is damaged: %s", wrong);
}

static tvmsr_status not_packed(tvmsr_session *session, const char *wrong) {
    if (wrong == NULL) return out_of_memory(session);
    TVMSR_FN(close)(session);
    return check_tables(wrong);
}

static tvmsr_status failed_check(tvmsr_session *session, tvmsr_status status) {
    fail_open(status, "%s", session->error);
    TVMSR_FN(close)(session);
    return status;
}

/* The choices without their weights, and the times of their steps. 0: out of memory. */
static int open_choices(tvmsr_session *session) {
    const uint32_t count = sr_the_model.choices;
    session->time_count = 3;
    session->choices = calloc(count, sizeof *session->choices);
    session->counts = calloc(count, sizeof *session->counts);
    if (session->choices == NULL || session->counts == NULL) return 0;
    for (uint32_t c = 0; c < count; c++) {
        session->choices[c].program = &session->level->programs[c];
        session->time_count += session->choices[c].program->step_count;
        if (!sr_flow_open(&session->choices[c].flow, session->choices[c].program)) return 0;
    }
    session->times = calloc(session->time_count, sizeof *session->times);
    if (session->times == NULL) return 0;
    tvmsr_step_time *next = session->times + 2;
    for (uint32_t c = 0; c < count; next += session->choices[c++].program->step_count) session->choices[c].times = next;
    return 1;
}

static void close_choices(tvmsr_session *session) {
    sr_pack_close(session);
    for (uint32_t c = 0; session->choices != NULL && c < sr_the_model.choices; c++) sr_flow_close(&session->choices[c].flow);
    free(session->choices);
    free(session->times);
    free(session->counts);
    free(session->pattern.choices);
    free(session->map.choices);
    free(session->last_map.choices);
}

static tvmsr_status open_level(const tvmsr_options *options, const sr_level *level, tvmsr_session **result) {
    tvmsr_session *session = calloc(1, sizeof *session);
    if (session == NULL) return out_of_memory(NULL);
    atomic_init(&session->busy, 0);
    session->pid = (int32_t)getpid();
    session->level = level;
    session->last.level = level->name;
    session->last.choice = -1;
    session->threads = options->threads != 0 ? options->threads : (int)sr_min(sr_default_threads(), MAX_THREADS);
    session->adaptive = options->fixed_bits == 0;
    session->forced = -1;
    session->memory_limit = options->memory_limit;
    if (!open_choices(session)) return out_of_memory(session);
    session->pool = sr_pool_open(session->threads);
    if (session->pool == NULL) return out_of_memory(session);
    const char *wrong;
    if (!sr_pack_open(session, &wrong)) return not_packed(session, wrong);
    if (options->self_check != 0) {
        const tvmsr_status status = sr_self_check(session);
        if (status != TVMSR_OK) return failed_check(session, status);
    }
    *result = session;
    return TVMSR_OK;
}

SR_API tvmsr_status TVMSR_FN(open)(const tvmsr_options *given, tvmsr_session **result) {
    if (result == NULL) return fail_open(TVMSR_BAD_ARGUMENT, "no place for the session was given");
    *result = NULL;
    tvmsr_options options;
    const sr_level *level = NULL;
    tvmsr_status status = read_options(given, &options);
    if (status == TVMSR_OK) status = check_tables(sr_check_model(&sr_the_model));
    if (status == TVMSR_OK) status = choose_level(options.level, &level);
    if (status == TVMSR_OK) status = check_tables(sr_check_level(&sr_the_model, level));
    if (status != TVMSR_OK) return status;
    return open_level(&options, level, result);
}

SR_API void TVMSR_FN(open_error)(char *text, size_t size) {
    if (text == NULL || size == 0) return;
    lock_open_error();
    snprintf(text, size, "%s", open_error_text);
    unlock_open_error();
}

SR_API void TVMSR_FN(close)(tvmsr_session *session) {
    if (session == NULL) return;
    sr_pool_close(session->pool);
    close_choices(session);
    sr_free(session->workspace);
    sr_free(session->beside);
    free(session->sums);
    free(session);
}

SR_SMALL_END
