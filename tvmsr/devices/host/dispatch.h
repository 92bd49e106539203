/* Answers requests about one artifact. Knows nothing of how they arrive: pipes here, another transport elsewhere. */
#ifndef TVMSR_HOST_DISPATCH_H
#define TVMSR_HOST_DISPATCH_H

#include "load.h"
#include "wire.h"

/* Called between strips of an upscale, by the thread that handles the request. Not 0 cancels. */
typedef int (*host_progress)(void *user, int64_t done, int64_t total);

/* One artifact and one session of it; zero to begin with. */
typedef struct {
    artifact loaded;
    tvmsr_session *session;
    host_progress progress;
    void *user;
} host;

/* Answer a request: returns the reply's code and fills its payload, which is a text unless the code is 0. */
uint32_t host_handle(host *h, uint32_t command, const uint8_t *payload, size_t length, writer *reply);

/* Close the session; the artifact stays loaded. */
void host_close(host *h);

#endif
