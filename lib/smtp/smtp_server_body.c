/*
 * The body: RFC 5321 section 4.5.2, and chunks by RFC 3030. One pass: what is ordinary goes through
 * the vector scanner, the rest byte by byte. Each step of those makes at most one byte of output,
 * so that any size of dst works and nothing is ever held back:
 *
 * - A dot at the start of a line is dropped, whether stuffed or the end's: it never comes out. But
 *   the only dot of a line that cannot be the end, as a bare LF stands beside it, is content.
 * - The CR behind such a dot is dropped: with LF it is the end, with anything else the message is
 *   refused, and what it holds no longer matters.
 * - Every other CR is written at once: either its LF follows, or again the message is refused.
 * - Before a bare LF that is to be normalized a CR is written first; the LF is taken as a step of
 *   its own.
 *
 * Chunks have no dots and no end but the last one's. A last line without CRLF gets one.
 */
#include "smtp_internal.h"
#include "smtp_scan.h"

enum scan {
    SCAN_LINE,     /* at the start of a line: a line's end or 354 was before */
    SCAN_TEXT,     /* inside a line */
    SCAN_CR,       /* after the CR of a line */
    SCAN_EMPTY_CR, /* after a CR at the start of a line */
    SCAN_DOT,      /* after a dot at the start of a line */
    SCAN_DOT_CR,   /* after that dot and a CR */
    SCAN_LAST_CR,  /* after the CR that ends the last line of the last chunk */
};

#define WRITE_AHEAD_BYTES     2048
#define WRITE_AHEAD_MIN_BYTES 512

#define MATCH_OFF UINT8_MAX /* this line is none of these fields, or has been noted */

/* Of header_match: which of the names the line's begin is that of, and how much of it. */
#define MATCH_TLS 64
static const char name_received[] = "received", name_tls[] = "tls-required";

/* One call of smtp_server_body. */
struct pass {
    struct smtp_server *s;
    struct base_buf *dst;
    size_t checked; /* bytes of dst whose lines have been measured */
    size_t ahead;   /* where in dst lines have been asked for */
    uint64_t most;  /* message_bytes beyond which the session is closed */
};

void smtp_server_body_begin(struct smtp_server *s)
{
    s->scan = SCAN_LINE;
    s->refusal = SMTP_REFUSAL_NONE;
    s->refusals = 0;
    s->refuse_code = 0;
    s->message_bytes = 0;
    s->header_bytes = 0;
    s->header_field_cnt = 0;
    s->line_bytes = 0;
    s->hop_cnt = 0;
    s->in_header = true;
    s->header_match = 0;
    s->tls_required = false;
    s->bare_lf = false;
    s->lf_line = false;
}

bool smtp_server_body_due(const struct smtp_server *s)
{
    return s->state == SMTP_SESSION_BODY && s->chunked && s->chunk_left == 0;
}

static void strike_bare(struct smtp_server *s, bool lf)
{
    if ((s->refusals & 1 << SMTP_REFUSAL_BARE_NEWLINE) == 0)
        s->bare_lf = lf;
    smtp_server_strike(s, SMTP_REFUSAL_BARE_NEWLINE);
}

/* Counts n bytes of the message. */
static void count_bytes(struct smtp_server *s, size_t n)
{
    const struct smtp_server_settings *settings = s->settings;

    s->message_bytes += n;
    if (settings->message_size_max != 0 && s->message_bytes > settings->message_size_max)
        smtp_server_strike(s, SMTP_REFUSAL_SIZE);
    if (!s->in_header)
        return;
    s->header_bytes += n;
    if (settings->header_bytes_max != 0 && s->header_bytes > settings->header_bytes_max)
        smtp_server_strike(s, SMTP_REFUSAL_HEADER_SIZE);
}

/*
 * Measures the lines of what was written since the last time. Of a line that has come to an end
 * within the limit nothing is left to say: so it is enough to find the last LF of each stretch as
 * long as the limit, which is near its end as a rule. Only while the message is not refused:
 * otherwise bytes are missing; that is why this reason is told after all others but the caller's.
 */
