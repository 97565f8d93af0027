/*
 * Addresses and names in the one form in which they are compared: the local part without quotes and
 * case-folded, the domain as A-labels in lower case without a trailing dot. So whoever spells an
 * address otherwise has the same address, and nobody gets another's by spelling.
 *
 * Three kinds: "local@domain"; "@domain", all of a domain; "name" without an at sign, a login or
 * the local part of any of our domains. They can not be mistaken for each other: a domain has no at
 * sign, a name neither, and a local part is never empty.
 *
 * Beyond ASCII: RFC 6532 UTF-8, compared after full case folding and NFC; domains by IDNA 2008 (UTS
 * 46, nontransitional). What is no valid domain name there has no key.
 *
 * Pure; any thread. Memory: the caller's; what is not ASCII allocates inside of the Unicode
 * libraries, and nothing stays.
 */
#ifndef POLICY_KEY_H
#define POLICY_KEY_H

#include "base_assert.h"
#include "base_bytes.h"
#include "smtp_address.h"

#define POLICY_KEY_CAP 448 /* a folded local part may be longer than SMTP_LOCAL_MAX */

struct policy_key {
    uint16_t len;
    uint16_t at; /* where the at sign is; len: there is none */
    uint8_t text[POLICY_KEY_CAP];
};

/* Of a parsed address that has a domain. Returns 0; -EINVAL: it has no key, so it belongs to nobody
 * and matches nothing. */
int policy_key_address(struct policy_key *out, const struct smtp_address *address) BASE_WARN_UNUSED;

/* "@domain" of what stands behind the at sign of a parsed address, a name or a literal: the form in
 * which domains are compared wherever there are any (relay domains, routes). Returns 0; -EINVAL: no
 * valid domain name, so it matches nothing. */
int policy_key_of_domain(struct policy_key *out, struct base_span domain) BASE_WARN_UNUSED;

/* Whether two domains are one, however they are spelled. */
bool policy_key_same_domain(struct base_span a, struct base_span b);

/* Of text as it stands in a file: any of the three kinds. Returns 0, or -EINVAL. */
int policy_key_text(struct policy_key *out, struct base_span text) BASE_WARN_UNUSED;

/* The key without what begins at the first of the extension character in its local part (never at
 * its very start). Returns false when there is none. extension 0: there are no extensions. */
bool policy_key_base(struct policy_key *out, const struct policy_key *key, char extension);

static inline struct base_span policy_key_span(const struct policy_key *key)
{
    return base_span_of(key->text, key->len);
}

static inline bool policy_key_has_domain(const struct policy_key *key)
{
    return key->at < key->len;
}

static inline struct base_span policy_key_local(const struct policy_key *key)
{
    return base_span_of(key->text, key->at);
}

/* Without the at sign; empty for a name. */
static inline struct base_span policy_key_domain(const struct policy_key *key)
{
    uint16_t from = (uint16_t)(policy_key_has_domain(key) ? key->at + 1 : key->len);
    return base_span_of(key->text + from, (size_t)(key->len - from));
}

static inline bool policy_key_eq(const struct policy_key *a, const struct policy_key *b)
{
    return a->at == b->at && base_span_eq(policy_key_span(a), policy_key_span(b));
}

#endif
