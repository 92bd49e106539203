/* An artifact's file, checked before any of it is run, then loaded; its functions by their names. */
#ifndef TVMSR_HOST_LOAD_H
#define TVMSR_HOST_LOAD_H

#include <stddef.h>

#include "tvmsr.h"

/* The C ABI with the types of tvmsr.h: one pointer a function, filled by load_artifact. */
typedef struct {
    void *library;
    __typeof__(&tvmsr_get_info) get_info;
    __typeof__(&tvmsr_level_name) level_name;
    __typeof__(&tvmsr_choice_name) choice_name;
    __typeof__(&tvmsr_level_runs) level_runs;
    __typeof__(&tvmsr_open) open;
    __typeof__(&tvmsr_open_error) open_error;
    __typeof__(&tvmsr_close) close;
    __typeof__(&tvmsr_upscale) upscale;
    __typeof__(&tvmsr_workspace) workspace;
    __typeof__(&tvmsr_force_choice) force_choice;
    __typeof__(&tvmsr_last) last;
    __typeof__(&tvmsr_profile) profile;
    __typeof__(&tvmsr_read_profile) read_profile;
    __typeof__(&tvmsr_error) error;
    /* NULL where the file is older than they are. */
    __typeof__(&tvmsr_trace) trace;
    __typeof__(&tvmsr_read_trace) read_trace;
    __typeof__(&tvmsr_check) check;
} artifact;

/* 0, or -1 with a text of why not. prefix: of the functions, from the manifest. sum: the file's SHA-256 in hex, "" where
 * nobody knows it.
 */
int load_artifact(const char *path, const char *prefix, const char *sum, artifact *found, char *why, size_t size);

/* Let go of the library; its sessions are closed. */
void unload_artifact(artifact *loaded);

/* 0 where the file is a whole ELF library for this program's CPU and word size, else -1 with a text. A loader maps
 * what the headers say; a file that is shorter would end the process with SIGBUS.
 */
int check_file(const char *path, char *why, size_t size);

#endif
