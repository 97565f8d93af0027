#include "https_curl.h"
#include "base_bytes.h"
#include "https_wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_BURST 64
#define SLOT_NONE     UINT32_MAX
#define ASK_MAX       3                /* processes that a request may see end */
#define RETRY_NS      (5 * BASE_NS_MS) /* while the socket is full */
#define SOCKET_BYTES  (2 * HTTPS_WIRE_MAX)

/* A request that the process has. Its id is the place of the slot and a number that changes with
 * each use, so that what comes late is known. */
struct slot {
    struct https_request *r; /* NULL while left_ns is set: it went back without an answer */
    uint64_t left_ns;        /* the process still owes an answer, by this time's grace; 0: no */
    uint32_t turn;
};

struct https_curl {
    struct stats_block *stats;
    int epoll, socket;        /* -1: no process */
    bool ready;               /* it has taken the authorities */
    bool full;                /* the socket took no more */
    struct base_list waiting; /* requests that no process has */
    struct base_list done;    /* to be returned by poll */
    uint32_t waiting_cnt, busy_cnt, left_cnt;
    uint64_t now_ns, idle_since_ns;
    char news[HTTPS_CURL_NEWS];
    uint8_t *room, *out; /* HTTPS_WIRE_MAX bytes each */
    struct slot slot[HTTPS_CURL_SLOTS];
};

/* ---- slots ---- */

static uint32_t id_of(const struct https_curl *u, uint32_t i)
{
    return i | u->slot[i].turn << 16;
}

static bool slot_busy(const struct slot *s)
{
    return s->r != NULL || s->left_ns != 0;
}

static void free_slot(struct https_curl *u, uint32_t i)
{
    struct slot *s = &u->slot[i];

    u->left_cnt -= s->left_ns != 0;
    u->busy_cnt--;
    *s = (struct slot){.turn = (s->turn + 1) & 0xffff};
}

static uint32_t take_slot(struct https_curl *u, struct https_request *r)
{
    for (uint32_t i = 0; i < HTTPS_CURL_SLOTS; i++)
        if (!slot_busy(&u->slot[i])) {
            u->slot[i].r = r;
            u->busy_cnt++;
            r->slot = i;
            return i;
        }
    return SLOT_NONE;
}

/* ---- requests ---- */

static void wait_for_turn(struct https_curl *u, struct https_request *r, bool first)
{
    r->slot = SLOT_NONE;
    u->waiting_cnt++;
    if (first)
        base_list_push_front(&u->waiting, &r->node);
    else
        base_list_push_back(&u->waiting, &r->node);
}

static void submit(void *state, struct https_request *r, uint64_t now_ns)
{
    struct https_curl *u = state;

    base_assert(r->address_cnt > 0 && r->deadline_ns > 0);
    u->now_ns = now_ns;
    r->asked_cnt = 0;
    wait_for_turn(u, r, false);
}

/* Its deadline is here. */
static void give_up(struct https_curl *u, struct https_request *r)
{
    https_request_fail(r, HTTPS_TIMEOUT,
                       u->socket < 0 ? "the process for HTTPS is not there" : NULL);
    if (r->slot == SLOT_NONE) {
        base_list_remove(&r->node);
        u->waiting_cnt--;
    } else {
        u->slot[r->slot].r = NULL;
        u->slot[r->slot].left_ns = u->now_ns;
        u->left_cnt++;
    }
    base_list_push_back(&u->done, &r->node);
}

static void expire(struct https_curl *u)
{
    for (uint32_t i = 0; i < HTTPS_CURL_SLOTS && u->busy_cnt > u->left_cnt; i++)
        if (u->slot[i].r != NULL && u->slot[i].r->deadline_ns <= u->now_ns)
            give_up(u, u->slot[i].r);
    base_list_each (node, &u->waiting) {
        struct https_request *r = base_container_of(node, struct https_request, node);
        if (r->deadline_ns <= u->now_ns)
            give_up(u, r);
    }
}

/* ---- the process ---- */

/* It has ended, or is given up: what it had goes to the next. */
static void drop(struct https_curl *u, const char *what, bool blame)
{
    uint32_t again_cnt = 0;

    if (u->socket < 0)
        return;
    close(u->socket); /* out of the epoll set, too */
    u->socket = -1;
    u->ready = false;
    u->full = false;
    for (uint32_t i = HTTPS_CURL_SLOTS; i-- > 0;) {
        struct https_request *r = u->slot[i].r;
        if (!slot_busy(&u->slot[i]))
            continue;
        free_slot(u, i);
        if (r == NULL)
            continue;
        r->asked_cnt += blame;
        if (r->asked_cnt >= ASK_MAX) {
            https_request_fail(r, HTTPS_FAILED, "the process for HTTPS ended each time over it");
            base_list_push_back(&u->done, &r->node);
        } else {
            wait_for_turn(u, r, true);
            again_cnt++;
        }
    }
    if (what == NULL)
        return;
    snprintf(u->news, sizeof(u->news), "https %.120s; requests to be made again: %u", what,
             again_cnt);
    stats_inc(u->stats, STATS_HTTPS_PROCESS_LOST);
}

