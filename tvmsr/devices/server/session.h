/* A client that is served: a process of its own, confined, in a folder of its own; and how both end.
 *
 * Between us and that process is its keeper: the parent of it and of all that it leaves behind. When the session is over,
 * or we are, or say so, it ends all of them, removes the folder and goes the way that the session went.
 */
#ifndef TVMSR_DEVICE_SESSION_H
#define TVMSR_DEVICE_SESSION_H

#include <limits.h>
#include <sys/types.h>

#include "options.h"
#include "peer.h"

typedef struct {
    const options *limits;
    pid_t keeper;  /* 0: no session here */
    pid_t process; /* the session's own, for the log */
    int leash;     /* to the keeper: it ends the session when this ends */
    int line;      /* to a command, that waits for its client; or -1 */
    int lock;      /* of the folder */
    unsigned number;         /* 0: no client yet */
    int64_t began, deadline; /* deadline: when it has to end */
    int64_t gone;            /* when the client was seen to have left, or 0 */
    int64_t ordered;         /* when the keeper was told to end it, or 0 */
    int why;                 /* it was, or 0 */
    peer client;
    char folder[PATH_MAX];
} session;

/* Why a session has to end. */
enum { END_GONE = 1, END_TIME, END_SERVER };

/* A keeper is killed where it takes longer, and we do its work. */
enum { KEEPER_MS = 1000 };

/* Make a process, for `client`, or where options have a command for whoever comes: client NULL. 0, or -1 after a line in
 * the log. `base`: where its folder is made. `forget` wipes in the new process what the client's code may not know.
 */
int session_open(session *s, const peer *client, const char *base, const options *o, void (*forget)(void));

/* The client, which is the session's now, is served. */
void session_begin(session *s, const peer *client, unsigned number, const options *o);

/* Have it end; session_over says when it has. */
void session_end(session *s, int why);

/* Whether it is over. Then everything is cleared away. `keepers`: of all sessions that there are. */
int session_over(session *s, const pid_t *keepers, int count);

/* Once, before the first session: what keepers that are killed leave is ours. */
void sessions_prepare(void);

#endif
