#include "sts_record.h"
#include "dns_rdata.h"

#include <errno.h>

#define TEXT_MAX 4096 /* of one record; a longer one is invalid */

static const char begin[] = "v=STSv1;";

static bool is_alnum(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_wsp(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* sts-ext-name and sts-ext-value. */
static bool extension_valid(struct base_span name, struct base_span value)
{
    if (name.len == 0 || name.len > 32 || !is_alnum(name.p[0]) || value.len == 0)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!is_alnum(name.p[i]) && name.p[i] != '_' && name.p[i] != '-' && name.p[i] != '.')
            return false;
    for (size_t i = 0; i < value.len; i++)
        if (value.p[i] <= ' ' || value.p[i] > '~' || value.p[i] == '=')
            return false;
    return true;
}

static bool take_id(char id[STS_ID_CAP], struct base_span value)
{
    if (value.len == 0 || value.len >= STS_ID_CAP || id[0] != 0) /* a second one is ambiguous */
        return false;
    for (size_t i = 0; i < value.len; i++)
        if (!is_alnum(value.p[i]))
            return false;
    memcpy(id, value.p, value.len);
    id[value.len] = 0;
    return true;
}

static bool take_field(char id[STS_ID_CAP], struct base_span field)
{
    const uint8_t *equals = memchr(field.p, '=', field.len);

    if (equals == NULL)
        return false;
    struct base_span name = base_span_of(field.p, (size_t)(equals - field.p));
    struct base_span value = base_span_of(equals + 1, field.len - name.len - 1);
    if (base_span_eq(name, base_span_str("id")))
        return take_id(id, value);
    return extension_valid(name, value);
}

int sts_record_parse(char id[STS_ID_CAP], struct base_span text)
{
    size_t at = sizeof(begin) - 1;
    char found[STS_ID_CAP] = "";

    id[0] = 0;
    if (text.len < at || memcmp(text.p, begin, at) != 0)
        return -EINVAL;
    while (at < text.len) {
        size_t from = at, to;
        while (at < text.len && text.p[at] != ';')
            at++;
        to = at++;
        while (from < to && is_wsp(text.p[from]))
            from++;
        while (to > from && is_wsp(text.p[to - 1]))
            to--;
        if (from == to && at > text.len)
            break; /* behind the last delimiter */
        if (from == to || !take_field(found, base_span_of(text.p + from, to - from)))
            return -EINVAL;
    }
    memcpy(id, found, sizeof(found));
    return id[0] != 0 ? 0 : -EINVAL;
}

enum sts_record sts_record_read(char id[STS_ID_CAP], const struct dns_answer *a)
{
    uint8_t room[TEXT_MAX];
    struct base_span rdata;
    uint32_t cnt = 0;
    size_t at = 0;
    bool valid = false;

    id[0] = 0;
    if (dns_status_is_error(a->status))
        return STS_RECORD_ERROR;
    while (dns_answer_next(a, &at, &rdata)) {
        struct base_buf text = {.p = room, .cap = sizeof(room)};
        if (dns_read_txt(&text, rdata) != 0)
            continue; /* longer than any of these, or no TXT record */
        if (text.len < sizeof(begin) - 1 || memcmp(room, begin, sizeof(begin) - 1) != 0)
            continue; /* of another kind */
        valid = sts_record_parse(id, base_buf_span(&text)) == 0;
        cnt++;
    }
    if (cnt == 1 && valid)
        return STS_RECORD_VALID;
    id[0] = 0;
    return cnt == 0 ? STS_RECORD_NONE : STS_RECORD_INVALID;
}
