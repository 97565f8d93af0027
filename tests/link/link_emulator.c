/*
 * A link that delays, loses, reorders, duplicates and corrupts, in real time, between two network
 * devices of the kernel (link_end.h): what drivers/port/wire does in virtual time. A direction is
 * a wire of its own with a seed of its own: the fate of the nth frame depends on nothing else.
 *
 * usage: link_emulator SECONDS SEED A B      A and B: see link_end.h
 *
 * It ends when standard input does, at the latest after SECONDS (status 3). It prints "ready", then
 * takes commands, one a line, and answers each by one line, "ok", "error WHY" or what was asked:
 *
 *     ab|ba|both [KEY=NUMBER...]       the faults from now on, all others none: delay_us jitter_us
 *                                      bytes_per_s queue_bytes loss_ppm burst_ppm burst_len
 *                                      reorder_ppm reorder_us duplicate_ppm corrupt_ppm; see wire.h
 *     drop ab|ba payload|syn|fin|ack NTH TIMES
 *                                      the NTH such segment from now on, TIMES transmissions of it
 *     reset SEED                       a new link: nothing in flight, counters and faults at zero
 *     count                            JSON: frames by fate, and how late they were handed over
 *
 * A frame is handed over when its time has come and this process has a core: late_us tells by how
 * much it was too late, the median, p99 and the most. It runs with real-time priority if it may.
 */
#include "base_time.h"
#include "wire.h"

#include "dpdk_eal.h"
#include "link_end.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <rte_mbuf.h>

#define MTU         1500
#define FRAME_CAP   4096 /* in flight, each way */
#define BURST       64
#define LATE_CAP_US 100000
#define LINE_CAP    512
#define SECONDS_MAX 3600

struct direction {
    struct wire *wire; /* from its end 0 to its end 1 */
    int from_fd, to_fd;
    uint64_t refused_cnt; /* the receiving device did not take them */
};

struct emulator {
    struct direction way[2]; /* a to b, b to a */
    struct rte_mempool *pool;
    uint64_t now_ns;
    uint32_t late[LATE_CAP_US + 1]; /* frames by microseconds; the last for all above */
    char line[LINE_CAP];
    size_t line_len;
};

static const char *const way_name[2] = {"ab", "ba"};

static void die(const char *why)
{
    fprintf(stderr, "link_emulator: %s\n", why);
    exit(1);
}

static uint64_t clock_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * BASE_NS_S + (uint64_t)t.tv_nsec;
}

static void open_wires(struct emulator *e, uint64_t seed)
{
    for (unsigned i = 0; i < 2; i++) {
        struct wire_config c = {
            .seed = seed * 2 + i, .now_ns = e->now_ns, .mtu = MTU, .frame_cap = FRAME_CAP};
        c.end[0].rx_pool[0] = c.end[1].rx_pool[0] = e->pool;
        if (e->way[i].wire != NULL)
            wire_close(e->way[i].wire);
        e->way[i].refused_cnt = 0;
        if (wire_open(&e->way[i].wire, &c) != 0)
            die("no memory");
    }
    memset(e->late, 0, sizeof(e->late));
}

/* ---- frames ---- */

static void take(struct emulator *e, struct direction *d)
{
    struct net_port *port = wire_port(d->wire, 0);

    for (int i = 0; i < BURST; i++) {
        struct rte_mbuf *m = rte_pktmbuf_alloc(e->pool);
        ssize_t n =
            m != NULL ? read(d->from_fd, rte_pktmbuf_mtod(m, void *), rte_pktmbuf_tailroom(m)) : -1;
        if (n <= 0) { /* empty, or the device is down */
            rte_pktmbuf_free(m);
            return;
        }
        m->data_len = (uint16_t)n;
        m->pkt_len = (uint32_t)n;
        wire_advance(d->wire, clock_ns());
        if (port->ops->tx_burst(port->state, 0, &m, 1) != 1)
            rte_pktmbuf_free(m);
    }
}

static void hand_over(struct emulator *e, struct direction *d)
{
    struct net_port *port = wire_port(d->wire, 1);
    uint64_t due_ns;

    while ((due_ns = wire_next_ns(d->wire)) <= e->now_ns) {
        struct rte_mbuf *m = NULL;
        wire_advance(d->wire, e->now_ns);
        if (port->ops->rx_burst(port->state, 0, &m, 1) != 1)
            return;
        uint64_t late_us = (clock_ns() - due_ns) / BASE_NS_US;
        e->late[late_us < LATE_CAP_US ? late_us : LATE_CAP_US]++;
        if (write(d->to_fd, rte_pktmbuf_mtod(m, void *), m->data_len) != (ssize_t)m->data_len)
            d->refused_cnt++;
        rte_pktmbuf_free(m);
    }
}

