#include "conn_trace.h"

#include <stdarg.h>
#include <stdio.h>

#define LINES_MAX 64  /* of one piece of a dialog */
#define SHOWN_MAX 200 /* bytes of a line */

static const uint8_t *message_of(const struct conn *c)
{
    if (c->listener == NULL) {
        const struct delivery *d = c->out.delivery;
        return d != NULL && d->verify == NULL && !d->probe ? d->job.id.b : NULL;
    }
    return c->in.txn.open || c->in.txn.committing ? c->in.txn.id.b : NULL;
}

bool conn_trace_wanted(struct conn *c)
{
    const struct lane *l = c->lane;
    const struct trace *t = &l->topology->trace;
    const uint8_t *id = message_of(c);

    c->traced &= (uint8_t)l->tracing;
    c->traced |= (uint8_t)trace_of_address(t, &c->remote.addr);
    if (c->proxy.port != 0)
        c->traced |= (uint8_t)trace_of_address(t, &c->proxy.addr);
    if (c->listener != NULL)
        return c->traced != 0;
    /* A connection to a next hop carries one message after another. */
    c->traced = (uint8_t)trace_of_address(t, &c->remote.addr);
    if (id != NULL)
        c->traced |= (uint8_t)trace_of_id(t, id);
    return c->traced != 0;
}

/* Traces give way to other lines: half of the ring is not theirs. */
static void push(struct lane *l, struct stats_log_record *r, uint32_t bits, const char *layer,
                 struct base_span text)
{
    r->n = bits;
    stats_log_text(r, base_span_str(layer));
    stats_log_part(r, 1, text, STATS_LOG_TEXT_CAP);
    stats_log_push(&l->log, r);
}

static void push_of(struct conn *c, const char *layer, struct base_span text)
{
    const uint8_t *id = message_of(c);
    struct stats_log_record r;

    stats_log_begin(&r, STATS_LOG_TRACE, c->lane->wall_ns);
    r.conn = lane_conn_number(c);
    r.m = r.conn;
    r.port = c->remote.port;
    memcpy(r.address, c->remote.addr.b, sizeof(r.address));
    if (id != NULL)
        memcpy(r.id, id, sizeof(r.id));
    push(c->lane, &r, c->traced, layer, text);
}

void conn_trace_line(struct conn *c, const char *layer, const char *format, ...)
{
    char text[STATS_LOG_TEXT_CAP];
    va_list args;

    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    size_t len = n < 0 ? 0 : (size_t)n;
    push_of(c, layer, base_span_of(text, len < sizeof(text) ? len : sizeof(text) - 1));
}

/* ---- dialogs ---- */

/* What a line may show all of. Another first word may be anything: a password behind an AUTH that
 * was refused, a line of a message whose DATA was. */
static bool is_command(struct base_span word)
{
    static const char *const verbs[] = {"EHLO", "HELO", "LHLO",     "MAIL", "RCPT",   "DATA",
                                        "BDAT", "RSET", "NOOP",     "QUIT", "VRFY",   "EXPN",
                                        "HELP", "TURN", "STARTTLS", "ETRN", "XCLIENT"};

    for (size_t i = 0; i < BASE_ARRAY_CNT(verbs); i++)
        if (base_span_caseeq(word, base_span_str(verbs[i])))
            return true;
    return false;
}

static struct base_span word_of(struct base_span *rest)
{
    size_t from = 0, to;

    while (from < rest->len && (rest->p[from] == ' ' || rest->p[from] == '\t'))
        from++;
    for (to = from; to < rest->len && rest->p[to] != ' ' && rest->p[to] != '\t'; to++)
        ;
    struct base_span word = base_span_of(rest->p + from, to - from);
    *rest = base_span_of(rest->p + to, rest->len - to);
    return word;
}

static bool is_reply(struct base_span line)
{
    return line.len >= 3 && line.p[0] >= '2' && line.p[0] <= '5' &&
           (uint8_t)(line.p[1] - '0') < 10 && (uint8_t)(line.p[2] - '0') < 10;
}

