#include "resolver_table.h"
#include "base_time.h"

#include <errno.h>
#include <stdlib.h>

struct row {
    struct row *next;
    char name[DNS_NAME_CAP];
    uint16_t type;
    bool secure;
    enum dns_status status, fail_status;
    uint32_t fail_cnt, ttl_s, record_cnt;
    uint64_t delay_ns;
    char canonical[DNS_NAME_CAP];
    size_t data_len;
    uint8_t data[]; /* as in an answer */
};

struct resolver_table {
    struct row *rows;
    bool secure;
    uint64_t asked_cnt;
    struct base_list waiting; /* dns_query.node, in the order they were asked */
    uint32_t waiting_cnt;
};

struct resolver_table *resolver_table_open(bool secure)
{
    struct resolver_table *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return NULL;
    t->secure = secure;
    base_list_init(&t->waiting);
    return t;
}

void resolver_table_close(struct resolver_table *t)
{
    while (t->rows != NULL) {
        struct row *r = t->rows;
        t->rows = r->next;
        free(r);
    }
    free(t);
}

static struct row **find(struct resolver_table *t, const char *name, uint16_t type)
{
    struct row **link = &t->rows;

    while (*link != NULL && ((*link)->type != type || strcmp((*link)->name, name) != 0))
        link = &(*link)->next;
    return link;
}

static bool knows_name(const struct resolver_table *t, const char *name)
{
    for (const struct row *r = t->rows; r != NULL; r = r->next)
        if (strcmp(r->name, name) == 0 && r->status != DNS_NXDOMAIN)
            return true;
    return false;
}

int resolver_table_put(struct resolver_table *t, const struct resolver_table_entry *e)
{
    size_t data_len = 0;
    uint32_t cnt = 0;

    while (cnt < RESOLVER_TABLE_RECORD_MAX && e->record[cnt].len > 0)
        data_len += 2 + e->record[cnt++].len;
    if (!dns_type_known(e->type) || (cnt > 0) != (e->status == DNS_OK) ||
        (e->fail_cnt > 0 && !dns_status_is_error(e->fail_status)))
        return -EINVAL;
    struct row *r = calloc(1, sizeof(*r) + data_len);
    if (r == NULL)
        return -ENOMEM;
    r->type = e->type;
    r->secure = e->secure && !dns_status_is_error(e->status);
    r->status = e->status;
    r->fail_status = e->fail_status;
    r->fail_cnt = e->fail_cnt;
    r->ttl_s = e->ttl_s;
    r->delay_ns = e->delay_ns;
    if (dns_name_copy(r->name, base_span_str(e->name)) != 0 ||
        (e->canonical != NULL && dns_name_copy(r->canonical, base_span_str(e->canonical)) != 0)) {
        free(r);
        return -EINVAL;
    }
    for (uint32_t i = 0; i < cnt; i++) {
        base_put_be16(r->data + r->data_len, (uint16_t)e->record[i].len);
        memcpy(r->data + r->data_len + 2, e->record[i].p, e->record[i].len);
        r->data_len += 2 + e->record[i].len;
    }
    r->record_cnt = cnt;
    struct row **link = find(t, r->name, r->type), *old = *link;
    r->next = old != NULL ? old->next : NULL;
    *link = r;
    free(old);
    return 0;
}

uint64_t resolver_table_asked(const struct resolver_table *t)
{
    return t->asked_cnt;
}

uint32_t resolver_table_open_cnt(const struct resolver_table *t)
{
    return t->waiting_cnt;
}

/* When the answer is there, of what the table says now; late: the deadline. */
static uint64_t due_ns(struct resolver_table *t, const struct dns_query *q, bool *late)
{
    const struct row *r = *find(t, q->name, q->type);
    uint64_t asked_ns = q->deadline_ns - q->timeout_ns;
    uint64_t delay_ns = r != NULL ? r->delay_ns : 0;

    *late = delay_ns >= q->timeout_ns;
    return *late ? q->deadline_ns : asked_ns + delay_ns;
}

static void answer(struct resolver_table *t, struct dns_query *q)
{
    struct row *r = *find(t, q->name, q->type);
    struct dns_answer *a = &q->answer;

    if (r == NULL) {
        dns_answer_set(a, knows_name(t, q->name) ? DNS_NODATA : DNS_NXDOMAIN, NULL);
        a->secure = t->secure;
        return;
    }
    if (r->fail_cnt > 0) {
        r->fail_cnt--;
        dns_answer_set(a, r->fail_status, "by the table");
        return;
    }
    dns_answer_set(a, r->status, dns_status_is_error(r->status) ? "by the table" : NULL);
    a->secure = r->secure;
    a->ttl_s = r->ttl_s;
    memcpy(a->canonical, r->canonical, sizeof(a->canonical));
    dns_answer_fill(a, base_span_of(r->data, r->data_len), r->record_cnt);
}

static void submit(void *state, struct dns_query *q, uint64_t now_ns)
{
    struct resolver_table *t = state;

    dns_answer_clear(&q->answer);
    q->deadline_ns = now_ns + q->timeout_ns;
    base_list_push_back(&t->waiting, &q->node);
    t->waiting_cnt++;
    t->asked_cnt++;
}

static uint32_t poll(void *state, struct dns_query **done, uint32_t cap, uint64_t now_ns)
{
    struct resolver_table *t = state;
    uint32_t n = 0;
    bool late;

    base_list_each (node, &t->waiting) {
        struct dns_query *q = base_container_of(node, struct dns_query, node);
        if (n == cap)
            break;
        if (due_ns(t, q, &late) > now_ns)
            continue;
        base_list_remove(node);
        t->waiting_cnt--;
        if (late)
            dns_answer_set(&q->answer, DNS_TIMEOUT, NULL);
        else
            answer(t, q);
        done[n++] = q;
    }
    return n;
}

static uint64_t deadline(void *state)
{
    struct resolver_table *t = state;
    uint64_t first = BASE_NS_NONE;
    bool late;

    base_list_each (node, &t->waiting) {
        uint64_t due = due_ns(t, base_container_of(node, struct dns_query, node), &late);
        first = due < first ? due : first;
    }
    return first;
}

static int wait_fd(void *state)
{
    (void)state;
    return -1;
}

struct dns_resolver resolver_table_driver(struct resolver_table *t)
{
    static const struct dns_resolver_ops ops = {"table", submit, poll, deadline, wait_fd};

    return (struct dns_resolver){&ops, t};
}
