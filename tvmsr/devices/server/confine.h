/* What a session's process does to itself before it listens to its client. */
#ifndef TVMSR_DEVICE_CONFINE_H
#define TVMSR_DEVICE_CONFINE_H

#include <sys/types.h>

#include "options.h"

/* Close every descriptor but 0 to 2 and these; -1 is none. */
void close_others(const int *kept, int count);

/* Close all but 0 to 2 and these, which this program was started with, and limit what it will have. */
void limit_descriptors(const options *o, int in, int out);

/* SIGKILL for us when `parent` ends. Exits where it is over already. */
void die_with(pid_t parent);

/* Signals as a program expects them. */
void default_signals(void);

/* What lies in memory here is not for the processes of this user. `hidden` 0 takes it back. */
void hide_memory(int hidden);

void without_core_files(void);

/* Limits, the folder, the environment. */
void confine(const options *o, const char *folder);

/* Run the options' command, which gets its client through `line`. Never returns. */
__attribute__((noreturn)) void become_command(const options *o, int line);

#endif
