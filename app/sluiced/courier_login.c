#include "courier_login.h"
#include "base_siphash.h"
#include "courier.h"
#include "courier_bounce.h"

#include <stdio.h>

void courier_login_fill(const struct courier *c, struct delivery *d,
                        const struct settings_login *login)
{
    d->login = login != NULL ? login->id : 0;
    d->auth_trouble = SMTP_CLIENT_AUTH_FINE;
    if (login == NULL)
        return;
    d->tls_clear_after = false; /* what is to be said is not for all ears */
    d->policy ^= base_siphash13(c->secret, &d->login, sizeof(d->login));
}

void courier_login_tell(struct courier *c, const struct delivery *d)
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
    char text[STATS_LOG_TEXT_CAP];

    if (d->auth_trouble == SMTP_CLIENT_AUTH_FINE)
        return;
    snprintf(text, sizeof(text), "route %.60s: %s",
             settings_route_find(c->settings, d->job.domain)->conf->name, advice[d->auth_trouble]);
    courier_warn(c, &d->job.id, text);
}