static void measure_lines(struct pass *p)
{
    struct smtp_server *s = p->s;
    const uint8_t *text = p->dst->p + p->checked;
    size_t n = p->dst->len - p->checked, at = 0, before = s->line_bytes;
    size_t most = (size_t)s->settings->line_max + 2; /* CRLF */

    p->checked = p->dst->len;
    if (s->settings->line_max == 0 || s->refusals != 0 || n == 0)
        return;
    while (before + (n - at) > most) {
        const uint8_t *lf = memrchr(text + at, '\n', most - before);
        if (lf == NULL)
            return smtp_server_strike(s, SMTP_REFUSAL_LINE);
        at = (size_t)(lf - text) + 1;
        before = 0;
    }
    const uint8_t *lf = memrchr(text + at, '\n', n - at);
    s->line_bytes = (uint32_t)(lf != NULL ? n - (size_t)(lf - text) - 1 : before + (n - at));
}

/* The first byte of a header line: a field begins there, unless the line goes on with the last. */
static void count_field(struct smtp_server *s, uint8_t c)
{
    if (c == ' ' || c == '\t')
        return;
    s->header_field_cnt++;
    if (s->settings->header_field_max != 0 && s->header_field_cnt > s->settings->header_field_max)
        smtp_server_strike(s, SMTP_REFUSAL_HEADER_FIELDS);
}

/* A name is matched, with the blanks that may follow it (RFC 5322 section 4.5.8), and the colon. */
static void note_field(struct smtp_server *s, bool tls)
{
    if (tls) {
        s->tls_required = true; /* what it says is the caller's to read */
        return;
    }
    s->hop_cnt++;
    if (s->settings->hop_max != 0 && s->hop_cnt > s->settings->hop_max)
        smtp_server_strike(s, SMTP_REFUSAL_HOPS);
}

/* One byte of a header line whose start matched so far. The first one tells which name it may be.
 */
static void match_name(struct smtp_server *s, uint8_t c)
{
    if (s->header_match == 0) {
        count_field(s, c);
        if ((c | 0x20) == name_tls[0])
            s->header_match = MATCH_TLS;
    }
    bool tls = s->header_match >= MATCH_TLS;
    const char *name = tls ? name_tls : name_received;
    char wanted = name[s->header_match - (tls ? MATCH_TLS : 0)];
    if (wanted != 0) {
        bool same = c < 0x80 && (c | 0x20) == wanted;
        s->header_match = same ? (uint8_t)(s->header_match + 1) : MATCH_OFF;
        return;
    }
    if (c == ' ' || c == '\t')
        return;
    s->header_match = MATCH_OFF;
    if (c == ':')
        note_field(s, tls);
}

/* Writes one byte, for which there is room, unless the message is refused already. */
static void put_byte(struct pass *p, uint8_t c)
{
    count_bytes(p->s, 1);
    if (p->s->refusals == 0)
        p->dst->p[p->dst->len++] = c;
}

/* Whether the scanner can go on at in[i]: it looks at the byte before, too. The start of a header
 * line is looked at here. A bare LF is no start of a line for the scanner. */
static bool is_plain(const struct smtp_server *s, const uint8_t *in, size_t i)
{
    if (i == 0)
        return false;
    if (s->scan == SCAN_LINE)
        return !s->in_header;
    return s->scan == SCAN_TEXT && in[i - 1] != '\n' &&
           !(s->in_header && s->header_match != MATCH_OFF);
}

/* Buffers come from a thread that has read them: that their lines are to be written is told some
 * packets ahead, so that stores need not wait one by one for what that processor still holds. */
static void expect_more(struct pass *p, size_t n)
{
    const struct base_buf *dst = p->dst;
    size_t at = dst->len + WRITE_AHEAD_BYTES, end = at + n;

    if (at < p->ahead)
        at = p->ahead;
    if (end > dst->cap)
        end = dst->cap;
    for (; at < end; at += 64)
        __builtin_prefetch(dst->p + at, 1);
    p->ahead = at;
}

