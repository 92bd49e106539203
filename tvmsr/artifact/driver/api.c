/* The exported functions: arguments are checked here, the work is done elsewhere. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cpu.h"
#include "memory.h"
#include "rounding.h"
#include "session.h"
#include "small.h"
#include "tiles.h"

SR_SMALL

tvmsr_status sr_fail(tvmsr_session *session, tvmsr_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(session->error, sizeof session->error, format, arguments);
    va_end(arguments);
    return status;
}

/* In a fork's child nobody else can be in the session. */
tvmsr_status sr_enter(tvmsr_session *session) {
    if (session == NULL) return TVMSR_BAD_ARGUMENT;
    const int32_t pid = (int32_t)getpid();
    if (session->pid != pid) {
        session->pid = pid;
        atomic_store(&session->busy, 0);
    }
    if (atomic_exchange(&session->busy, 1) != 0) return TVMSR_BUSY;
    session->error[0] = '\0';
    return TVMSR_OK;
}

tvmsr_status sr_leave(tvmsr_session *session, tvmsr_status status) {
    atomic_store(&session->busy, 0);
    return status;
}

/* Copy a structure to a caller whose version of it may be shorter or longer than ours. */
static void copy_out(void *to, uint32_t to_size, void *from, uint32_t from_size) {
    memcpy(from, &to_size, sizeof to_size);
    memcpy(to, from, to_size < from_size ? to_size : from_size);
}

SR_API tvmsr_status TVMSR_FN(get_info)(tvmsr_info *info) {
    if (info == NULL || info->struct_size < sizeof info->struct_size) return TVMSR_BAD_ARGUMENT;
    tvmsr_info full;
    memset(&full, 0, sizeof full);
    full.abi_version = TVMSR_ABI_VERSION;
    full.scale = (int32_t)sr_the_model.scale;
    full.colour = sr_the_model.colour == SR_COLOUR_Y ? TVMSR_COLOUR_Y : TVMSR_COLOUR_RGB;
    full.minimum_width = (int32_t)sr_the_model.minimum_width;
    full.minimum_height = (int32_t)sr_the_model.minimum_height;
    full.receptive_radius = (int32_t)sr_the_model.radius;
    full.levels = (int32_t)sr_level_count(&sr_the_model);
    full.choices = (int32_t)sr_choice_count(&sr_the_model);
    full.manifest = sr_manifest;
    full.manifest_bytes = (size_t)(sr_manifest_end - sr_manifest);
    full.size_multiple = (int32_t)sr_the_model.grid;
    copy_out(info, info->struct_size, &full, sizeof full);
    return TVMSR_OK;
}

SR_API const char *TVMSR_FN(level_name)(int32_t index) {
    return index >= 0 && (uint32_t)index < sr_level_count(&sr_the_model) ? sr_the_model.levels[index].name : NULL;
}

SR_API const char *TVMSR_FN(choice_name)(int32_t index) {
    return index >= 0 && (uint32_t)index < sr_choice_count(&sr_the_model) ? sr_the_model.choice_names[index] : NULL;
}

SR_API int32_t TVMSR_FN(level_runs)(int32_t index) {
    if (index < 0 || (uint32_t)index >= sr_level_count(&sr_the_model)) return 0;
    return sr_cpu_lacks(sr_the_model.levels[index].needs) == NULL;
}

tvmsr_status sr_planned(tvmsr_session *session, sr_fit fit, int64_t width, int64_t height, uint64_t bytes) {
    switch (fit) {
        case SR_FITS: return TVMSR_OK;
        case SR_CONTRADICTS:
            return sr_fail(session, TVMSR_DAMAGED, "this file is damaged: its tables contradict each other at %lld x %lld",
                           (long long)width, (long long)height);
        case SR_OVER_LIMIT:
            return sr_fail(session, TVMSR_MEMORY_LIMIT, "a picture of %lld x %lld takes %llu bytes, the limit is %llu",
                           (long long)width, (long long)height, (unsigned long long)bytes,
                           (unsigned long long)session->memory_limit);
        default:
            return sr_fail(session, TVMSR_BAD_SIZE, "a picture of %lld x %lld is too large", (long long)width,
                           (long long)height);
    }
}

static tvmsr_status check_side(tvmsr_session *session, int64_t width, int64_t height) {
    if (width >= 1 && height >= 1) return TVMSR_OK;
    return sr_fail(session, TVMSR_BAD_SIZE, "%lld x %lld is less than the smallest picture, 1 x 1", (long long)width,
                   (long long)height);
}

