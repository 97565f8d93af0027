#include "tlsrpt_record.h"

#include <errno.h>

static bool is_wsp(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static bool is_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static struct base_span from(struct base_span s, size_t n)
{
    return base_span_of(s.p + n, s.len - n);
}

static struct base_span trim(struct base_span s)
{
    while (s.len > 0 && is_wsp(s.p[0]))
        s = from(s, 1);
    while (s.len > 0 && is_wsp(s.p[s.len - 1]))
        s.len--;
    return s;
}

/* Up to the separator; *rest is what is behind it, its p NULL when there is none. */
static struct base_span cut(struct base_span *rest, uint8_t separator)
{
    struct base_span first = *rest;
    const uint8_t *at = rest->len > 0 ? memchr(rest->p, separator, rest->len) : NULL;

    if (at == NULL) {
        *rest = base_span_of(NULL, 0);
        return first;
    }
    first.len = (size_t)(at - first.p);
    *rest = from(*rest, first.len + 1);
    return first;
}

static bool begins(struct base_span s, const char *with)
{
    struct base_span w = base_span_str(with);

    return s.len >= w.len && base_span_caseeq(base_span_of(s.p, w.len), w);
}

/* The version, as it is written, and the end of its field. */
static bool skip_version(struct base_span *text)
{
    static const char version[] = "v=TLSRPTv1";
    size_t at = sizeof(version) - 1;

    if (text->len < at || memcmp(text->p, version, at) != 0)
        return false;
    while (at < text->len && is_wsp(text->p[at]))
        at++;
    if (at == text->len || text->p[at] != ';')
        return false;
    *text = from(*text, at + 1);
    return true;
}

bool tlsrpt_record_is(struct base_span text)
{
    return skip_version(&text);
}

/* ---- URIs ---- */

/* Printable, without what RFC 8460 wants encoded or RFC 3986 has no place for. */
static bool is_uri(struct base_span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] <= 0x20 || s.p[i] >= 0x7f || strchr("\"<>\\^`{|},;!#", s.p[i]) != NULL)
            return false;
    return s.len > 0 && s.len <= TLSRPT_URI_BYTES_MAX;
}

/* Labels with a dot between them, the last one no number: then it would be an address. */
static bool is_host(struct base_span s)
{
    size_t label = 0, dots = 0;
    bool digits = true;

    if (s.len == 0 || s.len > 253)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] == '.') {
            if (label == 0 || s.p[i - 1] == '-')
                return false;
            label = 0;
            digits = true;
            dots++;
            continue;
        }
        if (!is_alnum(s.p[i]) && (s.p[i] != '-' || label == 0) && s.p[i] != '_')
            return false;
        digits &= s.p[i] >= '0' && s.p[i] <= '9';
        if (++label > 63)
            return false;
    }
    return label > 0 && s.p[s.len - 1] != '-' && !digits && dots > 0;
}

static int read_port(uint16_t *out, struct base_span s)
{
    uint32_t n = 0;

    if (s.len == 0 || s.len > 5)
        return -EINVAL;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -EINVAL;
        n = n * 10 + (s.p[i] - (uint32_t)'0');
    }
    if (n == 0 || n > 65535)
        return -EINVAL;
    *out = (uint16_t)n;
    return 0;
}

int tlsrpt_url_parse(struct tlsrpt_url *out, struct base_span uri)
{
    size_t end = 0;

    if (!is_uri(uri) || !begins(uri, "https://"))
        return -EINVAL;
    struct base_span rest = from(uri, 8);
    while (end < rest.len && rest.p[end] != '/' && rest.p[end] != '?')
        end++;
    struct base_span authority = base_span_of(rest.p, end);
    *out = (struct tlsrpt_url){.path = from(rest, end), .port = 443};
    out->host = cut(&authority, ':');
    if (authority.p != NULL && read_port(&out->port, authority) != 0)
        return -EINVAL;
    return is_host(out->host) ? 0 : -EINVAL; /* an at sign is in no host name */
}

static void take_uri(struct tlsrpt_record *out, struct base_span uri)
{
    struct tlsrpt_url url;
    int scheme = -1;

    if (tlsrpt_url_parse(&url, uri) == 0)
        scheme = TLSRPT_HTTPS;
    else if (is_uri(uri) && begins(uri, "mailto:") && uri.len > 7)
        scheme = TLSRPT_MAILTO;
    if (scheme < 0 || out->uri_cnt == TLSRPT_URI_MAX)
        out->other_cnt++;
    else
        out->uri[out->uri_cnt++] = (struct tlsrpt_uri){(uint8_t)scheme, uri};
}

/* ---- fields ---- */

static bool is_name(struct base_span s)
{
    if (s.len == 0 || s.len > 32 || !is_alnum(s.p[0]))
        return false;
    for (size_t i = 1; i < s.len; i++)
        if (!is_alnum(s.p[i]) && strchr("_-.", s.p[i]) == NULL)
            return false;
    return true;
}

static bool is_value(struct base_span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] <= 0x20 || s.p[i] >= 0x7f || s.p[i] == '=')
            return false;
    return s.len > 0;
}

int tlsrpt_record_parse(struct tlsrpt_record *out, struct base_span text)
{
    bool rua = false;

    *out = (struct tlsrpt_record){0};
    if (!skip_version(&text))
        return -EINVAL;
    while (text.p != NULL) {
        struct base_span field = trim(cut(&text, ';'));
        if (field.len == 0 && text.p == NULL) /* behind the last delimiter */
            break;
        struct base_span value = field, name = cut(&value, '=');
        if (value.p == NULL || !is_name(name))
            return -EINVAL;
        if (!base_span_eq(name, base_span_str("rua"))) {
            if (!is_value(value))
                return -EINVAL;
            continue;
        }
        if (rua) /* which one is meant? */
            return -EINVAL;
        rua = true;
        while (value.p != NULL)
            take_uri(out, trim(cut(&value, ',')));
    }
    return rua ? 0 : -EINVAL;
}
