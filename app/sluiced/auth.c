#include "auth.h"
#include "base_siphash.h"
#include "base_time.h"
#include "loop.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <rte_ring.h>

#define BURST     64
#define SLOT_BITS 20
#define LIMIT_CNT 65536
#define KNOWN_NS  (14 * UINT64_C(86400) * BASE_NS_S) /* that a client is known by its login */
#define LIMIT_ALL 1                                  /* the one key of all */

/* ---- start and end ---- */

int auth_init(struct auth *a, const struct conf_auth *conf, struct topology *t, int socket,
              const uint8_t secret[16])
{
    *a = (struct auth){.conf = conf, .topology = t, .socket = socket};
    atomic_init(&a->next_socket, -1);
    atomic_init(&a->next_file, -1);
    atomic_init(&a->lost, false);
    base_list_init(&a->asked);
    base_list_init(&a->delayed);
    memcpy(a->secret, secret, sizeof(a->secret));
    a->stats = topology_stats(t, TOPOLOGY_AUTH, 0);
    a->log = topology_log(t, TOPOLOGY_AUTH, 0);
    a->slot_cnt = t->lane_cnt * (uint32_t)conf->exchanges;
    base_assert(a->slot_cnt < 1u << SLOT_BITS);
    a->slots = calloc(a->slot_cnt, sizeof(struct auth_job *));
    a->free_slots = calloc(a->slot_cnt, sizeof(a->free_slots[0]));
    uint64_t period_ns = conf->failures_period_ns;
    if (a->slots == NULL || a->free_slots == NULL ||
        auth_limit_init(&a->client, LIMIT_CNT, conf->failures_client, period_ns) != 0 ||
        auth_limit_init(&a->login, LIMIT_CNT, conf->failures_login, period_ns) != 0 ||
        auth_limit_init(&a->all, 4, conf->failures_all, period_ns) != 0 ||
        auth_limit_init(&a->pair, LIMIT_CNT, 1, KNOWN_NS) != 0)
        return -ENOMEM;
    while (a->free_cnt < a->slot_cnt) {
        a->free_slots[a->free_cnt] = a->free_cnt;
        a->free_cnt++;
    }
    return 0;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void auth_fini(struct auth *a)
{
    if (a->conf == NULL)
        return;
    close_fd(a->socket);
    close_fd(atomic_exchange_explicit(&a->next_socket, -1, memory_order_acquire));
    close_fd(atomic_exchange_explicit(&a->next_file, -1, memory_order_acquire));
    free(a->slots);
    free(a->free_slots);
    auth_limit_fini(&a->client);
    auth_limit_fini(&a->login);
    auth_limit_fini(&a->all);
    auth_limit_fini(&a->pair);
    a->conf = NULL;
}

void auth_give_socket(struct auth *a, int socket)
{
    atomic_store_explicit(&a->lost, false, memory_order_relaxed);
    close_fd(atomic_exchange_explicit(&a->next_socket, socket, memory_order_acq_rel));
    doorbell_ring(&a->topology->auth_bell);
}

void auth_give_file(struct auth *a, int file)
{
    close_fd(atomic_exchange_explicit(&a->next_file, file, memory_order_acq_rel));
    doorbell_ring(&a->topology->auth_bell);
}

int auth_send(int socket, const struct auth_message *m, int fd)
{
    uint8_t bytes[AUTH_MESSAGE_MAX];
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = bytes, .iov_len = auth_message_write(bytes, m)};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n;

    if (fd >= 0) {
        h.msg_control = &control;
        h.msg_controllen = sizeof(control);
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &fd, sizeof(int));
    }
    do
        n = sendmsg(socket, &h, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    int error = n < 0 ? -errno : 0;
    OPENSSL_cleanse(bytes, iov.iov_len);
    return error;
}

/* ---- answers to the lanes ---- */

static void free_slot(struct auth *a, struct auth_job *job)
{
    if (job->id == 0)
        return;
    uint32_t slot = (uint32_t)(job->id & ((1u << SLOT_BITS) - 1));
    base_assert(a->slots[slot] == job);
    a->slots[slot] = NULL;
    a->free_slots[a->free_cnt++] = slot;
    job->id = 0;
}

/* The ring has room for all jobs of the lane. */
static void give(struct auth *a, struct auth_job *job)
{
    uint32_t lane = job->lane;

    base_assert(rte_ring_sp_enqueue(topology_ring(a->topology, TOPOLOGY_AUTH_LANE, lane), job) ==
                0);
    a->lanes_rung |= UINT64_C(1) << lane;
}

