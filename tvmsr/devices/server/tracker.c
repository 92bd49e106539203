#define _GNU_SOURCE
#include "tracker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"
#include "wipe.h"

/* TVM's words. */
enum { TRACKER_MAGIC = 0x2f271, DO_PING = 1, DO_PUT = 3, DO_UPDATE_INFO = 5, DO_GET_PENDING_MATCHKEYS = 7 };

/* OFF: no connection; IDLE: nothing asked; all others wait for an answer. */
enum { OFF, CONNECTING, GREETED, IDLE, INFORMED, PUT, ASKED };

enum { RETRY_MS = 1000, ANSWER_MS = 10000, ASK_MS = 2000, UNUSED_MS = 8000, MESSAGE_SIZE = 1024, RANDOM_BYTES = 16 };

int tracker_find(tracker *t, const options *o, int port, char *why, size_t size) {
    memset(t, 0, sizeof *t);
    t->fd = -1;
    t->phase = OFF;
    t->key = o->key;
    t->host = o->advertise;
    t->port = port;
    return find_address(o->tracker, &t->at, why, size);
}

static void lose(tracker *t, const char *why) {
    if (!t->said_lost) log_line("tracker: %s; tried again every second", why);
    t->said_lost = 1;
    if (t->fd >= 0) close(t->fd);
    t->fd = -1;
    t->phase = OFF;
    t->due = now_ms() + RETRY_MS;
}

static void expect(tracker *t, int phase) {
    t->phase = phase;
    t->due = now_ms() + ANSWER_MS;
}

/* A few hundred bytes fit what a connection buffers, or the tracker does not read. */
static void send_all(tracker *t, const void *bytes, size_t size, int phase) {
    if (send(t->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)size) return lose(t, strerror(errno));
    expect(t, phase);
}

static void send_message(tracker *t, const char *json, int phase) {
    char message[MESSAGE_SIZE + 4];
    uint32_t length = (uint32_t)strlen(json);
    for (int i = 0; i < 4; i++) message[i] = (char)(length >> 8 * i);
    memcpy(message + 4, json, length);
    send_all(t, message, 4 + length, phase);
    wipe(message, sizeof message);
}

static int random_hex(char *text) {
    unsigned char bytes[RANDOM_BYTES];
    int source = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    int failed = source < 0 || read(source, bytes, sizeof bytes) != (ssize_t)sizeof bytes;
    if (source >= 0) close(source);
    for (int i = 0; !failed && i < RANDOM_BYTES; i++) snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return failed ? -1 : 0;
}

/* Our host as JSON. */
static const char *host_of(const tracker *t, char *text, size_t size) {
    if (t->host == NULL) return "null";
    snprintf(text, size, "\"%s\"", t->host);
    return text;
}

/* Offer a client a place. The tracker takes what is before the last colon for the name. */
static void put_key(tracker *t) {
    char json[MESSAGE_SIZE], host[NAME_SIZE + 2], random[2 * RANDOM_BYTES + 1];
    offer *made = &t->offers[t->count];
    if (random_hex(random) != 0) return lose(t, "no random numbers");
    snprintf(made->matchkey, sizeof made->matchkey, "%s:%s", t->key, random);
    made->missing = 0;
    t->count++;
    snprintf(json, sizeof json, "[%d, \"%s\", [%d, \"%s\"], %s]", DO_PUT, t->key, t->port, made->matchkey,
             host_of(t, host, sizeof host));
    send_message(t, json, PUT);
    wipe(json, sizeof json);
}

static void ask(tracker *t) {
    char json[16];
    snprintf(json, sizeof json, "[%d]", t->count > 0 ? DO_GET_PENDING_MATCHKEYS : DO_PING);
    send_message(t, json, ASKED);
}

