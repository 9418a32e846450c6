/* inline.h - for what every request passes: inline wherever it is called, however long the compiler
 * finds it. */
#ifndef BASE_INLINE_H
#define BASE_INLINE_H

#define VBD_INLINE static inline __attribute__((always_inline))

#endif
