/*
 * A host whose TCP is Sluice's: lib/net and lib/tcp over a port of DPDK, driven by commands on
 * standard input, for the tests against the kernel's TCP and for perf/run. It does what a program
 * with sockets would: connects, accepts, sends seeded bytes, reads, echoes, closes.
 *
 * usage: stack_host SECONDS DEVICE [OPTION=VALUE...]     DEVICE: such as net_tap0,iface=gw0
 *   address=ADDRESS/LEN (several) gateway=ADDRESS gateway6=ADDRESS window=BYTES buffer=BYTES
 *   keepalive_s=N msl_ms=N ecn=ask|off newreno=1 seed=N
 *
 * It ends when standard input does, at the latest after SECONDS (status 3). It prints "ready".
 *   listen PORT [MODE...]              what it accepts does MODE
 *   connect ADDRESS PORT LOCAL_PORT [MODE...]    LOCAL_PORT 0: any. Prints "N opens" or "error WHY"
 *   do N MODE...                       more for connection N: words of MODE
 *   hold N | shutdown N | close N | abort N | tell N
 *   count NAME                         a counter by its name, such as tcp/retransmits: "count
 * VALUE" usage                              "usage conn=N syn=N time_wait=N mbuf=N" MODE: read
 * (all, as it comes), echo, send=BYTES:SEED, fin (when all is sent; an echo does so by itself),
 * stay (does not close by itself when both directions have ended).
 *
 * News come as lines "N accepted PEER", "N connected LOCAL", "N peer_closed", and at its end "N
 * closed|aborted|failed REASON received=BYTES sent=BYTES received_sha=SHA256 sent_sha=SHA256".
 */
#include "stack_host.h"

#include "base_time.h"
#include "dpdk_eal.h"
#include "ethdev.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SECONDS_MAX 3600
#define MBUF_CNT    24575

static void die(const char *why)
{
    fprintf(stderr, "stack_host: %s\n", why);
    exit(1);
}

static uint64_t clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * BASE_NS_S + (uint64_t)t.tv_nsec;
}

/* ---- settings ---- */

static bool parse_address(struct net_config *n, const char *text)
{
    const char *slash = strchr(text, '/');
    struct net_prefix *p = &n->addresses[n->address_cnt];

    if (slash == NULL || n->address_cnt == NET_ADDRESS_MAX ||
        net_addr_parse(&p->addr, base_span_of(text, (size_t)(slash - text))) != 0)
        return false;
    p->prefix_len = (uint8_t)(atoi(slash + 1) + (net_addr_is_v4(&p->addr) ? 96 : 0));
    n->address_cnt++;
    return true;
}

static bool parse_option(struct net_config *n, struct tcp_config *t, char *word)
{
    char *value = strchr(word, '=');

    if (value == NULL)
        return false;
    *value++ = 0;
    uint64_t number = strtoull(value, NULL, 10);
    if (strcmp(word, "address") == 0)
        return parse_address(n, value);
    if (strcmp(word, "gateway") == 0)
        return net_addr_parse(&n->gateway, base_span_str(value)) == 0;
    if (strcmp(word, "gateway6") == 0)
        return net_addr_parse(&n->gateway6, base_span_str(value)) == 0;
    if (strcmp(word, "window") == 0)
        t->recv_window_bytes = (uint32_t)number;
    else if (strcmp(word, "buffer") == 0)
        t->send_buffer_bytes = (uint32_t)number;
    else if (strcmp(word, "keepalive_s") == 0)
        t->keepalive_ns = t->keepalive_interval_ns = number * BASE_NS_S;
    else if (strcmp(word, "msl_ms") == 0)
        t->msl_ns = number * BASE_NS_MS;
    else if (strcmp(word, "ecn") == 0)
        t->ecn = strcmp(value, "ask") == 0 ? TCP_ECN_ASK : TCP_ECN_OFF;
    else if (strcmp(word, "newreno") == 0)
        t->congestion = TCP_NEWRENO;
    else if (strcmp(word, "seed") == 0)
        memcpy(t->secret, &number, sizeof(number));
    else
        return false;
    return true;
}

