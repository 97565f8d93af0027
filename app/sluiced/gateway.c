#include "settings_logins.h"
#include "gateway.h"
#include "device.h"
#include "eal.h"
#include "gateway_source.h"
#include "gateway_spool.h"
#include "gateway_threads.h"

#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>

base_static_assert(CONF_PORT_MAX == NET_JOIN_MAX, "each port of the configuration has a place");

#define MBUF_CACHE       256
#define FRAME_ROOM_BYTES 512 /* of small mbufs: headers, references, small pieces */

static int fail(char *err, size_t err_cap, int error, const char *text)
{
    snprintf(err, err_cap, "%s (%s)", text, strerror(-error));
    return error;
}

static int random_bytes(void *p, size_t len)
{
    return getrandom(p, len, 0) == (ssize_t)len ? 0 : -EIO;
}

/* ---- pools and port ---- */

static struct rte_mempool *make_pool(const char *name, uint32_t lane, uint32_t mbuf_cnt,
                                     uint16_t room_bytes)
{
    char full[RTE_MEMPOOL_NAMESIZE];

    snprintf(full, sizeof(full), "%s%u", name, lane);
    return rte_pktmbuf_pool_create(full, mbuf_cnt, MBUF_CACHE, 0, room_bytes, SOCKET_ID_ANY);
}

static int make_pools(struct gateway *g, const struct conf *conf, char *err, size_t err_cap)
{
    uint32_t each = (uint32_t)conf->tcp.packet_buffers;
    bool ok = true;

    for (uint32_t i = 0; i < g->topology.lane_cnt && ok; i++) {
        g->rx_pool[i] = make_pool("rx", i, each, RTE_MBUF_DEFAULT_BUF_SIZE);
        g->data_pool[i] = make_pool("data", i, each, RTE_MBUF_DEFAULT_BUF_SIZE);
        g->ctrl_pool[i] = make_pool("ctrl", i, each, RTE_MBUF_DEFAULT_BUF_SIZE);
        g->frame_pool[i] = make_pool("frame", i, each, RTE_PKTMBUF_HEADROOM + FRAME_ROOM_BYTES);
        ok = g->rx_pool[i] != NULL && g->data_pool[i] != NULL && g->ctrl_pool[i] != NULL &&
             g->frame_pool[i] != NULL;
    }
    if (ok)
        return 0;
    return fail(err, err_cap, -ENOMEM,
                "packet buffers do not fit: raise gateway: memory or lower tcp: packet_buffers");
}

static int open_port(struct gateway *g, const struct conf *conf, uint32_t at, char *err,
                     size_t err_cap)
{
    const struct conf_port *port = &conf->port[at];
    char name[128];
    struct ethdev_config e = {
        .name = name,
        .queue_cnt = (uint16_t)g->topology.lane_cnt,
        .mtu = (uint16_t)port->mtu,
        .rx_desc_cnt = (uint16_t)port->rx_descriptors,
        .tx_desc_cnt = (uint16_t)port->tx_descriptors,
        .interrupts = conf->gateway.idle == CONF_IDLE_ADAPTIVE && !device_is_uio(port),
    };

    device_name(port, name, sizeof(name));
    for (uint32_t i = 0; i < g->topology.lane_cnt; i++)
        e.queue[i] = (struct ethdev_queue){.rx_pool = g->rx_pool[i],
                                           .stats = topology_stats(&g->topology, TOPOLOGY_LANE, i)};
    int error = random_bytes(e.rss_key, sizeof(e.rss_key));
    if (error != 0)
        return fail(err, err_cap, error, "no random bytes: does this kernel have getrandom()?");
    error = ethdev_open(&g->port[at], &e, err, err_cap);
    if (error != 0)
        return error;
    g->open_cnt++;
    error = ethdev_start(&g->port[at], err, err_cap);
    g->rss_known[at] = error == 0 && ethdev_tell_rss(&g->port[at], &g->rss[at]) == 0;
    return error;
}

