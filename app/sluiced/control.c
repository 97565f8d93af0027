#include "control.h"
#include "gateway_gauges.h"
#include "gateway_source.h"
#include "base_time.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_ring.h>

#define TICK_MS      20 /* log and housekeeping */
#define STOP_WAIT_MS 2000
#define CLIENT_NS    (10 * BASE_NS_S)
#define PAUSE_NS     (3600 * BASE_NS_S) /* who stopped reading, while nobody needs the place */
#define ACCEPT_BURST 16
#define KEPT_PLACES  2 /* for who may make changes */
#define TAG_LISTEN   100
#define TAG_SIGNALS  101
#define TAG_BELL     102

/* ---- clients ---- */

static int watch(struct control *c, int fd, uint32_t events, uint64_t tag)
{
    struct epoll_event e = {.events = events, .data.u64 = tag};

    return epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &e) != 0 ? -errno : 0;
}

/* It has hung up, or has room, while the courier is busy with its request: no news. */
static void unwatch(struct control *c, struct control_client *client)
{
    client->unwatched = true;
    epoll_ctl(c->epoll, EPOLL_CTL_DEL, client->fd, NULL);
}

static void drop_client(struct control *c, struct control_client *client)
{
    if (client->asking)
        return; /* the courier or a lane has its request: the answer's arrival ends it */
    if (client->stream != NULL)
        client->stream->end(c, client);
    close(client->fd);
    free(client->out);
    free(client->text);
    free(client->ask);
    *client = (struct control_client){.fd = -1};
}

/* Who has fewer rights gives way; so does, among equals, who has not asked yet, or does not read
 * on.
 */
static bool gives_way(const struct control_client *client, enum control_right right,
                      uint64_t now_ns)
{
    return !client->asking &&
           (client->right < right ||
            (client->right == right && (!client->answering || now_ns > client->deadline_ns)));
}

/* Places of one user (or of all: -1) who may not make changes. */
static uint32_t places_of(const struct control *c, uid_t uid)
{
    uint32_t cnt = 0;

    for (uint32_t i = 0; i < CONTROL_CLIENT_MAX; i++)
        cnt += c->client[i].fd >= 0 && c->client[i].right < CONTROL_CHANGE &&
               (uid == (uid_t)-1 || c->client[i].uid == uid);
    return cnt;
}

/* A free place, or that of the client which has been silent for longest. Who may only look has half
 * of the places at most, and all of those together leave some: what the courier is busy with cannot
 * be dropped, and nobody is to keep others out. CONTROL_CLIENT_MAX: there is none. */
static uint32_t client_place(struct control *c, enum control_right right, uid_t uid)
{
    bool own_full = right < CONTROL_CHANGE && places_of(c, uid) >= CONTROL_CLIENT_MAX / 2;
    bool full = own_full || (right < CONTROL_CHANGE &&
                             places_of(c, (uid_t)-1) >= CONTROL_CLIENT_MAX - KEPT_PLACES);
    uint32_t oldest = CONTROL_CLIENT_MAX;
    uint64_t now_ns = loop_now_ns();

    for (uint32_t i = 0; i < CONTROL_CLIENT_MAX; i++) {
        const struct control_client *client = &c->client[i];
        if (client->fd < 0 && !full)
            return i;
        if (client->fd >= 0 && (!own_full || client->uid == uid) &&
            gives_way(client, right, now_ns) &&
            (oldest == CONTROL_CLIENT_MAX || client->deadline_ns < c->client[oldest].deadline_ns))
            oldest = i;
    }
    if (oldest < CONTROL_CLIENT_MAX)
        drop_client(c, &c->client[oldest]);
    return oldest;
}

