#include "https_exchange.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- libcurl's calls ---- */

static size_t take_body(char *p, size_t size, size_t cnt, void *user)
{
    struct https_exchange *x = user;
    size_t len = size * cnt;

    if (len > x->room_cap - x->len) {
        x->too_large = true;
        return 0; /* ends the exchange */
    }
    if (len > 0)
        memcpy(x->room + x->len, p, len);
    x->len += (uint32_t)len;
    return len;
}

static size_t take_header(char *p, size_t size, size_t cnt, void *user)
{
    struct https_exchange *x = user;
    size_t len = size * cnt;

    (void)p;
    x->header_bytes += len;
    if (x->header_bytes <= HTTPS_HEADERS_MAX)
        return len;
    x->too_many = true;
    return 0;
}

/* In place of libcurl's own reading of the authorities, once for each connection. Beside libcurl,
 * which also takes a name from the subject, OpenSSL looks at the DNS names alone (RFC 8461 section
 * 3.3); without a check of certificates its word has no consequence. */
static CURLcode set_authorities(CURL *curl, void *ssl_ctx, void *user)
{
    struct https_exchange *x = user;

    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ssl_ctx);

    (void)curl;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (X509_VERIFY_PARAM_set1_host(param, x->host, 0) != 1)
        return CURLE_OUT_OF_MEMORY;
    if (x->authorities != NULL)
        SSL_CTX_set1_cert_store(ssl_ctx, x->authorities);
    return CURLE_OK;
}

/* ---- setting up ---- */

/* "host:443:192.0.2.1,[2001:db8::1]": libcurl asks no resolver then. */
static struct curl_slist *addresses_of(const struct https_wire_message *m)
{
    char text[DNS_NAME_CAP + 16 + HTTPS_ADDRESS_MAX * (NET_ADDR_TEXT_CAP + 3)];
    int at = snprintf(text, sizeof(text), "%s:%u:", m->host, m->port);

    for (uint32_t i = 0; i < m->address_cnt; i++) {
        char one[NET_ADDR_TEXT_CAP];
        bool v4 = net_addr_is_v4(&m->address[i]);
        net_addr_format(one, &m->address[i]);
        at += snprintf(text + at, sizeof(text) - (size_t)at, "%s%s%s%s", i > 0 ? "," : "",
                       v4 ? "" : "[", one, v4 ? "" : "]");
    }
    return curl_slist_append(NULL, text);
}

static struct curl_slist *headers_of(const struct https_wire_message *m)
{
    char text[sizeof("Content-Type: ") + HTTPS_TYPE_CAP];
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");

    if (list == NULL || m->method != HTTPS_POST)
        return list;
    snprintf(text, sizeof(text), "Content-Type: %s",
             m->type[0] != 0 ? m->type : "application/octet-stream");
    struct curl_slist *more = curl_slist_append(list, text);
    if (more == NULL)
        curl_slist_free_all(list);
    return more;
}

static bool set_tls(struct https_exchange *x, const struct https_wire_message *m)
{
    CURL *c = x->curl;
    long check = m->any_certificate ? 0 : 1;

    return curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, check) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, check * 2) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_CAINFO, NULL) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_CAPATH, NULL) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_SSL_CTX_FUNCTION, set_authorities) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_SSL_CTX_DATA, x) == CURLE_OK;
}

static bool set_limits(struct https_exchange *x, const struct https_wire_message *m)
{
    CURL *c = x->curl;

    return curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)m->timeout_ms) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)m->timeout_ms) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_body) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEDATA, x) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_HEADERDATA, x) == CURLE_OK;
}

static bool set_request(struct https_exchange *x, const struct https_wire_message *m)
{
    char url[sizeof("https://") + DNS_NAME_CAP + HTTPS_PATH_CAP + 8];
    CURL *c = x->curl;

    x->addresses = addresses_of(m);
    x->headers = headers_of(m);
    snprintf(url, sizeof(url), "https://%s:%u%s", m->host, m->port, m->path);
    if (x->addresses == NULL || x->headers == NULL ||
        curl_easy_setopt(c, CURLOPT_URL, url) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_RESOLVE, x->addresses) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, x->headers) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_USERAGENT, "Sluice") != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_ERRORBUFFER, x->why) != CURLE_OK ||
        curl_easy_setopt(c, CURLOPT_PRIVATE, (char *)x) != CURLE_OK)
        return false;
    if (m->method != HTTPS_POST)
        return true;
    x->body = malloc(m->body.len + 1);
    if (x->body == NULL)
        return false;
    if (m->body.len > 0)
        memcpy(x->body, m->body.p, m->body.len);
    return curl_easy_setopt(c, CURLOPT_POST, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)m->body.len) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_POSTFIELDS, x->body) == CURLE_OK;
}

CURL *https_exchange_open(struct https_exchange *x, const struct https_wire_message *m,
                          X509_STORE *authorities)
{
    base_assert(x->curl == NULL);
    x->id = m->id;
    x->room_cap = m->room_cap;
    x->authorities = authorities;
    memcpy(x->host, m->host, sizeof(x->host));
    x->curl = curl_easy_init();
    if (x->curl == NULL)
        return NULL;
    if (set_tls(x, m) && set_limits(x, m) && set_request(x, m))
        return x->curl;
    https_exchange_close(x);
    return NULL;
}

/* ---- the end ---- */

static enum https_result result_of(const struct https_exchange *x, CURLcode code)
{
    if (x->too_large || code == CURLE_FILESIZE_EXCEEDED)
        return HTTPS_TOO_LARGE;
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return HTTPS_TIMEOUT;
    case CURLE_COULDNT_CONNECT:
        return HTTPS_CONNECT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CERTPROBLEM:
        return HTTPS_CERTIFICATE;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CIPHER:
    case CURLE_USE_SSL_FAILED:
        return HTTPS_TLS;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
    case CURLE_COULDNT_RESOLVE_HOST:
        return HTTPS_FAILED;
    default:
        return HTTPS_BROKEN;
    }
}

void https_exchange_answer(const struct https_exchange *x, CURLcode code,
                           struct https_wire_message *out)
{
    const char *type = NULL;
    long status = 0;

    *out = (struct https_wire_message){.id = x->id};
    curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK && (status < 200 || status > 999))
        code = CURLE_WEIRD_SERVER_REPLY;
    if (code != CURLE_OK) {
        out->result = (uint8_t)result_of(x, code);
        snprintf(out->why, sizeof(out->why), "%.150s",
                 x->too_many      ? "the answer's header is too long"
                 : x->why[0] != 0 ? x->why
                                  : curl_easy_strerror(code));
        return;
    }
    curl_easy_getinfo(x->curl, CURLINFO_CONTENT_TYPE, &type);
    out->status = (uint16_t)status;
    out->result = (uint8_t)(status <= 299   ? HTTPS_OK
                            : status <= 399 ? HTTPS_REDIRECT
                                            : HTTPS_STATUS);
    snprintf(out->type, sizeof(out->type), "%.120s", type != NULL ? type : "");
    if (out->result != HTTPS_REDIRECT)
        out->body = base_span_of(x->room, x->len);
}

void https_exchange_close(struct https_exchange *x)
{
    if (x->curl != NULL)
        curl_easy_cleanup(x->curl);
    curl_slist_free_all(x->addresses);
    curl_slist_free_all(x->headers);
    free(x->body);
    x->curl = NULL;
    x->addresses = x->headers = NULL;
    x->body = NULL;
    x->len = 0;
    x->header_bytes = 0;
    x->too_large = x->too_many = false;
    x->why[0] = 0;
}
