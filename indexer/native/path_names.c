/* How far paths say what a question asks for; search/path_names.py says what that means, path_names.py calls it. */

#include <stdint.h>
#include <string.h>

enum { WORD_BYTES_MAX = 255, STEM_MIN = 3, SHORT_MIN = 3, INSIDE_MIN = 4 };

static const double SAME = 1.0, SAME_STEM = 0.95, SHORT = 0.7;

typedef struct {
    const uint8_t *at;
    int64_t length;
} text;

/* A word of the question and its stem. The fields are those of indexer.native.path_names._Asked, in the same order. */
typedef struct {
    int64_t n;
    const uint8_t *words, *stems; /* one behind the other */
    const int64_t *word_length, *stem_length;
} asked_words;

/* ---- words of a path ---- */

static inline int is_upper(uint8_t byte) { return byte >= 'A' && byte <= 'Z'; }
static inline int is_lower(uint8_t byte) { return byte >= 'a' && byte <= 'z'; }
static inline int is_digit(uint8_t byte) { return byte >= '0' && byte <= '9'; }

static inline int64_t run(text in, int64_t from, int (*is)(uint8_t)) {
    int64_t end = from;
    while (end < in.length && is(in.at[end])) end++;
    return end;
}

/* Writes the next word from `*from` on in lower case and returns its length, 0 if there is none: HTTP, Server and 2 of
 * HTTPServer2. */
static int64_t next_word(text in, int64_t *from, uint8_t *word) {
    int64_t begin = *from, end;
    while (begin < in.length && !is_upper(in.at[begin]) && !is_lower(in.at[begin]) && !is_digit(in.at[begin])) begin++;
    if (begin == in.length) return 0;
    if (is_digit(in.at[begin])) {
        end = run(in, begin, is_digit);
    } else {
        int64_t upper = run(in, begin, is_upper);
        end = run(in, upper, is_lower);
        if (end > upper && upper - begin > 1) end = upper - 1;
    }
    *from = end;
    int64_t length = end - begin < WORD_BYTES_MAX ? end - begin : WORD_BYTES_MAX;
    for (int64_t i = 0; i < length; i++) word[i] = in.at[begin + i] | (is_upper(in.at[begin + i]) ? 0x20 : 0);
    return length;
}

static int ends_with(text word, const char *ending, int64_t length) {
    return word.length >= length && !memcmp(word.at + word.length - length, ending, (size_t)length);
}

/* Writes a word without its ending and returns the length. */
static int64_t stem_of(text word, uint8_t *stem) {
    static const struct {
        const char *ending, *instead;
    } endings[] = {
        {"ies", "i"}, {"y", "i"}, {"ing", ""}, {"ers", ""}, {"ations", "at"}, {"ation", "at"}, {"ions", ""}, {"ion", ""},
        {"ments", ""}, {"ment", ""}, {"ed", ""}, {"es", ""}, {"s", ""}, {"er", ""}, {"or", ""}, {"e", ""},
    };
    int64_t left = word.length;
    const char *instead = "";
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        int64_t length = (int64_t)strlen(endings[i].ending);
        if (word.length - length < STEM_MIN || !ends_with(word, endings[i].ending, length)) continue;
        left -= length;
        instead = endings[i].instead;
        break;
    }
    memcpy(stem, word.at, (size_t)left);
    memcpy(stem + left, instead, strlen(instead));
    return left + (int64_t)strlen(instead);
}

static int is_entry(text word) {
    static const char *const entries[] = {"index", "mod", "init", "main", "lib", "default", "core", "src"};
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        if (word.length == (int64_t)strlen(entries[i]) && ends_with(word, entries[i], word.length)) return 1;
    return 0;
}

/* ---- the question ---- */

static inline int begins_with(text word, text start) {
    return word.length >= start.length && !memcmp(word.at, start.at, (size_t)start.length);
}