static int open_ports(struct gateway *g, const struct conf *conf, char *err, size_t err_cap)
{
    char why[GATEWAY_ERROR_CAP];

    for (uint32_t i = 0; i < conf->port_cnt; i++) {
        int error = open_port(g, conf, i, why, sizeof(why));
        if (error == 0)
            continue;
        if (conf->port_cnt > 1)
            snprintf(err, err_cap, "port %s: %.400s", conf->port[i].name, why);
        else
            snprintf(err, err_cap, "%s", why);
        return error;
    }
    return 0;
}

/* ---- certificates ---- */

static int open_tls(struct gateway *g, const struct conf *conf, struct opener *opener, char *err,
                    size_t err_cap)
{
    char why[GATEWAY_TLS_WHY_CAP];
    int error = gateway_tls_init(&g->tls, g->hub.started, &g->topology);

    if (error == -EAGAIN)
        return fail(err, err_cap, error,
                    "tls: the key threads do not start: lower key_threads, or see key_cpus");
    if (error != 0)
        return fail(err, err_cap, error, "no memory for TLS: lower tcp: connections");
    if (g->tls.lane_cnt > 0)
        error = gateway_tls_load(&g->tls, conf, opener, why);
    if (error != 0)
        snprintf(err, err_cap, "%s", why);
    return error;
}

/* ---- maps of addresses ---- */

static int open_by_opener(void *user, const char *path)
{
    return opener_open(user, path);
}

static int open_maps(struct gateway *g, const struct conf *conf, struct opener *opener, char *err,
                     size_t err_cap)
{
    g->maps_seen = maps_look(conf, open_by_opener, opener);
    struct policy_tables *tables = maps_read(conf, open_by_opener, opener, &g->maps);

    if (tables == NULL) {
        snprintf(err, err_cap, "%s%s", g->maps.error[0],
                 g->maps.error_cnt > 1 ? " (there are more: sluiced --check tells all)" : "");
        return -EINVAL;
    }
    settings_publish_tables(&g->hub, tables);
    return 0;
}

/* ---- the DNS ---- */

static int open_resolver(struct gateway *g, const struct conf *conf, struct opener *opener,
                         char *err, size_t err_cap)
{
    char why[GATEWAY_RESOLVER_WHY_CAP];
    struct resolver_config *config =
        gateway_resolver_prepare(conf, conf->dns.lookups, open_by_opener, opener, why);

    if (config == NULL) {
        snprintf(err, err_cap, "%s", why);
        return -EINVAL;
    }
    int error =
        gateway_resolver_init(&g->resolver, &g->topology, (uint32_t)conf->dns.lookups, config);
    return error == 0 ? 0
                      : fail(err, err_cap, error, "no memory for the resolver: lower dns: lookups");
}

/* ---- the kernel's sockets ---- */

static int open_streams(struct gateway *g, char *err, size_t err_cap)
{
    int error = gateway_stream_open(&g->stream, &g->topology);

    return error == 0 ? 0
                      : fail(err, err_cap, error, "no memory for streams: the machine's is short");
}

/* ---- clients ---- */

static int open_limits(struct gateway *g, const struct conf *conf, char *err, size_t err_cap)
{
    uint64_t clients = conf->limits.clients + conf->gateway.lanes * conf->tcp.connections;
    uint8_t key[16];

    if (random_bytes(key, sizeof(key)) != 0 ||
        policy_limits_init(&g->limits, (uint32_t)clients, key) != 0)
        return fail(err, err_cap, -ENOMEM, "no memory for the clients: lower limits: clients");
    return 0;
}

/* ---- threads ---- */