static int send_message(struct https_curl *u, struct base_span message, int fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = u->out, .iov_len = message.len};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

    base_assert(message.p == u->out);
    if (fd >= 0) {
        m.msg_control = &control;
        m.msg_controllen = sizeof(control);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(int));
    }
    ssize_t n = sendmsg(u->socket, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    return n == (ssize_t)message.len ? 0 : n >= 0 ? -EIO : -errno;
}

void https_curl_attach(struct https_curl *u, int socket, int authorities, uint64_t now_ns)
{
    struct epoll_event e = {.events = EPOLLIN};
    struct base_buf b = {.p = u->out, .cap = HTTPS_WIRE_MAX};
    const int bytes = SOCKET_BYTES;

    u->now_ns = now_ns;
    drop(u, NULL, false);
    u->socket = socket;
    u->idle_since_ns = now_ns;
    (void)setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
    int failed = https_wire_put_start(&b);
    base_assert(failed == 0);
    if (epoll_ctl(u->epoll, EPOLL_CTL_ADD, socket, &e) != 0 ||
        send_message(u, base_buf_span(&b), authorities) != 0)
        drop(u, "process does not take its settings", true);
    else
        stats_inc(u->stats, STATS_HTTPS_PROCESSES);
    if (authorities >= 0)
        close(authorities);
}

/* All that wait: asking later makes the settings no better. */
static void refused(struct https_curl *u, struct base_span why)
{
    char text[HTTPS_CURL_NEWS];
    struct base_list *node;

    snprintf(text, sizeof(text), "refused its settings: %.*s", (int)(why.len < 100 ? why.len : 100),
             (const char *)why.p);
    drop(u, text, true);
    while ((node = base_list_pop_front(&u->waiting)) != NULL) {
        struct https_request *r = base_container_of(node, struct https_request, node);
        u->waiting_cnt--;
        https_request_fail(r, HTTPS_FAILED, text);
        base_list_push_back(&u->done, &r->node);
    }
}

/* ---- what comes back ---- */

/* Returns false for an answer to nothing that was asked. */
static bool take_answer(struct https_curl *u, const struct https_wire_message *m)
{
    uint32_t i = m->id & 0xffff;

    if (i >= HTTPS_CURL_SLOTS || m->id != id_of(u, i) || !slot_busy(&u->slot[i]))
        return false;
    struct https_request *r = u->slot[i].r;
    free_slot(u, i);
    if (r == NULL)
        return true; /* its time was over before */
    https_wire_answer(m, r);
    base_list_push_back(&u->done, &r->node);
    return true;
}

/* Returns false when the process is gone. */
static bool take_message(struct https_curl *u, size_t len)
{
    struct https_wire_message m;
    bool ok = https_wire_read(&m, base_span_of(u->room, len)) == 0;

    if (ok && m.kind == HTTPS_WIRE_REFUSED && !u->ready) {
        refused(u, m.text);
        return false;
    }
    if (ok && m.kind == HTTPS_WIRE_READY && !u->ready)
        u->ready = true;
    else if (!ok || m.kind != HTTPS_WIRE_ANSWER || !u->ready || !take_answer(u, &m)) {
        stats_inc(u->stats, STATS_HTTPS_BAD_MESSAGES);
        drop(u, "process sent what is no message", true);
        return false;
    }
    return true;
}

static void receive(struct https_curl *u)
{
    for (int i = 0; i < RECEIVE_BURST && u->socket >= 0; i++) {
        ssize_t n = recv(u->socket, u->room, HTTPS_WIRE_MAX, MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0) {
            drop(u, "process ended", true);
            return;
        }
        /* What was cut is longer than any message: refused as one that is malformed. */
        if (!take_message(u, n > HTTPS_WIRE_MAX ? 0 : (size_t)n))
            return;
    }
}

/* ---- the way out ---- */

