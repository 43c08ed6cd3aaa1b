/* The rows of signs that are nearest to a query; indexer/native/nearest.py says more and calls it. */

#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <cpuid.h>
#include <immintrin.h>
/* What only some processors with AVX2 have: bits of eight 64-bit numbers counted at once. */
#define WIDE __attribute__((target("avx512f,avx512vpopcntdq")))
#endif

enum { PLANES = 3 };        /* of the query, weighing 1, 2 and 4 */
enum { BYTES = 32 };        /* of a row of 256 signs, for which there is a loop of its own */
enum { ROWS_AT_ONCE = 64 }; /* rows whose distances are taken together: bits of a mask */

/* The n nearest rows so far and some that were, in order of row. Distances are small numbers, so how many rows have
 * each is counted, and the limit follows from that at every step. */
typedef struct {
    int64_t wanted, room;
    int64_t n;       /* in `row` */
    int64_t held;    /* of them: up to the limit */
    int32_t limit;   /* the greatest distance among the nearest; once there are enough, only less is taken */
    int64_t *at;     /* [limit + 1] how many were taken at each distance */
    int64_t *row;    /* [room] */
    int32_t *distance;
} nearest;

static void drop_far(nearest *found) {
    int64_t kept = 0;
    for (int64_t i = 0; i < found->n; i++) {
        if (found->distance[i] > found->limit) continue;
        found->row[kept] = found->row[i];
        found->distance[kept++] = found->distance[i];
    }
    found->n = kept;
}

static void take(nearest *found, int64_t row, int32_t distance) {
    if (found->n == found->room) drop_far(found);
    found->row[found->n] = row;
    found->distance[found->n++] = distance;
    found->at[distance]++;
    found->held++;
    while (found->held - found->at[found->limit] >= found->wanted) found->held -= found->at[found->limit--];
}

static inline int is_near(const nearest *found, int32_t distance) {
    return distance < found->limit || (distance == found->limit && found->held < found->wanted);
}

/* Leaves exactly those that are wanted; of equal ones the first. */
static void finish(nearest *found) {
    int64_t kept = 0, ties = found->wanted;
    for (int64_t i = 0; i < found->n; i++) ties -= found->distance[i] < found->limit;
    for (int64_t i = 0; i < found->n; i++) {
        if (found->distance[i] > found->limit || (found->distance[i] == found->limit && ties-- <= 0)) continue;
        found->row[kept++] = found->row[i];
    }
    found->n = kept;
}

/* The planes of a query, ready to be compared with. */
typedef struct {
    const uint8_t *planes; /* [PLANES][width] */
    int64_t width;
#if defined(__AVX2__)
    __m256i low[PLANES], high[PLANES]; /* the halves of each byte */
    __m256i weigh[PLANES];             /* for each half that differs: by how many bits, times the weight */
#endif
} query;

static inline int32_t distance_of(const query *q, const uint8_t *signs, int64_t width) {
    int32_t sum[PLANES] = {0};
    for (int64_t i = 0; i < width; i += 8) {
        uint64_t row, plane;
        memcpy(&row, signs + i, 8);
        for (int p = 0; p < PLANES; p++) {
            memcpy(&plane, q->planes + p * width + i, 8);
            sum[p] += __builtin_popcountll(row ^ plane);
        }
    }
    return sum[0] + 2 * sum[1] + 4 * sum[2];
}

/* Writes the distances of some rows, at most ROWS_AT_ONCE. Returns a bit for each: whether it is up to the limit. */
typedef uint64_t (*measure)(const query *q, const uint8_t *signs, int64_t n, int32_t limit, int32_t *out);

static uint64_t some_distances(const query *q, const uint8_t *signs, int64_t n, int32_t limit, int32_t *out) {
    uint64_t near = 0;
    if (q->width == BYTES)
        for (int64_t i = 0; i < n; i++) out[i] = distance_of(q, signs + i * BYTES, BYTES);
    else
        for (int64_t i = 0; i < n; i++) out[i] = distance_of(q, signs + i * q->width, q->width);
    for (int64_t i = 0; i < n; i++) near |= (uint64_t)(out[i] <= limit) << i;
    return near;
}

#if defined(__AVX2__)

static query prepared(const uint8_t *planes, int64_t width) {
    const __m128i ones = _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    query q = {.planes = planes, .width = width};
    for (int p = 0; p < PLANES && width == BYTES; p++) {
        __m256i plane = _mm256_loadu_si256((const __m256i *)(planes + p * BYTES));
        q.low[p] = _mm256_and_si256(plane, _mm256_set1_epi8(15));
        q.high[p] = _mm256_and_si256(_mm256_srli_epi16(plane, 4), _mm256_set1_epi8(15));
        q.weigh[p] = _mm256_broadcastsi128_si256(_mm_slli_epi16(ones, p)); /* at most 16: no bit leaves its byte */
    }
    return q;
}

