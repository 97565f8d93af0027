/*
 * blast: load for a mail server from our own stack, over any port of DPDK: connections that do what
 * a mode says, and floods of forged frames. "blast --help" tells the rest; perf/README.md how it is
 * measured with.
 *
 * Main starts DPDK and the port, then a lane on each processor asked for, and prints. Exit status:
 * 0, 1 when a connection failed or a message was refused, 2 when it could not be run.
 */
#include "base_time.h"
#include "device.h"
#include "lane.h"
#include "mode.h"
#include "options.h"
#include "report.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>

struct blast {
    struct options options;
    struct device device;
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
    for (uint64_t next_ns = device_clock_ns(); is_running(b); usleep(5000)) {
        if (device_clock_ns() < next_ns)
            continue;
        report_second(&b->report, device_clock_ns());
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

    if (device_open(&b->device, &stop, err, sizeof(err)) != 0)
        return fail(err);
    for (uint32_t i = 0; i < b->options.lane_cnt; i++)
        if (lane_open(b->lane[i], &b->options, &b->device.port, i) != 0)
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
    b.device = (struct device){
        .name = "blast", .device = b.options.device, .lane_cnt = b.options.lane_cnt};
    memcpy(b.device.cpu, b.options.cpu, sizeof(b.device.cpu));
    if (device_start_eal(&b.device, argv[0]) != 0)
        return fail("DPDK does not start: see the lines above");
    for (uint32_t i = 0; i < b.options.lane_cnt; i++) {
        b.lane[i] = aligned_alloc(64, (sizeof(struct lane) + 63) & ~(size_t)63);
        if (b.lane[i] == NULL)
            return fail("no memory");
        memset(b.lane[i], 0, sizeof(struct lane));
        b.device.stats[i] = &b.lane[i]->stats;
    }
    int status = start_and_run(&b);
    for (uint32_t i = 0; i < b.options.lane_cnt; i++) {
        lane_close(b.lane[i]);
        free(b.lane[i]);
    }
    device_close(&b.device);
    free(b.message);
    rte_eal_cleanup();
    return status;
}
