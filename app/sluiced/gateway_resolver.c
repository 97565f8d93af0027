#include "gateway_resolver.h"
#include "dns_anchor.h"
#include "loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SPAWN_INTERVAL_NS BASE_NS_S

/* ---- the configuration ---- */

/* "192.0.2.1", "192.0.2.1:53", "[2001:db8::1]:53" as libunbound has it: "192.0.2.1@53". */
static void server_of(char *out, size_t cap, const char *text)
{
    struct net_endpoint e;
    char address[NET_ADDR_TEXT_CAP];

    if (net_endpoint_parse(&e, base_span_str(text)) != 0) {
        snprintf(out, cap, "%s", text);
        return;
    }
    net_addr_format(address, &e.addr);
    snprintf(out, cap, "%s@%u", address, e.port);
}

static int set(struct resolver_config *c, enum dns_wire_key key, const char *text)
{
    return resolver_config_set(c, key, base_span_str(text));
}

static int set_servers(struct resolver_config *c, const struct conf_dns *dns)
{
    char server[NET_ENDPOINT_TEXT_CAP], text[DNS_NAME_CAP + NET_ENDPOINT_TEXT_CAP + 1];
    int error = 0;

    for (uint32_t i = 0; i < dns->servers.cnt && error == 0; i++) {
        server_of(server, sizeof(server), dns->servers.item[i]);
        error = set(c, DNS_WIRE_SERVER, server);
    }
    for (uint32_t i = 0; i < dns->stubs.cnt && error == 0; i++) {
        const char *stub = dns->stubs.item[i];
        int zone_len = (int)strcspn(stub, "=");
        server_of(server, sizeof(server), stub + zone_len + 1);
        snprintf(text, sizeof(text), "%.*s %s", zone_len, stub, server);
        error = set(c, DNS_WIRE_STUB, text);
    }
    return error;
}

static int set_numbers(struct resolver_config *c, const struct conf_dns *dns, uint64_t lookups)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)dns->cache_bytes);
    int error = set(c, DNS_WIRE_CACHE, text);
    snprintf(text, sizeof(text), "%llu", (unsigned long long)lookups);
    return error != 0 ? error : set(c, DNS_WIRE_LOOKUPS, text);
}

/* Returns the number of bytes, or a negative error. */
static ssize_t read_whole(int (*open_file)(void *user, const char *path), void *user,
                          const char *path, uint8_t *out, size_t cap)
{
    struct stat st;
    size_t len = 0;
    ssize_t n = 1;
    int fd = open_file(user, path);

    if (fd < 0)
        return fd;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return -EINVAL;
    }
    while (n > 0 && len < cap) {
        n = read(fd, out + len, cap - len);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n > 0)
            len += (size_t)n;
    }
    int error = n < 0 ? -errno : len == cap ? -EFBIG : 0;
    close(fd);
    return error != 0 ? error : (ssize_t)len;
}

/* why has been written where the error is the file's. */
static int set_anchors(struct resolver_config *c, const char *path,
                       int (*open_file)(void *user, const char *path), void *user,
                       char why[GATEWAY_RESOLVER_WHY_CAP])
{
    static const size_t cap = DNS_ANCHOR_FILE_MAX + 1;
    uint8_t *text = malloc(cap);
    struct base_span rest, record;
    const char *wrong = NULL;
    uint32_t line = 0, cnt = 0;
    int got = 1, error = 0;

    if (text == NULL)
        return -ENOMEM;
    ssize_t len = read_whole(open_file, user, path, text, cap);
    if (len < 0)
        snprintf(why, GATEWAY_RESOLVER_WHY_CAP, "dns: trust_anchor: cannot read %.200s (%s)", path,
                 len == -EACCES ? "no permission, or a file that needs a restart"
                                : strerror((int)-len));
    rest = base_span_of(text, len > 0 ? (size_t)len : 0);
    while (error == 0 && (got = dns_anchor_next(&rest, &line, &record, &wrong)) == 1) {
        error =
            ++cnt > DNS_ANCHOR_CNT_MAX ? -ENOSPC : resolver_config_set(c, DNS_WIRE_ANCHOR, record);
    }
    free(text);
    if (len < 0)
        return (int)len;
    if (got < 0)
        snprintf(why, GATEWAY_RESOLVER_WHY_CAP, "dns: trust_anchor: %.200s:%u: %s", path, line,
                 wrong);
    else if (error == 0 && cnt == 0)
        snprintf(why, GATEWAY_RESOLVER_WHY_CAP, "dns: trust_anchor: %.200s holds no record", path);
    else if (error != 0)
        snprintf(why, GATEWAY_RESOLVER_WHY_CAP, "dns: trust_anchor: %.200s:%u: %s", path, line,
                 error == -ENOSPC ? "too many records" : "can not be used");
    return got < 0 || cnt == 0 ? -EINVAL : error;
}

