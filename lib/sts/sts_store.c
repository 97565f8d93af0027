/*
 * The cache as text, so that an operator can read it:
 *
 *   mta-sts policies 1
 *   DOMAIN ID MODE MAX_AGE FETCHED USED MX,MX
 *   end COUNT CRC32C
 *
 * Numbers are decimal, times in seconds since 1970; the checksum is of all before its line. What is
 * cut, changed or of another version is refused as a whole: it can be fetched again.
 */
#include "base_crc32c.h"
#include "sts_cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char head[] = "mta-sts policies 1\n";

#define LINE_CAP  (DNS_NAME_CAP + STS_ID_CAP + 128) /* without the patterns */
#define FIELD_CNT 7

/* ---- writing ---- */

static size_t write_line(char *out, size_t cap, const struct sts_entry *e)
{
    const struct sts_policy *p = &e->policy;
    size_t len = (size_t)snprintf(out, cap, "%s %s %s %u %llu %llu ", e->domain, e->id,
                                  sts_mode_name(p->mode), p->max_age_s,
                                  (unsigned long long)e->fetched_s, (unsigned long long)e->used_s);

    base_assert(len + p->mx_len + 2 < cap);
    if (p->mx_cnt == 0) {
        out[len++] = '-';
    } else {
        memcpy(out + len, p->mx, p->mx_len - 1); /* without the last NUL */
        for (size_t i = 0; i + 1 < p->mx_len; i++)
            if (out[len + i] == 0)
                out[len + i] = ',';
        len += p->mx_len - 1;
    }
    out[len++] = '\n';
    return len;
}

char *sts_cache_write(const struct sts_cache *c, uint64_t now_s, size_t *len)
{
    size_t cap = sizeof(head) + LINE_CAP;
    uint32_t cnt = 0;

    base_list_each (node, &c->entries)
        cap += LINE_CAP + base_container_of(node, struct sts_entry, node)->policy.mx_len;
    char *out = malloc(cap);
    if (out == NULL)
        return NULL;
    size_t at = sizeof(head) - 1;
    memcpy(out, head, at);
    base_list_each (node, &c->entries) {
        const struct sts_entry *e = base_container_of(node, struct sts_entry, node);
        if (sts_entry_expires_s(e, now_s) == 0)
            continue;
        at += write_line(out + at, cap - at, e);
        cnt++;
    }
    at += (size_t)snprintf(out + at, cap - at, "end %u %08x\n", cnt, base_crc32c(0, out, at));
    *len = at;
    return out;
}

/* ---- reading ---- */

static bool take_line(struct base_span *text, struct base_span *line)
{
    const uint8_t *lf = text->len > 0 ? memchr(text->p, '\n', text->len) : NULL;

    if (lf == NULL)
        return false;
    *line = base_span_of(text->p, (size_t)(lf - text->p));
    *text = base_span_of(lf + 1, text->len - line->len - 1);
    return true;
}

/* Returns how many words the line has, at most cap + 1. */
static uint32_t split(struct base_span line, struct base_span *words, uint32_t cap)
{
    uint32_t n = 0;
    size_t from = 0;

    for (size_t i = 0; i <= line.len; i++) {
        if (i < line.len && line.p[i] != ' ')
            continue;
        if (n < cap)
            words[n] = base_span_of(line.p + from, i - from);
        n += n <= cap;
        from = i + 1;
    }
    return n;
}

