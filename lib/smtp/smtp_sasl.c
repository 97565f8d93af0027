#include "smtp_sasl_internal.h"
#include "smtp_saslprep.h"

#include <openssl/crypto.h>

static const char *const names[SMTP_SASL_MECHANISM_CNT] = {
    [SMTP_SASL_PLAIN] = "PLAIN",
    [SMTP_SASL_LOGIN] = "LOGIN",
    [SMTP_SASL_SCRAM_SHA_256] = "SCRAM-SHA-256",
    [SMTP_SASL_SCRAM_SHA_256_PLUS] = "SCRAM-SHA-256-PLUS",
    [SMTP_SASL_EXTERNAL] = "EXTERNAL",
};

enum stage { STAGE_FIRST, STAGE_LOGIN_PASSWORD = 1, STAGE_OVER = 255 };

const char *smtp_sasl_name(enum smtp_sasl_mechanism m)
{
    base_assert(m < SMTP_SASL_MECHANISM_CNT);
    return names[m];
}

enum smtp_sasl_mechanism smtp_sasl_find(struct base_span name)
{
    int m = 0;

    while (m < SMTP_SASL_MECHANISM_CNT && !base_span_caseeq(name, base_span_str(names[m])))
        m++;
    return (enum smtp_sasl_mechanism)m;
}

void smtp_sasl_init(struct smtp_sasl *s, enum smtp_sasl_mechanism m,
                    const struct smtp_sasl_facts *facts)
{
    base_assert(m < SMTP_SASL_MECHANISM_CNT);
    memset(s, 0, sizeof(*s));
    s->mechanism = (uint8_t)m;
    s->plus_offered = facts->plus_offered;
    s->bound = facts->bound;
    memcpy(s->binding, facts->binding, sizeof(s->binding));
    memcpy(s->random, facts->random, sizeof(s->random));
    if (m == SMTP_SASL_EXTERNAL && facts->identity.len > 0)
        (void)smtp_sasl_set_login(s, facts->identity); /* none: every push is refused */
}

void smtp_sasl_clear(struct smtp_sasl *s)
{
    OPENSSL_cleanse(s, sizeof(*s));
}

bool smtp_sasl_set_login(struct smtp_sasl *s, struct base_span login)
{
    size_t len = 0;

    if (!smtp_saslprep(login, s->login, sizeof(s->login), &len))
        return false;
    s->login_len = (uint16_t)len;
    return true;
}

bool smtp_sasl_is_login(const struct smtp_sasl *s, struct base_span name)
{
    char prepared[SMTP_SASL_LOGIN_MAX + 1];
    size_t len;

    return smtp_saslprep(name, prepared, sizeof(prepared), &len) &&
           base_span_eq(base_span_of(prepared, len), base_span_of(s->login, s->login_len));
}

/* No account has an empty password, nor one with a NUL, which would end it for crypt(3). */
static bool set_password(struct smtp_sasl *s, struct base_span password)
{
    size_t len = 0;

    if (!smtp_saslprep(password, s->password, sizeof(s->password), &len))
        return false;
    s->password_len = (uint16_t)len;
    return true;
}

/* Takes what stands before the next NUL off the front; false: there is none. */
static bool take_part(struct base_span *rest, struct base_span *part)
{
    const uint8_t *nul = rest->len > 0 ? memchr(rest->p, 0, rest->len) : NULL;

    if (nul == NULL)
        return false;
    *part = base_span_of(rest->p, (size_t)(nul - rest->p));
    *rest = base_span_of(nul + 1, rest->len - part->len - 1);
    return true;
}

/* RFC 4616: [authzid] NUL authcid NUL passwd. */
static enum smtp_sasl_step plain(struct smtp_sasl *s, struct base_span response)
{
    struct base_span authzid, authcid;

    if (response.p == NULL)
        return SMTP_SASL_CHALLENGE;
    s->stage = STAGE_OVER;
    if (!take_part(&response, &authzid) || !take_part(&response, &authcid) ||
        memchr(response.p, 0, response.len) != NULL)
        return SMTP_SASL_MALFORMED;
    if (!smtp_sasl_set_login(s, authcid) || !set_password(s, response))
        return SMTP_SASL_REFUSED;
    if (authzid.len > 0 && !smtp_sasl_is_login(s, authzid))
        return SMTP_SASL_REFUSED;
    return SMTP_SASL_PASSWORD;
}

/* draft-murchison-sasl-login: two questions, whose words clients do not look at. */
static enum smtp_sasl_step login(struct smtp_sasl *s, struct base_span response,
                                 struct base_buf *out)
{
    if (s->stage == STAGE_FIRST) {
        int failed = base_buf_puts(out, response.p == NULL ? "Username:" : "Password:");
        base_assert(failed == 0);
        if (response.p == NULL)
            return SMTP_SASL_CHALLENGE;
        /* An impossible name goes on like any other. */
        (void)smtp_sasl_set_login(s, response);
        s->stage = STAGE_LOGIN_PASSWORD;
        return SMTP_SASL_CHALLENGE;
    }
    s->stage = STAGE_OVER;
    if (!set_password(s, response) || s->login_len == 0)
        return SMTP_SASL_REFUSED;
    return SMTP_SASL_PASSWORD;
}

/* RFC 4422 appendix A: the response is the authorization identity or empty. */
static enum smtp_sasl_step external(struct smtp_sasl *s, struct base_span response)
{
    if (response.p == NULL)
        return SMTP_SASL_CHALLENGE;
    s->stage = STAGE_OVER;
    if (response.len > 0 && memchr(response.p, 0, response.len) != NULL)
        return SMTP_SASL_MALFORMED;
    if (s->login_len == 0 || (response.len > 0 && !smtp_sasl_is_login(s, response)))
        return SMTP_SASL_REFUSED;
    return SMTP_SASL_ACCOUNT;
}

enum smtp_sasl_step smtp_sasl_push(struct smtp_sasl *s, struct base_span response,
                                   struct base_buf *out)
{
    base_assert(s->stage != STAGE_OVER);
    if (response.len > SMTP_SASL_RESPONSE_MAX)
        return SMTP_SASL_MALFORMED;
    switch (s->mechanism) {
    case SMTP_SASL_PLAIN:
        return plain(s, response);
    case SMTP_SASL_LOGIN:
        return login(s, response, out);
    case SMTP_SASL_EXTERNAL:
        return external(s, response);
    default:
        return smtp_sasl_scram(s, response, out);
    }
}
