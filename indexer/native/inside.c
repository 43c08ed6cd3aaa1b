/* Which words have a term, and how plainly; indexer/native/inside.py says more and calls it. */

#include <stdint.h>
#include <string.h>

#include "vector.h"

enum { INSIDE_MIN = 4 }; /* bytes of a term that counts inside of a word */

static inline int is_lower(uint8_t byte) { return (byte >= 'a' && byte <= 'z') || byte >= 128; }
static inline int is_letter(uint8_t byte) { return is_lower(byte) || (byte >= 'A' && byte <= 'Z'); }

/* Words that stand one behind the other, a newline before and behind each, and LANES bytes of anything after the last.
 * The fields are those of indexer.native.inside._Words, in the same order. */
typedef struct {
    const uint8_t *raw, *lowered;
    int64_t n_bytes;
    const int64_t *start; /* [n] */
    int64_t n;
} words;

/* What was found: words of one term after the other, ascending. */
typedef struct {
    int64_t n, room; /* those from `room` on are counted only */
    int64_t last;    /* the word found last for this term, -1 if none */
    int64_t *word;
    uint8_t *whole; /* 1: the term is a part of the word, as words are divided; 0: it stands somewhere in it */
} matches;

static int64_t word_at(const words *in, int64_t at) {
    int64_t low = 0, high = in->n;
    while (high - low > 1) {
        int64_t middle = (low + high) / 2;
        if (in->start[middle] <= at) low = middle;
        else high = middle;
    }
    return low;
}

static void add(const words *in, int64_t at, int64_t length, matches *found) {
    uint8_t before = in->raw[at - 1], after = in->raw[at + length];
    int starts = !is_letter(before) || (is_lower(before) && !is_lower(in->raw[at]));
    uint8_t whole = starts && !(is_letter(after) && is_lower(after));
    if (!whole && length < INSIDE_MIN) return;
    int64_t word = word_at(in, at);
    if (word == found->last) {
        if (found->n <= found->room) found->whole[found->n - 1] |= whole;
        return;
    }
    found->last = word;
    if (found->n < found->room) {
        found->word[found->n] = word;
        found->whole[found->n] = whole;
    }
    found->n++;
}

/* Finds one term: its first and its last byte everywhere, all of it where those stand. */
static void find_one(const words *in, const uint8_t *term, int64_t length, matches *found) {
    found->last = -1;
    vector first_byte = all(term[0]), last_byte = all(term[length - 1]);
    int64_t free_from = 0; /* what overlaps the place before is none */
    for (int64_t at = 0; at + length <= in->n_bytes; at += LANES) {
        uint64_t here = mask(both(equal(load(in->lowered + at), first_byte), equal(load(in->lowered + at + length - 1), last_byte)));
        for (; here; here &= here - 1) {
            int64_t place = at + first_lane(here);
            if (place < free_from || place + length > in->n_bytes) continue;
            if (memcmp(in->lowered + place, term, (size_t)length)) continue;
            add(in, place, length, found);
            free_from = place + length;
        }
    }
}

/* Finds each of the terms, which stand one behind the other, and writes how many were found up to its end. Returns how
 * many there are; where that is more than `room`, the rest is not written. */
int64_t find_inside(const words *in, const uint8_t *terms, const int64_t *lengths, int64_t n, int64_t room, int64_t *word, uint8_t *whole, int64_t *end) {
    matches found = {0, room, -1, word, whole};
    for (int64_t i = 0; i < n; i++) {
        find_one(in, terms, lengths[i], &found);
        terms += lengths[i];
        end[i] = found.n;
    }
    return found.n;
}
