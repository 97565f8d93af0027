#include "courier_advice.h"
#include "courier.h"
#include "courier_bounce.h"
#include "smtp_client.h"

#include <stdio.h>

static void tell(struct courier *c, const struct delivery *d, const char *advice)
{
    const struct settings_route *route = settings_route_find(c->settings, d->job.domain);
    char text[STATS_LOG_TEXT_CAP];

    snprintf(text, sizeof(text), "route %.60s: %s", route->conf->name, advice);
    courier_warn(c, &d->job.id, text);
}

/* Only of next hops that the operator names: what others have is not his to mend. */
static void tell_tls(struct courier *c, const struct delivery *d)
{
    if (settings_route_find(c->settings, d->job.domain)->hop_cnt == 0)
        return;
    if (strcmp(d->result[0].enhanced, "4.7.4") == 0)
        tell(c, d,
             "the next hop does no STARTTLS: tls = implicit is for port 465, tls = none for clear "
             "text");
    else
        tell(c, d,
             "its certificate is not what is asked for: see delivery: ca_file, destination, verify "
             "= no");
}

void courier_advice_tell(struct courier *c, const struct delivery *d)
{
    static const char *const advice[SMTP_CLIENT_AUTH_TROUBLE_CNT] = {
        [SMTP_CLIENT_AUTH_CLEARTEXT] =
            "AUTH is not done in clear: give the route TLS, or set auth_cleartext = yes",
        [SMTP_CLIENT_AUTH_NOT_OFFERED] =
            "the next hop offers no AUTH: many do so inside TLS alone, or on other ports",
        [SMTP_CLIENT_AUTH_NO_MECHANISM] =
            "no AUTH mechanism in common: see auth_mechanisms, and what the next hop offers",
        [SMTP_CLIENT_AUTH_WANTS_TLS] = "the next hop refuses AUTH in clear: give the route TLS",
        [SMTP_CLIENT_AUTH_REFUSED] =
            "the login was refused: check auth_user and auth_password_file, then reload",
        [SMTP_CLIENT_AUTH_LATER] =
            "the next hop cannot check the login now; nothing to change here",
        [SMTP_CLIENT_AUTH_UNPROVEN] =
            "the next hop did not prove that it knows the password: is it the right host?",
    };

    if (d->auth_trouble != SMTP_CLIENT_AUTH_FINE)
        tell(c, d, advice[d->auth_trouble]);
    else if (d->tls == DELIVERY_TLS_FAILED && d->result_cnt > 0)
        tell_tls(c, d);
}
