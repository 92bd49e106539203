/* The driver with a hand-written program, as a program of its own: for sanitizers, which cannot look into Python.
 *
 * One thread, one strip and the plainest picture give the bytes; everything else has to give the same. That these bytes
 * are right is tested in Python.
 */
#define _GNU_SOURCE
#include <fenv.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tvmsr.h"

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            exit(1); \
        } \
    } while (0)

/* With programs whose one level has no name to ask for, sizes and strips are what there is to check. */
#ifdef SIZES_ONLY
#define LEVEL(name) NULL
#else
#define LEVEL(name) name
#endif

typedef struct {
    int width, height;
    uint8_t *in;
    uint8_t *out;
} sample;

static sample make_sample(int width, int height) {
    sample s = {width, height, malloc((size_t)width * height * 4), malloc((size_t)width * height * 16)};
    CHECK(s.in != NULL && s.out != NULL);
    uint32_t state = 12345u + (uint32_t)width;
    for (int i = 0; i < width * height * 4; i++) {
        state = state * 1664525u + 1013904223u;
        s.in[i] = (uint8_t)(state >> 24);
    }
    return s;
}

static void free_sample(sample s) {
    free(s.in);
    free(s.out);
}

static tvmsr_session *open_session(int threads, uint64_t limit, const char *level) {
    tvmsr_options options = {sizeof options, threads, level, limit, 0, 0, 0, 0};
    tvmsr_session *session = NULL;
    CHECK(tvmsr_open(&options, &session) == TVMSR_OK);
    return session;
}

static tvmsr_status upscale(tvmsr_session *session, sample s, uint8_t *out, int channels) {
    const int32_t format = channels == 1 ? TVMSR_GRAY : channels == 3 ? TVMSR_RGB : TVMSR_RGBA;
    const tvmsr_picture from = {format, s.width, s.height, 0, {s.in}, {0}};
    const tvmsr_picture to = {format, s.width * 2, s.height * 2, 0, {out}, {0}};
    return tvmsr_upscale(session, &from, &to, NULL, NULL);
}

/* All bytes of memory outside of the picture's rows must stay as they were. */
static void check_gaps_and_bottom_up(sample s) {
    const size_t row = (size_t)s.width * 6, stride = row + 21, rows = (size_t)s.height * 2;
    uint8_t *room = malloc(stride * rows);
    CHECK(room != NULL);
    memset(room, 0xA5, stride * rows);
    tvmsr_session *session = open_session(2, 0, LEVEL("direct"));
    const tvmsr_picture from = {TVMSR_RGB, s.width, s.height, 0, {s.in}, {0}};
    const tvmsr_picture to = {TVMSR_RGB, s.width * 2, s.height * 2, 0, {room + (rows - 1) * stride}, {-(ptrdiff_t)stride}};
    CHECK(tvmsr_upscale(session, &from, &to, NULL, NULL) == TVMSR_OK);
    for (size_t r = 0; r < rows; r++) {
        const uint8_t *at = room + (rows - 1 - r) * stride;
        CHECK(memcmp(at, s.out + r * row, row) == 0);
        for (size_t i = row; i < stride; i++) CHECK(at[i] == 0xA5);
    }
    tvmsr_close(session);
    free(room);
}

static void check_sizes(void) {
    static const int SIZES[][2] = {{1, 1}, {3, 2}, {2, 3}, {1, 70}, {70, 1}, {31, 17}, {150, 90}};
    for (size_t i = 0; i < sizeof SIZES / sizeof *SIZES; i++) {
        sample s = make_sample(SIZES[i][0], SIZES[i][1]);
        uint8_t *other = malloc((size_t)s.width * s.height * 16);
        CHECK(other != NULL);
        tvmsr_session *plain = open_session(1, 0, LEVEL("copied"));
        for (int channels = 1; channels <= 4; channels += channels == 1 ? 2 : 1) {
            const size_t bytes = (size_t)s.width * s.height * 4 * channels;
            CHECK(upscale(plain, s, s.out, channels) == TVMSR_OK);
            uint64_t whole = 0;
            CHECK(tvmsr_workspace(plain, s.width, s.height, &whole) == TVMSR_OK);
            for (int threads = 1; threads <= 4; threads += threads) {
                for (uint64_t limit = whole * 2; limit > whole / 32; limit /= 2) {
                    tvmsr_session *session = open_session(threads, limit, threads % 2 ? LEVEL("direct") : NULL);
                    const tvmsr_status status = upscale(session, s, other, channels);
                    CHECK(status == TVMSR_OK || status == TVMSR_MEMORY_LIMIT);
                    if (status == TVMSR_OK) CHECK(memcmp(other, s.out, bytes) == 0);
                    tvmsr_close(session);
                }
            }
            if (channels == 3) check_gaps_and_bottom_up(s);
        }
        tvmsr_close(plain);
        free(other);
        free_sample(s);
    }
}

