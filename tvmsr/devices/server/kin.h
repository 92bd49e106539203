/* The processes that a session started, whatever they did to leave it. */
#ifndef TVMSR_DEVICE_KIN_H
#define TVMSR_DEVICE_KIN_H

#include <sys/types.h>

/* Become the parent of what our children leave behind. 0 where the kernel, or an emulator, cannot. */
int become_reaper(void);

int has_children(void);

/* SIGKILL for every child of ours but `spared`, and for theirs as they come to us, until none is left. -1 where some are.
 * A program that became another user's (set-uid) cannot be ended.
 */
int end_children(const pid_t *spared, int count);

/* For who is no reaper: SIGKILL for every process of this user that runs a file of the folder, has one mapped, or was told
 * by its environment to keep its files there.
 */
int end_users_of(const char *folder);

#endif
