/* Trigrams and words of texts; indexer/native/extract.py says more and calls it. */

#include <stdint.h>
#include <string.h>

#include "vector.h"

enum { NEWLINE = '\n', KEY_BITS = 24, DIGIT_BITS = 12, DIGITS = 1 << DIGIT_BITS };

/* Sorts `n` keys of 24 bits, by 12 bits and then by the others. */
static void sort_keys(uint32_t *keys, int64_t n, uint32_t *scratch) {
    uint32_t *from = keys, *to = scratch;
    for (int shift = 0; shift < KEY_BITS; shift += DIGIT_BITS) {
        int64_t begin[DIGITS] = {0}, sum = 0;
        for (int64_t i = 0; i < n; i++) begin[from[i] >> shift & (DIGITS - 1)]++;
        for (int digit = 0; digit < DIGITS; digit++) {
            int64_t count = begin[digit];
            begin[digit] = sum;
            sum += count;
        }
        for (int64_t i = 0; i < n; i++) to[begin[from[i] >> shift & (DIGITS - 1)]++] = from[i];
        uint32_t *other = from;
        from = to;
        to = other;
    }
}

typedef struct {
    uint64_t *seen; /* a bit for each key; all 0 between texts */
    uint32_t *keys;
    int64_t n;
} distinct;

/* Without a branch: whether a key is new, as every eighth is, no processor can foretell. */
static inline void add_key(distinct *found, uint32_t key) {
    uint64_t *seen = &found->seen[key >> 6], known = *seen >> (key & 63) & 1;
    *seen |= (uint64_t)1 << (key & 63);
    found->keys[found->n] = key;
    found->n += !known;
}

/* Writes the distinct trigrams of each text, sorted, one text behind the other; text i is text[end[i-1]:end[i]].
 * `out_end` is where each one's end; `scratch` has room for those of one text. */
void find_trigrams(const uint8_t *text, const int64_t *end, int64_t n, uint64_t *seen, uint32_t *out, int64_t *out_end, uint32_t *scratch) {
    int64_t at = 0, total = 0;
    for (int64_t i = 0; i < n; i++) {
        distinct found = {seen, out + total, 0};
        uint32_t key = 0;
        int64_t run = 0; /* bytes since the last newline */
        for (; at < end[i]; at++) {
            uint8_t byte = text[at];
            key = (key << 8 | byte) & ((1u << KEY_BITS) - 1);
            if (byte != NEWLINE) {
                if (++run >= 3) add_key(&found, key);
                continue;
            }
            if (run == 2) add_key(&found, key); /* a line of two bytes has one with its newline */
            run = 0;
        }
        if (run == 2) add_key(&found, (key << 8 | NEWLINE) & ((1u << KEY_BITS) - 1));
        for (int64_t k = 0; k < found.n; k++) seen[found.keys[k] >> 6] = 0;
        sort_keys(found.keys, found.n, scratch);
        total += found.n;
        out_end[i] = total;
    }
}

/* Letters, digits, underscores, and all beyond ASCII. */
#define ROW(l) \
    ((l) <= 9) << 3 | ((l) >= 1) << 4 | ((l) <= 10 || (l) == 15) << 5 | ((l) >= 1) << 6 | ((l) <= 10) << 7
static const byte_set WORD = {
    {ROW(0), ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), ROW(6), ROW(7), ROW(8), ROW(9), ROW(10), ROW(11), ROW(12),
     ROW(13), ROW(14), ROW(15)},
    {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255},
};

/* Returns the first place from `at` on whose byte is in a word, or is not in one; at most `stop`. */
static inline int64_t next_place(const uint8_t *text, int64_t at, int64_t stop, int in_word) {
    vector low = table(WORD.low), high = table(WORD.high);
    uint64_t flip = in_word ? 0 : mask(all(255));
    for (; at < stop; at += LANES) {
        uint64_t here = mask(in_set(load(text + at), low, high)) ^ flip;
        if (here) {
            at += first_lane(here);
            break;
        }
    }
    return at < stop ? at : stop;
}

enum { PLAIN_BYTES = 7 };
static const uint64_t MULTIPLY = 0xD6E8FEB86659FD93u, GOLDEN = 0x9E3779B97F4A7C15u, HASHED = (uint64_t)0xFF << 56;

static inline uint64_t mixed(uint64_t key) {
    key *= MULTIPLY;
    return key ^ key >> 32;
}