static void too_big(void *arg, const struct net_addr *src, const struct net_addr *dst, uint16_t mtu,
                    const uint8_t *quoted, uint32_t quoted_len)
{
    struct host *h = arg;
    (void)tcp_too_big(h->tcp, src, dst, mtu, quoted, quoted_len, h->now_ns);
}

static void unreachable(void *arg, const struct net_addr *src, const struct net_addr *dst,
                        const uint8_t *quoted, uint32_t quoted_len)
{
    struct host *h = arg;
    (void)tcp_unreachable(h->tcp, src, dst, quoted, quoted_len, h->now_ns);
}

static void open_stack(struct host *h, int argc, char **argv)
{
    struct ethdev_config e = {.name = "net_tap0", .queue_cnt = 1, .interrupts = true};
    struct net_config n = {.port = &h->port,
                           .stats = &h->stats,
                           .seed = 1,
                           .too_big = too_big,
                           .unreachable = unreachable,
                           .icmp_arg = h};
    struct tcp_config t = {.stats = &h->stats,
                           .conn_max = 1024,
                           .syn_max = 256,
                           .time_wait_max = 4096,
                           .listen_max = BASE_ARRAY_CNT(h->listener),
                           .port_min = 32768,
                           .port_max = 60999,
                           .recv_window_bytes = 4 << 20,
                           .send_buffer_bytes = 4 << 20,
                           .keepalive_cnt = 3};
    uint8_t groups[NET_GROUP_MAX][6];
    char err[512], name[64];

    for (int i = 3; i < argc; i++) {
        if (!parse_option(&n, &t, argv[i]))
            die(argv[i]);
    }
    snprintf(name, sizeof(name), "%s", argv[2]);
    name[strcspn(name, ",")] = 0;
    e.name = name;
    h->rx_pool = dpdk_pool("rx", 8191, 0);
    n.ctrl_pool = t.ctrl_pool = t.frame_pool = h->ctrl_pool = dpdk_pool("ctrl", 8191, 0);
    t.data_pool = h->data_pool = dpdk_pool("data", MBUF_CNT, 0);
    e.queue[0] = (struct ethdev_queue){.rx_pool = h->rx_pool, .stats = &h->stats};
    if (ethdev_open(&h->port, &e, err, sizeof(err)) != 0 ||
        ethdev_start(&h->port, err, sizeof(err)) != 0)
        die(err);
    if (net_init(&h->net, &n, h->now_ns) != 0)
        die("net_init");
    t.net = h->net;
    if (tcp_init(&h->tcp, &t, h->now_ns) != 0)
        die("tcp_init");
    ethdev_set_groups(&h->port, groups, net_groups(h->net, groups, NET_GROUP_MAX));
    net_announce(h->net, h->now_ns);
}

/* ---- commands ---- */

static void connect_flow(struct host *h, char *rest)
{
    char address[NET_ADDR_TEXT_CAP];
    unsigned port, local_port;
    int used = 0, error = -EINVAL;
    struct net_endpoint local = {0}, remote = {0};
    struct host_flow *f = host_flow_open(h);

    if (f == NULL) {
        puts("error too many");
        return;
    }
    if (sscanf(rest, "%45s %u %u%n", address, &port, &local_port, &used) == 3 &&
        net_addr_parse(&remote.addr, base_span_str(address)) == 0 &&
        host_flow_parse(f, rest + used)) {
        remote.port = (uint16_t)port;
        local.port = (uint16_t)local_port;
        error = tcp_connect(h->tcp, &local, &remote, f, &f->conn, h->now_ns);
    }
    if (error != 0) {
        f->used = false;
        EVP_MD_CTX_free(f->received_sha);
        EVP_MD_CTX_free(f->sent_sha);
        printf("error %s\n", strerror(-error));
        return;
    }
    printf("%u opens\n", f->number);
}