static int make_lanes(struct gateway *g, char *err, size_t err_cap)
{
    uint8_t secret[16];
    int error = random_bytes(secret, sizeof(secret));

    for (uint32_t i = 0; i < g->topology.lane_cnt && error == 0; i++) {
        struct lane_config c = {
            .topology = &g->topology,
            .hub = &g->hub,
            .port = g->port,
            .data_pool = g->data_pool[i],
            .ctrl_pool = g->ctrl_pool[i],
            .frame_pool = g->frame_pool[i],
            .tls = g->tls.lane_cnt > 0 ? g->tls.lane[i] : NULL,
            .limits = &g->limits,
            .number = i,
            .rss = g->rss_known[0] ? &g->rss[0] : NULL,
            .port_min = g->port_min,
            .port_max = g->port_max,
        };
        for (uint32_t p = 1; p < g->open_cnt; p++)
            c.more_rss[p - 1] = g->rss_known[p] ? &g->rss[p] : NULL;
        memcpy(c.secret, secret, sizeof(secret));
        error = lane_init(&g->lane[i], &c, loop_now_ns(), err, err_cap);
    }
    return error;
}

static int make_loops(struct gateway *g, const struct conf *conf)
{
    bool sleeps = conf->gateway.idle == CONF_IDLE_ADAPTIVE;
    struct topology *t = &g->topology;
    int error = 0;

    for (uint32_t i = 0; i < t->lane_cnt && error == 0; i++) {
        int fd[NET_JOIN_MAX];
        for (uint32_t p = 0; p < g->open_cnt; p++)
            fd[p] = g->port[p].ops->wait_fd(g->port[p].state, (uint16_t)i);
        g->lane_thread[i] = (struct gateway_thread){.gateway = g, .number = i};
        error = loop_init(&g->lane_thread[i].loop, &t->lane_bell[i], fd, g->open_cnt, sleeps,
                          topology_stats(t, TOPOLOGY_LANE, i));
        if (g->lane_thread[i].loop.nap_ns == 0)
            g->lane_thread[i].loop.spin_ns = LOOP_SPIN_LANE_NS;
    }
    g->courier_thread = (struct gateway_thread){.gateway = g};
    g->host_thread = (struct gateway_thread){.gateway = g, .loop.epoll = -1};
    g->resolver_thread = (struct gateway_thread){.gateway = g, .loop.epoll = -1};
    g->auth_thread = (struct gateway_thread){.gateway = g, .loop.epoll = -1};
    g->stream_thread = (struct gateway_thread){.gateway = g, .loop.epoll = -1};
    /* These have no core of their own: they always sleep when there is nothing to do. */
    for (uint32_t i = 0; i < t->spool_cnt; i++) {
        struct gateway_spool *s = &g->spool[i];
        int disk_fd = s->disk.ops->wait_fd(s->disk.state);
        s->thread = (struct gateway_thread){.gateway = g, .number = i, .loop.epoll = -1};
        if (error == 0)
            error = loop_init(&s->thread.loop, &t->spool[i].bell, &disk_fd, 1, true,
                              topology_stats(t, TOPOLOGY_SPOOLER, i));
    }
    if (error == 0) {
        struct https_client https = gateway_https_client(&g->https);
        int https_fd = https.ops->wait_fd(https.state);
        https_use(&g->courier.https, https);
        error = loop_init(&g->courier_thread.loop, &t->courier_bell, &https_fd, 1, true,
                          topology_stats(t, TOPOLOGY_COURIER, 0));
        g->courier_thread.loop.rest_ns = LOOP_REST_NS;
    }
    if (error == 0) {
        int resolver_fd = gateway_resolver_wait_fd(&g->resolver);
        error = loop_init(&g->resolver_thread.loop, &t->resolver_bell, &resolver_fd, 1, true,
                          topology_stats(t, TOPOLOGY_RESOLVER, 0));
    }
    if (error == 0) {
        int stream_fd = gateway_stream_wait_fd(&g->stream);
        error = loop_init(&g->stream_thread.loop, &t->stream_bell, &stream_fd, 1, true,
                          topology_stats(t, TOPOLOGY_STREAM, 0));
    }
    if (error == 0 && g->host_tap.state != NULL) {
        int tap_fd = g->host_tap.ops->wait_fd(g->host_tap.state, 0);
        error = loop_init(&g->host_thread.loop, &t->host_bell, &tap_fd, 1, true,
                          topology_stats(t, TOPOLOGY_HOST, 0));
    }
    if (error == 0 && g->auth.auth.conf != NULL) {
        error = loop_init(&g->auth_thread.loop, &t->auth_bell, &g->auth.auth.socket, 1, true,
                          topology_stats(t, TOPOLOGY_AUTH, 0));
        g->auth.auth.loop = &g->auth_thread.loop;
    }
    return error;
}

