/* The process that clients meet first: who may come, who waits, whose time is up. Runs no code of a client's, ever. */
#ifndef TVMSR_DEVICE_FRONT_H
#define TVMSR_DEVICE_FRONT_H

#include "options.h"

/* Serve until told to end; the exit code. in, out: of --stdio. Sessions wipe their copy of the token in `o`. */
int front_run(options *o, int in, int out);

#endif
