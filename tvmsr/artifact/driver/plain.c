/* The short form of plain parameters: most of them are equal, small or near each other. Opening a file unfolds them.
 *
 * Runs of words, one after the other. A run begins with a byte: its kind in the lower three bits, above them how many words
 * it stands for; 31 there: that number follows in two bytes, the lower one first. Then
 *   0  the words
 *   1  one word, which all are
 *   2  the top byte of all, then the three lower bytes of each
 *   3  the three lower bytes of each; their sign fills the top
 *   4  two entries of a table a word: the first two as they are, then in bits how much more each is than what goes on
 *      straight from the two before it, modulo 2^16: 0 for 0, 10 for 1, 110 for -1, 111 and four bits for -7 to 7, or for 8:
 *      the entry itself follows in 16 bits. The lowest bit is the first; the run ends with a whole byte.
 * No run goes on from the arrays into the table.
 */
#include "plain.h"

#include <stdlib.h>
#include <string.h>

#include "memory.h"
#include "steps.h"

enum { AS_THEY_ARE, REPEATED, SAME_TOP, SIGNED, TABLE };
enum { MANY = 31, ESCAPE = 8 };

typedef struct bytes {
    const unsigned char *at;
    const unsigned char *end;
} bytes;

/* The next `count` bytes, or NULL. */
static const unsigned char *take(bytes *from, uint64_t count) {
    const unsigned char *at = from->at;
    if (count > (uint64_t)(from->end - at)) return NULL;
    from->at += count;
    return at;
}

static uint32_t three(const unsigned char *at) { return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16; }

static uint32_t word(const unsigned char *at) { return three(at) | (uint32_t)at[3] << 24; }

/* Bits of bytes. */
typedef struct bits {
    bytes *from;
    uint32_t now;
    int left;
} bits;

/* The next `count` bits; what is cut off reads as 0, and is found at the end. */
static uint32_t next_bits(bits *b, int count) {
    uint32_t value = 0;
    for (int i = 0; i < count; i++) {
        if (b->left == 0) {
            const unsigned char *at = take(b->from, 1);
            b->now = at == NULL ? 0 : *at;
            b->left = at == NULL ? -1 : 8;
        }
        value |= (b->now & 1) << i;
        b->now >>= 1;
        if (b->left > 0) b->left--;
    }
    return value;
}

static uint32_t next_entry(bits *b, uint32_t before, uint32_t last) {
    const uint32_t straight = 2 * last - before;
    if (next_bits(b, 1) == 0) return straight;
    if (next_bits(b, 1) == 0) return straight + 1;
    if (next_bits(b, 1) == 0) return straight - 1;
    const uint32_t half = next_bits(b, 4);
    return half == ESCAPE ? next_bits(b, 16) : straight + half - (half > ESCAPE ? 16 : 0);
}

static int unfold_table(bytes *from, uint32_t *to, uint64_t count) {
    const unsigned char *first = take(from, 4);
    if (first == NULL) return 0;
    bits b = {from, 0, 0};
    uint32_t before = word(first) & 0xFFFFu, last = word(first) >> 16;
    to[0] = word(first);
    for (uint64_t i = 1; i < count; i++) {
        before = next_entry(&b, before, last) & 0xFFFFu;
        last = next_entry(&b, last, before) & 0xFFFFu;
        to[i] = before | last << 16;
    }
    return b.left >= 0;
}

static int unfold_run(int kind, bytes *from, uint32_t *to, uint64_t count) {
    static const unsigned char COMMON[] = {0, 4, 1, 0}, EACH[] = {4, 0, 3, 3};
    if (kind == TABLE) return unfold_table(from, to, count);
    if (kind > TABLE) return 0;
    const unsigned char *common = take(from, COMMON[kind]), *each = take(from, EACH[kind] * count);
    if (common == NULL || each == NULL) return 0;
    for (uint64_t i = 0; i < count; i++, each += EACH[kind]) {
        switch (kind) {
            case AS_THEY_ARE: to[i] = word(each); break;
            case REPEATED: to[i] = word(common); break;
            case SAME_TOP: to[i] = three(each) | (uint32_t)common[0] << 24; break;
            default: to[i] = three(each) | (each[2] > 127 ? 0xFF000000u : 0); break;
        }
    }
    return 1;
}

/* Runs that make `words` words. */
static int unfold(bytes *from, int32_t *to, uint64_t words) {
    for (uint64_t done = 0; done < words;) {
        const unsigned char *head = take(from, 1), *more = NULL;
        if (head == NULL) return 0;
        if (*head >> 3 == MANY && (more = take(from, 2)) == NULL) return 0;
        const uint64_t count = more == NULL ? *head >> 3 : more[0] | (uint64_t)more[1] << 8;
        if (count < 1 || count > words - done) return 0;
        if (!unfold_run(*head & 7, from, (uint32_t *)to + done, count)) return 0;
        done += count;
    }
    return 1;
}

static int copy(bytes *from, int32_t *to, uint64_t words) {
    const unsigned char *at = take(from, sr_times(4, words));
    for (uint64_t i = 0; at != NULL && i < words; i++) to[i] = (int32_t)word(at + 4 * i);
    return at != NULL;
}

/* The words and the table behind them. */
static int32_t *with_table(const int32_t *words, uint64_t count, bytes *from, int folded, const char **wrong) {
    const uint64_t length = (uint32_t)words[1], table = (length + 1) / 2;
    if (length < 1 || length > SR_MOST_TABLE) {
        *wrong = "the length of a table";
        return NULL;
    }
    int32_t *all = malloc(4 * (size_t)(count + table));
    if (all == NULL) return NULL;
    memcpy(all, words, 4 * (size_t)count);
    if ((folded ? unfold : copy)(from, all + count, table)) return all;
    *wrong = "a table lies outside of the data";
    free(all);
    return NULL;
}

int32_t *sr_plain_open(const sr_model *model, const sr_step *step, const char **wrong) {
    const tvmsr_param_layout *l = step->block;
    const uint64_t offset = step->params & ~UINT64_C(3), form = step->params & 3;
    const uint64_t count = l == NULL ? SR_KIND[step->kind]->words(step)
                                     : (uint64_t)l->scalars + (uint64_t)l->arrays * (uint64_t)l->outputs;
    *wrong = "a step's parameters lie outside of the data";
    if (form > SR_SHORT || offset > model->data_bytes) return NULL;
    bytes from = {model->data + offset, model->data + model->data_bytes};
    if (form != SR_SHORT && count > model->data_bytes / 4) return NULL;
    int32_t *words = malloc(4 * (size_t)(count + 1));
    if (words == NULL) {
        *wrong = NULL;
        return NULL;
    }
    if (!(form == SR_SHORT ? unfold : copy)(&from, words, count)) {
        free(words);
        return NULL;
    }
    *wrong = NULL;
    if (l == NULL || !l->has_table) return words;
    int32_t *all = with_table(words, count, &from, form == SR_SHORT, wrong);
    free(words);
    return all;
}
