#include "resolver_unbound.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_BURST 64
#define SLOT_NONE     UINT32_MAX
#define ASK_MAX       3                /* processes that a question may see end */
#define RETRY_NS      (5 * BASE_NS_MS) /* while the socket is full */

/* A question that the process has. Its id is the place of the slot and a number that changes with
 * each use, so that what comes late is known. */
struct slot {
    struct dns_query *q; /* NULL while left_ns is set: it went back without an answer */
    uint64_t left_ns;    /* the process still owes an answer, by this time's grace; 0: no */
    uint32_t turn;
    uint32_t next_free;
};

struct resolver_unbound {
    uint32_t lookups;
    struct stats_block *stats;
    int epoll, socket; /* -1: no process */
    bool ready;        /* it has taken its configuration */
    bool full;         /* the socket took no more */
    struct base_wheel wheel;
    struct base_list waiting; /* questions that no process has */
    struct base_list done;    /* to be returned by poll */
    uint32_t waiting_cnt, left_cnt, free_head;
    uint64_t now_ns;
    struct resolver_config *config;
    char news[RESOLVER_NEWS_CAP];
    uint8_t *room; /* DNS_WIRE_MAX bytes */
    struct slot slot[];
};

/* ---- slots ---- */

static uint32_t id_of(const struct resolver_unbound *u, uint32_t i)
{
    return i | u->slot[i].turn << 16;
}

static void free_slot(struct resolver_unbound *u, uint32_t i)
{
    struct slot *s = &u->slot[i];

    u->left_cnt -= s->left_ns != 0;
    *s = (struct slot){.turn = (s->turn + 1) & 0xffff, .next_free = u->free_head};
    u->free_head = i;
}

static uint32_t take_slot(struct resolver_unbound *u, struct dns_query *q)
{
    uint32_t i = u->free_head;

    base_assert(i != SLOT_NONE);
    u->free_head = u->slot[i].next_free;
    u->slot[i].q = q;
    q->slot = i;
    return i;
}

/* ---- questions ---- */

static void wait_for_turn(struct resolver_unbound *u, struct dns_query *q, bool first)
{
    q->slot = SLOT_NONE;
    u->waiting_cnt++;
    if (first)
        base_list_push_front(&u->waiting, &q->node);
    else
        base_list_push_back(&u->waiting, &q->node);
}

static void finish(struct resolver_unbound *u, struct dns_query *q)
{
    base_wheel_stop(&u->wheel, &q->timer);
    base_list_push_back(&u->done, &q->node);
}

static void submit(void *state, struct dns_query *q, uint64_t now_ns)
{
    struct resolver_unbound *u = state;

    dns_answer_clear(&q->answer);
    q->deadline_ns = now_ns + q->timeout_ns;
    q->asked_cnt = 0;
    base_timer_init(&q->timer);
    base_wheel_set(&u->wheel, &q->timer, q->deadline_ns);
    wait_for_turn(u, q, false);
}

/* Its deadline is here. */
static void give_up(struct resolver_unbound *u, struct dns_query *q)
{
    dns_answer_set(&q->answer, DNS_TIMEOUT,
                   u->socket < 0 ? "the resolver process is not there" : NULL);
    if (q->slot == SLOT_NONE) {
        base_list_remove(&q->node);
        u->waiting_cnt--;
    } else {
        u->slot[q->slot].q = NULL;
        u->slot[q->slot].left_ns = u->now_ns;
        u->left_cnt++;
    }
    finish(u, q);
}

/* ---- the process ---- */

static void tell(struct resolver_unbound *u, const char *what, uint32_t cnt)
{
    snprintf(u->news, sizeof(u->news), "resolver %.120s; questions to be asked again: %u", what,
             cnt);
}

/* It has ended, or is given up: what it had goes to the next. blame: it may have ended by one of
 * these questions. */
static void drop(struct resolver_unbound *u, const char *what, bool blame)
{
    uint32_t again_cnt = 0;

    if (u->socket < 0)
        return;
    close(u->socket); /* out of the epoll set, too */
    u->socket = -1;
    u->ready = false;
    u->full = false;
    for (uint32_t i = u->lookups; i-- > 0;) {
        struct dns_query *q = u->slot[i].q;
        if (q == NULL && u->slot[i].left_ns == 0)
            continue;
        free_slot(u, i);
        if (q == NULL)
            continue;
        q->asked_cnt += blame;
        if (q->asked_cnt >= ASK_MAX) {
            dns_answer_set(&q->answer, DNS_FAILED, "the resolver process ended each time over it");
            finish(u, q);
        } else {
            wait_for_turn(u, q, true);
            again_cnt++;
        }
    }
    if (what != NULL) {
        tell(u, what, again_cnt);
        stats_inc(u->stats, STATS_DNS_PROCESS_LOST);
    }
}

