/* inline.h - for what is inline wherever it is called, however long the compiler
 * finds it: what every request passes, and what loops that look do. */
#ifndef BASE_INLINE_H
#define BASE_INLINE_H

#define VBD_INLINE static inline __attribute__((always_inline))

/* Between two looks at memory that another processor is about to write. */
static inline void vbd_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

#endif
