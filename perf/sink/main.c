/*
 * sink: a next hop for tests and benchmarks, over the kernel's TCP or our own stack. "sink --help"
 * tells the rest; perf/README.md how it is measured with.
 *
 * Main opens the transport and answers standard input. Exit status: 0, 1 when a message was damaged
 * or strange to the ledger, 2 when it could not be run.
 */
#include "device.h"
#include "tls_kit.h"
#include "transport.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HOSTNAME "sink.example"

static _Atomic bool stop;

static void on_signal(int number)
{
    (void)number;
    atomic_store_explicit(&stop, true, memory_order_relaxed);
}

static int fail(const char *what)
{
    fprintf(stderr, "sink: %s\n", what);
    return 2;
}

static void open_tls(struct sink *k, bool implicit)
{
    static struct kit_certificate certificate;
    const char *name = HOSTNAME;

    kit_certificate_make(&certificate, "EC", &name, 1, -1, 30);
    k->tls = kit_server_context(0, &certificate);
    k->implicit = implicit;
    SSL_CTX_clear_options(k->tls, SSL_OP_NO_TICKET); /* one ticket, as Postfix gives */
    SSL_CTX_set_num_tickets(k->tls, 1);
}

static void print_counts(const struct sink *k)
{
    for (int i = 0; i < SINK_COUNTER_CNT; i++)
        printf("%s%s %lu", i > 0 ? " " : "", sink_counter_names[i],
               sink_get(k, (enum sink_counter)i));
    putchar('\n');
    fflush(stdout);
}

/* Returns false when nobody asks any more. */
static bool answer(const struct sink *k, const struct transport *t)
{
    char line[64];
    ssize_t n = read(STDIN_FILENO, line, sizeof(line));

    if (n <= 0)
        return false;
    if (n >= 5 && memcmp(line, "quiet", 5) == 0) {
        t->pause();
        puts("quiet");
        fflush(stdout);
    } else {
        print_counts(k);
    }
    return true;
}

static void serve(const struct sink *k, const struct transport *t, uint64_t duration_ns)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    uint64_t end_ns = device_clock_ns() + duration_ns;

    while (!atomic_load(&stop) && device_clock_ns() < end_ns)
        if (poll(&in, 1, 100) > 0 && !answer(k, t))
            break;
}

int main(int argc, char **argv)
{
    static struct sink k;
    static struct stats_block stats;
    struct options o;
    char err[256];
    int parsed = options_parse(&o, argc, argv, err, sizeof(err));

    if (parsed > 0) {
        fputs(options_usage, stdout);
        return 0;
    }
    if (parsed < 0)
        return fail(err);
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    const struct transport *t = o.kernel ? &kernel_transport : &stack_transport;
    sink_init(&k, HOSTNAME);
    k.stats = &stats;
    k.delay_ns = o.delay_ns;
    k.reject_percent = o.reject_percent;
    k.fault = o.fault;
    k.fault_each = o.fault_each;
    struct ledger_settings l = {
        .kind = LEDGER_SEEN, .capacity = o.message_max, .recipient_cnt = o.recipient_max};
    if (o.ledger != NULL && ledger_create(&k.ledger, o.ledger, &l) != 0)
        return fail("--ledger: the file can not be made, or is too large");
    if (o.tls)
        open_tls(&k, o.implicit);
    if (t->open(&k, &o, argv[0], err, sizeof(err)) != 0 || t->start(err, sizeof(err)) != 0)
        return fail(err);
    puts("ready");
    fflush(stdout);
    serve(&k, t, o.duration_ns);
    t->close();
    print_counts(&k);
    sink_fini(&k);
    return sink_get(&k, SINK_DAMAGED) + sink_get(&k, SINK_STRANGE) > 0 ? 1 : 0;
}
