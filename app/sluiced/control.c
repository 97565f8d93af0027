#include "control.h"
#include "gateway_gauges.h"
#include "gateway_source.h"
#include "base_time.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_ring.h>

#define TICK_MS     20 /* log and housekeeping */
#define CLIENT_NS   (10 * BASE_NS_S)
#define PAUSE_NS    (3600 * BASE_NS_S) /* who stopped reading, while nobody needs the place */
#define TAG_LISTEN  100
#define TAG_SIGNALS 101
#define TAG_BELL    102

/* ---- the socket ---- */

int control_listen(const struct conf *conf, char *err, size_t err_cap)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    const char *path = conf->control.socket;
    struct group *group = NULL;

    if (strlen(path) >= sizeof(a.sun_path)) {
        snprintf(err, err_cap, "control: socket: the path is longer than %zu bytes",
                 sizeof(a.sun_path) - 1);
        return -ENAMETOOLONG;
    }
    if (conf->control.group != NULL && conf->control.group[0] != 0) {
        group = getgrnam(conf->control.group);
        if (group == NULL) {
            snprintf(err, err_cap, "control: group: there is no group '%s'", conf->control.group);
            return -ENOENT;
        }
    }
    memcpy(a.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    /* Left over from a crash, or in use: only an answer tells. */
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0) {
        close(fd);
        snprintf(err, err_cap, "control: socket: another gateway answers at %s", path);
        return -EADDRINUSE;
    }
    if (unlink(path) != 0 && errno != ENOENT) {
        int error = errno;
        close(fd);
        snprintf(err, err_cap,
                 "control: socket: cannot remove %s, which another run has left (%s): remove it, "
                 "or start as root",
                 path, strerror(error));
        return -error;
    }
    mode_t old = umask(0777);
    int failed = bind(fd, (struct sockaddr *)&a, sizeof(a));
    int error = errno;
    umask(old);
    if (failed == 0 && (chown(path, (uid_t)-1, group != NULL ? group->gr_gid : (gid_t)-1) != 0 ||
                        chmod(path, group != NULL ? 0660 : 0600) != 0 || listen(fd, 16) != 0)) {
        failed = -1;
        error = errno;
    }
    if (failed != 0) {
        close(fd);
        snprintf(err, err_cap,
                 "control: socket: cannot listen at %s (%s): is the directory there, "
                 "and may we write it?",
                 path, strerror(error));
        return -error;
    }
    return fd;
}

/* By the kernel's word on the peer, not by the socket's mode alone. */
static enum control_right right_of(int fd, const struct conf *conf)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    gid_t groups[256];

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return CONTROL_NONE;
    if (peer.uid == 0 || peer.uid == geteuid())
        return CONTROL_CHANGE;
    if (conf->control.group == NULL || conf->control.group[0] == 0)
        return CONTROL_NONE;
    struct group *g = getgrnam(conf->control.group);
    if (g == NULL)
        return CONTROL_NONE;
    if (peer.gid == g->gr_gid)
        return CONTROL_LOOK;
    len = sizeof(groups);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) != 0)
        return CONTROL_NONE;
    for (size_t i = 0; i < len / sizeof(gid_t); i++)
        if (groups[i] == g->gr_gid)
            return CONTROL_LOOK;
    return CONTROL_NONE;
}

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

static void drop_client(struct control_client *client)
{
    if (client->asking)
        return; /* the courier has its request: the answer's arrival ends it */
    close(client->fd);
    free(client->out);
    free(client->text);
    *client = (struct control_client){.fd = -1};
}

/* Who has not asked yet, or does not read on, gives way to one with no fewer rights. */
static bool gives_way(const struct control_client *client, enum control_right right,
                      uint64_t now_ns)
{
    return !client->asking && client->right <= right &&
           (!client->answering || now_ns > client->deadline_ns);
}

/* A free place; when there is none, that of the client which has been silent for longest: nobody
 * keeps others out by doing nothing. */
