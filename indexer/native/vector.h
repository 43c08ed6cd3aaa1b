/* A vector of bytes: 32 with AVX2, 16 with SSSE3 or NEON, and the same in plain C for other processors. */

#ifndef EINSTEIN_VECTOR_H
#define EINSTEIN_VECTOR_H

#include <stdint.h>

/* A set of bytes for in_set(): bit h of low[l] says that 16 * h + l is in it, of high[l] that 128 + 16 * h + l is. */
typedef struct {
    uint8_t low[16];
    uint8_t high[16];
} byte_set;

#if defined(__AVX2__)
#include <immintrin.h>

enum { LANES = 32, LANE_BITS = 0 }; /* a lane is bit (lane << LANE_BITS) of a mask */
typedef __m256i vector;

static inline vector load(const uint8_t *at) { return _mm256_loadu_si256((const __m256i *)at); }
static inline void store(uint8_t *at, vector a) { _mm256_storeu_si256((__m256i *)at, a); }
static inline vector all(uint8_t byte) { return _mm256_set1_epi8((char)byte); }
static inline vector either(vector a, vector b) { return _mm256_or_si256(a, b); }
static inline vector both(vector a, vector b) { return _mm256_and_si256(a, b); }
static inline vector equal(vector a, vector b) { return _mm256_cmpeq_epi8(a, b); }
static inline uint64_t mask(vector a) { return (uint32_t)_mm256_movemask_epi8(a); }
static inline vector table(const uint8_t *of16) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)of16));
}
static inline vector look_up(vector in, vector at) { return _mm256_shuffle_epi8(in, at); }
static inline vector high_nibble(vector a) { return _mm256_and_si256(_mm256_srli_epi16(a, 4), all(15)); }
static inline vector flip_top(vector a) { return _mm256_xor_si256(a, all(128)); }

#elif defined(__SSSE3__)
#include <tmmintrin.h>

enum { LANES = 16, LANE_BITS = 0 };
typedef __m128i vector;

static inline vector load(const uint8_t *at) { return _mm_loadu_si128((const __m128i *)at); }
static inline void store(uint8_t *at, vector a) { _mm_storeu_si128((__m128i *)at, a); }
static inline vector all(uint8_t byte) { return _mm_set1_epi8((char)byte); }
static inline vector either(vector a, vector b) { return _mm_or_si128(a, b); }
static inline vector both(vector a, vector b) { return _mm_and_si128(a, b); }
static inline vector equal(vector a, vector b) { return _mm_cmpeq_epi8(a, b); }
static inline uint64_t mask(vector a) { return (uint32_t)_mm_movemask_epi8(a); }
static inline vector table(const uint8_t *of16) { return load(of16); }
static inline vector look_up(vector in, vector at) { return _mm_shuffle_epi8(in, at); }
static inline vector high_nibble(vector a) { return _mm_and_si128(_mm_srli_epi16(a, 4), all(15)); }
static inline vector flip_top(vector a) { return _mm_xor_si128(a, all(128)); }

#elif defined(__ARM_NEON)
#include <arm_neon.h>

enum { LANES = 16, LANE_BITS = 2 };
typedef uint8x16_t vector;

static inline vector load(const uint8_t *at) { return vld1q_u8(at); }
static inline void store(uint8_t *at, vector a) { vst1q_u8(at, a); }
static inline vector all(uint8_t byte) { return vdupq_n_u8(byte); }
static inline vector either(vector a, vector b) { return vorrq_u8(a, b); }
static inline vector both(vector a, vector b) { return vandq_u8(a, b); }
static inline vector equal(vector a, vector b) { return vceqq_u8(a, b); }
static inline uint64_t mask(vector a) {
    uint8x8_t nibbles = vshrn_n_u16(vreinterpretq_u16_u8(a), 4);
    return vget_lane_u64(vreinterpret_u64_u8(nibbles), 0) & 0x1111111111111111u;
}
static inline vector table(const uint8_t *of16) { return load(of16); }
/* As on x86: an index from 128 on gives 0, of others the low four bits count. */
static inline vector look_up(vector in, vector at) { return vqtbl1q_u8(in, vandq_u8(at, all(0x8f))); }
static inline vector high_nibble(vector a) { return vshrq_n_u8(a, 4); }
static inline vector flip_top(vector a) { return veorq_u8(a, all(128)); }

#else

enum { LANES = 16, LANE_BITS = 0 };
typedef struct {
    uint8_t byte[LANES];
} vector;

#define EACH_LANE for (int i = 0; i < LANES; i++)
static inline vector load(const uint8_t *at) { vector out; EACH_LANE out.byte[i] = at[i]; return out; }
static inline void store(uint8_t *at, vector a) { EACH_LANE at[i] = a.byte[i]; }
static inline vector all(uint8_t byte) { vector out; EACH_LANE out.byte[i] = byte; return out; }
static inline vector either(vector a, vector b) { EACH_LANE a.byte[i] |= b.byte[i]; return a; }
static inline vector both(vector a, vector b) { EACH_LANE a.byte[i] &= b.byte[i]; return a; }
static inline vector equal(vector a, vector b) { EACH_LANE a.byte[i] = a.byte[i] == b.byte[i] ? 255 : 0; return a; }
static inline uint64_t mask(vector a) { uint64_t out = 0; EACH_LANE out |= (uint64_t)(a.byte[i] >> 7) << i; return out; }
static inline vector table(const uint8_t *of16) { return load(of16); }
static inline vector look_up(vector in, vector at) {
    EACH_LANE at.byte[i] = at.byte[i] & 128 ? 0 : in.byte[at.byte[i] & 15];
    return at;
}
static inline vector high_nibble(vector a) { EACH_LANE a.byte[i] >>= 4; return a; }
static inline vector flip_top(vector a) { EACH_LANE a.byte[i] ^= 128; return a; }

#endif

static const uint8_t BIT_OF_NIBBLE[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};

/* Returns 255 in every lane whose byte is in the set. */
static inline vector in_set(vector bytes, vector low, vector high) {
    vector bit = look_up(table(BIT_OF_NIBBLE), high_nibble(bytes));
    vector row = either(look_up(low, bytes), look_up(high, flip_top(bytes)));
    return equal(both(row, bit), bit);
}

static inline int first_lane(uint64_t mask) { return __builtin_ctzll(mask) >> LANE_BITS; }
static inline int lanes_set(uint64_t mask) { return __builtin_popcountll(mask); }

#endif
