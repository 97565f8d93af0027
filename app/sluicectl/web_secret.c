#include "web_secret.h"
#include "web_guess.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (256 << 10)

__attribute__((format(printf, 2, 3))) static bool wrong(char why[WEB_SECRET_WHY_CAP],
                                                        const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(why, WEB_SECRET_WHY_CAP, format, args);
    va_end(args);
    return false;
}

/* A file whose mode has no bit that most has not. */
static bool read_file(char **out, const char *path, mode_t most, char why[WEB_SECRET_WHY_CAP])
{
    struct stat s;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return wrong(why, "%s: %s", path, strerror(errno));
    bool done = false;
    if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode))
        (void)wrong(why, "%s: that is no file", path);
    else if ((s.st_mode & 0777 & ~most) != 0)
        (void)wrong(why, "%s: too many may read it, mode %03o: chmod %03o it", path,
                    (unsigned)s.st_mode & 0777, (unsigned)most);
    else if (s.st_size > FILE_MAX)
        (void)wrong(why, "%s: it has more than %d bytes", path, FILE_MAX);
    else
        done = true;
    char *text = done ? calloc(1, (size_t)s.st_size + 1) : NULL;
    if (done && text == NULL)
        done = wrong(why, "memory is short");
    if (done && read(fd, text, (size_t)s.st_size) != s.st_size)
        done = wrong(why, "%s: it cannot be read", path);
    close(fd);
    *out = text;
    return done && text != NULL;
}

static bool take_password(char **out, const char *path, char why[WEB_SECRET_WHY_CAP])
{
    if (!read_file(out, path, 0600, why))
        return false;
    (*out)[strcspn(*out, "\r\n")] = 0;
    if (strlen(*out) < WEB_PASSWORD_MIN || strlen(*out) > WEB_PASSWORD_MAX)
        return wrong(why, "%s: the password, its first line, has %zu bytes, not %d to %d", path,
                     strlen(*out), WEB_PASSWORD_MIN, WEB_PASSWORD_MAX);
    return true;
}

/* That the two are a pair, as the server would find later and not say. */
static bool check_pair(struct web_secret *s, const char *certificate, const char *key,
                       char why[WEB_SECRET_WHY_CAP])
{
    gnutls_datum_t cert = {(unsigned char *)s->certificate, (unsigned)strlen(s->certificate)};
    gnutls_datum_t private_key = {(unsigned char *)s->key, (unsigned)strlen(s->key)};
    gnutls_certificate_credentials_t pair;

    int rc = gnutls_x509_crt_init(&s->leaf);
    if (rc != 0)
        return wrong(why, "memory is short");
    rc = gnutls_x509_crt_import(s->leaf, &cert, GNUTLS_X509_FMT_PEM);
    if (rc != 0)
        return wrong(why, "%s: no certificate in PEM: %s", certificate, gnutls_strerror(rc));
    if (gnutls_certificate_allocate_credentials(&pair) != 0)
        return wrong(why, "memory is short");
    rc = gnutls_certificate_set_x509_key_mem(pair, &cert, &private_key, GNUTLS_X509_FMT_PEM);
    gnutls_certificate_free_credentials(pair);
    return rc >= 0 ||
           wrong(why, "%s: not the private key of %s: %s", key, certificate, gnutls_strerror(rc));
}

bool web_secret_read(struct web_secret *out, const char *certificate, const char *key,
                     const char *password, char why[WEB_SECRET_WHY_CAP])
{
    *out = (struct web_secret){.looks = web_secret_looks(certificate, key, password)};
    if ((certificate == NULL ||
         (read_file(&out->certificate, certificate, 0777, why) &&
          read_file(&out->key, key, 0640, why) && check_pair(out, certificate, key, why))) &&
        (password == NULL || take_password(&out->password, password, why)))
        return true;
    web_secret_free(out);
    return false;
}

void web_secret_free(struct web_secret *s)
{
    char *const secrets[] = {s->key, s->password};

    for (size_t i = 0; i < BASE_ARRAY_CNT(secrets); i++)
        if (secrets[i] != NULL)
            explicit_bzero(secrets[i], strlen(secrets[i]));
    if (s->leaf != NULL)
        gnutls_x509_crt_deinit(s->leaf);
    free(s->certificate);
    free(s->key);
    free(s->password);
    *s = (struct web_secret){0};
}

uint64_t web_secret_looks(const char *certificate, const char *key, const char *password)
{
    const char *const paths[] = {certificate, key, password};
    uint64_t sum = 0;
    struct stat s;

    for (size_t i = 0; i < BASE_ARRAY_CNT(paths); i++)
        if (paths[i] != NULL && stat(paths[i], &s) == 0) {
            const uint64_t looks[] = {(uint64_t)s.st_ino, (uint64_t)s.st_size,
                                      (uint64_t)s.st_mtim.tv_sec, (uint64_t)s.st_mtim.tv_nsec};
            for (size_t k = 0; k < BASE_ARRAY_CNT(looks); k++)
                sum = sum * UINT64_C(0x9e3779b97f4a7c15) + looks[k];
        }
    return sum;
}