/* Who cannot be served is told why at once, and takes no place. */
static void turn_away(int fd, const char *why)
{
    (void)!send(fd, why, strlen(why), MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
}

/* Returns whether there was one. */
static bool accept_client(struct control *c)
{
    int fd = accept4(c->config.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    uid_t uid;

    if (fd < 0)
        return false;
    enum control_right right =
        control_right_of(fd, &settings_current(&c->config.gateway->hub)->conf->control, &uid);
    if (right == CONTROL_NONE) {
        turn_away(fd, "error: not permitted: be root, or in the group of control: group or "
                      "change_group\n");
        return true;
    }
    uint32_t i = client_place(c, right, uid);
    char *out = i < CONTROL_CLIENT_MAX
                    ? malloc(CONTROL_HEAD_CAP + CONTROL_BODY_CAP + CONTROL_TAIL_CAP)
                    : NULL;
    if (out == NULL || watch(c, fd, EPOLLIN, i) != 0) {
        free(out);
        turn_away(fd, "error: too many clients at a time, try again\n");
        return true;
    }
    c->client[i] = (struct control_client){
        .fd = fd,
        .right = right,
        .uid = uid,
        .out = out,
        .deadline_ns = loop_now_ns() + CLIENT_NS,
    };
    return true;
}

/* A burst at a time, so that a flood of them does not hold up the rest. */
static void accept_clients(struct control *c)
{
    for (int i = 0; i < ACCEPT_BURST && accept_client(c); i++)
        ;
}

/* Makes the body that is there a block, with what has to stand before and behind it. */
static void block_close(struct control_client *client)
{
    char head[CONTROL_HEAD_CAP] = "";
    char *tail = client->out + CONTROL_HEAD_CAP + client->body_len;
    const char *error = client->request.error;
    size_t len = 0;

    client->out_at = CONTROL_HEAD_CAP;
    client->out_end = CONTROL_HEAD_CAP + client->body_len;
    if (client->refused)
        return;
    /* Nothing was said: the error is the whole answer. */
    bool only_error = error != NULL && !client->ok_said && client->body_len == 0;
    if (!client->ok_said && !only_error)
        len = (size_t)snprintf(head, sizeof(head), "ok\n");
    client->ok_said |= !only_error;
    if (client->body_len > 0)
        len += (size_t)snprintf(head + len, sizeof(head) - len, "data %zu\n", client->body_len);
    client->out_at -= len;
    memcpy(client->out + client->out_at, head, len);
    if (error != NULL)
        client->out_end += (size_t)snprintf(tail, CONTROL_TAIL_CAP, "error: %.200s\n", error);
    else if (!client->more)
        client->out_end += (size_t)snprintf(tail, CONTROL_TAIL_CAP, "%s%s%send\n",
                                            client->note[0] != 0 ? "note " : "", client->note,
                                            client->note[0] != 0 ? "\n" : "");
}

/* Sends what is there; asks for more of a list, or ends the client when all is out. */
static void answer_client(struct control *c, uint32_t i)
{
    struct control_client *client = &c->client[i];

    while (client->out_at < client->out_end) {
        ssize_t n = send(client->fd, client->out + client->out_at, client->out_end - client->out_at,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            struct epoll_event e = {.events = EPOLLOUT, .data.u64 = i};
            epoll_ctl(c->epoll, EPOLL_CTL_MOD, client->fd, &e);
            return;
        }
        if (n <= 0)
            return drop_client(c, client);
        client->out_at += (size_t)n;
        client->deadline_ns = loop_now_ns() + CLIENT_NS;
    }
    if (client->asking)
        return;
    if (!client->more)
        return drop_client(c, client);
    client->body_len = 0;
    if (client->stream != NULL) { /* more in the next tick */
        struct epoll_event e = {.events = client->leaving ? 0 : EPOLLIN, .data.u64 = i};
        epoll_ctl(c->epoll, EPOLL_CTL_MOD, client->fd, &e);
        return;
    }
    control_continue(c, client);
    if (!client->asking) {
        block_close(client); /* the courier could not be asked */
        answer_client(c, i);
    }
}

/* A client of a stream has nothing more to say, but may go. */
static void read_stream_client(struct control *c, struct control_client *client)
{
    char bytes[64];
    ssize_t n = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    if (n < 0 && errno != EAGAIN)
        return drop_client(c, client);
    if (n == 0 && !client->leaving) { /* it may still read: the stream comes to its end */
        struct epoll_event e = {.events = 0, .data.u64 = (uint64_t)(client - c->client)};
        client->leaving = true;
        epoll_ctl(c->epoll, EPOLL_CTL_MOD, client->fd, &e);
    } else if (n == 0 && client->out_at == client->out_end) { /* and now it has gone */
        return drop_client(c, client);
    }
    if (client->out_at < client->out_end)
        answer_client(c, (uint32_t)(client - c->client));
}

/* What streams have to say by now. */
static void tend_streams(struct control *c)
{
    for (uint32_t i = 0; i < CONTROL_CLIENT_MAX; i++) {
        struct control_client *client = &c->client[i];
        if (client->fd < 0 || client->stream == NULL || client->out_at < client->out_end)
            continue;
        client->deadline_ns = loop_now_ns() + CLIENT_NS;
        client->more = client->stream->more(c, client);
        if (client->body_len == 0 && client->more)
            continue;
        if (!client->more) {
            client->stream->end(c, client);
            client->stream = NULL;
        }
        block_close(client);
        answer_client(c, i);
    }
}

static void read_client(struct control *c, uint32_t i)
{
    struct control_client *client = &c->client[i];
    ssize_t n =
        read(client->fd, client->line + client->line_len, sizeof(client->line) - client->line_len);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        return drop_client(c, client);
    client->line_len += (size_t)n;
    const char *end = memchr(client->line, '\n', client->line_len);
    if (end == NULL && client->line_len < sizeof(client->line))
        return;
    client->answering = true;
    if (end == NULL)
        control_refuse(client, "the command is longer than %zu bytes\n", sizeof(client->line) - 1);
    else
        control_command(c, client, (size_t)(end - client->line));
    if (client->asking)
        return;
    block_close(client);
    answer_client(c, i);
}

static void client_answered(struct control *c, struct control_client *client)
{
    client->asking = false;
    if (client->unwatched)
        (void)watch(c, client->fd, EPOLLIN, (uint64_t)(client - c->client));
    client->unwatched = false;
    block_close(client);
    answer_client(c, (uint32_t)(client - c->client));
}

/* Answers that lanes have sent back. One client's next question is answered in the next round. */
static void lane_answers(struct control *c)
{
    struct control_client *client;

    for (uint32_t i = 0;
         i < CONTROL_CLIENT_MAX && (client = control_connections_answered(c)) != NULL; i++)
        client_answered(c, client);
}

/* At the end: what a lane still has is its own until it answers, which it does while it runs. */
static void await_lanes(struct control *c)
{
    for (uint32_t i = 0; i < CONTROL_CLIENT_MAX; i++)
        if (c->client[i].fd >= 0 && c->client[i].stream != NULL)
            drop_client(c, &c->client[i]);
    for (uint32_t ms = 0; control_capture_pending(c) && ms < STOP_WAIT_MS; ms++) {
        struct control_client *answered = control_connections_answered(c);
        if (answered != NULL)
            answered->asking = false;
        usleep(1000);
    }
    for (uint32_t i = 0; i < CONTROL_CLIENT_MAX; i++) {
        struct control_client *client = &c->client[i];
        for (uint32_t ms = 0; client->asking && client->ask != NULL; ms++) {
            struct control_client *answered = control_connections_answered(c);
            if (answered != NULL)
                answered->asking = false;
            else if (ms == STOP_WAIT_MS)
                client->ask = NULL; /* left to it for good */
            else
                usleep(1000);
        }
    }
}

/* Answers that the courier has sent back. */
static void courier_answers(struct control *c)
{
    struct rte_ring *ring =
        topology_ring(&c->config.gateway->topology, TOPOLOGY_COURIER_CONTROL, 0);
    struct courier_request *r;

    while (rte_ring_sc_dequeue(ring, (void **)&r) == 0) {
        if (control_tlsrpt_answered(c, r))
            continue;
        struct control_client *client = base_container_of(r, struct control_client, request);
        client->body_len += r->text_len;
        client->more = r->more && r->error == NULL;
        client_answered(c, client);
    }
}

/* ---- housekeeping ---- */

static void tend_opener(struct control *c)
{
    struct opener *o = c->config.opener;
    struct stats_log_record r = {.wall_ns = loop_wall_ns(), .event = STATS_LOG_ROLE};

    (void)opener_tend(o); /* a reload may have done it before */
    if (o->restart_cnt != c->opener_restarts) {
        c->opener_restarts = o->restart_cnt;
        r.n = (uint64_t)o->pid[1];
        stats_log_text(&r, base_span_str("opener died; its reserve took over, a new one started"));
        stats_log_push(&c->log, &r);
    }
    if (opener_lost(o) && !c->opener_lost) {
        c->opener_lost = true;
        r.n = 0;
        stats_log_text(&r, base_span_str("both openers died: no reload until a restart"));
        stats_log_push(&c->log, &r);
    }
}

/* A resolver process where one is missing. */
static void tend_resolver(struct control *c)
{
    struct gateway *g = c->config.gateway;
    struct stats_log_record r = {.wall_ns = loop_wall_ns(), .event = STATS_LOG_NOTE};
    char text[STATS_LOG_TEXT_CAP];
    int pid = gateway_resolver_tend(&g->resolver, c->config.opener, loop_now_ns());

    if (pid == 0)
        return;
    if (pid > 0)
        snprintf(text, sizeof(text), "resolver process started, pid %d", pid);
    else
        snprintf(text, sizeof(text), "no resolver process can be started (%s)", strerror(-pid));
    if (pid < 0)
        r.event = STATS_LOG_WARNING;
    stats_log_text(&r, base_span_str(text));
    stats_log_push(&c->log, &r);
}

/* A process for HTTPS, likewise. */
static void tend_https(struct control *c)
{
    struct gateway *g = c->config.gateway;
    const char *ca_file = settings_current(&g->hub)->conf->delivery.ca_file;
    struct stats_log_record r = {.wall_ns = loop_wall_ns(), .event = STATS_LOG_NOTE};
    char text[STATS_LOG_TEXT_CAP];
    int unread;
    int pid = gateway_https_tend(&g->https, c->config.opener, ca_file, loop_now_ns(), &unread);

    if (pid == 0)
        return;
    if (pid < 0)
        snprintf(text, sizeof(text), "no process for HTTPS can be started (%s)", strerror(-pid));
    else if (unread != 0)
        snprintf(text, sizeof(text), "https process started, pid %d; it trusts nobody: %.100s (%s)",
                 pid, ca_file, strerror(-unread));
    else
        snprintf(text, sizeof(text), "https process started, pid %d", pid);
    if (pid < 0 || unread != 0)
        r.event = STATS_LOG_WARNING;
    stats_log_text(&r, base_span_str(text));
    stats_log_push(&c->log, &r);
}

static void tend_sts(struct control *c)
{
    struct gateway *g = c->config.gateway;
    struct stats_log_record r = {.wall_ns = loop_wall_ns(), .event = STATS_LOG_NOTE};
    char text[sizeof(g->sts.note)];
    bool warning;

    gateway_sts_tend(&g->sts, &g->courier);
    if (!gateway_sts_note(&g->sts, text, &warning))
        return;
    if (warning)
        r.event = STATS_LOG_WARNING;
    stats_log_text(&r, base_span_str(text));
    stats_log_push(&c->log, &r);
}

static void tend_shape(struct control *c)
{
    struct gateway_shape *g = &c->config.gateway->shape;
    struct stats_log_record r = {.wall_ns = loop_wall_ns(), .event = STATS_LOG_WARNING};

    if (!gateway_shape_tend(g, &c->config.gateway->courier))
        return;
    stats_log_text(&r, base_span_str(g->note));
    stats_log_push(&c->log, &r);
    g->note[0] = 0;
}

static void tend_auth(struct control *c, uint64_t now_ns)
{
    struct gateway_auth *a = &c->config.gateway->auth;
    struct stats_log_record r = {.wall_ns = loop_wall_ns(), .event = STATS_LOG_ROLE};

    if (!gateway_auth_tend(a, c->config.opener, now_ns))
        return;
    r.n = (uint64_t)a->pid;
    stats_log_text(&r, base_span_str("the process of the accounts was started again"));
    stats_log_push(&c->log, &r);
}

/* A disk that fails is told of when it begins to. */
static void tend_sources(struct control *c)
{
    struct stats_log_record r = {.wall_ns = loop_wall_ns(), .event = STATS_LOG_WARNING};
    int error = gateway_source_tend(c->config.gateway);
    char text[STATS_LOG_TEXT_CAP];

    if (error != 0 && !c->sources_failed) {
        snprintf(text, sizeof(text), "what sources have sent cannot be written (%s)",
                 strerror(-error));
        stats_log_text(&r, base_span_str(text));
        stats_log_push(&c->log, &r);
    }
    c->sources_failed = error != 0;
}

static void housekeeping(struct control *c)
{
    uint64_t now_ns = loop_now_ns();

    settings_reclaim(&c->config.gateway->hub);
    tend_streams(c);
    control_tlsa_tend(c);
    control_tlsrpt_tend(c);
    control_watchdog_tend(c, now_ns);
    tend_resolver(c);
    tend_https(c);
    for (uint32_t i = 0; i < CONTROL_CLIENT_MAX; i++)
        if (c->client[i].fd >= 0 &&
            now_ns > c->client[i].deadline_ns + (c->client[i].answering ? PAUSE_NS : 0))
            drop_client(c, &c->client[i]);
    if (now_ns - c->tended_ns < BASE_NS_S)
        return;
    c->tended_ns = now_ns;
    tend_opener(c);
    control_tls_tend(c);
    control_maps_tend(c);
    tend_sts(c);
    tend_shape(c);
    tend_auth(c, now_ns);
    tend_sources(c);
    gateway_gauges_read(c->config.gateway);
}

static void take_signals(struct control *c)
{
    struct signalfd_siginfo s;

    while (read(c->signals, &s, sizeof(s)) == sizeof(s)) {
        if (s.ssi_signo == SIGHUP)
            control_reload(c, NULL);
        else if (s.ssi_signo == SIGUSR1)
            (void)control_reopen_log(c);
        else
            c->stop = true;
    }
}

int control_init(struct control *c, const struct control_config *config)
{
    sigset_t taken, drivers;
    int error = 0;

    memset(c, 0, sizeof(*c));
    control_watchdog_start(c);
    c->config = *config;
    c->log = topology_log(&config->gateway->topology, TOPOLOGY_CONTROL, 0);
    c->started_ns = loop_now_ns();
    c->tended_ns = c->started_ns;
    for (uint32_t i = 0; i < CONTROL_CLIENT_MAX; i++)
        c->client[i].fd = -1;
    sigemptyset(&taken);
    sigaddset(&taken, SIGTERM);
    sigaddset(&taken, SIGINT);
    sigaddset(&taken, SIGHUP);
    sigaddset(&taken, SIGUSR1);
    sigprocmask(SIG_BLOCK, &taken, NULL);
    /* This thread alone takes the signals that drivers (net_tap) use. */
    sigemptyset(&drivers);
    for (int s = SIGRTMIN; s <= SIGRTMAX; s++)
        sigaddset(&drivers, s);
    pthread_sigmask(SIG_UNBLOCK, &drivers, NULL);
    c->epoll = epoll_create1(EPOLL_CLOEXEC);
    c->signals = signalfd(-1, &taken, SFD_CLOEXEC | SFD_NONBLOCK);
    if (c->epoll < 0 || c->signals < 0)
        return -errno;
    error = watch(c, config->listener, EPOLLIN, TAG_LISTEN);
    if (error == 0)
        error = watch(c, c->signals, EPOLLIN, TAG_SIGNALS);
    if (error == 0)
        error = watch(c, config->gateway->topology.control_bell.fd, EPOLLIN, TAG_BELL);
    return error;
}

void control_fini(struct control *c)
{
    control_tlsrpt_stop(c);
    control_capture_fini(c);
    notify_close(&c->notify);
    for (uint32_t i = 0; i < CONTROL_CLIENT_MAX; i++)
        if (c->client[i].fd >= 0) {
            c->client[i].asking = false;
            drop_client(c, &c->client[i]);
        }
    if (c->config.listener >= 0)
        close(c->config.listener);
    if (c->signals >= 0)
        close(c->signals);
    if (c->epoll >= 0)
        close(c->epoll);
}

static void log_note(struct control *c, const char *what)
{
    struct stats_log_record r = {.wall_ns = loop_wall_ns(), .event = STATS_LOG_NOTE};

    stats_log_text(&r, base_span_str(what));
    stats_log_push(&c->log, &r);
}

void control_run(struct control *c)
{
    struct doorbell *bell = &c->config.gateway->topology.control_bell;
    struct epoll_event events[16];

    log_note(c, "ready");
    control_tls_start(c);
    control_maps_start(c);
    control_tlsrpt_start(c);
    while (!c->stop) {
        doorbell_arm(bell);
        courier_answers(c);
        lane_answers(c);
        int n = epoll_wait(c->epoll, events, BASE_ARRAY_CNT(events), TICK_MS);
        doorbell_disarm(bell);
        (void)resolver_answers(&c->config.gateway->topology, TOPOLOGY_CONTROL, 0);
        for (int i = 0; i < n; i++) {
            uint64_t tag = events[i].data.u64;
            if (tag == TAG_LISTEN)
                accept_clients(c);
            else if (tag == TAG_SIGNALS)
                take_signals(c);
            else if (tag != TAG_BELL && c->client[tag].fd >= 0) {
                if (c->client[tag].asking)
                    unwatch(c, &c->client[tag]);
                else if (c->client[tag].stream != NULL)
                    read_stream_client(c, &c->client[tag]);
                else if (c->client[tag].answering)
                    answer_client(c, (uint32_t)tag);
                else
                    read_client(c, (uint32_t)tag);
            }
        }
        courier_answers(c);
        lane_answers(c);
        housekeeping(c);
    }
    log_note(c, "asked to stop: draining");
    control_watchdog_stop(c,
                          settings_current(&c->config.gateway->hub)->conf->gateway.stop_timeout_ns);
    await_lanes(c);
}