/* One line, as far as it may be shown. */
static void show(struct conn *c, bool ours, struct base_span line, bool secret)
{
    bool reply = ours == (c->listener != NULL);
    char text[SHOWN_MAX + 80];
    const char *arrow = ours ? "us:" : "peer:";
    struct base_span rest = line, word = word_of(&rest);
    int shown = (int)(line.len < SHOWN_MAX ? line.len : SHOWN_MAX);
    bool login = base_span_caseeq(word, base_span_str("AUTH"));
    bool whole = reply ? is_reply(line) && memcmp(line.p, "334", 3) != 0
                       : !secret && !login && is_command(word);
    int n;

    if (whole)
        n = snprintf(text, sizeof(text), "%s %.*s", arrow, shown, (const char *)line.p);
    else if (reply)
        n = snprintf(text, sizeof(text), "%s %s", arrow,
                     is_reply(line) ? "334 (not shown)" : "(no reply)");
    else if (!secret && login) {
        struct base_span method = word_of(&rest);
        n = snprintf(text, sizeof(text), "%s AUTH %.*s%s", arrow,
                     (int)(method.len < 20 ? method.len : 20), (const char *)method.p,
                     rest.len > 0 ? " (not shown)" : "");
    } else
        n = snprintf(text, sizeof(text), "%s (%zu bytes, not shown: %s)", arrow, line.len,
                     secret ? "of AUTH" : "no command");
    push_of(c, "smtp", base_span_of(text, n > 0 ? strnlen(text, sizeof(text)) : 0));
}

void conn_trace_dialog(struct conn *c, bool ours, struct base_span bytes, bool secret)
{
    uint32_t lines = 0;

    while (bytes.len > 0 && lines < LINES_MAX) {
        const uint8_t *end = memchr(bytes.p, '\n', bytes.len);
        size_t len = end != NULL ? (size_t)(end - bytes.p) + 1 : bytes.len;
        size_t bare = len;
        while (bare > 0 && (bytes.p[bare - 1] == '\n' || bytes.p[bare - 1] == '\r'))
            bare--;
        show(c, ours, base_span_of(bytes.p, bare), secret && lines == 0);
        bytes = base_span_of(bytes.p + len, bytes.len - len);
        lines++;
    }
    if (bytes.len > 0)
        conn_trace_line(c, "smtp", "%s (%zu bytes more)", ours ? "us:" : "peer:", bytes.len);
}

/* ---- messages ---- */

void conn_trace_mailbox(struct conn *c, struct base_span mailbox)
{
    c->traced |= (uint8_t)trace_of_mailbox(&c->lane->topology->trace, mailbox);
}

void conn_trace_id(struct conn *c, const uint8_t id[16])
{
    struct trace *t = &c->lane->topology->trace;

    if ((trace_of_id(t, id) | c->traced) == trace_of_id(t, id))
        return;
    trace_note_id(t, id, c->traced);
    push_of(c, "message", base_span_str("followed from here on"));
}

/* ---- TCP ---- */

void conn_trace_end(struct conn *c)
{
    struct tcp_facts f = {.state = "no TCP"};

    if (c->lane->tracing == 0 || !conn_trace_wanted(c))
        return;
    if (c->link_ops == &conn_link_tcp)
        tcp_facts(c->link, &f);
    conn_trace_line(
        c, "session",
        "ends: %s; %llu bytes came, %llu went; %s, rtt %u us, cwnd %u, %u bytes unacknowledged",
        c->reason != NULL ? c->reason : "closed", (unsigned long long)c->in_bytes,
        (unsigned long long)c->out_bytes, f.state, f.srtt_us, f.cwnd_bytes, f.unacked_bytes);
}

void conn_trace_tcp(void *arg, void *user, const struct net_endpoint *local,
                    const struct net_endpoint *remote, const char *what, const char *was)
{
    struct lane *l = arg;
    struct conn *c = user;
    uint32_t bits = trace_of_address(&l->topology->trace, &remote->addr);
    char text[128], end[NET_ENDPOINT_TEXT_CAP];
    struct stats_log_record r;

    if (c != NULL && conn_trace_wanted(c))
        bits |= c->traced;
    if (bits == 0)
        return;
    net_endpoint_format(end, local);
    int n = snprintf(text, sizeof(text), "%s%s%s, our end %s", was, was[0] != 0 ? " -> " : "", what,
                     end);
    stats_log_begin(&r, STATS_LOG_TRACE, l->wall_ns);
    r.port = remote->port;
    memcpy(r.address, remote->addr.b, sizeof(r.address));
    if (c != NULL && message_of(c) != NULL)
        memcpy(r.id, message_of(c), sizeof(r.id));
    push(l, &r, bits, "tcp", base_span_of(text, n > 0 ? strnlen(text, sizeof(text)) : 0));
}