/* An answer that ends the exchange. */
static void end(struct auth *a, struct auth_job *job, enum auth_result result)
{
    static const enum stats_id ids[AUTH_RESULT_CNT] = {
        [AUTH_ACCEPTED] = STATS_AUTH_ACCEPTED,       [AUTH_REFUSED] = STATS_AUTH_REFUSED,
        [AUTH_MALFORMED] = STATS_AUTH_MALFORMED,     [AUTH_BUSY] = STATS_AUTH_BUSY,
        [AUTH_UNAVAILABLE] = STATS_AUTH_UNAVAILABLE, [AUTH_LIMITED] = STATS_AUTH_LIMITED_CLIENT,
    };

    stats_inc(a->stats, ids[result]);
    free_slot(a, job);
    job->result = (uint8_t)result;
    job->data_len = 0;
    OPENSSL_cleanse(job->data, sizeof(job->data));
    give(a, job);
}

/* ---- limits ---- */

static uint64_t key_of_client(const struct auth *a, const struct net_addr *client)
{
    struct net_addr prefix = *client;
    uint32_t bits = net_addr_is_v4(client) ? 96 + (uint32_t)a->conf->client_prefix
                                           : (uint32_t)a->conf->client_prefix6;

    for (uint32_t i = 0; i < 16; i++) {
        uint32_t keep = bits <= i * 8 ? 0 : bits - i * 8 < 8 ? bits - i * 8 : 8;
        prefix.b[i] = (uint8_t)(prefix.b[i] & 0xff00u >> keep);
    }
    return base_siphash(a->secret, &prefix, sizeof(prefix));
}

static uint64_t key_of_login(const struct auth *a, const struct auth_job *job)
{
    uint8_t folded[SMTP_SASL_LOGIN_MAX];

    for (uint32_t i = 0; i < job->login_len; i++) {
        uint8_t c = (uint8_t)job->login[i];
        folded[i] = (uint8_t)(c - 'A') < 26 ? (uint8_t)(c | 0x20) : c;
    }
    return base_siphash(a->secret, folded, job->login_len);
}

static uint64_t key_of_pair(const struct auth *a, const struct auth_job *job)
{
    uint64_t both[2] = {job->client_key, key_of_login(a, job)};

    return base_siphash(a->secret, both, sizeof(both));
}

/* A login that is being guessed stays closed but for those who have proved before that they know
 * it: else whoever can fail could lock its owner out. */
static enum auth_result admit(struct auth *a, struct auth_job *job, uint64_t now_ns)
{
    uint64_t pair = key_of_pair(a, job);

    if (job->mechanism != SMTP_SASL_EXTERNAL && /* in which nothing can be guessed */
        auth_limit_reached(&a->login, key_of_login(a, job), now_ns) &&
        !auth_limit_seen(&a->pair, pair, now_ns)) {
        stats_inc(a->stats, STATS_AUTH_LIMITED_LOGIN);
        return AUTH_BUSY;
    }
    (void)auth_limit_count(&a->pair, pair, now_ns);
    return AUTH_ACCEPTED;
}

static void count_failure(struct auth *a, struct auth_job *job, uint64_t now_ns)
{
    (void)auth_limit_count(&a->all, LIMIT_ALL, now_ns);
    if (job->login_len > 0)
        (void)auth_limit_count(&a->login, key_of_login(a, job), now_ns);
    (void)auth_limit_count(&a->client, job->client_key, now_ns);
    job->closes = auth_limit_reached(&a->client, job->client_key, now_ns);
}

/* ---- questions ---- */

static void ask(struct auth *a, struct auth_job *job, enum auth_message_kind kind, uint64_t now_ns)
{
    struct auth_message m = {
        .kind = (uint8_t)kind, .id = job->id, .mechanism = job->mechanism, .flags = job->flags};

    memcpy(m.client, job->client.b, sizeof(m.client));
    memcpy(m.binding, job->binding, sizeof(m.binding));
    auth_message_set_data(&m, base_span_of(job->data, job->data_len));
    if (kind == AUTH_MESSAGE_BEGIN)
        auth_message_set_login(&m, base_span_of(job->login, job->login_len));
    int error = a->socket < 0 ? -EPIPE : auth_send(a->socket, &m, -1);
    OPENSSL_cleanse(&m, sizeof(m));
    OPENSSL_cleanse(job->data, sizeof(job->data));
    if (error != 0)
        return end(a, job, error == -EAGAIN ? AUTH_BUSY : AUTH_UNAVAILABLE);
    job->asked = true;
    job->due_ns = now_ns + a->conf->timeout_ns;
    base_list_push_back(&a->asked, &job->place);
}

