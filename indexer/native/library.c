/* What library.py asks to choose and to check a library. */

int has_avx2(void);
const char *sources(void);

#if defined(__x86_64__)
int has_avx2(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
}
#else
int has_avx2(void) { return 0; }
#endif

const char *sources(void) { return EINSTEIN_SOURCES; }
