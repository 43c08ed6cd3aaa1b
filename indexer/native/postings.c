/* Lists of ascending numbers, packed; indexer/store/postings.py says how, indexer/native/postings.py calls it. */

#include <stdint.h>
#include <string.h>

enum { CODE_BITS_MAX = 39, NUMBER_BITS_MAX = 19 };
enum { BITMAP_SHARE = 4, CODES_SHARE = 5 }; /* a list is a bitmap where that takes at most 5/4 of the bytes */

static int64_t bitmap_bytes(int64_t domain) { return (domain + 7) / 8; }

static int log2_of(uint64_t number) { return 63 - __builtin_clzll(number); }

/* How many low bits of a distance stand as they are. */
static int plain_bits(int64_t count, int64_t domain) {
    if (count < 1 || count > domain) return 0; /* it is damaged */
    int bits = 5 * log2_of((uint64_t)(domain / count)) / 8 - 1;
    return bits > 0 ? bits : 0;
}

/* ---- writing ---- */

/* Bytes of a list as codes. */
static int64_t codes_bytes(const uint32_t *values, int64_t count, int plain) {
    int64_t bits = count * (1 - plain), before = -1;
    for (int64_t i = 0; i < count; i++) {
        bits += 2 * log2_of((uint64_t)(values[i] - before - 1) + (1u << plain));
        before = values[i];
    }
    return (bits + 7) / 8;
}

/* Writes the bytes of each list, and returns those of all. */
int64_t packed_lengths(const uint32_t *values, const int64_t *counts, int64_t n, int64_t domain, int64_t *lengths) {
    int64_t bitmap = bitmap_bytes(domain), total = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t codes = codes_bytes(values, counts[i], plain_bits(counts[i], domain));
        lengths[i] = BITMAP_SHARE * bitmap <= CODES_SHARE * codes ? bitmap : codes;
        total += lengths[i];
        values += counts[i];
    }
    return total;
}

static void put_codes(const uint32_t *values, int64_t count, int plain, uint8_t *out) {
    uint64_t word = 0;
    int used = 0;
    int64_t before = -1;
    for (int64_t i = 0; i < count; i++) {
        uint64_t number = (uint64_t)(values[i] - before - 1) + (1u << plain);
        int bits = log2_of(number), zeros = bits - plain;
        uint64_t code = ((number ^ (uint64_t)1 << bits) << 1 | 1) << zeros;
        before = values[i];
        word |= code << used;
        for (used += zeros + 1 + bits; used >= 8; used -= 8) {
            *out++ = (uint8_t)word;
            word >>= 8;
        }
    }
    if (used) *out = (uint8_t)word;
}

/* Writes the lists one behind the other; `lengths` is what packed_lengths wrote. */
void pack_lists(const uint32_t *values, const int64_t *counts, int64_t n, int64_t domain, const int64_t *lengths, uint8_t *out) {
    for (int64_t i = 0; i < n; i++) {
        if (lengths[i] == bitmap_bytes(domain)) {
            memset(out, 0, (size_t)lengths[i]);
            for (int64_t k = 0; k < counts[i]; k++) out[values[k] >> 3] |= (uint8_t)(1u << (values[k] & 7));
        } else {
            put_codes(values, counts[i], plain_bits(counts[i], domain), out);
        }
        out += lengths[i];
        values += counts[i];
    }
}

/* ---- reading ---- */

/* A list that is read from its first number to its last. */
typedef struct {
    const uint8_t *data;
    int64_t n_bytes;
    int64_t at;     /* byte of `data` from which on nothing is in `word` */
    uint64_t word;  /* bits to be read next, the lowest first */
    int left;       /* so many of them; all above are 0 */
    int plain;      /* -1: a bitmap, of which `word` has the bits up to byte `at` */
    int64_t before; /* the last number */
    int64_t domain;
} list;

