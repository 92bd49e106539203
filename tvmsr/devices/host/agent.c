#define _GNU_SOURCE
#include "agent.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dispatch.h"
#include "files.h"

/* Types of TVM-FFI's values that hold bytes, and where an object's content begins. */
enum { FFI_BYTE_ARRAY = 9, FFI_SMALL_BYTES = 12, FFI_BYTES = 66, FFI_OBJECT_HEADER = 24 };

typedef struct {
    const uint8_t *data;
    size_t size;
} byte_array;

/* TVM-FFI's own, in this process wherever somebody can call us through it. */
extern void TVMFFIErrorSetRaisedFromCStr(const char *kind, const char *message) __attribute__((weak));

/* The one request that is received, worked on, or answered; `lock` guards all of it but what only the worker uses. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int started; /* the worker thread */
    uint32_t state, instance, command;
    uint8_t *payload;
    uint64_t length, received;
    int64_t done, total;
    int cancelled;
    uint32_t code;
    writer reply;
    host hosts[AGENT_INSTANCES]; /* the worker's */
} job = {.lock = PTHREAD_MUTEX_INITIALIZER, .state = AGENT_DONE};

static int report(void *user, int64_t done, int64_t total) {
    (void)user;
    pthread_mutex_lock(&job.lock);
    job.done = done;
    job.total = total;
    int cancelled = job.cancelled;
    pthread_mutex_unlock(&job.lock);
    return cancelled;
}

/* Handles one request after the other; never ends, as nothing unloads this library (it is linked with nodelete). */
static void *work(void *argument) {
    (void)argument;
    pthread_mutex_lock(&job.lock);
    for (;;) {
        while (job.state != AGENT_WORKING) pthread_cond_wait(&job.changed, &job.lock);
        host *h = &job.hosts[job.instance];
        pthread_mutex_unlock(&job.lock);
        h->progress = report;
        uint32_t code = host_handle(h, job.command, job.payload, (size_t)job.length, &job.reply);
        pthread_mutex_lock(&job.lock);
        free(job.payload);
        job.payload = NULL;
        job.code = code;
        job.state = AGENT_DONE;
        pthread_cond_broadcast(&job.changed);
    }
    return NULL;
}

/* 0, or -1 where no thread can be had. Waits are by the monotonic clock. */
static int start_worker(void) {
    pthread_condattr_t attributes;
    pthread_t thread;
    if (job.started) return 0;
    if (pthread_condattr_init(&attributes) != 0) return -1;
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    int failed = pthread_cond_init(&job.changed, &attributes) != 0 || pthread_create(&thread, NULL, work, NULL) != 0;
    pthread_condattr_destroy(&attributes);
    if (failed) return -1;
    pthread_detach(thread);
    job.started = 1;
    return 0;
}

static void bad(writer *answer, const char *text) {
    writer_clear(answer);
    put_u32(answer, AGENT_BAD);
    uint8_t *to = put_space(answer, strlen(text));
    if (to != NULL) memcpy(to, text, strlen(text));
}

static uint64_t cpu_nanoseconds(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) != 0) return 0;
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void wait_for_end(uint32_t milliseconds) {
    struct timespec until;
    if (milliseconds > AGENT_LONGEST_WAIT) milliseconds = AGENT_LONGEST_WAIT;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)milliseconds * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    while (job.state == AGENT_WORKING && pthread_cond_timedwait(&job.changed, &job.lock, &until) != ETIMEDOUT) {
    }
}

/* What there is, after waiting; bytes of a finished reply from `offset` on, at most `size`. */
static void answer_state(writer *answer, uint32_t milliseconds, uint64_t offset, uint64_t size) {
    wait_for_end(milliseconds);
    put_u32(answer, job.state);
    if (job.state == AGENT_RECEIVING) {
        put_u64(answer, job.received);
    } else if (job.state == AGENT_WORKING) {
        put_u64(answer, (uint64_t)job.done);
        put_u64(answer, (uint64_t)job.total);
        put_u64(answer, cpu_nanoseconds());
    } else {
        uint64_t left = offset < job.reply.length ? job.reply.length - offset : 0;
        if (size > AGENT_PIECE) size = AGENT_PIECE;
        if (size > left) size = left;
        put_u32(answer, job.code);
        put_u64(answer, job.reply.length);
        uint8_t *to = put_space(answer, (size_t)size);
        if (to != NULL && size > 0) memcpy(to, job.reply.bytes + offset, (size_t)size);
    }
}

