/* A record in Postfix's words, as pflogsumm, fail2ban and others read them. Clients have no name
 * here: they are unknown[address], as where Postfix finds none. */
#include "log_line.h"

/* Parts of the rows that are read here by name. */
enum disconnect_part { DISCONNECT_REASON, DISCONNECT_LAST, DISCONNECT_COMMANDS };
enum refused_part {
    REFUSED_REASON,
    REFUSED_STAGE,
    REFUSED_FROM,
    REFUSED_TO,
    REFUSED_HELO,
    REFUSED_PROTOCOL
};
enum result_part { RESULT_REPLY, RESULT_TO, RESULT_HOST, RESULT_TLS, RESULT_DSN, RESULT_DELAYS };
enum auth_part { AUTH_METHOD, AUTH_REASON, AUTH_LOGIN };
enum message_part { MESSAGE_ID, MESSAGE_LOGIN, MESSAGE_METHOD };

static struct base_span part(const struct log_line *l, uint32_t number)
{
    return stats_log_part_of(l->record, number);
}

static void put_part(struct log_line *l, uint32_t number)
{
    log_line_escape_postfix(l, part(l, number), LOG_LINE_WORDS);
}

/* "<mailbox>" */
static void put_mailbox(struct log_line *l, const char *before, struct base_span mailbox)
{
    log_line_text(l, before);
    log_line_text(l, "<");
    log_line_escape_postfix(l, mailbox, LOG_LINE_MAILBOX);
    log_line_text(l, ">");
}

static void put_client(struct log_line *l)
{
    log_line_text(l, "unknown[");
    if (log_line_has_address(l))
        log_line_address(l, false);
    else
        log_line_text(l, "unknown");
    log_line_text(l, "]");
}

static void put_id(struct log_line *l)
{
    if (!log_line_has_id(l))
        log_line_text(l, "NOQUEUE");
    else
        log_line_id(l);
    log_line_text(l, ": ");
}

/* ---- sessions ---- */

/* What a session's end is called; NULL: it ended as it should. */
static const char *end_of(const struct stats_log_record *r)
{
    static const struct {
        const char *reason, *words;
    } ends[] = {{"closed by peer", "lost connection after "},
                {"reset by peer", "lost connection after "},
                {"too many errors", "too many errors after "},
                {"improper command pipelining", "improper command pipelining after "},
                {"timeout", "timeout after "},
                {"message too slow", "timeout after "}};
    struct base_span reason = stats_log_part_of(r, DISCONNECT_REASON);

    if (r->event != STATS_LOG_DISCONNECT || stats_log_part_of(r, DISCONNECT_LAST).p == NULL)
        return NULL;
    for (size_t i = 0; i < BASE_ARRAY_CNT(ends); i++)
        if (base_span_eq(reason, base_span_str(ends[i].reason)))
            return ends[i].words;
    return NULL;
}

static void disconnect(struct log_line *l, uint32_t line)
{
    const char *end = end_of(l->record);

    if (end != NULL && line == 0) {
        log_line_text(l, end);
        put_part(l, DISCONNECT_LAST);
        log_line_text(l, " from ");
        return put_client(l);
    }
    log_line_text(l, "disconnect from ");
    put_client(l);
    if (part(l, DISCONNECT_COMMANDS).len > 0)
        log_line_text(l, " ");
    put_part(l, DISCONNECT_COMMANDS);
}

