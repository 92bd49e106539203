/* The dispatcher as one TVM-FFI function, for sessions of any TVM RPC server: bytes in, bytes out.
 *
 * TVM's RPC answers a call when it is done, and says nothing before. So long work runs in a thread of its own, and a call
 * returns after `wait` milliseconds at most with what there is: the client polls, sees progress, and knows within seconds
 * whether this side is alive.
 *
 * A request is op and instance (uint32 each; an instance is an artifact and its session) and, little-endian as in wire.h:
 *   BEGIN   command: uint32, length of the payload: uint64, wait: uint32, the payload's first bytes
 *   MORE    wait: uint32, further bytes; with the last ones the work begins
 *   WAIT    wait: uint32
 *   READ    offset: uint64, size: uint32 of the reply's payload
 *   CANCEL  wait: uint32; an upscale ends at its next strip
 *   FILES   as the command of this name (files.h); answered at once, whatever is at work
 * A reply is a state (uint32) and
 *   RECEIVING  bytes received: uint64
 *   WORKING    rows done, rows in all, CPU time of this process in nanoseconds: uint64 each
 *   DONE       the reply's code: uint32, length of its payload: uint64, bytes of it (READ: from `offset`)
 *   BAD        a text without a length
 */
#ifndef TVMSR_HOST_AGENT_H
#define TVMSR_HOST_AGENT_H

#include <stdint.h>

enum { AGENT_BEGIN = 1, AGENT_MORE = 2, AGENT_WAIT = 3, AGENT_READ = 4, AGENT_CANCEL = 5, AGENT_FILES = 6 };
enum { AGENT_RECEIVING = 0, AGENT_WORKING = 1, AGENT_DONE = 2, AGENT_BAD = 3 };

#define AGENT_INSTANCES 16u
#define AGENT_LONGEST_WAIT 1000u             /* milliseconds */
#define AGENT_PIECE ((uint64_t)1 << 20)      /* bytes of a payload in one reply */

/* A value of TVM-FFI's calling convention. */
typedef struct {
    int32_t type;
    uint32_t small_length; /* of bytes that lie in the value itself; 0 otherwise */
    union {
        int64_t number;
        const unsigned char *pointer;
        unsigned char small[8];
    } value;
} agent_any;

/* TVM-FFI's entry: 0, or -1 with an error raised. tvm.runtime.load_module(...)["tvmsr_agent"] calls it. */
__attribute__((visibility("default"))) int __tvm_ffi_tvmsr_agent(void *self, const agent_any *arguments, int32_t count,
                                                                 agent_any *result);

#endif
