/* Frames over two file descriptors, and the signs of life while a request is worked on. */
#ifndef TVMSR_HOST_TRANSPORT_H
#define TVMSR_HOST_TRANSPORT_H

#include "dispatch.h"

/* Serve requests that come from `in` with replies to `out` until `in` ends. Returns the exit code of the program. */
int serve(int in, int out);

#endif
