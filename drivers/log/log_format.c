/* A record to its line. */
#include "log.h"
#include "base_time.h"
#include "net_addr.h"

#include <stdio.h>

/* What is never from outside and of bounded size is appended whole: LOG_LINE_CAP has room. */
struct line {
    char *p;
    size_t len;
    size_t text_from; /* of the record's text: what is before it stands elsewhere */
};

static void put(struct line *l, const void *p, size_t n)
{
    base_assert(n <= LOG_LINE_CAP - l->len);
    memcpy(l->p + l->len, p, n);
    l->len += n;
}

static void put_text(struct line *l, const char *s)
{
    put(l, s, strlen(s));
}

static void put_escaped(struct line *l, const uint8_t *p, size_t n)
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        uint8_t c = p[i];
        char escaped[4] = {'\\', 'x', hex[c >> 4], hex[c & 15]};
        if (c >= ' ' && c < 0x7f && c != '\\' && c != '"' && c != '\'')
            put(l, &c, 1);
        else
            put(l, escaped, sizeof(escaped));
    }
}

static bool is_zero(const uint8_t b[16])
{
    static const uint8_t zero[16];
    return memcmp(b, zero, 16) == 0;
}

static void put_number(struct line *l, uint64_t v)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
    put_text(l, text);
}

/* A socket of this machine has no address: its path is the text's first word. */
static bool put_socket(struct line *l, const struct stats_log_record *r)
{
    static const char unix_word[] = "unix:/";
    const uint8_t *blank = memchr(r->text, ' ', r->text_len);

    if (r->text_len < sizeof(unix_word) || memcmp(r->text, unix_word, sizeof(unix_word) - 1) != 0)
        return false;
    size_t len = blank != NULL ? (size_t)(blank - r->text) : r->text_len;
    put_escaped(l, r->text, len);
    l->text_from = blank != NULL ? len + 1 : len;
    return true;
}

static void put_address(struct line *l, const struct stats_log_record *r)
{
    struct net_endpoint e = {.port = r->port};
    char text[NET_ENDPOINT_TEXT_CAP] = "-";

    memcpy(e.addr.b, r->address, 16);
    if (r->port != 0 && !is_zero(r->address))
        net_endpoint_format(text, &e);
    else if (!is_zero(r->address))
        net_addr_format(text, &e.addr);
    else if (put_socket(l, r))
        return;
    put_text(l, text);
}

static void put_field(struct line *l, char kind, const struct stats_log_record *r,
                      log_id_format id_format)
{
    char id[LOG_ID_CAP] = "-";

    switch (kind) {
    case 'i':
        if (!is_zero(r->id))
            id_format(id, r->id);
        put_text(l, id);
        return;
    case 'a':
        put_address(l, r);
        return;
    case 'n':
        put_number(l, r->n);
        return;
    case 'm':
        put_number(l, r->m);
        return;
    default:
        base_assert(kind == 's');
        put_escaped(l, r->text + l->text_from, r->text_len - l->text_from);
    }
}

size_t log_format(char out[LOG_LINE_CAP], const struct stats_log_record *r, log_id_format id_format)
{
    static const char *const levels[] = {" error ", " warn ", " info ", " debug "};
    struct line l = {.p = out};
    char time[BASE_TIME_RFC3339_CAP];

    base_assert(r->event < STATS_LOG_EVENT_CNT && r->text_len <= STATS_LOG_TEXT_CAP);
    const struct stats_log_row *row = &stats_log_rows[r->event];
    put(&l, time, base_time_rfc3339(time, r->wall_ns));
    put_text(&l, levels[row->level]);
    put_text(&l, row->name);
    put_text(&l, " ");
    for (const char *f = row->format; *f != 0; f++)
        if (*f == '%')
            put_field(&l, *++f, r, id_format);
        else
            put(&l, f, 1);
    put_text(&l, "\n");
    return l.len;
}
