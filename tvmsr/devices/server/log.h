/* One line an event on standard error. Never a key or a token. */
#ifndef TVMSR_DEVICE_LOG_H
#define TVMSR_DEVICE_LOG_H

#include <stdint.h>

/* What it calls itself. */
#ifndef TVMSR_PROGRAM
#define TVMSR_PROGRAM "tvmsr-device"
#endif

/* Milliseconds of CLOCK_MONOTONIC. */
int64_t now_ms(void);

__attribute__((format(printf, 1, 2))) void log_line(const char *format, ...);

/* Whether there is room for one more line of a kind that strangers cause: some a second, so that they fill no disk. */
int log_room(void);

/* For what a kernel or an emulator may lack and the server works without: said once, with errno. */
void log_missing(const char *what);

#endif
