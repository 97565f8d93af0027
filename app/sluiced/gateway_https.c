#include "gateway_https.h"
#include "doorbell.h"
#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define SPAWN_INTERVAL_NS BASE_NS_S

/* ---- control's side ---- */

int gateway_https_init(struct gateway_https *g, struct topology *topology)
{
    memset(g, 0, sizeof(*g));
    g->topology = topology;
    g->log = topology_log(topology, TOPOLOGY_COURIER, 0);
    g->driver = https_curl_open(topology_stats(topology, TOPOLOGY_COURIER, 0), loop_now_ns());
    return g->driver == NULL ? -ENOMEM : 0;
}

static void free_supply(struct gateway_https_supply *s)
{
    if (s == NULL)
        return;
    close(s->socket);
    if (s->authorities >= 0)
        close(s->authorities);
    free(s);
}

void gateway_https_fini(struct gateway_https *g)
{
    free_supply(atomic_load_explicit(&g->supply, memory_order_relaxed));
    if (g->driver != NULL)
        https_curl_close(g->driver);
    g->driver = NULL;
}

void gateway_https_reload(struct gateway_https *g)
{
    g->replace = true;
}

int gateway_https_tend(struct gateway_https *g, struct opener *opener, const char *ca_file,
                       uint64_t now_ns, int *unread)
{
    bool attached = atomic_load_explicit(&g->attached, memory_order_relaxed);
    bool wants = atomic_load_explicit(&g->wants, memory_order_relaxed);

    *unread = 0;
    g->replace &= attached; /* else the next one has them anyway */
    if ((!wants && !g->replace) || atomic_load_explicit(&g->supply, memory_order_relaxed) != NULL ||
        (g->spawned_ns != 0 && now_ns - g->spawned_ns < SPAWN_INTERVAL_NS))
        return 0;
    struct gateway_https_supply *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return -ENOMEM;
    g->spawned_ns = now_ns;
    int pid = opener_spawn(opener, "https", &s->socket);
    if (pid < 0) {
        free(s);
        return pid;
    }
    s->authorities = -1;
    if (ca_file != NULL && ca_file[0] != 0) {
        int fd = opener_open(opener, ca_file);
        s->authorities = fd >= 0 ? fd : -1;
        *unread = fd >= 0 ? 0 : fd;
    }
    g->replace = false;
    atomic_store_explicit(&g->supply, s, memory_order_release);
    doorbell_ring(&g->topology->courier_bell);
    return pid;
}

/* ---- the courier's side: the driver's calls, and what goes with them ---- */

static void take_supply(struct gateway_https *g, uint64_t now_ns)
{
    if (atomic_load_explicit(&g->supply, memory_order_relaxed) == NULL)
        return;
    struct gateway_https_supply *s =
        atomic_exchange_explicit(&g->supply, NULL, memory_order_acquire);
    https_curl_attach(g->driver, s->socket, s->authorities, now_ns);
    free(s);
}

/* For control. It looks by itself each tick; its bell makes that sooner. */
static void show(struct gateway_https *g)
{
    bool wants = https_curl_wants(g->driver);

    atomic_store_explicit(&g->attached, https_curl_attached(g->driver), memory_order_relaxed);
    if (wants == atomic_load_explicit(&g->wants, memory_order_relaxed))
        return;
    atomic_store_explicit(&g->wants, wants, memory_order_relaxed);
    if (wants)
        doorbell_ring(&g->topology->control_bell);
}

static void submit(void *state, struct https_request *r, uint64_t now_ns)
{
    struct gateway_https *g = state;
    struct https_client curl = https_curl_client(g->driver);

    curl.ops->submit(curl.state, r, now_ns);
}

static uint32_t poll(void *state, struct https_request **done, uint32_t cap, uint64_t now_ns)
{
    struct gateway_https *g = state;
    struct https_client curl = https_curl_client(g->driver);
    struct stats_log_record record = {.event = STATS_LOG_WARNING}; /* control sets the time */
    char news[HTTPS_CURL_NEWS];

    take_supply(g, now_ns);
    uint32_t n = curl.ops->poll(curl.state, done, cap, now_ns);
    if (https_curl_news(g->driver, news)) {
        stats_log_text(&record, base_span_str(news));
        stats_log_push(&g->log, &record);
    }
    show(g);
    return n;
}

static uint64_t deadline(void *state)
{
    struct gateway_https *g = state;
    struct https_client curl = https_curl_client(g->driver);

    return curl.ops->deadline(curl.state);
}

static int wait_fd(void *state)
{
    struct gateway_https *g = state;
    struct https_client curl = https_curl_client(g->driver);

    return curl.ops->wait_fd(curl.state);
}

struct https_client gateway_https_client(struct gateway_https *g)
{
    static const struct https_client_ops ops = {"process", submit, poll, deadline, wait_fd};

    return (struct https_client){&ops, g};
}
