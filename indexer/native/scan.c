/* Rows of byte sets in texts, and the lines around them; indexer/native/scan.py says more and calls it. */

#include <stddef.h>
#include <stdint.h>

#include "vector.h"

enum { NEWLINE = '\n' };
enum { PROBES_MAX = 3 };
enum { EDGE_NONE, EDGE_LINE, EDGE_WORD };

/* A row of byte sets. The fields are those of indexer.native.scan._Window, in the same order. */
typedef struct {
    int64_t length;                /* sets in the row */
    const uint8_t *tables;         /* [length][256]: 1 where a byte is in the set */
    const int64_t *order;          /* [length] places in the row, the rarest first; the probes come first */
    int64_t n_probes;              /* so many places of `order` are compared everywhere */
    const byte_set *sets;          /* [length] */
    int64_t left, right;           /* edges */
    int64_t apart;                 /* whether what overlaps the match before is none */
    int64_t starts_line;           /* whether set 0, a newline, is taken to stand before the text */
    int64_t run_at, run, stride;   /* of the longest run of one set: its place, its length; stride 0: probe */
} window;

static inline int is_word(uint8_t byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || byte == '_' || (byte >= 'a' && byte <= 'z');
}

static int holds_left(const uint8_t *text, int64_t at, int64_t edge) {
    if (edge == EDGE_LINE) return at == 0 || text[at - 1] == NEWLINE;
    if (edge == EDGE_WORD) return (at > 0 && is_word(text[at - 1])) != is_word(text[at]);
    return 1;
}

static int holds_right(const uint8_t *text, int64_t n, int64_t end, int64_t edge) {
    if (edge == EDGE_LINE) return end == n || text[end] == NEWLINE;
    if (edge == EDGE_WORD) return (end < n && is_word(text[end])) != is_word(text[end - 1]);
    return 1;
}

/* Whether the row stands at `at`, as far as places order[from] and later go. */
static inline int stands(const window *w, const uint8_t *text, int64_t at, int64_t from) {
    for (int64_t i = from; i < w->length; i++) {
        int64_t place = w->order[i];
        if (!w->tables[place << 8 | text[at + place]]) return 0;
    }
    return 1;
}

/* The places found so far: they go on until `room` is used up. */
typedef struct {
    int64_t *out;
    int64_t n, room;
    int64_t free_from; /* a match may not begin before it */
} places;

static inline void take(const window *w, const uint8_t *text, int64_t n, int64_t at, places *found) {
    if (at < found->free_from || !holds_left(text, at, w->left)) return;
    if (!holds_right(text, n, at + w->length, w->right)) return;
    found->out[found->n++] = at;
    if (w->apart) found->free_from = at + w->length;
}

/* Looks at every multiple of the stride for the run, and tells where one begins. */
static int64_t sample(const window *w, const uint8_t *text, int64_t n, int64_t at, places *found) {
    const uint8_t *table = w->tables + (w->run_at << 8);
    for (; at < n && found->n < found->room; at += w->stride) {
        if (!table[text[at]]) continue;
        int64_t begin = at, end = at + 1;
        while (begin > 0 && table[text[begin - 1]]) begin--;
        while (end < n && table[text[end]]) end++;
        if (end - begin >= w->run) found->out[found->n++] = begin;
        at += (end - at) / w->stride * w->stride;
    }
    return at;
}

