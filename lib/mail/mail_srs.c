#include "mail_srs.h"
#include "base_siphash.h"

#include <errno.h>

#define DAY_NS   (UINT64_C(86400) * 1000000000)
#define DAYS_CNT 1024
#define TAG_LEN  4 /* "SRS0" */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"; /* RFC 4648 section 6 */

static bool is_separator(uint8_t c)
{
    return c == '=' || c == '+' || c == '-';
}

/* "SRS0=" or "SRS1=", in any case, with any of the separators. */
static bool has_tag(struct base_span local, uint8_t number)
{
    return local.len > TAG_LEN && (local.p[0] | 0x20) == 's' && (local.p[1] | 0x20) == 'r' &&
           (local.p[2] | 0x20) == 's' && local.p[3] == number && is_separator(local.p[4]);
}

static struct base_span behind(struct base_span text, size_t n)
{
    return base_span_of(text.p + n, text.len - n);
}

/* Takes what stands before the next '=' off the front, with it. False: there is none. */
static bool cut(struct base_span *text, struct base_span *field)
{
    const uint8_t *end = text->len > 0 ? memchr(text->p, '=', text->len) : NULL;

    if (end == NULL)
        return false;
    *field = base_span_of(text->p, (size_t)(end - text->p));
    *text = behind(*text, field->len + 1);
    return true;
}

/* Local parts and domains that may stand in a dot-string. */
static bool is_plain(struct base_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.p[i];
        bool letter = (uint8_t)((c | 0x20) - 'a') < 26 || (uint8_t)(c - '0') < 10;
        if (c == '.' ? i + 1 == text.len || i == 0 || text.p[i - 1] == '.'
                     : !letter && (c == 0 || strchr("!#$%&'*+-/=?^_`{|}~", c) == NULL))
            return false;
    }
    return text.len > 0;
}

/* Letters, digits, hyphens and dots, which is what a domain has; not "=", which parts it. */
static bool is_domain(struct base_span text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.p[i];
        if ((uint8_t)((c | 0x20) - 'a') >= 26 && (uint8_t)(c - '0') >= 10 && c != '-' && c != '.' &&
            c != '_')
            return false;
    }
    return is_plain(text);
}

/* Of the fields in lower case. number parts the two kinds. */
static void hash(char out[MAIL_SRS_HASH_CHARS], const uint8_t key[16], char number,
                 struct base_span first, struct base_span second, struct base_span third)
{
    struct base_span part[3] = {first, second, third};
    uint8_t text[512];
    size_t len = 0;

    text[len++] = (uint8_t)number;
    for (int i = 0; i < 3; i++) {
        base_assert(part[i].len + 1 <= sizeof(text) - len);
        for (size_t k = 0; k < part[i].len; k++) {
            uint8_t c = part[i].p[k];
            text[len++] = (uint8_t)(c - 'A') < 26 ? (uint8_t)(c | 0x20) : c;
        }
        text[len++] = '=';
    }
    uint64_t h = base_siphash(key, text, len);
    for (int i = 0; i < MAIL_SRS_HASH_CHARS; i++, h >>= 5)
        out[i] = digits[h & 31];
}

static bool verify(const struct mail_srs *s, struct base_span given, char number,
                   struct base_span first, struct base_span second, struct base_span third)
{
    char wanted[MAIL_SRS_HASH_CHARS];
    bool ok = false;

    if (given.len != sizeof(wanted))
        return false;
    for (uint32_t i = 0; i < s->key_cnt; i++) {
        hash(wanted, s->key[i], number, first, second, third);
        ok |= base_span_caseeq(given, base_span_of(wanted, sizeof(wanted)));
    }
    return ok;
}

/* ---- there ---- */

static int put(struct base_buf *out, size_t from, size_t local_len)
{
    /* RFC 5321 section 4.5.3.1.1 */
    if (local_len <= MAIL_SRS_LOCAL_MAX)
        return 0;
    out->len = from;
    return -EINVAL;
}

static int forward_first(const struct mail_srs *s, struct base_span local, struct base_span domain,
                         uint64_t wall_ns, struct base_buf *out)
{
    uint64_t day = wall_ns / DAY_NS % DAYS_CNT;
    char time[2] = {digits[day >> 5], digits[day & 31]}, h[MAIL_SRS_HASH_CHARS];
    struct base_span stamp = base_span_of(time, sizeof(time)), equals = base_span_str("=");
    size_t from = out->len;

    hash(h, s->key[0], '0', stamp, domain, local);
    int failed = base_buf_puts(out, "SRS0=") | base_buf_put(out, h, sizeof(h)) |
                 base_buf_put_span(out, equals) | base_buf_put_span(out, stamp) |
                 base_buf_put_span(out, equals) | base_buf_put_span(out, domain) |
                 base_buf_put_span(out, equals) | base_buf_put_span(out, local);
    base_assert(failed == 0);
    return put(out, from, out->len - from);
}

/* host: the one that made the SRS0 address, of which rest is what follows its tag. */
static int forward_again(const struct mail_srs *s, struct base_span host, struct base_span rest,
                         struct base_buf *out)
{
    char h[MAIL_SRS_HASH_CHARS];
    size_t from = out->len;