struct resolver_config *gateway_resolver_prepare(const struct conf *conf, uint64_t lookups,
                                                 int (*open_file)(void *user, const char *path),
                                                 void *user, char why[GATEWAY_RESOLVER_WHY_CAP])
{
    struct resolver_config *c = resolver_config_open();
    const char *path = conf->dns.trust_anchor;
    int error = c == NULL ? -ENOMEM : 0;

    snprintf(why, GATEWAY_RESOLVER_WHY_CAP, "dns: too many servers, stubs or trust anchors");
    if (error == 0)
        error = set_servers(c, &conf->dns);
    if (error == 0)
        error = set_numbers(c, &conf->dns, lookups);
    if (error == 0 && path != NULL && path[0] != 0)
        error = set_anchors(c, path, open_file, user, why);
    for (size_t i = 0; error == 0 && (path == NULL || path[0] == 0) && dns_anchor_root[i]; i++)
        error = set(c, DNS_WIRE_ANCHOR, dns_anchor_root[i]);
    if (error == 0)
        return c;
    resolver_config_free(c);
    return NULL;
}

void gateway_resolver_use(struct gateway_resolver *g, struct resolver_config *config)
{
    bool changed = g->config != NULL && !resolver_config_same(g->config, config);

    g->replace |= changed;
    g->config_no += changed;
    resolver_config_free(g->config);
    g->config = config;
}

/* ---- start and end ---- */

int gateway_resolver_init(struct gateway_resolver *g, struct topology *topology, uint32_t lookups,
                          struct resolver_config *config)
{
    memset(g, 0, sizeof(*g));
    g->topology = topology;
    g->config = config;
    g->log = topology_log(topology, TOPOLOGY_RESOLVER, 0);
    g->driver = resolver_unbound_open(lookups, topology_stats(topology, TOPOLOGY_RESOLVER, 0),
                                      loop_now_ns());
    if (g->driver == NULL)
        return -ENOMEM;
    resolver_init(&g->service, topology, resolver_unbound_driver(g->driver));
    return 0;
}

static void free_supply(struct gateway_resolver_supply *s)
{
    if (s == NULL)
        return;
    close(s->socket);
    resolver_config_free(s->config);
    free(s);
}

void gateway_resolver_fini(struct gateway_resolver *g)
{
    free_supply(atomic_load_explicit(&g->supply, memory_order_relaxed));
    if (g->driver != NULL)
        resolver_unbound_close(g->driver);
    resolver_config_free(g->config);
    g->driver = NULL;
    g->config = NULL;
}

/* ---- processes ---- */

int gateway_resolver_tend(struct gateway_resolver *g, struct opener *opener, uint64_t now_ns)
{
    bool attached = atomic_load_explicit(&g->attached, memory_order_relaxed);
    bool wants = atomic_load_explicit(&g->wants, memory_order_relaxed);

    g->replace &= attached; /* else the next one has it anyway */
    if ((!wants && !g->replace) || atomic_load_explicit(&g->supply, memory_order_relaxed) != NULL ||
        (g->spawned_ns != 0 && now_ns - g->spawned_ns < SPAWN_INTERVAL_NS))
        return 0;
    struct gateway_resolver_supply *s = calloc(1, sizeof(*s));
    struct resolver_config *config = s != NULL ? resolver_config_copy(g->config) : NULL;
    if (config == NULL) {
        free(s);
        return -ENOMEM;
    }
    g->spawned_ns = now_ns;
    int pid = opener_spawn(opener, "resolver", &s->socket);
    if (pid < 0) {
        resolver_config_free(config);
        free(s);
        return pid;
    }
    s->config = config;
    s->config_no = g->config_no;
    g->replace = false;
    atomic_store_explicit(&g->supply, s, memory_order_release);
    doorbell_ring(&g->topology->resolver_bell);
    return pid;
}

/* ---- the thread ---- */

static bool take_supply(struct gateway_resolver *g, uint64_t now_ns)
{
    if (atomic_load_explicit(&g->supply, memory_order_relaxed) == NULL)
        return false;
    struct gateway_resolver_supply *s =
        atomic_exchange_explicit(&g->supply, NULL, memory_order_acquire);
    resolver_unbound_attach(g->driver, s->socket, s->config, now_ns);
    atomic_store_explicit(&g->topology->resolver_config_no, s->config_no, memory_order_release);
    free(s);
    return true;
}

/* For control. It looks by itself each tick; its bell makes that sooner. */
static void show(struct gateway_resolver *g)
{
    bool wants = resolver_unbound_wants(g->driver);

    atomic_store_explicit(&g->attached, resolver_unbound_attached(g->driver), memory_order_relaxed);
    if (wants == atomic_load_explicit(&g->wants, memory_order_relaxed))
        return;
    atomic_store_explicit(&g->wants, wants, memory_order_relaxed);
    if (wants)
        doorbell_ring(&g->topology->control_bell);
}

bool gateway_resolver_pass(struct gateway_resolver *g, uint64_t now_ns, uint64_t wall_ns)
{
    struct stats_log_record record = {.wall_ns = wall_ns, .event = STATS_LOG_WARNING};
    char news[RESOLVER_NEWS_CAP];
    bool worked = take_supply(g, now_ns);

    worked |= resolver_pass(&g->service, now_ns);
    if (resolver_unbound_news(g->driver, news)) {
        stats_log_text(&record, base_span_str(news));
        stats_log_push(&g->log, &record);
    }
    show(g);
    return worked;
}

uint64_t gateway_resolver_deadline(const struct gateway_resolver *g, uint64_t now_ns)
{
    return resolver_deadline(&g->service, now_ns);
}

int gateway_resolver_wait_fd(const struct gateway_resolver *g)
{
    return g->service.driver.ops->wait_fd(g->service.driver.state);
}
