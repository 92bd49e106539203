#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_SIZE = 600, REMEMBERED = 16, WINDOW_MS = 10000, WINDOW_LINES = 30 };

int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void log_line(const char *format, ...) {
    char line[LINE_SIZE];
    time_t seconds = time(NULL);
    struct tm day;
    size_t length = 0;
    if (localtime_r(&seconds, &day) != NULL) length = strftime(line, sizeof line, "%H:%M:%S " TVMSR_PROGRAM ": ", &day);
    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(line + length, sizeof line - length - 1, format, arguments);
    va_end(arguments);
    if (more > 0) length += (size_t)more < sizeof line - length - 1 ? (size_t)more : sizeof line - length - 2;
    for (size_t i = 0; i < length; i++) { /* what a client said makes no line of its own, and moves no cursor */
        if (line[i] < ' ' || line[i] > '~') line[i] = '?';
    }
    line[length++] = '\n';
    /* One write, so that lines of several processes do not mix. A log that cannot be written stops nothing. */
    if (write(STDERR_FILENO, line, length) < 0) return;
}

int log_room(void) {
    static int64_t begin;
    static int lines;
    int64_t now = now_ms();
    if (begin == 0 || now - begin > WINDOW_MS) {
        begin = now;
        lines = 0;
    }
    return lines++ < WINDOW_LINES;
}

void log_missing(const char *what) {
    static const char *said[REMEMBERED];
    for (int i = 0; i < REMEMBERED; i++) {
        if (said[i] != NULL && strcmp(said[i], what) == 0) return;
        if (said[i] != NULL) continue;
        said[i] = what;
        log_line("without %s here: %s", what, strerror(errno));
        return;
    }
}
