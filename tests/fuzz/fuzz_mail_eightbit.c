/* The conversion of 8-bit messages on anything: both passes see the same, cut anywhere; what comes
 * out is ASCII with whole line ends, no line of a converted part is long, and a second conversion
 * finds nothing to do. */
#include "mail_eightbit.h"
#include "base_rand.h"
#include "fuzz_token.h"

#include <stdlib.h>

#define IN_CAP  16384
#define OUT_CAP (4 * IN_CAP + 65536)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct fuzz_token tokens[] = {
    FUZZ_TOKEN("\r\n"),
    FUZZ_TOKEN("\r\n\r\n"),
    FUZZ_TOKEN("\xc3\xa4"),
    FUZZ_TOKEN("--b"),
    FUZZ_TOKEN("\r\n--b\r\n"),
    FUZZ_TOKEN("\r\n--b--\r\n"),
    FUZZ_TOKEN("\r\n--bb\r\n"),
    FUZZ_TOKEN("Content-Type: text/plain\r\n"),
    FUZZ_TOKEN("Content-Type: multipart/mixed; boundary=b\r\n"),
    FUZZ_TOKEN("Content-Type: multipart/mixed;\r\n boundary=\"bb\"\r\n"),
    FUZZ_TOKEN("Content-Type: multipart/signed; boundary=b\r\n"),
    FUZZ_TOKEN("Content-Type: multipart/digest; boundary=b\r\n"),
    FUZZ_TOKEN("Content-Type: message/rfc822\r\n"),
    FUZZ_TOKEN("Content-Type: message/global\r\n"),
    FUZZ_TOKEN("Content-Type: message/global-headers\r\n"),
    FUZZ_TOKEN("Content-Type: a/b (c\\) (d)); x=\"\\\"\"; "),
    FUZZ_TOKEN("Content-Transfer-Encoding: 8bit\r\n"),
    FUZZ_TOKEN("Content-Transfer-Encoding: base64\r\n"),
    FUZZ_TOKEN("MIME-Version: 1.0\r\n"),
    FUZZ_TOKEN("boundary="),
    FUZZ_TOKEN(" \t "),
    FUZZ_TOKEN("="),
    FUZZ_TOKEN("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
    FUZZ_TOKEN("0123456789012345678901234567890123456789012345678901234567890123456789"
               "0123456789012345678901234567890123456789012345678901234567890123456789"),
};

/* Only whole line ends, as the spool has them. */
static size_t with_line_ends(const struct base_buf *from, uint8_t *to)
{
    size_t n = 0;

    for (size_t i = 0; i < from->len; i++)
        if (from->p[i] == '\n') {
            to[n++] = '\r';
            to[n++] = '\n';
        } else if (from->p[i] != '\r') {
            to[n++] = from->p[i];
        }
    return n;
}

static void look(struct mail_eightbit *m, struct base_span in, struct base_rand *rand)
{
    mail_eightbit_init(m);
    for (size_t at = 0, n; at < in.len; at += n) {
        n = 1 + (size_t)base_rand_below(rand, 600);
        n = n < in.len - at ? n : in.len - at;
        mail_eightbit_look(m, base_span_of(in.p + at, n));
    }
    mail_eightbit_looked(m);
}

static void convert(struct mail_eightbit *m, struct base_span in, struct base_rand *rand,
                    struct base_buf *out)
{
    mail_eightbit_begin(m);
    for (size_t at = 0, used; at < in.len; at += used) {
        size_t n = 1 + (size_t)base_rand_below(rand, 600), before = out->len;
        n = n < in.len - at ? n : in.len - at;
        struct base_buf room = {out->p, out->len, out->len + MAIL_EIGHTBIT_OUT_MIN};
        mail_eightbit_convert(m, base_span_of(in.p + at, n), &used, &room);
        base_assert(used > 0 && used <= n && room.len - before <= MAIL_EIGHTBIT_OUT_MIN);
        out->len = room.len;
        base_assert(out->len + 2 * MAIL_EIGHTBIT_OUT_MIN < out->cap);
    }
    mail_eightbit_end(m, out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t expanded[IN_CAP / 2], message[IN_CAP], converted[OUT_CAP];
    struct base_buf text = {expanded, 0, sizeof(expanded)}, out = {converted, 0, sizeof(converted)};
    struct mail_eightbit *m = malloc(sizeof(*m));
    struct base_rand rand;

    base_assert(m != NULL);
    base_rand_init(&rand, size > 0 ? data[0] : 0);
    fuzz_expand(&text, base_span_of(data, size), tokens, BASE_ARRAY_CNT(tokens));
    struct base_span in = base_span_of(message, with_line_ends(&text, message));
    bool high = false;
    for (size_t i = 0; i < in.len; i++)
        high |= in.p[i] >= 0x80;
    look(m, in, &rand);
    base_assert((m->header || m->body) == high);
    base_assert((m->why_not == NULL && !m->global) || m->body);
    if (m->body && !m->header && m->why_not == NULL) {
        convert(m, in, &rand, &out);
        for (size_t i = 0; i < out.len; i++)
            base_assert(out.p[i] < 0x80 && (out.p[i] != '\n' || (i > 0 && out.p[i - 1] == '\r')) &&
                        (out.p[i] != '\r' || (i + 1 < out.len && out.p[i + 1] == '\n')));
        look(m, base_buf_span(&out), &rand);
        base_assert(!m->header && !m->body);
    }
    free(m);
    return 0;
}
