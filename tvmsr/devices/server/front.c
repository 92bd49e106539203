#define _GNU_SOURCE
#include "front.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "confine.h"
#include "folder.h"
#include "gate.h"
#include "log.h"
#include "session.h"
#include "tracker.h"
#include "wipe.h"

enum { HANDSHAKE_MS = 5000, GRACE_MS = 1000, LONGEST_WAIT_MS = 60000, END_TRIES = 300, END_PAUSE_MS = 10 };
enum { SPARE_PAUSE_MS = 1000, SPARE_FAILURES = 3 };

typedef struct {
    options *o;
    gate door;
    tracker *tracked; /* or NULL */
    peer *peers;      /* in the order in which they came */
    int peer_count;
    session *sessions; /* the last is the spare: a command that waits for its client */
    pid_t *keepers;
    unsigned number;
    int64_t spare_due; /* not started before */
    int failures;      /* of spares, in a row */
    char folder[PATH_MAX];
    struct pollfd *polled; /* door, tracker, peers, then two for each session */
} front;

/* One of a process: signal handlers, and the wiping in a new session, have no argument. */
static front state;
static volatile sig_atomic_t ending;

static void on_signal(int number) {
    if (number != SIGCHLD) ending = number; /* SIGCHLD only has to interrupt the poll */
}

static void forget(void) {
    wipe(state.o->token, sizeof state.o->token);
    if (state.tracked != NULL) {
        tracker_forget(state.tracked);
        wipe(state.tracked->buffer, state.tracked->got);
    }
    for (int i = 0; i < state.o->queue; i++) wipe(state.peers[i].said, sizeof state.peers[i].said);
}

static int busy(const front *f) {
    int count = 0;
    for (int i = 0; i < f->o->sessions; i++) count += f->sessions[i].keeper != 0;
    return count;
}

static int waiting(const front *f) {
    int count = 0;
    for (int i = 0; i < f->peer_count; i++) count += f->peers[i].valid;
    return count;
}

static void drop(front *f, int at) {
    peer_close(&f->peers[at]);
    memmove(&f->peers[at], &f->peers[at + 1], (size_t)(--f->peer_count - at) * sizeof *f->peers);
    wipe(f->peers[f->peer_count].said, sizeof f->peers->said);
}

/* Read on; whether the client is still here. */
static int listen_to(front *f, peer *p) {
    int read_now = peer_read(p);
    if (read_now == PEER_MORE) return 1;
    if (read_now == PEER_GONE) {
        if (log_room()) log_line("%s: no client of TVM's RPC, or it left", p->from);
        return 0;
    }
    const char *keys[MOST_SESSIONS] = {f->o->key};
    int count = f->tracked != NULL ? f->tracked->count : 1;
    for (int i = 0; f->tracked != NULL && i < count; i++) keys[i] = f->tracked->offers[i].matchkey;
    int said = peer_matches(p, keys, count, f->o->token, f->o->trust_tracker);
    if (said < 0) {
        if (log_room()) log_line("%s: refused: another key or token than ours", p->from);
        peer_refuse(p);
        return 0;
    }
    if (f->tracked != NULL) tracker_spent(f->tracked, said);
    p->valid = 1;
    return 1;
}

/* Hear everybody once more: what was said since `polled` was filled counts before anybody is sent away. */
static void hear_the_rest(front *f) {
    for (int i = f->peer_count - 1; i >= 0; i--) {
        if (!f->peers[i].valid && !listen_to(f, &f->peers[i])) drop(f, i);
    }
}

/* Whoever has not yet said who he is makes room, the oldest first: strangers cannot fill the queue. */
static int make_room(front *f) {
    if (f->peer_count == f->o->queue) hear_the_rest(f);
    if (f->peer_count < f->o->queue) return 1;
    for (int i = 0; i < f->peer_count; i++) {
        if (f->peers[i].valid) continue;
        drop(f, i);
        return 1;
    }
    return 0;
}

static void admit(front *f, const peer *p) {
    if (!make_room(f)) {
        if (log_room()) log_line("%s: the queue is full; sent away", p->from);
        peer gone = *p;
        peer_close(&gone);
        return;
    }
    f->peers[f->peer_count] = *p;
    f->peers[f->peer_count++].deadline = now_ms() + HANDSHAKE_MS;
}

/* `polled` belongs to the peers as they are. From the last to the first, as some are dropped. */
static void hear_peers(front *f, const struct pollfd *polled) {
    int64_t now = now_ms();
    for (int i = f->peer_count - 1; i >= 0; i--) {
        peer *p = &f->peers[i];
        short seen = polled[i].revents;
        int stays = 1;
        if (p->valid) {
            stays = (seen & (POLLRDHUP | POLLHUP | POLLERR)) == 0;
            if (!stays) log_line("%s: left the queue", p->from);
        } else if (seen != 0) {
            stays = listen_to(f, p);
        } else if (now >= p->deadline) {
            if (log_room()) log_line("%s: said nothing for %d s; sent away", p->from, HANDSHAKE_MS / 1000);
            stays = 0;
        }
        if (!stays) drop(f, i);
    }
}

