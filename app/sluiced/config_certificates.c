/* The certificates of a configuration, looked at before anything runs. */
#include "certificate_file.h"
#include "control.h"
#include "small_file.h"

#include <stdio.h>
#include <stdlib.h>

static void say(FILE *out, const struct conf_certificate *c, int which, const char *kind,
                const char *why)
{
    fprintf(out, "%s:%u: certificate %s: %s: %s%s\n", c->file, c->line, c->name,
            which == CERTIFICATE_CHAIN ? "chain" : "key", kind, why);
}

/* Returns whether it can be used. */
static bool check_one(FILE *out, const struct conf_certificate *c, config_open open_file,
                      void *user, int64_t now_s, struct tls_certificate_info *info)
{
    struct certificate_pair p;
    char why[GATEWAY_TLS_WHY_CAP];
    int which, error = certificate_pair_read(&p, c, open_file, user, &which);
    enum tls_check result = TLS_CHECK_CHAIN;

    if (error != 0) {
        snprintf(why, sizeof(why), "cannot read %.200s (%s)",
                 which == CERTIFICATE_CHAIN ? c->chain : c->key, small_file_why(error));
        say(out, c, which, "", why);
    } else {
        struct tls_certificate_spec spec = {
            .label = c->name,
            .chain_pem = base_span_of(p.file[0].text, p.file[0].len),
            .key_pem = base_span_of(p.file[1].text, p.file[1].len),
        };
        result = tls_check_certificate(&spec, now_s, info, why, sizeof(why));
        if (result != TLS_CHECK_OK)
            say(out, c, result == TLS_CHECK_CHAIN ? CERTIFICATE_CHAIN : CERTIFICATE_KEY, "", why);
        else if (info->warning[0] != 0)
            say(out, c, CERTIFICATE_CHAIN, "warning: ", info->warning);
    }
    certificate_pair_wipe(&p);
    return error == 0 && result == TLS_CHECK_OK;
}

/* What a listener says of TLS, with the authorities of its clients. */
static bool check_policy(FILE *out, const struct conf_listener *l, config_open open_file,
                         void *user)
{
    struct tls_policy_spec spec = gateway_tls_policy(l);
    struct certificate_file ca = {0};
    char why[GATEWAY_TLS_WHY_CAP];
    int error = 0;

    if (l->tls_client_ca != NULL)
        error = certificate_file_load(&ca, l->tls_client_ca, open_file, user);
    spec.client_ca_pem = base_span_of(ca.text, ca.len);
    bool good = error == 0 && tls_check_policy(&spec, why, sizeof(why));
    if (error != 0)
        fprintf(out, "%s:%u: listener %s: tls_client_ca: cannot read %s (%s)\n", l->file, l->line,
                l->name, l->tls_client_ca, small_file_why(error));
    else if (!good)
        fprintf(out, "%s:%u: listener %s: tls: %s\n", l->file, l->line, l->name, why);
    free(ca.text);
    return good;
}

/* The authorities that next hops are verified by. */
static bool check_trust(FILE *out, const struct conf *conf, config_open open_file, void *user)
{
    char why[GATEWAY_TLS_WHY_CAP];
    int result = gateway_tls_trust_check(conf, open_file, user, why);

    if (result == 0)
        return true;
    struct conf_place place = conf_place_of(conf, "delivery", "ca_file");
    if (place.file != NULL)
        fprintf(out, "%s:%u: ", place.file, place.line);
    fprintf(out, "delivery: ca_file: %s%s\n", result > 0 ? "warning: " : "", why);
    return result > 0;
}

bool config_check_certificates(FILE *out, const struct conf *conf, config_open open_file,
                               void *user, int64_t now_s)
{
    struct tls_certificate_info info;
    bool good = true, named = false;

    for (uint32_t i = 0; i < conf->certificate_cnt; i++) {
        if (conf->certificate[i].chain == NULL || conf->certificate[i].key == NULL)
            continue; /* told already */
        info = (struct tls_certificate_info){0};
        good &= check_one(out, &conf->certificate[i], open_file, user, now_s, &info);
        named |= gateway_tls_names(&info, conf->gateway.hostname);
    }
    if (good && !named && conf->certificate_cnt > 0)
        say(out, &conf->certificate[0], CERTIFICATE_CHAIN,
            "warning: ", "no certificate is for gateway: hostname");
    for (uint32_t i = 0; i < conf->listener_cnt; i++)
        good &= check_policy(out, &conf->listener[i], open_file, user);
    good &= check_trust(out, conf, open_file, user);
    return good;
}