static void send_requests(struct https_curl *u)
{
    u->full = false;
    while (u->ready && u->busy_cnt < HTTPS_CURL_SLOTS && !base_list_empty(&u->waiting)) {
        struct https_request *r = base_container_of(u->waiting.next, struct https_request, node);
        uint64_t left_ms = (r->deadline_ns - u->now_ns + BASE_NS_MS - 1) / BASE_NS_MS;
        struct base_buf b = {.p = u->out, .cap = HTTPS_WIRE_MAX};
        uint32_t i = take_slot(u, r);
        int failed = https_wire_put_ask(&b, id_of(u, i), r,
                                        left_ms < UINT32_MAX ? (uint32_t)left_ms : UINT32_MAX);
        base_assert(failed == 0);
        int error = send_message(u, base_buf_span(&b), -1);
        if (error == 0) {
            base_list_remove(&r->node);
            u->waiting_cnt--;
            continue;
        }
        r->slot = SLOT_NONE;
        free_slot(u, i);
        u->full = error == -EAGAIN;
        if (!u->full)
            drop(u, "process ended", true);
        return;
    }
}

/* It owes answers for requests whose time was over long ago. */
static bool hangs(const struct https_curl *u)
{
    for (uint32_t i = 0; i < HTTPS_CURL_SLOTS && u->left_cnt > 0; i++)
        if (u->slot[i].left_ns != 0 && u->now_ns >= u->slot[i].left_ns + HTTPS_CURL_HUNG_NS)
            return true;
    return false;
}

static uint32_t poll(void *state, struct https_request **done, uint32_t cap, uint64_t now_ns)
{
    struct https_curl *u = state;
    struct base_list *node;
    uint32_t n = 0;

    u->now_ns = now_ns;
    receive(u);
    expire(u);
    if (u->left_cnt > 0 && hangs(u))
        drop(u, "process does not answer", true);
    send_requests(u);
    if (u->busy_cnt + u->waiting_cnt > 0)
        u->idle_since_ns = now_ns;
    else if (now_ns - u->idle_since_ns >= HTTPS_CURL_IDLE_NS)
        drop(u, NULL, false); /* it ends */
    while (n < cap && (node = base_list_pop_front(&u->done)) != NULL)
        done[n++] = base_container_of(node, struct https_request, node);
    return n;
}

static uint64_t deadline(void *state)
{
    const struct https_curl *u = state;
    uint64_t next = BASE_NS_NONE;

    if (!base_list_empty(&u->done))
        return u->now_ns;
    for (uint32_t i = 0; i < HTTPS_CURL_SLOTS && u->busy_cnt > 0; i++)
        if (u->slot[i].r != NULL && u->slot[i].r->deadline_ns < next)
            next = u->slot[i].r->deadline_ns;
    base_list_each (node, &u->waiting) {
        const struct https_request *r = base_container_of(node, struct https_request, node);
        next = r->deadline_ns < next ? r->deadline_ns : next;
    }
    if (u->full && next > u->now_ns + RETRY_NS)
        next = u->now_ns + RETRY_NS;
    if (u->socket >= 0 && next > u->idle_since_ns + HTTPS_CURL_IDLE_NS)
        next = u->idle_since_ns + HTTPS_CURL_IDLE_NS;
    if (u->left_cnt > 0 && next > u->now_ns + HTTPS_CURL_HUNG_NS)
        next = u->now_ns + HTTPS_CURL_HUNG_NS;
    return next;
}

static int wait_fd(void *state)
{
    const struct https_curl *u = state;

    return u->epoll;
}

struct https_client https_curl_client(struct https_curl *u)
{
    static const struct https_client_ops ops = {"curl", submit, poll, deadline, wait_fd};

    return (struct https_client){&ops, u};
}

/* ---- start and end ---- */

struct https_curl *https_curl_open(struct stats_block *stats, uint64_t now_ns)
{
    struct https_curl *u = calloc(1, sizeof(*u));

    if (u == NULL)
        return NULL;
    u->room = malloc(HTTPS_WIRE_MAX);
    u->out = malloc(HTTPS_WIRE_MAX);
    u->epoll = epoll_create1(EPOLL_CLOEXEC);
    u->socket = -1;
    u->stats = stats;
    u->now_ns = now_ns;
    base_list_init(&u->waiting);
    base_list_init(&u->done);
    if (u->room != NULL && u->out != NULL && u->epoll >= 0)
        return u;
    https_curl_close(u);
    return NULL;
}

void https_curl_close(struct https_curl *u)
{
    if (u->socket >= 0)
        close(u->socket);
    if (u->epoll >= 0)
        close(u->epoll);
    free(u->room);
    free(u->out);
    free(u);
}

bool https_curl_wants(const struct https_curl *u)
{
    return u->socket < 0 && u->waiting_cnt > 0;
}

bool https_curl_attached(const struct https_curl *u)
{
    return u->socket >= 0;
}

bool https_curl_news(struct https_curl *u, char text[HTTPS_CURL_NEWS])
{
    if (u->news[0] == 0)
        return false;
    memcpy(text, u->news, sizeof(u->news));
    u->news[0] = 0;
    return true;
}
