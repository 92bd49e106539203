#define _GNU_SOURCE
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kin.h"
#include "log.h"

enum { FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, NAME_LENGTH = 64, NEW_SECONDS = 60 };

/* A session's folder is "s-" and what mkdtemp makes of it; before it is locked, "n-". */
static const char LOCKED[] = "s-", NEW[] = "n-";

static int is_dots(const char *name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

/* A descriptor of a folder that the session may have forbidden us, or -1. */
static int enter(int parent, const char *name) {
    int folder = openat(parent, name, FOLDER_FLAGS);
    if (folder >= 0 || errno != EACCES || fchmodat(parent, name, 0700, 0) != 0) return folder;
    return openat(parent, name, FOLDER_FLAGS);
}

/* Move a folder up, under a name that nobody has thought of; whether it is there. */
static unsigned move_up(int folder, const char *name, int top) {
    static unsigned number;
    char up[NAME_LENGTH];
    snprintf(up, sizeof up, ".up-%lld-%u", (long long)now_ms(), number++);
    if (renameat(folder, name, top, up) == 0) return 1;
    if (errno != EACCES || fchmodat(folder, name, 0700, 0) != 0) return 0;
    return renameat(folder, name, top, up) == 0;
}

/* Empty the folder `name` in `top` by one level: what is a file is removed, and folders that are not empty move up into
 * `top`. So no depth takes more than two descriptors. 0 where it is gone.
 */
static int flatten(int top, const char *name, unsigned *moved) {
    int folder = enter(top, name);
    if (folder < 0) return -1;
    fchmod(folder, 0700);
    DIR *entries = fdopendir(folder);
    if (entries == NULL) return close(folder), -1;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (is_dots(entry->d_name) || unlinkat(folder, entry->d_name, 0) == 0) continue;
        if (unlinkat(folder, entry->d_name, AT_REMOVEDIR) == 0) continue;
        *moved += move_up(folder, entry->d_name, top);
    }
    closedir(entries);
    return unlinkat(top, name, AT_REMOVEDIR);
}

/* One pass over the folder's entries; how many went away or came nearer, or -1 where it cannot be read. */
static long empty_once(int top, unsigned *moved) {
    int again = openat(top, ".", FOLDER_FLAGS);
    DIR *entries = again < 0 ? NULL : fdopendir(again);
    if (entries == NULL) return again >= 0 ? close(again), -1 : -1;
    long changes = 0;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (is_dots(entry->d_name)) continue;
        unsigned before = *moved;
        if (unlinkat(top, entry->d_name, 0) == 0 || unlinkat(top, entry->d_name, AT_REMOVEDIR) == 0) {
            changes++;
        } else if (flatten(top, entry->d_name, moved) == 0 || *moved != before) {
            changes++;
        }
    }
    closedir(entries);
    return changes;
}

int remove_tree(const char *path) {
    int top = enter(AT_FDCWD, path);
    if (top < 0) return errno == ENOENT ? 0 : -1;
    fchmod(top, 0700);
    unsigned moved = 0; /* what cannot be, a mounted folder, ends this too */
    while (empty_once(top, &moved) > 0) continue;
    close(top);
    return rmdir(path);
}

/* The base folder, made where it is missing; ours alone, or -1 after a line in the log. */
static int open_base(const char *path) {
    struct stat facts;
    mkdir(path, 0700);
    int base = open(path, FOLDER_FLAGS);
    if (base < 0 || fstat(base, &facts) != 0) {
        log_line("%s: %s; --folder names another place", path, strerror(errno));
    } else if (facts.st_uid != geteuid() || (facts.st_mode & 022) != 0) {
        log_line("%s can be written by other users; remove it, or name another place with --folder", path);
    } else {
        return base;
    }
    if (base >= 0) close(base);
    return -1;
}

/* Whether nobody uses the folder: not locked, or begun long ago and never locked. Locks it where it is so. */
static int is_stale(int folder, const char *name) {
    struct stat facts;
    if (strncmp(name, LOCKED, strlen(LOCKED)) == 0) return flock(folder, LOCK_EX | LOCK_NB) == 0;
    return strncmp(name, NEW, strlen(NEW)) == 0 && fstat(folder, &facts) == 0 &&
           time(NULL) - facts.st_mtime > NEW_SECONDS;
}

static int is_servers(const char *name) {
    return strncmp(name, LOCKED, strlen(LOCKED)) == 0 || strncmp(name, NEW, strlen(NEW)) == 0;
}

static void remove_stale(int base, const char *path) {
    int again = openat(base, ".", FOLDER_FLAGS);
    DIR *entries = again < 0 ? NULL : fdopendir(again);
    if (entries == NULL) return;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        char stale[PATH_MAX];
        int folder = is_servers(entry->d_name) ? enter(base, entry->d_name) : -1; /* the place may be shared */
        if (folder < 0) continue;
        int length = snprintf(stale, sizeof stale, "%s/%s", path, entry->d_name);
        if (is_stale(folder, entry->d_name) && length < (int)sizeof stale &&
            (end_users_of(stale), remove_tree(stale)) == 0) {
            log_line("removed the folder of a server that is no more");
        }
        close(folder);
    }
    closedir(entries);
}

int open_base_folder(const char *wanted, char *path, int size) {
    char standard[PATH_MAX], whole[PATH_MAX];
    if (wanted == NULL) {
        const char *temporary = getenv("TMPDIR");
        snprintf(standard, sizeof standard, "%s/tvmsr-device-%u",
                 temporary != NULL && *temporary != 0 ? temporary : "/tmp", (unsigned)geteuid());
    }
    int base = open_base(wanted != NULL ? wanted : standard);
    if (base < 0) return -1;
    if (realpath(wanted != NULL ? wanted : standard, whole) == NULL ||
        snprintf(path, (size_t)size, "%s", whole) >= size) {
        log_line("%s: %s", wanted != NULL ? wanted : standard, strerror(errno));
        close(base);
        return -1;
    }
    remove_stale(base, path);
    close(base);
    return 0;
}

void close_base_folder(const char *wanted, const char *path) {
    if (wanted == NULL) rmdir(path); /* fails where another server has sessions in it */
}

int make_session_folder(const char *base, char *path, int size) {
    char begun[PATH_MAX];
    int parent = open_base(base); /* another server may have taken it away */
    if (parent < 0) return -1;
    close(parent);
    int fits = snprintf(begun, sizeof begun, "%s/%sXXXXXX", base, NEW) < size;
    if (!fits || mkdtemp(begun) == NULL) {
        log_line("%s: no folder can be made there: %s; --folder names another place", base, strerror(errno));
        return -1;
    }
    int lock = open(begun, FOLDER_FLAGS);
    if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) != 0) log_missing("a lock on the folder");
    snprintf(path, (size_t)size, "%s/%s%s", base, LOCKED, begun + strlen(base) + 1 + strlen(NEW));
    if (lock >= 0 && rename(begun, path) == 0) return lock;
    log_line("%s: %s", path, strerror(errno));
    if (lock >= 0) close(lock);
    rmdir(begun);
    return -1;
}