/* Whether a word of a path is short for an asked one, or a longer one that begins or ends with it. */
static int is_short(text word, text asked) {
    if (word.length >= SHORT_MIN && begins_with(asked, word)) return 1;
    if (asked.length < INSIDE_MIN || word.length <= asked.length) return 0;
    return begins_with(word, asked) || ends_with(word, (const char *)asked.at, asked.length);
}

static inline int same(text a, text b) { return a.length == b.length && !memcmp(a.at, b.at, (size_t)a.length); }

/* Returns how well a word of a path is asked for, and adds to `which` by which words of the question. */
static double asks_for(const asked_words *asked, text word, uint64_t *which) {
    uint8_t room[WORD_BYTES_MAX + 1];
    text stem = {room, stem_of(word, room)};
    text wanted = {asked->words, 0}, wanted_stem = {asked->stems, 0};
    double best = 0;
    for (int64_t i = 0; i < asked->n; i++) {
        wanted.length = asked->word_length[i];
        wanted_stem.length = asked->stem_length[i];
        double strength = same(word, wanted) ? SAME : same(stem, wanted_stem) ? SAME_STEM : is_short(word, wanted) ? SHORT : 0;
        if (strength > 0) *which |= (uint64_t)1 << i;
        if (strength > best) best = strength;
        wanted.at += wanted.length;
        wanted_stem.at += wanted_stem.length;
    }
    return best;
}

static int64_t last_slash(text path) {
    int64_t at = path.length - 1;
    while (at >= 0 && path.at[at] != '/') at--;
    return at;
}

/* The words of one name: how well they are asked for, summed up, how many they are, whether all are those of entries. */
typedef struct {
    double total;
    int64_t n;
    int entries;
} name;

static name add_up(const asked_words *asked, text in, uint64_t *which) {
    uint8_t room[WORD_BYTES_MAX];
    name out = {0, 0, 1};
    int64_t from = 0;
    for (text word = {room, 0}; (word.length = next_word(in, &from, room)); out.n++) {
        out.total += asks_for(asked, word, which);
        out.entries &= is_entry(word);
    }
    return out;
}

static text stem_of_file(text file) {
    while (file.length && *file.at == '.') file = (text){file.at + 1, file.length - 1};
    const uint8_t *stop = memchr(file.at, '.', (size_t)file.length);
    return (text){file.at, stop ? stop - file.at : file.length};
}

/* Writes of each path how much of its name is asked for, what share of the question's words (at most 64) it has, and how
 * many directories are above. */
void name_paths(const asked_words *asked, const uint8_t *joined, const int64_t *begin, const int64_t *end, int64_t n, float *cover, float *share, float *depth) {
    for (int64_t i = 0; i < n; i++) {
        text path = {joined + begin[i], end[i] - begin[i]};
        int64_t slash = last_slash(path), directories = slash >= 0 && slash > 0;
        for (int64_t k = 0; k < slash; k++) directories += path.at[k] == '/';
        uint64_t which = 0, of_directory = 0;
        name own = add_up(asked, stem_of_file((text){path.at + slash + 1, path.length - slash - 1}), &which);
        text above = {path.at, slash > 0 ? slash : 0};
        if (directories && own.entries) { /* the entry of a directory carries its name */
            int64_t inner = last_slash(above);
            which = 0;
            own = add_up(asked, (text){above.at + inner + 1, above.length - inner - 1}, &which);
            above.length = inner > 0 ? inner : 0;
        }
        for (int64_t k = 0, next; k < above.length; k = next + 1) {
            const uint8_t *stop = memchr(above.at + k, '/', (size_t)(above.length - k));
            next = stop ? stop - above.at : above.length;
            add_up(asked, (text){above.at + k, next - k}, &of_directory);
        }
        which |= of_directory;
        cover[i] = own.n ? (float)(own.total / (double)own.n) : 0;
        share[i] = asked->n ? (float)((double)__builtin_popcountll(which) / (double)asked->n) : 0;
        depth[i] = (float)directories;
    }
}
