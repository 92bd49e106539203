/* TVM's side: what a session's process does once it is confined. The only header that both languages share. */
#ifndef TVMSR_DEVICE_SERVE_H
#define TVMSR_DEVICE_SERVE_H

#ifdef __cplusplus
extern "C" {
#endif

#include "transfer.h"

/* Answer TVM's RPC on the channel until the peer is done; SERVE_BROKE after a line in the log. */
int serve_rpc(const storage *files);

#ifdef __cplusplus
}
#endif

#endif