#ifndef SIZES_ONLY

static int cancel_half(void *user, int64_t done, int64_t total) {
    ++*(int *)user;
    return done * 2 > total;
}

static void check_errors(void) {
    sample s = make_sample(64, 300);
    tvmsr_session *session = open_session(2, 60000, NULL);
    const tvmsr_picture from = {TVMSR_RGB, 64, 300, 0, {s.in}, {0}}, good = {TVMSR_RGB, 128, 600, 0, {s.out}, {0}};
    tvmsr_picture bad = good;
    int calls = 0;
    CHECK(tvmsr_upscale(NULL, &from, &good, NULL, NULL) == TVMSR_BAD_ARGUMENT);
    CHECK(tvmsr_upscale(session, NULL, &good, NULL, NULL) == TVMSR_BAD_ARGUMENT);
    CHECK(strstr(tvmsr_error(session), "null") != NULL);
    CHECK(tvmsr_upscale(session, &from, NULL, NULL, NULL) == TVMSR_BAD_ARGUMENT);
    bad.planes[0] = NULL;
    CHECK(tvmsr_upscale(session, &from, &bad, NULL, NULL) == TVMSR_BAD_ARGUMENT);
    bad = good, bad.width = 127;
    CHECK(tvmsr_upscale(session, &from, &bad, NULL, NULL) == TVMSR_BAD_SIZE);
    bad = good, bad.format = 99;
    CHECK(tvmsr_upscale(session, &from, &bad, NULL, NULL) == TVMSR_BAD_FORMAT);
    bad = good, bad.strides[0] = 383;
    CHECK(tvmsr_upscale(session, &from, &bad, NULL, NULL) == TVMSR_BAD_ARGUMENT);
    CHECK(tvmsr_upscale(session, &from, &good, cancel_half, &calls) == TVMSR_CANCELLED && calls > 1);
    CHECK(tvmsr_upscale(session, &from, &good, NULL, NULL) == TVMSR_OK && tvmsr_error(session)[0] == '\0');
    CHECK(tvmsr_force_choice(session, 2) == TVMSR_BAD_ARGUMENT && tvmsr_force_choice(session, 1) == TVMSR_OK);
    tvmsr_last_run last = {0};
    CHECK(tvmsr_last(session, &last) == TVMSR_BAD_ARGUMENT);
    last.struct_size = sizeof last;
    CHECK(tvmsr_last(session, &last) == TVMSR_OK && last.strips > 1 && last.choice == 0 && last.workspace <= 60000);
    tvmsr_close(session);
    tvmsr_options newer[2];
    memset(newer, 1, sizeof newer);
    newer[0] = (tvmsr_options){sizeof newer, 1, NULL, 0, 0, 0, 0, 0};
    CHECK(tvmsr_open(newer, &session) == TVMSR_BAD_ARGUMENT && session == NULL);
    CHECK(tvmsr_open(NULL, NULL) == TVMSR_BAD_ARGUMENT);
    tvmsr_options future = {sizeof future, 1, "future", 0, 0, 0, 0, 0};
    CHECK(tvmsr_open(&future, &session) == TVMSR_WRONG_CPU);
    char text[20];
    tvmsr_open_error(text, sizeof text);
    CHECK(strlen(text) == 19);
    tvmsr_info info = {sizeof info, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, 0, 0, 0};
    CHECK(tvmsr_get_info(&info) == TVMSR_OK && info.scale == 2 && info.size_multiple == 1 && info.manifest_bytes == 2 && info.levels == 3);
    CHECK(!tvmsr_level_runs(0) && tvmsr_level_runs(1) && tvmsr_level_name(3) == NULL && tvmsr_choice_name(-1) == NULL);
    free_sample(s);
}

