/* What the CPU that runs us can do, by the names that Level.needs uses, and which CPUs there are. */
#ifndef SR_CPU_H
#define SR_CPU_H

#include "program.h"

/* The first feature of `needs` (NULL-terminated) that is missing here or unknown to this driver, or NULL. */
const char *sr_cpu_lacks(const char *const *needs);

/* A set of CPUs by number, as the system calls of Linux have it. */
#define SR_MOST_CPUS 4096
typedef struct sr_cpus {
    unsigned long bits[SR_MOST_CPUS / (8 * sizeof(unsigned long))];
} sr_cpus;

int sr_cpus_count(const sr_cpus *cpus);

/* Take one out; returns how many are left. */
int sr_cpus_remove(sr_cpus *cpus, int cpu);

/* The calling thread's number as the calls below take it; there 0 is the calling thread too. 0: the system has none. */
int sr_thread_id(void);

/* The CPU that the calling thread is on just now, below 0: not known. */
int sr_cpu_here(void);

/* The CPUs that a thread may run on; returns how many, 0: not known. */
int sr_cpus_allowed(int thread, sr_cpus *cpus);

/* Keep the big ones: with at least 45 % of the largest capacity among them. `root` is the folder that has
 * cpu0/cpu_capacity, /sys/devices/system/cpu; where it does not say for each of them, all stay. Returns how many.
 */
int sr_cpus_keep_big(sr_cpus *cpus, const char *root);

/* Threads of a session that was not told how many: a big CPU each; at least 1. */
int sr_default_threads(void);

/* Where threads of a session of so many belong: 1, and the big CPUs, where there are others and they are enough. */
int sr_cpus_for(int threads, sr_cpus *cpus);

/* Keep a thread on these; 0, and nothing changed, where the system does not let us. */
int sr_cpus_bind(int thread, const sr_cpus *cpus);

#endif
