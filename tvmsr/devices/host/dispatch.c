#include "dispatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "facts.h"
#include "files.h"

enum { PATH_SIZE = 4096, PREFIX_SIZE = 72, LEVEL_SIZE = 128, TEXT_SIZE = 512, LARGEST_SCALE = 8, SUM_SIZE = 65 };

static uint32_t refuse(writer *reply, uint32_t code, const char *text) {
    writer_clear(reply);
    uint8_t *to = put_space(reply, strlen(text));
    if (to != NULL) memcpy(to, text, strlen(text));
    return code;
}

/* The session's text where a call of the C ABI failed. */
static uint32_t answer(const host *h, writer *reply, tvmsr_status status) {
    if (status == TVMSR_OK) return 0;
    const char *text = h->loaded.error(h->session);
    return refuse(reply, (uint32_t)status, text != NULL && *text ? text : "the call failed and did not say why");
}

static uint32_t too_old(writer *reply) {
    return refuse(reply, HOST_TOO_OLD, "the artifact was compiled by an earlier tvmsr and lacks this; compile it again");
}

static uint32_t hello(host *h, reader *request, writer *reply) {
    (void)h, (void)request;
    put_u32(reply, WIRE_VERSION);
    put_facts(reply);
    return 0;
}

static tvmsr_info info_of(const artifact *a) {
    tvmsr_info info;
    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    a->get_info(&info);
    return info;
}

static void put_info(const artifact *a, writer *reply) {
    tvmsr_info info = info_of(a);
    put_u32(reply, info.abi_version);
    put_u32(reply, (uint32_t)info.scale);
    put_u32(reply, info.colour == TVMSR_COLOUR_Y);
    put_u32(reply, (uint32_t)info.minimum_width);
    put_u32(reply, (uint32_t)info.minimum_height);
    put_u32(reply, (uint32_t)info.receptive_radius);
    put_u32(reply, (uint32_t)info.levels);
    for (int32_t i = 0; i < info.levels; i++) {
        put_text(reply, a->level_name(i));
        put_u32(reply, (uint32_t)a->level_runs(i));
    }
    put_u32(reply, (uint32_t)info.choices);
    for (int32_t i = 0; i < info.choices; i++) put_text(reply, a->choice_name(i));
}

static uint32_t load(host *h, reader *request, writer *reply) {
    char path[PATH_SIZE], prefix[PREFIX_SIZE], sum[SUM_SIZE], why[TEXT_SIZE];
    take_text(request, path, sizeof path);
    take_text(request, prefix, sizeof prefix);
    take_text(request, sum, sizeof sum);
    if (request->failed) return refuse(reply, HOST_BAD_REQUEST, "load: path, prefix or checksum too long");
    if (h->loaded.library != NULL) return refuse(reply, HOST_BAD_REQUEST, "load: an artifact is loaded already");
    if (load_artifact(path, prefix, sum, &h->loaded, why, sizeof why) != 0) return refuse(reply, HOST_NOT_LOADED, why);
    put_info(&h->loaded, reply);
    return 0;
}

static uint32_t open_session(host *h, reader *request, writer *reply) {
    char level[LEVEL_SIZE], why[TEXT_SIZE];
    tvmsr_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.threads = (int32_t)take_u32(request);
    options.memory_limit = take_u64(request);
    options.fixed_bits = (int32_t)take_u32(request);
    options.self_check = (int32_t)take_u32(request);
    take_text(request, level, sizeof level);
    if (request->failed) return refuse(reply, HOST_BAD_REQUEST, "open: options missing");
    if (h->loaded.library == NULL) return refuse(reply, HOST_NOT_OPEN, "open: no artifact is loaded");
    if (h->session != NULL) return refuse(reply, HOST_BAD_REQUEST, "open: a session is open already");
    options.level = *level ? level : NULL;
    tvmsr_status status = h->loaded.open(&options, &h->session);
    if (status == TVMSR_OK) return 0;
    h->session = NULL;
    h->loaded.open_error(why, sizeof why);
    return refuse(reply, (uint32_t)status, why);
}

