#include "policy_key.h"
#include "base_utf8.h"
#include "smtp_params.h"

#include <errno.h>
#include <idn2.h>
#include <stdlib.h>
#include <unicase.h>
#include <uninorm.h>

static int put(struct policy_key *out, const uint8_t *p, size_t len)
{
    if (len > sizeof(out->text) - out->len)
        return -EINVAL;
    if (len > 0)
        memcpy(out->text + out->len, p, len);
    out->len = (uint16_t)(out->len + len);
    return 0;
}

static int put_lower(struct policy_key *out, struct base_span text)
{
    size_t from = out->len;

    if (put(out, text.p, text.len) != 0)
        return -EINVAL;
    for (size_t i = from; i < out->len; i++)
        if ((uint8_t)(out->text[i] - 'A') < 26)
            out->text[i] |= 0x20;
    return 0;
}

/* Appends the text, case-folded. */
static int put_folded(struct policy_key *out, struct base_span text)
{
    uint8_t room[POLICY_KEY_CAP];
    size_t len = sizeof(room);

    if (base_utf8_ascii(text))
        return put_lower(out, text);
    uint8_t *folded = u8_casefold(text.p, text.len, NULL, UNINORM_NFC, room, &len);
    if (folded == NULL)
        return -EINVAL;
    int failed = put(out, folded, len);
    if (folded != room)
        free(folded);
    return failed;
}

static int put_domain(struct policy_key *out, struct base_span domain)
{
    uint8_t text[SMTP_DOMAIN_MAX + 1], *ascii = NULL;

    if (domain.len > 0 && domain.p[domain.len - 1] == '.')
        domain.len--;
    if (domain.len == 0 || domain.len > SMTP_DOMAIN_MAX || memchr(domain.p, '@', domain.len))
        return -EINVAL;
    if (base_utf8_ascii(domain))
        return put_lower(out, domain);
    memcpy(text, domain.p, domain.len);
    text[domain.len] = 0;
    if (idn2_lookup_u8(text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
        return -EINVAL;
    int failed = put_lower(out, base_span_str((const char *)ascii));
    idn2_free(ascii);
    return failed;
}

/* A local part as its characters: what quotes and backslashes only protect is the same without. */
static size_t unquote(uint8_t out[SMTP_LOCAL_MAX], struct base_span local)
{
    size_t len = 0;

    if (local.p[0] != '"') {
        memcpy(out, local.p, local.len);
        return local.len;
    }
    for (size_t i = 1; i + 1 < local.len; i++) {
        if (local.p[i] == '\\' && i + 2 < local.len)
            i++;
        out[len++] = local.p[i];
    }
    return len;
}

int policy_key_address(struct policy_key *out, const struct smtp_address *address)
{
    uint8_t local[SMTP_LOCAL_MAX];

    out->len = 0;
    if (address->local.len == 0 || address->local.len > sizeof(local))
        return -EINVAL;
    size_t len = unquote(local, address->local);
    if (len == 0 || put_folded(out, base_span_of(local, len)) != 0)
        return -EINVAL;
    out->at = out->len;
    if (put(out, (const uint8_t *)"@", 1) != 0)
        return -EINVAL;
    return put_domain(out, address->domain);
}

int policy_key_of_domain(struct policy_key *out, struct base_span domain)
{
    out->len = out->at = 0;
    if (put(out, (const uint8_t *)"@", 1) != 0)
        return -EINVAL;
    return put_domain(out, domain);
}

/* "@domain": what an address could have behind its local part. */
static int domain_text(struct policy_key *out, struct base_span text)
{
    uint8_t mailbox[SMTP_DOMAIN_MAX + 2] = "x";
    struct smtp_address address;

    if (text.len > 1 && text.p[text.len - 1] == '.')
        text.len--;
    if (text.len + 1 > sizeof(mailbox))
        return -EINVAL;
    memcpy(mailbox + 1, text.p, text.len);
    if (smtp_mailbox_parse_utf8(&address, base_span_of(mailbox, text.len + 1)) != 0 ||
        put(out, text.p, 1) != 0)
        return -EINVAL;
    out->at = 0;
    return put_domain(out, address.domain);
}

bool policy_key_same_domain(struct base_span a, struct base_span b)
{
    struct policy_key x, y;

    return policy_key_of_domain(&x, a) == 0 && policy_key_of_domain(&y, b) == 0 &&
           policy_key_eq(&x, &y);
}

int policy_key_text(struct policy_key *out, struct base_span text)
{
    struct smtp_address address;

    out->len = 0;
    if (text.len == 0)
        return -EINVAL;
    if (text.p[0] == '@')
        return domain_text(out, text);
    if (memchr(text.p, '@', text.len) == NULL) {
        int failed = smtp_utf8_valid(text) ? put_folded(out, text) : -EINVAL;
        out->at = out->len;
        return failed;
    }
    if (text.p[text.len - 1] == '.')
        text.len--;
    if (smtp_mailbox_parse_utf8(&address, text) != 0)
        return -EINVAL;
    return policy_key_address(out, &address);
}

bool policy_key_base(struct policy_key *out, const struct policy_key *key, char extension)
{
    const uint8_t *found =
        extension != 0 && key->at > 1 ? memchr(key->text + 1, extension, key->at - 1u) : NULL;

    if (found == NULL)
        return false;
    size_t cut = (size_t)(found - key->text), rest = (size_t)(key->len - key->at);
    memcpy(out->text, key->text, cut);
    memcpy(out->text + cut, key->text + key->at, rest);
    out->at = (uint16_t)cut;
    out->len = (uint16_t)(cut + rest);
    return true;
}
