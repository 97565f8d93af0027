#include "https.h"
#include "base_time.h"
#include "dns_rdata.h"
#include "resolver.h"

#define BURST          16
#define DNS_TIMEOUT_NS (10 * BASE_NS_S)
#define RETRY_NS       (5 * BASE_NS_MS) /* while places, or the resolver's ring, are full */
/* The driver makes a system call to look: not in each pass of a busy thread. */
#define POLL_BUSY_NS (100 * BASE_NS_US)
#define POLL_IDLE_NS (10 * BASE_NS_MS)

#define ASKED_BOTH 3

void https_init(struct https *h, struct topology *topology, struct stats_block *stats)
{
    memset(h, 0, sizeof(*h));
    h->topology = topology;
    h->stats = stats;
    h->client_ns = BASE_NS_NONE;
    base_list_init(&h->todo);
    base_list_init(&h->ended);
    for (uint32_t i = 0; i < HTTPS_LOOKUP_MAX; i++)
        h->lookup[i].https = h;
}

void https_use(struct https *h, struct https_client client)
{
    h->client = client;
}

void https_ask(struct https *h, struct https_request *r)
{
    base_assert(r->done != NULL && r->timeout_ns > 0 && r->host[0] != 0);
    base_assert(r->body.len <= HTTPS_POST_MAX);
    r->deadline_ns = 0; /* from the next pass on */
    r->address_cnt = 0;
    https_request_fail(r, HTTPS_FAILED, NULL);
    stats_inc(h->stats, STATS_HTTPS_REQUESTS);
    base_list_push_back(&h->todo, &r->node);
    h->open_cnt++;
}

static void end(struct https *h, struct https_request *r, enum https_result result, const char *why)
{
    https_request_fail(r, result, why);
    base_list_push_back(&h->ended, &r->node);
}

/* ---- addresses ---- */

/* Returns how many there were that are private. */
static uint32_t take_addresses(struct https *h, struct https_request *r, const struct dns_query *q)
{
    uint32_t private_cnt = 0, cap = r->address_cnt + HTTPS_ADDRESS_MAX / 2;
    struct base_span rdata;
    struct net_addr a;
    size_t at = 0;

    while (q->answer.status == DNS_OK && dns_answer_next(&q->answer, &at, &rdata)) {
        if (r->address_cnt == cap || dns_read_address(&a, q->type, rdata) != 0)
            continue;
        if (net_addr_is_private(&a) && !r->any_address &&
            (h->permits == NULL || !h->permits(h->user, r, &a)))
            private_cnt++;
        else
            r->address[r->address_cnt++] = a;
    }
    return private_cnt;
}

/* Both answers are there. */
static void looked_up(struct https *h, struct https_lookup *l)
{
    struct https_request *r = l->request;
    const struct dns_answer *a = &l->q[0].answer, *aaaa = &l->q[1].answer;
    uint32_t private_cnt = 0;

    l->request = NULL;
    l->asked = l->back = 0;
    for (uint32_t i = 0; i < 2; i++)
        private_cnt += take_addresses(h, r, &l->q[i]);
    if (r->address_cnt > 0) {
        h->client.ops->submit(h->client.state, r, h->now_ns);
        h->client_ns = 0; /* to be polled */
    } else if (private_cnt > 0) {
        end(h, r, HTTPS_PRIVATE, "all its addresses are private");
    } else if (dns_status_is_error(a->status) || dns_status_is_error(aaaa->status)) {
        end(h, r, HTTPS_DNS,
            dns_status_name(dns_status_is_error(a->status) ? a->status : aaaa->status));
    } else {
        end(h, r, HTTPS_NO_NAME, "the host has no address");
    }
}

static void answered(struct dns_query *q)
{
    struct https_lookup *l = q->user;

    l->back |= q == &l->q[0] ? 1 : 2;
    if (l->back == ASKED_BOTH)
        looked_up(l->https, l);
}

/* Asks what is not asked yet. Returns false while the ring is full. */
static bool ask_addresses(struct https *h, struct https_lookup *l)
{
    for (uint32_t i = 0; i < 2; i++) {
        if ((l->asked & 1u << i) != 0)
            continue;
        if (!resolver_ask(h->topology, TOPOLOGY_COURIER, 0, &l->q[i]))
            return false;
        l->asked |= (uint8_t)(1u << i);
    }
    return true;
}