/* The kernel's own groups are not known: with traffic of its own it gets all, and sorts them. */
static void set_groups(struct gateway *g)
{
    uint8_t groups[NET_GROUP_MAX][6];

    for (uint32_t i = 0; i < g->open_cnt; i++) {
        if (&g->port[i] == g->host_port)
            ethdev_take_all_groups(&g->port[i]);
        else
            ethdev_set_groups(&g->port[i], groups,
                              net_groups(g->lane[0]->ports[i].net, groups, NET_GROUP_MAX));
    }
}

int gateway_start(struct gateway *g, struct conf *conf, struct opener *opener,
                  bool accept_corruption, char *err, size_t err_cap)
{
    uint32_t lanes = (uint32_t)conf->gateway.lanes;
    uint8_t secret[16];

    memset(g, 0, sizeof(*g));
    g->source_dir = g->sts.dir = g->shape.dir = -1;
    g->accept_corruption = accept_corruption;
    struct settings *first = settings_make(conf);
    if (first == NULL || random_bytes(secret, sizeof(secret)) != 0)
        return fail(err, err_cap, -ENOMEM, "no memory for the settings: the machine's is short");
    conf = first->conf;
    char why[SETTINGS_LOGINS_WHY_CAP];
    int error = settings_logins_read(first, open_by_opener, opener, why);
    if (error != 0) {
        settings_free(first);
        return fail(err, err_cap, error, why);
    }
    error = settings_hub_init(&g->hub, first, lanes + 1);
    if (error != 0)
        return fail(err, err_cap, error, "no memory for the settings: the machine's is short");
    error = topology_init_keyop(&g->topology, lanes, conf->spool_cnt,
                                gateway_tls_key_threads(first), "sluice", false);
    if (error == 0)
        error = topology_add_listeners(&g->topology, conf->listener_cnt);
    if (error != 0)
        return fail(err, err_cap, error, "no memory for the rings: raise gateway: memory");
    for (uint32_t i = 0; i < conf->listener_cnt; i++)
        g->topology.listener[i].name = conf->listener[i].name;
    error = make_pools(g, conf, err, err_cap);
    if (error == 0)
        error = gateway_spools_open(g, conf, opener, err, err_cap);
    if (error == 0)
        error = open_ports(g, conf, err, err_cap);
    if (error == 0)
        error = gateway_host_open(g, conf, err, err_cap);
    if (error == 0)
        error = open_tls(g, conf, opener, err, err_cap);
    if (error == 0)
        error = open_maps(g, conf, opener, err, err_cap);
    if (error == 0)
        error = open_resolver(g, conf, opener, err, err_cap);
    if (error == 0)
        error = gateway_auth_open(&g->auth, conf, &g->topology, opener, err, err_cap);
    if (error == 0)
        error = open_streams(g, err, err_cap);
    if (error == 0)
        error = open_limits(g, conf, err, err_cap);
    if (error == 0)
        error = make_lanes(g, err, err_cap);
    if (error != 0)
        return error;
    set_groups(g);
    error = courier_init(&g->courier, &g->topology, &g->hub, secret);
    if (error == 0) {
        error = gateway_source_open(g, conf, err, err_cap, g->source_warning,
                                    sizeof(g->source_warning));
        if (error != 0)
            return error;
    }
    if (error == 0)
        gateway_sts_open(&g->sts, &g->courier, conf, loop_wall_ns());
    if (error == 0)
        gateway_shape_open(&g->shape, &g->courier, conf, loop_now_ns(), loop_wall_ns());
    if (error == 0)
        error = gateway_https_init(&g->https, &g->topology);
    if (error == 0)
        error = make_loops(g, conf);
    if (error == 0)
        error = gateway_threads_start(g);
    if (error != 0)
        return fail(err, err_cap, error,
                    "threads do not start: see ulimit -u, and systemd's TasksMax");
    return 0;
}