static void tell_cancel(struct auth *a, const struct auth_job *job)
{
    struct auth_message m = {.kind = AUTH_MESSAGE_CANCEL, .id = job->id};

    /* One that is not heard of it gives the exchange up when its place is needed. */
    if (a->socket >= 0 && auth_send(a->socket, &m, -1) != 0)
        stats_inc(a->stats, STATS_AUTH_CANCEL_LOST);
}

static void begin(struct auth *a, struct auth_job *job, uint64_t now_ns)
{
    stats_inc(a->stats, STATS_AUTH_TRIES);
    base_list_init(&job->place);
    job->client_key = key_of_client(a, &job->client);
    if (auth_limit_reached(&a->client, job->client_key, now_ns))
        return end(a, job, AUTH_LIMITED);
    if (auth_limit_reached(&a->all, LIMIT_ALL, now_ns)) {
        stats_inc(a->stats, STATS_AUTH_LIMITED_ALL);
        return end(a, job, AUTH_BUSY);
    }
    base_assert(a->free_cnt > 0); /* as many as jobs */
    uint32_t slot = a->free_slots[--a->free_cnt];
    a->slots[slot] = job;
    job->id = ++a->serial << SLOT_BITS | slot;
    ask(a, job, AUTH_MESSAGE_BEGIN, now_ns);
}

static void take_job(struct auth *a, struct auth_job *job, uint64_t now_ns)
{
    switch (job->kind) {
    case AUTH_JOB_BEGIN:
        return begin(a, job, now_ns);
    case AUTH_JOB_RESPONSE:
        return ask(a, job, AUTH_MESSAGE_RESPONSE, now_ns);
    default:
        base_assert(job->kind == AUTH_JOB_CANCEL);
        tell_cancel(a, job);
        free_slot(a, job);
        give(a, job);
    }
}

static uint32_t take_jobs(struct auth *a, uint64_t now_ns)
{
    uint32_t total = 0;

    for (uint32_t lane = 0; lane < a->topology->lane_cnt; lane++) {
        void *jobs[BURST];
        uint32_t n = rte_ring_sc_dequeue_burst(topology_ring(a->topology, TOPOLOGY_LANE_AUTH, lane),
                                               jobs, BURST, NULL);
        for (uint32_t i = 0; i < n; i++)
            take_job(a, jobs[i], now_ns);
        total += n;
    }
    return total;
}

/* ---- the process ---- */

static void say(struct auth *a, enum stats_log_event event, struct base_span text, uint64_t wall_ns)
{
    struct stats_log_record r = {.wall_ns = wall_ns, .event = (uint16_t)event};

    stats_log_text(&r, text);
    stats_log_push(&a->log, &r);
}

static void take_result(struct auth *a, const struct auth_message *m, uint64_t now_ns)
{
    uint32_t slot = (uint32_t)(m->id & ((1u << SLOT_BITS) - 1));
    struct auth_job *job = slot < a->slot_cnt ? a->slots[slot] : NULL;

    if (job == NULL || job->id != m->id || !job->asked)
        return; /* given up meanwhile */
    base_list_remove(&job->place);
    job->asked = false;
    job->login_len = m->login_len;
    memcpy(job->login, m->login, m->login_len + 1u);
    switch (m->result) {
    case AUTH_CHALLENGE:
        job->result = AUTH_CHALLENGE;
        job->data_len = m->data_len;
        memcpy(job->data, m->data, m->data_len);
        return give(a, job);
    case AUTH_ACCEPTED:
        return end(a, job, admit(a, job, now_ns));
    case AUTH_REFUSED:
    case AUTH_MALFORMED:
        count_failure(a, job, now_ns);
        job->result = m->result;
        free_slot(a, job);
        job->due_ns = now_ns + a->conf->failure_delay_ns;
        return base_list_push_back(&a->delayed, &job->place);
    case AUTH_BUSY:
        return end(a, job, AUTH_BUSY);
    default:
        return end(a, job, AUTH_UNAVAILABLE);
    }
}

static void take_message(struct auth *a, const struct auth_message *m, uint64_t now_ns,
                         uint64_t wall_ns)
{
    struct base_span text = base_span_of(m->data, m->data_len);

    switch (m->kind) {
    case AUTH_MESSAGE_RESULT:
        return take_result(a, m, now_ns);
    case AUTH_MESSAGE_LOADED:
        stats_inc(a->stats, STATS_AUTH_LOADED);
        return say(a, STATS_LOG_NOTE, text, wall_ns);
    case AUTH_MESSAGE_FAILED:
        stats_inc(a->stats, STATS_AUTH_NOT_LOADED);
        return say(a, STATS_LOG_WARNING, text, wall_ns);
    default:
        return say(a, STATS_LOG_WARNING, text, wall_ns);
    }
}

