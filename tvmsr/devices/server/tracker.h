/* Our entry at a TVM tracker: it has a key for each client that we could serve now, hands them out, and each is good once. */
#ifndef TVMSR_DEVICE_TRACKER_H
#define TVMSR_DEVICE_TRACKER_H

#include <stdint.h>

#include "address.h"
#include "options.h"

enum { MATCHKEY_SIZE = NAME_SIZE + 40, TRACKER_BUFFER = 1 << 20 };

/* A key that the tracker has, or gave to a client who has not come yet. */
typedef struct {
    char matchkey[MATCHKEY_SIZE];
    int64_t missing; /* since when the tracker has it no more, or 0 */
} offer;

typedef struct {
    const char *key; /* what clients ask for */
    const char *host; /* where they are sent; NULL: where the tracker sees us */
    int port;
    address at;
    int fd; /* -1: not connected */
    int phase;
    int64_t due;          /* when to try again, to ask again, or to stop waiting for an answer */
    offer offers[MOST_SESSIONS];
    int count;
    int said_lost;
    uint32_t got;
    char buffer[TRACKER_BUFFER];
} tracker;

/* 0, or -1 with a text. */
int tracker_find(tracker *t, const options *o, int port, char *why, size_t size);

/* What to poll for; 0 where there is no connection. */
short tracker_events(const tracker *t);

/* Go on: `ready` is what poll saw, `wanted` how many clients may come. */
void tracker_step(tracker *t, short ready, int wanted);

/* A client came with the key of this offer: it is spent. */
void tracker_spent(tracker *t, int which);

/* Wipe all keys. */
void tracker_forget(tracker *t);

#endif
