/* Which CPUs a session's threads should use. Not by sysconf: its numbers differ between C libraries. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "cpu.h"
#include "small.h"

#if defined(__linux__)
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

SR_SMALL

#define SYSTEM_CPUS "/sys/devices/system/cpu"

enum { WORD = 8 * sizeof(unsigned long) };

static int has_cpu(const sr_cpus *cpus, int cpu) { return cpus->bits[cpu / WORD] >> cpu % WORD & 1; }

int sr_cpus_count(const sr_cpus *cpus) {
    int count = 0;
    for (int cpu = 0; cpu < SR_MOST_CPUS; cpu++) count += has_cpu(cpus, cpu);
    return count;
}

/* What a CPU can do beside the others, 0: not known. */
static uint16_t capacity_of(const char *root, int cpu) {
    char text[256];
    uint32_t capacity = 0;
    if (snprintf(text, sizeof text, "%s/cpu%d/cpu_capacity", root, cpu) >= (int)sizeof text) return 0;
    FILE *file = fopen(text, "re");
    if (file == NULL) return 0;
    if (fgets(text, sizeof text, file) == NULL) text[0] = '\0';
    fclose(file);
    for (const char *at = text; *at >= '0' && *at <= '9' && capacity <= UINT16_MAX; at++) {
        capacity = capacity * 10 + (uint32_t)(*at - '0');
    }
    return (uint16_t)(capacity < UINT16_MAX ? capacity : UINT16_MAX);
}

int sr_cpus_keep_big(sr_cpus *cpus, const char *root) {
    uint16_t capacities[SR_MOST_CPUS], largest = 0;
    for (int cpu = 0; cpu < SR_MOST_CPUS; cpu++) {
        if (!has_cpu(cpus, cpu)) continue;
        capacities[cpu] = capacity_of(root, cpu);
        if (capacities[cpu] == 0) return sr_cpus_count(cpus);
        if (capacities[cpu] > largest) largest = capacities[cpu];
    }
    /* 45 %: an A55 beside A76 at their clocks has 39 % (RK3588), the middle cores of phones have 48 % and more. */
    for (int cpu = 0; cpu < SR_MOST_CPUS; cpu++) {
        if (has_cpu(cpus, cpu) && capacities[cpu] * 20 < largest * 9) cpus->bits[cpu / WORD] &= ~(1ul << cpu % WORD);
    }
    return sr_cpus_count(cpus);
}

int sr_cpus_remove(sr_cpus *cpus, int cpu) {
    if (0 <= cpu && cpu < SR_MOST_CPUS) cpus->bits[cpu / WORD] &= ~(1ul << cpu % WORD);
    return sr_cpus_count(cpus);
}

#if defined(__linux__)

int sr_thread_id(void) { return (int)syscall(SYS_gettid); }

int sr_cpu_here(void) { return sched_getcpu(); }

int sr_cpus_allowed(int thread, sr_cpus *cpus) {
    memset(cpus, 0, sizeof *cpus);
    if (sched_getaffinity(thread, sizeof *cpus, (cpu_set_t *)(void *)cpus) != 0) return 0;
    return sr_cpus_count(cpus);
}

int sr_cpus_bind(int thread, const sr_cpus *cpus) {
    return sched_setaffinity(thread, sizeof *cpus, (const cpu_set_t *)(const void *)cpus) == 0;
}

#else

int sr_thread_id(void) { return 0; }

int sr_cpu_here(void) { return -1; }

int sr_cpus_allowed(int thread, sr_cpus *cpus) {
    (void)thread;
    memset(cpus, 0, sizeof *cpus);
    return 0;
}

int sr_cpus_bind(int thread, const sr_cpus *cpus) {
    (void)thread;
    (void)cpus;
    return 0;
}

#endif

#if defined(__linux__) && (defined(__aarch64__) || defined(__arm__))

int sr_cpus_for(int threads, sr_cpus *cpus) {
    const int allowed = sr_cpus_allowed(0, cpus), big = sr_cpus_keep_big(cpus, SYSTEM_CPUS);
    return 0 < big && big < allowed && threads <= big;
}

#else

int sr_cpus_for(int threads, sr_cpus *cpus) {
    (void)threads;
    (void)cpus;
    return 0;
}

#endif

#if defined(__APPLE__)

static int number_of(const char *key) {
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(key, &value, &size, NULL, 0) == 0 && value > 0 ? value : 0;
}

int sr_default_threads(void) {
    const int fast = number_of("hw.perflevel0.logicalcpu"), all = number_of("hw.logicalcpu");
    return fast > 0 ? fast : all > 0 ? all : 1;
}

#else

int sr_default_threads(void) {
    sr_cpus cpus;
    int count = sr_cpus_allowed(0, &cpus);
#if defined(__aarch64__) || defined(__arm__)
    if (count > 0) count = sr_cpus_keep_big(&cpus, SYSTEM_CPUS);
#endif
    return count > 0 ? count : 1;
}

#endif

SR_SMALL_END
