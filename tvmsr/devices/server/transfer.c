#define _GNU_SOURCE
#include "transfer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FOLDER_FLAGS = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, DEEPEST = 8, NAME_LENGTH = 1024 };

static int fails(const char *name, const char *text, char *why, size_t size) {
    snprintf(why, size, "%.200s: %s", name, text);
    return -1;
}

static int fails_so(const char *name, char *why, size_t size) {
    int reason = errno;
    if (reason == ELOOP) return fails(name, "is a link, which a name may not contain", why, size);
    if (reason == EFBIG) return fails(name, "is larger than a file of a session may be (--disk)", why, size);
    return fails(name, strerror(reason), why, size);
}

/* Whether a name may be used at all. */
static int check_name(const char *name, char *why, size_t size) {
    int depth = 0;
    if (*name == 0) return fails("a file", "needs a name", why, size);
    if (strlen(name) >= NAME_LENGTH) return fails(name, "is too long for a name", why, size);
    for (const char *at = name;; depth++) {
        size_t length = strcspn(at, "/");
        if (length == 0 || length > NAME_MAX || (length <= 2 && strncmp(at, "..", length) == 0)) {
            return fails(name, "names no file of this session: names are relative, without . and ..", why, size);
        }
        if (depth == DEEPEST) return fails(name, "lies in too many folders", why, size);
        if (at[length] == 0) return 0;
        at += length + 1;
    }
}

/* The folder that a name's last component lies in, which is left in `last`; made on the way where `make`. */
static int open_parent(const storage *s, const char *name, int make, const char **last, char *why, size_t size) {
    if (check_name(name, why, size) != 0) return -1;
    int folder = open(s->folder, FOLDER_FLAGS);
    for (const char *slash; folder >= 0 && (slash = strchr(name, '/')) != NULL; name = slash + 1) {
        char component[NAME_MAX + 1];
        memcpy(component, name, (size_t)(slash - name));
        component[slash - name] = 0;
        if (make) mkdirat(folder, component, 0700);
        int next = openat(folder, component, FOLDER_FLAGS), reason = errno;
        close(folder);
        folder = next;
        errno = reason;
    }
    *last = name;
    return folder >= 0 ? folder : fails_so(name, why, size);
}

int transfer_path(const storage *s, const char *name, char *path, size_t size, char *why, size_t why_size) {
    const char *last = "";
    struct stat facts;
    if (*name != 0) {
        int parent = open_parent(s, name, 0, &last, why, why_size);
        if (parent < 0) return -1;
        int linked = fstatat(parent, last, &facts, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(facts.st_mode);
        close(parent);
        if (linked) return fails(name, "is a link, which a name may not contain", why, why_size);
    }
    int length = snprintf(path, size, *name != 0 ? "%s/%s" : "%s%s", s->folder, name);
    return length >= 0 && (size_t)length < size ? 0 : fails(name, "is too long for a name", why, why_size);
}

/* Bytes of the plain files in a folder and those below it. Takes `folder`. */
static uint64_t used(int folder, int depth) {
    uint64_t sum = 0;
    DIR *entries = fdopendir(folder);
    if (entries == NULL) return close(folder), 0;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        struct stat facts;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (fstatat(folder, entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (S_ISREG(facts.st_mode)) sum += (uint64_t)facts.st_size;
        if (!S_ISDIR(facts.st_mode) || depth == DEEPEST) continue;
        int below = openat(folder, entry->d_name, FOLDER_FLAGS);
        if (below >= 0) sum += used(below, depth + 1);
    }
    closedir(entries);
    return sum;
}

static int write_all(int file, const char *bytes, size_t length) {
    while (length > 0) {
        ssize_t put = write(file, bytes, length);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return -1;
        bytes += put;
        length -= (size_t)put;
    }
    return 0;
}

int transfer_write(const storage *s, const char *name, const void *bytes, size_t length, char *why, size_t why_size) {
    const char *last;
    int parent = open_parent(s, name, 1, &last, why, why_size);
    if (parent < 0) return -1;
    /* A name that was there is a new file: code that is loaded from the old one keeps it. */
    if (unlinkat(parent, last, 0) != 0 && errno != ENOENT) {
        fails_so(name, why, why_size);
        close(parent);
        return -1;
    }
    int top = open(s->folder, FOLDER_FLAGS);
    if (top < 0 || used(top, 0) + length > s->disk) {
        close(parent);
        return fails(name, "does not fit: the files of a session are limited (--disk)", why, why_size);
    }
    int file = openat(parent, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0700);
    int failed = file < 0 || write_all(file, bytes, length) != 0;
    if (failed) fails_so(name, why, why_size);
    if (file >= 0) close(file);
    if (failed) unlinkat(parent, last, 0);
    close(parent);
    return failed ? -1 : 0;
}

int transfer_remove(const storage *s, const char *name, char *why, size_t why_size) {
    const char *last;
    int parent = open_parent(s, name, 0, &last, why, why_size);
    if (parent < 0) return -1;
    int failed = unlinkat(parent, last, 0) != 0 && errno != ENOENT;
    if (failed) fails_so(name, why, why_size);
    close(parent);
    return failed ? -1 : 0;
}

int transfer_open(const storage *s, const char *name, uint64_t *length, char *why, size_t why_size) {
    const char *last;
    struct stat facts;
    int parent = open_parent(s, name, 0, &last, why, why_size);
    if (parent < 0) return -1;
    int file = openat(parent, last, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int failed = file < 0 || fstat(file, &facts) != 0;
    if (failed) fails_so(name, why, why_size);
    close(parent);
    if (!failed && S_ISREG(facts.st_mode)) {
        *length = (uint64_t)facts.st_size;
        return file;
    }
    if (file >= 0) close(file);
    return failed ? -1 : fails(name, "is no file", why, why_size);
}
