/* The authorities that next hops are verified by: read by control, a store of its own for each
 * lane. */
#include "certificate_file.h"
#include "gateway_tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A level asks for it: no start without. */
static bool needed(const struct conf *conf)
{
    bool wanted = conf->delivery.tls >= CONF_DELIVERY_TLS_VERIFY;

    for (uint32_t i = 0; i < conf->destination_cnt; i++)
        wanted |= conf->destination[i].tls >= CONF_DELIVERY_TLS_VERIFY;
    for (uint32_t i = 0; i < conf->route_cnt; i++)
        wanted |= conf->route[i].verify;
    return wanted;
}

bool gateway_tls_trust_wanted(const struct conf *conf)
{
    return conf->delivery.mta_sts || needed(conf);
}

int gateway_tls_trust_read(struct dane_trust **out, const struct conf *conf, struct opener *opener,
                           char why[GATEWAY_TLS_WHY_CAP])
{
    const char *path = conf->delivery.ca_file;
    struct certificate_file file = {0};

    *out = NULL;
    if (!gateway_tls_trust_wanted(conf))
        return 0;
    if ((path == NULL || path[0] == 0) && !needed(conf))
        return 0;
    if (path == NULL || path[0] == 0) {
        snprintf(why, GATEWAY_TLS_WHY_CAP, "delivery: ca_file: is required for verify and secure");
        return -EINVAL;
    }
    int fd = opener_open(opener, path), error = fd;
    if (fd >= 0) {
        error = certificate_file_read(&file, fd, false);
        close(fd);
    }
    if (error < 0) {
        snprintf(why, GATEWAY_TLS_WHY_CAP, "delivery: ca_file: cannot read %.200s (%s)", path,
                 error == -EACCES ? "no permission, or a file that needs a restart"
                                  : certificate_file_why(error));
        free(file.text);
        return needed(conf) ? error : 0; /* no policy can be fetched either, which is told then */
    }
    *out = dane_trust_read(base_span_of(file.text, file.len));
    free(file.text);
    if (*out != NULL)
        return 0;
    snprintf(why, GATEWAY_TLS_WHY_CAP, "delivery: ca_file: there is no certificate in %.200s",
             path);
    return needed(conf) ? -EINVAL : 0;
}
