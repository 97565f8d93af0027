#include "tlsrpt_state.h"
#include "base_crc32c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char first_line[] = "sluice-tlsrpt 1\n";

const char *tlsrpt_state_name(enum tlsrpt_state state)
{
    static const char *const name[TLSRPT_STATE_CNT] = {
        [TLSRPT_BEGUN] = "begun",       [TLSRPT_SENT] = "sent", [TLSRPT_SKIPPED] = "skipped",
        [TLSRPT_GIVEN_UP] = "given-up", [TLSRPT_NONE] = "none",
    };

    return name[state];
}

/* ---- the journal ---- */

void tlsrpt_journal_init(struct tlsrpt_journal *j)
{
    base_list_init(&j->entries);
    j->cnt = 0;
}

void tlsrpt_journal_fini(struct tlsrpt_journal *j)
{
    struct base_list *node;

    while ((node = base_list_pop_front(&j->entries)) != NULL)
        free(base_container_of(node, struct tlsrpt_entry, node));
    j->cnt = 0;
}

/* Those of the last days are at the end. */
struct tlsrpt_entry *tlsrpt_journal_find(const struct tlsrpt_journal *j, uint32_t day,
                                         struct base_span domain)
{
    for (struct base_list *n = j->entries.prev; n != &j->entries; n = n->prev) {
        struct tlsrpt_entry *e = base_container_of(n, struct tlsrpt_entry, node);
        if (e->day == day && base_span_eq(base_span_of(e->name, e->len), domain))
            return e;
    }
    return NULL;
}

struct tlsrpt_entry *tlsrpt_journal_add(struct tlsrpt_journal *j, uint32_t day,
                                        struct base_span domain)
{
    struct tlsrpt_entry *e = calloc(1, sizeof(*e) + domain.len + 1);

    base_assert(e != NULL);
    e->day = day;
    e->len = (uint32_t)domain.len;
    memcpy(e->name, domain.p, domain.len);
    base_list_push_back(&j->entries, &e->node);
    j->cnt++;
    return e;
}

void tlsrpt_journal_remove(struct tlsrpt_journal *j, struct tlsrpt_entry *e)
{
    base_list_remove(&e->node);
    j->cnt--;
    free(e);
}

/* ---- writing ---- */

static void put_head(struct tlsrpt_text *t, const char *kind, uint32_t day, struct base_span domain)
{
    tlsrpt_puts(t, kind);
    tlsrpt_put_number(t, day);
    tlsrpt_puts(t, "\t");
    tlsrpt_put_field(t, domain);
}

static void put_number(struct tlsrpt_text *t, uint64_t n)
{
    tlsrpt_puts(t, "\t");
    tlsrpt_put_number(t, n);
}

static void put_text(struct tlsrpt_text *t, struct base_span s)
{
    tlsrpt_puts(t, "\t");
    tlsrpt_put_span(t, s);
}

void tlsrpt_state_begin(struct tlsrpt_text *t)
{
    tlsrpt_puts(t, first_line);
}

static void put_policy(struct tlsrpt_text *t, const struct tlsrpt_domain *d,
                       const struct tlsrpt_policy *p)
{
    struct base_span name = tlsrpt_domain_name(d), policy = base_span_of(p->text, p->len);

    if (p->success_cnt > 0) {
        put_head(t, "c\t", d->day, name);
        put_number(t, p->success_cnt);
        put_text(t, policy);
        tlsrpt_puts(t, "\n");
    }
    for (const struct tlsrpt_detail *row = p->details; row != NULL; row = row->next) {
        put_head(t, "f\t", d->day, name);
        put_number(t, row->cnt);
        put_text(t, base_span_of(row->text, row->len));
        put_text(t, policy);
        tlsrpt_puts(t, "\n");
    }
}

void tlsrpt_state_counts(struct tlsrpt_text *t, const struct tlsrpt_counts *c, uint32_t closed)
{
    for (struct base_list *n = c->domains.next; n != &c->domains; n = n->next) {
        const struct tlsrpt_domain *d = base_container_of(n, struct tlsrpt_domain, node);
        for (const struct tlsrpt_policy *p = d->policies; p != NULL && d->day > closed; p = p->next)
            put_policy(t, d, p);
    }
}

