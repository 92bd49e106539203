#define _GNU_SOURCE
#include "kin.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "proc.h"

enum { PASSES = 500, PAUSE_MS = 2, LINE = PATH_MAX + 128 };

/* What is asked of every process; its answer is whether it was one that has to go. */
typedef int (*question)(pid_t process, const void *argument);

/* How many said yes. */
static int ask_all(question asked, const void *argument) {
    DIR *all = opendir("/proc");
    int count = 0;
    if (all == NULL) return log_missing("/proc"), 0;
    for (struct dirent *entry; (entry = readdir(all)) != NULL;) {
        pid_t process = isdigit((unsigned char)entry->d_name[0]) ? (pid_t)strtol(entry->d_name, NULL, 10) : 0;
        if (process > 1 && process != getpid()) count += asked(process, argument);
    }
    closedir(all);
    return count;
}

/* Ask until nobody says yes. Who is ended on sight cannot start many more. */
static int ask_until_none(question asked, const void *argument) {
    const struct timespec pause = {0, PAUSE_MS * 1000000L};
    for (int pass = 0; pass < PASSES; pass++) {
        if (ask_all(asked, argument) == 0) return 0;
        nanosleep(&pause, NULL);
    }
    return -1;
}

typedef struct {
    const pid_t *spared;
    int count;
} spares;

static int end_child(pid_t process, const void *argument) {
    const spares *s = argument;
    if (parent_of(process) != getpid()) return 0;
    for (int i = 0; i < s->count; i++) {
        if (s->spared[i] == process) return 0;
    }
    if (kill(process, SIGKILL) != 0 && errno == EPERM) return 0; /* it has become another user's */
    waitpid(process, NULL, WNOHANG);
    return 1;
}

int end_children(const pid_t *spared, int count) {
    spares s = {spared, count};
    return ask_until_none(end_child, &s);
}

static int is_child(pid_t process, const void *argument) {
    (void)argument;
    return parent_of(process) == getpid();
}

int has_children(void) { return ask_all(is_child, NULL) != 0; }

int become_reaper(void) {
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) == 0) return 1;
    log_missing("being the parent of what sessions leave behind");
    return 0;
}

static int lies_in(const char *path, const char *folder) {
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == 0 || path[length] == '/' || path[length] == ' ');
}

static int runs_from(pid_t process, const char *folder) {
    char name[64], target[PATH_MAX];
    snprintf(name, sizeof name, "/proc/%ld/exe", (long)process);
    ssize_t length = readlink(name, target, sizeof target - 1);
    if (length < 0) return 0;
    target[length] = 0;
    return lies_in(target, folder);
}

/* What a session starts is told to keep its files there. */
static int told_of(pid_t process, const char *folder) {
    char name[64], wanted[PATH_MAX + 8], *word = NULL;
    size_t size = 0;
    int found = 0;
    snprintf(name, sizeof name, "/proc/%ld/environ", (long)process);
    snprintf(wanted, sizeof wanted, "TMPDIR=%s", folder);
    FILE *environment = fopen(name, "re");
    if (environment == NULL) return 0;
    while (!found && getdelim(&word, &size, 0, environment) > 0) found = strcmp(word, wanted) == 0;
    free(word);
    fclose(environment);
    return found;
}

/* Code that was uploaded is mapped from the folder, in whatever has become of its process. */
static int maps_from(pid_t process, const char *folder) {
    char name[64], line[LINE];
    int found = 0;
    snprintf(name, sizeof name, "/proc/%ld/maps", (long)process);
    FILE *maps = fopen(name, "re");
    if (maps == NULL) return 0;
    while (!found && fgets(line, sizeof line, maps) != NULL) {
        const char *path = strchr(line, '/');
        found = path != NULL && lies_in(path, folder);
    }
    fclose(maps);
    return found;
}

static int end_user(pid_t process, const void *argument) {
    const char *folder = argument;
    if (user_of(process) != (long)getuid()) return 0;
    if (!runs_from(process, folder) && !maps_from(process, folder) && !told_of(process, folder)) return 0;
    return kill(process, SIGKILL) == 0;
}

int end_users_of(const char *folder) { return ask_until_none(end_user, folder); }
