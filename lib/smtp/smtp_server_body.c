/*
 * The body: RFC 5321 section 4.5.2. One pass; each byte of input becomes at most one of output, so
 * that any size of dst works and nothing is ever held back:
 *
 * - A dot at the start of a line is dropped, whether stuffed or the end's: it never comes out.
 * - The CR behind such a dot is dropped: with LF it is the end, with anything else the message is
 *   refused, and what it holds no longer matters.
 * - Every other CR is written at once: either its LF follows, or again the message is refused.
 */
#include "smtp_internal.h"
#include "smtp_scan.h"

enum scan {
    SCAN_LINE,     /* at the start of a line: CRLF or 354 was before */
    SCAN_TEXT,     /* inside a line */
    SCAN_CR,       /* after the CR of a line */
    SCAN_EMPTY_CR, /* after a CR at the start of a line */
    SCAN_DOT,      /* after a dot at the start of a line */
    SCAN_DOT_CR,   /* after that dot and a CR */
};

#define MATCH_OFF UINT8_MAX /* this line is no Received field, or has been counted */

struct refusal_row {
    const char *name;
    struct smtp_reply reply;
    enum stats_id stat;
};

static const struct refusal_row refusals[SMTP_REFUSAL_CNT] = {
    [SMTP_REFUSAL_NONE] = {.name = "none"},
    [SMTP_REFUSAL_BARE_NEWLINE] = {"bare_newline",
                                   {550, "5.5.2", "Error: bare <CR> received"},
                                   STATS_SMTP_REFUSED_BARE_NEWLINE},
    [SMTP_REFUSAL_NUL] = {"nul",
                          {550, "5.6.0", "Error: NUL byte received"},
                          STATS_SMTP_REFUSED_NUL},
    [SMTP_REFUSAL_SIZE] = {"size",
                           {552, "5.3.4", "Error: message file too big"},
                           STATS_SMTP_REFUSED_SIZE},
    [SMTP_REFUSAL_HEADER_SIZE] = {"header_size",
                                  {552, "5.3.4", "Error: message header too big"},
                                  STATS_SMTP_REFUSED_HEADER_SIZE},
    [SMTP_REFUSAL_HOPS] = {"hops", {554, "5.4.6", "Error: too many hops"}, STATS_SMTP_REFUSED_HOPS},
    [SMTP_REFUSAL_CALLER] = {"caller", {.code = 0}, STATS_SMTP_REFUSED_MESSAGE},
};

const char *smtp_refusal_name(enum smtp_refusal r)
{
    base_assert(r < SMTP_REFUSAL_CNT);
    return refusals[r].name;
}

void smtp_server_body_begin(struct smtp_server *s)
{
    s->scan = SCAN_LINE;
    s->refusal = SMTP_REFUSAL_NONE;
    s->refusals = 0;
    s->refuse_code = 0;
    s->message_bytes = 0;
    s->header_bytes = 0;
    s->hop_cnt = 0;
    s->in_header = true;
    s->header_match = 0;
    s->bare_lf = false;
}

static void strike(struct smtp_server *s, enum smtp_refusal refusal)
{
    s->refusals |= (uint8_t)(1 << refusal);
    if (s->refusal == SMTP_REFUSAL_NONE)
        s->refusal = (uint8_t)refusal;
}

void smtp_server_refuse_body(struct smtp_server *s, const struct smtp_reply *reply)
{
    base_assert(s->state == SMTP_SESSION_BODY && s->asked == 0 && reply->code >= 400);
    struct base_buf enhanced = {(uint8_t *)s->refuse_enhanced, 0, sizeof(s->refuse_enhanced)};
    struct base_buf text = {(uint8_t *)s->refuse_text, 0, sizeof(s->refuse_text)};
    size_t text_len = strnlen(reply->text, sizeof(s->refuse_text) - 1);
    int failed = base_buf_put(&text, reply->text, text_len) | base_buf_put(&text, "", 1);

    if (reply->enhanced != NULL)
        failed |= base_buf_puts(&enhanced, reply->enhanced);
    failed |= base_buf_put(&enhanced, "", 1);
    base_assert(failed == 0);
    s->refuse_code = reply->code;
    strike(s, SMTP_REFUSAL_CALLER);
}