void tlsrpt_state_entry(struct tlsrpt_text *t, const struct tlsrpt_entry *e)
{
    put_head(t, "j\t", e->day, base_span_of(e->name, e->len));
    put_text(t, base_span_str(tlsrpt_state_name((enum tlsrpt_state)e->state)));
    put_number(t, e->first_s);
    put_number(t, e->last_s);
    put_number(t, e->attempt_cnt);
    const char *const texts[] = {e->id, e->uri, e->why};
    for (size_t i = 0; i < 3; i++) {
        tlsrpt_puts(t, "\t");
        tlsrpt_put_field(t, base_span_str(texts[i]));
    }
    tlsrpt_puts(t, "\n");
}

void tlsrpt_state_done(struct tlsrpt_text *t, uint32_t day, struct base_span domain)
{
    put_head(t, "d\t", day, domain);
    tlsrpt_puts(t, "\n");
}

void tlsrpt_state_end(struct tlsrpt_text *t, size_t start)
{
    char line[16];

    snprintf(line, sizeof(line), ".\t%08x\n", base_crc32c(0, t->p + start, t->len - start));
    tlsrpt_puts(t, line);
}

/* ---- reading ---- */

/* A name or a text of ours, into a buffer with its NUL. Escaped, a byte takes three at most. */
static int read_text(char *out, size_t cap, struct base_span *rest)
{
    uint8_t bytes[3 * (TLSRPT_ID_CAP + TLSRPT_URI_TEXT_CAP)];
    struct base_span field;

    if (!tlsrpt_field(rest, &field) || field.len > sizeof(bytes))
        return -EINVAL;
    int n = tlsrpt_unescape(bytes, field);
    if (n < 0 || (size_t)n >= cap || memchr(bytes, 0, (size_t)n) != NULL)
        return -EINVAL;
    memcpy(out, bytes, (size_t)n);
    out[n] = 0;
    return n;
}

static int read_number(uint64_t *out, struct base_span *rest)
{
    struct base_span field;

    return tlsrpt_field(rest, &field) ? tlsrpt_number(out, field) : -EINVAL;
}

static int read_head(uint32_t *day, char name[TLSRPT_DOMAIN_MAX + 1], struct base_span *rest)
{
    uint64_t n;

    if (read_number(&n, rest) != 0 || n > UINT32_MAX)
        return -EINVAL;
    *day = (uint32_t)n;
    return read_text(name, TLSRPT_DOMAIN_MAX + 1, rest) > 0 ? 0 : -EINVAL;
}

/* Known types alone, so that no report has others; the rest are texts. */
static bool policy_fits(struct base_span text)
{
    struct base_span type;

    if (text.p == NULL || text.len > TLSRPT_POLICY_MAX || !tlsrpt_field(&text, &type) ||
        text.p == NULL)
        return false;
    for (int i = 0; i < TLSRPT_POLICY_TYPE_CNT; i++)
        if (base_span_eq(type, base_span_str(tlsrpt_policy_type_name((enum tlsrpt_policy_type)i))))
            return true;
    return false;
}

static bool result_fits(struct base_span result)
{
    for (int i = TLSRPT_SUCCESS + 1; i < TLSRPT_RESULT_CNT; i++)
        if (base_span_eq(result, base_span_str(tlsrpt_result_name((enum tlsrpt_result)i))))
            return true;
    return false;
}

static int read_counts(struct tlsrpt_counts *c, struct base_span rest, bool failed)
{
    struct base_span detail = {0}, field;
    char name[TLSRPT_DOMAIN_MAX + 1];
    uint32_t day;
    uint64_t n;

    if (read_head(&day, name, &rest) != 0 || read_number(&n, &rest) != 0)
        return -EINVAL;
    if (failed) {
        detail = rest;
        for (int i = 0; i < 5; i++)
            if (!tlsrpt_field(&rest, &field) || (i == 0 && !result_fits(field)))
                return -EINVAL;
        if (rest.p == NULL)
            return -EINVAL;
        detail.len = (size_t)(rest.p - 1 - detail.p);
    }
    if (!policy_fits(rest))
        return -EINVAL;
    (void)tlsrpt_counts_add(c, day, base_span_str(name), rest, detail, n); /* counted there */
    return 0;
}

static int read_state(uint8_t *out, struct base_span *rest)
{
    struct base_span field;

    if (!tlsrpt_field(rest, &field))
        return -EINVAL;
    for (int i = 0; i < TLSRPT_STATE_CNT; i++)
        if (base_span_eq(field, base_span_str(tlsrpt_state_name((enum tlsrpt_state)i)))) {
            *out = (uint8_t)i;
            return 0;
        }
    return -EINVAL;
}