static session *spare_of(const front *f) { return &f->sessions[f->o->sessions]; }

/* A process for the next client, where that is a command: one that takes seconds to start is there when it is needed. */
static void keep_spare(front *f) {
    int wanted = f->o->command != NULL && !(f->o->stdio && f->number > 0);
    if (!wanted || spare_of(f)->keeper != 0 || now_ms() < f->spare_due) return;
    if (session_open(spare_of(f), NULL, f->folder, f->o, forget) == 0) return;
    spare_of(f)->keeper = 0;
    f->spare_due = now_ms() + SPARE_PAUSE_MS;
}

/* A session's process for this client; 0, or -1 where there is none now. */
static int take_session(front *f, session *s, const peer *client) {
    if (f->o->command == NULL) return session_open(s, client, f->folder, f->o, forget);
    *s = *spare_of(f);
    spare_of(f)->keeper = 0;
    f->failures = 0;
    return 0;
}

/* First come, first served. */
static void begin_sessions(front *f) {
    keep_spare(f);
    for (int i = 0; i < f->peer_count && busy(f) < f->o->sessions;) {
        if (!f->peers[i].valid) {
            i++;
            continue;
        }
        if (f->o->command != NULL && (spare_of(f)->keeper == 0 || spare_of(f)->ordered != 0)) return;
        session *s = f->sessions;
        while (s->keeper != 0) s++;
        peer client = f->peers[i];
        f->peers[i].in = f->peers[i].out = -1; /* the session's now */
        drop(f, i);
        if (take_session(f, s, &client) == 0) {
            session_begin(s, &client, ++f->number, f->o);
        } else {
            s->keeper = 0;
            peer_close(&client);
        }
        keep_spare(f);
    }
}

/* Whether this session is over, and all is cleared away. */
static int over(front *f, session *s) {
    int count = 0;
    for (int i = 0; i <= f->o->sessions; i++) {
        if (f->sessions[i].keeper != 0) f->keepers[count++] = f->sessions[i].keeper;
    }
    if (!session_over(s, f->keepers, count)) return 0;
    if (s != spare_of(f) || ending) return 1;
    f->spare_due = now_ms() + SPARE_PAUSE_MS;
    if (++f->failures >= SPARE_FAILURES) log_line("it ended %d times; the server ends too", f->failures);
    return 1;
}

static void watch_sessions(front *f, const struct pollfd *polled) {
    int64_t now = now_ms();
    for (int i = 0; i <= f->o->sessions; i++) {
        session *s = &f->sessions[i];
        if (s->keeper == 0 || over(f, s)) continue;
        short seen = (short)(polled[2 * i].revents | polled[2 * i + 1].revents);
        if (s->gone == 0 && (seen & (POLLRDHUP | POLLHUP | POLLERR))) s->gone = now;
        if (s->gone != 0 && now >= s->gone + GRACE_MS) session_end(s, END_GONE);
        if (now >= s->deadline) session_end(s, END_TIME);
    }
}

static void want(struct pollfd *entry, int fd, short events) { *entry = (struct pollfd){fd, events, 0}; }

/* What to wait for, in the order of `polled`; how many. */
static int fill(front *f) {
    struct pollfd *p = f->polled;
    want(p++, f->door.fd, f->door.fd >= 0 && now_ms() >= f->door.closed_until ? POLLIN : 0);
    if (f->door.fd >= 0 && now_ms() < f->door.closed_until) p[-1].fd = -1;
    want(p++, f->tracked != NULL ? f->tracked->fd : -1, f->tracked != NULL ? tracker_events(f->tracked) : 0);
    for (int i = 0; i < f->peer_count; i++) want(p++, f->peers[i].in, f->peers[i].valid ? POLLRDHUP : POLLIN);
    for (int i = 0; i <= f->o->sessions; i++) {
        const session *s = &f->sessions[i];
        int watched = s->keeper != 0 && s->gone == 0;
        want(p++, watched ? s->client.in : -1, POLLRDHUP);
        want(p++, watched && s->client.out != s->client.in ? s->client.out : -1, 0);
    }
    return (int)(p - f->polled);
}

static void sooner(int64_t *due, int64_t when) {
    if (when < *due) *due = when;
}

static struct timespec next_due(const front *f) {
    int64_t now = now_ms(), due = now + LONGEST_WAIT_MS;
    for (int i = 0; i < f->peer_count; i++) {
        if (!f->peers[i].valid) sooner(&due, f->peers[i].deadline);
    }
    for (int i = 0; i <= f->o->sessions; i++) {
        const session *s = &f->sessions[i];
        if (s->keeper == 0) continue;
        sooner(&due, s->ordered != 0 ? s->ordered + KEEPER_MS : s->gone != 0 ? s->gone + GRACE_MS : s->deadline);
    }
    if (f->o->command != NULL && spare_of(f)->keeper == 0) sooner(&due, f->spare_due);
    if (f->tracked != NULL) sooner(&due, f->tracked->due);
    if (f->door.fd >= 0 && now < f->door.closed_until) sooner(&due, f->door.closed_until);
    int64_t left = due > now ? due - now : 0;
    return (struct timespec){(time_t)(left / 1000), (long)(left % 1000 * 1000000)};
}