/* Sums depend on nothing but the picture, and the file's check pictures come out right. */
static void check_trace(void) {
    sample s = make_sample(60, 90);
    tvmsr_step_sum first[16];
    const tvmsr_step_sum *sums;
    size_t count, known = 0;
    for (int threads = 1; threads <= 3; threads++) {
        for (uint64_t limit = 0; limit <= 60000; limit += 60000) {
            tvmsr_options options = {sizeof options, threads, NULL, limit, 0, 0, 1, 0};
            tvmsr_session *session = NULL;
            CHECK(tvmsr_open(&options, &session) == TVMSR_OK);
            CHECK(tvmsr_read_trace(session, &sums, &count) == TVMSR_OK && count == 0);
            CHECK(tvmsr_trace(session, 1) == TVMSR_OK && upscale(session, s, s.out, 3) == TVMSR_OK);
            CHECK(tvmsr_check(session) == TVMSR_OK);
            CHECK(tvmsr_read_trace(session, &sums, &count) == TVMSR_OK && count == 6);
            if (known == 0) memcpy(first, sums, count * sizeof *sums);
            known = count;
            for (size_t i = 0; i < count; i++) CHECK(sums[i].sum == first[i].sum && sums[i].channels == 3);
            CHECK(tvmsr_trace(session, 0) == TVMSR_OK && upscale(session, s, s.out, 1) == TVMSR_OK);
            tvmsr_close(session);
        }
    }
    CHECK(tvmsr_trace(NULL, 1) == TVMSR_BAD_ARGUMENT && tvmsr_check(NULL) == TVMSR_BAD_ARGUMENT);
    free_sample(s);
}

static void *host_thread(void *argument) {
    const sample *s = argument;
    uint8_t *other = malloc((size_t)s->width * s->height * 12);
    CHECK(other != NULL);
    for (int i = 0; i < 5; i++) {
        tvmsr_session *session = open_session(3, 0, NULL);
        for (int j = 0; j < 3; j++) {
            CHECK(upscale(session, *s, other, 3) == TVMSR_OK);
            CHECK(memcmp(other, s->out, (size_t)s->width * s->height * 12) == 0);
        }
        tvmsr_close(session);
    }
    free(other);
    return NULL;
}

static void check_sessions_at_once(void) {
    sample s = make_sample(80, 60);
    tvmsr_session *session = open_session(1, 0, NULL);
    CHECK(upscale(session, s, s.out, 3) == TVMSR_OK);
    tvmsr_close(session);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, host_thread, &s) == 0);
    for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    free_sample(s);
}

static int rounding_error(void) {
    volatile float large = 8388608.0f, part = 2.5f;
    return (int)((large + part) - large) - 2;
}

static void check_rounding_mode(void) {
    sample s = make_sample(40, 40);
    tvmsr_session *session = open_session(2, 0, NULL);
    CHECK(upscale(session, s, s.out, 3) == TVMSR_OK);
    uint8_t *other = malloc(40 * 40 * 12);
    CHECK(other != NULL && fesetround(FE_UPWARD) == 0 && rounding_error() == 1);
    CHECK(upscale(session, s, other, 3) == TVMSR_OK);
    CHECK(rounding_error() == 1 && fesetround(FE_TONEAREST) == 0);
    CHECK(memcmp(other, s.out, 40 * 40 * 12) == 0);
    tvmsr_close(session);
    free(other);
    free_sample(s);
}

static void check_fork(void) {
    sample s = make_sample(40, 40);
    tvmsr_session *session = open_session(2, 0, NULL);
    CHECK(upscale(session, s, s.out, 3) == TVMSR_OK);
    const pid_t child = fork();
    if (child == 0) {
        const tvmsr_status status = upscale(session, s, s.out, 3);
        tvmsr_close(session);
        free_sample(s);
        _exit(status);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    tvmsr_close(session);
    free_sample(s);
}

#endif

int main(int argc, char **argv) {
    (void)argc, (void)argv;
    check_sizes();
#ifndef SIZES_ONLY
    check_errors();
    check_trace();
    check_sessions_at_once();
    check_rounding_mode();
    if (argc == 1) check_fork(); /* "no-fork": ThreadSanitizer does not follow threads into a child */
    tvmsr_session *left_open = open_session(2, 0, NULL); /* its thread must not outlive us */
    sample s = make_sample(9, 9);
    CHECK(upscale(left_open, s, s.out, 3) == TVMSR_OK);
    free_sample(s);
    tvmsr_close(argc == 1 ? left_open : NULL);
#endif
    puts("ok");
    return 0;
}
