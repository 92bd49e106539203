/* The session's bytes from and to its client, with the limits on silence. A process has one session, and so one channel. */
#ifndef TVMSR_DEVICE_CHANNEL_H
#define TVMSR_DEVICE_CHANNEL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* How a session's process ends: its exit code. The last two tell the client, by the front, that its time was up. */
enum { SERVE_DONE = 0, SERVE_BROKE = 1, SERVE_STALLED = 90, SERVE_IDLE = 91 };

/* in and out are the same descriptor for a socket. Milliseconds that a packet that has begun, either way, may stand still,
 * and that none may come.
 */
void channel_open(int in, int out, int64_t stall_ms, int64_t idle_ms);

/* Some bytes, at most `size` and of one packet; 0 at the end, -1 with errno. Beyond the limits the process ends. */
ssize_t channel_receive(void *data, size_t size);

/* How many bytes went; -1 with errno. */
ssize_t channel_send(const void *data, size_t size);

#endif
