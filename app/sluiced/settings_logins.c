#include "settings_logins.h"
#include "base_siphash.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_MODE 0640

static int read_file(int fd, char *text, size_t cap, size_t *len)
{
    struct stat st;

    *len = 0;
    if (fstat(fd, &st) != 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if ((st.st_mode & 0777 & ~SECRET_MODE) != 0)
        return -EKEYREJECTED;
    while (*len < cap) {
        ssize_t n = read(fd, text + *len, cap - *len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        *len += (size_t)n;
    }
    return 0;
}

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
    memcpy(out, text, n);
    out[n] = 0;
    return 0;
}

static const char *why_of(int error)
{
    switch (error) {
    case -EACCES:
        return "no permission";
    case -EINVAL:
        return "not a file";
    case -EKEYREJECTED:
        return "too many may read or change it: at most mode 640";
    case -EBADMSG:
        return "it has to be one line, a password of 1 to 255 bytes";
    default:
        return strerror(-error);
    }
}

static int read_password(const struct conf_route *r, int (*open_file)(void *user, const char *path),
                         void *user, char out[SMTP_SASL_PASSWORD_MAX + 1],
                         char why[SETTINGS_LOGINS_WHY_CAP])
{
    char text[SMTP_SASL_PASSWORD_MAX + 8];
    size_t len = 0;
    int fd = open_file(user, r->auth_password_file), error = fd;

    if (fd >= 0) {
        error = read_file(fd, text, sizeof(text), &len);
        close(fd);
    }
    if (error >= 0)
        error = take_password(out, text, len);
    explicit_bzero(text, sizeof(text));
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
    int error = read_password(r, open_file, user, password, why);

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
        int error = read_password(r, open_file, user, l->password, reason);
        if (error != 0) {
            snprintf(why, SETTINGS_LOGINS_WHY_CAP, "route %.120s: auth_password_file: %.300s",
                     r->name, reason);
            return error;
        }
        l->credentials = (struct smtp_credentials){
            .user = base_span_str(r->auth_user),
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
