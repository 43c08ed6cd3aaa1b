/* What library.py asks to choose and to check a library. */

#include <stdint.h>

int has_avx2(void);
const char *sources(void);

#if defined(__x86_64__)
#include <cpuid.h>

/* Whether the processor has all that build.py lets the compiler use, and the system saves its registers. (Of
 * zig's compiler __builtin_cpu_supports always says no.) */
int has_avx2(void) {
    const uint32_t fma = 1u << 12, sse42 = 1u << 20, popcnt = 1u << 23, xsave = 1u << 27, avx = 1u << 28;
    const uint32_t bmi = 1u << 3, avx2 = 1u << 5, bmi2 = 1u << 8, lzcnt = 1u << 5, ymm = 6;
    const uint32_t first = fma | sse42 | popcnt | xsave | avx, seventh = bmi | avx2 | bmi2;
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & first) != first) return 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & seventh) != seventh) return 0;
    if (!__get_cpuid(0x80000001, &a, &b, &c, &d) || !(c & lzcnt)) return 0;
    __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return (a & ymm) == ymm;
}
#else
int has_avx2(void) { return 0; }
#endif

const char *sources(void) { return EINSTEIN_SOURCES; }