static void turn(front *f, const sigset_t *while_waiting) {
    int count = fill(f), peers = f->peer_count;
    struct timespec left = next_due(f);
    if (ppoll(f->polled, (nfds_t)count, &left, while_waiting) < 0) {
        for (int i = 0; i < count; i++) f->polled[i].revents = 0;
    }
    watch_sessions(f, f->polled + 2 + peers);
    hear_peers(f, f->polled + 2);
    for (int i = 0; f->polled[0].revents != 0 && i < f->o->queue; i++) {
        peer came;
        if (gate_accept(&f->door, &came) != 0) break;
        admit(f, &came);
    }
    begin_sessions(f);
    if (f->tracked != NULL) {
        tracker_step(f->tracked, f->polled[1].revents, f->o->sessions - busy(f) - waiting(f));
    }
}

static void end_sessions(front *f) {
    const struct timespec pause = {0, END_PAUSE_MS * 1000000L};
    for (int i = 0; i <= f->o->sessions; i++) {
        if (f->sessions[i].keeper != 0) session_end(&f->sessions[i], END_SERVER);
    }
    for (int tries = 0, left = 1; tries < END_TRIES && left > 0; tries++) {
        left = 0;
        for (int i = 0; i <= f->o->sessions; i++) left += f->sessions[i].keeper != 0 && !over(f, &f->sessions[i]);
        if (left > 0) nanosleep(&pause, NULL);
    }
}

static void catch_signals(sigset_t *while_waiting) {
    static const int CAUGHT[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    struct sigaction ours, before;
    sigset_t blocked;
    memset(&ours, 0, sizeof ours);
    ours.sa_handler = on_signal;
    sigemptyset(&blocked);
    for (size_t i = 0; i < sizeof CAUGHT / sizeof *CAUGHT; i++) {
        /* Who started us with nohup wants that kept. */
        if (CAUGHT[i] == SIGHUP && sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler == SIG_IGN) continue;
        sigaction(CAUGHT[i], &ours, NULL);
        sigaddset(&blocked, CAUGHT[i]);
    }
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &blocked, while_waiting);
    for (size_t i = 0; i < sizeof CAUGHT / sizeof *CAUGHT; i++) sigdelset(while_waiting, CAUGHT[i]);
}

/* Memory, the door and the tracker; 0, or -1 after a line in the log. */
static int prepare(front *f, options *o, int in, int out) {
    char why[ADDRESS_TEXT + 200];
    f->o = o;
    f->door.fd = -1;
    f->peers = calloc((size_t)o->queue, sizeof *f->peers);
    f->sessions = calloc((size_t)o->sessions + 1, sizeof *f->sessions);
    f->keepers = calloc((size_t)o->sessions + 1, sizeof *f->keepers);
    f->polled = calloc((size_t)(2 + o->queue + 2 * (o->sessions + 1)), sizeof *f->polled);
    if (f->peers == NULL || f->sessions == NULL || f->keepers == NULL || f->polled == NULL) return log_line("out of memory"), -1;
    if (o->stdio) {
        peer client = {.in = in, .out = out, .from = "standard input"};
        admit(f, &client);
    } else if (gate_open(&f->door, o, why, sizeof why) != 0) {
        return log_line("%s", why), -1;
    }
    if (o->tracker != NULL) {
        f->tracked = malloc(sizeof *f->tracked);
        if (f->tracked == NULL) return log_line("out of memory"), -1;
        if (tracker_find(f->tracked, o, port_of(&f->door.at), why, sizeof why) != 0) {
            return log_line("--tracker: %s", why), -1;
        }
        if (is_local(&f->door.at) && !is_local(&f->tracked->at) && o->advertise == NULL) {
            log_line("the tracker would send clients of other machines here, but only this one reaches %s: listen on an "
                     "address of its own, with a token, or give --advertise HOST", o->listen);
            return -1;
        }
    }
    return open_base_folder(o->folder, f->folder, sizeof f->folder);
}

int front_run(options *o, int in, int out) {
    front *f = &state;
    sigset_t while_waiting;
    catch_signals(&while_waiting);
    limit_descriptors(o, in, out);
    sessions_prepare();
    hide_memory(1);
    if (prepare(f, o, in, out) != 0) {
        gate_close(&f->door);
        return 1;
    }
    if (!o->stdio) gate_announce(&f->door);
    while (!ending && f->failures < SPARE_FAILURES && (!o->stdio || f->peer_count > 0 || busy(f) > 0)) {
        turn(f, &while_waiting);
    }
    int failed = f->failures >= SPARE_FAILURES || (o->stdio && f->number == 0 && !ending);
    if (ending) log_line("told to end");
    gate_close(&f->door);
    end_sessions(f);
    close_base_folder(o->folder, f->folder);
    return failed ? 1 : 0;
}
