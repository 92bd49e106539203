#define _GNU_SOURCE
#include "peer.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "options.h"
#include "wipe.h"

/* TVM's: RPC_CODE_SUCCESS is the magic number itself. */
enum { MAGIC = 0xff271, MISMATCH = MAGIC + 2, EXCEPTION = 5, RAW_TEXT = 8, REPLY_SIZE = 512 };

static uint32_t little(const uint8_t *at) {
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint8_t *put(uint8_t *at, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) at[i] = (uint8_t)(value >> 8 * i);
    return at + bytes;
}

static uint32_t key_length(const peer *p) { return little(p->said + 4); }

/* As much as is missing and not a byte more: what follows is the session's. */
static uint32_t wanted(const peer *p) {
    return p->got < PEER_HEAD ? PEER_HEAD - p->got : PEER_HEAD + key_length(p) - p->got;
}

static int head_is_wrong(const peer *p) {
    return (p->got >= 4 && little(p->said) != MAGIC) || (p->got >= PEER_HEAD && key_length(p) >= PEER_KEY);
}

int peer_read(peer *p) {
    while (wanted(p) > 0) {
        ssize_t got = recv(p->in, p->said + p->got, wanted(p), MSG_DONTWAIT);
        if (got < 0 && errno == ENOTSOCK) { /* a pipe; it never blocks after poll, once */
            struct pollfd ready = {p->in, POLLIN, 0};
            if (poll(&ready, 1, 0) < 1) return PEER_MORE;
            got = read(p->in, p->said + p->got, wanted(p));
        }
        if (got < 0 && (errno == EAGAIN || errno == EINTR)) return PEER_MORE;
        if (got <= 0) return PEER_GONE;
        p->got += (uint32_t)got;
        if (head_is_wrong(p)) return PEER_GONE;
    }
    return PEER_SAID;
}

static int same(const uint8_t *one, const uint8_t *other, size_t size) {
    volatile uint8_t differs = 0;
    for (size_t i = 0; i < size; i++) differs = (uint8_t)(differs | (one[i] ^ other[i]));
    return differs == 0;
}

/* "-timeout=SECONDS", as TVM's own server takes it; what else there is, it ignores as well. */
static void read_client_options(peer *p, char *text) {
    static const char TIMEOUT[] = "-timeout=";
    char *rest = NULL;
    for (char *word = strtok_r(text, " \t", &rest); word != NULL; word = strtok_r(NULL, " \t", &rest)) {
        if (strncmp(word, TIMEOUT, strlen(TIMEOUT)) != 0) continue;
        double seconds = strtod(word + strlen(TIMEOUT), NULL);
        if (seconds > 0 && seconds < 1e9) p->session_ms = (int64_t)(seconds * 1000) + 1;
    }
}

int peer_matches(peer *p, const char *const *keys, int count, const char *token, int bare_too) {
    char said[PEER_KEY + 1], expected[PEER_KEY + 1];
    int found = -1;
    memset(said, 0, sizeof said);
    memcpy(said, p->said + PEER_HEAD, key_length(p));
    size_t word = strcspn(said, " \t");
    read_client_options(p, said + word);
    memset(said + word, 0, sizeof said - word);
    for (int i = 0; i < count << bare_too; i++) {
        const char *secret = i < count ? token : "";
        memset(expected, 0, sizeof expected);
        snprintf(expected, sizeof expected, "client:%s%s%s", keys[i % count], *secret != 0 ? ":" : "", secret);
        if (same((uint8_t *)said, (uint8_t *)expected, sizeof said)) found = i % count;
    }
    wipe(said, sizeof said);
    wipe(expected, sizeof expected);
    wipe(p->said, sizeof p->said);
    return found;
}

/* A few hundred bytes fit what a connection buffers; where they do not, the client does not read. */
static void send_now(const peer *p, const uint8_t *bytes, size_t size) {
    struct pollfd ready = {p->out, POLLOUT, 0};
    if (send(p->out, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 || errno != ENOTSOCK) return;
    if (poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) && write(p->out, bytes, size) < 0) return;
}

void peer_refuse(const peer *p) {
    uint8_t reply[4];
    put(reply, MISMATCH, 4);
    send_now(p, reply, sizeof reply);
}

void peer_welcome(const peer *p, const char *key) {
    uint8_t reply[PEER_HEAD + NAME_SIZE + 8];
    char name[NAME_SIZE + 8];
    int length = snprintf(name, sizeof name, "server:%s", key);
    put(put(reply, MAGIC, 4), (uint64_t)length, 4);
    memcpy(reply + PEER_HEAD, name, (size_t)length);
    send_now(p, reply, PEER_HEAD + (size_t)length);
}

void peer_exception(const peer *p, const char *text) {
    uint8_t reply[REPLY_SIZE], *at = reply;
    size_t length = strlen(text);
    if (length > sizeof reply - 28) length = sizeof reply - 28;
    at = put(at, 20 + length, 8); /* of the packet: what follows */
    at = put(put(at, EXCEPTION, 4), 1, 4);
    at = put(put(at, RAW_TEXT, 4), length, 8);
    memcpy(at, text, length);
    send_now(p, reply, 28 + length);
}

void peer_close(peer *p) {
    if (p->out != p->in && p->out >= 0) close(p->out);
    if (p->in >= 0) close(p->in);
    p->in = p->out = -1;
}
