/* Any bytes as a JSON string and as a word: whole UTF-8 without controls, from which the bytes can
 * be read again, as far as \u00NN leaves open whether it was an octet or a character. */
#include "base_assert.h"
#include "base_json.h"
#include "base_utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void is_shown(struct base_span text)
{
    while (text.len > 0) {
        size_t len = base_utf8_shown(text);
        base_assert(len > 0);
        text = base_span_of(text.p + len, text.len - len);
    }
}

static uint32_t hex(const uint8_t *p, size_t n)
{
    char digits[5] = "";

    memcpy(digits, p, n);
    return (uint32_t)strtoul(digits, NULL, 16);
}

/* What an escape stands for is what was taken. */
static void check_json(struct base_span taken, struct base_span piece)
{
    if (piece.p == taken.p) {
        base_assert(piece.len == taken.len && memchr(piece.p, '"', piece.len) == NULL &&
                    memchr(piece.p, '\\', piece.len) == NULL);
        return;
    }
    base_assert(piece.p[0] == '\\' && piece.len <= BASE_JSON_ESCAPE_CAP * taken.len);
    if (piece.len == 2) {
        base_assert(taken.len == 1 && piece.p[1] == taken.p[0]);
        return;
    }
    uint32_t c = taken.p[0];
    size_t len = base_utf8_next(taken, &c);
    base_assert(piece.len == 6 && piece.p[1] == 'u' && hex(piece.p + 2, 4) == c);
    base_assert(taken.len == (len > 0 ? len : 1));
}

static void check_word(struct base_span taken, struct base_span piece)
{
    if (piece.p == taken.p)
        base_assert(piece.len == taken.len && memchr(piece.p, ' ', piece.len) == NULL &&
                    memchr(piece.p, '\\', piece.len) == NULL);
    else
        base_assert(taken.len == 1 && piece.len == 4 && hex(piece.p + 2, 2) == taken.p[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char escape[BASE_JSON_ESCAPE_CAP];

    for (struct base_span rest = base_span_of(data, size); rest.len > 0;) {
        struct base_span before = rest, piece = base_json_take(&rest, escape);
        is_shown(piece);
        check_json(base_span_of(before.p, before.len - rest.len), piece);
    }
    for (struct base_span rest = base_span_of(data, size); rest.len > 0;) {
        struct base_span before = rest, piece = base_utf8_take(&rest, escape);
        is_shown(piece);
        check_word(base_span_of(before.p, before.len - rest.len), piece);
    }
    return 0;
}