/* Takes ordinary bytes at src, up to n; returns how many. */
static size_t take_run(struct pass *p, const uint8_t *src, size_t n)
{
    struct smtp_server *s = p->s;
    struct base_buf *dst = p->dst;
    bool keep = s->refusals == 0;
    enum smtp_scan_mode mode = s->in_header ? SMTP_SCAN_LINE
                               : s->chunked ? SMTP_SCAN_CHUNK
                                            : SMTP_SCAN_DATA;

    if (keep && n > dst->cap - dst->len)
        n = dst->cap - dst->len;
    if (n > p->most - s->message_bytes + 1)
        n = p->most - s->message_bytes + 1;
    if (keep && n >= WRITE_AHEAD_MIN_BYTES)
        expect_more(p, n);
    struct smtp_scan_run run = s->scanner->run(keep ? dst->p + dst->len : NULL, src, n, mode);
    if (run.used == 0)
        return 0;
    if (keep)
        dst->len += run.made;
    count_bytes(s, run.made);
    uint8_t last = src[run.used - 1];
    s->scan = last == '\n' ? SCAN_LINE : last == '\r' ? SCAN_CR : SCAN_TEXT;
    s->lf_line = false;
    return run.used;
}

/* What a step says: go on with the next byte, with the same one, or stop. */
enum step { STEP_NEXT, STEP_AGAIN, STEP_HEADERS_END, STEP_END };

/* A byte inside a line, or an LF at its start. */
static enum step take_text(struct pass *p, uint8_t c, bool empty)
{
    struct smtp_server *s = p->s;

    if (c == '\n' && s->normalize) {
        put_byte(p, '\r');
        s->scan = empty ? SCAN_EMPTY_CR : SCAN_CR;
        s->lf_line = true;
        stats_inc(s->stats, STATS_SMTP_NORMALIZED);
        return STEP_AGAIN;
    }
    if (c == '\n')
        strike_bare(s, true);
    else if (c == 0)
        smtp_server_strike(s, SMTP_REFUSAL_NUL);
    else if (c != '\r' && s->in_header && s->header_match != MATCH_OFF)
        match_name(s, c);
    put_byte(p, c);
    s->scan = SCAN_TEXT;
    if (c == '\r') {
        s->scan = SCAN_CR;
        s->lf_line = false;
    }
    return STEP_NEXT;
}

/* Goes on inside a line with a byte that is not consumed yet. */
static enum step enter_text(struct smtp_server *s, bool line_start)
{
    s->scan = SCAN_TEXT;
    if (line_start)
        s->header_match = 0;
    return STEP_AGAIN;
}

/* The byte after a CR: the line ends, or the CR was a bare one. */
static enum step take_line_end(struct pass *p, uint8_t c)
{
    struct smtp_server *s = p->s;
    bool empty = s->scan == SCAN_EMPTY_CR;

    if (c != '\n') {
        strike_bare(s, false);
        return enter_text(s, false);
    }
    put_byte(p, c);
    s->scan = SCAN_LINE;
    if (!empty || !s->in_header)
        return STEP_NEXT;
    measure_lines(p);
    s->in_header = false;
    return s->refusals == 0 ? STEP_HEADERS_END : STEP_NEXT;
}

/* The byte after a dot at the start of a line. */
static enum step take_dotted(struct pass *p, uint8_t c)
{
    struct smtp_server *s = p->s;

    if (c == '\r' && !s->lf_line) {
        s->scan = SCAN_DOT_CR;
        return STEP_NEXT;
    }
    if (c == '\r' || (c == '\n' && s->normalize)) { /* alone beside a bare LF */
        put_byte(p, '.');
        if (s->in_header)
            count_field(s, '.');
        s->header_match = MATCH_OFF;
        return enter_text(s, false);
    }
    return enter_text(s, true);
}

/* The byte c, which the scanner does not take. */
static enum step take_byte(struct pass *p, uint8_t c)
{
    struct smtp_server *s = p->s;

