#include "cpu.h"

#include <string.h>

#include "small.h"

#if defined(__APPLE__)
#include <sys/sysctl.h>
#endif

SR_SMALL

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>

/* Registers that the operating system must save for a feature to be usable: bits of XCR0. */
#define STATE_AVX 0x06u
#define STATE_AVX512 0xE6u

/* Where CPUID says it: leaf, subleaf, register (a, b, c, d), bit. */
typedef struct {
    const char *name;
    unsigned leaf, subleaf, reg, bit, state;
} feature;

static const feature FEATURES[] = {
    {"sse4.1", 1, 0, 2, 19, 0},
    {"ssse3", 1, 0, 2, 9, 0},
    {"avx", 1, 0, 2, 28, STATE_AVX},
    {"fma", 1, 0, 2, 12, STATE_AVX},
    {"f16c", 1, 0, 2, 29, STATE_AVX},
    {"bmi", 7, 0, 1, 3, 0},
    {"bmi2", 7, 0, 1, 8, 0},
    {"avx2", 7, 0, 1, 5, STATE_AVX},
    {"avx512f", 7, 0, 1, 16, STATE_AVX512},
    {"avx512dq", 7, 0, 1, 17, STATE_AVX512},
    {"avx512cd", 7, 0, 1, 28, STATE_AVX512},
    {"avx512bw", 7, 0, 1, 30, STATE_AVX512},
    {"avx512vl", 7, 0, 1, 31, STATE_AVX512},
    {"avx512vnni", 7, 0, 2, 11, STATE_AVX512},
    {"avxvnni", 7, 1, 0, 4, STATE_AVX},
};

static unsigned saved_state(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0; /* OSXSAVE: xgetbv exists */
    __asm__ __volatile__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return a;
}

static int has(const char *name) {
    for (size_t i = 0; i < sizeof FEATURES / sizeof *FEATURES; i++) {
        const feature *f = &FEATURES[i];
        if (strcmp(f->name, name) != 0) continue;
        unsigned r[4];
        if (!__get_cpuid_count(f->leaf, f->subleaf, &r[0], &r[1], &r[2], &r[3])) return 0;
        return (r[f->reg] >> f->bit & 1) && (saved_state() & f->state) == f->state;
    }
    return 0;
}

#elif defined(__linux__) && (defined(__aarch64__) || defined(__arm__))
#include <sys/auxv.h>

/* Bits of the auxiliary vector, from the kernel's documentation: not every libc has the newer names. */
typedef struct {
    const char *name;
    unsigned long entry; /* 16: AT_HWCAP, 26: AT_HWCAP2 */
    unsigned bit;
} feature;

static const feature FEATURES[] = {
#if defined(__aarch64__)
    {"neon", 16, 1},
    {"fp16", 16, 10},
    {"dotprod", 16, 20},
    {"sve", 16, 22},
    {"i8mm", 26, 13},
#else
    {"neon", 16, 12},
    {"vfpv4", 16, 16},
    {"dotprod", 16, 24},
    {"i8mm", 16, 27},
#endif
};

static int has(const char *name) {
    for (size_t i = 0; i < sizeof FEATURES / sizeof *FEATURES; i++) {
        if (strcmp(FEATURES[i].name, name) == 0) return getauxval(FEATURES[i].entry) >> FEATURES[i].bit & 1;
    }
    return 0;
}

#elif defined(__APPLE__) && defined(__aarch64__)

typedef struct {
    const char *name, *key; /* NULL: every one has it */
} feature;

static const feature FEATURES[] = {
    {"neon", NULL},
    {"fp16", "hw.optional.arm.FEAT_FP16"},
    {"dotprod", "hw.optional.arm.FEAT_DotProd"},
    {"i8mm", "hw.optional.arm.FEAT_I8MM"},
};

static int has(const char *name) {
    for (size_t i = 0; i < sizeof FEATURES / sizeof *FEATURES; i++) {
        if (strcmp(FEATURES[i].name, name) != 0) continue;
        int value = 0;
        size_t size = sizeof value;
        if (FEATURES[i].key == NULL) return 1;
        return sysctlbyname(FEATURES[i].key, &value, &size, NULL, 0) == 0 && value != 0;
    }
    return 0;
}

#else

static int has(const char *name) {
    (void)name;
    return 0;
}

#endif

const char *sr_cpu_lacks(const char *const *needs) {
    for (; needs != NULL && *needs != NULL; needs++) {
        if (!has(*needs)) return *needs;
    }
    return NULL;
}

SR_SMALL_END