/* Returns four sums whose sum is the distance of a row, as 64-bit numbers. */
static inline __m256i four_sums(const query *q, const uint8_t *signs) {
    __m256i row = _mm256_loadu_si256((const __m256i *)signs);
    __m256i low = _mm256_and_si256(row, _mm256_set1_epi8(15));
    __m256i high = _mm256_and_si256(_mm256_srli_epi16(row, 4), _mm256_set1_epi8(15));
    __m256i total = _mm256_setzero_si256();
    for (int p = 0; p < PLANES; p++) {
        total = _mm256_add_epi8(total, _mm256_shuffle_epi8(q->weigh[p], _mm256_xor_si256(low, q->low[p])));
        total = _mm256_add_epi8(total, _mm256_shuffle_epi8(q->weigh[p], _mm256_xor_si256(high, q->high[p])));
    }
    return _mm256_sad_epu8(total, _mm256_setzero_si256());
}

/* Returns the distances of eight rows. */
static inline __m256i eight_distances(const query *q, const uint8_t *signs) {
    __m256i pair[4];
    for (int i = 0; i < 4; i++) {
        __m256i even = four_sums(q, signs + 2 * i * BYTES), odd = four_sums(q, signs + (2 * i + 1) * BYTES);
        pair[i] = _mm256_or_si256(even, _mm256_slli_epi64(odd, 32));
    }
    __m256i a = _mm256_add_epi32(_mm256_unpacklo_epi64(pair[0], pair[1]), _mm256_unpackhi_epi64(pair[0], pair[1]));
    __m256i b = _mm256_add_epi32(_mm256_unpacklo_epi64(pair[2], pair[3]), _mm256_unpackhi_epi64(pair[2], pair[3]));
    return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
}

static uint64_t many_distances(const query *q, const uint8_t *signs, int64_t n, int32_t limit, int32_t *out) {
    if (n != ROWS_AT_ONCE) return some_distances(q, signs, n, limit, out);
    __m256i most = _mm256_set1_epi32(limit);
    uint64_t far = 0;
    for (int i = 0; i < ROWS_AT_ONCE; i += 8) {
        __m256i eight = eight_distances(q, signs + i * BYTES);
        _mm256_storeu_si256((__m256i *)(out + i), eight);
        far |= (uint64_t)(uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(eight, most))) << i;
    }
    return ~far;
}

/* The distances of two rows, each as four sums. */
WIDE static inline __m512i two_rows(const __m512i *planes, const uint8_t *signs) {
    __m512i rows = _mm512_loadu_si512(signs);
    __m512i total = _mm512_slli_epi64(_mm512_popcnt_epi64(_mm512_xor_si512(rows, planes[2])), 1);
    total = _mm512_add_epi64(total, _mm512_popcnt_epi64(_mm512_xor_si512(rows, planes[1])));
    return _mm512_add_epi64(_mm512_slli_epi64(total, 1), _mm512_popcnt_epi64(_mm512_xor_si512(rows, planes[0])));
}

WIDE static uint64_t wide_distances(const query *q, const uint8_t *signs, int64_t n, int32_t limit, int32_t *out) {
    if (n != ROWS_AT_ONCE) return some_distances(q, signs, n, limit, out);
    __m512i planes[PLANES], most = _mm512_set1_epi32(limit);
    for (int p = 0; p < PLANES; p++)
        planes[p] = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(q->planes + p * BYTES)));
    /* Even rows come in the first four numbers of each sum, odd ones in the last: they go side by side in the end. */
    const __m512i order = _mm512_setr_epi32(0, 8, 1, 9, 2, 10, 3, 11, 16, 24, 17, 25, 18, 26, 19, 27);
    uint64_t near = 0;
    for (int i = 0; i < ROWS_AT_ONCE; i += 16) {
        __m512i half[2];
        for (int h = 0; h < 2; h++) {
            const uint8_t *at = signs + (i + 8 * h) * BYTES;
            __m512i a = _mm512_or_si512(two_rows(planes, at), _mm512_slli_epi64(two_rows(planes, at + 2 * BYTES), 32));
            __m512i b = _mm512_or_si512(two_rows(planes, at + 4 * BYTES), _mm512_slli_epi64(two_rows(planes, at + 6 * BYTES), 32));
            __m512i sums = _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
            half[h] = _mm512_add_epi32(sums, _mm512_shuffle_i64x2(sums, sums, 0xb1)); /* lanes 0 and 1, 2 and 3 */
        }
        __m512i sixteen = _mm512_permutex2var_epi32(half[0], order, half[1]);
        _mm512_storeu_si512(out + i, sixteen);
        near |= (uint64_t)_mm512_cmple_epi32_mask(sixteen, most) << i;
    }
    return near;
}

static measure measure_of(int64_t width, int wide) {
    return width != BYTES ? some_distances : wide ? wide_distances : many_distances;
}

int has_wide(void) {
    uint32_t a, b, c, d, low, high;
    const uint32_t f = 1u << 16, vpopcntdq = 1u << 14, zmm = 0xe6;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & f) || !(c & vpopcntdq)) return 0;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & zmm) == zmm;
}

#else

static query prepared(const uint8_t *planes, int64_t width) { return (query){planes, width}; }

static measure measure_of(int64_t width, int wide) {
    (void)width, (void)wide;
    return some_distances;
}

int has_wide(void) { return 0; }

#endif