/* Both ways, that are open now. */
static uint64_t connections(const struct gateway *g)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < g->topology.lane_cnt; i++) {
        const struct stats_block *s = topology_stats(&g->topology, TOPOLOGY_LANE, i);
        sum += stats_get(s, STATS_CONN_IN) + stats_get(s, STATS_CONN_OUT);
    }
    return sum;
}

void gateway_drain(struct gateway *g, uint64_t drain_ns, struct gateway_end *end)
{
    uint64_t end_ns = loop_now_ns() + drain_ns;

    atomic_store_explicit(&g->phase, GATEWAY_DRAIN, memory_order_release);
    for (uint32_t i = 0; i < g->topology.lane_cnt; i++)
        doorbell_wake(&g->topology.lane_bell[i]);
    doorbell_wake(&g->topology.courier_bell);
    while (loop_now_ns() < end_ns && connections(g) > 0)
        usleep(2000);
    gateway_threads_join(g);
    *end = (struct gateway_end){.cut_cnt = connections(g), .unwritten_cnt = g->courier.write_cnt};
    for (uint32_t i = 0; i < g->topology.spool_cnt; i++)
        end->unfinished |= !spooler_settled(&g->spool[i].spooler);
}

static void close_all(struct gateway *g)
{
    gateway_resolver_fini(&g->resolver); /* the lanes' questions are still there */
    for (uint32_t i = 0; i < g->topology.lane_cnt; i++) {
        if (g->lane[i] != NULL)
            lane_fini(g->lane[i]);
        loop_fini(&g->lane_thread[i].loop);
    }
    for (uint32_t i = 0; i < g->topology.spool_cnt; i++)
        if (g->spool[i].thread.gateway != NULL)
            loop_fini(&g->spool[i].thread.loop);
    gateway_tls_fini(&g->tls);
    gateway_auth_close(&g->auth);
    if (g->auth_thread.gateway != NULL)
        loop_fini(&g->auth_thread.loop);
    if (g->stream_thread.gateway != NULL)
        loop_fini(&g->stream_thread.loop);
    gateway_stream_close(&g->stream);
    policy_limits_fini(&g->limits);
    loop_fini(&g->courier_thread.loop);
    loop_fini(&g->host_thread.loop);
    loop_fini(&g->resolver_thread.loop);
    if (g->courier.deliveries != NULL) {
        gateway_sts_close(&g->sts, &g->courier);
        gateway_shape_close(&g->shape, &g->courier, loop_now_ns(), loop_wall_ns());
        courier_fini(&g->courier);
    }
    gateway_https_fini(&g->https);
    for (uint32_t i = 0; i < g->open_cnt; i++)
        ethdev_close(&g->port[i]);
    gateway_host_close(g);
    gateway_spools_close(g);
}

void gateway_stop(struct gateway *g)
{
    gateway_threads_join(g);
    gateway_source_close(g);
    /* Commits under way finish here: nothing acknowledged depends on it, a clean end does. */
    gateway_spools_finish(g);
    close_all(g);
    for (uint32_t i = 0; i < TOPOLOGY_LANE_MAX; i++) {
        rte_mempool_free(g->rx_pool[i]);
        rte_mempool_free(g->data_pool[i]);
        rte_mempool_free(g->ctrl_pool[i]);
        rte_mempool_free(g->frame_pool[i]);
    }
    if (g->topology.lane_cnt > 0)
        topology_fini(&g->topology);
    if (g->hub.qsbr != NULL)
        settings_hub_fini(&g->hub);
}
