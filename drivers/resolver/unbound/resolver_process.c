#include "resolver_process.h"
#include "base_time.h"
#include "resolver_context.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include <unbound.h>

#define LOOKUPS_MAX   4096
#define RECEIVE_BURST 64
#define CLASS_IN      1

struct process;

struct lookup {
    struct process *process;
    uint64_t deadline_ns; /* 0: free */
    uint32_t id;
    int async_id;
};

struct process {
    int socket;
    bool started, broken;
    struct resolver_context context;
    struct lookup lookup[LOOKUPS_MAX];
    uint32_t lookup_cnt; /* busy ones */
    uint8_t in[DNS_WIRE_SMALL_MAX];
    uint8_t out[DNS_WIRE_MAX];
    uint8_t data[DNS_DATA_MAX];
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * BASE_NS_S + (uint64_t)t.tv_nsec;
}

/* ---- answers ---- */

static void send_all(struct process *p, struct base_span message)
{
    ssize_t n;

    do
        n = send(p->socket, message.p, message.len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    p->broken |= n != (ssize_t)message.len;
}

static void send_answer(struct process *p, uint32_t id, const struct dns_answer *a)
{
    struct base_buf b = {.p = p->out, .cap = sizeof(p->out)};

    if (dns_wire_put_answer(&b, id, a) == 0)
        send_all(p, base_buf_span(&b));
    else
        p->broken = true;
}

static void send_status(struct process *p, uint32_t id, enum dns_status status, const char *why)
{
    struct dns_answer a = {0};

    dns_answer_set(&a, status, why);
    send_answer(p, id, &a);
}

static void fill(struct dns_answer *a, int error, const struct ub_result *r)
{
    struct dns_outcome o = {.failed = error != 0 || r == NULL};

    if (!o.failed)
        o = (struct dns_outcome){
            .rcode = r->rcode, .has_data = r->havedata, .secure = r->secure, .bogus = r->bogus};
    enum dns_status status = dns_outcome_status(&o);
    dns_answer_set(a, status,
                   o.failed              ? ub_strerror(error)
                   : status == DNS_BOGUS ? r->why_bogus
                                         : NULL);
    if (o.failed)
        return;
    a->rcode = (uint8_t)r->rcode;
    a->secure = o.secure && !dns_status_is_error(status);
    a->ttl_s = r->ttl > 0 ? (uint32_t)r->ttl : 0;
    /* The end of the aliases, where there were any. */
    if (r->canonname != NULL && dns_name_copy(a->canonical, base_span_str(r->canonname)) != 0)
        a->canonical[0] = 0;
    for (int i = 0; status == DNS_OK && r->data[i] != NULL; i++)
        if (r->len[i] < 0 || dns_answer_add(a, base_span_of(r->data[i], (size_t)r->len[i])) != 0)
            return;
    if (status == DNS_OK && a->record_cnt == 0)
        dns_answer_set(a, DNS_SERVFAIL, "no records where there should be");
}

static void release(struct lookup *l)
{
    l->deadline_ns = 0;
    l->process->lookup_cnt--;
}

/* libunbound's call, from ub_process. */
static void resolved(void *arg, int error, struct ub_result *result)
{
    struct lookup *l = arg;
    struct process *p = l->process;
    struct dns_answer a = {.data = p->data, .data_cap = sizeof(p->data)};

    fill(&a, error, result);
    send_answer(p, l->id, &a);
    ub_resolve_free(result);
    release(l);
}

/* ---- questions ---- */

static void ask(struct process *p, const struct dns_wire_message *m)
{
    struct lookup *l = p->lookup;

    while (l < p->lookup + LOOKUPS_MAX && l->deadline_ns != 0)
        l++;
    if (l == p->lookup + LOOKUPS_MAX) {
        send_status(p, m->id, DNS_FAILED, "too many questions at a time");
        return;
    }
    *l = (struct lookup){
        .process = p, .id = m->id, .deadline_ns = now_ns() + m->timeout_ms * BASE_NS_MS};
    p->lookup_cnt++;
    int error =
        ub_resolve_async(p->context.ub, m->name, m->type, CLASS_IN, l, resolved, &l->async_id);
    if (error != 0) {
        release(l);
        send_status(p, m->id, DNS_FAILED, ub_strerror(error));
    }
}

static void start(struct process *p, void (*confine)(void))
{
    struct base_buf b = {.p = p->out, .cap = sizeof(p->out)};
    int failed;

    if (resolver_context_start(&p->context) == 0) {
        confine();
        p->started = true;
        failed = dns_wire_put_ready(&b);
    } else {
        failed = dns_wire_put_refused(&b, p->context.why);
    }
    if (failed == 0)
        send_all(p, base_buf_span(&b));
    p->broken |= failed != 0 || !p->started;
}

static void receive(struct process *p, void (*confine)(void))
{
    struct dns_wire_message m;

    for (int i = 0; i < RECEIVE_BURST && !p->broken; i++) {
        ssize_t n = recv(p->socket, p->in, sizeof(p->in), MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n <= 0 || (size_t)n > sizeof(p->in) ||
            dns_wire_read(&m, base_span_of(p->in, (size_t)n)) != 0) {
            p->broken = true;
            return;
        }
        if (m.kind == DNS_WIRE_SET && !p->started)
            resolver_context_set(&p->context, m.key, m.text);
        else if (m.kind == DNS_WIRE_START && !p->started)
            start(p, confine);
        else if (m.kind == DNS_WIRE_ASK && p->started)
            ask(p, &m);
        else
            p->broken = true;
    }
}

/* Those whose time is over; returns the milliseconds until the next, -1: none. */
static int expire(struct process *p)
{
    uint64_t now = now_ns(), next = BASE_NS_NONE;
    uint32_t left = p->lookup_cnt;

    for (struct lookup *l = p->lookup; left > 0; l++) {
        if (l->deadline_ns == 0)
            continue;
        left--;
        if (l->deadline_ns > now) {
            next = l->deadline_ns < next ? l->deadline_ns : next;
            continue;
        }
        ub_cancel(p->context.ub, l->async_id);
        send_status(p, l->id, DNS_TIMEOUT, NULL);
        release(l);
    }
    if (next == BASE_NS_NONE)
        return -1;
    uint64_t ms = (next - now) / BASE_NS_MS + 1;
    return ms < 60000 ? (int)ms : 60000;
}

int resolver_process_run(int socket, void (*confine)(void))
{
    struct process *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return 1;
    p->socket = socket;
    if (resolver_context_open(&p->context) != 0)
        return 1;
    while (!p->broken) {
        int timeout = expire(p);
        struct pollfd f[2] = {{.fd = socket, .events = POLLIN},
                              {.fd = p->started ? ub_fd(p->context.ub) : -1, .events = POLLIN}};
        if (poll(f, 2, timeout) < 0 && errno != EINTR)
            break;
        if (f[1].revents != 0 && ub_process(p->context.ub) != 0)
            break;
        if (f[0].revents != 0)
            receive(p, confine);
    }
    return p->started ? 0 : 1; /* the context's thread ends with the process */
}