/* The process has gone, or talks nonsense: what it had is for later. */
static void lose(struct auth *a, uint64_t wall_ns)
{
    struct base_list *node;

    if (a->loop != NULL)
        loop_unwatch(a->loop, a->socket);
    close(a->socket);
    a->socket = -1;
    stats_inc(a->stats, STATS_AUTH_LOST);
    say(a, STATS_LOG_WARNING, base_span_str("the process of the accounts died; logins must wait"),
        wall_ns);
    while ((node = base_list_pop_front(&a->asked)) != NULL) {
        struct auth_job *job = base_container_of(node, struct auth_job, place);
        job->asked = false;
        end(a, job, AUTH_UNAVAILABLE);
    }
    atomic_store_explicit(&a->lost, true, memory_order_release);
}

static uint32_t take_messages(struct auth *a, uint64_t now_ns, uint64_t wall_ns)
{
    uint8_t bytes[AUTH_MESSAGE_MAX];
    struct auth_message m;
    uint32_t n = 0;

    while (a->socket >= 0 && n < BURST) {
        ssize_t len = recv(a->socket, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (len < 0 && errno == EINTR)
            continue;
        if (len < 0 && errno == EAGAIN)
            break;
        if (len <= 0 || auth_message_read(&m, base_span_of(bytes, (size_t)len)) != 0 ||
            m.kind < AUTH_MESSAGE_RESULT)
            lose(a, wall_ns);
        else
            take_message(a, &m, now_ns, wall_ns);
        n++;
    }
    return n;
}

/* What control has given. */
static void take_gifts(struct auth *a, uint64_t wall_ns)
{
    if (atomic_load_explicit(&a->next_socket, memory_order_relaxed) >= 0) {
        int socket = atomic_exchange_explicit(&a->next_socket, -1, memory_order_acquire);
        if (socket >= 0) {
            if (a->socket >= 0)
                lose(a, wall_ns);
            a->socket = socket;
            if (a->loop != NULL && loop_watch(a->loop, socket) != 0)
                lose(a, wall_ns);
        }
    }
    if (a->socket < 0 || atomic_load_explicit(&a->next_file, memory_order_relaxed) < 0)
        return;
    int file = atomic_exchange_explicit(&a->next_file, -1, memory_order_acquire);
    struct auth_message m = {.kind = AUTH_MESSAGE_FILE};
    if (file >= 0 && auth_send(a->socket, &m, file) != 0)
        say(a, STATS_LOG_WARNING, base_span_str("the changed passwd file could not be handed over"),
            wall_ns);
    close_fd(file);
}

/* ---- time ---- */

static uint32_t expire(struct auth *a, uint64_t now_ns)
{
    uint32_t n = 0;

    while (!base_list_empty(&a->delayed) && n < BURST) {
        struct auth_job *job = base_container_of(a->delayed.next, struct auth_job, place);
        if (job->due_ns > now_ns)
            break;
        base_list_remove(&job->place);
        end(a, job, (enum auth_result)job->result);
        n++;
    }
    while (!base_list_empty(&a->asked) && n < BURST) {
        struct auth_job *job = base_container_of(a->asked.next, struct auth_job, place);
        if (job->due_ns > now_ns)
            break;
        base_list_remove(&job->place);
        job->asked = false;
        stats_inc(a->stats, STATS_AUTH_TIMEOUTS);
        tell_cancel(a, job);
        end(a, job, AUTH_UNAVAILABLE);
        n++;
    }
    return n;
}

static uint64_t due(const struct base_list *list)
{
    return base_list_empty(list) ? BASE_NS_NONE
                                 : base_container_of(list->next, struct auth_job, place)->due_ns;
}

uint64_t auth_deadline(const struct auth *a)
{
    uint64_t asked = due(&a->asked), delayed = due(&a->delayed);

    return asked < delayed ? asked : delayed;
}

bool auth_pass(struct auth *a, uint64_t now_ns, uint64_t wall_ns)
{
    uint32_t work = 0;

    a->lanes_rung = 0;
    take_gifts(a, wall_ns);
    work += take_jobs(a, now_ns);
    work += take_messages(a, now_ns, wall_ns);
    work += expire(a, now_ns);
    for (uint32_t lane = 0; lane < a->topology->lane_cnt; lane++)
        if (a->lanes_rung >> lane & 1)
            doorbell_ring(&a->topology->lane_bell[lane]);
    return work > 0;
}