    if (rest.len < 2 || !is_separator(rest.p[0]))
        return -EINVAL;
    hash(h, s->key[0], '1', host, rest, base_span_of(NULL, 0));
    int failed = base_buf_puts(out, "SRS1=") | base_buf_put(out, h, sizeof(h)) |
                 base_buf_puts(out, "=") | base_buf_put_span(out, host) | base_buf_puts(out, "=") |
                 base_buf_put_span(out, rest);
    base_assert(failed == 0);
    return put(out, from, out->len - from);
}

int mail_srs_forward(const struct mail_srs *s, struct base_span sender, uint64_t wall_ns,
                     struct base_buf *out)
{
    const uint8_t *at = sender.len > 0 ? memrchr(sender.p, '@', sender.len) : NULL;
    size_t from = out->len;
    int error = -EINVAL;

    base_assert(s->key_cnt > 0 && out->cap - out->len >= MAIL_SRS_OUT_CAP);
    if (at == NULL)
        return -EINVAL;
    struct base_span local = base_span_of(sender.p, (size_t)(at - sender.p));
    struct base_span domain = behind(sender, local.len + 1), rest = local, given, host;
    if (local.len > MAIL_SRS_LOCAL_MAX || domain.len > MAIL_SRS_LOCAL_MAX || !is_plain(local) ||
        !is_domain(domain))
        return -EINVAL;
    if (has_tag(local, '1')) {
        rest = behind(local, TAG_LEN + 1);
        if (cut(&rest, &given) && cut(&rest, &host) && is_domain(host))
            error = forward_again(s, host, rest, out);
    } else if (has_tag(local, '0')) {
        error = forward_again(s, domain, behind(local, TAG_LEN), out);
    } else {
        error = forward_first(s, local, domain, wall_ns, out);
    }
    if (error != 0)
        return error;
    int failed = base_buf_puts(out, "@") | base_buf_put_span(out, s->domain);
    base_assert(failed == 0 && out->len > from);
    return 0;
}

/* ---- and back ---- */

static int digit_of(uint8_t c)
{
    const char *at = memchr(digits, (uint8_t)(c - 'a') < 26 ? c & ~0x20 : c, 32);

    return at != NULL ? (int)(at - digits) : -1;
}

/* Days since then; -1: the digits are none. */
static int age_of(struct base_span stamp, uint64_t wall_ns)
{
    int high = stamp.len == 2 ? digit_of(stamp.p[0]) : -1;
    int low = stamp.len == 2 ? digit_of(stamp.p[1]) : -1;

    if (high < 0 || low < 0)
        return -1;
    int day = (int)(wall_ns / DAY_NS % DAYS_CNT);
    return (day - (high << 5 | low) + DAYS_CNT) % DAYS_CNT;
}

static enum mail_srs_result reverse_first(const struct mail_srs *s, struct base_span rest,
                                          uint64_t wall_ns, struct base_buf *out)
{
    struct base_span given, stamp, domain;

    if (!cut(&rest, &given) || !cut(&rest, &stamp) || !cut(&rest, &domain) || !is_domain(domain) ||
        !is_plain(rest) || !verify(s, given, '0', stamp, domain, rest))
        return MAIL_SRS_FORGED;
    int age = age_of(stamp, wall_ns);
    /* A day ahead is a clock that was set back. */
    if (age < 0 || (age > (int)s->age_max_days && age != DAYS_CNT - 1))
        return MAIL_SRS_EXPIRED;
    int failed =
        base_buf_put_span(out, rest) | base_buf_puts(out, "@") | base_buf_put_span(out, domain);
    base_assert(failed == 0);
    return MAIL_SRS_OK;
}

/* It has no age: the one that made what is inside looks at that. */
static enum mail_srs_result reverse_again(const struct mail_srs *s, struct base_span rest,
                                          struct base_buf *out)
{
    struct base_span given, host;

    if (!cut(&rest, &given) || !cut(&rest, &host) || !is_domain(host) || rest.len < 2 ||
        !is_separator(rest.p[0]) || !is_plain(rest) ||
        !verify(s, given, '1', host, rest, base_span_of(NULL, 0)))
        return MAIL_SRS_FORGED;
    int failed = base_buf_puts(out, "SRS0") | base_buf_put_span(out, rest) |
                 base_buf_puts(out, "@") | base_buf_put_span(out, host);
    base_assert(failed == 0);
    return MAIL_SRS_OK;
}

enum mail_srs_result mail_srs_reverse(const struct mail_srs *s, struct base_span local,
                                      uint64_t wall_ns, struct base_buf *out)
{
    bool first = has_tag(local, '0');

    base_assert(out->cap - out->len >= MAIL_SRS_OUT_CAP);
    if (!first && !has_tag(local, '1'))
        return MAIL_SRS_NONE;
    if (local.len > MAIL_SRS_LOCAL_MAX)
        return MAIL_SRS_FORGED;
    struct base_span rest = behind(local, TAG_LEN + 1);
    return first ? reverse_first(s, rest, wall_ns, out) : reverse_again(s, rest, out);
}