static int send_message(struct resolver_unbound *u, struct base_span message)
{
    ssize_t n = send(u->socket, message.p, message.len, MSG_NOSIGNAL | MSG_DONTWAIT);

    return n == (ssize_t)message.len ? 0 : n >= 0 ? -EIO : -errno;
}

void resolver_unbound_attach(struct resolver_unbound *u, int socket, struct resolver_config *config,
                             uint64_t now_ns)
{
    struct epoll_event e = {.events = EPOLLIN};
    uint8_t start[16];
    struct base_buf b = {.p = start, .cap = sizeof(start)};
    struct base_span message;
    int error = 0;

    u->now_ns = now_ns;
    drop(u, NULL, false);
    resolver_config_free(u->config);
    u->config = config;
    u->socket = socket;
    if (epoll_ctl(u->epoll, EPOLL_CTL_ADD, socket, &e) != 0)
        error = -errno;
    for (uint32_t i = 0; error == 0 && resolver_config_message(config, i, &message); i++)
        error = send_message(u, message);
    int failed = dns_wire_put_start(&b);
    base_assert(failed == 0);
    if (error == 0)
        error = send_message(u, base_buf_span(&b));
    if (error != 0)
        drop(u, "process does not take its settings", true);
    else
        stats_inc(u->stats, STATS_DNS_PROCESSES);
}

/* All that wait: the settings are wrong, and asking later makes them no better. */
static void refused(struct resolver_unbound *u, struct base_span why)
{
    char text[RESOLVER_NEWS_CAP];
    struct base_list *node;

    snprintf(text, sizeof(text), "refused its settings: %.*s", (int)(why.len < 100 ? why.len : 100),
             (const char *)why.p);
    drop(u, text, true);
    while ((node = base_list_pop_front(&u->waiting)) != NULL) {
        struct dns_query *q = base_container_of(node, struct dns_query, node);
        u->waiting_cnt--;
        dns_answer_set(&q->answer, DNS_FAILED, text);
        finish(u, q);
    }
}

/* ---- what comes back ---- */

/* Returns false for an answer to nothing that was asked. */
static bool take_answer(struct resolver_unbound *u, const struct dns_wire_message *m)
{
    uint32_t i = m->id & 0xffff;

    if (i >= u->lookups || m->id != id_of(u, i) ||
        (u->slot[i].q == NULL && u->slot[i].left_ns == 0))
        return false;
    struct dns_query *q = u->slot[i].q;
    free_slot(u, i);
    if (q == NULL) {
        stats_inc(u->stats, STATS_DNS_LATE);
        return true;
    }
    dns_wire_answer(m, &q->answer);
    finish(u, q);
    return true;
}

/* Returns false when the process is gone. */
static bool take_message(struct resolver_unbound *u, size_t len)
{
    struct dns_wire_message m;
    bool ok = dns_wire_read(&m, base_span_of(u->room, len)) == 0;

    if (ok && m.kind == DNS_WIRE_REFUSED && !u->ready) {
        refused(u, m.text);
        return false;
    }
    if (ok && m.kind == DNS_WIRE_READY && !u->ready)
        u->ready = true;
    else if (!ok || m.kind != DNS_WIRE_ANSWER || !u->ready || !take_answer(u, &m)) {
        stats_inc(u->stats, STATS_DNS_BAD_MESSAGES);
        drop(u, "process sent what is no message", true);
        return false;
    }
    return true;
}

static void receive(struct resolver_unbound *u)
{
    for (int i = 0; i < RECEIVE_BURST && u->socket >= 0; i++) {
        ssize_t n = recv(u->socket, u->room, DNS_WIRE_MAX, MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            drop(u, "process ended", true);
            return;
        }
        /* What was cut is longer than any message: refused as one that is malformed. */
        if (!take_message(u, n > DNS_WIRE_MAX ? 0 : (size_t)n))
            return;
    }
}

/* ---- the way out ---- */