static void begin(tracker *t) {
    t->fd = socket(t->at.at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    t->got = 0;
    if (t->fd < 0) return lose(t, strerror(errno));
    if (connect(t->fd, (const struct sockaddr *)&t->at.at, t->at.length) != 0 && errno != EINPROGRESS) {
        return lose(t, strerror(errno));
    }
    expect(t, CONNECTING);
}

static void greet(tracker *t) {
    static const unsigned char MAGIC[4] = {TRACKER_MAGIC & 255, TRACKER_MAGIC >> 8 & 255, TRACKER_MAGIC >> 16, 0};
    int failed = 0;
    socklen_t size = sizeof failed;
    if (getsockopt(t->fd, SOL_SOCKET, SO_ERROR, &failed, &size) == 0 && failed != 0) return lose(t, strerror(failed));
    send_all(t, MAGIC, sizeof MAGIC, GREETED);
}

static void inform(tracker *t) {
    char json[MESSAGE_SIZE], host[NAME_SIZE + 2];
    tracker_forget(t); /* keys that it had before; until now, whom it gave one could still come */
    snprintf(json, sizeof json, "[%d, {\"key\": \"server:%s\", \"addr\": [%s, %d]}]", DO_UPDATE_INFO, t->key,
             host_of(t, host, sizeof host), t->port);
    send_message(t, json, INFORMED);
}

/* Whether the tracker still has the key, as it says which it has. */
static void look_for(offer *o, const char *text) {
    char quoted[MATCHKEY_SIZE + 2];
    snprintf(quoted, sizeof quoted, "\"%s\"", o->matchkey);
    if (strstr(text, quoted) != NULL) {
        o->missing = 0;
    } else if (o->missing == 0) {
        o->missing = now_ms();
    }
}

/* The answer to what was asked last, as text. */
static void answered(tracker *t, const char *text) {
    int asked = t->phase;
    t->phase = IDLE;
    t->due = now_ms() + ASK_MS;
    if (asked == ASKED) {
        for (int i = 0; i < t->count; i++) look_for(&t->offers[i], text);
    } else if (strcmp(text, "0") != 0) {
        lose(t, "it refused our entry");
    } else if (asked == INFORMED) {
        log_line("tracker: registered as %s", t->key);
        t->said_lost = 0;
    }
}

/* Everything that is whole in the buffer: the magic number first, then messages. */
static void take(tracker *t) {
    for (;;) {
        const unsigned char *b = (const unsigned char *)t->buffer;
        if (t->fd < 0 || t->got < 4) return;
        uint32_t length = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24, whole = 4;
        if (t->phase == GREETED) {
            if (length != TRACKER_MAGIC) return lose(t, "what answers there is no TVM tracker");
            inform(t);
        } else {
            if (length >= TRACKER_BUFFER - 4 || t->phase == IDLE) return lose(t, "it sent what nobody asked for");
            if (t->got < 4 + length) return;
            char end = t->buffer[4 + length];
            t->buffer[4 + length] = 0;
            whole = 4 + length;
            answered(t, t->buffer + 4);
            t->buffer[whole] = end;
        }
        if (t->fd < 0) return;
        memmove(t->buffer, t->buffer + whole, t->got - whole);
        t->got -= whole;
        wipe(t->buffer + t->got, whole); /* keys */
    }
}

static void receive(tracker *t) {
    ssize_t got = recv(t->fd, t->buffer + t->got, TRACKER_BUFFER - 1 - t->got, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return lose(t, got == 0 ? "it closed the connection" : strerror(errno));
    t->got += (uint32_t)got;
    take(t);
}

short tracker_events(const tracker *t) {
    if (t->fd < 0) return 0;
    return t->phase == CONNECTING ? POLLOUT : POLLIN;
}

void tracker_step(tracker *t, short ready, int wanted) {
    int late = now_ms() >= t->due;
    if (t->fd >= 0 && ready != 0) {
        if (t->phase == CONNECTING) {
            greet(t);
        } else {
            receive(t);
        }
    } else if (late && t->phase == OFF) {
        begin(t);
    } else if (late && t->phase != IDLE) {
        lose(t, "it does not answer");
    }
    if (t->phase != IDLE) return;
    for (int i = t->count - 1; i >= 0; i--) { /* who was given one and does not come is not waited for */
        if (t->offers[i].missing != 0 && now_ms() - t->offers[i].missing >= UNUSED_MS) tracker_spent(t, i);
    }
    if (t->count < wanted && t->count < MOST_SESSIONS) {
        put_key(t);
    } else if (now_ms() >= t->due) {
        ask(t);
    }
}

void tracker_spent(tracker *t, int which) {
    memmove(&t->offers[which], &t->offers[which + 1], (size_t)(t->count - which - 1) * sizeof *t->offers);
    wipe(&t->offers[--t->count], sizeof *t->offers);
}

void tracker_forget(tracker *t) {
    wipe(t->offers, sizeof t->offers);
    t->count = 0;
}
