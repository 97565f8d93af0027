#include "options.h"

#include "arguments.h"
#include "base_time.h"
#include "device.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>

const char options_usage[] =
    "usage: sink --kernel --listen ADDR:PORT [OPTION...]\n"
    "       sink --port DEVICE --listen ADDR:PORT [OPTION...]\n"
    "\n"
    "A next hop that takes mail, checks it and throws it away. Says \"ready\"; then a line on\n"
    "standard input is answered by counts of what has come so far, and \"quiet\" by \"quiet\", "
    "from\n"
    "which on nothing is taken from the port. It ends with standard input or its time.\n"
    "\n"
    "  --kernel             the kernel's sockets\n"
    "  --port DEVICE        or our own stack on a port as DPDK names it:\n"
    "                       net_memif0,role=client,id=0,socket=PATH,...\n"
    "  --listen ADDR:PORT   with --port the address is our own on the link\n"
    "  --ports N            listens on so many ports from PORT on (1)\n"
    "  --prefix LEN         of the link, with --port (24, of IPv6 64)\n"
    "  --gateway ADDR       next hop of what is not on the link, with --port\n"
    "  --connections N      at a time, with --port (4096)\n"
    "  --cpu N              processor of the stack (the last)\n"
    "  --poll               the stack never sleeps\n"
    "  --tls                offers STARTTLS, with a certificate made now, and one ticket\n"
    "  --implicit           TLS from the first byte\n"
    "  --ledger FILE        what was accepted is noted there (perf/ledger.h), for\n"
    "  --messages N         so many messages (1000000), each with up to\n"
    "  --recipients N       copies (1), of\n"
    "  --run N              this run; otherwise that of the first message\n"
    "  --delay S            before the reply to a message\n"
    "  --reject PERCENT     of messages get 451\n"
    "  --fault KIND:N       each Nth message, for tests of what shall find it: lose (250, but not\n"
    "                       noted), alter (a byte more than came), cut (noted, but no reply)\n"
    "  --time S             ends after so long (600)\n";

enum key {
    KEY_KERNEL = 256,
    KEY_PORT,
    KEY_LISTEN,
    KEY_PORTS,
    KEY_PREFIX,
    KEY_GATEWAY,
    KEY_CONNECTIONS,
    KEY_CPU,
    KEY_POLL,
    KEY_TLS,
    KEY_IMPLICIT,
    KEY_LEDGER,
    KEY_MESSAGES,
    KEY_RECIPIENTS,
    KEY_RUN,
    KEY_DELAY,
    KEY_REJECT,
    KEY_FAULT,
    KEY_TIME,
    KEY_HELP,
};

/* In the order of enum key. */
static const struct option long_options[] = {
    {"kernel", no_argument, NULL, KEY_KERNEL},
    {"port", required_argument, NULL, KEY_PORT},
    {"listen", required_argument, NULL, KEY_LISTEN},
    {"ports", required_argument, NULL, KEY_PORTS},
    {"prefix", required_argument, NULL, KEY_PREFIX},
    {"gateway", required_argument, NULL, KEY_GATEWAY},
    {"connections", required_argument, NULL, KEY_CONNECTIONS},
    {"cpu", required_argument, NULL, KEY_CPU},
    {"poll", no_argument, NULL, KEY_POLL},
    {"tls", no_argument, NULL, KEY_TLS},
    {"implicit", no_argument, NULL, KEY_IMPLICIT},
    {"ledger", required_argument, NULL, KEY_LEDGER},
    {"messages", required_argument, NULL, KEY_MESSAGES},
    {"recipients", required_argument, NULL, KEY_RECIPIENTS},
    {"run", required_argument, NULL, KEY_RUN},
    {"delay", required_argument, NULL, KEY_DELAY},
    {"reject", required_argument, NULL, KEY_REJECT},
    {"fault", required_argument, NULL, KEY_FAULT},
    {"time", required_argument, NULL, KEY_TIME},
    {"help", no_argument, NULL, KEY_HELP},
    {NULL, 0, NULL, 0},
};