tvmsr_status sr_plan(tvmsr_session *session, sr_choice *choice, int64_t width, int64_t height) {
    const sr_fit fit = sr_flow_plan(&choice->flow, height, width, session->threads, session->memory_limit);
    return sr_planned(session, fit, width, height, choice->flow.bytes);
}

static tvmsr_status check_pair(tvmsr_session *session, const tvmsr_picture *in, const tvmsr_picture *out) {
    tvmsr_status status = sr_check_picture(session, "input", in);
    if (status == TVMSR_OK) status = sr_check_picture(session, "output", out);
    if (status != TVMSR_OK) return status;
    const int64_t scale = sr_the_model.scale;
    if (out->width != in->width * scale || out->height != in->height * scale) {
        return sr_fail(session, TVMSR_BAD_SIZE, "the output is %d x %d, not %lld times %d x %d", out->width, out->height,
                       (long long)scale, in->width, in->height);
    }
    return TVMSR_OK;
}

/* Of a picture that went through one choice, or in tiles through several. */
static void remember(tvmsr_session *session, int64_t strips, uint64_t bytes, uint64_t nanoseconds) {
    const sr_map chosen = session->map;
    session->last.choice = sr_most_chosen(session, session->counts);
    session->last.threads = sr_pool_threads(session->pool);
    session->last.strips = (int32_t)sr_min(strips, INT32_MAX);
    session->last.workspace = bytes;
    session->last.nanoseconds = nanoseconds;
    session->last.tiles = (int32_t)(chosen.down * chosen.across);
    session->last.tiles_of = session->counts;
    session->map = session->last_map;
    session->last_map = chosen;
    session->traced |= session->tracing;
}

/* Through one choice. */
static tvmsr_status run_whole(tvmsr_session *session, const sr_plane *in, const sr_plane *out, tvmsr_progress progress,
                              void *user, uint64_t begin) {
    sr_choice *choice = &session->choices[session->map.choices[0]];
    tvmsr_status status = sr_plan(session, choice, in->width, in->height);
    if (status != TVMSR_OK) return status;
    if (session->tracing) sr_trace_begin(session, choice);
    status = sr_run(session, choice, in, out, progress, user);
    if (status == TVMSR_OK) remember(session, choice->flow.strips, choice->flow.bytes, sr_now() - begin);
    return status;
}

static int is_uniform(const sr_map *map) {
    for (int64_t i = 1; i < map->down * map->across; i++) {
        if (map->choices[i] != map->choices[0]) return 0;
    }
    return 1;
}

static tvmsr_status run(tvmsr_session *session, const sr_plane *in, const sr_plane *out, tvmsr_progress progress, void *user,
                        uint64_t begin) {
    if (!SR_TILES || is_uniform(&session->map)) return run_whole(session, in, out, progress, user, begin);
    int64_t strips;
    tvmsr_status status = sr_tiles_plan(session, in->width, in->height);
    if (status != TVMSR_OK) return status;
    status = sr_tiles_run(session, in, out, progress, user, &strips);
    if (status == TVMSR_OK) remember(session, strips, sr_tiles_bytes(session), sr_now() - begin);
    return status;
}

/* *bytes: what a picture takes in tiles, where that is more. */
static tvmsr_status plan_tiles(tvmsr_session *session, int64_t width, int64_t height, uint64_t *bytes) {
    uint32_t first, last;
    sr_usable_choices(session, &first, &last);
    if (!SR_TILES || last == first + 1 || sr_tiles_of(width) * sr_tiles_of(height) == 1) return TVMSR_OK;
    const tvmsr_status status = sr_tiles_plan(session, width, height);
    const uint64_t most = sr_tiles_bytes(session);
    if ((status == TVMSR_OK || status == TVMSR_MEMORY_LIMIT) && most > *bytes) *bytes = most;
    return status;
}

