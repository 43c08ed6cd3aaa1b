/* Lists of the chunks that have a term: found, scored, looked up; indexer/native/terms.py says more and calls it.
 *
 * Formats: indexer/store/terms.py (the table, the counts) and indexer/store/chunk_lists.py (the lists). What is read
 * may be damaged, so every place is checked before it is read. */

#include <stdint.h>
#include <string.h>

enum { KEY_BYTES = 5, HEADS_STEP = 64, RARE_HEAD = 255 };
enum { COUNTS_STEP = 512, RARE_COUNT = 15 };
enum { BATCH = 512 }; /* postings that are read at once */
enum { BLOCK = 64 };  /* chunks that are looked at together */

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
} table;

/* A list in the table. The fields are those of indexer.native.terms.LIST. */
typedef struct {
    int64_t count, n_bytes; /* count 0: there is none */
    int64_t start;          /* in `data` */
    int64_t posting;        /* number of its first one */
} list;

/* ---- finding ---- */

/* Returns the number of a term, -1 if there is none. */
static int64_t number_of(const table *in, uint64_t hash) {
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
static int head_of(const table *in, int64_t at, list *out) {
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
int64_t find_lists(const table *in, const uint64_t *hashes, int64_t n, list *out) {
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
    int64_t chunk;      /* the last one, or the first where that is still to be given */
    int starts;         /* whether it is */
    int is_bitmap;
    uint64_t word;      /* of a bitmap: bits that are not taken yet */
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

/* Returns 0 if the list is damaged. */
static int opened(const table *in, const list *l, reader *r) {
    const uint8_t *data = in->data + l->start;
    *r = (reader){data, data + l->n_bytes, in->n_chunks, 0, 1, l->n_bytes == (in->n_chunks + 7) / 8, 0, -64};
    if (r->is_bitmap) return 1;
    int width = start_bytes(in->n_chunks);
    if (l->n_bytes < width) return 0;
    for (int i = 0; i < width; i++) r->chunk |= (int64_t)data[i] << 8 * i;
    r->at += width;
    return 1;
}

/* Writes the next n chunks. Returns 0 if there are not so many below n_chunks. */
static int next_chunks(reader *r, int64_t n, uint32_t *out) {
    int64_t i = 0;
    if (r->is_bitmap) {
        while (i < n) {
            while (!r->word) {
                if (r->at == r->end) return 0;
                r->word = take_word(r);
                r->word_first += 64;
            }
            int64_t chunk = r->word_first + __builtin_ctzll(r->word);
            if (chunk >= r->n_chunks) return 0;
            out[i++] = (uint32_t)chunk;
            r->word &= r->word - 1;
        }
        return 1;
    }
    int64_t chunk = r->chunk;
    if (r->starts) out[i++] = (uint32_t)chunk;
    r->starts = 0;
    const uint8_t *at = r->at, *end = r->end;
    for (; i < n; i++) {
        for (;;) {
            if (at == end) return 0;
            uint8_t byte = *at++;
            if (byte < 128) {
                chunk += byte;
                break;
            }
            chunk += 128 * (byte - 127);
        }
        out[i] = (uint32_t)chunk;
    }
    r->at = at;
    r->chunk = chunk;
    return chunk < r->n_chunks; /* they ascend */
}

/* The counts of postings, read from one of them on. */
typedef struct {
    const table *in;
    int64_t posting, rare;
} counts;

static counts counts_from(const table *in, int64_t posting) {
    int64_t i = posting - posting % COUNTS_STEP;
    counts c = {in, posting, in->tf_step[i / COUNTS_STEP]};
    for (; i < posting; i++) c.rare += (in->tf[i >> 1] >> 4 * (i & 1) & 15) == RARE_COUNT;
    return c;
}

/* Writes the next n counts. Returns 0 if the rare ones are not there. */
static int next_counts(counts *c, int64_t n, uint8_t *out) {
    uint8_t code[BATCH + 2];
    const uint8_t *tf = c->in->tf + c->posting / 2;
    int64_t skipped = c->posting % 2, rare = 0;
    for (int64_t i = 0; i < (skipped + n + 1) / 2; i++) {
        code[2 * i] = tf[i] & 15;
        code[2 * i + 1] = tf[i] >> 4;
    }
    for (int64_t i = 0; i < n; i++) {
        out[i] = COMMON_COUNTS[code[skipped + i]];
        rare += out[i] == 0;
    }
    c->posting += n;
    if (c->rare + rare > c->in->n_tf_rare) return 0;
    for (int64_t i = 0; rare; i++) {
        if (out[i]) continue;
        out[i] = c->in->tf_rare[c->rare++];
        rare--;
    }
    return 1;
}

/* ---- scoring ---- */

/* What all terms share. The fields are those of indexer.native.terms._Scoring, in the same order. */
typedef struct {
    const uint16_t *chunk_words;
    const uint32_t *chunk_doc;
    const uint32_t *doc_chunk; /* [n_docs + 1] */
    const uint8_t *mask;       /* [n_docs] 1: its chunks may be found */
    int64_t n_docs;
    float *score;     /* [n_chunks] these three are zero, and again when the best are found */
    float *doc_score; /* [n_docs] */
    float *path;      /* [n_docs] */
    uint8_t *named;   /* [n_chunks / BLOCK + 1] zero, and again: whether a block has chunks of documents in `path` */
    float norm_fixed, norm_of_word, name_weight, k1;
} scoring;

/* A term. The fields are those of indexer.native.terms.TERM. */
typedef struct {
    list found;
    int64_t named_end;             /* where its documents end in `docs`; those of the term before end where it begins */
    float strength, path_strength; /* in contents, in paths */
} term;

static inline float saturated(float frequency, float k1) { return frequency / (k1 + frequency); }

static void add_batch(const scoring *s, const term *t, const uint32_t *chunk, const uint8_t *count, int64_t n, int has_path) {
    float length[BATCH], path[BATCH], gain[BATCH];
    for (int64_t i = 0; i < n; i++) length[i] = s->chunk_words[chunk[i]];
    if (has_path) {
        has_path = 0;
        for (int64_t i = 0; i < n; i++) has_path |= s->named[chunk[i] / BLOCK];
    }
    if (has_path) {
        for (int64_t i = 0; i < n; i++) path[i] = s->named[chunk[i] / BLOCK] ? s->path[s->chunk_doc[chunk[i]]] : 0;
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
    for (int64_t i = 0; i < n; i++) s->score[chunk[i]] += gain[i];
}

static int add_list(const table *in, const scoring *s, const term *t, int has_path) {
    uint32_t chunk[BATCH];
    uint8_t count[BATCH];
    reader r;
    if (!opened(in, &t->found, &r)) return 0;
    counts c = counts_from(in, t->found.posting);
    for (int64_t left = t->found.count, n; left; left -= n) {
        n = left < BATCH ? left : BATCH;
        if (!next_chunks(&r, n, chunk) || !next_counts(&c, n, count)) return 0;
        add_batch(s, t, chunk, count, n, has_path);
    }
    return 1;
}

/* Marks the blocks of a document's chunks, or takes the marks away. */
static void mark(const scoring *s, int64_t doc, uint8_t value) {
    int64_t first = s->doc_chunk[doc] / BLOCK, last = s->doc_chunk[doc + 1] / BLOCK;
    memset(s->named + first, value, (size_t)(last - first + 1));
}

/* Adds what each term gives to chunks and to documents; docs[named] of those whose path has a term, with how often it
 * counts there. Returns -1, or the term whose list is damaged. */
int64_t score_terms(const table *in, const scoring *s, const term *terms, int64_t n_terms, const int64_t *docs, const float *frequency) {
    int64_t from = 0;
    for (int64_t i = 0; i < n_terms; i++) {
        const term *t = &terms[i];
        int64_t begin = from;
        from = t->named_end;
        for (int64_t k = begin; k < from; k++) {
            if (s->path[docs[k]] < frequency[k]) s->path[docs[k]] = frequency[k];
            mark(s, docs[k], 1);
        }
        int ok = !t->found.count || add_list(in, s, t, from > begin);
        for (int64_t k = begin; k < from; k++) { /* a document that two paths have is named twice, and counts once */
            float *path = &s->path[docs[k]];
            if (*path > 0) s->doc_score[docs[k]] += t->path_strength * saturated(*path, s->k1);
            *path = 0;
            mark(s, docs[k], 0);
        }
        if (!ok) return i;
    }
    return -1;
}

/* Gives the chunks of named documents what the path earned, or the first chunk where none has a score; chunks of
 * documents that the mask leaves out lose theirs. Each document's score is 0 then. */
static void add_paths(const scoring *s, const int64_t *docs, int64_t n, int masked) {
    for (int64_t k = 0; k < n; k++) {
        float of_path = s->doc_score[docs[k]];
        s->doc_score[docs[k]] = 0;
        if (of_path == 0 || (masked && !s->mask[docs[k]])) continue;
        int64_t first = s->doc_chunk[docs[k]], last = s->doc_chunk[docs[k] + 1];
        int touched = 0;
        for (int64_t i = first; i < last; i++) {
            if (s->score[i] == 0) continue;
            s->score[i] += of_path;
            touched = 1;
        }
        if (!touched && first < last) s->score[first] = of_path;
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
    typedef int32_t __attribute__((may_alias)) bits;
    const bits *at = (const bits *)block;
    int32_t most = 0;
    for (int i = 0; i < BLOCK; i++) most = at[i] > most ? at[i] : most;
    float out;
    memcpy(&out, &most, sizeof out);
    return out;
}

/* Writes the n best chunks, in no order; of equal ones the first. All scores are zero then. Returns how many there are. */
int64_t best_scored(const table *in, const scoring *s, const int64_t *docs, int64_t n_docs, int masked, int64_t n, uint32_t *chunk, float *score) {
    heap best = {0, n, score, chunk};
    float least = 0; /* better than this */
    add_paths(s, docs, n_docs, masked);
    if (masked)
        for (int64_t d = 0; d < s->n_docs; d++)
            if (!s->mask[d]) memset(s->score + s->doc_chunk[d], 0, sizeof(float) * (s->doc_chunk[d + 1] - s->doc_chunk[d]));
    for (int64_t first = 0; first < in->n_chunks; first += BLOCK) {
        float *block = s->score + first;
        int64_t length = in->n_chunks - first < BLOCK ? in->n_chunks - first : BLOCK;
        float most = length == BLOCK ? most_of(block) : 1;
        if (most == 0) continue;
        for (int64_t i = 0; i < length && (most > least || length < BLOCK); i++) {
            if (!(block[i] > least)) continue;
            push(&best, (uint32_t)(first + i), block[i]);
            if (best.n == n) least = score[0];
        }
        memset(block, 0, sizeof(float) * (size_t)length);
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

static int look_up(const table *in, const part *p, const uint32_t *chunks, int64_t n, float *seen) {
    uint32_t listed[BATCH];
    reader r;
    if (!opened(in, &p->found, &r)) return 0;
    if (r.is_bitmap) {
        for (int64_t k = 0; k < n; k++)
            if (r.at[chunks[k] >> 3] >> (chunks[k] & 7) & 1) raise(&seen[k], p->worth);
        return 1;
    }
    int64_t k = 0;
    for (int64_t left = p->found.count, m; left && k < n; left -= m) {
        m = left < BATCH ? left : BATCH;
        if (!next_chunks(&r, m, listed)) return 0;
        if (listed[m - 1] < chunks[k]) continue;
        for (int64_t i = 0; i < m; i++) {
            while (k < n && chunks[k] < listed[i]) k++;
            if (k == n) break;
            if (chunks[k] == listed[i]) raise(&seen[k], p->worth);
        }
    }
    return 1;
}

/* Raises seen[word][k] to the worth of each part of the word that chunk k has; the n chunks ascend, below n_chunks.
 * Returns -1, or the part whose list is damaged. */
int64_t look_up_terms(const table *in, const part *parts, int64_t n_parts, const uint32_t *chunks, int64_t n, float *seen) {
    for (int64_t i = 0; i < n_parts; i++)
        if (parts[i].found.count && !look_up(in, &parts[i], chunks, n, seen + parts[i].word * n)) return i;
    return -1;
}
