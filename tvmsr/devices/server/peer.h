/* A client before its session: what it says of itself, read without ever blocking. */
#ifndef TVMSR_DEVICE_PEER_H
#define TVMSR_DEVICE_PEER_H

#include <stdint.h>

#include "address.h"

enum { PEER_KEY = 1024, PEER_HEAD = 8 };

typedef struct {
    int in, out;       /* the same descriptor for a socket */
    int valid;         /* what it said was right: it waits for a session */
    int64_t deadline;  /* of what it says */
    int64_t session_ms; /* how long it wants to stay; 0 where it did not say */
    uint32_t got;      /* bytes of head and key */
    uint8_t said[PEER_HEAD + PEER_KEY];
    char from[ADDRESS_TEXT];
} peer;

enum { PEER_MORE, PEER_SAID, PEER_GONE };

/* Read what is there; PEER_SAID once all of it is. PEER_GONE too where it is no client of TVM's RPC. */
int peer_read(peer *p);

/* Which of the `count` keys the client said, behind "client:", and where `token` is not empty with ":" and the token after
 * it, with `bare_too` also without; or -1. Takes the same time for every word. Takes the options after it, too.
 */
int peer_matches(peer *p, const char *const *keys, int count, const char *token, int bare_too);

/* The last words to a client that is refused, and the first to one that is served. */
void peer_refuse(const peer *p);
void peer_welcome(const peer *p, const char *key);

/* An exception in TVM's protocol, for a client whose session was ended. Never blocks. */
void peer_exception(const peer *p, const char *text);

void peer_close(peer *p);

#endif
