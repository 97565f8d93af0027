#include "gateway_threads.h"
#include "base_time.h"
#include "eal.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <rte_launch.h>
#include <rte_lcore.h>

#define NAP_SLACK_NS 1000UL

static enum gateway_phase phase(const struct gateway *g)
{
    return atomic_load_explicit(&g->phase, memory_order_acquire);
}

/* Signals are control's: net_tap's, one a packet, too. */
static void block_signals(void)
{
    sigset_t all;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
}

/* ---- a lane ---- */

static void arm_ports(struct lane *l, bool on)
{
    for (uint32_t i = 0; i < l->port_cnt; i++) {
        const struct net_port *p = l->ports[i].port;
        if (p->ops->arm != NULL)
            p->ops->arm(p->state, (uint16_t)l->number, on);
    }
}

/* Nothing to do for a while: arm, look once more, sleep. */
static void lane_rest(struct lane *l, struct loop *loop)
{
    struct settings_hub *hub = l->hub;
    bool arms = loop_arms(loop);
    uint64_t now_ns = loop_now_ns();

    if (arms)
        doorbell_arm(loop->bell);
    arm_ports(l, true);
    if (arms && lane_pass(l, now_ns, loop_wall_ns())) {
        loop_worked(loop, now_ns);
    } else {
        settings_offline(hub, l->number);
        loop_sleep(loop, now_ns, lane_deadline(l));
        settings_online(hub, l->number);
    }
    arm_ports(l, false);
    if (arms)
        doorbell_disarm(loop->bell);
}

static int lane_main(void *arg)
{
    struct gateway_thread *t = arg;
    struct gateway *g = t->gateway;
    struct lane *l = g->lane[t->number];
    enum gateway_phase now;

    block_signals();
    (void)prctl(PR_SET_TIMERSLACK, NAP_SLACK_NS, 0, 0, 0); /* else a nap takes 50 us longer */
    settings_online(&g->hub, t->number);
    while ((now = phase(g)) < GATEWAY_STOP_LANES) {
        if (now == GATEWAY_DRAIN)
            lane_drain(l);
        uint64_t now_ns = loop_now_ns();
        bool worked = lane_pass(l, now_ns, loop_wall_ns());
        settings_quiescent(&g->hub, t->number);
        if (loop_idle(&t->loop, worked, now_ns))
            lane_rest(l, &t->loop);
    }
    settings_offline(&g->hub, t->number);
    lane_tls_leave(l);
    return 0;
}

/* At the end a thread still does what others have left to it, while there is time. */
static bool time_left(const struct gateway *g)
{
    return loop_now_ns() < g->end_ns;
}

/* ---- the spooler ---- */

static void *spooler_main(void *arg)
{
    struct gateway_thread *t = arg;
    struct gateway *g = t->gateway;
    struct spooler *s = &g->spool[t->number].spooler;

    block_signals();
    eal_free_affinity();
    while (phase(g) != GATEWAY_STOP || (!spooler_settled(s) && time_left(g))) {
        uint64_t now_ns = loop_now_ns();
        bool worked = spooler_pass(s, now_ns);
        if (!loop_idle(&t->loop, worked, now_ns))
            continue;
        doorbell_arm(t->loop.bell);
        now_ns = loop_now_ns();
        if (spooler_pass(s, now_ns))
            loop_worked(&t->loop, now_ns);
        else
            loop_sleep(&t->loop, now_ns, spooler_deadline(s));
        doorbell_disarm(t->loop.bell);
    }
    return NULL;
}

/* ---- the courier ---- */

static void *courier_main(void *arg)
{
    struct gateway_thread *t = arg;
    struct gateway *g = t->gateway;
    uint32_t reader = g->topology.lane_cnt;

    block_signals();
    eal_free_affinity();
    settings_online(&g->hub, reader);
    while (phase(g) < GATEWAY_STOP_COURIER || (!courier_settled(&g->courier) && time_left(g))) {
        if (phase(g) >= GATEWAY_DRAIN)
            g->courier.draining = true;
        uint64_t now_ns = loop_now_ns();
        bool worked = courier_pass(&g->courier, now_ns, loop_wall_ns());
        settings_quiescent(&g->hub, reader);
        if (!loop_idle(&t->loop, worked, now_ns))
            continue;
        bool arms = loop_arms(&t->loop);
        if (arms)
            doorbell_arm(t->loop.bell);
        now_ns = loop_now_ns();
        if (arms && courier_pass(&g->courier, now_ns, loop_wall_ns())) {
            loop_worked(&t->loop, now_ns);
        } else {
            settings_offline(&g->hub, reader);
            loop_sleep(&t->loop, now_ns, courier_deadline(&g->courier));
            settings_online(&g->hub, reader);
        }
        if (arms)
            doorbell_disarm(t->loop.bell);
    }
    settings_offline(&g->hub, reader);
    return NULL;
}

/* ---- the machine's own traffic ---- */

static void *host_main(void *arg)
{
    struct gateway_thread *t = arg;
    struct gateway *g = t->gateway;

    block_signals();
    eal_free_affinity();
    while (phase(g) != GATEWAY_STOP) {
        uint64_t now_ns = loop_now_ns();
        if (!loop_idle(&t->loop, host_pass(&g->host, now_ns), now_ns))
            continue;
        if (g->host.waits) { /* the descriptor is readable all the while */
            usleep(1000);
            continue;
        }
        doorbell_arm(t->loop.bell);
        now_ns = loop_now_ns();
        if (host_pass(&g->host, now_ns))
            loop_worked(&t->loop, now_ns);
        else if (!g->host.waits)
            loop_sleep(&t->loop, now_ns, BASE_NS_NONE);
        doorbell_disarm(t->loop.bell);
    }
    return NULL;
}

