#define _GNU_SOURCE
#include "facts.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

enum { HWCAP_ENTRY = 16, HWCAP2_ENTRY = 26 };

static void put_libc(writer *w) {
#ifdef __GLIBC__
    char text[64];
    snprintf(text, sizeof text, "glibc %s", gnu_get_libc_version());
    put_text(w, text);
#elif defined(__BIONIC__)
    put_text(w, "bionic");
#else
    put_text(w, "musl"); /* the only other one that we are built for; it has no macro of its own */
#endif
}

/* Of this process: a 32-bit one on a 64-bit kernel hears of the kernel's. */
static const char *machine(const struct utsname *name) {
#if defined(__arm__)
    if (strcmp(name->machine, "aarch64") == 0) return "armv8l";
#endif
    return name->machine;
}

static uint32_t cores(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
    int count = CPU_COUNT(&set);
    return count > 0 ? (uint32_t)count : 1;
}

void put_facts(writer *w) {
    struct utsname name;
    long page = sysconf(_SC_PAGESIZE), pages = sysconf(_SC_PHYS_PAGES);
    int known = uname(&name) == 0;
    put_text(w, known ? machine(&name) : "");
    put_text(w, known ? name.sysname : "");
    put_libc(w);
    put_u64(w, getauxval(HWCAP_ENTRY));
    put_u64(w, getauxval(HWCAP2_ENTRY));
    put_u32(w, cores());
    put_u32(w, page > 0 ? (uint32_t)page : 0);
    put_u64(w, page > 0 && pages > 0 ? (uint64_t)page * (uint64_t)pages : 0);
}

/* A line of /proc/self/status in bytes; 0 where there is none. */
static uint64_t status_line(const char *label) {
    FILE *file = fopen("/proc/self/status", "r");
    unsigned long long kilobytes = 0;
    char line[256];
    if (file == NULL) return 0;
    while (fgets(line, sizeof line, file) != NULL) {
        size_t length = strlen(label);
        if (strncmp(line, label, length) == 0 && sscanf(line + length, "%llu", &kilobytes) == 1) break;
    }
    fclose(file);
    return (uint64_t)kilobytes << 10;
}

/* Resident pages of one mapping. A page of a file counts when it is in the page cache. */
static uint64_t resident_of(uintptr_t start, uintptr_t end, size_t page) {
    unsigned char present[1024];
    uint64_t pages = 0;
    while (start < end) {
        size_t bytes = end - start < sizeof present * page ? end - start : sizeof present * page;
        if (mincore((void *)start, bytes, present) != 0) break;
        for (size_t i = 0; i < (bytes + page - 1) / page; i++) pages += present[i] & 1;
        start += bytes;
    }
    return pages * page;
}

static uint64_t own_resident(void) {
    long page = sysconf(_SC_PAGESIZE);
    FILE *file = fopen("/proc/self/maps", "r");
    uint64_t sum = 0;
    char line[4352];
    if (file == NULL) return 0;
    while (page > 0 && fgets(line, sizeof line, file) != NULL) {
        unsigned long start, end;
        char readable;
        if (sscanf(line, "%lx-%lx %c", &start, &end, &readable) == 3 && start < end && readable == 'r') {
            sum += resident_of((uintptr_t)start, (uintptr_t)end, (size_t)page);
        }
    }
    fclose(file);
    return sum;
}

void put_memory(writer *w) {
    put_u64(w, status_line("VmRSS:"));
    put_u64(w, status_line("VmHWM:"));
    put_u64(w, own_resident());
}