static void refused(struct log_line *l)
{
    put_id(l);
    log_line_text(l, "reject: ");
    if (part(l, REFUSED_STAGE).len > 0)
        put_part(l, REFUSED_STAGE);
    else
        log_line_text(l, "CONNECT");
    log_line_text(l, " from ");
    put_client(l);
    log_line_text(l, ": ");
    log_line_number(l, l->record->n);
    log_line_text(l, " ");
    if (l->record->m != 0) {
        log_line_status(l, l->record->m);
        log_line_text(l, " ");
    }
    put_part(l, REFUSED_REASON);
    log_line_text(l, ";");
    if (part(l, REFUSED_FROM).p != NULL)
        put_mailbox(l, " from=", part(l, REFUSED_FROM));
    if (part(l, REFUSED_TO).p != NULL)
        put_mailbox(l, " to=", part(l, REFUSED_TO));
    log_line_text(l, " proto=");
    if (part(l, REFUSED_PROTOCOL).len > 0)
        put_part(l, REFUSED_PROTOCOL);
    else
        log_line_text(l, "SMTP");
    if (part(l, REFUSED_HELO).p != NULL)
        put_mailbox(l, " helo=", part(l, REFUSED_HELO));
}

static void pregreet(struct log_line *l)
{
    log_line_text(l, "PREGREET ");
    log_line_number(l, l->record->n);
    log_line_text(l, " after ");
    log_line_number(l, l->record->m / 1000);
    log_line_text(l, ".");
    log_line_number(l, l->record->m / 100 % 10);
    log_line_text(l, " from [");
    log_line_address(l, false);
    log_line_text(l, "]:");
    log_line_number(l, l->record->port);
    log_line_text(l, ": ");
    put_part(l, 0);
}

static void auth_failed(struct log_line *l)
{
    log_line_text(l, "warning: ");
    put_client(l);
    log_line_text(l, ": SASL ");
    put_part(l, AUTH_METHOD);
    log_line_text(l, " ");
    put_part(l, AUTH_REASON);
    if (part(l, AUTH_LOGIN).p != NULL) {
        log_line_text(l, " sasl_username=");
        put_part(l, AUTH_LOGIN);
    }
}

/* Who sent it; and on a line of its own its Message-ID, if it has one. */
static void message(struct log_line *l, uint32_t line)
{
    put_id(l);
    if (line > 0) {
        log_line_text(l, "message-id=");
        return put_part(l, MESSAGE_ID);
    }
    log_line_text(l, "client=");
    put_client(l);
    if (part(l, MESSAGE_LOGIN).p == NULL)
        return;
    log_line_text(l, ", sasl_method=");
    put_part(l, MESSAGE_METHOD);
    log_line_text(l, ", sasl_username=");
    put_part(l, MESSAGE_LOGIN);
}

static void logged_in(struct log_line *l)
{
    log_line_text(l, "login from ");
    put_client(l);
    log_line_text(l, ": sasl_method=");
    put_part(l, AUTH_METHOD);
    log_line_text(l, ", sasl_username=");
    put_part(l, 1);
}

static void queued(struct log_line *l)
{
    put_id(l);
    put_mailbox(l, "from=", part(l, 0));
    log_line_text(l, ", size=");
    log_line_number(l, l->record->n);
    log_line_text(l, ", nrcpt=");
    log_line_number(l, l->record->m);
    log_line_text(l, " (queue active)");
}

/* ---- deliveries ---- */

/* Hundredths of a second of one of "0.12/1/0.05/3.4"; the number after it is looked for at *at. */
static uint64_t take_delay(struct base_span s, size_t *at)
{
    uint64_t whole = 0, hundredths = 0, unit = 10;
    bool fraction = false;

    for (; *at < s.len && s.p[*at] != '/'; ++*at) {
        uint8_t c = s.p[*at];
        if (c == '.')
            fraction = true;
        else if (c < '0' || c > '9')
            continue;
        else if (!fraction && whole < UINT32_MAX)
            whole = whole * 10 + (uint64_t)(c - '0');
        else if (fraction) {
            hundredths += (uint64_t)(c - '0') * unit;
            unit /= 10;
        }
    }
    ++*at;
    return whole * 100 + hundredths;
}