static inline int any_live(const uint8_t *live, int64_t n) {
    int any = 0;
    for (int64_t i = 0; i < n; i++) any |= live[i];
    return any;
}

/* Writes the `wanted` live rows of least weighted distance, in order; of equal ones the first. At least so many are
 * live. `at` has a zero for each distance from 0 to 56 * width; `row` and `distance` have `room`, more than twice what is
 * wanted; `wide` if has_wide() says so. Returns how many it wrote. */
int64_t nearest_rows(const uint8_t *planes, const uint8_t *signs, int64_t width, const uint8_t *live, int64_t n, int64_t wanted, int wide, int64_t room, int64_t *at, int64_t *row, int32_t *distance) {
    nearest found = {wanted, room, 0, 0, (int32_t)(56 * width), at, row, distance};
    const query q = prepared(planes, width);
    const measure distances = measure_of(width, wide);
    int32_t near[ROWS_AT_ONCE];
    for (int64_t first = 0; first < n; first += ROWS_AT_ONCE) {
        int64_t rows = n - first < ROWS_AT_ONCE ? n - first : ROWS_AT_ONCE;
        if (!any_live(live + first, rows)) continue;
        uint64_t which = distances(&q, signs + first * width, rows, found.limit, near);
        for (; which; which &= which - 1) {
            int i = __builtin_ctzll(which);
            if (live[first + i] && is_near(&found, near[i])) take(&found, first + i, near[i]);
        }
    }
    finish(&found);
    return found.n;
}

enum { LANES = 16 }; /* sums side by side */

/* A half-precision number as a float that is 2^112 times smaller: its bits, moved. */
static inline float widened(int16_t half) {
    int32_t bits = (int32_t)((uint32_t)(int32_t)half << 13 & 0x8fffe000u);
    float out;
    memcpy(&out, &bits, 4);
    return out;
}

static inline float added_up(float *sums) {
    for (int width = LANES / 2; width; width /= 2)
        for (int j = 0; j < width; j++) sums[j] += sums[j + width];
    return sums[0];
}

/* Has a row brought into the cache. */
static inline void fetch(const int16_t *row, int64_t dim) {
    enum { LINE = 64 };
    for (int64_t at = 0; at < 2 * dim; at += LINE) __builtin_prefetch((const char *)row + at);
}

/* Writes the inner product of the query, 2^112 times as large, and each of n rows of half-precision numbers, `stride` of
 * them apart. */
void score_rows(const float *query, const int16_t *vectors, int64_t stride, int64_t dim, const int64_t *rows, int64_t n, float *out) {
    enum { AHEAD = 8 };
    for (int64_t i = 0; i < n; i++) {
        if (i + AHEAD < n) fetch(vectors + rows[i + AHEAD] * stride, dim);
        const int16_t *row = vectors + rows[i] * stride;
        float sums[LANES] = {0}, total = 0;
        int64_t k = 0;
        for (; k + LANES <= dim; k += LANES)
            for (int j = 0; j < LANES; j++) sums[j] += widened(row[k + j]) * query[k + j];
        for (; k < dim; k++) total += widened(row[k]) * query[k];
        out[i] = total + added_up(sums);
    }
}

/* Writes the cosine of the query and the sum of the rows of each document, of which doc_chunk and chunk_row say where
 * they are; `most` of them, evenly spread, stand for all. A document without a row, or whose rows add up to nothing, is
 * left as it is. `sum` has room for a row. */
void score_wholes(const float *query, const int16_t *vectors, int64_t stride, int64_t dim, int64_t n_rows, const uint32_t *doc_chunk, const uint32_t *chunk_row, const int64_t *docs, int64_t n, int64_t most, float *sum, float *out) {
    const float scale = 0x1p112f;
    for (int64_t i = 0; i < n; i++) {
        int64_t first = doc_chunk[docs[i]], n_chunks = doc_chunk[docs[i] + 1] - first;
        int64_t taken = n_chunks < most ? n_chunks : most;
        memset(sum, 0, sizeof(float) * (size_t)dim);
        for (int64_t nth = 0; nth < taken; nth++) {
            int64_t row = chunk_row[first + nth * n_chunks / taken];
            if (row < n_rows) fetch(vectors + row * stride, dim);
        }
        for (int64_t nth = 0; nth < taken; nth++) {
            int64_t row = chunk_row[first + nth * n_chunks / taken];
            if (row >= n_rows) continue; /* it has none */
            for (int64_t k = 0; k < dim; k++) sum[k] += widened(vectors[row * stride + k]) * scale;
        }
        float product[LANES] = {0}, square[LANES] = {0}, length, total;
        int64_t k = 0;
        for (; k + LANES <= dim; k += LANES)
            for (int j = 0; j < LANES; j++) {
                product[j] += sum[k + j] * query[k + j];
                square[j] += sum[k + j] * sum[k + j];
            }
        for (int j = 0; k < dim; k++, j++) {
            product[j] += sum[k] * query[k];
            square[j] += sum[k] * sum[k];
        }
        total = added_up(product);
        length = __builtin_sqrtf(added_up(square));
        if (length > 0) out[i] = total / length;
    }
}