static void strike_bare(struct smtp_server *s, bool lf)
{
    if ((s->refusals & 1 << SMTP_REFUSAL_BARE_NEWLINE) == 0)
        s->bare_lf = lf;
    strike(s, SMTP_REFUSAL_BARE_NEWLINE);
}

/* Counts n bytes of the message. */
static void count_bytes(struct smtp_server *s, size_t n)
{
    const struct smtp_server_settings *settings = s->settings;

    s->message_bytes += n;
    if (settings->message_size_max != 0 && s->message_bytes > settings->message_size_max)
        strike(s, SMTP_REFUSAL_SIZE);
    if (!s->in_header)
        return;
    s->header_bytes += n;
    if (settings->header_bytes_max != 0 && s->header_bytes > settings->header_bytes_max)
        strike(s, SMTP_REFUSAL_HEADER_SIZE);
}

/* One byte of a header line whose start matched so far: "received", blanks (RFC 5322 section
 * 4.5.8), colon. */
static void match_received(struct smtp_server *s, uint8_t c)
{
    static const char name[] = "received";

    if (s->header_match < sizeof(name) - 1) {
        bool same = c < 0x80 && (c | 0x20) == name[s->header_match];
        s->header_match = same ? (uint8_t)(s->header_match + 1) : MATCH_OFF;
        return;
    }
    if (c == ' ' || c == '\t')
        return;
    s->header_match = MATCH_OFF;
    if (c != ':')
        return;
    s->hop_cnt++;
    if (s->settings->hop_max != 0 && s->hop_cnt > s->settings->hop_max)
        strike(s, SMTP_REFUSAL_HOPS);
}

/* Writes one byte, for which there is room, unless the message is refused already. */
static void put_byte(struct smtp_server *s, struct base_buf *dst, uint8_t c)
{
    count_bytes(s, 1);
    if (s->refusals == 0)
        dst->p[dst->len++] = c;
}

/* Takes ordinary bytes at p up to n; returns how many. While a header line may still turn out to be
 * a Received field they come one by one. */
static size_t take_text(struct smtp_server *s, const uint8_t *p, size_t n, struct base_buf *dst)
{
    bool keep = s->refusals == 0;
    bool matching = s->in_header && s->header_match != MATCH_OFF;

    if (keep && n > dst->cap - dst->len)
        n = dst->cap - dst->len;
    if (matching && n > 1)
        n = 1;
    size_t taken = smtp_scan_copy(keep ? dst->p + dst->len : NULL, p, n);
    if (keep)
        dst->len += taken;
    if (taken > 0) {
        if (matching)
            match_received(s, *p);
        count_bytes(s, taken);
    }
    return taken;
}

/* CR, LF or NUL inside a line. */
static void take_special(struct smtp_server *s, uint8_t c, struct base_buf *dst)
{
    if (c == '\r') {
        put_byte(s, dst, c);
        s->scan = SCAN_CR;
        return;
    }
    if (c == '\n')
        strike_bare(s, true);
    else
        strike(s, SMTP_REFUSAL_NUL);
    put_byte(s, dst, c);
}

/* Goes on inside a line with a byte that is not consumed yet. */
static void enter_text(struct smtp_server *s, bool line_start)
{
    s->scan = SCAN_TEXT;
    if (line_start)
        s->header_match = 0;
}

static enum smtp_server_event finish(struct smtp_server *s, struct base_buf *out)
{
    if (s->refusals == 0) {
        s->asked = SMTP_SERVER_MESSAGE;
        return SMTP_SERVER_MESSAGE;
    }
    enum smtp_refusal refusal =
        s->refuse_code != 0 ? SMTP_REFUSAL_CALLER : (enum smtp_refusal)__builtin_ctz(s->refusals);
    struct smtp_reply reply = refusals[refusal].reply;
    if (refusal == SMTP_REFUSAL_BARE_NEWLINE && s->bare_lf)
        reply.text = "Error: bare <LF> received";
    if (refusal == SMTP_REFUSAL_CALLER)
        reply = (struct smtp_reply){
            .code = s->refuse_code,
            .enhanced = s->refuse_enhanced[0] != 0 ? s->refuse_enhanced : NULL,
            .text = s->refuse_text,
        };
    s->refusal = (uint8_t)refusal;
    stats_inc(s->stats, refusals[refusal].stat);
    smtp_reply_write(out, &reply);
    smtp_server_reset(s);
    if (reply.code == 421)
        smtp_server_close(s, "answered with 421");
    else
        smtp_server_error(s, out);
    return SMTP_SERVER_REFUSED;
}