/* ---- commands ---- */

static bool parse_fault(struct wire_faults *f, const char *word)
{
    const char *equals = strchr(word, '=');
    char *end = NULL;
    uint64_t n = equals != NULL ? strtoull(equals + 1, &end, 10) : 0;
    const struct {
        const char *name;
        uint64_t *big;
        uint32_t *small;
        uint64_t unit;
    } keys[] = {
        {"delay_us", &f->delay_ns, NULL, BASE_NS_US},
        {"jitter_us", &f->jitter_ns, NULL, BASE_NS_US},
        {"reorder_us", &f->reorder_ns, NULL, BASE_NS_US},
        {"bytes_per_s", &f->bytes_per_s, NULL, 1},
        {"queue_bytes", &f->queue_bytes, NULL, 1},
        {"loss_ppm", NULL, &f->loss_ppm, 1},
        {"burst_ppm", NULL, &f->burst_ppm, 1},
        {"burst_len", NULL, &f->burst_len, 1},
        {"reorder_ppm", NULL, &f->reorder_ppm, 1},
        {"duplicate_ppm", NULL, &f->duplicate_ppm, 1},
        {"corrupt_ppm", NULL, &f->corrupt_ppm, 1},
    };

    if (equals == NULL || end == equals + 1 || *end != 0 || n > UINT32_MAX)
        return false;
    for (size_t i = 0; i < BASE_ARRAY_CNT(keys); i++) {
        if (strncmp(keys[i].name, word, (size_t)(equals - word)) != 0 ||
            keys[i].name[equals - word] != 0)
            continue;
        if (keys[i].small == NULL)
            *keys[i].big = n * keys[i].unit;
        else
            *keys[i].small = (uint32_t)n;
        return true;
    }
    return false;
}

/* "ab" 1, "ba" 2, "both" 3, else 0. */
static unsigned ways_of(const char *word)
{
    if (word == NULL)
        return 0;
    return strcmp(word, "ab") == 0     ? 1
           : strcmp(word, "ba") == 0   ? 2
           : strcmp(word, "both") == 0 ? 3
                                       : 0;
}

static const char *set_faults(struct emulator *e, unsigned ways, char **rest)
{
    struct wire_faults f = {0};
    char *word;

    while ((word = strtok_r(NULL, " ", rest)) != NULL) {
        if (!parse_fault(&f, word))
            return "error no such fault";
    }
    for (unsigned i = 0; i < 2; i++) {
        if ((ways & (1u << i)) != 0)
            wire_set_faults(e->way[i].wire, 0, &f);
    }
    return "ok";
}

static const char *drop(struct emulator *e, char **rest)
{
    static const char *const kind[] = {"payload", "syn", "fin", "ack"};
    unsigned ways = ways_of(strtok_r(NULL, " ", rest));
    const char *word = strtok_r(NULL, " ", rest);
    const char *nth = strtok_r(NULL, " ", rest), *times = strtok_r(NULL, " ", rest);

    if ((ways != 1 && ways != 2) || times == NULL || atoi(nth) <= 0 || atoi(times) <= 0)
        return "error drop ab|ba KIND NTH TIMES";
    for (unsigned k = 0; k < BASE_ARRAY_CNT(kind); k++) {
        if (strcmp(word, kind[k]) == 0)
            return wire_drop_segment(e->way[ways - 1].wire, 0, (enum wire_match)k,
                                     (uint32_t)atoi(nth), (uint32_t)atoi(times)) == 0
                       ? "ok"
                       : "error too many rules";
    }
    return "error no such segments";
}

/* The microseconds that permille of the frames were late at most. */
static uint32_t late_us(const struct emulator *e, uint64_t permille)
{
    uint64_t total = 0, sum = 0;

    for (uint32_t i = 0; i <= LATE_CAP_US; i++)
        total += e->late[i];
    for (uint32_t i = 0; i <= LATE_CAP_US; i++) {
        sum += e->late[i];
        if (sum > 0 && sum * 1000 >= total * permille)
            return i;
    }
    return 0;
}

