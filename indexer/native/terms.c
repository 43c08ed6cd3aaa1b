/* Lists of the chunks that have a term: found, scored, looked up; indexer/native/terms.py says more and calls it.
 *
 * Formats: indexer/store/terms.py (the table, the counts) and indexer/store/chunk_lists.py (the lists). What is read
 * may be damaged, so every place is checked before it is read. */

#include <stdint.h>
#include <string.h>

#include "vector.h"

enum { KEY_BYTES = 5, HEADS_STEP = 64, RARE_HEAD = 255 };
enum { COUNTS_STEP = 512, RARE_COUNT = 15 };
enum { BATCH = 512 }; /* postings that are read at once */

static const uint8_t COMMON_COUNTS[RARE_COUNT + 1] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 0x11, 0x12, 0x13, 0x22, 0};

/* The sections of a segment. The fields are those of indexer.native.terms._Table, in the same order. */
typedef struct {
    int64_t n, n_chunks, n_postings;
    int64_t n_buckets, low_bytes;
    const uint32_t *first; /* [n_buckets + 1] */
    const uint8_t *low;    /* [n][low_bytes] */
    const uint8_t *head;   /* [n] */
    int64_t n_kinds, n_rare;
    const uint8_t *kind;  /* [n_kinds][2] */
    const uint32_t *rare; /* [n_rare][2] */
    const uint32_t *step; /* [n / HEADS_STEP rounded up + 1][3] */
    const uint8_t *data;
    int64_t n_data;
    const uint8_t *tf, *tf_rare;
    const uint32_t *tf_step;
    int64_t n_tf_rare;
} term_table;

/* A list in the table. The fields are those of indexer.native.terms.LIST. */
typedef struct {
    int64_t count, n_bytes; /* count 0: there is none */
    int64_t start;          /* in `data` */
    int64_t posting;        /* number of its first one */
} list;

/* ---- finding ---- */

