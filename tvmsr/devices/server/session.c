#define _GNU_SOURCE
#include "session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "channel.h"
#include "confine.h"
#include "folder.h"
#include "kin.h"
#include "log.h"
#include "serve.h"

enum { REMOVE_TRIES = 20, REMOVE_PAUSE_MS = 10 };

static int reaper; /* whether orphans of sessions come to this process */

void sessions_prepare(void) {
    reaper = !has_children() && become_reaper(); /* a shell that became us may have some, which are not ours to end */
}

/* Processes that were killed a moment ago may still write: several tries. */
static int remove_surely(const char *folder) {
    const struct timespec pause = {0, REMOVE_PAUSE_MS * 1000000L};
    for (int i = 0; i < REMOVE_TRIES; i++) {
        if (remove_tree(folder) == 0) return 0;
        nanosleep(&pause, NULL);
    }
    return -1;
}

/* End what is left of a session's processes, and its folder. */
static void clear_away(const session *s, const pid_t *keepers, int count) {
    int left = reaper ? end_children(keepers, count) : end_users_of(s->folder);
    if (left != 0) log_line("processes of a session cannot be ended");
    if (remove_surely(s->folder) != 0) log_line("files are left in %s", s->folder);
}

/* The session's process: never returns. */
static void live(const session *s, const peer *client, const options *o, pid_t parent, int line) {
    const int theirs[] = {line, client != NULL ? client->in : -1, client != NULL ? client->out : -1};
    setsid();
    die_with(parent);
    default_signals();
    close_others(theirs, 3);
    hide_memory(0);
    confine(o, s->folder);
    if (o->command != NULL) become_command(o, line);
#ifndef TVMSR_FRONT
    storage files = {s->folder, o->disk};
    peer_welcome(client, o->key); /* here: a client may have sent its first packet, whose answer must not be before it */
    channel_open(client->in, client->out, o->stall_ms, o->idle_ms);
    _exit(serve_rpc(&files)); /* not exit: threads of the client's code may run */
#endif
    _exit(SERVE_BROKE);
}

static void on_child(int number) { (void)number; }

/* How the session's process ended, and that it did: by itself, or as the leash did. */
static int await(pid_t process, int leash, const sigset_t *while_waiting) {
    for (int told = 0;;) {
        int status;
        for (pid_t ended; (ended = waitpid(-1, &status, WNOHANG)) > 0;) {
            if (ended == process) return status;
        }
        struct pollfd end = {told ? -1 : leash, POLLIN, 0};
        if (ppoll(&end, 1, NULL, while_waiting) <= 0 || told) continue;
        kill(process, SIGKILL);
        told = 1;
    }
}

/* Go as the session went: whoever waits for us sees its end in ours. */
static void end_like(int status) {
    if (WIFSIGNALED(status)) {
        sigset_t one;
        signal(WTERMSIG(status), SIG_DFL);
        sigemptyset(&one);
        sigaddset(&one, WTERMSIG(status));
        sigprocmask(SIG_UNBLOCK, &one, NULL);
        kill(getpid(), WTERMSIG(status));
    }
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : SERVE_BROKE);
}

/* The keeper's process: never returns. Nobody writes to the leash; it ends when the server does, however it does. */
static void keep(const session *s, const peer *client, const options *o, int leash, int line) {
    const int ours[] = {leash, s->lock, line, client != NULL ? client->in : -1, client != NULL ? client->out : -1};
    sigset_t child, before;
    close_others(ours, 5); /* at once: what a session that stands still had of these would keep the leash from ending */
    setsid();
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_BLOCK, &child, &before);
    sigdelset(&before, SIGCHLD);
    struct sigaction woken = {.sa_handler = on_child};
    sigaction(SIGCHLD, &woken, NULL);
    without_core_files();
    reaper = become_reaper();
    pid_t us = getpid(), process = fork();
    if (process == 0) live(s, client, o, us, line);
    if (process < 0) {
        log_line("no process for a session: %s", strerror(errno));
        clear_away(s, NULL, 0);
        _exit(SERVE_BROKE);
    }
    close_others(ours, 2);
    if (send(leash, &process, sizeof process, MSG_NOSIGNAL) < 0) log_missing("a word to the server");
    int status = await(process, leash, &before);
    clear_away(s, NULL, 0);
    end_like(status);
}

static void forget_folder(session *s) {
    remove_tree(s->folder);
    close(s->lock);
}

/* The session's process, as its keeper says; 0 where there is none. */
static pid_t said_by_keeper(int leash) {
    pid_t process = 0;
    ssize_t got;
    do got = recv(leash, &process, sizeof process, MSG_WAITALL);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof process && process > 0 ? process : 0;
}

static int pair(int ends[2]) { return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends); }

static void close_pair(const int ends[2]) {
    if (ends[0] >= 0) close(ends[0]);
    if (ends[1] >= 0) close(ends[1]);
}

