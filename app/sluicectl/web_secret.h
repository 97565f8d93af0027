/*
 * The files that the web page is protected by: certificate, private key, password; read, checked,
 * and read again when they change.
 *
 * Threads: none of its own. Memory: owned until web_secret_free.
 */
#ifndef WEB_SECRET_H
#define WEB_SECRET_H

#include "base_assert.h"

#include <gnutls/x509.h>
#include <stdbool.h>
#include <stdint.h>

#define WEB_SECRET_WHY_CAP 512

struct web_secret {
    char *certificate, *key, *password; /* NULL: there is none */
    gnutls_x509_crt_t leaf;             /* NULL likewise */
    uint64_t looks;                     /* what the files looked like */
};

/* Reads the files, each a path or NULL: a key of mode 640 at most, a password of 600 at most, in
 * the first line of its file. Returns false with a sentence in why. */
bool web_secret_read(struct web_secret *out, const char *certificate, const char *key,
                     const char *password, char why[WEB_SECRET_WHY_CAP]) BASE_WARN_UNUSED;
void web_secret_free(struct web_secret *s);

/* What the files look like now: another number when one has changed. */
uint64_t web_secret_looks(const char *certificate, const char *key, const char *password);

#endif
