#define _GNU_SOURCE
#include "proc.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The number after `name` in a file of /proc; -1 where there is none. */
static long proc_number(const char *path, const char *name) {
    char line[256];
    long value = -1;
    FILE *file = fopen(path, "re");
    if (file == NULL) return -1;
    while (value < 0 && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) value = strtol(line + strlen(name), NULL, 10);
    }
    fclose(file);
    return value;
}

static long status_number(pid_t process, const char *name) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/status", (long)process);
    return proc_number(path, name);
}

pid_t parent_of(pid_t process) { return (pid_t)status_number(process, "PPid:"); }

long user_of(pid_t process) { return status_number(process, "Uid:"); }

uint64_t threads_of_user(void) {
    uint64_t sum = 0;
    DIR *all = opendir("/proc");
    if (all == NULL) return 0;
    for (struct dirent *entry; (entry = readdir(all)) != NULL;) {
        if (!isdigit((unsigned char)entry->d_name[0])) continue;
        pid_t process = (pid_t)strtol(entry->d_name, NULL, 10);
        long threads = user_of(process) == (long)getuid() ? status_number(process, "Threads:") : 0;
        if (threads > 0) sum += (uint64_t)threads;
    }
    closedir(all);
    return sum;
}

uint64_t machine_memory(void) {
    long kibibytes = proc_number("/proc/meminfo", "MemTotal:");
    return kibibytes > 0 ? (uint64_t)kibibytes << 10 : UINT64_MAX;
}
