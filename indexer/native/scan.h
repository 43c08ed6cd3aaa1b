/* What scan.c offers; indexer/native/scan.py says what each does and calls it. */

#ifndef EINSTEIN_SCAN_H
#define EINSTEIN_SCAN_H

#include <stdint.h>

#include "vector.h"

enum { PROBES_MAX = 3 };
enum { EDGE_NONE, EDGE_LINE, EDGE_WORD };

/* A row of byte sets. The fields are those of indexer.native.scan.Window, in the same order. */
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

#endif