/* Returns the number of a term, -1 if there is none. */
static int64_t number_of(const term_table *in, uint64_t hash) {
    uint64_t key = hash >> (64 - 8 * KEY_BYTES);
    int64_t bucket = (int64_t)(key >> 8 * in->low_bytes);
    if (bucket >= in->n_buckets) return -1;
    uint8_t wanted[KEY_BYTES];
    for (int64_t i = 0; i < in->low_bytes; i++) wanted[i] = (uint8_t)(key >> 8 * (in->low_bytes - 1 - i));
    int64_t low = in->first[bucket], high = in->first[bucket + 1];
    if (high > in->n) return -1;
    while (low < high) {
        int64_t middle = (low + high) / 2; /* of its low bytes, the highest first */
        int order = memcmp(in->low + middle * in->low_bytes, wanted, (size_t)in->low_bytes);
        if (!order) return middle;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return -1;
}

/* Adds up the heads before a term, from the last absolute place on. Returns 0 if the table is damaged. */
static int head_of(const term_table *in, int64_t at, list *out) {
    const uint32_t *step = in->step + at / HEADS_STEP * 3;
    int64_t start = step[0], posting = step[1], rare = step[2];
    for (int64_t i = at - at % HEADS_STEP;; i++) {
        int64_t count, n_bytes;
        if (in->head[i] == RARE_HEAD) {
            if (rare >= in->n_rare) return 0;
            count = in->rare[2 * rare];
            n_bytes = in->rare[2 * rare++ + 1];
        } else {
            if (in->head[i] >= in->n_kinds) return 0;
            count = in->kind[2 * in->head[i]];
            n_bytes = in->kind[2 * in->head[i] + 1];
        }
        if (i == at) {
            *out = (list){count, n_bytes, start, posting};
            return count > 0 && start + n_bytes <= in->n_data && posting + count <= in->n_postings;
        }
        start += n_bytes;
        posting += count;
    }
}

/* Writes the list of each hash. Returns -1, or the hash whose list is damaged. */
int64_t find_lists(const term_table *in, const uint64_t *hashes, int64_t n, list *out) {
    for (int64_t i = 0; i < n; i++) {
        out[i] = (list){0, 0, 0, 0};
        int64_t at = number_of(in, hashes[i]);
        if (at >= 0 && !head_of(in, at, &out[i])) return i;
    }
    return -1;
}

/* ---- reading ---- */

/* A list that is read from its first chunk to its last. */
typedef struct {
    const uint8_t *at, *end;
    int64_t n_chunks;
    int64_t left;       /* chunks from `next` on */
    int64_t next;       /* the next one; n_chunks where none is left */
    int is_bitmap;
    uint64_t word;      /* of a bitmap: bits behind the next chunk */
    int64_t word_first; /* the chunk of its lowest bit */
} reader;

static int start_bytes(int64_t n_chunks) {
    int bytes = 1;
    while (bytes < 4 && (n_chunks - 1) >> 8 * bytes) bytes++;
    return bytes;
}

static inline uint64_t take_word(reader *r) {
    uint64_t word = 0;
    size_t n = r->end - r->at < 8 ? (size_t)(r->end - r->at) : 8;
    memcpy(&word, r->at, n);
    r->at += n;
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

/* Takes the chunk after `next` from a bitmap. Where the bytes end too early, it is n_chunks while some are left. */
static inline int64_t next_bit(reader *r) {
    while (!r->word) {
        if (r->at == r->end) return r->n_chunks;
        r->word = take_word(r);
        r->word_first += 64;
    }
    int64_t chunk = r->word_first + __builtin_ctzll(r->word);
    r->word &= r->word - 1;
    return chunk;
}

/* The same of gaps. */
static inline int64_t next_gap(reader *r, int64_t chunk) {
    const uint8_t *at = r->at, *end = r->end;
    for (;;) {
        if (at == end) return r->n_chunks;
        uint8_t byte = *at++;
        if (byte < 128) {
            r->at = at;
            return chunk + byte;
        }
        chunk += 128 * (byte - 127);
    }
}

/* Returns 0 if the list is damaged. */
static int opened(const term_table *in, const list *l, reader *r) {
    const uint8_t *data = in->data + l->start;
    *r = (reader){data, data + l->n_bytes, in->n_chunks, l->count, in->n_chunks, l->n_bytes == (in->n_chunks + 7) / 8, 0, -64};
    if (!l->count) return 1;
    if (r->is_bitmap) {
        r->next = next_bit(r);
    } else {
        int width = start_bytes(in->n_chunks);
        if (l->n_bytes < width) return 0;
        r->next = 0;
        for (int i = 0; i < width; i++) r->next |= (int64_t)data[i] << 8 * i;
        r->at += width;
    }
    return r->next < in->n_chunks;
}

static inline int is_damaged(const reader *r) { return r->left && r->next >= r->n_chunks; }

/* Writes the chunks from the next one on that are below `end`, at most n. Returns how many. */
static int64_t take_below(reader *r, int64_t end, int64_t n, uint32_t *out) {
    int64_t i = 0, chunk = r->next, left = r->left;
    if (n > left) n = left;
    if (r->is_bitmap)
        for (; i < n && chunk < end; i++) {
            out[i] = (uint32_t)chunk;
            chunk = i + 1 < left ? next_bit(r) : r->n_chunks;
        }
    else
        for (; i < n && chunk < end; i++) {
            out[i] = (uint32_t)chunk;
            chunk = i + 1 < left ? next_gap(r, chunk) : r->n_chunks;
        }
    r->next = chunk;
    r->left = left - i;
    return i;
}

/* The counts of postings, read from one of them on. */
typedef struct {
    const term_table *in;
    int64_t posting, rare;
} counts;

static counts counts_from(const term_table *in, int64_t posting) {
    int64_t i = posting - posting % COUNTS_STEP;
    counts c = {in, posting, in->tf_step[i / COUNTS_STEP]};
    for (; i < posting; i++) c.rare += (in->tf[i >> 1] >> 4 * (i & 1) & 15) == RARE_COUNT;
    return c;
}

/* Writes the next n counts, at most BATCH; `out` has LANES bytes more. Returns 0 if the rare ones are not there. */
static int next_counts(counts *c, int64_t n, uint8_t *out) {
    uint8_t code[BATCH + 2 + LANES];
    const uint8_t *tf = c->in->tf + c->posting / 2;
    int64_t skipped = c->posting % 2;
    for (int64_t i = 0; i < (skipped + n + 1) / 2; i++) {
        code[2 * i] = tf[i] & 15;
        code[2 * i + 1] = tf[i] >> 4;
    }
    vector common = table(COMMON_COUNTS);
    for (int64_t i = 0; i < n; i += LANES) {
        vector found = look_up(common, load(code + skipped + i));
        store(out + i, found);
        for (uint64_t rare = mask(equal(found, all(0))); rare; rare &= rare - 1) {
            int64_t at = i + first_lane(rare);
            if (at >= n) break;
            if (c->rare >= c->in->n_tf_rare) return 0;
            out[at] = c->in->tf_rare[c->rare++];
        }
    }
    c->posting += n;
    return 1;
}

/* ---- scoring ---- */

enum { RANGE = 1 << 14 };   /* chunks, or documents, that are scored together: what they need stays in the cache */
enum { TERMS_MAX = 64 };
enum { BLOCK = 64 };        /* chunks whose scores are looked at together */

/* What all terms share. The fields are those of indexer.native.terms._Scoring, in the same order. */
typedef struct {
    const uint16_t *chunk_words;
    const uint32_t *chunk_doc;
    const uint32_t *doc_chunk; /* [n_docs + 1] */
    const uint8_t *mask;       /* [n_docs] 1: its chunks may be found */
    int64_t n_docs;
    float *score; /* [RANGE, or the chunks of the largest document] zero */
    float norm_fixed, norm_of_word, name_weight, k1;
} scoring;

/* A term. The fields are those of indexer.native.terms.TERM. */
typedef struct {
    list found;
    int64_t named_end;             /* where its documents end in `docs`; those of the term before end where it begins */
    float strength, path_strength; /* in contents, in paths */
} term;

/* How far a term has been read. */
typedef struct {
    reader list;
    counts count;
    int64_t named; /* its next document in `docs` */
} cursor;

/* Some documents, one after the other, and their chunks. */
typedef struct {
    int64_t first_doc, end_doc, first, end;
    int scored;             /* whether a chunk has a score */
    float path[RANGE];      /* how often one term counts in the path of each document; zero between terms */
    float doc_score[RANGE]; /* what each document's path earned; zero between ranges */
    int32_t n_named;
    int32_t named[RANGE]; /* the documents, counted in the range, for which that is not zero */
} range;

typedef int32_t __attribute__((may_alias)) bits; /* of a float */

static inline float saturated(float frequency, float k1) { return frequency / (k1 + frequency); }

static void add_batch(const scoring *s, range *r, const term *t, const uint32_t *chunk, const uint8_t *count, int64_t n, int has_path) {
    float length[BATCH], path[BATCH], gain[BATCH];
    float *score = s->score - r->first;
    for (int64_t i = 0; i < n; i++) length[i] = s->chunk_words[chunk[i]];
    if (has_path) {
        for (int64_t i = 0; i < n; i++) path[i] = r->path[s->chunk_doc[chunk[i]] - r->first_doc];
        for (int64_t i = 0; i < n; i++) {
            float norm = s->norm_fixed + s->norm_of_word * length[i];
            float frequency = (float)(count[i] & 15) / norm + s->name_weight * (float)(count[i] >> 4);
            gain[i] = t->strength * (saturated(frequency + path[i], s->k1) - saturated(path[i], s->k1));
        }
    } else {
        for (int64_t i = 0; i < n; i++) {
            float norm = s->norm_fixed + s->norm_of_word * length[i];
            float frequency = (float)(count[i] & 15) / norm + s->name_weight * (float)(count[i] >> 4);
            gain[i] = t->strength * saturated(frequency, s->k1);
        }
    }
    for (int64_t i = 0; i < n; i++) score[chunk[i]] += gain[i];
}

/* Adds what a term gives to the chunks and the documents of a range; docs are those whose path has it, ascending.
 * Returns 0 if its list is damaged. */
static int add_term(const scoring *s, range *r, const term *t, cursor *c, const int64_t *docs, const float *frequency) {
    uint32_t chunk[BATCH];
    uint8_t count[BATCH + LANES];
    int64_t begin = c->named;
    for (; c->named < t->named_end && docs[c->named] < r->end_doc; c->named++) {
        float *path = &r->path[docs[c->named] - r->first_doc];
        if (*path < frequency[c->named]) *path = frequency[c->named];
    }
    while (c->list.next < r->end) {
        int64_t n = take_below(&c->list, r->end, BATCH, chunk);
        if (!next_counts(&c->count, n, count)) return 0;
        add_batch(s, r, t, chunk, count, n, c->named > begin);
        r->scored = 1;
    }
    for (int64_t k = begin; k < c->named; k++) { /* a document that two paths have is named twice, and counts once */
        int64_t doc = docs[k] - r->first_doc;
        if (r->path[doc] == 0) continue;
        if (r->doc_score[doc] == 0) r->named[r->n_named++] = (int32_t)doc;
        r->doc_score[doc] += t->path_strength * saturated(r->path[doc], s->k1);
        r->path[doc] = 0;
    }
    return !is_damaged(&c->list);
}

/* Gives the chunks of each document what its path earned, or the first chunk where none has a score. */
static void add_paths(const scoring *s, range *r) {
    for (int32_t k = 0; k < r->n_named; k++) {
        int64_t doc = r->first_doc + r->named[k], n = s->doc_chunk[doc + 1] - s->doc_chunk[doc];
        float *at = s->score + (s->doc_chunk[doc] - r->first), of_path = r->doc_score[r->named[k]];
        const bits *before = (const bits *)at;
        int32_t any = 0;
        for (int64_t i = 0; i < n; i++) any |= before[i];
        if (any)
            for (int64_t i = 0; i < n; i++) at[i] = at[i] != 0 ? at[i] + of_path : 0;
        else if (n) *at = of_path;
        r->doc_score[r->named[k]] = 0;
    }
}

/* Takes the scores of the documents away that the mask leaves out. */
static void leave_out(const scoring *s, const range *r) {
    for (int64_t doc = r->first_doc; doc < r->end_doc; doc++) {
        int64_t first = s->doc_chunk[doc], end = s->doc_chunk[doc + 1];
        if (!s->mask[doc]) memset(s->score + (first - r->first), 0, sizeof(float) * (size_t)(end - first));
    }
}

/* The best chunks so far: a heap, the worst of them first. */
typedef struct {
    int64_t n, room;
    float *score;
    uint32_t *chunk;
} heap;

static inline int is_worse(const heap *h, int64_t a, int64_t b) {
    return h->score[a] < h->score[b] || (h->score[a] == h->score[b] && h->chunk[a] > h->chunk[b]);
}

static inline void swap(heap *h, int64_t a, int64_t b) {
    float score = h->score[a];
    uint32_t chunk = h->chunk[a];
    h->score[a] = h->score[b];
    h->chunk[a] = h->chunk[b];
    h->score[b] = score;
    h->chunk[b] = chunk;
}

static void push(heap *h, uint32_t chunk, float score) {
    int64_t at = 0;
    if (h->n < h->room) {
        at = h->n++;
        h->score[at] = score;
        h->chunk[at] = chunk;
        for (; at && is_worse(h, at, (at - 1) / 2); at = (at - 1) / 2) swap(h, at, (at - 1) / 2);
        return;
    }
    h->score[0] = score;
    h->chunk[0] = chunk;
    for (int64_t child; (child = 2 * at + 1) < h->n; at = child) {
        if (child + 1 < h->n && is_worse(h, child + 1, child)) child++;
        if (!is_worse(h, child, at)) return;
        swap(h, at, child);
    }
}

/* Returns the greatest of the scores of a block. They are not below 0, so they are ordered as their bits are. */
static inline float most_of(const float *block) {
    const bits *at = (const bits *)block;
    int32_t most = 0;
    for (int i = 0; i < BLOCK; i++) most = at[i] > most ? at[i] : most;
    float out;
    memcpy(&out, &most, sizeof out);
    return out;
}

/* Looks for better chunks than there are in the scores of a range, which are zero then. */
static void take_best(const scoring *s, const range *r, heap *best) {
    float least = best->n == best->room ? best->score[0] : 0;
    for (int64_t first = 0, n = r->end - r->first; first < n; first += BLOCK) {
        float *block = s->score + first;
        int64_t length = n - first < BLOCK ? n - first : BLOCK;
        if (length == BLOCK && !(most_of(block) > least)) continue;
        for (int64_t i = 0; i < length; i++) {
            if (!(block[i] > least)) continue;
            push(best, (uint32_t)(r->first + first + i), block[i]);
            if (best->n == best->room) least = best->score[0];
        }
    }
    memset(s->score, 0, sizeof(float) * (size_t)(r->end - r->first));
}

/* Makes the range of the documents from one of them on: as many as fit, at least one. */
static void move_to(const scoring *s, range *r, int64_t doc) {
    int64_t low = doc + 1, high = doc + RANGE < s->n_docs ? doc + RANGE : s->n_docs;
    while (low < high) {
        int64_t middle = (low + high + 1) / 2;
        if (s->doc_chunk[middle] - s->doc_chunk[doc] <= RANGE) low = middle;
        else high = middle - 1;
    }
    r->first_doc = doc;
    r->end_doc = low;
    r->first = s->doc_chunk[doc];
    r->end = s->doc_chunk[low];
    r->scored = 0;
    r->n_named = 0;
}

/* Writes the n best chunks, in no order; of equal ones the first. `docs` are those whose path has each term, ascending,
 * with how often it counts there; `masked`: whether the mask leaves any out. Returns how many it wrote, -1 if a list is
 * damaged. */
int64_t best_chunks(const term_table *in, const scoring *s, const term *terms, int64_t n_terms, const int64_t *docs, const float *frequency, int masked, int64_t n, uint32_t *chunk, float *score) {
    cursor cursors[TERMS_MAX];
    range r;
    heap best = {0, n, score, chunk};
    memset(r.path, 0, sizeof r.path);
    memset(r.doc_score, 0, sizeof r.doc_score);
    for (int64_t i = 0; i < n_terms; i++) {
        if (!opened(in, &terms[i].found, &cursors[i].list)) return -1;
        cursors[i].count = counts_from(in, terms[i].found.posting);
        cursors[i].named = i ? terms[i - 1].named_end : 0;
    }
    for (int64_t doc = 0; doc < s->n_docs; doc = r.end_doc) {
        move_to(s, &r, doc);
        for (int64_t i = 0; i < n_terms; i++)
            if (!add_term(s, &r, &terms[i], &cursors[i], docs, frequency)) return -1;
        add_paths(s, &r);
        if (!r.scored && !r.n_named) continue;
        if (masked) leave_out(s, &r);
        take_best(s, &r, &best);
    }
    return best.n;
}

/* ---- looking up ---- */

/* Which part of a question a term is. The fields are those of indexer.native.terms.WORTH. */
typedef struct {
    list found;
    int64_t word; /* of the question */
    float worth;
} part;

static inline void raise(float *at, float worth) {
    if (*at < worth) *at = worth;
}

static int look_up_part(const term_table *in, const part *p, const uint32_t *chunks, int64_t n, float *seen) {
    uint32_t listed[BATCH];
    reader r;
    if (!opened(in, &p->found, &r)) return 0;
    if (r.is_bitmap) {
        const uint8_t *bits = in->data + p->found.start;
        for (int64_t k = 0; k < n; k++)
            if (bits[chunks[k] >> 3] >> (chunks[k] & 7) & 1) raise(&seen[k], p->worth);
        return 1;
    }
    int64_t k = 0;
    while (r.left && !is_damaged(&r) && k < n) {
        int64_t m = take_below(&r, in->n_chunks, BATCH, listed);
        if (listed[m - 1] < chunks[k]) continue;
        for (int64_t i = 0; i < m; i++) {
            while (k < n && chunks[k] < listed[i]) k++;
            if (k == n) break;
            if (chunks[k] == listed[i]) raise(&seen[k], p->worth);
        }
    }
    return !is_damaged(&r);
}

/* Raises seen[word][k] to the worth of each part of the word that chunk k has; the n chunks ascend, below n_chunks.
 * Returns -1, or the part whose list is damaged. */
int64_t look_up_terms(const term_table *in, const part *parts, int64_t n_parts, const uint32_t *chunks, int64_t n, float *seen) {
    for (int64_t i = 0; i < n_parts; i++)
        if (parts[i].found.count && !look_up_part(in, &parts[i], chunks, n, seen + parts[i].word * n)) return i;
    return -1;
}