static inline uint64_t word_at(const list *in, int64_t at) {
    uint64_t word = 0;
    if (at + 8 <= in->n_bytes) memcpy(&word, in->data + at, 8);
    else if (at < in->n_bytes) memcpy(&word, in->data + at, (size_t)(in->n_bytes - at));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

static list opened(const uint8_t *data, int64_t n_bytes, int64_t count, int64_t domain) {
    list in = {data, n_bytes, 0, 0, 0, -1, -1, domain};
    if (n_bytes != bitmap_bytes(domain)) in.plain = plain_bits(count, domain);
    return in;
}

/* Returns the next number of codes, -1 if there is none. */
static inline int64_t next_code(list *in) {
    if (in->left < CODE_BITS_MAX) {
        in->word |= word_at(in, in->at) << in->left;
        int64_t bytes = (63 - in->left) >> 3;
        in->at += bytes;
        in->left += 8 * (int)bytes;
        in->word &= ((uint64_t)1 << in->left) - 1;
    }
    if (!in->word) return -1;
    int zeros = __builtin_ctzll(in->word), bits = zeros + in->plain;
    if (bits > NUMBER_BITS_MAX) return -1;
    in->word >>= zeros + 1;
    uint64_t one = (uint64_t)1 << bits;
    in->before += 1 + (int64_t)((in->word & (one - 1)) + one - ((uint64_t)1 << in->plain));
    in->word >>= bits;
    in->left -= zeros + 1 + bits;
    return in->before < in->domain ? in->before : -1;
}

/* The same of a bitmap. */
static inline int64_t next_bit(list *in) {
    while (!in->word) {
        if (in->at >= in->n_bytes) return -1;
        in->word = word_at(in, in->at);
        in->at += 8;
    }
    int64_t number = 8 * (in->at - 8) + __builtin_ctzll(in->word);
    in->word &= in->word - 1;
    return number < in->domain ? number : -1;
}

/* Writes the numbers of lists that stand one behind the other. Returns -1, or the list that is damaged. */
int64_t unpack_lists(const uint8_t *data, const int64_t *lengths, const int64_t *counts, int64_t n, int64_t domain, uint32_t *out) {
    for (int64_t i = 0; i < n; i++) {
        list in = opened(data, lengths[i], counts[i], domain);
        if (in.plain < 0) {
            for (int64_t k = 0; k < counts[i]; k++) {
                int64_t number = next_bit(&in);
                if (number < 0) return i;
                *out++ = (uint32_t)number;
            }
        } else {
            for (int64_t k = 0; k < counts[i]; k++) {
                int64_t number = next_code(&in);
                if (number < 0) return i;
                *out++ = (uint32_t)number;
            }
        }
        data += lengths[i];
    }
    return -1;
}

/* Sets the flag of every number. Returns 0 if the list is damaged. */
int mark_list(const uint8_t *data, int64_t n_bytes, int64_t count, int64_t domain, uint8_t *flags) {
    list in = opened(data, n_bytes, count, domain);
    for (int64_t k = 0; k < count; k++) {
        int64_t number = in.plain < 0 ? next_bit(&in) : next_code(&in);
        if (number < 0) return 0;
        flags[number] = 1;
    }
    return 1;
}

/* Writes those of `found` (ascending, below the domain) that the list has. Returns how many; -1: it is damaged. */
int64_t keep_listed(const uint8_t *data, int64_t n_bytes, int64_t count, int64_t domain, const int64_t *found, int64_t n, int64_t *out) {
    int64_t kept = 0;
    list in = opened(data, n_bytes, count, domain);
    if (in.plain < 0) {
        for (int64_t i = 0; i < n; i++) {
            out[kept] = found[i];
            kept += data[found[i] >> 3] >> (found[i] & 7) & 1;
        }
        return kept;
    }
    int64_t number = -1;
    for (int64_t i = 0; i < n; i++) {
        while (number < found[i]) {
            if (!count--) return kept;
            number = next_code(&in);
            if (number < 0) return -1;
        }
        out[kept] = found[i];
        kept += number == found[i];
    }
    return kept;
}
