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
#include "ledger.h"
#include "message.h"
#include "mode.h"
#include "options.h"
#include "report.h"
#include "sockets.h"
#include "stack.h"
#include "tls_memory.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_launch.h>

#define MESSAGES_PER_S 1000000 /* more than a load can have */

struct blast {
    struct options options;
    struct device device;
    struct lane *lane[OPTIONS_LANE_MAX];
    pthread_t thread[OPTIONS_LANE_MAX]; /* of lanes over the kernel's sockets */
    int status[OPTIONS_LANE_MAX];
    _Atomic uint32_t running_cnt;
    struct message message;
    struct ledger ledger;
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

/* Room for each message of the load. */
static int open_ledger(const struct options *o, uint64_t run_id)
{
    uint64_t seconds = o->duration_ns / BASE_NS_S + 1;
    struct ledger_settings s = {
        .kind = LEDGER_SENT,
        .run = run_id,
        .capacity = o->unit_max > 0 ? o->unit_max + o->lane_cnt : seconds * MESSAGES_PER_S,
        .recipient_cnt = o->recipient_cnt,
        .message_bytes = b.message.bytes,
    };

    return ledger_create(&b.ledger, o->ledger, &s);
}

/* One load from its start to its figures. Returns the exit status. */
static int run(const struct options *o)
{
    uint32_t lanes = o->lane_cnt;
    struct message *m = &b.message;
    uint64_t run_id = o->run;
    int status = 0;

    if (run_id == 0 && getrandom(&run_id, sizeof(run_id), 0) != (ssize_t)sizeof(run_id))
        return fail("no random number");
    if (message_make(m, o, run_id) != 0)
        return fail("no memory for the message");
    if (o->ledger != NULL && open_ledger(o, run_id) != 0)
        return fail("--ledger: the file cannot be made");
    for (uint32_t i = 0; i < lanes; i++)
        if (lane_load(b.lane[i], o, m, o->ledger != NULL ? &b.ledger : NULL) != 0)
            return fail(b.lane[i]->error);
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
    if (b.ledger.head != NULL)
        ledger_close(&b.ledger);
    if (status != 0)
        return status;
    if (o->histogram != NULL && report_histogram(&b.report, o->histogram) != 0)
        return fail("--histogram: the file cannot be written");
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
    (void)tls_memory_use(); /* or malloc's, which is slower */
    int status = start_links(argv[0]);
    if (status == 0)
        status = b.options.loads ? run_loads() : run(&b.options);
    for (uint32_t i = 0; i < b.options.lane_cnt; i++)
        lane_free(b.lane[i]);
    message_free(&b.message);
    if (!b.options.kernel) {
        device_close(&b.device);
        rte_eal_cleanup();
    }
    return status;
}
