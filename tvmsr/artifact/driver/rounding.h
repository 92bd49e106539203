/* The floating-point mode the kernels are defined in: round to nearest even, no flushing, no traps.
 *
 * A host may have set another one (games and audio code do): it is saved at the beginning of a call and put back at its
 * end. On 32-bit ARM the vector unit ignores the mode, the scalar one obeys it.
 */
#ifndef SR_ROUNDING_H
#define SR_ROUNDING_H

#include <stdint.h>

#if defined(__x86_64__) || defined(__SSE2__)
#include <xmmintrin.h>
typedef uint32_t sr_rounding;
static inline sr_rounding sr_rounding_get(void) { return _mm_getcsr(); }
static inline void sr_rounding_set(sr_rounding mode) { _mm_setcsr(mode); }
#define SR_ROUNDING_DEFAULT 0x1F80u
#elif defined(__aarch64__)
typedef uint64_t sr_rounding;
static inline sr_rounding sr_rounding_get(void) {
    uint64_t mode;
    __asm__ __volatile__("mrs %0, fpcr" : "=r"(mode));
    return mode;
}
static inline void sr_rounding_set(sr_rounding mode) { __asm__ __volatile__("msr fpcr, %0" : : "r"(mode) : "memory"); }
#define SR_ROUNDING_DEFAULT ((uint64_t)0)
#elif defined(__arm__) && defined(__ARM_FP)
typedef uint32_t sr_rounding;
static inline sr_rounding sr_rounding_get(void) {
    uint32_t mode;
    __asm__ __volatile__("vmrs %0, fpscr" : "=r"(mode));
    return mode;
}
static inline void sr_rounding_set(sr_rounding mode) { __asm__ __volatile__("vmsr fpscr, %0" : : "r"(mode) : "memory"); }
#define SR_ROUNDING_DEFAULT 0u
#elif defined(__riscv_flen)
typedef unsigned long sr_rounding;
static inline sr_rounding sr_rounding_get(void) {
    unsigned long mode;
    __asm__ __volatile__("frrm %0" : "=r"(mode));
    return mode;
}
static inline void sr_rounding_set(sr_rounding mode) { __asm__ __volatile__("fsrm %0" : : "r"(mode) : "memory"); }
#define SR_ROUNDING_DEFAULT 0ul
#else
#include <fenv.h>
typedef int sr_rounding;
static inline sr_rounding sr_rounding_get(void) { return fegetround(); }
static inline void sr_rounding_set(sr_rounding mode) { (void)fesetround(mode); }
#define SR_ROUNDING_DEFAULT FE_TONEAREST
#endif

/* Set the kernels' mode; what it returns goes to sr_rounding_set afterwards. */
static inline sr_rounding sr_rounding_enter(void) {
    sr_rounding before = sr_rounding_get();
    sr_rounding_set(SR_ROUNDING_DEFAULT);
    return before;
}

#endif
