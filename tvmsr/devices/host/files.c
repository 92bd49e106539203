#define _GNU_SOURCE
#include "files.h"

#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATTERN_SIZE = 256, LARGEST_FILE = 1 << 16, LARGEST_SUM = 1 << 18, MOST_PATTERNS = 256 };

static int below(const char *path) { return strncmp(path, "/proc/", 6) == 0 || strncmp(path, "/sys/", 5) == 0; }

static int allowed(const char *pattern) { return below(pattern) && strstr(pattern, "..") == NULL; }

/* Bytes read; 0 for what is no regular file, cannot be read, or is empty. Such files say no size before they are read. */
static size_t read_small(const char *path, uint8_t *into, size_t size) {
    struct stat facts;
    char real[PATH_MAX];
    size_t length = 0;
    if (realpath(path, real) == NULL || !below(real)) return 0; /* links such as /proc/self/root lead elsewhere */
    int file = open(real, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) return 0;
    if (fstat(file, &facts) == 0 && S_ISREG(facts.st_mode)) {
        ssize_t got;
        while (length < size && (got = read(file, into + length, size - length)) > 0) length += (size_t)got;
    }
    close(file);
    return length;
}

/* bytes: room for one file. */
static uint32_t put_found(const char *pattern, writer *reply, size_t start, uint8_t *bytes) {
    glob_t found;
    uint32_t count = 0;
    if (glob(pattern, 0, NULL, &found) != 0) return 0;
    for (size_t i = 0; i < found.gl_pathc; i++) {
        size_t length = read_small(found.gl_pathv[i], bytes, LARGEST_FILE);
        if (length == 0 || reply->length - start + length > LARGEST_SUM) continue;
        put_text(reply, found.gl_pathv[i]);
        put_u32(reply, (uint32_t)length);
        uint8_t *to = put_space(reply, length);
        if (to != NULL) memcpy(to, bytes, length);
        count++;
    }
    globfree(&found);
    return count;
}

static int put_matches(reader *request, writer *reply, uint8_t *bytes) {
    char pattern[PATTERN_SIZE];
    uint32_t patterns = take_u32(request), count = 0;
    size_t start = reply->length;
    put_u32(reply, 0);
    if (patterns > MOST_PATTERNS) return -1;
    for (uint32_t i = 0; i < patterns && !request->failed; i++) {
        take_text(request, pattern, sizeof pattern);
        if (request->failed || !allowed(pattern)) return -1;
        count += put_found(pattern, reply, start, bytes);
    }
    if (reply->bytes != NULL && !reply->failed) memcpy(reply->bytes + start, &count, sizeof count);
    return 0;
}

int put_files(reader *request, writer *reply) {
    uint8_t *bytes = malloc(LARGEST_FILE);
    if (bytes == NULL) reply->failed = 1;
    int failed = bytes == NULL ? 0 : put_matches(request, reply, bytes);
    free(bytes);
    return failed;
}
