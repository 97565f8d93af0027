/* The authorities that next hops are verified by: read by control, a store of its own for each
 * lane. */
#include "certificate_file.h"
#include "gateway_tls.h"
#include "small_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* A level asks for them: without the file nothing starts. */
static bool is_needed(const struct conf *conf)
{
    bool needed = conf->delivery.tls >= CONF_DELIVERY_TLS_VERIFY;

    for (uint32_t i = 0; i < conf->destination_cnt; i++)
        needed |= conf->destination[i].tls >= CONF_DELIVERY_TLS_VERIFY;
    for (uint32_t i = 0; i < conf->route_cnt; i++)
        needed |= conf->route[i].verify;
    return needed;
}

bool gateway_tls_trust_wanted(const struct conf *conf)
{
    bool wanted = is_needed(conf) || conf->delivery.mta_sts ||
                  conf->delivery.requiretls == CONF_REQUIRETLS_ENFORCE;

    for (uint32_t i = 0; i < conf->destination_cnt; i++)
        wanted |= conf->destination[i].requiretls == 1 + CONF_REQUIRETLS_ENFORCE;
    return wanted;
}

static int load(struct dane_trust **out, const char *path,
                int (*open_file)(void *user, const char *path), void *user,
                char why[GATEWAY_TLS_WHY_CAP])
{
    struct certificate_file file;

    if (path == NULL || path[0] == 0) {
        snprintf(why, GATEWAY_TLS_WHY_CAP, "is required for verify and secure");
        return -EINVAL;
    }
    int error = certificate_file_load(&file, path, open_file, user);
    if (error == 0)
        *out = dane_trust_read(base_span_of(file.text, file.len));
    free(file.text);
    if (error != 0)
        snprintf(why, GATEWAY_TLS_WHY_CAP, "cannot read %.200s (%s)", path,
                 error == -EACCES ? "no permission, or a file that needs a restart"
                                  : small_file_why(error));
    else if (*out == NULL)
        snprintf(why, GATEWAY_TLS_WHY_CAP, "there is no certificate in %.200s", path);
    return error != 0 ? error : *out != NULL ? 0 : -EINVAL;
}

int gateway_tls_trust_check(const struct conf *conf, int (*open_file)(void *user, const char *path),
                            void *user, char why[GATEWAY_TLS_WHY_CAP])
{
    struct dane_trust *trust = NULL;

    if (!gateway_tls_trust_wanted(conf) ||
        load(&trust, conf->delivery.ca_file, open_file, user, why) == 0) {
        dane_trust_free(trust);
        return 0;
    }
    return is_needed(conf) ? -EINVAL : 1;
}

static int open_by(void *user, const char *path)
{
    return opener_open(user, path);
}

int gateway_tls_trust_read(struct dane_trust **out, const struct conf *conf, struct opener *opener,
                           char why[GATEWAY_TLS_WHY_CAP])
{
    char reason[GATEWAY_TLS_WHY_CAP];

    *out = NULL;
    if (!gateway_tls_trust_wanted(conf))
        return 0;
    int error = load(out, conf->delivery.ca_file, open_by, opener, reason);
    if (error == 0 || !is_needed(conf)) /* then nobody proves its name, nor is a policy fetched:
                                           both are told when they come up */
        return 0;
    snprintf(why, GATEWAY_TLS_WHY_CAP, "delivery: ca_file: %.230s", reason);
    return error;
}
