/* Every scanner of this machine against the reference, which is one byte a step: what they take,
 * what they write, and that they write nothing beyond the room. */
#include "base_assert.h"
#include "fuzz_token.h"
#include "smtp_scan.h"

#include <stdlib.h>
#include <string.h>

#define TEXT_CAP 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fuzz_token tokens[] = {
    FUZZ_TOKEN("\r\n"),
    FUZZ_TOKEN("\r\n."),
    FUZZ_TOKEN("\r\n.."),
    FUZZ_TOKEN("\r\n.x"),
    FUZZ_TOKEN("\r\n.\r\n"),
    FUZZ_TOKEN("\r"),
    FUZZ_TOKEN("\n"),
    FUZZ_TOKEN("."),
    FUZZ_TOKEN("\0"),
    FUZZ_TOKEN("0123456789abcde"),
    FUZZ_TOKEN("0123456789abcdef0123456789abcdef"),
    FUZZ_TOKEN("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde"),
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t want[TEXT_CAP];
    uint8_t text[TEXT_CAP];
    struct base_buf b = {text, 0, sizeof(text)};

    if (size < 3)
        return 0;
    fuzz_expand(&b, base_span_of(data + 2, size - 2), tokens, BASE_ARRAY_CNT(tokens));
    if (b.len == 0)
        return 0;
    /* Exactly as large as they are said to be, so that a sanitizer sees what goes beyond. */
    size_t shift = data[0] % 64, n = b.len - 1;
    enum smtp_scan_mode mode = (enum smtp_scan_mode)(data[1] % 3);
    uint8_t *room = malloc(shift + b.len), *dst = malloc(shift + n + (shift + n == 0));
    base_assert(room != NULL && dst != NULL);
    memcpy(room + shift, text, b.len);
    const uint8_t *src = room + shift + 1;

    struct smtp_scan_run a = smtp_scan_scalar(want, src, n, mode);
    base_assert(a.made <= a.used && a.used <= n);
    for (size_t i = 0; smtp_scan_at(i) != NULL; i++) {
        struct smtp_scan_run r = smtp_scan_at(i)->run(dst + shift, src, n, mode);
        base_assert(r.used == a.used && r.made == a.made);
        base_assert(memcmp(dst + shift, want, r.made) == 0);
        r = smtp_scan_at(i)->run(NULL, src, n, mode);
        base_assert(r.used == a.used && r.made == a.made);
    }
    free(room);
    free(dst);
    return 0;
}
