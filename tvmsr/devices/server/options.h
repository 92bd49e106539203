/* The command line. */
#ifndef TVMSR_DEVICE_OPTIONS_H
#define TVMSR_DEVICE_OPTIONS_H

#include <stddef.h>
#include <stdint.h>

enum { NAME_SIZE = 128, TOKEN_SIZE = 513, MOST_SESSIONS = 64 };

typedef struct {
    const char *listen;   /* HOST:PORT, unix:PATH or unix:@NAME */
    const char *tracker;  /* HOST:PORT, or NULL */
    const char *advertise; /* the host that the tracker sends clients to; NULL: where it sees us */
    const char *folder;   /* where session folders are made; NULL: in $TMPDIR */
    char **command;       /* what runs a session, with its arguments; NULL: TVM's loop in this program */
    char key[NAME_SIZE];
    char token[TOKEN_SIZE]; /* "": none */
    int stdio, trust_tracker;
    int sessions, queue, processes;
    int64_t session_ms, stall_ms, idle_ms;
    uint64_t memory, disk; /* bytes; memory 0: most of what the machine has */
} options;

enum { OPTIONS_RUN, OPTIONS_DONE, OPTIONS_WRONG };

/* Fills `found`; OPTIONS_DONE after --help and --version, OPTIONS_WRONG after an error, which it printed. */
int read_options(int count, char **words, options *found);

#endif
