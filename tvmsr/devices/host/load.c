#include "load.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "sha256.h"

/* Where a function's pointer lies in `artifact`. */
typedef struct {
    const char *name;
    size_t offset;
    int optional;
} entry;

#define ENTRY(name) {#name, offsetof(artifact, name), 0}
#define OPTIONAL(name) {#name, offsetof(artifact, name), 1}

static const entry ENTRIES[] = {
    ENTRY(get_info), ENTRY(level_name), ENTRY(choice_name), ENTRY(level_runs), ENTRY(open),    ENTRY(open_error),
    ENTRY(close),    ENTRY(upscale),    ENTRY(workspace),   ENTRY(last),       ENTRY(profile), ENTRY(read_profile),
    ENTRY(error),    ENTRY(force_choice), OPTIONAL(trace),   OPTIONAL(read_trace), OPTIONAL(check),
};

/* 0 where the file has the checksum that it should have. */
static int check_sum(const char *path, const char *sum, char *why, size_t size) {
    char found[65] = "";
    FILE *file = fopen(path, "rb");
    int failed = file == NULL || sha256_of_file(file, found) != 0;
    if (file != NULL) fclose(file);
    if (!failed && strcmp(found, sum) == 0) return 0;
    snprintf(why, size, failed ? "cannot be read" : "is not what was sent: its checksum differs");
    return -1;
}

int load_artifact(const char *path, const char *prefix, const char *sum, artifact *found, char *why, size_t size) {
    memset(found, 0, sizeof *found);
    if (*sum && check_sum(path, sum, why, size) != 0) return -1;
    if (check_file(path, why, size) != 0) return -1;
    found->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (found->library == NULL) {
        const char *text = dlerror();
        snprintf(why, size, "cannot be loaded: %s", text != NULL ? text : "no reason given");
        return -1;
    }
    for (size_t i = 0; i < sizeof ENTRIES / sizeof *ENTRIES; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s_%s", prefix, ENTRIES[i].name);
        void *function = dlsym(found->library, name);
        if (function == NULL && !ENTRIES[i].optional) {
            snprintf(why, size, "has no %s: not an artifact of tvmsr", name);
            unload_artifact(found);
            return -1;
        }
        memcpy((char *)found + ENTRIES[i].offset, &function, sizeof function);
    }
    return 0;
}

void unload_artifact(artifact *loaded) {
    if (loaded->library != NULL) dlclose(loaded->library);
    memset(loaded, 0, sizeof *loaded);
}
