#define _GNU_SOURCE
#include "channel.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "log.h"

enum { LENGTH_SIZE = 8 };

/* TVM's packets: eight bytes of length, then as many as they say. */
static struct {
    int in, out;
    int64_t stall_ms, idle_ms;
    uint64_t left; /* of the packet that comes */
    uint64_t length;
    unsigned length_got; /* bytes of the next one's length */
} c;

void channel_open(int in, int out, int64_t stall_ms, int64_t idle_ms) {
    c.in = in;
    c.out = out;
    c.stall_ms = stall_ms;
    c.idle_ms = idle_ms;
    c.left = c.length = c.length_got = 0;
}

/* Until it can go on. At the limit the process ends: TVM's loop would say good-bye first, in the middle of a packet. */
static int wait_for(int fd, short event, int64_t limit_ms, int code) {
    int64_t end = now_ms() + limit_ms;
    for (;;) {
        struct pollfd ready = {fd, event, 0};
        int64_t left = end - now_ms();
        if (left <= 0) _exit(code);
        int found = poll(&ready, 1, left < INT_MAX ? (int)left : INT_MAX);
        if (found > 0) return 0;
        if (found < 0 && errno != EINTR) return -1;
    }
}

/* Take note of what came, which is of one packet. */
static void count(const unsigned char *data, size_t got) {
    if (c.left > 0) {
        c.left -= got;
        return;
    }
    for (size_t i = 0; i < got; i++) c.length |= (uint64_t)data[i] << 8 * c.length_got++;
    if (c.length_got < LENGTH_SIZE) return;
    c.left = c.length;
    c.length = c.length_got = 0;
}

ssize_t channel_receive(void *data, size_t size) {
    uint64_t most = c.left > 0 ? c.left : LENGTH_SIZE - c.length_got;
    int begun = c.left > 0 || c.length_got > 0;
    if (size > most) size = (size_t)most;
    for (;;) {
        if (wait_for(c.in, POLLIN, begun ? c.stall_ms : c.idle_ms, begun ? SERVE_STALLED : SERVE_IDLE) != 0) return -1;
        ssize_t got = read(c.in, data, size);
        if (got > 0) count(data, (size_t)got);
        if (got >= 0 || (errno != EINTR && errno != EAGAIN)) return got;
    }
}

ssize_t channel_send(const void *data, size_t size) {
    for (;;) {
        if (wait_for(c.out, POLLOUT, c.stall_ms, SERVE_STALLED) != 0) return -1;
        ssize_t sent = send(c.out, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
        /* A pipe that is ready takes so much without a wait. */
        if (sent < 0 && errno == ENOTSOCK) sent = write(c.out, data, size < PIPE_BUF ? size : PIPE_BUF);
        if (sent >= 0 || (errno != EINTR && errno != EAGAIN)) return sent;
    }
}
