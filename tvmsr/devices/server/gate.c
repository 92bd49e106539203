#define _GNU_SOURCE
#include "gate.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

enum { PAUSE_MS = 200, IDLE_S = 5, PROBE_S = 3, PROBES = 3, UNANSWERED_MS = 15000 };
enum { TAKEN_TRIES = 20, TAKEN_PAUSE_MS = 50 };

int gate_open(gate *g, const options *o, char *why, size_t size) {
    g->fd = -1;
    if (find_address(o->listen, &g->at, why, size) != 0) return -1;
    if (!is_local(&g->at) && *o->token == 0 && !o->trust_tracker) {
        snprintf(why, size,
                 "%.200s can be reached from other machines and needs a token: give --token-file, or listen on 127.0.0.1",
                 o->listen);
        return -1;
    }
    mode_t before = umask(077); /* of a socket that is a file */
    const struct timespec pause = {0, TAKEN_PAUSE_MS * 1000000L};
    for (int tries = 0; tries < TAKEN_TRIES; tries++) { /* what a server that was killed had just started may have it still */
        g->fd = listen_at(&g->at, why, size);
        if (g->fd >= 0 || errno != EADDRINUSE) break;
        nanosleep(&pause, NULL);
    }
    umask(before);
    return g->fd >= 0 ? 0 : -1;
}

void gate_announce(const gate *g) {
    char text[ADDRESS_TEXT];
    address_text(&g->at, text, sizeof text);
    printf("listening on %s\n", text);
    fflush(stdout);
}

static void set(int fd, int level, int name, int value, const char *what) {
    if (setsockopt(fd, level, name, &value, sizeof value) != 0) log_missing(what);
}

/* A client whose machine or network is gone is noticed: within 14 s when idle, within 15 s when we send. */
static void notice_loss(int fd) {
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1, "prompt packets");
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1, "keepalive");
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, IDLE_S, "keepalive after 5 s");
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, PROBE_S, "keepalive every 3 s");
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES, "an end of keepalive");
#ifdef TCP_USER_TIMEOUT
    set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, UNANSWERED_MS, "a limit on unanswered packets");
#endif
}

/* Only programs of our own user, whatever the file's mode says; an abstract name has none. */
static int is_ours(int fd) {
    struct ucred who;
    socklen_t length = sizeof who;
    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) == 0 && who.uid == geteuid();
}

int gate_accept(gate *g, peer *came) {
    address from;
    memset(came, 0, sizeof *came);
    memset(&from, 0, sizeof from);
    from.length = sizeof from.at;
    int fd = accept4(g->fd, (struct sockaddr *)&from.at, &from.length, SOCK_CLOEXEC);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
        if (log_room()) log_line("a client cannot be let in now: %s", strerror(errno));
        g->closed_until = now_ms() + PAUSE_MS;
    }
    if (fd < 0) return -1;
    came->in = came->out = fd;
    if (g->at.at.ss_family == AF_UNIX) {
        snprintf(came->from, sizeof came->from, "a local client");
        if (is_ours(fd)) return 0;
        if (log_room()) log_line("a client of another user was refused");
        peer_close(came);
        return -1; /* poll says again where more are there */
    }
    notice_loss(fd);
    address_text(&from, came->from, sizeof came->from);
    return 0;
}

void gate_close(gate *g) {
    if (g->fd < 0) return;
    const struct sockaddr_un *at = (const struct sockaddr_un *)&g->at.at;
    if (at->sun_family == AF_UNIX && at->sun_path[0] != 0) unlink(at->sun_path);
    close(g->fd);
    g->fd = -1;
}