SR_API tvmsr_status TVMSR_FN(upscale)(tvmsr_session *session, const tvmsr_picture *in, const tvmsr_picture *out,
                                      tvmsr_progress progress, void *user) {
    tvmsr_status status = sr_enter(session);
    if (status != TVMSR_OK) return status;
    const uint64_t begin = sr_now();
    if (session->tracing) session->traced = 0;
    session->sum_count = session->tracing ? 0 : session->sum_count;
    status = check_pair(session, in, out);
    if (status != TVMSR_OK) return sr_leave(session, status);
    sr_pool_revive(session->pool);
    const sr_plane from = sr_plane_of(in), to = sr_plane_of(out);
    uint64_t at = begin;
    status = sr_choose(session, &from);
    sr_tick(session, &session->times[0], 0, &at);
    if (status != TVMSR_OK) return sr_leave(session, status);
    const sr_rounding rounding = sr_rounding_enter();
    status = run(session, &from, &to, progress, user, begin);
    sr_rounding_set(rounding);
    return sr_leave(session, status);
}

/* The most that any usable choice takes; the last plan is that choice's, and its text names the most. */
static tvmsr_status plan_choices(tvmsr_session *session, int64_t width, int64_t height, uint64_t *bytes) {
    uint32_t first, last;
    tvmsr_status status = TVMSR_OK;
    sr_usable_choices(session, &first, &last);
    sr_choice *largest = &session->choices[first];
    for (uint32_t c = first; c < last; c++) {
        sr_choice *choice = &session->choices[c];
        const tvmsr_status found = sr_plan(session, choice, width, height);
        if (found != TVMSR_OK) status = found;
        if (found != TVMSR_OK && found != TVMSR_MEMORY_LIMIT) break;
        if (choice->flow.bytes > largest->flow.bytes) largest = choice;
    }
    if (status == TVMSR_OK || status == TVMSR_MEMORY_LIMIT) *bytes = largest->flow.bytes;
    return status == TVMSR_MEMORY_LIMIT ? sr_plan(session, largest, width, height) : status;
}

SR_API tvmsr_status TVMSR_FN(workspace)(tvmsr_session *session, int32_t width, int32_t height, uint64_t *bytes) {
    tvmsr_status status = sr_enter(session);
    if (status != TVMSR_OK) return status;
    if (bytes == NULL) return sr_leave(session, sr_fail(session, TVMSR_BAD_ARGUMENT, "no place for the size was given"));
    *bytes = 0;
    status = check_side(session, width, height);
    if (status == TVMSR_OK) status = plan_choices(session, width, height, bytes);
    if (status == TVMSR_OK) status = plan_tiles(session, width, height, bytes);
    return sr_leave(session, status);
}

SR_API tvmsr_status TVMSR_FN(last)(tvmsr_session *session, tvmsr_last_run *last) {
    tvmsr_status status = sr_enter(session);
    if (status != TVMSR_OK) return status;
    if (last == NULL || last->struct_size < sizeof last->struct_size) {
        return sr_leave(session, sr_fail(session, TVMSR_BAD_ARGUMENT, "last->struct_size is not set"));
    }
    tvmsr_last_run full = session->last;
    copy_out(last, last->struct_size, &full, sizeof full);
    return sr_leave(session, TVMSR_OK);
}

SR_API tvmsr_status TVMSR_FN(profile)(tvmsr_session *session, int32_t on) {
    tvmsr_status status = sr_enter(session);
    if (status != TVMSR_OK) return status;
    session->profiling = on != 0;
    if (on != 0) {
        memset(session->times, 0, session->time_count * sizeof *session->times);
        for (uint32_t c = 0; c < sr_the_model.choices; c++) {
            const sr_program *program = session->choices[c].program;
            for (uint32_t i = 0; i < program->step_count; i++) session->choices[c].times[i].name = program->steps[i].name;
        }
        session->times[0].name = "choice";
        session->times[1].name = "input";
        session->times[session->time_count - 1].name = "output";
    }
    return sr_leave(session, TVMSR_OK);
}

SR_API tvmsr_status TVMSR_FN(read_profile)(tvmsr_session *session, const tvmsr_step_time **times, size_t *count) {
    tvmsr_status status = sr_enter(session);
    if (status != TVMSR_OK) return status;
    if (times == NULL || count == NULL) {
        return sr_leave(session, sr_fail(session, TVMSR_BAD_ARGUMENT, "no place for the profile was given"));
    }
    const size_t first = sr_the_model.choices > 1 ? 0 : 1;
    *times = session->times + first;
    *count = session->times[0].name == NULL ? 0 : session->time_count - first;
    return sr_leave(session, TVMSR_OK);
}

SR_API const char *TVMSR_FN(error)(const tvmsr_session *session) { return session == NULL ? "" : session->error; }

SR_SMALL_END