static bool number(struct base_span word, uint64_t *out)
{
    uint64_t n = 0;

    if (word.len == 0 || word.len > 15)
        return false;
    for (size_t i = 0; i < word.len; i++) {
        if (word.p[i] < '0' || word.p[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(word.p[i] - '0');
    }
    *out = n;
    return true;
}

/* "a,b" with a NUL behind each. Returns false where one is no pattern. */
static bool read_mx(struct sts_policy *p, struct base_span word, char *room)
{
    size_t from = 0;

    p->mx = room;
    p->mx_cnt = p->mx_len = 0;
    if (base_span_eq(word, base_span_str("-")))
        return true;
    for (size_t i = 0; i <= word.len; i++) {
        if (i < word.len && word.p[i] != ',')
            continue;
        if (!sts_pattern_valid(base_span_of(word.p + from, i - from)) || p->mx_cnt == STS_MX_MAX)
            return false;
        memcpy(room + from, word.p + from, i - from);
        room[i] = 0;
        p->mx_cnt++;
        from = i + 1;
    }
    p->mx_len = (uint32_t)from;
    return true;
}

struct row {
    char domain[DNS_NAME_CAP], id[STS_ID_CAP];
    struct sts_policy policy;
    uint64_t fetched_s, used_s;
};

static bool read_row(struct row *r, struct base_span line, char *room)
{
    struct base_span word[FIELD_CNT];
    uint64_t max_age_s;
    uint8_t mode = 0;

    if (split(line, word, FIELD_CNT) != FIELD_CNT || dns_name_copy(r->domain, word[0]) != 0 ||
        word[1].len == 0 || word[1].len >= STS_ID_CAP || !number(word[3], &max_age_s) ||
        max_age_s > STS_MAX_AGE_MAX || !number(word[4], &r->fetched_s) ||
        !number(word[5], &r->used_s) || !read_mx(&r->policy, word[6], room))
        return false;
    while (mode < STS_MODE_CNT && !base_span_eq(word[2], base_span_str(sts_mode_name(mode))))
        mode++;
    memcpy(r->id, word[1].p, word[1].len);
    r->id[word[1].len] = 0;
    r->policy.mode = mode;
    r->policy.max_age_s = (uint32_t)max_age_s;
    return mode < STS_MODE_CNT && (r->policy.mx_cnt > 0 || mode == STS_MODE_NONE);
}

/* The whole text is as it was written; *body becomes the rows, *cnt how many. */
static bool is_whole(struct base_span text, struct base_span *body, uint64_t *cnt)
{
    struct base_span rest = text, line, word[3];
    char sum[16];

    if (!take_line(&rest, &line) || line.len != sizeof(head) - 2 ||
        memcmp(line.p, head, line.len) != 0)
        return false;
    const uint8_t *first = rest.p;
    while (take_line(&rest, &line)) {
        if (rest.len > 0)
            continue;
        size_t before = (size_t)(line.p - text.p);
        *body = base_span_of(first, (size_t)(line.p - first));
        snprintf(sum, sizeof(sum), "%08x", base_crc32c(0, text.p, before));
        return split(line, word, 3) == 3 && base_span_eq(word[0], base_span_str("end")) &&
               number(word[1], cnt) && base_span_eq(word[2], base_span_str(sum));
    }
    return false;
}

int sts_cache_read(struct sts_cache *c, struct base_span text, uint64_t now_s)
{
    struct base_span body, line;
    uint64_t cnt, seen = 0;
    int taken = 0;
    bool fits = true;

    if (!is_whole(text, &body, &cnt) || cnt > STS_CACHE_MAX)
        return -EINVAL;
    char *room = malloc(body.len + 1);
    struct row *r = malloc(sizeof(*r));
    for (struct base_span rest = body; r != NULL && room != NULL && take_line(&rest, &line); seen++)
        if (!read_row(r, line, room))
            break;
    if (r == NULL || room == NULL || seen != cnt) {
        free(room);
        free(r);
        return r == NULL || room == NULL ? -ENOMEM : -EINVAL;
    }
    while (fits && take_line(&body, &line)) {
        fits = read_row(r, line, room);
        base_assert(fits); /* it was read before */
        struct sts_entry *e = sts_cache_get(c, r->domain);
        fits = e != NULL && sts_cache_store(c, e, r->id, &r->policy, r->fetched_s) == 0;
        if (!fits)
            break;
        e->used_s = r->used_s;
        taken += sts_entry_expires_s(e, now_s) > 0;
    }
    free(room);
    free(r);
    c->changed = false;
    return fits ? taken : -ENOMEM;
}
