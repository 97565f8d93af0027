#include "control_clients.h"
#include "gateway_gauges.h"
#include "gateway_source.h"
#include "base_time.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define TICK_MS     20 /* log and housekeeping */
#define TAG_LISTEN  100
#define TAG_SIGNALS 101
#define TAG_BELL    102

int control_watch(struct control *c, int fd, uint32_t events, uint64_t tag)
{
    struct epoll_event e = {.events = events, .data.u64 = tag};

    return epoll_ctl(c->epoll, EPOLL_CTL_ADD, fd, &e) != 0 ? -errno : 0;
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
    control_clients_tend(c);
    control_tlsa_tend(c);
    control_tlsrpt_tend(c);
    control_watchdog_tend(c, now_ns);
    tend_resolver(c);
    tend_https(c);
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
    control_clients_init(c);
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
    error = control_watch(c, config->listener, EPOLLIN, TAG_LISTEN);
    if (error == 0)
        error = control_watch(c, c->signals, EPOLLIN, TAG_SIGNALS);
    if (error == 0)
        error = control_watch(c, config->gateway->topology.control_bell.fd, EPOLLIN, TAG_BELL);
    return error;
}

void control_fini(struct control *c)
{
    control_tlsrpt_stop(c);
    control_capture_fini(c);
    notify_close(&c->notify);
    control_clients_fini(c);
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
        control_clients_answers(c);
        int n = epoll_wait(c->epoll, events, BASE_ARRAY_CNT(events), TICK_MS);
        doorbell_disarm(bell);
        (void)resolver_answers(&c->config.gateway->topology, TOPOLOGY_CONTROL, 0);
        for (int i = 0; i < n; i++) {
            uint64_t tag = events[i].data.u64;
            if (tag == TAG_LISTEN)
                control_clients_accept(c);
            else if (tag == TAG_SIGNALS)
                take_signals(c);
            else if (tag != TAG_BELL)
                control_clients_event(c, (uint32_t)tag);
        }
        control_clients_answers(c);
        housekeeping(c);
    }
    log_note(c, "asked to stop: draining");
    control_watchdog_stop(c,
                          settings_current(&c->config.gateway->hub)->conf->gateway.stop_timeout_ns);
    control_clients_await(c);
}