/* Bytes a pixel of a format; 0 for one that this program does not carry. */
static uint32_t channels_of(uint32_t format) {
    return format == TVMSR_GRAY ? 1 : format == TVMSR_RGB ? 3 : format == TVMSR_RGBA ? 4 : 0;
}

static int relay(void *user, int64_t done, int64_t total) {
    const host *h = user;
    return h->progress != NULL ? h->progress(h->user, done, total) : 0;
}

static uint32_t scale_of(const artifact *a) {
    tvmsr_info info = info_of(a);
    return info.scale >= 1 && info.scale <= LARGEST_SCALE ? (uint32_t)info.scale : 0;
}

static uint32_t upscale(host *h, reader *request, writer *reply) {
    uint32_t format = take_u32(request), width = take_u32(request), height = take_u32(request);
    uint32_t channels = channels_of(format), scale = scale_of(&h->loaded);
    uint64_t row = (uint64_t)width * channels;
    if (request->failed || channels == 0 || width == 0 || height == 0 || scale == 0) {
        return refuse(reply, HOST_BAD_REQUEST, "upscale: no picture");
    }
    /* Sides below 2^31 and scale at most 8: one row's bytes fit 64 bits, all rows' are compared by division. */
    if (width > INT32_MAX / scale || height > INT32_MAX / scale || row * scale * scale > WIRE_LARGEST / height) {
        return refuse(reply, TVMSR_BAD_SIZE, "the picture's result is larger than 1 GiB: more than the connection carries");
    }
    const uint8_t *pixels = take_bytes(request, (size_t)(row * height));
    if (pixels == NULL || request->left != 0) return refuse(reply, HOST_BAD_REQUEST, "upscale: not as many pixels as said");
    uint8_t *result = put_space(reply, (size_t)(row * scale * height * scale));
    if (result == NULL) return refuse(reply, HOST_NO_MEMORY, "out of memory for the result");
    tvmsr_picture in = {(int32_t)format, (int32_t)width, (int32_t)height, 0, {NULL}, {0}};
    tvmsr_picture out = {(int32_t)format, (int32_t)(width * scale), (int32_t)(height * scale), 0, {NULL}, {0}};
    in.planes[0] = (uint8_t *)(uintptr_t)pixels;
    out.planes[0] = result;
    return answer(h, reply, h->loaded.upscale(h->session, &in, &out, relay, h));
}

static uint32_t last(host *h, reader *request, writer *reply) {
    (void)request;
    tvmsr_last_run run;
    memset(&run, 0, sizeof run);
    run.struct_size = sizeof run;
    tvmsr_status status = h->loaded.last(h->session, &run);
    if (status != TVMSR_OK) return answer(h, reply, status);
    put_text(reply, run.level);
    put_u32(reply, (uint32_t)run.choice);
    put_u32(reply, (uint32_t)run.threads);
    put_u32(reply, (uint32_t)run.strips);
    put_u64(reply, run.workspace);
    put_u64(reply, run.nanoseconds);
    /* An artifact from before tiles leaves the pointer as it was. */
    int32_t counts = run.tiles_of == NULL ? 0 : info_of(&h->loaded).choices;
    put_u32(reply, (uint32_t)counts);
    for (int32_t i = 0; i < counts; i++) put_u32(reply, (uint32_t)run.tiles_of[i]);
    return 0;
}

static uint32_t workspace(host *h, reader *request, writer *reply) {
    uint32_t width = take_u32(request), height = take_u32(request);
    uint64_t bytes = 0;
    if (request->failed) return refuse(reply, HOST_BAD_REQUEST, "workspace: no size");
    tvmsr_status status = h->loaded.workspace(h->session, (int32_t)width, (int32_t)height, &bytes);
    if (status != TVMSR_OK) return answer(h, reply, status);
    put_u64(reply, bytes);
    return 0;
}

static uint32_t profile(host *h, reader *request, writer *reply) {
    return answer(h, reply, h->loaded.profile(h->session, (int32_t)take_u32(request)));
}

static uint32_t read_profile(host *h, reader *request, writer *reply) {
    (void)request;
    const tvmsr_step_time *times = NULL;
    size_t count = 0;
    tvmsr_status status = h->loaded.read_profile(h->session, &times, &count);
    if (status != TVMSR_OK) return answer(h, reply, status);
    put_u32(reply, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        put_text(reply, times[i].name);
        put_u64(reply, times[i].nanoseconds);
        put_u64(reply, times[i].calls);
    }
    return 0;
}

