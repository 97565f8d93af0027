#include "mail_final.h"

#include <strings.h>

#define HASH_START UINT64_C(0xcbf29ce484222325) /* FNV-1a */
#define HASH_PRIME UINT64_C(0x100000001b3)

enum state {
    STATE_LINE,  /* at the start of a line */
    STATE_NAME,  /* in what may be a name; held back */
    STATE_REST,  /* of a line that goes on as m->field says */
    STATE_BLANK, /* behind the CR of an empty line */
    STATE_BODY,
};

enum field { FIELD_OTHER, FIELD_RETURN_PATH, FIELD_DELIVERED_TO };

void mail_final_init(struct mail_final *m)
{
    *m = (struct mail_final){.state = STATE_LINE};
}

bool mail_final_over(const struct mail_final *m)
{
    return m->state == STATE_BODY;
}

static uint64_t add(uint64_t hash, uint8_t c)
{
    if (c == '<' || c == '>' || c <= ' ')
        return hash;
    if (c >= 'A' && c <= 'Z')
        c = (uint8_t)(c | 0x20);
    return (hash ^ c) * HASH_PRIME;
}

uint64_t mail_final_hash(struct base_span address)
{
    uint64_t hash = HASH_START;

    for (size_t i = 0; i < address.len; i++)
        hash = add(hash, address.p[i]);
    return hash;
}

static bool held_is(const struct mail_final *m, const char *name)
{
    size_t len = m->held_len;

    while (len > 0 && (m->held[len - 1] == ' ' || m->held[len - 1] == '\t'))
        len--; /* RFC 5322 section 4.5: blanks before the colon are old, not wrong */
    return len == strlen(name) && strncasecmp((const char *)m->held, name, len) == 0;
}

struct scan {
    struct base_buf *out; /* NULL: nothing is copied */
    void (*found)(void *user, uint64_t hash);
    void *user;
};

static void put(const struct scan *s, const void *p, size_t len)
{
    if (s->out == NULL || len == 0)
        return;
    int failed = base_buf_put(s->out, p, len);
    base_assert(failed == 0);
}

static void field_over(struct mail_final *m, const struct scan *s)
{
    if (!m->hash_due)
        return;
    m->hash_due = false;
    if (m->delivered_cnt < MAIL_FINAL_FIELD_MAX && s->found != NULL)
        s->found(s->user, m->hash);
    if (m->delivered_cnt < MAIL_FINAL_FIELD_MAX)
        m->delivered_cnt++;
}

/* It is known whose line this is: what was held back goes on, or does not. */
static void decide(struct mail_final *m, const struct scan *s, enum field field)
{
    m->field = (uint8_t)field;
    m->state = STATE_REST;
    if (field != FIELD_RETURN_PATH)
        put(s, m->held, m->held_len);
    m->held_len = 0;
    if (field == FIELD_DELIVERED_TO) {
        m->hash = HASH_START;
        m->hash_due = true;
    }
}

static void take_rest(struct mail_final *m, const struct scan *s, uint8_t c)
{
    if (m->field != FIELD_RETURN_PATH)
        put(s, &c, 1);
    if (m->field == FIELD_DELIVERED_TO)
        m->hash = add(m->hash, c);
    if (c == '\n')
        m->state = STATE_LINE;
}

static void take_name(struct mail_final *m, const struct scan *s, uint8_t c)
{
    if (c == ':') {
        decide(m, s,
               held_is(m, "return-path")    ? FIELD_RETURN_PATH
               : held_is(m, "delivered-to") ? FIELD_DELIVERED_TO
                                            : FIELD_OTHER);
        if (m->field != FIELD_RETURN_PATH)
            put(s, &c, 1);
        return;
    }
    if (c == '\n' || m->held_len == sizeof(m->held)) {
        decide(m, s, FIELD_OTHER);
        return take_rest(m, s, c);
    }
    m->held[m->held_len++] = c;
}

static void take(struct mail_final *m, const struct scan *s, uint8_t c)
{
    switch ((enum state)m->state) {
    case STATE_LINE:
        if (c == ' ' || c == '\t') { /* a further line of the field before it */
            m->state = STATE_REST;
            return take_rest(m, s, c);
        }
        field_over(m, s);
        if (c == '\r') {
            m->state = STATE_BLANK;
            put(s, &c, 1);
            return;
        }
        m->state = STATE_NAME;
        return take_name(m, s, c);
    case STATE_NAME:
        return take_name(m, s, c);
    case STATE_REST:
        return take_rest(m, s, c);
    case STATE_BLANK:
        put(s, &c, 1);
        m->state = STATE_BODY;
        return;
    case STATE_BODY:
        break;
    }
    base_assert(false);
}

void mail_final_strip(struct mail_final *m, struct base_span in, size_t *consumed,
                      struct base_buf *out)
{
    const struct scan s = {.out = out};
    size_t i = 0;

    while (i < in.len && m->state != STATE_BODY && out->cap - out->len > MAIL_FINAL_NAME_MAX)
        take(m, &s, in.p[i++]);
    if (m->state == STATE_BODY) {
        size_t room = out->cap - out->len, n = in.len - i < room ? in.len - i : room;
        put(&s, in.p + i, n);
        i += n;
    }
    *consumed = i;
}

void mail_final_look(struct mail_final *m, struct base_span in,
                     void (*found)(void *user, uint64_t hash), void *user)
{
    const struct scan s = {.found = found, .user = user};

    for (size_t i = 0; i < in.len && m->state != STATE_BODY; i++)
        take(m, &s, in.p[i]);
}

void mail_final_strip_end(struct mail_final *m, struct base_buf *out)
{
    const struct scan s = {.out = out};

    put(&s, m->held, m->held_len);
    m->held_len = 0;
}

void mail_final_look_end(struct mail_final *m, void (*found)(void *user, uint64_t hash), void *user)
{
    const struct scan s = {.found = found, .user = user};

    field_over(m, &s);
}
