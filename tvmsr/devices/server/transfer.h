/* Files of one session's folder, by names that a client sends: one plain chain of components that stays inside. */
#ifndef TVMSR_DEVICE_TRANSFER_H
#define TVMSR_DEVICE_TRANSFER_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *folder;
    uint64_t disk; /* bytes of all files together */
} storage;

/* All return 0, or -1 with a text of why not. "" is the folder itself for transfer_path only. */
int transfer_path(const storage *s, const char *name, char *path, size_t size, char *why, size_t why_size);
int transfer_write(const storage *s, const char *name, const void *bytes, size_t length, char *why, size_t why_size);
int transfer_remove(const storage *s, const char *name, char *why, size_t why_size);

/* A descriptor and the file's size, or -1 with a text. */
int transfer_open(const storage *s, const char *name, uint64_t *length, char *why, size_t why_size);

#endif
