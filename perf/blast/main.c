/*
 * blast: load for a mail server from our own stack, over any port of DPDK: connections that do what
 * a mode says, and floods of forged frames. "blast --help" tells the rest; perf/README.md how it is
 * measured with.
 *
 * Main starts DPDK and the port, then a lane on each processor asked for, and prints. Exit status:
 * 0, 1 when a connection failed or a message was refused, 2 when it could not be run.
 */
#include "base_time.h"
#include "ethdev.h"
#include "lane.h"
#include "mode.h"
#include "options.h"
#include "report.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#define RX_CNT      8191
#define LINK_MAX_NS (10 * BASE_NS_S)
#define LANE_MB     176 /* of its pools */

struct blast {
    struct options options;
    struct net_port port;
    struct lane *lane[OPTIONS_LANE_MAX];
    uint8_t *message;
    struct report report;
};

static _Atomic bool stop;

static void on_signal(int number)
{
    (void)number;
    atomic_store_explicit(&stop, true, memory_order_relaxed);
}

static int fail(const char *what)
{
    fprintf(stderr, "blast: %s\n", what);
    return 2;
}

static uint64_t clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * BASE_NS_S + (uint64_t)t.tv_nsec;
}

/* ---- DPDK ---- */

static int start_eal(const struct options *o, char *program)
{
    static char lcores[512], device[1024], memory[16], prefix[32];
    bool is_virtual = strncmp(o->device, "net_", 4) == 0;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    size_t n = (size_t)snprintf(lcores, sizeof(lcores), "--lcores=0@(0-%ld)", cpus - 1);

    for (uint32_t i = 0; i < o->lane_cnt; i++)
        n += (size_t)snprintf(lcores + n, sizeof(lcores) - n, ",%u@%u", i + 1, o->cpu[i]);
    snprintf(device, sizeof(device), "--%s=%s", is_virtual ? "vdev" : "allow", o->device);
    snprintf(memory, sizeof(memory), "%u", 64 + o->lane_cnt * LANE_MB);
    snprintf(prefix, sizeof(prefix), "--file-prefix=blast%d", (int)getpid());
    char *args[] = {program,
                    lcores,
                    prefix,
                    (char[]){"--no-huge"},
                    (char[]){"--no-shconf"},
                    (char[]){"--iova-mode=va"},
                    (char[]){"--no-telemetry"},
                    (char[]){"--log-level=lib.eal:error"},
                    (char[]){"-m"},
                    memory,
                    device,
                    (char[]){"--no-pci"}};
    int cnt = (int)BASE_ARRAY_CNT(args);

    return rte_eal_init(is_virtual ? cnt : cnt - 1, args) < 0 ? -1 : 0;
}

