/* What a server's certificate says, for a person to read. */
#include "dane_internal.h"
#include "dane_trust.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

/* Appends what fits; a text that does not ends in dots. */
static bool put(char *to, size_t cap, const uint8_t *from, int len)
{
    size_t used = strlen(to);

    for (int i = 0; i < len; i++) {
        if (used + 4 >= cap) {
            memcpy(to + used, "...", 4);
            return false;
        }
        to[used++] = (char)(from[i] > 0x20 && from[i] < 0x7f ? from[i]
                            : from[i] == ' '                 ? ' '
                                                             : '?');
        to[used] = 0;
    }
    return true;
}

static bool put_string(char *to, size_t cap, const ASN1_STRING *s)
{
    return put(to, cap, ASN1_STRING_get0_data(s), ASN1_STRING_length(s));
}

/* The CN of a name, else its O. */
static void put_common(char *to, size_t cap, const X509_NAME *name)
{
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);

    if (at < 0)
        at = X509_NAME_get_index_by_NID(name, NID_organizationName, -1);
    if (at >= 0)
        (void)put_string(to, cap, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
}

static void put_names(char *to, size_t cap, X509 *x)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    bool fits = true;

    for (int i = 0; i < sk_GENERAL_NAME_num(names) && fits; i++) {
        const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
        if (n->type != GEN_DNS)
            continue;
        if (to[0] != 0)
            fits = put(to, cap, (const uint8_t *)", ", 2);
        if (fits)
            fits = put_string(to, cap, n->d.dNSName);
    }
    GENERAL_NAMES_free(names);
    if (to[0] == 0)
        put_common(to, cap, X509_get_subject_name(x));
}

int64_t dane_unix_time(const struct asn1_string_st *t)
{
    struct tm tm;
    int64_t days, year;

    if (ASN1_TIME_to_tm(t, &tm) != 1)
        return 0;
    /* Days since 1970 of the proleptic Gregorian calendar, years begun in March. */
    year = tm.tm_year + 1900 - (tm.tm_mon < 2);
    days = 365 * year + year / 4 - year / 100 + year / 400 +
           (153 * ((tm.tm_mon + 10) % 12) + 2) / 5 + tm.tm_mday - 1 - 719468;
    return ((days * 24 + tm.tm_hour) * 60 + tm.tm_min) * 60 + tm.tm_sec;
}

bool dane_shown_read(struct dane_shown *s, const struct dane_chain *chain)
{
    X509 *x = chain->cnt > 0 ? dane_certificate_read(chain->der[0]) : NULL;

    memset(s, 0, sizeof(*s));
    ERR_clear_error();
    if (x == NULL)
        return false;
    put_names(s->names, sizeof(s->names), x);
    put_common(s->issuer, sizeof(s->issuer), X509_get_issuer_name(x));
    s->not_before_s = dane_unix_time(X509_get0_notBefore(x));
    s->not_after_s = dane_unix_time(X509_get0_notAfter(x));
    ERR_clear_error();
    X509_free(x);
    return true;
}