static const char *listen_at(struct host *h, const char *rest)
{
    struct host_flow probe = {0};
    char mode[sizeof(h->listener[0].mode)];
    unsigned port = 0;
    int used = 0;

    if (sscanf(rest, "%u%n", &port, &used) != 1 || h->listener_cnt == BASE_ARRAY_CNT(h->listener))
        return "error listen PORT [MODE...]";
    struct host_listener *l = &h->listener[h->listener_cnt];
    struct net_endpoint local = {.port = (uint16_t)port};
    snprintf(l->mode, sizeof(l->mode), "%s", rest + used);
    memcpy(mode, l->mode, sizeof(mode));
    l->port = (uint16_t)port;
    if (!host_flow_parse(&probe, mode))
        return "error no such mode";
    if (tcp_listen(h->tcp, &local, l) != 0)
        return "error in use";
    h->listener_cnt++;
    return "ok";
}

static void count(const struct host *h, const char *name)
{
    for (uint32_t i = 0; i < STATS_CNT; i++) {
        char full[96];
        snprintf(full, sizeof(full), "%s/%s", stats_rows[i].group, stats_rows[i].name);
        if (strcmp(full, name) == 0) {
            printf("count %llu\n", (unsigned long long)stats_get(&h->stats, i));
            return;
        }
    }
    puts("error no such counter");
}

static void flow_command(struct host *h, const char *verb, char *rest)
{
    int used = 0;
    unsigned n = 0;
    struct host_flow *f = sscanf(rest, "%u%n", &n, &used) == 1 ? h->flow[n % HOST_FLOW_MAX] : NULL;

    if (f == NULL || !f->used || f->number != n) {
        puts("error no such connection");
        return;
    }
    if (strcmp(verb, "tell") == 0)
        host_flow_tell(f);
    else if (strcmp(verb, "close") == 0 || strcmp(verb, "abort") == 0)
        host_flow_end(h, f, verb[0] == 'a');
    else if (strcmp(verb, "hold") == 0)
        f->reads = false;
    else if (strcmp(verb, "shutdown") == 0)
        f->fin_due = true;
    else if (strcmp(verb, "do") != 0 || !host_flow_parse(f, rest + used))
        puts("error no such command");
    if (f->used)
        host_flow_go(h, f);
}

static void command(struct host *h, char *line)
{
    char *rest = strchr(line, ' ');
    struct tcp_usage u;

    if (rest != NULL)
        *rest++ = 0;
    else
        rest = line + strlen(line);
    if (strcmp(line, "connect") == 0) {
        connect_flow(h, rest);
    } else if (strcmp(line, "listen") == 0) {
        puts(listen_at(h, rest));
    } else if (strcmp(line, "count") == 0) {
        count(h, rest);
    } else if (strcmp(line, "usage") == 0) {
        tcp_usage(h->tcp, &u);
        printf("usage conn=%u syn=%u time_wait=%u mbuf=%u\n", u.conn_cnt, u.syn_cnt,
               u.time_wait_cnt, u.mbuf_cnt);
    } else {
        flow_command(h, line, rest);
    }
}

/* False at the end of standard input. */
static bool read_commands(struct host *h)
{
    char *line = h->line;
    ssize_t n = read(STDIN_FILENO, line + h->line_len, sizeof(h->line) - h->line_len);
    char *end;

    if (n <= 0)
        return n < 0 && errno == EINTR;
    h->line_len += (size_t)n;
    while ((end = memchr(line, '\n', h->line_len)) != NULL) {
        size_t used = (size_t)(end - line) + 1;
        *end = 0;
        command(h, line);
        memmove(line, line + used, h->line_len - used);
        h->line_len -= used;
    }
    if (h->line_len == sizeof(h->line))
        die("a line without end");
    return true;
}

/* ---- the stack's pass ---- */