static void print_counts(const struct emulator *e)
{
    struct wire_counters c;

    printf("{");
    for (unsigned i = 0; i < 2; i++) {
        wire_count(e->way[i].wire, 0, &c);
        printf("\"%s\": {\"refused\": %lu", way_name[i], (unsigned long)e->way[i].refused_cnt);
        for (int fate = 0; fate < WIRE_FATE_CNT; fate++)
            printf(", \"%s\": %lu", wire_fate_name((enum wire_fate)fate),
                   (unsigned long)c.frame_cnt[fate]);
        printf(", \"bytes\": %lu}, ", (unsigned long)c.byte_cnt[WIRE_DELIVERED]);
    }
    printf("\"late_us\": {\"p50\": %u, \"p99\": %u, \"max\": %u}}\n", late_us(e, 500),
           late_us(e, 990), late_us(e, 1000));
}

static void command(struct emulator *e, char *line)
{
    char *rest = NULL;
    const char *verb = strtok_r(line, " ", &rest), *answer = "error no such command";
    unsigned ways = ways_of(verb);

    if (verb != NULL && strcmp(verb, "count") == 0) {
        print_counts(e);
        return;
    }
    if (ways != 0) {
        answer = set_faults(e, ways, &rest);
    } else if (verb != NULL && strcmp(verb, "drop") == 0) {
        answer = drop(e, &rest);
    } else if (verb != NULL && strcmp(verb, "reset") == 0) {
        open_wires(e, strtoull(rest, NULL, 10));
        answer = "ok";
    }
    puts(answer);
}

/* False at the end of standard input. */
static bool read_commands(struct emulator *e)
{
    ssize_t n = read(STDIN_FILENO, e->line + e->line_len, LINE_CAP - e->line_len);
    char *end;

    if (n <= 0)
        return n < 0 && errno == EINTR;
    e->line_len += (size_t)n;
    while ((end = memchr(e->line, '\n', e->line_len)) != NULL) {
        size_t used = (size_t)(end - e->line) + 1;
        *end = 0;
        command(e, e->line);
        memmove(e->line, e->line + used, e->line_len - used);
        e->line_len -= used;
    }
    if (e->line_len == LINE_CAP)
        die("a line without end");
    return true;
}

/* ---- time ---- */

static void run(struct emulator *e, uint64_t end_ns)
{
    struct pollfd fds[] = {{.fd = e->way[0].from_fd, .events = POLLIN},
                           {.fd = e->way[1].from_fd, .events = POLLIN},
                           {.fd = STDIN_FILENO, .events = POLLIN}};

    for (;;) {
        for (int i = 0; i < 2; i++) {
            e->now_ns = clock_ns();
            take(e, &e->way[i]);
        }
        uint64_t wake_ns = end_ns;
        for (int i = 0; i < 2; i++) {
            e->now_ns = clock_ns();
            hand_over(e, &e->way[i]);
            uint64_t next_ns = wire_next_ns(e->way[i].wire);
            wake_ns = next_ns < wake_ns ? next_ns : wake_ns;
        }
        e->now_ns = clock_ns();
        if (e->now_ns >= end_ns) {
            fprintf(stderr, "link_emulator: its time is over\n");
            exit(3);
        }
        uint64_t wait_ns = wake_ns > e->now_ns ? wake_ns - e->now_ns : 0;
        struct timespec wait = {.tv_sec = (time_t)(wait_ns / BASE_NS_S),
                                .tv_nsec = (long)(wait_ns % BASE_NS_S)};
        if (ppoll(fds, BASE_ARRAY_CNT(fds), &wait, NULL) > 0 && fds[2].revents != 0 &&
            !read_commands(e))
            return;
    }
}

int main(int argc, char **argv)
{
    struct sched_param priority = {.sched_priority = 1};
    struct emulator *e = calloc(1, sizeof(*e));
    uint64_t seconds = argc == 5 ? strtoull(argv[1], NULL, 10) : 0;
    char err[256];
    int fd[2];

    if (e == NULL || seconds == 0 || seconds > SECONDS_MAX)
        die("usage: link_emulator SECONDS SEED A B");
    for (int i = 0; i < 2; i++) {
        fd[i] = link_end_open(argv[3 + i], err, sizeof(err));
        if (fd[i] < 0)
            die(err);
    }
    dpdk_eal_init();
    e->pool = dpdk_pool("frames", 1024, 0);
    e->now_ns = clock_ns();
    e->way[0].from_fd = e->way[1].to_fd = fd[0];
    e->way[0].to_fd = e->way[1].from_fd = fd[1];
    open_wires(e, strtoull(argv[2], NULL, 10));
    prctl(PR_SET_TIMERSLACK, 1UL);
    /* Without it this works, less exactly. */
    (void)sched_setscheduler(0, SCHED_FIFO, &priority);
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    run(e, e->now_ns + seconds * BASE_NS_S);
    return 0;
}
