#include "http_server.h"
#include "command.h"
#include "web_access.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define IDLE_S       15
#define REQUEST_ROOM 8192 /* for a request's head */

struct server {
    const struct http_config *config;
    pthread_mutex_t lock;
    struct http_peer place[HTTP_PLACE_MAX]; /* taken and left under the lock */
    struct http_peer none;                  /* of who came when all were taken */
};

uint64_t http_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* ---- answers ---- */

struct MHD_Response *http_response(char *text, size_t len, const char *type)
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

struct MHD_Response *http_say(const char *text)
{
    char *copy = strdup(text);

    return copy != NULL ? http_response(copy, strlen(copy), "text/plain; charset=utf-8") : NULL;
}

/* ---- connections ---- */

struct http_peer *http_peer_of(struct MHD_Connection *c)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    base_assert(info != NULL && info->socket_context != NULL);
    return info->socket_context;
}

static bool is_loopback(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
    return (ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24) == 127;
}

/* By either end: who comes to a loopback address may do so from any address of this machine. */
static bool is_of_here(const struct http_peer *p)
{
    struct sockaddr_storage own;
    socklen_t len = sizeof(own);

    memset(&own, 0, sizeof(own));
    return is_loopback(&p->address) ||
           (getsockname(p->fd, (struct sockaddr *)&own, &len) == 0 && is_loopback(&own));
}

bool http_peer_find_user(struct http_peer *p)
{
    if (!p->known && is_of_here(p))
        p->known = web_peer_uid(p->fd, &p->uid);
    return p->known;
}

/* Under the lock. Those who cannot be told count as one. */
static bool has_too_many(struct server *s, struct http_peer *p)
{
    uint32_t cnt = 0;

    if (s->config->places_of_user == 0 || !is_of_here(p) || (http_peer_find_user(p) && p->uid == 0))
        return false;
    for (size_t i = 0; i < HTTP_PLACE_MAX; i++) {
        const struct http_peer *q = &s->place[i];
        cnt += q->fd >= 0 && q->known == p->known && (!p->known || q->uid == p->uid);
    }
    return cnt > s->config->places_of_user;
}

static void begin(struct server *s, struct MHD_Connection *c, void **own)
{
    const union MHD_ConnectionInfo *fd =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
    const union MHD_ConnectionInfo *from =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

    *own = &s->none;
    if (fd == NULL || from == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < HTTP_PLACE_MAX; i++) {
        struct http_peer *p = &s->place[i];
        if (p->fd >= 0)
            continue;
        *p = (struct http_peer){.fd = fd->connect_fd, .since_ms = http_now_ms()};
        memcpy(&p->address, from->client_addr,
               from->client_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                        : sizeof(struct sockaddr_in));
        if (has_too_many(s, p)) {
            p->fd = -1;
            shutdown(fd->connect_fd, SHUT_RDWR);
        } else {
            *own = p;
        }
        break;
    }
    pthread_mutex_unlock(&s->lock);
}

/* The server's thread tells of each that begins, and of its end before its descriptor is closed. */
static void note_connection(void *user, struct MHD_Connection *c, void **own,
                            enum MHD_ConnectionNotificationCode what)
{
    struct server *s = user;
    struct http_peer *p = *own;

    if (what == MHD_CONNECTION_NOTIFY_STARTED)
        return begin(s, c, own);
    pthread_mutex_lock(&s->lock);
    if (p != NULL)
        p->fd = -1;
    pthread_mutex_unlock(&s->lock);
}

static void note_completed(void *user, struct MHD_Connection *c, void **own,
                           enum MHD_RequestTerminationCode how)
{
    struct server *s = user;

    if (s->config->renews && how == MHD_REQUEST_TERMINATED_COMPLETED_OK) {
        pthread_mutex_lock(&s->lock);
        http_peer_of(c)->since_ms = http_now_ms();
        pthread_mutex_unlock(&s->lock);
    }
    if (s->config->completed != NULL)
        s->config->completed(s->config->user, c, own, how);
}

/* A client that sends or reads a byte now and then would keep its place for ever. */
static void end_old(struct server *s)
{
    uint64_t now_ms = http_now_ms();

    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < HTTP_PLACE_MAX; i++) {
        struct http_peer *p = &s->place[i];
        uint64_t life_s = !p->trusted ? s->config->first_s : p->waits ? HTTP_WAIT_S : HTTP_LIFE_S;
        if (p->fd >= 0 && now_ms - p->since_ms > life_s * 1000)
            shutdown(p->fd, SHUT_RDWR);
    }
    pthread_mutex_unlock(&s->lock);
}

/* ---- the server ---- */

bool http_read_address(const char *text, struct sockaddr_storage *out, bool *loopback)
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

static struct MHD_Daemon *start(struct server *s)
{
    const struct http_config *config = s->config;
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL;
    struct MHD_OptionItem more[8];
    size_t n = 0;

    if (config->address.ss_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    if (config->suspends)
        flags |= MHD_ALLOW_SUSPEND_RESUME;
    more[n++] = (struct MHD_OptionItem){MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)note_completed, s};
    if (config->places_of_one > 0)
        more[n++] = (struct MHD_OptionItem){MHD_OPTION_PER_IP_CONNECTION_LIMIT,
                                            (intptr_t)config->places_of_one, NULL};
    if (config->certificate != NULL) {
        flags |= MHD_USE_TLS;
        more[n++] = (struct MHD_OptionItem){
            MHD_OPTION_HTTPS_PRIORITIES, 0,
            (void
                 *)(uintptr_t) "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:"
                               "+ECDHE-RSA:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:"
                               "+CHACHA20-POLY1305"};
        more[n++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0,
                                            (void *)(uintptr_t)config->certificate};
        more[n++] =
            (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)config->key};
    }
    more[n] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    return MHD_start_daemon(
        flags, 0, NULL, NULL, config->handle, config->user, MHD_OPTION_SOCK_ADDR,
        (const struct sockaddr *)&config->address, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)HTTP_PLACE_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)REQUEST_ROOM, MHD_OPTION_NOTIFY_CONNECTION,
        note_connection, s, MHD_OPTION_ARRAY, more, MHD_OPTION_END);
}

/* Until a signal (true), or until tick wants another server. */
static bool wait_for_end(struct server *s)
{
    const struct timespec second = {.tv_sec = 1};
    sigset_t ends;

    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    while (sigtimedwait(&ends, NULL, &second) < 0) {
        end_old(s);
        if (s->config->tick != NULL && s->config->tick(s->config->user))
            return false;
    }
    return true;
}

int http_serve(const struct http_config *config)
{
    struct server s = {.config = config, .lock = PTHREAD_MUTEX_INITIALIZER, .none = {.fd = -1}};
    sigset_t ends;

    for (size_t i = 0; i < HTTP_PLACE_MAX; i++)
        s.place[i].fd = -1;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    signal(SIGPIPE, SIG_IGN);
    errno = 0;
    struct MHD_Daemon *d = start(&s);
    if (d == NULL) {
        fprintf(stderr,
                "sluicectl: cannot listen at %s: %s: is the address this machine's, and the port "
                "free?\n",
                config->listen, errno != 0 ? strerror(errno) : "refused");
        return COMMAND_UNREACHABLE;
    }
    fprintf(stderr, "sluicectl: %s\n", config->what);
    bool signalled = wait_for_end(&s);
    if (config->ends != NULL)
        config->ends(config->user);
    MHD_stop_daemon(d);
    return signalled ? COMMAND_DONE : HTTP_SERVE_AGAIN;
}