/* Returns how many places of `text` it found from *next on. Where there was no room, *next is where to go on. */
int64_t find_window(const window *w, const uint8_t *text, int64_t n, int64_t *out, int64_t room, int64_t *next) {
    places found = {out, 0, room, *next};
    int64_t at = *next;
    if (w->stride) {
        *next = sample(w, text, n, at, &found);
        return found.n;
    }
    if (at == 0 && w->starts_line && n >= w->length - 1) {
        int64_t i = 1;
        while (i < w->length && w->tables[i << 8 | text[i - 1]]) i++;
        if (i == w->length) out[found.n++] = -1;
    }
    int64_t count = n - w->length + 1, last = 0;
    int64_t probe[PROBES_MAX];
    vector low[PROBES_MAX], high[PROBES_MAX];
    for (int64_t i = 0; i < w->n_probes; i++) {
        probe[i] = w->order[i];
        if (probe[i] > last) last = probe[i];
        low[i] = table(w->sets[probe[i]].low);
        high[i] = table(w->sets[probe[i]].high);
    }
    int64_t vectors_end = n - last - LANES;
    while (at <= vectors_end && at < count && found.n + LANES <= room) {
        vector here = in_set(load(text + at + probe[0]), low[0], high[0]);
        for (int64_t i = 1; i < w->n_probes; i++)
            here = both(here, in_set(load(text + at + probe[i]), low[i], high[i]));
        for (uint64_t left = mask(here); left; left &= left - 1) {
            int64_t place = at + first_lane(left);
            if (place < count && stands(w, text, place, w->n_probes)) take(w, text, n, place, &found);
        }
        at += LANES;
    }
    for (; (at > vectors_end || found.n + LANES > room) && at < count && found.n < room; at++)
        if (stands(w, text, at, 0)) take(w, text, n, at, &found);
    *next = at < count ? at : n;
    if (w->apart && at < count && found.free_from > at) *next = found.free_from;
    return found.n;
}

static inline int64_t newlines(const uint8_t *text, int64_t at, int64_t end) {
    int64_t count = 0;
    vector newline = all(NEWLINE);
    for (; at + LANES <= end; at += LANES) count += lanes_set(mask(equal(load(text + at), newline)));
    for (; at < end; at++) count += text[at] == NEWLINE;
    return count;
}

/* Returns where the line around `at` begins, not before `low`. */
static inline int64_t line_start(const uint8_t *text, int64_t low, int64_t at) {
    while (at > low && text[at - 1] != NEWLINE) at--;
    return at;
}

static inline int64_t line_end(const uint8_t *text, int64_t at, int64_t high) {
    vector newline = all(NEWLINE);
    for (; at + LANES <= high; at += LANES) {
        uint64_t here = mask(equal(load(text + at), newline));
        if (here) return at + first_lane(here);
    }
    while (at < high && text[at] != NEWLINE) at++;
    return at;
}

/* A text made of pieces, one after the other. */
typedef struct {
    int64_t n;
    const int64_t *start, *end; /* what lies between end[i] and start[i + 1] is no line's */
    const int64_t *line;        /* number of the first line of each; 0: lines are not counted */
} pieces;

/* The lines in which matches start; [n] each. */
typedef struct {
    int64_t *piece, *number, *start, *end, *first; /* first: index of its first match among those kept */
    int64_t n;
    int64_t kept; /* matches: those outside of all lines are left out of `match_start` and `match_end` */
} lines;

void find_lines(const uint8_t *text, const pieces *in, int64_t *match_start, int64_t *match_end, int64_t n, lines *out) {
    int64_t piece = -1, number = 0, counted_to = 0, end = -1, kept = 0, found = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = match_start[i];
        if (piece < 0 || (piece + 1 < in->n && in->start[piece + 1] <= at)) {
            while (piece + 1 < in->n && in->start[piece + 1] <= at) piece++;
            if (piece < 0) continue;
            number = in->line ? in->line[piece] : 0, counted_to = in->start[piece], end = -1;
        }
        int64_t high = in->end[piece];
        if (at > high || (at == high && (high == in->start[piece] || text[high - 1] == NEWLINE))) continue;
        if (at > end) {
            if (in->line) number += newlines(text, counted_to, at);
            counted_to = at;
            end = line_end(text, at, high);
            out->piece[found] = piece;
            out->number[found] = number;
            out->start[found] = line_start(text, in->start[piece], at);
            out->end[found] = end;
            out->first[found++] = kept;
        }
        match_start[kept] = at;
        match_end[kept++] = match_end[i];
    }
    out->n = found;
    out->kept = kept;
}

/* Writes text[start[i]:end[i]] one after the other, a newline behind each. */
void join_lines(const uint8_t *text, const int64_t *start, const int64_t *end, int64_t n, uint8_t *out) {
    for (int64_t i = 0; i < n; i++) {
        __builtin_memcpy(out, text + start[i], (size_t)(end[i] - start[i]));
        out += end[i] - start[i];
        *out++ = NEWLINE;
    }
}