int session_open(session *s, const peer *client, const char *base, const options *o, void (*forget)(void)) {
    int leash[2] = {-1, -1}, line[2] = {-1, -1};
    memset(s, 0, sizeof *s);
    s->client.in = s->client.out = -1;
    s->deadline = INT64_MAX;
    s->limits = o;
    s->lock = make_session_folder(base, s->folder, sizeof s->folder);
    if (s->lock < 0) return -1;
    pid_t keeper = -1;
    if (pair(leash) == 0 && (client != NULL || pair(line) == 0)) keeper = fork();
    if (keeper == 0) {
        forget();
        keep(s, client, o, leash[1], line[1]);
    }
    if (keeper < 0) {
        log_line("no process for a session: %s", strerror(errno));
        close_pair(leash);
        close_pair(line);
        forget_folder(s);
        return -1;
    }
    close(leash[1]);
    if (line[1] >= 0) close(line[1]);
    s->keeper = keeper;
    s->leash = leash[0];
    s->line = line[0];
    s->began = now_ms();
    s->process = said_by_keeper(s->leash);
    return 0;
}

/* Give a command its client's descriptors. */
static int hand_over(int line, const peer *client) {
    int both[2] = {client->in, client->out};
    char nothing = 0;
    _Alignas(struct cmsghdr) char space[CMSG_SPACE(sizeof both)];
    struct iovec word = {&nothing, 1};
    struct msghdr message = {.msg_iov = &word, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    memset(space, 0, sizeof space);
    struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof both);
    memcpy(CMSG_DATA(rights), both, sizeof both);
    return sendmsg(line, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 ? 0 : -1;
}

void session_end(session *s, int why) {
    if (s->ordered != 0) return;
    s->why = why;
    s->ordered = now_ms();
    shutdown(s->leash, SHUT_RDWR);
}

void session_begin(session *s, const peer *client, unsigned number, const options *o) {
    int64_t wanted = client->session_ms, allowed = wanted > 0 && wanted < o->session_ms ? wanted : o->session_ms;
    s->client = *client;
    s->number = number;
    s->began = now_ms();
    s->deadline = s->began + allowed;
    log_line("session %u: %s, process %d", number, client->from, (int)s->process);
    if (s->line < 0) return; /* its process has the client, and has welcomed it */
    peer_welcome(client, o->key);
    if (hand_over(s->line, client) != 0) session_end(s, 0); /* it is no more */
}

/* Tell the log, and a client that is still there, how it ended. TVM's client knows the first word of some. */
static void tell(const session *s, int status) {
    char text[200] = "";
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    double seconds = (double)(now_ms() - s->began) / 1000;
    const options *o = s->limits;
    if (s->why == END_GONE) {
        snprintf(text, sizeof text, "the client is gone");
    } else if (s->why == END_TIME) {
        snprintf(text, sizeof text, "RPCSessionTimeoutError: the session's %.0f s on the device are over",
                 (double)(s->deadline - s->began) / 1000);
    } else if (s->why == END_SERVER) {
        snprintf(text, sizeof text, "the server on the device was ended");
    } else if (code == SERVE_STALLED) {
        snprintf(text, sizeof text, "RPCSessionTimeoutError: a packet of the session stood still for %.0f s",
                 (double)o->stall_ms / 1000);
    } else if (code == SERVE_IDLE) {
        snprintf(text, sizeof text, "RPCSessionTimeoutError: the session was idle for %.0f s", (double)o->idle_ms / 1000);
    } else if (code < 0) {
        const char *name = strsignal(WTERMSIG(status));
        snprintf(text, sizeof text, "the session's process on the device was ended by signal %d (%s)", WTERMSIG(status),
                 name != NULL ? name : "?");
    } else if (code > SERVE_BROKE) {
        snprintf(text, sizeof text, "the session's process on the device ended itself with exit code %d", code);
    }
    if (s->number == 0 && *text == 0) snprintf(text, sizeof text, "exit code %d", code);
    if (s->number == 0) {
        if (s->why == 0) log_line("the program for sessions ended before a client came: %s", text);
        return;
    }
    if (*text == 0) return log_line("session %u: over after %.1f s, exit code %d", s->number, seconds, code);
    log_line("session %u: after %.1f s: %s", s->number, seconds, text);
    if (s->why != END_GONE) peer_exception(&s->client, text);
}

int session_over(session *s, const pid_t *keepers, int count) {
    int status = 0;
    pid_t ended = waitpid(s->keeper, &status, WNOHANG);
    if (ended == 0) {
        if (s->ordered != 0 && now_ms() >= s->ordered + KEEPER_MS) kill(s->keeper, SIGKILL);
        return 0;
    }
    clear_away(s, keepers, count);
    tell(s, status);
    close(s->leash);
    if (s->line >= 0) close(s->line);
    close(s->lock);
    peer_close(&s->client);
    s->keeper = 0;
    return 1;
}