static void put_delays(struct log_line *l)
{
    struct base_span delays = part(l, RESULT_DELAYS);
    uint64_t all = 0;

    for (size_t at = 0; at < delays.len;)
        all += take_delay(delays, &at);
    log_line_text(l, ", delay=");
    log_line_number(l, all / 100);
    log_line_text(l, ".");
    log_line_number(l, all / 10 % 10);
    log_line_number(l, all % 10);
    if (delays.len == 0)
        return;
    log_line_text(l, ", delays=");
    put_part(l, RESULT_DELAYS);
}

static bool is_status(struct base_span s)
{
    return s.len >= 5 && s.p[0] >= '2' && s.p[0] <= '5' && s.p[1] == '.';
}

/* Ours, or what the server's words begin with, or what the code means. */
static void put_dsn(struct log_line *l, const char *otherwise)
{
    struct base_span dsn = part(l, RESULT_DSN), reply = part(l, RESULT_REPLY);

    log_line_text(l, ", dsn=");
    if (!is_status(dsn)) {
        const uint8_t *end = reply.len > 0 ? memchr(reply.p, ' ', reply.len) : NULL;
        dsn = base_span_of(reply.p, end != NULL ? (size_t)(end - reply.p) : reply.len);
    }
    if (is_status(dsn) && dsn.len <= 9)
        log_line_escape_postfix(l, dsn, LOG_LINE_WORDS);
    else
        log_line_text(l, otherwise);
}

static void put_host(struct log_line *l)
{
    if (part(l, RESULT_HOST).len > 0)
        put_part(l, RESULT_HOST);
    else
        log_line_address(l, false);
    log_line_text(l, "[");
    log_line_address(l, false);
    log_line_text(l, "]");
}

static void result(struct log_line *l, const char *status, const char *dsn)
{
    put_id(l);
    put_mailbox(l, "to=", part(l, RESULT_TO));
    log_line_text(l, ", relay=");
    if (log_line_has_address(l)) {
        put_host(l);
        log_line_text(l, ":");
        log_line_number(l, l->record->port);
    } else if (l->record->path) {
        put_part(l, RESULT_HOST);
    } else {
        log_line_text(l, "none");
    }
    put_delays(l);
    put_dsn(l, dsn);
    log_line_text(l, ", status=");
    log_line_text(l, status);
    log_line_text(l, " (");
    if (l->record->n != 0 && l->record->event != STATS_LOG_DELIVERED) {
        log_line_text(l, "host ");
        put_host(l);
        log_line_text(l, " said: ");
    }
    if (l->record->n != 0) {
        log_line_number(l, l->record->n);
        log_line_text(l, " ");
    }
    put_part(l, RESULT_REPLY);
    log_line_text(l, ")");
    if (part(l, RESULT_TLS).len > 0) {
        log_line_text(l, " tls=");
        put_part(l, RESULT_TLS);
    }
}

/* ---- all of them ---- */

static void of_message(struct log_line *l, const char *words)
{
    put_id(l);
    log_line_text(l, words);
}

static void of_client(struct log_line *l, const char *before, const char *behind)
{
    log_line_text(l, before);
    put_client(l);
    log_line_text(l, behind);
    put_part(l, 0);
}

static void lost(struct log_line *l)
{
    log_line_text(l, "warning: ");
    log_line_number(l, l->record->n);
    log_line_text(l, " log lines of kind ");
    put_part(l, 0);
    log_line_text(l, " lost");
}

/* What Postfix has no words for. */
static void other(struct log_line *l)
{
    const struct stats_log_row *row = &stats_log_rows[l->record->event];

    if (row->level <= STATS_LOG_WARN)
        log_line_text(l, "warning: ");
    if (l->record->event != STATS_LOG_WARNING && l->record->event != STATS_LOG_NOTE) {
        log_line_text(l, row->name);
        log_line_text(l, ": ");
    }
    log_line_fields(l, false);
}