/* Take what is left of the request as the next bytes of the payload; with the last ones the work begins. */
static void take_payload(reader *request, writer *answer) {
    uint32_t wait = take_u32(request);
    size_t size = request->left;
    if (job.state != AGENT_RECEIVING) return bad(answer, "no request is being received");
    if (size > job.length - job.received) return bad(answer, "more bytes than the request has");
    const uint8_t *from = take_bytes(request, size);
    if (from == NULL) return bad(answer, "a request that is cut short");
    if (size > 0) memcpy(job.payload + job.received, from, size);
    job.received += size;
    if (job.received == job.length) {
        job.state = AGENT_WORKING;
        pthread_cond_broadcast(&job.changed);
    }
    answer_state(answer, wait, 0, AGENT_PIECE);
}

static void begin(uint32_t instance, reader *request, writer *answer) {
    uint32_t command = take_u32(request);
    uint64_t length = take_u64(request);
    if (job.state == AGENT_WORKING) return bad(answer, "a request is at work already");
    if (request->failed || length > WIRE_LARGEST) return bad(answer, "no request, or one that is too long");
    free(job.payload);
    job.state = AGENT_DONE;
    job.payload = malloc(length > 0 ? (size_t)length : 1);
    if (job.payload == NULL) return bad(answer, "out of memory for the request");
    if (start_worker() != 0) return bad(answer, "no thread can be started");
    job.instance = instance;
    job.command = command;
    job.length = length;
    job.received = 0;
    job.done = job.total = 0;
    job.cancelled = 0;
    job.state = AGENT_RECEIVING;
    take_payload(request, answer);
}

/* A DONE reply with files of the system, which need no session and disturb none. */
static void answer_files(reader *request, writer *answer) {
    writer found;
    memset(&found, 0, sizeof found);
    if (put_files(request, &found) != 0 || found.failed) {
        bad(answer, "files: patterns below /proc/ or /sys/");
    } else {
        put_u32(answer, AGENT_DONE);
        put_u32(answer, 0);
        put_u64(answer, found.length);
        uint8_t *to = put_space(answer, found.length);
        if (to != NULL) memcpy(to, found.bytes, found.length);
    }
    writer_free(&found);
}

static void handle(reader *request, writer *answer) {
    uint32_t op = take_u32(request), instance = take_u32(request);
    if (request->failed || instance >= AGENT_INSTANCES) return bad(answer, "no request");
    switch (op) {
        case AGENT_BEGIN: return begin(instance, request, answer);
        case AGENT_MORE: return take_payload(request, answer);
        case AGENT_CANCEL: job.cancelled = 1; /* fall through: to wait for the end */ __attribute__((fallthrough));
        case AGENT_WAIT: return answer_state(answer, take_u32(request), 0, AGENT_PIECE);
        case AGENT_FILES: return answer_files(request, answer);
        case AGENT_READ: {
            uint64_t offset = take_u64(request), size = take_u32(request);
            return answer_state(answer, 0, offset, size);
        }
        default: return bad(answer, "an operation that this agent does not know");
    }
}

/* The bytes of a value. 0, or -1 where it holds none. */
static int bytes_of(const agent_any *value, byte_array *found) {
    if (value->type == FFI_BYTE_ARRAY) {
        memcpy(found, value->value.pointer, sizeof *found);
    } else if (value->type == FFI_BYTES) {
        memcpy(found, value->value.pointer + FFI_OBJECT_HEADER, sizeof *found);
    } else if (value->type == FFI_SMALL_BYTES && value->small_length <= sizeof value->value.small) {
        found->data = value->value.small;
        found->size = value->small_length;
    } else {
        return -1;
    }
    return 0;
}

static int raise_error(const char *text) {
    if (TVMFFIErrorSetRaisedFromCStr != NULL) TVMFFIErrorSetRaisedFromCStr("RuntimeError", text);
    return -1;
}

int __tvm_ffi_tvmsr_agent(void *self, const agent_any *arguments, int32_t count, agent_any *result) {
    /* What is returned points here: whoever calls us sends it on before the next call. */
    static writer answer;
    static byte_array returned;
    byte_array given;
    (void)self;
    if (count != 1 || bytes_of(&arguments[0], &given) != 0) return raise_error("tvmsr_agent takes bytes");
    reader request = {given.data, given.size, 0};
    pthread_mutex_lock(&job.lock);
    writer_clear(&answer);
    handle(&request, &answer);
    pthread_mutex_unlock(&job.lock);
    if (answer.failed) return raise_error("out of memory for an answer");
    returned = (byte_array){answer.bytes, answer.length};
    memset(result, 0, sizeof *result);
    result->type = FFI_BYTE_ARRAY;
    result->value.pointer = (const unsigned char *)&returned;
    return 0;
}
