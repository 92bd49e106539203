/* What the kernel says of processes and the machine. */
#ifndef TVMSR_DEVICE_PROC_H
#define TVMSR_DEVICE_PROC_H

#include <stdint.h>
#include <sys/types.h>

/* The parent of a process, or its user; -1 where it is no more. */
pid_t parent_of(pid_t process);
long user_of(pid_t process);

/* Threads that this user has: the kernel's limit is on all of them, not on those of a session. */
uint64_t threads_of_user(void);

/* Bytes that the machine has; UINT64_MAX where that cannot be read. */
uint64_t machine_memory(void);

#endif
