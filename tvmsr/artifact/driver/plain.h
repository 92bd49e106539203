/* Plain parameters of a step, from the form in which the data hold them. */
#ifndef SR_PLAIN_H
#define SR_PLAIN_H

#include "program.h"

/* Entries of a table at most. */
#define SR_MOST_TABLE 65536

/* The words, a table's included, to be freed. NULL: *wrong says what is wrong, or is NULL where there is no
 * memory. What the step's layout says must have been looked at. */
int32_t *sr_plain_open(const sr_model *model, const sr_step *step, const char **wrong);

#endif
