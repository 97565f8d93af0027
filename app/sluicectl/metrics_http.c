#include "metrics_http.h"
#include "command.h"
#include "metrics_text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define KEEP_MS      500
#define IDLE_S       15
#define REQUEST_ROOM 8192 /* for a request's head */

struct page {
    struct MHD_Response *response;
    unsigned status;
    uint64_t made_ms;
};

/* A connection that is open, and since when, or since its last answer. */
struct place {
    int fd; /* -1: free */
    uint64_t since_ms;
};

struct server {
    const char *socket_path;
    struct page page[2]; /* by form; the server's thread alone */
    pthread_mutex_t lock;
    struct place place[METRICS_HTTP_MAX]; /* under the lock */
};

static uint64_t clock_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- the page ---- */

/* Takes text, from malloc. */
static struct MHD_Response *make_response(char *text, size_t len, const char *type)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);

    if (r == NULL) {
        free(text);
        return NULL;
    }
    if (MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type) != MHD_YES ||
        MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store") != MHD_YES) {
        MHD_destroy_response(r);
        return NULL;
    }
    return r;
}

static struct MHD_Response *say(const char *text)
{
    char *copy = strdup(text);

    return copy != NULL ? make_response(copy, strlen(copy), "text/plain; charset=utf-8") : NULL;
}

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
    return make_response(text, len, types[form]);
}

/* The page as it is now. NULL: memory is short. */
static const struct page *page_now(struct server *s, enum metrics_form form)
{
    struct page *p = &s->page[form];
    char why[METRICS_WHY_CAP], text[METRICS_WHY_CAP + 64];
    struct metrics m;

    if (p->response != NULL && clock_ms() - p->made_ms < KEEP_MS)
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
        p->response = say(text);
    }
    p->made_ms = clock_ms();
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
    struct MHD_Response *r = say(text);
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

/* ---- connections ---- */

/* The server's thread tells of each that begins, and of its end before its descriptor is closed. */
static void note_connection(void *user, struct MHD_Connection *c, void **own,
                            enum MHD_ConnectionNotificationCode what)
{
    struct server *s = user;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);

    (void)own;
    if (info == NULL)
        return;
    int fd = info->connect_fd;
    bool begins = what == MHD_CONNECTION_NOTIFY_STARTED;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < METRICS_HTTP_MAX; i++)
        if (s->place[i].fd == (begins ? -1 : fd)) {
            s->place[i].fd = begins ? fd : -1;
            s->place[i].since_ms = clock_ms();
            break;
        }
    pthread_mutex_unlock(&s->lock);
}

/* Who has read an answer may ask again: Prometheus keeps its connection. */
static void note_answered(void *user, struct MHD_Connection *c, void **own,
                          enum MHD_RequestTerminationCode how)
{
    struct server *s = user;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);

    (void)own;
    if (info == NULL || how != MHD_REQUEST_TERMINATED_COMPLETED_OK)
        return;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < METRICS_HTTP_MAX; i++)
        if (s->place[i].fd == info->connect_fd)
            s->place[i].since_ms = clock_ms();
    pthread_mutex_unlock(&s->lock);
}

/* A client that sends or reads a byte now and then would keep its place for ever. */
static void end_old(struct server *s)
{
    uint64_t now_ms = clock_ms();

    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < METRICS_HTTP_MAX; i++)
        if (s->place[i].fd >= 0 && now_ms - s->place[i].since_ms > METRICS_HTTP_LIFE_S * 1000)
            shutdown(s->place[i].fd, SHUT_RDWR);
    pthread_mutex_unlock(&s->lock);
}

/* ---- the server ---- */

/* "127.0.0.1:9464", "[::1]:9464". */
static bool read_address(const char *text, struct sockaddr_storage *out, bool *loopback)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    char *end;

    if (colon == NULL || colon == text || (size_t)(colon - text) >= sizeof(host))
        return false;
    unsigned long port = strtoul(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end != 0 || port == 0 || port > 65535)
        return false;
    snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
    memset(out, 0, sizeof(*out));
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    size_t len = strlen(host);
    if (host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = 0;
        if (inet_pton(AF_INET6, host + 1, &v6->sin6_addr) != 1)
            return false;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        *loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
        return true;
    }
    if (inet_pton(AF_INET, host, &v4->sin_addr) != 1)
        return false;
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)port);
    *loopback = (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
    return true;
}

static struct MHD_Daemon *start(struct server *s, const struct sockaddr_storage *a)
{
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL;

    if (a->ss_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    return MHD_start_daemon(flags, 0, NULL, NULL, handle, s, MHD_OPTION_SOCK_ADDR,
                            (const struct sockaddr *)a, MHD_OPTION_CONNECTION_LIMIT,
                            (unsigned)METRICS_HTTP_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned)IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            (size_t)REQUEST_ROOM, MHD_OPTION_NOTIFY_CONNECTION, note_connection, s,
                            MHD_OPTION_NOTIFY_COMPLETED, note_answered, s, MHD_OPTION_END);
}

int metrics_http_serve(const char *socket_path, const char *listen, bool other)
{
    struct server s = {.socket_path = socket_path, .lock = PTHREAD_MUTEX_INITIALIZER};
    const struct timespec second = {.tv_sec = 1};
    struct sockaddr_storage address;
    sigset_t ends;
    bool loopback;

    if (!read_address(listen, &address, &loopback)) {
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
    for (size_t i = 0; i < METRICS_HTTP_MAX; i++)
        s.place[i].fd = -1;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    signal(SIGPIPE, SIG_IGN);
    struct MHD_Daemon *d = start(&s, &address);
    if (d == NULL) {
        fprintf(stderr,
                "sluicectl: cannot listen at %s: %s: is the address this machine's, and the port "
                "free?\n",
                listen, errno != 0 ? strerror(errno) : "refused");
        return COMMAND_UNREACHABLE;
    }
    fprintf(stderr, "sluicectl: metrics at http://%s/metrics\n", listen);
    while (sigtimedwait(&ends, NULL, &second) < 0)
        end_old(&s);
    MHD_stop_daemon(d);
    for (size_t i = 0; i < BASE_ARRAY_CNT(s.page); i++)
        if (s.page[i].response != NULL)
            MHD_destroy_response(s.page[i].response);
    return 0;
}
