#include "client_lists.h"
#include "base_siphash.h"
#include "base_time.h"
#include "conn_in_internal.h"
#include "conn_rcpt.h"
#include "dns_rdata.h"
#include "lane.h"
#include "rcpt_job.h"
#include "resolver.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define WAYS          4
#define QUESTION_MAX  512 /* out at a time, of a lane */
#define ROOM_BYTES    1024
#define KEEP_MIN_NS   (60 * BASE_NS_S)
#define KEEP_MAX_NS   (3600 * BASE_NS_S)
#define KEEP_ERROR_NS (60 * BASE_NS_S)

/* A question that is out, first for addresses, then for the reason. Its row stays as long as the
 * bit of the list is set in pending. */
struct question {
    struct dns_query q;
    struct lane *lane;
    struct client_lists_row *row;
    uint32_t list;
    uint8_t room[ROOM_BYTES];
};

int client_lists_init(struct lane *l, const uint8_t secret[16])
{
    struct client_lists *s = &l->lists;

    s->set_cnt = 1;
    while (s->set_cnt * WAYS < l->settings->conf->limits.dns_list_clients)
        s->set_cnt *= 2;
    memcpy(s->key, secret, sizeof(s->key));
    s->key[0] ^= 0x4c;
    s->rows = calloc((size_t)s->set_cnt * WAYS, sizeof(s->rows[0]));
    if (s->rows == NULL)
        return -ENOMEM;
    return base_pool_init(&s->questions, QUESTION_MAX, sizeof(struct question), 64,
                          sizeof(struct question));
}

void client_lists_fini(struct lane *l)
{
    struct client_lists *s = &l->lists;

    free(s->rows);
    if (s->questions.object_cnt == 0)
        return;
    s->questions.free_cnt = s->questions.object_cnt; /* what is out is given up */
    base_pool_fini(&s->questions);
}

/* ---- rows ---- */

static struct client_lists_row *set_of(struct client_lists *s, const struct net_addr *client)
{
    uint64_t hash = base_siphash13(s->key, client->b, sizeof(client->b));

    return &s->rows[(hash & (s->set_cnt - 1)) * WAYS];
}

static bool is_busy(const struct client_lists_row *r)
{
    return r->pending != 0 || (r->until_ns != 0 && !base_list_empty(&r->waiters));
}

/* What is known of the client by the present lists, or is being asked; NULL: nothing. */
static struct client_lists_row *find(struct lane *l, const struct net_addr *client)
{
    struct client_lists_row *set = set_of(&l->lists, client);

    for (int i = 0; i < WAYS; i++) {
        struct client_lists_row *r = &set[i];
        if (r->until_ns == 0 || !net_addr_eq(&r->client, client))
            continue;
        bool holds = r->until_ns > l->now_ns && r->generation == l->settings->generation;
        return is_busy(r) || holds ? r : NULL;
    }
    return NULL;
}

/* A row for the client: its own, which no longer holds, else the one whose time ends first. NULL:
 * all are busy. */
static struct client_lists_row *take_row(struct lane *l, const struct net_addr *client)
{
    struct client_lists_row *set = set_of(&l->lists, client), *best = NULL;

    for (int i = 0; i < WAYS; i++) {
        struct client_lists_row *r = &set[i];
        if (is_busy(r))
            continue;
        if (r->until_ns != 0 && net_addr_eq(&r->client, client)) {
            best = r;
            break;
        }
        if (best == NULL || r->until_ns < best->until_ns)
            best = r;
    }
    if (best == NULL)
        return NULL;
    *best = (struct client_lists_row){.client = *client,
                                      .until_ns = l->now_ns + KEEP_MAX_NS,
                                      .generation = l->settings->generation};
    base_list_init(&best->waiters);
    return best;
}

/* ---- questions ---- */

static void answered(struct dns_query *q);