static void take_event(struct host *h, const struct tcp_event *e)
{
    struct host_flow *f = e->user;

    if ((e->flags & TCP_EVENT_ACCEPTED) != 0) {
        const struct host_listener *l = e->user;
        char mode[sizeof(l->mode)];
        memcpy(mode, l->mode, sizeof(mode));
        f = host_flow_open(h);
        if (f == NULL) {
            tcp_abort(h->tcp, e->conn);
            return;
        }
        (void)host_flow_parse(f, mode); /* checked by listen */
        f->conn = e->conn;
        tcp_set_user(e->conn, f);
    }
    host_flow_event(h, f, e->flags);
}

/* Returns what arrived and happened. */
static uint32_t pass(struct host *h)
{
    struct rte_mbuf *pkts[NET_PORT_BURST_MAX];
    struct net_segment segments[NET_PORT_BURST_MAX];
    struct tcp_event events[NET_PORT_BURST_MAX];

    h->now_ns = clock_ns();
    uint16_t n = h->port.ops->rx_burst(h->port.state, 0, pkts, NET_PORT_BURST_MAX);
    if (n > 0)
        tcp_push(h->tcp, segments, net_input(h->net, pkts, n, segments, h->now_ns), h->now_ns);
    tcp_run(h->tcp, h->now_ns);
    net_run(h->net, h->now_ns);
    uint32_t cnt = tcp_poll(h->tcp, events, NET_PORT_BURST_MAX);
    for (uint32_t i = 0; i < cnt; i++)
        take_event(h, &events[i]);
    tcp_flush(h->tcp, h->now_ns);
    net_flush(h->net);
    return n + cnt;
}

static void run(struct host *h, uint64_t end_ns)
{
    struct pollfd fds[] = {{.fd = h->port.ops->wait_fd(h->port.state, 0), .events = POLLIN},
                           {.fd = STDIN_FILENO, .events = POLLIN}};

    if (fds[0].fd < 0)
        die("nothing to wait on: net_tap and net_af_packet have it");
    for (;;) {
        uint64_t wait_ns = 0;
        if (pass(h) == 0) {
            uint64_t tcp_ns = tcp_deadline(h->tcp), net_ns = net_deadline(h->net);
            uint64_t wake_ns = tcp_ns < net_ns ? tcp_ns : net_ns, now_ns = clock_ns();
            wake_ns = wake_ns < end_ns ? wake_ns : end_ns;
            wait_ns = wake_ns > now_ns ? wake_ns - now_ns : 0;
        }
        if (h->now_ns >= end_ns) {
            fprintf(stderr, "stack_host: its time is over\n");
            exit(3);
        }
        struct timespec wait = {.tv_sec = (time_t)(wait_ns / BASE_NS_S),
                                .tv_nsec = (long)(wait_ns % BASE_NS_S)};
        /* The driver's signal for a frame ends the wait like the frame itself. */
        if (ppoll(fds, BASE_ARRAY_CNT(fds), &wait, NULL) > 0 && fds[1].revents != 0 &&
            !read_commands(h))
            return;
    }
}

int main(int argc, char **argv)
{
    struct host *h = aligned_alloc(64, (sizeof(*h) + 63) & ~(size_t)63);
    uint64_t seconds = argc > 2 ? strtoull(argv[1], NULL, 10) : 0;
    sigset_t all;

    if (h == NULL || seconds == 0 || seconds > SECONDS_MAX)
        die("usage: stack_host SECONDS DEVICE [OPTION=VALUE...]");
    memset(h, 0, sizeof(*h));
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all,
                    NULL); /* DPDK's threads inherit it: signals are ours alone */
    dpdk_eal_init_vdevs((const char *const[]){argv[2], NULL});
    sigemptyset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    h->now_ns = clock_ns();
    open_stack(h, argc, argv);
    /* The kernel's TCP does its work where link_emulator hands frames over: with its priority. */
    (void)sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1});
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    run(h, h->now_ns + seconds * BASE_NS_S);
    tcp_fini(h->tcp);
    net_fini(h->net);
    ethdev_close(&h->port);
    return 0;
}
