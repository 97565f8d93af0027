/* What the settings of destinations say about each other. */
#include "conf_internal.h"

#include <stdio.h>

static int digit(char c)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    const char *at = c != 0 ? strchr(digits, c) : NULL;
    int n = at != NULL ? (int)(at - digits) : -1;

    return n < 16 ? n : n - 6;
}

bool conf_fingerprint_parse(uint8_t out[CONF_FINGERPRINT_BYTES], const char *text)
{
    for (uint32_t i = 0; i < CONF_FINGERPRINT_BYTES; i++) {
        text += i > 0 && text[0] == ':';
        int high = digit(text[0]), low = high >= 0 ? digit(text[1]) : -1;
        if (low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    return text[0] == 0;
}

static void wrong(struct conf_parser *p, const struct conf_destination *d, const char *key,
                  const char *why)
{
    char full[CONF_KEY_CAP];

    snprintf(full, sizeof(full), "destination %.250s: %s", d->name, key);
    conf_error_add(p->errors, d->file, d->line, full, "%s", why);
}

static void check(struct conf_parser *p, const struct conf_destination *d)
{
    bool by_names = d->tls == CONF_DELIVERY_TLS_VERIFY || d->tls == CONF_DELIVERY_TLS_SECURE;
    uint8_t digest[CONF_FINGERPRINT_BYTES];
    struct conf_prefix address;

    if (d->tls == CONF_DELIVERY_TLS_FINGERPRINT && d->fingerprints.cnt == 0)
        wrong(p, d, "fingerprints", "is required for tls = fingerprint");
    if (d->tls != CONF_DELIVERY_TLS_FINGERPRINT && d->fingerprints.cnt > 0)
        wrong(p, d, "fingerprints", "has no effect without tls = fingerprint");
    if (d->fingerprints.cnt > CONF_PROOF_MAX)
        wrong(p, d, "fingerprints", "must be at most 16");
    if (d->names.cnt > CONF_PROOF_MAX)
        wrong(p, d, "names", "must be at most 16");
    for (uint32_t i = 0; i < d->fingerprints.cnt; i++)
        if (!conf_fingerprint_parse(digest, d->fingerprints.item[i]))
            wrong(p, d, "fingerprints", "must be 64 hexadecimal digits each: SHA-256");
    if (!by_names && d->names.cnt > 0)
        wrong(p, d, "names", "has no effect without tls = verify or secure");
    for (uint32_t i = 0; i < d->names.cnt; i++)
        if (!conf_is_domain(d->names.item[i]) && !conf_prefix_parse(&address, d->names.item[i]))
            wrong(p, d, "names", "must be domains, or IP addresses");
}

void conf_check_delivery(struct conf_parser *p)
{
    const struct conf_seen *tls = &p->seen[conf_setting_find("delivery", "tls") - conf_settings];

    if (p->conf->delivery.tls == CONF_DELIVERY_TLS_FINGERPRINT)
        conf_error_add(p->errors, tls->file, tls->line, "delivery: tls",
                       "fingerprint is for destination blocks, which have fingerprints");
    for (uint32_t i = 0; i < p->conf->destination_cnt; i++)
        check(p, &p->conf->destination[i]);
}