/* ---- questions to the DNS ---- */

static void *resolver_main(void *arg)
{
    struct gateway_thread *t = arg;
    struct gateway *g = t->gateway;

    block_signals();
    eal_free_affinity();
    while (phase(g) != GATEWAY_STOP) {
        uint64_t now_ns = loop_now_ns();
        bool worked = gateway_resolver_pass(&g->resolver, now_ns, loop_wall_ns());
        if (!loop_idle(&t->loop, worked, now_ns))
            continue;
        doorbell_arm(t->loop.bell);
        now_ns = loop_now_ns();
        if (gateway_resolver_pass(&g->resolver, now_ns, loop_wall_ns()))
            loop_worked(&t->loop, now_ns);
        else
            loop_sleep(&t->loop, now_ns, gateway_resolver_deadline(&g->resolver, now_ns));
        doorbell_disarm(t->loop.bell);
    }
    return NULL;
}

/* ---- logins ---- */

static void *auth_main(void *arg)
{
    struct gateway_thread *t = arg;
    struct gateway *g = t->gateway;
    struct auth *a = &g->auth.auth;

    block_signals();
    eal_free_affinity();
    while (phase(g) != GATEWAY_STOP) {
        uint64_t now_ns = loop_now_ns();
        if (!loop_idle(&t->loop, auth_pass(a, now_ns, loop_wall_ns()), now_ns))
            continue;
        doorbell_arm(t->loop.bell);
        now_ns = loop_now_ns();
        if (auth_pass(a, now_ns, loop_wall_ns()))
            loop_worked(&t->loop, now_ns);
        else
            loop_sleep(&t->loop, now_ns, auth_deadline(a));
        doorbell_disarm(t->loop.bell);
    }
    return NULL;
}

/* ---- the kernel's sockets ---- */

static void *stream_main(void *arg)
{
    struct gateway_thread *t = arg;
    struct gateway *g = t->gateway;
    struct stream_service *s = &g->stream.service;

    block_signals();
    eal_free_affinity();
    while (phase(g) != GATEWAY_STOP) {
        uint64_t now_ns = loop_now_ns();
        if (!loop_idle(&t->loop, stream_service_pass(s, now_ns), now_ns))
            continue;
        doorbell_arm(t->loop.bell);
        now_ns = loop_now_ns();
        if (stream_service_pass(s, now_ns))
            loop_worked(&t->loop, now_ns);
        else
            loop_sleep(&t->loop, now_ns, stream_service_deadline(s));
        doorbell_disarm(t->loop.bell);
    }
    return NULL;
}

/* ---- all of them ---- */

/* The name is what top and ps show. */
static int start(struct gateway_thread *t, void *(*run)(void *), const char *name)
{
    int error = pthread_create(&t->pthread, NULL, run, t);

    t->started = error == 0;
    if (error == 0)
        (void)pthread_setname_np(t->pthread, name);
    return -error;
}

static void join(struct gateway_thread *t, struct doorbell *bell)
{
    if (!t->started)
        return;
    doorbell_wake(bell);
    pthread_join(t->pthread, NULL);
    t->started = false;
}

int gateway_threads_start(struct gateway *g)
{
    int error = 0;

    for (uint32_t i = 0; i < g->topology.spool_cnt && error == 0; i++)
        error = start(&g->spool[i].thread, spooler_main, "spooler");
    if (error == 0)
        error = start(&g->courier_thread, courier_main, "courier");
    if (error == 0)
        error = start(&g->resolver_thread, resolver_main, "resolver");
    if (error == 0)
        error = start(&g->stream_thread, stream_main, "stream");
    if (error == 0 && g->host_tap.state != NULL)
        error = start(&g->host_thread, host_main, "host");
    if (error == 0 && g->auth.auth.conf != NULL)
        error = start(&g->auth_thread, auth_main, "auth");
    for (uint32_t i = 0; i < g->topology.lane_cnt && error == 0; i++) {
        error = rte_eal_remote_launch(lane_main, &g->lane_thread[i], i + 1);
        g->lane_thread[i].started = error == 0;
    }
    return error;
}

static void advance(struct gateway *g, enum gateway_phase next)
{
    atomic_store_explicit(&g->phase, next, memory_order_release);
}

void gateway_threads_join(struct gateway *g)
{
    struct topology *t = &g->topology;

    g->end_ns = loop_now_ns() + GATEWAY_END_NS;
    advance(g, GATEWAY_STOP_LANES);
    for (uint32_t i = 0; i < t->lane_cnt; i++) {
        if (!g->lane_thread[i].started)
            continue;
        doorbell_wake(&t->lane_bell[i]);
        rte_eal_wait_lcore(i + 1);
        g->lane_thread[i].started = false;
    }
    advance(g, GATEWAY_STOP_COURIER);
    join(&g->courier_thread, &t->courier_bell);
    advance(g, GATEWAY_STOP);
    for (uint32_t i = 0; i < t->spool_cnt; i++) /* they end beside each other */
        doorbell_wake(&t->spool[i].bell);
    for (uint32_t i = 0; i < t->spool_cnt; i++)
        join(&g->spool[i].thread, &t->spool[i].bell);
    join(&g->resolver_thread, &t->resolver_bell);
    join(&g->host_thread, &t->host_bell);
    join(&g->auth_thread, &t->auth_bell);
    join(&g->stream_thread, &t->stream_bell);
}
