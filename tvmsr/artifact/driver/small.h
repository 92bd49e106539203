/* For functions that run once a file, a picture's size, a strip or a row: no time goes there, and an artifact is to be
 * small. Those between SR_SMALL and SR_SMALL_END are compiled for size.
 */
#ifndef SR_SMALL_H
#define SR_SMALL_H

#if defined(__clang__)
#define SR_SMALL _Pragma("clang attribute push(__attribute__((minsize)), apply_to = function)")
#define SR_SMALL_END _Pragma("clang attribute pop")
#else
#define SR_SMALL
#define SR_SMALL_END
#endif

#endif