static uint32_t trace(host *h, reader *request, writer *reply) {
    if (h->loaded.trace == NULL || h->loaded.read_trace == NULL) return too_old(reply);
    return answer(h, reply, h->loaded.trace(h->session, (int32_t)take_u32(request)));
}

static uint32_t read_trace(host *h, reader *request, writer *reply) {
    (void)request;
    if (h->loaded.read_trace == NULL) return too_old(reply);
    const tvmsr_step_sum *sums = NULL;
    size_t count = 0;
    tvmsr_status status = h->loaded.read_trace(h->session, &sums, &count);
    if (status != TVMSR_OK) return answer(h, reply, status);
    put_u32(reply, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        put_text(reply, sums[i].step);
        put_text(reply, sums[i].tensor);
        put_u32(reply, (uint32_t)sums[i].first);
        put_u32(reply, (uint32_t)sums[i].channels);
        put_u64(reply, sums[i].sum);
    }
    return 0;
}

static uint32_t check(host *h, reader *request, writer *reply) {
    (void)request;
    return h->loaded.check == NULL ? too_old(reply) : answer(h, reply, h->loaded.check(h->session));
}

static uint32_t force_choice(host *h, reader *request, writer *reply) {
    return answer(h, reply, h->loaded.force_choice(h->session, (int32_t)take_u32(request)));
}

static uint32_t memory(host *h, reader *request, writer *reply) {
    (void)h, (void)request;
    put_memory(reply);
    return 0;
}

void host_close(host *h) {
    if (h->session != NULL) h->loaded.close(h->session);
    h->session = NULL;
}

static uint32_t close_session(host *h, reader *request, writer *reply) {
    (void)request, (void)reply;
    host_close(h);
    return 0;
}

static uint32_t files(host *h, reader *request, writer *reply) {
    (void)h;
    return put_files(request, reply) == 0 ? 0 : refuse(reply, HOST_BAD_REQUEST, "files: patterns below /proc/ or /sys/");
}

static uint32_t unload(host *h, reader *request, writer *reply) {
    (void)request, (void)reply;
    host_close(h);
    unload_artifact(&h->loaded);
    return 0;
}

/* By command. needs_session: refused where none is open. */
static const struct {
    uint32_t (*run)(host *h, reader *request, writer *reply);
    int needs_session;
} COMMANDS[] = {
    [DO_HELLO] = {hello, 0},           [DO_LOAD] = {load, 0},
    [DO_OPEN] = {open_session, 0},     [DO_UPSCALE] = {upscale, 1},
    [DO_LAST] = {last, 1},             [DO_WORKSPACE] = {workspace, 1},
    [DO_PROFILE] = {profile, 1},       [DO_READ_PROFILE] = {read_profile, 1},
    [DO_TRACE] = {trace, 1},           [DO_READ_TRACE] = {read_trace, 1},
    [DO_CHECK] = {check, 1},           [DO_MEMORY] = {memory, 0},
    [DO_CLOSE] = {close_session, 0},   [DO_FILES] = {files, 0},
    [DO_UNLOAD] = {unload, 0},         [DO_FORCE_CHOICE] = {force_choice, 1},
};

uint32_t host_handle(host *h, uint32_t command, const uint8_t *payload, size_t length, writer *reply) {
    reader request = {payload, length, 0};
    writer_clear(reply);
    if (command >= sizeof COMMANDS / sizeof *COMMANDS || COMMANDS[command].run == NULL) {
        return refuse(reply, HOST_BAD_REQUEST, "a command that this host program does not know");
    }
    if (COMMANDS[command].needs_session && h->session == NULL) {
        return refuse(reply, HOST_NOT_OPEN, "no session is open");
    }
    uint32_t code = COMMANDS[command].run(h, &request, reply);
    if (request.failed && code == 0) return refuse(reply, HOST_BAD_REQUEST, "a request that is cut short");
    if (reply->failed) return refuse(reply, HOST_NO_MEMORY, "out of memory for the reply");
    return code;
}
