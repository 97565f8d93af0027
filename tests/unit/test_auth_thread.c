/*
 * The auth thread between lanes and the process of the accounts: delays, limits, cancels and losses
 * in virtual time; then all of them as threads, with a process that dies again and again: every
 * login comes back, once.
 */
#include "unit.h"

#include "auth.h"
#include "base_time.h"
#include "conn.h"
#include "dpdk_eal.h"
#include "loop.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_ring.h>

static const uint8_t secret[16] = "0123456789abcde";
static struct topology t;
static struct auth a;
static struct conf_auth conf;
static int process; /* the other end of the socket */

static int open_thread(void **state)
{
    int pair[2];

    (void)state;
    conf = (struct conf_auth){.exchanges = 64,
                              .timeout_ns = 10 * BASE_NS_S,
                              .failure_delay_ns = BASE_NS_S,
                              .failures_client = 4,
                              .failures_login = 3,
                              .failures_period_ns = 600 * BASE_NS_S,
                              .client_prefix = 24,
                              .client_prefix6 = 64};
    assert_int_equal(topology_init(&t, 2, 1, "auth", true), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(auth_init(&a, &conf, &t, pair[0], secret), 0);
    process = pair[1];
    return 0;
}

static int close_thread(void **state)
{
    (void)state;
    auth_fini(&a);
    topology_fini(&t);
    close(process);
    return 0;
}

static struct auth_job make_job(uint8_t lane, uint8_t network, const char *response)
{
    struct auth_job j = {.lane = lane,
                         .kind = AUTH_JOB_BEGIN,
                         .data_len = (uint16_t)strlen(response),
                         .client.b = {[10] = 0xff, [11] = 0xff, [12] = 10, [14] = network}};

    base_list_init(&j.place);
    memcpy(j.data, response, j.data_len);
    return j;
}

static void push(struct auth_job *j, enum auth_job_kind kind)
{
    j->kind = (uint8_t)kind;
    assert_int_equal(rte_ring_sp_enqueue(topology_ring(&t, TOPOLOGY_LANE_AUTH, j->lane), j), 0);
}

static struct auth_job *pop(uint8_t lane)
{
    void *j;

    return rte_ring_sc_dequeue(topology_ring(&t, TOPOLOGY_AUTH_LANE, lane), &j) == 0 ? j : NULL;
}

static struct auth_message hear(void)
{
    uint8_t bytes[AUTH_MESSAGE_MAX];
    struct auth_message m;
    ssize_t n = recv(process, bytes, sizeof(bytes), MSG_DONTWAIT);

    assert_true(n > 0);
    assert_int_equal(auth_message_read(&m, base_span_of(bytes, (size_t)n)), 0);
    return m;
}

static void say(uint64_t id, enum auth_result result, const char *login)
{
    struct auth_message m = {.kind = AUTH_MESSAGE_RESULT, .id = id, .result = (uint8_t)result};

    auth_message_set_login(&m, base_span_str(login));
    assert_int_equal(auth_send(process, &m, -1), 0);
}

/* One login, answered by the process; when it is back at the lane, and how. */
static enum auth_result try_login(struct auth_job *j, enum auth_result result, const char *login,
                                  uint64_t now_ns)
{
    push(j, AUTH_JOB_BEGIN);
    auth_pass(&a, now_ns, 1);
    struct auth_job *back = pop(j->lane);
    if (back != NULL)
        return back->result;
    say(hear().id, result, login);
    auth_pass(&a, now_ns, 1);
    if (result == AUTH_REFUSED) {
        assert_null(pop(j->lane));
        assert_int_equal(auth_deadline(&a), now_ns + BASE_NS_S);
        auth_pass(&a, now_ns + BASE_NS_S, 1);
    }
    back = pop(j->lane);
    assert_ptr_equal(back, j);
    assert_int_equal(j->id, 0);
    assert_int_equal(auth_deadline(&a), BASE_NS_NONE);
    return back->result;
}

static void answers(void **state)
{
    (void)state;
    struct auth_job j = make_job(1, 1, "\1one");

    assert_int_equal(try_login(&j, AUTH_ACCEPTED, "ann", 10), AUTH_ACCEPTED);
    assert_string_equal(j.login, "ann");
    assert_int_equal(try_login(&j, AUTH_BUSY, "", 20), AUTH_BUSY);
    assert_int_equal(try_login(&j, AUTH_REFUSED, "ann", 30), AUTH_REFUSED);
    assert_int_equal(j.data[0], 0); /* nothing of a password is left */
    assert_int_equal(stats_get(a.stats, STATS_AUTH_TRIES), 3);
}

static void steps_and_cancel(void **state)
{
    (void)state;
    struct auth_job j = make_job(0, 1, "first");

    push(&j, AUTH_JOB_BEGIN);
    auth_pass(&a, 1, 1);
    struct auth_message m = hear();
    assert_int_equal(m.kind, AUTH_MESSAGE_BEGIN);
    assert_memory_equal(m.data, "first", 5);
    say(m.id, AUTH_CHALLENGE, "");
    say(m.id, AUTH_ACCEPTED, "eve"); /* one that was not asked for */
    auth_pass(&a, 2, 1);
    assert_ptr_equal(pop(0), &j);
    assert_int_equal(j.result, AUTH_CHALLENGE);
    assert_null(pop(0));
    j.data_len = 6;
    memcpy(j.data, "second", 6);
    push(&j, AUTH_JOB_RESPONSE);
    auth_pass(&a, 3, 1);
    m = hear();
    assert_int_equal(m.kind, AUTH_MESSAGE_RESPONSE);
    assert_int_equal(m.id, j.id);
    say(m.id, AUTH_CHALLENGE, "");
    auth_pass(&a, 4, 1);
    assert_ptr_equal(pop(0), &j);
    push(&j, AUTH_JOB_CANCEL);
    auth_pass(&a, 5, 1);
    m = hear();
    assert_int_equal(m.kind, AUTH_MESSAGE_CANCEL);
    assert_ptr_equal(pop(0), &j);
    assert_int_equal(j.id, 0);
    assert_int_equal(a.free_cnt, a.slot_cnt);
}

static void limits(void **state)
{
    (void)state;
    struct auth_job j = make_job(0, 1, "x"), other = make_job(0, 2, "x");
    uint64_t now = 1000 * BASE_NS_S;

    /* One that has logged in before is heard although the login is being guessed by others. */
    assert_int_equal(try_login(&j, AUTH_ACCEPTED, "ann", now), AUTH_ACCEPTED);
    for (int i = 0; i < 3; i++)
        assert_int_equal(try_login(&other, AUTH_REFUSED, "Ann", now), AUTH_REFUSED);
    assert_false(other.closes);
    assert_int_equal(try_login(&other, AUTH_ACCEPTED, "ann", now), AUTH_BUSY);
    assert_int_equal(stats_get(a.stats, STATS_AUTH_LIMITED_LOGIN), 1);
    assert_int_equal(try_login(&j, AUTH_ACCEPTED, "ann", now), AUTH_ACCEPTED);
    /* The fourth failure of this network is its last. */
    other.client.b[15] = 77;
    assert_int_equal(try_login(&other, AUTH_REFUSED, "bob", now), AUTH_REFUSED);
    assert_true(other.closes);
    other.client.b[15] = 78;
    assert_int_equal(try_login(&other, AUTH_ACCEPTED, "bob", now), AUTH_LIMITED);
    assert_int_equal(try_login(&other, AUTH_REFUSED, "bob", now + 700 * BASE_NS_S), AUTH_REFUSED);
}

static void losses(void **state)
{
    (void)state;
    struct auth_job slow = make_job(0, 1, "x"), lost = make_job(1, 1, "x");
    int pair[2];

    push(&slow, AUTH_JOB_BEGIN);
    auth_pass(&a, 1, 1);
    (void)hear();
    assert_int_equal(auth_deadline(&a), 1 + 10 * BASE_NS_S);
    auth_pass(&a, 1 + 10 * BASE_NS_S, 1);
    assert_ptr_equal(pop(0), &slow);
    assert_int_equal(slow.result, AUTH_UNAVAILABLE);
    assert_int_equal(hear().kind, AUTH_MESSAGE_CANCEL);
    push(&lost, AUTH_JOB_BEGIN);
    auth_pass(&a, 2, 1);
    close(process);
    auth_pass(&a, 3, 1);
    assert_ptr_equal(pop(1), &lost);
    assert_int_equal(lost.result, AUTH_UNAVAILABLE);
    assert_true(atomic_load(&a.lost));
    assert_int_equal(try_login(&lost, AUTH_ACCEPTED, "ann", 4), AUTH_UNAVAILABLE);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    process = pair[1];
    auth_give_socket(&a, pair[0]);
    auth_give_file(&a, dup(pair[0]));
    auth_pass(&a, 5, 1);
    assert_int_equal(hear().kind, AUTH_MESSAGE_FILE);
    assert_int_equal(try_login(&lost, AUTH_ACCEPTED, "ann", 6), AUTH_ACCEPTED);
    /* What is no message is as a death. */
    assert_int_equal(send(process, "nonsense", 8, 0), 8);
    auth_pass(&a, 7, 1);
    assert_true(atomic_load(&a.lost));
}

/* ---- threads ---- */

#define LOGINS 3000

static _Atomic bool over;

static void *auth_main(void *arg)
{
    struct loop *loop = arg;

    while (!atomic_load_explicit(&over, memory_order_acquire)) {
        uint64_t now_ns = loop_now_ns();
        if (!loop_idle(loop, auth_pass(&a, now_ns, 1), now_ns))
            continue;
        doorbell_arm(loop->bell);
        now_ns = loop_now_ns();
        if (!auth_pass(&a, now_ns, 1))
            loop_sleep(loop, now_ns, auth_deadline(&a));
        doorbell_disarm(loop->bell);
    }
    return NULL;
}

/* Accepts, asks once more, refuses, by turns; dies after some messages. */
static void *process_main(void *arg)
{
    int fd = *(int *)arg;
    uint8_t bytes[AUTH_MESSAGE_MAX];
    struct auth_message m;
    uint32_t n = 0;
    ssize_t len;

    while (n < 400 && (len = recv(fd, bytes, sizeof(bytes), 0)) > 0) {
        assert_int_equal(auth_message_read(&m, base_span_of(bytes, (size_t)len)), 0);
        bool begins = m.kind == AUTH_MESSAGE_BEGIN;
        if (!begins && m.kind != AUTH_MESSAGE_RESPONSE)
            continue;
        n++;
        struct auth_message r = {.kind = AUTH_MESSAGE_RESULT, .id = m.id};
        r.result = begins && n % 3 == 0 ? AUTH_CHALLENGE
                   : n % 7 == 0         ? AUTH_REFUSED
                                        : AUTH_ACCEPTED;
        auth_message_set_login(&r, base_span_str("ann"));
        while (auth_send(fd, &r, -1) == -EAGAIN)
            usleep(100);
    }
    close(fd);
    return NULL;
}

struct control_run {
    int fds[1000]; /* the processes' ends */
    pthread_t processes[1000];
    uint32_t cnt;
};

static void *control_main(void *arg)
{
    struct control_run *c = arg;

    while (!atomic_load_explicit(&over, memory_order_acquire)) {
        int pair[2];
        usleep(200);
        auth_give_file(&a, dup(0));
        if (!atomic_load_explicit(&a.lost, memory_order_acquire) ||
            c->cnt == BASE_ARRAY_CNT(c->fds))
            continue;
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        c->fds[c->cnt] = pair[1];
        assert_int_equal(pthread_create(&c->processes[c->cnt], NULL, process_main, &c->fds[c->cnt]),
                         0);
        c->cnt++;
        auth_give_socket(&a, pair[0]);
    }
    return NULL;
}

struct lane_run {
    uint8_t number;
    uint32_t ended[AUTH_RESULT_CNT];
};

static void *lane_main(void *arg)
{
    struct lane_run *l = arg;
    struct auth_job jobs[8];
    uint32_t begun = 0, ended = 0;

    for (uint32_t i = 0; i < BASE_ARRAY_CNT(jobs); i++, begun++) {
        jobs[i] = make_job(l->number, (uint8_t)i, "x");
        push(&jobs[i], AUTH_JOB_BEGIN);
    }
    while (ended < begun) {
        doorbell_ring(&t.auth_bell);
        struct auth_job *j = pop(l->number);
        if (j == NULL) {
            usleep(20);
            continue;
        }
        if (j->result == AUTH_CHALLENGE && j->kind != AUTH_JOB_CANCEL) {
            push(j, ended % 2 == 0 ? AUTH_JOB_RESPONSE : AUTH_JOB_CANCEL);
            continue;
        }
        l->ended[j->result]++;
        ended++;
        if (begun < LOGINS) {
            *j = make_job(l->number, (uint8_t)begun, "x");
            push(j, AUTH_JOB_BEGIN);
            begun++;
        }
    }
    return NULL;
}

static void threads(void **state)
{
    (void)state;
    pthread_t auth_thread, control, process_thread, lanes[2];
    struct lane_run runs[2] = {{.number = 0}, {.number = 1}};
    static struct control_run control_run;
    struct loop loop;

    conf.failures_client = conf.failures_login = conf.failure_delay_ns = 0;
    assert_int_equal(doorbell_init(&t.auth_bell), 0);
    auth_fini(&a);
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(auth_init(&a, &conf, &t, pair[0], secret), 0);
    assert_int_equal(loop_init(&loop, &t.auth_bell, &pair[0], 1, true, a.stats), 0);
    a.loop = &loop;
    atomic_store(&over, false);
    pthread_create(&auth_thread, NULL, auth_main, &loop);
    pthread_create(&process_thread, NULL, process_main, &pair[1]);
    pthread_create(&control, NULL, control_main, &control_run);
    for (int i = 0; i < 2; i++)
        pthread_create(&lanes[i], NULL, lane_main, &runs[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(lanes[i], NULL);
    atomic_store_explicit(&over, true, memory_order_release);
    doorbell_wake(&t.auth_bell);
    pthread_join(auth_thread, NULL);
    pthread_join(control, NULL);
    uint64_t sum = 0;
    for (int i = 0; i < 2; i++)
        for (int r = 0; r < AUTH_RESULT_CNT; r++)
            sum += runs[i].ended[r];
    assert_int_equal(sum, 2 * LOGINS);
    assert_true(runs[0].ended[AUTH_ACCEPTED] > 0 && runs[0].ended[AUTH_REFUSED] > 0);
    assert_true(stats_get(a.stats, STATS_AUTH_LOST) > 0);
    assert_int_equal(a.free_cnt, a.slot_cnt);
    auth_fini(&a);
    for (uint32_t i = 0; i < control_run.cnt; i++)
        pthread_join(control_run.processes[i], NULL);
    pthread_join(process_thread, NULL);
    loop_fini(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers, open_thread, close_thread),
        cmocka_unit_test_setup_teardown(steps_and_cancel, open_thread, close_thread),
        cmocka_unit_test_setup_teardown(limits, open_thread, close_thread),
        cmocka_unit_test_setup_teardown(losses, open_thread, close_thread),
        cmocka_unit_test_setup_teardown(threads, open_thread, close_thread),
    };
    dpdk_eal_init();
    return cmocka_run_group_tests_name("auth_thread", tests, NULL, NULL);
}
