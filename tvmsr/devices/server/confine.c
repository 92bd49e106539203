#define _GNU_SOURCE
#include "confine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"
#include "proc.h"

enum { SPARE_DESCRIPTORS = 64, SESSION_DESCRIPTORS = 256, MEMORY_PERCENT = 80, EXIT_NO_COMMAND = 127 };

static int descriptors = 1024;

/* Whatever started us may have left some open: they are no business of a client's code. */
static void close_inherited(int in, int out) {
    DIR *open_now = opendir("/proc/self/fd");
    if (open_now == NULL) return;
    for (struct dirent *entry; (entry = readdir(open_now)) != NULL;) {
        int fd = atoi(entry->d_name);
        if (fd > STDERR_FILENO && fd != in && fd != out && fd != dirfd(open_now)) close(fd);
    }
    closedir(open_now);
}

void limit_descriptors(const options *o, int in, int out) {
    struct rlimit now;
    close_inherited(in, out);
    descriptors = SPARE_DESCRIPTORS + o->queue + 5 * (o->sessions + 1) /* two of the client, lock, leash, line */;
    if (getrlimit(RLIMIT_NOFILE, &now) != 0) return;
    if (now.rlim_max != RLIM_INFINITY && (rlim_t)descriptors > now.rlim_max) descriptors = (int)now.rlim_max;
    now.rlim_cur = (rlim_t)descriptors;
    if (setrlimit(RLIMIT_NOFILE, &now) != 0) log_missing("a limit on descriptors");
}

void close_others(const int *kept, int count) {
    for (int fd = STDERR_FILENO + 1; fd < descriptors; fd++) {
        int is_kept = 0;
        for (int i = 0; i < count; i++) is_kept |= kept[i] == fd;
        if (!is_kept) close(fd);
    }
}

void die_with(pid_t parent) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) log_missing("a signal at the server's end");
    if (getppid() != parent) _exit(1);
}

void default_signals(void) {
    static const int OURS[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
    sigset_t none;
    for (size_t i = 0; i < sizeof OURS / sizeof *OURS; i++) signal(OURS[i], SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

void hide_memory(int hidden) {
    if (prctl(PR_SET_DUMPABLE, !hidden) != 0) log_missing("memory that other processes cannot read");
}

static void limit(int resource, uint64_t value, const char *what) {
    struct rlimit now;
    if (getrlimit((__typeof__(RLIMIT_CORE))resource, &now) != 0) return log_missing(what);
    rlim_t bound = value < (uint64_t)RLIM_INFINITY ? (rlim_t)value : RLIM_INFINITY;
    if (bound > now.rlim_max) bound = now.rlim_max;
    now.rlim_cur = now.rlim_max = bound;
    if (setrlimit((__typeof__(RLIMIT_CORE))resource, &now) != 0) log_missing(what);
}

/* Without --memory: the machine stays alive. */
static uint64_t most_memory(void) { return machine_memory() / 100 * MEMORY_PERCENT; }

void without_core_files(void) { limit(RLIMIT_CORE, 0, "a limit on core files"); }

void confine(const options *o, const char *folder) {
    umask(077);
    signal(SIGXFSZ, SIG_IGN); /* a file that is too large is an error of write, not the end */
    without_core_files();
    limit(RLIMIT_FSIZE, o->disk, "a limit on files");
    limit(RLIMIT_NOFILE, SESSION_DESCRIPTORS, "a limit on descriptors");
    /* A Python that has TVM's compiler in it has addresses that it never uses: there, what it writes to counts. */
    limit(o->command != NULL ? RLIMIT_DATA : RLIMIT_AS, o->memory != 0 ? o->memory : most_memory(), "a limit on memory");
    limit(RLIMIT_NPROC, threads_of_user() + (uint64_t)o->processes, "a limit on processes");
    if (chdir(folder) != 0) log_line("%s: %s", folder, strerror(errno));
    setenv("TMPDIR", folder, 1);
    setenv("HOME", folder, 1);
    unsetenv("SSH_AUTH_SOCK"); /* keys of whoever started the server */
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing >= 0 && nothing != STDIN_FILENO) {
        dup2(nothing, STDIN_FILENO);
        close(nothing);
    }
    dup2(STDERR_FILENO, STDOUT_FILENO); /* what a library prints is no packet */
}

static void tell_command(const char *name, uint64_t value) {
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    setenv(name, text, 1);
}

void become_command(const options *o, int line) {
    fcntl(line, F_SETFD, 0);
    tell_command("TVMSR_SESSION_LINE", (uint64_t)line);
    tell_command("TVMSR_SESSION_DISK", o->disk);
    tell_command("TVMSR_SESSION_STALL", (uint64_t)o->stall_ms);
    tell_command("TVMSR_SESSION_IDLE", (uint64_t)o->idle_ms);
    execvp(o->command[0], o->command);
    log_line("%s: %s", o->command[0], strerror(errno));
    _exit(EXIT_NO_COMMAND);
}
