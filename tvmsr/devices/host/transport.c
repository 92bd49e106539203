#define _GNU_SOURCE
#include "transport.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BEAT_MILLISECONDS = 500, EXIT_DONE = 0, EXIT_PROTOCOL = 2, EXIT_MEMORY = 3 };

/* CPU time between two beats that counts as work: a process that waits for something that never comes falls silent. */
#define WORK_NANOSECONDS 2000000

typedef struct {
    int in, out;
    pthread_mutex_t lock; /* of `out` and `working` */
    int working;
    uint32_t serial; /* of the request that is worked on */
} link_state;

/* 0, 1 at the end of the stream, -1 where it broke. */
static int read_all(int from, void *into, size_t size) {
    uint8_t *at = into;
    while (size > 0) {
        ssize_t got = read(from, at, size);
        if (got == 0) return 1;
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return -1;
        at += got;
        size -= (size_t)got;
    }
    return 0;
}

static int write_all(int to, const void *from, size_t size) {
    const uint8_t *at = from;
    while (size > 0) {
        ssize_t put = write(to, at, size);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return -1;
        at += put;
        size -= (size_t)put;
    }
    return 0;
}

/* Send a frame; the lock is held. Without a reader there is nobody left to work for. */
static void send_frame(const link_state *l, uint32_t kind, uint32_t code, const void *payload, size_t length) {
    frame head = {WIRE_MAGIC, kind, code, l->serial, length};
    _Static_assert(sizeof head == WIRE_HEADER, "a frame has no gaps");
    if (write_all(l->out, &head, sizeof head) != 0 || write_all(l->out, payload, length) != 0) _exit(EXIT_DONE);
}

static int64_t cpu_time(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) != 0) return 0;
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* While a request is worked on: say so, and end where the client has gone. */
static void *beat(void *argument) {
    link_state *l = argument;
    int64_t before = cpu_time();
    for (;;) {
        struct timespec pause = {BEAT_MILLISECONDS / 1000, BEAT_MILLISECONDS % 1000 * 1000000L};
        nanosleep(&pause, NULL);
        int64_t now = cpu_time();
        int worked = now - before >= WORK_NANOSECONDS;
        before = now;
        struct pollfd client = {l->in, 0, 0};
        pthread_mutex_lock(&l->lock);
        if (l->working && poll(&client, 1, 0) > 0 && (client.revents & (POLLHUP | POLLERR))) _exit(EXIT_DONE);
        if (l->working && worked) send_frame(l, WIRE_ALIVE, 0, NULL, 0);
        pthread_mutex_unlock(&l->lock);
    }
    return NULL;
}

static int report(void *user, int64_t done, int64_t total) {
    link_state *l = user;
    int64_t rows[2] = {done, total};
    pthread_mutex_lock(&l->lock);
    send_frame(l, WIRE_PROGRESS, 0, rows, sizeof rows);
    pthread_mutex_unlock(&l->lock);
    return 0;
}

/* The next request; 0, 1 at the end of the requests, or an exit code of its own. */
static int next_request(const link_state *l, frame *head, uint8_t **payload) {
    *payload = NULL;
    int end = read_all(l->in, head, sizeof *head);
    if (end != 0) return 1;
    if (head->magic != WIRE_MAGIC || head->kind != WIRE_REQUEST || head->length > WIRE_LARGEST) {
        fputs("host program: what arrived is no request\n", stderr);
        return EXIT_PROTOCOL;
    }
    *payload = malloc(head->length > 0 ? (size_t)head->length : 1);
    if (*payload == NULL) {
        fprintf(stderr, "host program: out of memory for a request of %llu bytes\n", (unsigned long long)head->length);
        return EXIT_MEMORY;
    }
    return read_all(l->in, *payload, (size_t)head->length) == 0 ? 0 : 1;
}

static void work(link_state *l, host *h, const frame *head, const uint8_t *payload, writer *reply) {
    pthread_mutex_lock(&l->lock);
    l->serial = head->serial;
    l->working = 1;
    pthread_mutex_unlock(&l->lock);
    uint32_t code = host_handle(h, head->code, payload, (size_t)head->length, reply);
    pthread_mutex_lock(&l->lock);
    l->working = 0;
    send_frame(l, WIRE_REPLY, code, reply->bytes, reply->length);
    pthread_mutex_unlock(&l->lock);
}

int serve(int in, int out) {
    link_state l = {in, out, PTHREAD_MUTEX_INITIALIZER, 0, 0};
    host h;
    writer reply;
    pthread_t thread;
    memset(&h, 0, sizeof h);
    memset(&reply, 0, sizeof reply);
    h.progress = report;
    h.user = &l;
    if (pthread_create(&thread, NULL, beat, &l) != 0) {
        fputs("host program: no thread can be started\n", stderr);
        return EXIT_MEMORY;
    }
    for (;;) {
        frame head;
        uint8_t *payload;
        int end = next_request(&l, &head, &payload);
        if (end == 0) work(&l, &h, &head, payload, &reply);
        free(payload);
        if (end != 0) {
            host_close(&h);
            writer_free(&reply);
            return end == 1 ? EXIT_DONE : end;
        }
    }
}