/* What a step says: go on with the next byte, with the same one, or stop. */
enum step { STEP_NEXT, STEP_AGAIN, STEP_HEADERS_END, STEP_END };

/* The byte c outside ordinary text. */
static enum step take_byte(struct smtp_server *s, uint8_t c, struct base_buf *dst)
{
    bool empty_line = false;

    switch ((enum scan)s->scan) {
    case SCAN_LINE:
        if (c == '.') {
            s->scan = SCAN_DOT;
            return STEP_NEXT;
        }
        if (c == '\r') {
            put_byte(s, dst, c);
            s->scan = SCAN_EMPTY_CR;
            return STEP_NEXT;
        }
        enter_text(s, true);
        return STEP_AGAIN;
    case SCAN_EMPTY_CR:
        empty_line = true;
        __attribute__((fallthrough));
    case SCAN_CR:
        if (c != '\n') {
            strike_bare(s, false);
            enter_text(s, false);
            return STEP_AGAIN;
        }
        put_byte(s, dst, c);
        s->scan = SCAN_LINE;
        if (!empty_line || !s->in_header)
            return STEP_NEXT;
        s->in_header = false;
        return s->refusals == 0 ? STEP_HEADERS_END : STEP_NEXT;
    case SCAN_DOT:
        if (c == '\r') {
            s->scan = SCAN_DOT_CR;
            return STEP_NEXT;
        }
        enter_text(s, true);
        return STEP_AGAIN;
    case SCAN_DOT_CR:
        if (c == '\n')
            return STEP_END;
        strike_bare(s, false);
        enter_text(s, false);
        return STEP_AGAIN;
    case SCAN_TEXT:
        break;
    }
    take_special(s, c, dst);
    return STEP_NEXT;
}

static enum smtp_body_state scan_body(struct smtp_server *s, struct base_span in, size_t *consumed,
                                      struct base_buf *dst)
{
    size_t i = 0;

    for (*consumed = 0; i < in.len; *consumed = i) {
        if (s->refusals == 0 && dst->len == dst->cap)
            return SMTP_BODY_FULL;
        if (s->scan == SCAN_TEXT) {
            size_t taken = take_text(s, in.p + i, in.len - i, dst);
            i += taken;
            if (taken > 0)
                continue;
        }
        switch (take_byte(s, in.p[i], dst)) {
        case STEP_AGAIN:
            break;
        case STEP_NEXT:
            i++;
            break;
        case STEP_HEADERS_END:
            *consumed = i + 1;
            return SMTP_BODY_HEADERS_END;
        case STEP_END:
            if (s->in_header && s->refusals == 0) {
                s->in_header = false; /* the last LF is left: the next call ends */
                return SMTP_BODY_HEADERS_END;
            }
            *consumed = i + 1;
            return SMTP_BODY_END;
        }
    }
    return SMTP_BODY_MORE;
}

enum smtp_body_state smtp_server_body(struct smtp_server *s, struct base_span in, size_t *consumed,
                                      struct base_buf *dst, struct base_buf *out,
                                      enum smtp_server_event *event)
{
    base_assert(s->state == SMTP_SESSION_BODY && s->asked == 0);
    base_assert(out->cap - out->len >= SMTP_OUT_MIN);
    uint64_t before = s->message_bytes;
    enum smtp_body_state state = scan_body(s, in, consumed, dst);

    stats_add(s->stats, STATS_SMTP_BODY_BYTES, s->message_bytes - before);
    if (state == SMTP_BODY_END)
        *event = finish(s, out);
    return state;
}