static void look_up(struct https_lookup *l, struct https_request *r, uint64_t now_ns)
{
    static const uint16_t type[2] = {DNS_TYPE_A, DNS_TYPE_AAAA};
    uint64_t left_ns = r->deadline_ns - now_ns;

    l->request = r;
    for (uint32_t i = 0; i < 2; i++) {
        int failed = dns_query_init(&l->q[i], base_span_str(r->host), type[i],
                                    left_ns < DNS_TIMEOUT_NS ? left_ns : DNS_TIMEOUT_NS, l->room[i],
                                    sizeof(l->room[i]));
        base_assert(failed == 0); /* https_request_init has looked at the name */
        l->q[i].done = answered;
        l->q[i].user = l;
    }
}

/* ---- each pass ---- */

static uint32_t begin(struct https *h)
{
    uint32_t n = 0;

    base_list_each (node, &h->todo) {
        struct https_request *r = base_container_of(node, struct https_request, node);
        if (r->deadline_ns == 0)
            r->deadline_ns = h->now_ns + r->timeout_ns;
        if (h->client.ops != NULL && r->deadline_ns > h->now_ns)
            continue;
        base_list_remove(node);
        if (h->client.ops == NULL)
            end(h, r, HTTPS_FAILED, "there is no HTTPS here");
        else
            end(h, r, HTTPS_TIMEOUT, "it waited for others");
        n++;
    }
    for (uint32_t i = 0; i < HTTPS_LOOKUP_MAX; i++) {
        struct https_lookup *l = &h->lookup[i];
        if (l->request == NULL && !base_list_empty(&h->todo)) {
            struct base_list *node = base_list_pop_front(&h->todo);
            look_up(l, base_container_of(node, struct https_request, node), h->now_ns);
            n++;
        }
        if (l->request != NULL && l->asked != ASKED_BOTH && !ask_addresses(h, l))
            break;
    }
    return n;
}

static void count(struct https *h, const struct https_request *r)
{
    static const enum stats_id id[HTTPS_RESULT_CNT] = {
        [HTTPS_OK] = STATS_HTTPS_OK,
        [HTTPS_STATUS] = STATS_HTTPS_STATUS,
        [HTTPS_REDIRECT] = STATS_HTTPS_STATUS,
        [HTTPS_TOO_LARGE] = STATS_HTTPS_TOO_LARGE,
        [HTTPS_TIMEOUT] = STATS_HTTPS_TIMEOUT,
        [HTTPS_NO_NAME] = STATS_HTTPS_NAME,
        [HTTPS_DNS] = STATS_HTTPS_NAME,
        [HTTPS_PRIVATE] = STATS_HTTPS_NAME,
        [HTTPS_CONNECT] = STATS_HTTPS_CONNECT,
        [HTTPS_TLS] = STATS_HTTPS_TLS,
        [HTTPS_CERTIFICATE] = STATS_HTTPS_CERTIFICATE,
        [HTTPS_BROKEN] = STATS_HTTPS_BROKEN,
        [HTTPS_FAILED] = STATS_HTTPS_FAILED,
    };

    base_assert(r->result < HTTPS_RESULT_CNT);
    stats_inc(h->stats, id[r->result]);
}

static uint32_t poll(struct https *h)
{
    struct https_request *done[BURST];
    bool due = h->now_ns >= h->client_ns;

    if (h->client.ops == NULL ||
        (!due && h->now_ns - h->polled_ns < (h->open_cnt > 0 ? POLL_BUSY_NS : POLL_IDLE_NS)))
        return 0;
    h->polled_ns = h->now_ns;
    uint32_t n = h->client.ops->poll(h->client.state, done, BURST, h->now_ns);
    for (uint32_t i = 0; i < n; i++)
        base_list_push_back(&h->ended, &done[i]->node);
    h->client_ns = h->client.ops->deadline(h->client.state);
    return n;
}

uint32_t https_pass(struct https *h, uint64_t now_ns)
{
    struct base_list *node;
    uint32_t n = 0;

    h->now_ns = now_ns;
    if (h->open_cnt > 0)
        n += begin(h);
    n += poll(h);
    for (uint32_t i = 0; i < BURST && (node = base_list_pop_front(&h->ended)) != NULL; i++, n++) {
        struct https_request *r = base_container_of(node, struct https_request, node);
        h->open_cnt--;
        count(h, r);
        r->done(r);
    }
    return n;
}

uint64_t https_deadline(const struct https *h)
{
    if (!base_list_empty(&h->ended))
        return h->now_ns;
    if (!base_list_empty(&h->todo))
        return h->now_ns + RETRY_NS;
    for (uint32_t i = 0; i < HTTPS_LOOKUP_MAX && h->open_cnt > 0; i++)
        if (h->lookup[i].request != NULL && h->lookup[i].asked != ASKED_BOTH)
            return h->now_ns + RETRY_NS;
    return h->client_ns;
}