static uint32_t client_place(struct control *c, enum control_right right)
{
    uint32_t oldest = CONTROL_CLIENT_MAX;
    uint64_t now_ns = loop_now_ns();

    for (uint32_t i = 0; i < CONTROL_CLIENT_MAX; i++) {
        const struct control_client *client = &c->client[i];
        if (client->fd < 0)
            return i;
        if (gives_way(client, right, now_ns) &&
            (oldest == CONTROL_CLIENT_MAX || client->deadline_ns < c->client[oldest].deadline_ns))
            oldest = i;
    }
    if (oldest < CONTROL_CLIENT_MAX)
        drop_client(&c->client[oldest]);
    return oldest;
}

static void accept_client(struct control *c)
{
    int fd = accept4(c->config.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0)
        return;
    enum control_right right = right_of(fd, settings_current(&c->config.gateway->hub)->conf);
    uint32_t i = client_place(c, right);
    char *out = i < CONTROL_CLIENT_MAX
                    ? malloc(CONTROL_HEAD_CAP + CONTROL_BODY_CAP + CONTROL_TAIL_CAP)
                    : NULL;
    if (out == NULL || watch(c, fd, EPOLLIN, i) != 0) {
        free(out);
        close(fd);
        return;
    }
    c->client[i] = (struct control_client){
        .fd = fd,
        .right = right,
        .out = out,
        .deadline_ns = loop_now_ns() + CLIENT_NS,
    };
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
        client->out_end += (size_t)snprintf(tail, CONTROL_TAIL_CAP, "end\n");
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
            return drop_client(client);
        client->out_at += (size_t)n;
        client->deadline_ns = loop_now_ns() + CLIENT_NS;
    }
    if (client->asking)
        return;
    if (!client->more)
        return drop_client(client);
    client->body_len = 0;
    control_continue(c, client);
    if (!client->asking) {
        block_close(client); /* the courier could not be asked */
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
        return drop_client(client);
    client->line_len += (size_t)n;
    const char *end = memchr(client->line, '\n', client->line_len);
    if (end == NULL && client->line_len < sizeof(client->line))
        return;
    client->answering = true;
    if (end == NULL)
        control_refuse(client, "the command is longer than %zu bytes\n", sizeof(client->line) - 1);
    else if (client->right == CONTROL_NONE)
        control_refuse(client, "not permitted: you are neither root nor in control: group\n");
    else
        control_command(c, client, (size_t)(end - client->line));
    if (client->asking)
        return;
    block_close(client);
    answer_client(c, i);
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
        client->asking = false;
        client->body_len += r->text_len;
        client->more = r->more && r->error == NULL;
        if (client->unwatched)
            (void)watch(c, client->fd, EPOLLIN, (uint64_t)(client - c->client));
        client->unwatched = false;
        block_close(client);
        answer_client(c, (uint32_t)(client - c->client));
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
    control_tlsa_tend(c);
    control_tlsrpt_tend(c);
    tend_resolver(c);
    tend_https(c);
    for (uint32_t i = 0; i < CONTROL_CLIENT_MAX; i++)
        if (c->client[i].fd >= 0 &&
            now_ns > c->client[i].deadline_ns + (c->client[i].answering ? PAUSE_NS : 0))
            drop_client(&c->client[i]);
    if (now_ns - c->tended_ns < BASE_NS_S)
        return;
    c->tended_ns = now_ns;
    tend_opener(c);
    control_tls_tend(c);
    control_maps_tend(c);
    tend_sts(c);
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
    for (uint32_t i = 0; i < CONTROL_CLIENT_MAX; i++)
        if (c->client[i].fd >= 0) {
            c->client[i].asking = false;
            drop_client(&c->client[i]);
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
        int n = epoll_wait(c->epoll, events, BASE_ARRAY_CNT(events), TICK_MS);
        doorbell_disarm(bell);
        (void)resolver_answers(&c->config.gateway->topology, TOPOLOGY_CONTROL, 0);
        for (int i = 0; i < n; i++) {
            uint64_t tag = events[i].data.u64;
            if (tag == TAG_LISTEN)
                accept_client(c);
            else if (tag == TAG_SIGNALS)
                take_signals(c);
            else if (tag != TAG_BELL && c->client[tag].fd >= 0) {
                if (c->client[tag].asking)
                    unwatch(c, &c->client[tag]);
                else if (c->client[tag].answering)
                    answer_client(c, (uint32_t)tag);
                else
                    read_client(c, (uint32_t)tag);
            }
        }
        courier_answers(c);
        housekeeping(c);
    }
    log_note(c, "asked to stop: draining");
}
