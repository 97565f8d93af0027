#include "metrics_http.h"
#include "command.h"
#include "http_server.h"
#include "metrics_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_MS 500
#define FIRST_S 30 /* for each question */

struct page {
    struct MHD_Response *response;
    unsigned status;
    uint64_t made_ms;
};

struct server {
    const char *socket_path;
    struct page page[2]; /* by form; the server's thread alone */
};

/* ---- the page ---- */

static struct MHD_Response *write_page(const struct metrics *m, enum metrics_form form)
{
    static const char *const types[] = {
        [METRICS_PROMETHEUS] = "text/plain; version=0.0.4; charset=utf-8",
        [METRICS_OPENMETRICS] = "application/openmetrics-text; version=1.0.0; charset=utf-8"};
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    if (out == NULL)
        return NULL;
    metrics_write(out, m, form);
    bool failed = ferror(out) != 0;
    failed |= fclose(out) != 0;
    if (failed) {
        free(text);
        return NULL;
    }
    return http_response(text, len, types[form]);
}

/* The page as it is now. NULL: memory is short. */
static const struct page *page_now(struct server *s, enum metrics_form form)
{
    struct page *p = &s->page[form];
    char why[METRICS_WHY_CAP], text[METRICS_WHY_CAP + 64];
    struct metrics m;

    if (p->response != NULL && http_now_ms() - p->made_ms < KEEP_MS)
        return p;
    if (p->response != NULL)
        MHD_destroy_response(p->response); /* those that still send it hold it */
    if (metrics_fetch(&m, s->socket_path, why) == 0) {
        p->status = MHD_HTTP_OK;
        p->response = write_page(&m, form);
        metrics_free(&m);
    } else {
        snprintf(text, sizeof(text), "no metrics: %s\n", why);
        p->status = MHD_HTTP_SERVICE_UNAVAILABLE;
        p->response = http_say(text);
    }
    p->made_ms = http_now_ms();
    return p->response != NULL ? p : NULL;
}

/* Whether the client asks for OpenMetrics: Prometheus names it first, without a weight of 0. */
static enum metrics_form form_of(struct MHD_Connection *c)
{
    const char *accept = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
    const char *at = accept != NULL ? strcasestr(accept, "application/openmetrics-text") : NULL;

    if (at == NULL)
        return METRICS_PROMETHEUS;
    size_t len = strcspn(at, ",");
    const char *q = memmem(at, len, ";q=0", 4);
    if (q == NULL)
        return METRICS_OPENMETRICS;
    q += 4;
    q += *q == '.';
    q += strspn(q, "0");
    return *q >= '1' && *q <= '9' ? METRICS_OPENMETRICS : METRICS_PROMETHEUS;
}

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, const char *text)
{
    struct MHD_Response *r = http_say(text);
    enum MHD_Result done;

    if (r == NULL)
        return MHD_NO;
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    done = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return done;
}

static enum MHD_Result handle(void *user, struct MHD_Connection *c, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_len, void **request)
{
    (void)version, (void)upload, (void)upload_len;
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return answer(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD are understood\n");
    if (*request == NULL) { /* an answer before the request is whole would end the connection */
        *request = user;
        return MHD_YES;
    }
    if (*upload_len > 0)
        return MHD_NO; /* nobody asks with a body */
    if (strcmp(url, "/") == 0)
        return answer(c, MHD_HTTP_OK, "Sluice: what Prometheus reads is at /metrics\n");
    if (strcmp(url, "/metrics") != 0)
        return answer(c, MHD_HTTP_NOT_FOUND, "there is nothing but /metrics\n");
    const struct page *p = page_now(user, form_of(c));
    return p != NULL ? MHD_queue_response(c, p->status, p->response) : MHD_NO;
}

/* ---- the server ---- */

int metrics_http_serve(const char *socket_path, const char *listen, bool other)
{
    struct server s = {.socket_path = socket_path};
    char what[128];
    struct http_config config = {.listen = listen,
                                 .what = what,
                                 .handle = handle,
                                 .user = &s,
                                 .first_s = FIRST_S,
                                 .renews = true};
    bool loopback;

    if (!http_read_address(listen, &config.address, &loopback)) {
        fprintf(stderr, "sluicectl: '%s' is no address to listen at: 127.0.0.1:9464, [::1]:9464\n",
                listen);
        return COMMAND_WRONG_USE;
    }
    if (!loopback && !other) {
        fprintf(stderr,
                "sluicectl: %s can be reached from other machines, and who reaches it reads all "
                "metrics: say --allow-remote if that is meant\n",
                listen);
        return COMMAND_WRONG_USE;
    }
    snprintf(what, sizeof(what), "metrics at http://%s/metrics", listen);
    int status = http_serve(&config);
    for (size_t i = 0; i < BASE_ARRAY_CNT(s.page); i++)
        if (s.page[i].response != NULL)
            MHD_destroy_response(s.page[i].response);
    return status;
}
