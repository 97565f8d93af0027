#include "sts_policy.h"

#include <errno.h>

enum key { KEY_VERSION, KEY_MODE, KEY_MAX_AGE, KEY_MX, KEY_CNT };
static const char *const key_names[KEY_CNT] = {"version", "mode", "max_age", "mx"};

static const char *const mode_names[STS_MODE_CNT] = {
    [STS_MODE_NONE] = "none",
    [STS_MODE_TESTING] = "testing",
    [STS_MODE_ENFORCE] = "enforce",
};

struct reader {
    struct sts_policy *out;
    struct base_buf room;
    bool seen[KEY_CNT];
    const char *why;
};

const char *sts_mode_name(enum sts_mode mode)
{
    return mode < STS_MODE_CNT ? mode_names[mode] : "";
}

static bool refuse(struct reader *r, const char *why)
{
    r->why = why;
    return false;
}

/* ---- values ---- */

static bool take_version(struct reader *r, struct base_span v)
{
    return base_span_eq(v, base_span_str("STSv1")) || refuse(r, "its version is not STSv1");
}

static bool take_mode(struct reader *r, struct base_span v)
{
    for (unsigned m = 0; m < STS_MODE_CNT; m++)
        if (base_span_eq(v, base_span_str(mode_names[m]))) {
            r->out->mode = (uint8_t)m;
            return true;
        }
    return refuse(r, "its mode is none of enforce, testing, none");
}

static bool take_max_age(struct reader *r, struct base_span v)
{
    uint64_t n = 0;

    if (v.len == 0 || v.len > 10)
        return refuse(r, "its max_age is no number");
    for (size_t i = 0; i < v.len; i++) {
        if (v.p[i] < '0' || v.p[i] > '9')
            return refuse(r, "its max_age is no number");
        n = n * 10 + (uint64_t)(v.p[i] - '0');
    }
    r->out->max_age_s = (uint32_t)n;
    return n <= STS_MAX_AGE_MAX || refuse(r, "its max_age is over 31557600");
}

bool sts_pattern_valid(struct base_span text)
{
    if (text.len > 2 && text.p[0] == '*' && text.p[1] == '.')
        text = base_span_of(text.p + 2, text.len - 2);
    return dns_name_valid(text);
}

static bool take_mx(struct reader *r, struct base_span v)
{
    if (!sts_pattern_valid(v))
        return refuse(r, "one of its mx is no name of a host");
    if (r->out->mx_cnt == STS_MX_MAX)
        return refuse(r, "it has more than 128 mx");
    size_t at = r->room.len;
    if (base_buf_put_span(&r->room, v) != 0 || base_buf_put(&r->room, "", 1) != 0)
        return refuse(r, "it is too long");
    for (; at < r->room.len; at++)
        if (r->room.p[at] >= 'A' && r->room.p[at] <= 'Z')
            r->room.p[at] |= 0x20;
    r->out->mx_cnt++;
    return true;
}

/* ---- lines ---- */

/* sts-policy-ext-name. */
static bool name_valid(struct base_span name)
{
    if (name.len == 0 || name.len > 32)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.p[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!alnum && (i == 0 || (c != '_' && c != '-' && c != '.')))
            return false;
    }
    return true;
}

static bool take_pair(struct reader *r, struct base_span name, struct base_span value)
{
    enum key key = 0;

    while (key < KEY_CNT && !base_span_eq(name, base_span_str(key_names[key])))
        key++;
    if (key == KEY_CNT || (key != KEY_MX && r->seen[key]))
        return true;
    r->seen[key] = true;
    switch (key) {
    case KEY_VERSION:
        return take_version(r, value);
    case KEY_MODE:
        return take_mode(r, value);
    case KEY_MAX_AGE:
        return take_max_age(r, value);
    default:
        return take_mx(r, value);
    }
}

static bool take_line(struct reader *r, struct base_span line)
{
    const uint8_t *colon;

    for (size_t i = 0; i < line.len; i++)
        if ((line.p[i] < ' ' && line.p[i] != '\t') || line.p[i] == 0x7f)
            return refuse(r, "it has a control character");
    while (line.len > 0 && (line.p[line.len - 1] == ' ' || line.p[line.len - 1] == '\t'))
        line.len--;
    if (line.len == 0)
        return true;
    colon = memchr(line.p, ':', line.len);
    if (colon == NULL)
        return refuse(r, "it has a line without a colon");
    struct base_span name = base_span_of(line.p, (size_t)(colon - line.p));
    struct base_span value = base_span_of(colon + 1, line.len - name.len - 1);
    while (value.len > 0 && (value.p[0] == ' ' || value.p[0] == '\t'))
        value = base_span_of(value.p + 1, value.len - 1);
    if (!name_valid(name))
        return refuse(r, "it has a line without a key");
    return take_pair(r, name, value);
}

static bool complete(struct reader *r)
{
    if (!r->seen[KEY_VERSION])
        return refuse(r, "it has no version");
    if (!r->seen[KEY_MODE])
        return refuse(r, "it has no mode");
    if (!r->seen[KEY_MAX_AGE])
        return refuse(r, "it has no max_age");
    return r->out->mx_cnt > 0 || r->out->mode == STS_MODE_NONE || refuse(r, "it has no mx");
}

int sts_policy_parse(struct sts_policy *out, struct base_span text, char *room, size_t room_cap,
                     const char **why)
{
    struct reader r = {.out = out, .room = {.p = (uint8_t *)room, .cap = room_cap}};
    size_t at = 0;
    bool ok = true;

    *out = (struct sts_policy){.mx = room};
    if (text.len > STS_POLICY_MAX)
        ok = refuse(&r, "it is too long");
    while (ok && at < text.len) {
        const uint8_t *lf = memchr(text.p + at, '\n', text.len - at);
        size_t end = lf != NULL ? (size_t)(lf - text.p) : text.len, len = end - at;
        if (lf != NULL && len > 0 && text.p[end - 1] == '\r')
            len--;
        ok = take_line(&r, base_span_of(text.p + at, len));
        at = end + 1;
    }
    ok = ok && complete(&r);
    out->mx_len = (uint32_t)r.room.len;
    *why = ok ? NULL : r.why;
    return ok ? 0 : -EINVAL;
}

/* ---- patterns ---- */

const char *sts_policy_next(const struct sts_policy *p, size_t *at)
{
    if (*at >= p->mx_len)
        return NULL;
    const char *mx = p->mx + *at;
    *at += strlen(mx) + 1;
    return mx;
}

static bool match(const char *pattern, const char *host)
{
    if (strncmp(pattern, "*.", 2) != 0)
        return strcmp(pattern, host) == 0;
    const char *dot = strchr(host, '.');
    return dot != NULL && dot != host && strcmp(pattern + 1, dot) == 0;
}

bool sts_policy_match(const struct sts_policy *p, const char *host)
{
    const char *mx;
    size_t at = 0;

    while ((mx = sts_policy_next(p, &at)) != NULL)
        if (match(mx, host))
            return true;
    return false;
}