/* Sends the question for the name that is in its query. */
static bool ask(struct question *x, uint16_t type, const char *name)
{
    struct lane *l = x->lane;

    if (dns_query_init(&x->q, base_span_str(name), type,
                       l->settings->conf->limits.dns_list_timeout_ns, x->room,
                       sizeof(x->room)) != 0)
        return false;
    x->q.done = answered;
    x->q.user = x;
    return resolver_ask(l->topology, TOPOLOGY_LANE, l->number, &x->q);
}

static void ask_list(struct lane *l, struct client_lists_row *r, uint32_t list)
{
    char name[DNS_NAME_CAP];
    bool named = dns_reverse_name(name, &r->client, l->settings->lists[list].zone) == 0;
    struct question *x = named ? base_pool_get(&l->lists.questions) : NULL;

    if (x != NULL) {
        x->lane = l;
        x->row = r;
        x->list = list;
        if (ask(x, DNS_TYPE_A, name)) {
            stats_inc(l->stats, STATS_LIST_ASKED);
            r->pending |= (uint16_t)(1U << list);
            return;
        }
        base_pool_put(&l->lists.questions, x);
    }
    stats_inc(l->stats, STATS_LIST_UNASKED);
    r->until_ns = l->now_ns + KEEP_ERROR_NS;
}

/* An answer that says nothing is not kept for long. */
static void keep(struct lane *l, struct client_lists_row *r, const struct dns_answer *a)
{
    uint64_t ns =
        dns_status_is_error((enum dns_status)a->status) ? KEEP_ERROR_NS : a->ttl_s * BASE_NS_S;

    ns = ns < KEEP_MIN_NS ? KEEP_MIN_NS : ns;
    if (l->now_ns + ns < r->until_ns)
        r->until_ns = l->now_ns + ns;
}

static bool has_match(const struct settings_list *list, const struct dns_answer *a)
{
    struct base_span rdata;
    size_t at = 0;

    while (a->status == DNS_OK && dns_answer_next(a, &at, &rdata))
        if (rdata.len == 4 && settings_list_match(list, rdata.p))
            return true;
    return false;
}

/* The first record's strings; what would not fit a reply is "?". */
static void take_reason(struct client_lists_row *r, uint32_t list, const struct dns_answer *a)
{
    struct base_span rdata;
    size_t at = 0, len = 0;

    if (a->status != DNS_OK || !dns_answer_next(a, &at, &rdata))
        return;
    for (size_t i = 0; i < rdata.len && rdata.p[i] < rdata.len - i; i += 1U + rdata.p[i])
        for (size_t k = 1; k <= rdata.p[i] && len < sizeof(r->text); k++) {
            uint8_t b = rdata.p[i + k];
            r->text[len++] = (char)(b >= 0x20 && b < 0x7f ? b : '?');
        }
    r->text_len = (uint8_t)len;
    r->reason_list = (uint8_t)list;
}

static void wake(struct client_lists_row *r)
{
    struct base_list *node;

    while (r->pending == 0 && (node = base_list_pop_front(&r->waiters)) != NULL) {
        base_list_init(node);
        conn_rcpt_wake(base_container_of(node, struct rcpt_job, place));
    }
}

static void answered(struct dns_query *q)
{
    struct question *x = q->user;
    struct lane *l = x->lane;
    struct client_lists_row *r = x->row;
    const struct dns_answer *a = &q->answer;
    const struct settings_list *list = &l->settings->lists[x->list];
    bool holds = r->generation == l->settings->generation; /* else the lists are others now */

    base_assert((r->pending >> x->list & 1) != 0);
    if (q->type == DNS_TYPE_A) {
        bool listed = holds && has_match(list, a);
        keep(l, r, a);
        stats_inc(l->stats, dns_status_is_error((enum dns_status)a->status) ? STATS_LIST_FAILED
                            : listed                                        ? STATS_LIST_HIT
                                                                            : STATS_LIST_MISS);
        if (listed) {
            char name[DNS_NAME_CAP];
            r->listed |= (uint16_t)(1U << x->list);
            memcpy(name, q->name, sizeof(name));
            if (list->weight > 0 && ask(x, DNS_TYPE_TXT, name))
                return;
        }
    } else if (holds &&
               (r->text_len == 0 || list->weight > l->settings->lists[r->reason_list].weight)) {
        take_reason(r, x->list, a);
    }
    r->pending &= (uint16_t) ~(1U << x->list);
    base_pool_put(&l->lists.questions, x);
    wake(r);
}

