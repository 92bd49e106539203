/* What the CPU that runs us can do, by the names that Level.needs uses. */
#ifndef SR_CPU_H
#define SR_CPU_H

#include "program.h"

/* The first feature of `needs` (NULL-terminated) that is missing here or unknown to this driver, or NULL. */
const char *sr_cpu_lacks(const char *const *needs);

/* CPUs this process may run on, at least 1. */
int sr_cpu_count(void);

#endif