static int open_port(struct blast *b, char *err, size_t cap)
{
    const struct options *o = &b->options;
    char name[128], pool[32];
    size_t len = strcspn(o->device, ",");
    struct ethdev_config e = {.name = name, .queue_cnt = (uint16_t)o->lane_cnt};

    snprintf(name, sizeof(name), "%.*s", (int)len, o->device);
    for (uint32_t i = 0; i < o->lane_cnt; i++) {
        snprintf(pool, sizeof(pool), "rx%u", i);
        b->lane[i]->rx_pool =
            rte_pktmbuf_pool_create(pool, RX_CNT, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
        if (b->lane[i]->rx_pool == NULL) {
            snprintf(err, cap, "no memory for buffers");
            return -1;
        }
        e.queue[i] =
            (struct ethdev_queue){.rx_pool = b->lane[i]->rx_pool, .stats = &b->lane[i]->stats};
    }
    if (ethdev_open(&b->port, &e, err, cap) != 0 || ethdev_start(&b->port, err, cap) != 0)
        return -1;
    uint64_t end_ns = clock_ns() + LINK_MAX_NS;
    while (!ethdev_link_is_up(&b->port)) {
        if (clock_ns() > end_ns || atomic_load(&stop)) {
            snprintf(err, cap, "the link of %s does not come up", name);
            return -1;
        }
        usleep(1000);
    }
    return 0;
}

/* ---- the message ---- */

/* A header section, then lines of text up to size bytes in all; no line starts with a dot. */
static struct base_span make_message(struct blast *b, const struct options *o)
{
    static const char line[] = "The quick brown fox jumps over the lazy dog 0123456789 times.\r\n";
    size_t cap = o->size_bytes + 1024, at;

    free(b->message);
    b->message = malloc(cap);
    if (b->message == NULL)
        return base_span_of(NULL, 0);
    at = (size_t)snprintf((char *)b->message, cap,
                          "From: <%s>\r\nTo: <%s>\r\nSubject: blast\r\n"
                          "Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\n",
                          o->sender, o->recipient);
    while (at + 2 < o->size_bytes) { /* the last line is cut to fit and ends as all do */
        size_t n = o->size_bytes - at < sizeof(line) - 1 ? o->size_bytes - at : sizeof(line) - 1;
        memcpy(b->message + at, line, n);
        at += n;
        memcpy(b->message + at - 2, "\r\n", 2);
    }
    return base_span_of(b->message, at);
}

/* ---- run ---- */

static int run_lane(void *arg)
{
    return lane_run(arg, &stop);
}

static bool is_running(const struct blast *b)
{
    for (uint32_t i = 0; i < b->options.lane_cnt; i++)
        if (rte_eal_get_lcore_state(i + 1) == RUNNING)
            return true;
    return false;
}

/* One load from its start to its figures. Returns the exit status. */
static int run(struct blast *b, const struct options *o)
{
    uint32_t lanes = o->lane_cnt;
    struct base_span message = make_message(b, o);
    int status = 0;

    if (message.p == NULL)
        return fail("no memory for the message");
    for (uint32_t i = 0; i < lanes; i++)
        lane_load(b->lane[i], o, message);
    report_init(&b->report, o, b->lane);
    for (uint32_t i = 0; i < lanes; i++)
        if (rte_eal_remote_launch(run_lane, b->lane[i], i + 1) != 0)
            return fail("a lane does not start");
    for (uint64_t next_ns = clock_ns(); is_running(b); usleep(5000)) {
        if (clock_ns() < next_ns)
            continue;
        report_second(&b->report, clock_ns());
        next_ns += BASE_NS_S;
    }
    for (uint32_t i = 0; i < lanes; i++)
        if (rte_eal_wait_lcore(i + 1) != 0)
            status = fail(b->lane[i]->error);
    if (status != 0)
        return status;
    return report_end(&b->report) > 0 ? 1 : 0;
}

/* The loads that standard input names. Returns the worst of their statuses. */
static int run_loads(struct blast *b)
{
    struct options load;
    char line[2048], err[256];
    int worst = 0;

    while (!atomic_load(&stop) && fgets(line, sizeof(line), stdin) != NULL) {
        int status = options_parse_load(&load, &b->options, line, err, sizeof(err)) != 0
                         ? fail(err)
                         : run(b, &load);
        worst = status > worst ? status : worst;
        printf("end %d\n", status);
        fflush(stdout);
    }
    return worst;
}

static int start_and_run(struct blast *b)
{
    char err[256];

    if (open_port(b, err, sizeof(err)) != 0)
        return fail(err);
    for (uint32_t i = 0; i < b->options.lane_cnt; i++)
        if (lane_open(b->lane[i], &b->options, &b->port, i) != 0)
            return fail("no memory for a lane: fewer connections, or the stack refuses --from");
    return b->options.loads ? run_loads(b) : run(b, &b->options);
}

int main(int argc, char **argv)
{
    static struct blast b;
    char err[256];
    int parsed = options_parse(&b.options, argc, argv, err, sizeof(err));

    if (parsed > 0) {
        fputs(options_usage, stdout);
        return 0;
    }
    if (parsed < 0)
        return fail(err);
    struct sigaction action = {.sa_handler = on_signal}; /* a wait for standard input ends, too */
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (start_eal(&b.options, argv[0]) != 0)
        return fail("DPDK does not start: see the lines above");
    for (uint32_t i = 0; i < b.options.lane_cnt; i++) {
        b.lane[i] = aligned_alloc(64, (sizeof(struct lane) + 63) & ~(size_t)63);
        if (b.lane[i] == NULL)
            return fail("no memory");
        memset(b.lane[i], 0, sizeof(struct lane));
    }
    int status = start_and_run(&b);
    for (uint32_t i = 0; i < b.options.lane_cnt; i++) {
        lane_close(b.lane[i]);
        rte_mempool_free(b.lane[i]->rx_pool);
        free(b.lane[i]);
    }
    free(b.message);
    rte_eal_cleanup();
    return status;
}
