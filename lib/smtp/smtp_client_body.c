/*
 * The message as it goes out. As a chunk it is what it is; else dots at the start of a line are
 * doubled. Any LF starts a line here,
 * so that even a bare one, which the spool never holds, could not smuggle an end of data.
 */
#include "smtp_client.h"

enum body_scan {
    BODY_LINE, /* at the start of a line */
    BODY_TEXT,
    BODY_CR, /* after a CR */
};

/* RFC 3030: the bytes that BDAT has told of, as they are. */
static void chunk(struct smtp_client *c, struct base_span in, size_t *consumed,
                  struct base_buf *out)
{
    size_t n = in.len < out->cap - out->len ? in.len : out->cap - out->len;
    int failed = base_buf_put(out, in.p, n);

    base_assert(failed == 0 && n <= c->chunk_left);
    c->chunk_left -= n;
    *consumed = n;
}

void smtp_client_body(struct smtp_client *c, struct base_span in, size_t *consumed,
                      struct base_buf *out)
{
    size_t i = 0;

    *consumed = in.len;
    if (c->state != SMTP_CLIENT_STATE_BODY) /* the session failed meanwhile */
        return;
    if (c->chunk)
        return chunk(c, in, consumed, out);
    while (i < in.len && out->len < out->cap) {
        if (c->body_scan == BODY_LINE && in.p[i] == '.') {
            if (out->cap - out->len < 2)
                break;
            out->p[out->len++] = '.';
        }
        size_t n = in.len - i < out->cap - out->len ? in.len - i : out->cap - out->len;
        const uint8_t *lf = memchr(in.p + i, '\n', n);
        if (lf != NULL)
            n = (size_t)(lf - in.p) - i + 1;
        memcpy(out->p + out->len, in.p + i, n);
        out->len += n;
        i += n;
        c->body_scan = lf != NULL ? BODY_LINE : in.p[i - 1] == '\r' ? BODY_CR : BODY_TEXT;
    }
    *consumed = i;
}

void smtp_client_body_end(struct smtp_client *c, struct base_buf *out)
{
    static const char *const ends[] = {
        [BODY_LINE] = ".\r\n",
        [BODY_TEXT] = "\r\n.\r\n",
        [BODY_CR] = "\n.\r\n",
    };

    if (c->state != SMTP_CLIENT_STATE_BODY)
        return;
    if (c->chunk) {
        base_assert(c->chunk_left == 0);
    } else {
        int failed = base_buf_puts(out, ends[c->body_scan]);
        base_assert(failed == 0);
    }
    c->state = SMTP_CLIENT_STATE_END;
    c->command_due = false;
}

void smtp_client_quit_early(struct smtp_client *c, struct base_buf *out)
{
    /* LMTP has a reply for each recipient yet, and a server that is asked for little is not asked
     * for more than it must understand. */
    bool last = c->first + c->cnt == c->job.recipient_cnt;

    if (c->state == SMTP_CLIENT_STATE_END && last && c->offers_pipelining && !c->lmtp)
        c->quit_early = base_buf_puts(out, "QUIT\r\n") == 0;
}