static int read_entry(struct tlsrpt_journal *j, struct base_span rest)
{
    struct tlsrpt_entry in = {0};
    char name[TLSRPT_DOMAIN_MAX + 1];
    uint64_t attempts;

    if (read_head(&in.day, name, &rest) != 0 || read_state(&in.state, &rest) != 0 ||
        read_number(&in.first_s, &rest) != 0 || read_number(&in.last_s, &rest) != 0 ||
        read_number(&attempts, &rest) != 0 || read_text(in.id, sizeof(in.id), &rest) < 0 ||
        read_text(in.uri, sizeof(in.uri), &rest) < 0 ||
        read_text(in.why, sizeof(in.why), &rest) < 0)
        return -EINVAL;
    struct tlsrpt_entry *e = tlsrpt_journal_find(j, in.day, base_span_str(name));
    if (in.state == TLSRPT_NONE) {
        if (e != NULL)
            tlsrpt_journal_remove(j, e);
        return 0;
    }
    if (e == NULL)
        e = tlsrpt_journal_add(j, in.day, base_span_str(name));
    e->state = in.state;
    e->first_s = in.first_s;
    e->last_s = in.last_s;
    e->attempt_cnt = attempts < UINT32_MAX ? (uint32_t)attempts : UINT32_MAX;
    memcpy(e->id, in.id, sizeof(e->id));
    memcpy(e->uri, in.uri, sizeof(e->uri));
    memcpy(e->why, in.why, sizeof(e->why));
    return 0;
}

static int read_done(struct tlsrpt_counts *c, struct base_span rest)
{
    char name[TLSRPT_DOMAIN_MAX + 1];
    uint32_t day;

    if (read_head(&day, name, &rest) != 0)
        return -EINVAL;
    struct tlsrpt_domain *d = tlsrpt_counts_find(c, day, base_span_str(name));
    if (d != NULL)
        tlsrpt_counts_remove(c, d);
    return 0;
}

static int read_line(struct tlsrpt_counts *c, struct tlsrpt_journal *j, struct base_span line)
{
    struct base_span kind;

    if (!tlsrpt_field(&line, &kind) || kind.len != 1 || line.p == NULL)
        return -EINVAL;
    switch (kind.p[0]) {
    case 'c':
    case 'f':
        return read_counts(c, line, kind.p[0] == 'f');
    case 'j':
        return read_entry(j, line);
    case 'd':
        return read_done(c, line);
    default:
        return -EINVAL;
    }
}

/* Takes a line, without its end, off *rest. False: no whole one is left. */
static bool next_line(struct base_span *rest, struct base_span *line)
{
    const uint8_t *end = rest->len > 0 ? memchr(rest->p, '\n', rest->len) : NULL;

    if (end == NULL)
        return false;
    *line = base_span_of(rest->p, (size_t)(end - rest->p));
    *rest = base_span_of(end + 1, rest->len - line->len - 1);
    return true;
}

static int read_lines(struct tlsrpt_counts *c, struct tlsrpt_journal *j, struct base_span lines)
{
    struct base_span line;
    int bad = 0;

    while (next_line(&lines, &line))
        bad |= read_line(c, j, line) != 0;
    return bad;
}

static bool sum_fits(struct base_span line, struct base_span lines)
{
    char sum[16];

    int n = snprintf(sum, sizeof(sum), ".\t%08x", base_crc32c(0, lines.p, lines.len));
    return base_span_eq(line, base_span_of(sum, (size_t)n));
}

int tlsrpt_state_read(struct tlsrpt_counts *c, struct tlsrpt_journal *j, struct base_span file)
{
    size_t head = sizeof(first_line) - 1;
    struct base_span line;
    int bad_cnt = 0;

    if (file.len < head || memcmp(file.p, first_line, head) != 0)
        return -EINVAL;
    struct base_span rest = base_span_of(file.p + head, file.len - head);
    const uint8_t *from = rest.p;
    while (next_line(&rest, &line)) {
        if (line.len < 2 || line.p[0] != '.' || line.p[1] != '\t')
            continue;
        struct base_span lines = base_span_of(from, (size_t)(line.p - from));
        bad_cnt += !sum_fits(line, lines) || read_lines(c, j, lines) != 0;
        from = rest.p;
    }
    return bad_cnt + (from != file.p + file.len);
}