static inline uint64_t eight(const uint8_t *at) {
    uint64_t bytes;
    memcpy(&bytes, at, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    bytes = __builtin_bswap64(bytes);
#endif
    return bytes;
}

/* A word up to seven bytes is its own key; a longer one has a hash of 56 bits. */
static inline uint64_t word_key(const uint8_t *word, int64_t length) {
    uint64_t head = eight(word);
    if (length <= PLAIN_BYTES) return head & (((uint64_t)1 << 8 * length) - 1);
    uint64_t hash = mixed(head) ^ (uint64_t)length * GOLDEN;
    for (int64_t at = 8; at + 8 < length; at += 8) hash = mixed(hash) ^ eight(word + at);
    return mixed(mixed(hash) ^ eight(word + length - 8)) | HASHED;
}

/* The distinct words of each page, one page behind the other. */
typedef struct {
    uint64_t *key;
    int64_t *begin, *length, *count; /* where one of each stands; how often it does in its page */
    int64_t *end;                    /* of each page: where its words end */
    int64_t *n_words;                /* of each page: all words, distinct or not */
} page_words;

/* Page i is text[end[i-1]:end[i]]; no word goes over its end, and a vector of bytes follows the last one. `slots` is a
 * table for the largest page, all 0: a power of 2 above half its bytes. `used` has room for its distinct words. */
void find_words(const uint8_t *text, const int64_t *end, int64_t n, uint32_t *slots, uint32_t *used, page_words *out) {
    int64_t at = 0, total = 0;
    for (int64_t page = 0; page < n; page++) {
        int64_t stop = end[page], first = total, words = 0;
        int bits = 6;
        while ((int64_t)1 << bits <= (stop - at) / 2) bits++;
        uint32_t last_slot = ((uint32_t)1 << bits) - 1;
        while ((at = next_place(text, at, stop, 1)) < stop) {
            int64_t begin = at;
            at = next_place(text, at, stop, 0);
            words++;
            uint64_t key = word_key(text + begin, at - begin);
            uint32_t slot = (uint32_t)(key * GOLDEN >> (64 - bits)), known;
            while ((known = slots[slot]) && out->key[first + known - 1] != key) slot = (slot + 1) & last_slot;
            if (known) {
                out->count[first + known - 1]++;
                continue;
            }
            out->key[total] = key;
            out->begin[total] = begin;
            out->length[total] = at - begin;
            out->count[total] = 1;
            used[total - first] = slot;
            slots[slot] = (uint32_t)(++total - first);
        }
        for (int64_t i = 0; i < total - first; i++) slots[used[i]] = 0;
        out->end[page] = total;
        out->n_words[page] = words;
    }
}

enum { WORD_BYTES_MAX = 96, PARTS_MAX = 16 };

static inline int is_digit(uint8_t byte) { return byte >= '0' && byte <= '9'; }
static inline int is_small(uint8_t byte) { return byte >= 'a' && byte <= 'z'; }
static inline int is_capital(uint8_t byte) { return byte >= 'A' && byte <= 'Z'; }

/* Of a term that at least eight bytes follow: term_hash() of indexer/words.py. */
static inline uint64_t term_hash(const uint8_t *term, int64_t length) {
    uint64_t key = 0;
    for (int64_t at = 0; at < length; at += 8) {
        uint64_t bytes = eight(term + at);
        if (length - at < 8) bytes &= ((uint64_t)1 << 8 * (length - at)) - 1;
        key = at ? mixed(key) ^ bytes : bytes;
    }
    return mixed(mixed(key));
}

/* Whether a part begins at word[at], which is not the first byte of what lies between underscores; that ends at `end`. */
static inline int begins_part(const uint8_t *word, int64_t at, int64_t end) {
    if (is_digit(word[at]) != is_digit(word[at - 1])) return 1;
    return is_capital(word[at]) && (is_small(word[at - 1]) || (at + 1 < end && is_small(word[at + 1])));
}

/* Writes the hashes of a word's terms, its parts and the whole if there are several, and returns how many. */
static int64_t word_terms(const uint8_t *word, const uint8_t *lower, int64_t length, uint64_t *terms) {
    int64_t n = 0;
    for (int64_t at = 0; at < length && n < PARTS_MAX;) {
        if (word[at] == '_') {
            at++;
            continue;
        }
        int64_t end = at + 1;
        while (end < length && word[end] != '_') end++;
        /* Numbers, and short names with a digit in second place, are not divided. */
        int whole = is_digit(word[at]) || (end - at >= 2 && end - at <= 5 && is_digit(word[at + 1]));
        for (int64_t first = at; first < end && n < PARTS_MAX; first = at) {
            at = first + 1;
            while (at < end && (whole || !begins_part(word, at, end))) at++;
            terms[n++] = term_hash(lower + first, at - first);
        }
        if (n < PARTS_MAX) at = end;
    }
    if (n > 1) terms[n] = term_hash(lower, length), n++;
    return n;
}

/* Writes the terms of words at text[begin[i]:begin[i] + length[i]], one word behind the other, and how many each has.
 * Returns how many are left to others, at `odd`: those that are long or not ASCII. */
int64_t split_words(const uint8_t *text, const int64_t *begin, const int64_t *length, int64_t n, int64_t *count, uint64_t *terms, int64_t *odd) {
    uint8_t lower[WORD_BYTES_MAX + 8];
    int64_t n_odd = 0;
    for (int64_t i = 0; i < n; i++) {
        const uint8_t *word = text + begin[i];
        uint8_t any = length[i] > WORD_BYTES_MAX ? 128 : 0;
        for (int64_t at = 0; at < length[i] && any < 128; at++) {
            any |= word[at];
            lower[at] = (uint8_t)(is_capital(word[at]) ? word[at] | 0x20 : word[at]);
        }
        if (any >= 128) {
            count[i] = 0;
            odd[n_odd++] = i;
            continue;
        }
        count[i] = word_terms(word, lower, length[i], terms);
        terms += count[i];
    }
    return n_odd;
}