static int fault(struct options *o, const char *text)
{
    static const char *const names[SINK_FAULT_CNT] = {
        [SINK_FAULT_LOSE] = "lose:", [SINK_FAULT_ALTER] = "alter:", [SINK_FAULT_CUT] = "cut:"};

    for (int i = SINK_FAULT_NONE + 1; i < SINK_FAULT_CNT; i++) {
        size_t len = strlen(names[i]);
        if (strncmp(text, names[i], len) != 0)
            continue;
        o->fault = (enum sink_fault)i;
        return arguments_number32(text + len, 1, UINT32_MAX, &o->fault_each);
    }
    return -EINVAL;
}

static int take(struct options *o, int key, const char *arg)
{
    switch (key) {
    case KEY_KERNEL:
        o->kernel = true;
        return 0;
    case KEY_PORT:
        o->device = arg;
        return *arg != 0 ? 0 : -EINVAL;
    case KEY_LISTEN:
        return net_endpoint_parse(&o->listen, base_span_str(arg));
    case KEY_PORTS:
        return arguments_number32(arg, 1, OPTIONS_PORT_MAX, &o->port_cnt);
    case KEY_PREFIX:
        return arguments_number32(arg, 1, 128, &o->prefix_len);
    case KEY_GATEWAY:
        return net_addr_parse(&o->gateway, base_span_str(arg));
    case KEY_CONNECTIONS:
        return arguments_number32(arg, 1, 1048576, &o->connection_cnt);
    case KEY_CPU:
        return arguments_number32(arg, 0, 1023, &o->cpu);
    case KEY_POLL:
        o->poll = true;
        return 0;
    case KEY_TLS:
        o->tls = true;
        return 0;
    case KEY_IMPLICIT:
        o->tls = o->implicit = true;
        return 0;
    case KEY_LEDGER:
        o->ledger = arg;
        return *arg != 0 ? 0 : -EINVAL;
    case KEY_MESSAGES:
        return arguments_number(arg, 1, LEDGER_ENTRY_MAX, &o->message_max);
    case KEY_RECIPIENTS:
        return arguments_number32(arg, 1, LEDGER_RECIPIENT_MAX, &o->recipient_max);
    case KEY_RUN:
        return arguments_number(arg, 1, UINT64_MAX, &o->run);
    case KEY_DELAY:
        return arguments_seconds(arg, &o->delay_ns);
    case KEY_REJECT:
        return arguments_number32(arg, 1, 100, &o->reject_percent);
    case KEY_FAULT:
        return fault(o, arg);
    default: /* KEY_TIME */
        return arguments_seconds(arg, &o->duration_ns);
    }
}

static int check(struct options *o, char *err, size_t cap)
{
    bool v4 = net_addr_is_v4(&o->listen.addr);

    if (o->kernel == (o->device != NULL))
        return arguments_fail(err, cap, "either --kernel or --port DEVICE is needed");
    if (o->listen.port == 0)
        return arguments_fail(err, cap, "--listen ADDR:PORT is needed");
    if (o->listen.port + o->port_cnt > 65536)
        return arguments_fail(err, cap, "--ports: there are not so many from %u on",
                              o->listen.port);
    if (o->prefix_len == 0)
        o->prefix_len = v4 ? 24 : 64;
    if (v4 && o->prefix_len > 32)
        return arguments_fail(err, cap, "--prefix: 32 at most for IPv4");
    if (!net_addr_is_none(&o->gateway) && net_addr_is_v4(&o->gateway) != v4)
        return arguments_fail(err, cap, "--gateway and --listen are of two families");
    return 0;
}

int options_parse(struct options *o, int argc, char **argv, char *err, size_t cap)
{
    uint32_t cpus[DEVICE_LANE_MAX];
    int key;

    device_default_cpus(cpus);
    *o = (struct options){
        .port_cnt = 1,
        .connection_cnt = 4096,
        .cpu = cpus[0],
        .duration_ns = 600 * BASE_NS_S,
        .message_max = 1000000,
        .recipient_max = 1,
    };
    opterr = 0;
    optind = 0; /* from anew: glibc */
    while ((key = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (key == '?')
            return arguments_fail(err, cap, "%s: no such option, or its value is missing (--help)",
                                  argv[optind - 1]);
        if (key == KEY_HELP)
            return 1;
        if (take(o, key, optarg) != 0)
            return arguments_fail(err, cap, "--%s: what is %s?",
                                  long_options[key - KEY_KERNEL].name,
                                  optarg != NULL ? optarg : "");
    }
    if (optind < argc)
        return arguments_fail(err, cap, "%s: not an option (--help)", argv[optind]);
    return check(o, err, cap);
}
