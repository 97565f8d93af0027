/* The address list of a From field: RFC 5322 section 3.4 with RFC 6854's groups. */
#include "policy_from.h"

#include <ctype.h>
#include <errno.h>

#define COMMENT_DEPTH_MAX 16

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

static bool is_atext(uint8_t c)
{
    return (uint8_t)((c | 0x20) - 'a') < 26 || (uint8_t)(c - '0') < 10 || c >= 0x80 ||
           (c > 0x20 && c < 0x7f && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool at(const struct base_span *s, uint8_t c)
{
    return s->len > 0 && s->p[0] == c;
}

static void drop(struct base_span *s, size_t n)
{
    s->p += n;
    s->len -= n;
}

/* Length of the comment at the start, 0: it does not end, or is too deep. */
static size_t comment(struct base_span s)
{
    unsigned depth = 0;

    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] == '\\') {
            i++;
        } else if (s.p[i] == '(') {
            if (++depth > COMMENT_DEPTH_MAX)
                return 0;
        } else if (s.p[i] == ')' && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

/* Takes blanks and comments off. Returns false at a comment that is none. */
static bool skip(struct base_span *s)
{
    while (s->len > 0 && (is_blank(s->p[0]) || s->p[0] == '(')) {
        size_t n = s->p[0] == '(' ? comment(*s) : 1;
        if (n == 0)
            return false;
        drop(s, n);
    }
    return true;
}

static size_t atom(struct base_span s)
{
    size_t i = 0;

    while (i < s.len && is_atext(s.p[i]))
        i++;
    return i;
}

static size_t dot_atom(struct base_span s)
{
    size_t end = 0;

    for (;;) {
        size_t n = atom(base_span_of(s.p + end, s.len - end));
        if (n == 0)
            return 0;
        end += n;
        if (end == s.len || s.p[end] != '.')
            return end;
        end++;
    }
}

static size_t quoted(struct base_span s)
{
    for (size_t i = 1; i < s.len; i++) {
        if (s.p[i] == '\\')
            i++;
        else if (s.p[i] == '"')
            return i + 1;
    }
    return 0;
}

/* RFC 5321 section 4.1.3 alone: what RFC 5322 has beyond it, an @ say, others read otherwise. */
static size_t literal(struct base_span s)
{
    for (size_t i = 1; i < s.len; i++) {
        if (s.p[i] == ']')
            return i > 1 ? i + 1 : 0;
        if (!isalnum(s.p[i]) && s.p[i] != '.' && s.p[i] != ':' && s.p[i] != '-')
            return 0;
    }
    return 0;
}

/* Takes an addr-spec off; returns false with s as it was when there is none. */
static bool addr_spec(struct base_span *s, struct smtp_address *out)
{
    struct base_span rest = *s;
    size_t n = at(&rest, '"') ? quoted(rest) : dot_atom(rest);
    const uint8_t *start = rest.p;

    if (n == 0)
        return false;
    *out = (struct smtp_address){.kind = SMTP_ADDRESS_MAILBOX, .local = base_span_of(start, n)};
    drop(&rest, n);
    if (!skip(&rest) || !at(&rest, '@'))
        return false;
    drop(&rest, 1);
    if (!skip(&rest))
        return false;
    n = at(&rest, '[') ? literal(rest) : dot_atom(rest);
    if (n == 0)
        return false;
    out->domain = base_span_of(rest.p, n);
    out->mailbox = base_span_of(start, (size_t)(rest.p + n - start));
    drop(&rest, n);
    *s = rest;
    return true;
}

/* Takes words off, and the dots that display names have without being allowed to. */
static bool phrase(struct base_span *s, bool *any)
{
    *any = false;
    for (;;) {
        if (!skip(s))
            return false;
        size_t n = at(s, '"') ? quoted(*s) : at(s, '.') ? 1 : atom(*s);
        if (n == 0)
            return !at(s, '"');
        *any = true;
        drop(s, n);
    }
}

static bool ends(const struct base_span *s, bool in_group)
{
    return s->len == 0 ? !in_group : s->p[0] == ',' || (in_group && s->p[0] == ';');
}

/* One mailbox, or what opens a group: then *out has no domain. */
static int element(struct base_span *s, bool *in_group, struct smtp_address *out)
{
    bool any;

    struct base_span bare = *s;
    if (addr_spec(&bare, out) && skip(&bare) && ends(&bare, *in_group)) {
        *s = bare;
        return 1;
    }
    if (!phrase(s, &any))
        return -EINVAL;
    if (at(s, ':') && any && !*in_group) {
        drop(s, 1);
        *in_group = true;
        return 0;
    }
    if (!at(s, '<'))
        return -EINVAL;
    drop(s, 1);
    if (!skip(s) || !addr_spec(s, out) || !skip(s) || !at(s, '>'))
        return -EINVAL;
    drop(s, 1);
    return skip(s) && ends(s, *in_group) ? 1 : -EINVAL;
}

int policy_from_next(struct base_span *list, bool *in_group, struct smtp_address *out)
{
    for (;;) {
        if (!skip(list))
            return -EINVAL;
        if (list->len == 0)
            return *in_group ? -EINVAL : 0;
        if (at(list, ',')) {
            drop(list, 1);
        } else if (at(list, ';') && *in_group) {
            drop(list, 1);
            *in_group = false;
            if (!skip(list) || !ends(list, false))
                return -EINVAL;
        } else {
            int got = element(list, in_group, out);
            if (got != 0)
                return got;
        }
    }
}