    switch ((enum scan)s->scan) {
    case SCAN_LINE:
        if (c == '.' && !s->chunked) {
            s->scan = SCAN_DOT;
            return STEP_NEXT;
        }
        if (c == '\r') {
            put_byte(p, c);
            s->scan = SCAN_EMPTY_CR;
            s->lf_line = false;
            return STEP_NEXT;
        }
        return c == '\n' ? take_text(p, c, true) : enter_text(s, true);
    case SCAN_EMPTY_CR:
    case SCAN_CR:
        return take_line_end(p, c);
    case SCAN_DOT:
        return take_dotted(p, c);
    case SCAN_DOT_CR:
        if (c == '\n')
            return STEP_END;
        strike_bare(s, false);
        return enter_text(s, false);
    case SCAN_TEXT:
    case SCAN_LAST_CR:
        break;
    }
    return take_text(p, c, false);
}

static enum smtp_body_state scan_body(struct pass *p, struct base_span in, size_t *consumed)
{
    struct smtp_server *s = p->s;
    size_t i = 0;

    for (*consumed = 0; i < in.len; *consumed = i) {
        if (s->message_bytes > p->most)
            return SMTP_BODY_END;
        if (s->refusals == 0 && p->dst->len == p->dst->cap)
            return SMTP_BODY_FULL;
        if (is_plain(s, in.p, i)) {
            size_t taken = take_run(p, in.p + i, in.len - i);
            i += taken;
            if (taken > 0)
                continue;
        }
        switch (take_byte(p, in.p[i])) {
        case STEP_AGAIN:
            break;
        case STEP_NEXT:
            i++;
            break;
        case STEP_HEADERS_END:
            *consumed = i + 1;
            return SMTP_BODY_HEADERS_END;
        case STEP_END:
            measure_lines(p);
            if (s->in_header && s->refusals == 0) {
                s->in_header = false; /* the last LF is left: the next call ends */
                return SMTP_BODY_HEADERS_END;
            }
            *consumed = i + 1;
            return SMTP_BODY_END;
        }
    }
    return s->message_bytes > p->most ? SMTP_BODY_END : SMTP_BODY_MORE;
}

/* All of a chunk is in; of the last one, the message. */
static enum smtp_body_state end_chunk(struct pass *p)
{
    struct smtp_server *s = p->s;

    measure_lines(p);
    if (!s->chunk_last)
        return s->refusals == 0 ? SMTP_BODY_CHUNK : SMTP_BODY_END;
    if (s->scan == SCAN_CR || s->scan == SCAN_EMPTY_CR)
        strike_bare(s, false);
    while (s->refusals == 0 && s->scan != SCAN_LINE) {
        if (p->dst->len == p->dst->cap)
            return SMTP_BODY_FULL;
        put_byte(p, s->scan == SCAN_LAST_CR ? '\n' : '\r');
        s->scan = s->scan == SCAN_LAST_CR ? SCAN_LINE : SCAN_LAST_CR;
    }
    if (s->in_header && s->refusals == 0) {
        s->in_header = false;
        return SMTP_BODY_HEADERS_END;
    }
    return SMTP_BODY_END;
}

enum smtp_body_state smtp_server_body(struct smtp_server *s, struct base_span in, size_t *consumed,
                                      struct base_buf *dst, struct base_buf *out,
                                      enum smtp_server_event *event)
{
    base_assert(s->state == SMTP_SESSION_BODY && s->asked == 0);
    base_assert(out->cap - out->len >= SMTP_OUT_MIN);
    uint64_t before = s->message_bytes, max = s->settings->message_size_max;
    struct pass p = {.s = s, .dst = dst, .checked = dst->len, .most = UINT64_MAX - 1};

    if (max != 0 && max < UINT64_MAX / 4)
        p.most = 2 * max;
    if (s->chunked && in.len > s->chunk_left)
        in.len = s->chunk_left;
    enum smtp_body_state state = scan_body(&p, in, consumed);
    if (s->chunked) {
        s->chunk_left -= *consumed;
        if (state == SMTP_BODY_MORE && s->chunk_left == 0)
            state = end_chunk(&p);
    }
    measure_lines(&p);
    stats_add(s->stats, STATS_SMTP_BODY_BYTES, s->message_bytes - before);
    if (state == SMTP_BODY_END)
        *event = smtp_server_finish(s, s->message_bytes <= p.most, out);
    if (state == SMTP_BODY_CHUNK)
        smtp_server_chunk_taken(s, out);
    return state;
}
