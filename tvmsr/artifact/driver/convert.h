/* The ends of a run: the caller's pixels to the network's input, and its output to the caller's pixels. */
#ifndef SR_CONVERT_H
#define SR_CONVERT_H

#include "colour.h"
#include "session.h"

/* Input rows [first, last) of what the network runs on, which may be more than the picture has. */
void sr_convert_input(tvmsr_session *session, const sr_choice *choice, const sr_plane *in, int64_t first, int64_t last);

/* Rows of the picture [first, last): all output rows of each. */
void sr_convert_output(tvmsr_session *session, const sr_choice *choice, const sr_finish *finish, int64_t first, int64_t last);

#endif
