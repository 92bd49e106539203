/* tvmsr-host: runs one artifact on the machine that this program is on, for a client at the other end of a pipe. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "transport.h"

int main(void) {
    /* What an artifact or the C library prints must not get between the frames. */
    int out = dup(STDOUT_FILENO);
    if (out < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
        fputs("host program: standard output is closed\n", stderr);
        return 2;
    }
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none); /* a crash is reported by the client; a picture does not belong into a core file */
    signal(SIGPIPE, SIG_IGN);
    int code = serve(STDIN_FILENO, out);
    _exit(code); /* not exit: the thread that beats is still there */
}