/* ---- clients ---- */

bool client_lists_wanted(const struct conn *c)
{
    const struct settings *s = c->lane->settings;
    struct policy_client client = conn_in_client(c);

    return s->list_cnt > 0 && s->conf->limits.dns_list_threshold > 0 && c->listener->lists &&
           !c->in.limit_exempt && c->remote.port != 0 && client.login.len == 0 &&
           !policy_in_network(&s->policy, &client) && !conn_in_nobody(c);
}

static struct client_lists_row *look_up(struct conn *c)
{
    struct lane *l = c->lane;
    struct client_lists_row *r = find(l, &c->remote.addr);

    if (r != NULL)
        return r;
    r = take_row(l, &c->remote.addr);
    if (r == NULL) {
        stats_add(l->stats, STATS_LIST_UNASKED, l->settings->list_cnt);
        return NULL;
    }
    for (uint32_t i = 0; i < l->settings->list_cnt; i++)
        ask_list(l, r, i);
    return r;
}

void client_lists_begin(struct conn *c)
{
    struct lane *l = c->lane;

    if (!client_lists_wanted(c))
        return;
    if (find(l, &c->remote.addr) != NULL)
        stats_inc(l->stats, STATS_LIST_CACHED);
    else
        (void)look_up(c);
}

/* Postscreen's words. The list that weighs most is the one that is told. */
static void refuse(const struct conn *c, const struct client_lists_row *r, struct smtp_reply *reply,
                   char text[POLICY_TEXT_CAP])
{
    const struct settings *s = c->lane->settings;
    char client[NET_ADDR_TEXT_CAP];
    uint32_t worst = 0;
    int32_t most = INT32_MIN;

    for (uint32_t i = 0; i < s->list_cnt; i++)
        if ((r->listed >> i & 1) != 0 && s->lists[i].weight > most) {
            most = s->lists[i].weight;
            worst = i;
        }
    bool told = r->text_len > 0 && r->reason_list == worst;
    net_addr_format(client, &c->remote.addr);
    snprintf(text, POLICY_TEXT_CAP,
             "Service unavailable; Client host [%s] blocked using %.120s%s%.*s", client,
             s->lists[worst].zone, told ? "; " : "", told ? r->text_len : 0, r->text);
    *reply = (struct smtp_reply){554, "5.7.1", text};
}

enum client_lists_verdict client_lists_judge(struct conn *c, struct rcpt_job *job,
                                             struct smtp_reply *reply, char text[POLICY_TEXT_CAP])
{
    struct lane *l = c->lane;
    struct client_lists_row *r = look_up(c);
    int64_t sum = 0;

    /* Lists that have changed since they were asked: what is known of the old ones weighs nothing.
     */
    if (r == NULL || (r->pending == 0 && r->generation != l->settings->generation))
        return CLIENT_LISTS_PASS;
    if (r->pending != 0) {
        stats_inc(l->stats, STATS_LIST_WAITED);
        base_list_push_back(&r->waiters, &job->place);
        return CLIENT_LISTS_WAIT;
    }
    for (uint32_t i = 0; i < l->settings->list_cnt; i++)
        if ((r->listed >> i & 1) != 0)
            sum += l->settings->lists[i].weight;
    if (sum < (int64_t)l->settings->conf->limits.dns_list_threshold)
        return CLIENT_LISTS_PASS;
    stats_inc(l->stats, STATS_LIST_REFUSED);
    refuse(c, r, reply, text);
    return CLIENT_LISTS_REFUSED;
}
