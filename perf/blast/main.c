/*
 * blast: load for a mail server from our own stack, over any port of DPDK, or over the kernel's
 * sockets: connections that do what a mode says, and floods of forged frames. "blast --help" tells
 * the rest; perf/README.md how it is measured with.
 *
 * Main starts the links, then a thread for each lane, and prints. Exit status: 0, 1 when a
 * connection failed or a message was refused, 2 when it could not be run.
 */
#include "base_time.h"
#include "device.h"
#include "lane.h"
#include "mode.h"
#include "options.h"
#include "report.h"
#include "sockets.h"
#include "stack.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_launch.h>

struct blast {
    struct options options;
    struct device device;
    struct lane *lane[OPTIONS_LANE_MAX];
    pthread_t thread[OPTIONS_LANE_MAX]; /* of lanes over the kernel's sockets */
    int status[OPTIONS_LANE_MAX];
    _Atomic uint32_t running_cnt;
    uint8_t *message;
    struct report report;
};

static struct blast b;
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
static struct base_span make_message(const struct options *o)
{
    static const char line[] = "The quick brown fox jumps over the lazy dog 0123456789 times.\r\n";
    size_t cap = o->size_bytes + 1024, at;

    free(b.message);
    b.message = malloc(cap);
    if (b.message == NULL)
        return base_span_of(NULL, 0);
    at = (size_t)snprintf((char *)b.message, cap,
                          "From: <%s>\r\nTo: <%s>\r\nSubject: blast\r\n"
                          "Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n\r\n",
                          o->sender, o->recipient);
    while (at + 2 < o->size_bytes) { /* the last line is cut to fit and ends as all do */
        size_t n = o->size_bytes - at < sizeof(line) - 1 ? o->size_bytes - at : sizeof(line) - 1;
        memcpy(b.message + at, line, n);
        at += n;
        memcpy(b.message + at - 2, "\r\n", 2);
    }
    return base_span_of(b.message, at);
}

/* ---- run ---- */

static int run_lane(void *arg)
{
    struct lane *l = arg;

    b.status[l->number] = lane_run(l, &stop);
    atomic_fetch_sub(&b.running_cnt, 1);
    return 0;
}

static void *run_thread(void *arg)
{
    (void)run_lane(arg);
    return NULL;
}

/* On the processor that was asked for, if any was. */
static int start_thread(uint32_t i)
{
    pthread_attr_t attr;
    cpu_set_t cpus;

    CPU_ZERO(&cpus);
    CPU_SET(b.options.cpu[i], &cpus);
    if (pthread_attr_init(&attr) != 0)
        return -1;
    if (b.options.cpus_given)
        (void)pthread_attr_setaffinity_np(&attr, sizeof(cpus), &cpus);
    int error = pthread_create(&b.thread[i], &attr, run_thread, b.lane[i]);
    pthread_attr_destroy(&attr);
    return error;
}

/* EAL's threads have a number each, from 1 on, by which packet buffers are cached. */
static int start_lane(uint32_t i)
{
    atomic_fetch_add(&b.running_cnt, 1);
    return b.options.kernel ? start_thread(i) : rte_eal_remote_launch(run_lane, b.lane[i], i + 1);
}

static void join_lane(uint32_t i)
{
    if (b.options.kernel)
        pthread_join(b.thread[i], NULL);
    else
        rte_eal_wait_lcore(i + 1);
}

/* One load from its start to its figures. Returns the exit status. */
static int run(const struct options *o)
{
    uint32_t lanes = o->lane_cnt;
    struct base_span message = make_message(o);
    int status = 0;

    if (message.p == NULL)
        return fail("no memory for the message");
    for (uint32_t i = 0; i < lanes; i++)
        lane_load(b.lane[i], o, message);
    report_init(&b.report, o, b.lane);
    for (uint32_t i = 0; i < lanes; i++)
        if (start_lane(i) != 0)
            return fail("a lane does not start");
    for (uint64_t next_ns = device_clock_ns(); atomic_load(&b.running_cnt) > 0; usleep(5000)) {
        if (device_clock_ns() < next_ns)
            continue;
        report_second(&b.report, device_clock_ns());
        next_ns += BASE_NS_S;
    }
    for (uint32_t i = 0; i < lanes; i++) {
        join_lane(i);
        if (b.status[i] != 0)
            status = fail(b.lane[i]->error);
    }
    if (status != 0)
        return status;
    return report_end(&b.report) > 0 ? 1 : 0;
}

/* The loads that standard input names. Returns the worst of their statuses. */
static int run_loads(void)
{
    struct options load;
    char line[2048], err[256];
    int worst = 0;

    while (!atomic_load(&stop) && fgets(line, sizeof(line), stdin) != NULL) {
        int status = options_parse_load(&load, &b.options, line, err, sizeof(err)) != 0
                         ? fail(err)
                         : run(&load);
        worst = status > worst ? status : worst;
        printf("end %d\n", status);
        fflush(stdout);
    }
    return worst;
}

/* Returns 0, or the exit status. */
static int start_links(char *program)
{
    const struct options *o = &b.options;
    char err[256];

    if (o->kernel && sockets_raise_limit(o->connection_cnt, err, sizeof(err)) != 0)
        return fail(err);
    b.device = (struct device){.name = "blast", .device = o->device, .lane_cnt = o->lane_cnt};
    memcpy(b.device.cpu, o->cpu, sizeof(b.device.cpu));
    if (!o->kernel && device_start_eal(&b.device, program) != 0)
        return fail("DPDK does not start: see the lines above");
    for (uint32_t i = 0; i < o->lane_cnt; i++) {
        if ((b.lane[i] = lane_new(o, i)) == NULL)
            return fail("no memory");
        b.device.stats[i] = &b.lane[i]->stats;
        if (b.lane[i]->stack != NULL)
            b.lane[i]->stack->port = &b.device.port;
    }
    if (!o->kernel && device_open(&b.device, &stop, err, sizeof(err)) != 0)
        return fail(err);
    for (uint32_t i = 0; i < o->lane_cnt; i++)
        if (lane_open(b.lane[i]) != 0)
            return fail("no memory for a lane: fewer connections, or the stack refuses --from");
    return 0;
}

int main(int argc, char **argv)
{
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
    int status = start_links(argv[0]);
    if (status == 0)
        status = b.options.loads ? run_loads() : run(&b.options);
    for (uint32_t i = 0; i < b.options.lane_cnt; i++)
        lane_free(b.lane[i]);
    free(b.message);
    if (!b.options.kernel) {
        device_close(&b.device);
        rte_eal_cleanup();
    }
    return status;
}
