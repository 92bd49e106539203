/* tvmsr-device, a TVM RPC server for boards and phones that have no Python; and the front of `tvmsr device serve`. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "front.h"
#include "log.h"

enum { EXIT_USAGE = 2 };

/* Descriptors 0 to 2 that somebody closed would become a client's. */
static void fill_standard(void) {
    int fd;
    do fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) close(fd);
}

/* Take standard input and output for packets only: what libraries print goes to standard error. */
static int take_standard(int *in, int *out) {
    *in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    *out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int failed = *in < 0 || *out < 0 || nothing < 0 || dup2(nothing, STDIN_FILENO) < 0;
    if (failed || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) return -1;
    close(nothing);
    return 0;
}

int main(int count, char **words) {
    static options o;
    int in = -1, out = -1;
    fill_standard();
    int end = read_options(count, words, &o);
    if (end != OPTIONS_RUN) return end == OPTIONS_DONE ? 0 : EXIT_USAGE;
    if (o.stdio && take_standard(&in, &out) != 0) {
        fputs(TVMSR_PROGRAM ": --stdio: standard input or output cannot be used\n", stderr);
        return 1;
    }
    return front_run(&o, in, out);
}
