#include "settings_logins.h"
#include "base_siphash.h"
#include "small_file.h"
#include "smtp_saslprep.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_BYTES_MAX (SMTP_SASL_PASSWORD_MAX + 8)

/* The first line, and nothing behind it. Returns 0 or -EBADMSG. */
static int take_password(char out[SMTP_SASL_PASSWORD_MAX + 1], const char *text, size_t len)
{
    size_t n = 0, end = len;

    while (end > 0 && (text[end - 1] == '\n' || text[end - 1] == '\r'))
        end--;
    while (n < end && text[n] != '\n' && text[n] != '\r' && text[n] != 0)
        n++;
    if (n == 0 || n != end || n > SMTP_SASL_PASSWORD_MAX)
        return -EBADMSG;
    /* What the server compares it with is prepared, too (RFC 4616, 5802). */
    return smtp_saslprep(base_span_of(text, n), out, SMTP_SASL_PASSWORD_MAX + 1, &n) ? 0 : -EILSEQ;
}

static bool prepare_user(char out[SMTP_SASL_LOGIN_MAX + 1], const struct conf_route *r,
                         char why[SETTINGS_LOGINS_WHY_CAP])
{
    size_t len;

    if (smtp_saslprep(base_span_str(r->auth_user), out, SMTP_SASL_LOGIN_MAX + 1, &len))
        return true;
    snprintf(why, SETTINGS_LOGINS_WHY_CAP,
             "auth_user is no UTF-8, or has characters that no login has (RFC 4013)");
    return false;
}

static const char *why_of(int error)
{
    return error == -EBADMSG || error == -EFBIG
               ? "it has to be one line, a password of 1 to 255 bytes"
           : error == -EILSEQ ? "it is no UTF-8, or has characters that no password has (RFC 4013)"
                              : small_file_why(error);
}

static int read_password(const struct conf_route *r, int (*open_file)(void *user, const char *path),
                         void *user, char out[SMTP_SASL_PASSWORD_MAX + 1],
                         char why[SETTINGS_LOGINS_WHY_CAP])
{
    uint8_t *text = NULL;
    size_t len = 0;
    int fd = open_file(user, r->auth_password_file), error = fd;

    if (fd >= 0) {
        error = small_file_read(fd, FILE_BYTES_MAX, true, &text, &len);
        close(fd);
    }
    if (error >= 0)
        error = take_password(out, (const char *)text, len);
    if (text != NULL)
        explicit_bzero(text, len);
    free(text);
    if (error < 0)
        snprintf(why, SETTINGS_LOGINS_WHY_CAP, "cannot read %.200s (%s)", r->auth_password_file,
                 why_of(error));
    return error < 0 ? error : 0;
}

int settings_logins_check(const struct conf_route *r,
                          int (*open_file)(void *user, const char *path), void *user,
                          char why[SETTINGS_LOGINS_WHY_CAP])
{
    char password[SMTP_SASL_PASSWORD_MAX + 1];
    char login[SMTP_SASL_LOGIN_MAX + 1];
    int error =
        prepare_user(login, r, why) ? read_password(r, open_file, user, password, why) : -EINVAL;

    explicit_bzero(password, sizeof(password));
    return error;
}

/* Of all that makes a login another one. It is no secret's digest that could leave the process. */
static uint64_t id_of(const struct settings_login *l)
{
    static const uint8_t key[16] = "next hop's login";
    uint8_t bytes[SMTP_SASL_LOGIN_MAX + SMTP_SASL_PASSWORD_MAX + 4];
    struct base_buf out = {bytes, 0, sizeof(bytes)};
    uint8_t rest[2] = {l->credentials.mechanisms, l->credentials.cleartext};
    int failed = base_buf_put_span(&out, l->credentials.user) | base_buf_put(&out, "", 1) |
                 base_buf_put_span(&out, l->credentials.password) | base_buf_put(&out, "", 1) |
                 base_buf_put(&out, rest, sizeof(rest));

    base_assert(failed == 0);
    uint64_t id = base_siphash(key, bytes, out.len);
    explicit_bzero(bytes, sizeof(bytes));
    return id != 0 ? id : 1;
}

int settings_logins_read(struct settings *s, int (*open_file)(void *user, const char *path),
                         void *user, char why[SETTINGS_LOGINS_WHY_CAP])
{
    char reason[SETTINGS_LOGINS_WHY_CAP];

    for (uint32_t i = 0; i < s->login_cnt; i++) {
        struct settings_login *l = &s->logins[i];
        const struct conf_route *r = l->conf;
        int error = prepare_user(l->user, r, reason)
                        ? read_password(r, open_file, user, l->password, reason)
                        : -EINVAL;
        if (error != 0) {
            snprintf(why, SETTINGS_LOGINS_WHY_CAP, "route %.120s: auth_password_file: %.300s",
                     r->name, reason);
            return error;
        }
        l->credentials = (struct smtp_credentials){
            .user = base_span_str(l->user),
            .password = base_span_str(l->password),
            .cleartext = r->auth_cleartext,
        };
        for (uint32_t k = 0; k < r->auth_mechanisms.cnt; k++)
            l->credentials.mechanisms |=
                (uint8_t)(1U << smtp_sasl_client_find(base_span_str(r->auth_mechanisms.item[k])));
        if (r->auth_mechanisms.cnt == 0)
            l->credentials.mechanisms = (1U << SMTP_SASL_CLIENT_MECHANISM_CNT) - 1;
        l->id = id_of(l);
    }
    return 0;
}

const struct settings_login *settings_login_find(const struct settings *s, uint64_t id)
{
    for (uint32_t i = 0; i < s->login_cnt; i++)
        if (s->logins[i].id == id)
            return &s->logins[i];
    return NULL;
}