static void send_questions(struct resolver_unbound *u)
{
    uint8_t room[DNS_WIRE_SMALL_MAX];

    u->full = false;
    while (u->ready && u->free_head != SLOT_NONE && !base_list_empty(&u->waiting)) {
        struct dns_query *q = base_container_of(u->waiting.next, struct dns_query, node);
        uint64_t left_ns = q->deadline_ns > u->now_ns ? q->deadline_ns - u->now_ns : 1;
        uint64_t left_ms = (left_ns + BASE_NS_MS - 1) / BASE_NS_MS;
        struct base_buf b = {.p = room, .cap = sizeof(room)};
        uint32_t i = take_slot(u, q);
        int failed = dns_wire_put_ask(&b, id_of(u, i), q->name, q->type,
                                      left_ms < UINT32_MAX ? (uint32_t)left_ms : UINT32_MAX);
        base_assert(failed == 0);
        int error = send_message(u, base_buf_span(&b));
        if (error == 0) {
            base_list_remove(&q->node);
            u->waiting_cnt--;
            continue;
        }
        q->slot = SLOT_NONE;
        free_slot(u, i);
        u->full = error == -EAGAIN;
        if (!u->full)
            drop(u, "process ended", true);
        return;
    }
}

/* It owes answers for questions whose time was over long ago. */
static bool hangs(const struct resolver_unbound *u)
{
    for (uint32_t i = 0; i < u->lookups && u->left_cnt > 0; i++)
        if (u->slot[i].left_ns != 0 && u->now_ns >= u->slot[i].left_ns + RESOLVER_HUNG_NS)
            return true;
    return false;
}

static uint32_t poll(void *state, struct dns_query **done, uint32_t cap, uint64_t now_ns)
{
    struct resolver_unbound *u = state;
    struct base_timer *t;
    struct base_list *node;
    uint32_t n = 0;

    u->now_ns = now_ns;
    receive(u);
    while ((t = base_wheel_pop(&u->wheel, now_ns)) != NULL)
        give_up(u, base_container_of(t, struct dns_query, timer));
    if (u->left_cnt > 0 && hangs(u))
        drop(u, "process does not answer", true);
    send_questions(u);
    while (n < cap && (node = base_list_pop_front(&u->done)) != NULL)
        done[n++] = base_container_of(node, struct dns_query, node);
    stats_set(u->stats, STATS_DNS_WAITING, u->waiting_cnt);
    return n;
}

static uint64_t deadline(void *state)
{
    const struct resolver_unbound *u = state;
    uint64_t next = base_wheel_next(&u->wheel);

    if (!base_list_empty(&u->done))
        return u->now_ns;
    if (u->full && next > u->now_ns + RETRY_NS)
        next = u->now_ns + RETRY_NS;
    if (u->left_cnt > 0 && next > u->now_ns + RESOLVER_HUNG_NS)
        next = u->now_ns + RESOLVER_HUNG_NS;
    return next;
}

static int wait_fd(void *state)
{
    const struct resolver_unbound *u = state;

    return u->epoll;
}

struct dns_resolver resolver_unbound_driver(struct resolver_unbound *u)
{
    static const struct dns_resolver_ops ops = {"unbound", submit, poll, deadline, wait_fd};

    return (struct dns_resolver){&ops, u};
}

/* ---- start and end ---- */

struct resolver_unbound *resolver_unbound_open(uint32_t lookups, struct stats_block *stats,
                                               uint64_t now_ns)
{
    base_assert(lookups > 0 && lookups <= RESOLVER_LOOKUPS_MAX);
    struct resolver_unbound *u = calloc(1, sizeof(*u) + lookups * sizeof(u->slot[0]));

    if (u == NULL)
        return NULL;
    u->room = malloc(DNS_WIRE_MAX);
    u->epoll = epoll_create1(EPOLL_CLOEXEC);
    u->socket = -1;
    u->lookups = lookups;
    u->stats = stats;
    u->now_ns = now_ns;
    u->free_head = SLOT_NONE;
    base_wheel_init(&u->wheel, now_ns);
    base_list_init(&u->waiting);
    base_list_init(&u->done);
    for (uint32_t i = lookups; i-- > 0;)
        free_slot(u, i);
    if (u->room != NULL && u->epoll >= 0)
        return u;
    resolver_unbound_close(u);
    return NULL;
}

void resolver_unbound_close(struct resolver_unbound *u)
{
    if (u->socket >= 0)
        close(u->socket);
    if (u->epoll >= 0)
        close(u->epoll);
    resolver_config_free(u->config);
    free(u->room);
    free(u);
}

bool resolver_unbound_wants(const struct resolver_unbound *u)
{
    return u->socket < 0 && u->waiting_cnt > 0;
}

bool resolver_unbound_attached(const struct resolver_unbound *u)
{
    return u->socket >= 0;
}

bool resolver_unbound_news(struct resolver_unbound *u, char text[RESOLVER_NEWS_CAP])
{
    if (u->news[0] == 0)
        return false;
    memcpy(text, u->news, sizeof(u->news));
    u->news[0] = 0;
    return true;
}
