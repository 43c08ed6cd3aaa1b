/* Parts of packed blocks, unpacked one behind the other; indexer/native/unpack.py says more and calls it. */

#include <stdint.h>
#include <string.h>

enum { FETCHED_BYTES = 1024, LINE_BYTES = 64 };

/* As LZ4_decompress_safe: returns the bytes written to `out`, which has `room`; less than 0 is a failure. */
typedef int (*decoder)(const char *packed, char *out, int packed_bytes, int room);
/* As LZ4_decompress_safe_partial: the same, but stops after `wanted` bytes. */
typedef int (*part_decoder)(const char *packed, char *out, int packed_bytes, int wanted, int room);

/* The parts that are wanted, in order; those of one block follow each other. */
typedef struct {
    int64_t n;
    const int64_t *low, *high; /* of its block in `packed` */
    const int64_t *size;       /* of its block, unpacked */
    const int64_t *begin;      /* of the part in its block */
    const int64_t *length;
} parts;

/* Unpacks each block up to the end of its last part. Returns -1, or the part whose block does not hold what it should. `scratch` has room for every block. */
int64_t unpack_parts(decoder decode, part_decoder decode_part, const char *packed, int64_t n_packed, const parts *in, char *scratch, char *out) {
    for (int64_t i = 0, last; i < in->n; i = last) {
        int64_t low = in->low[i], size = in->size[i], begin = in->begin[i], end = begin;
        int apart = 0; /* whether something between the parts is left out */
        for (last = i; last < in->n && in->low[last] == low; last++) {
            apart |= in->begin[last] != end;
            end = in->begin[last] + in->length[last];
            if (in->begin[last] < 0 || in->length[last] < 0 || end > size) return last;
        }
        if (last < in->n && in->low[last] >= 0 && in->low[last] < n_packed - FETCHED_BYTES)
            for (int64_t at = 0; at < FETCHED_BYTES; at += LINE_BYTES) __builtin_prefetch(packed + in->low[last] + at);
        if (low < 0 || low > in->high[i] || in->high[i] > n_packed) return i;
        if (size > INT32_MAX || in->high[i] - low > INT32_MAX) return i;
        int head = !apart && begin == 0; /* of the block */
        char *to = head ? out : scratch;
        int packed_bytes = (int)(in->high[i] - low);
        int n = end == size ? decode(packed + low, to, packed_bytes, (int)size)
                            : decode_part(packed + low, to, packed_bytes, (int)end, (int)end);
        if (n != end) return i;
        if (head) {
            out += end;
            continue;
        }
        for (int64_t part = i; part < last; part++) {
            memcpy(out, scratch + in->begin[part], (size_t)in->length[part]);
            out += in->length[part];
        }
    }
    return -1;
}