void log_line_postfix(struct log_line *l, uint32_t line)
{
    switch ((enum stats_log_event)l->record->event) {
    case STATS_LOG_CONNECT:
    case STATS_LOG_CONNECT_PROXY:
        log_line_text(l, "connect from ");
        return put_client(l);
    case STATS_LOG_DISCONNECT:
        return disconnect(l, line);
    case STATS_LOG_TLS:
        return of_client(l, "TLS connection established from ", ": ");
    case STATS_LOG_TLS_FAILED:
        return of_client(l, "SSL_accept error from ", ": ");
    case STATS_LOG_AUTH_FAILED:
        return auth_failed(l);
    case STATS_LOG_PREGREET:
        return pregreet(l);
    case STATS_LOG_REFUSED:
        return refused(l);
    case STATS_LOG_MESSAGE:
        return message(l, line);
    case STATS_LOG_XCLIENT:
        return of_client(l, "XCLIENT from ", ": ");
    case STATS_LOG_AUTH:
        return logged_in(l);
    case STATS_LOG_QUEUED:
        return queued(l);
    case STATS_LOG_DELIVERED:
        return result(l, "sent", "2.0.0");
    case STATS_LOG_DEFERRED:
        return result(l, "deferred", "4.0.0");
    case STATS_LOG_FAILED:
        return result(l, "bounced", "5.0.0");
    case STATS_LOG_BOUNCED:
        of_message(l, "sender non-delivery notification: ");
        return put_part(l, 0);
    case STATS_LOG_NOTIFIED:
        of_message(l, "sender delivery status notification: ");
        return put_part(l, 0);
    case STATS_LOG_FINISHED:
    case STATS_LOG_DELETED:
        return of_message(l, "removed");
    case STATS_LOG_HELD:
        return of_message(l, "placed on hold");
    case STATS_LOG_RELEASED:
        return of_message(l, "released from hold");
    case STATS_LOG_REQUEUED:
        return of_message(l, "requeued");
    case STATS_LOG_GAP:
        return lost(l);
    default:
        other(l);
    }
}

uint32_t log_line_postfix_cnt(const struct stats_log_record *r)
{
    if (r->event == STATS_LOG_ACCEPTED)
        return 0;
    if (r->event == STATS_LOG_MESSAGE)
        return stats_log_part_of(r, MESSAGE_ID).len > 0 ? 2 : 1;
    return end_of(r) != NULL ? 2 : 1;
}

const char *log_line_postfix_program(const struct stats_log_record *r, uint32_t line)
{
    switch ((enum stats_log_event)r->event) {
    case STATS_LOG_CONNECT:
    case STATS_LOG_CONNECT_PROXY:
    case STATS_LOG_DISCONNECT:
    case STATS_LOG_XCLIENT:
    case STATS_LOG_PROXY_REFUSED:
    case STATS_LOG_TLS:
    case STATS_LOG_TLS_FAILED:
    case STATS_LOG_AUTH:
    case STATS_LOG_AUTH_FAILED:
    case STATS_LOG_REFUSED:
    case STATS_LOG_ACCEPTED:
    case STATS_LOG_NOT_STORED:
        return "smtpd";
    case STATS_LOG_PREGREET:
        return "postscreen";
    case STATS_LOG_MESSAGE:
        return line == 0 ? "smtpd" : "cleanup";
    case STATS_LOG_EXPANDED:
        return "cleanup";
    case STATS_LOG_QUEUED:
    case STATS_LOG_FINISHED:
    case STATS_LOG_RECOVERED:
        return "qmgr";
    case STATS_LOG_TLS_RELAY:
    case STATS_LOG_DELIVERED:
    case STATS_LOG_DEFERRED:
    case STATS_LOG_FAILED:
        return "smtp";
    case STATS_LOG_BOUNCED:
    case STATS_LOG_NOTIFIED:
        return "bounce";
    case STATS_LOG_HELD:
    case STATS_LOG_RELEASED:
    case STATS_LOG_REQUEUED:
    case STATS_LOG_DELETED:
        return "postsuper";
    default:
        return "master";
    }
}
