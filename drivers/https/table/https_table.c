#include "https_table.h"
#include "base_bytes.h"
#include "base_time.h"

#include <errno.h>
#include <stdlib.h>

struct row {
    struct row *next;
    char host[DNS_NAME_CAP], path[HTTPS_PATH_CAP], type[HTTPS_TYPE_CAP];
    enum https_result result;
    uint16_t status;
    uint64_t delay_ns;
    size_t len;
    uint8_t body[];
};

struct https_table {
    struct row *rows;
    uint64_t asked_cnt;
    struct base_list waiting; /* https_request.node, in the order they were made */
    uint32_t waiting_cnt;
};

struct https_table *https_table_open(void)
{
    struct https_table *t = calloc(1, sizeof(*t));

    if (t != NULL)
        base_list_init(&t->waiting);
    return t;
}

void https_table_close(struct https_table *t)
{
    while (t->rows != NULL) {
        struct row *r = t->rows;
        t->rows = r->next;
        free(r);
    }
    free(t);
}

static struct row **find(struct https_table *t, const char *host, const char *path)
{
    struct row **link = &t->rows;

    while (*link != NULL && (strcmp((*link)->host, host) != 0 || strcmp((*link)->path, path) != 0))
        link = &(*link)->next;
    return link;
}

int https_table_put(struct https_table *t, const struct https_table_entry *e)
{
    size_t path_len = strlen(e->path), type_len = e->type != NULL ? strlen(e->type) : 0;
    bool answers = e->result == HTTPS_OK || e->result == HTTPS_STATUS;

    if (path_len >= HTTPS_PATH_CAP || type_len >= HTTPS_TYPE_CAP || (e->body.len > 0 && !answers) ||
        (answers && e->status == 0))
        return -EINVAL;
    struct row *r = calloc(1, sizeof(*r) + e->body.len);
    if (r == NULL)
        return -ENOMEM;
    if (dns_name_copy(r->host, base_span_str(e->host)) != 0) {
        free(r);
        return -EINVAL;
    }
    memcpy(r->path, e->path, path_len);
    if (type_len > 0)
        memcpy(r->type, e->type, type_len);
    r->result = e->result;
    r->status = e->status;
    r->delay_ns = e->delay_ns;
    r->len = e->body.len;
    if (r->len > 0)
        memcpy(r->body, e->body.p, r->len);
    struct row **link = find(t, r->host, r->path), *old = *link;
    r->next = old != NULL ? old->next : NULL;
    *link = r;
    free(old);
    return 0;
}

uint64_t https_table_asked(const struct https_table *t)
{
    return t->asked_cnt;
}

uint32_t https_table_open_cnt(const struct https_table *t)
{
    return t->waiting_cnt;
}

/* When the answer is there, of what the table says now; late: the deadline. */
static uint64_t due_ns(struct https_table *t, const struct https_request *r, bool *late)
{
    const struct row *row = *find(t, r->host, r->path);
    uint64_t asked_ns = r->deadline_ns - r->timeout_ns;
    uint64_t delay_ns = row != NULL ? row->delay_ns : 0;

    *late = delay_ns >= r->timeout_ns;
    return *late ? r->deadline_ns : asked_ns + delay_ns;
}

static void answer(struct https_table *t, struct https_request *r)
{
    const struct row *row = *find(t, r->host, r->path);

    https_request_fail(r, row != NULL ? row->result : HTTPS_STATUS, NULL);
    r->status = row != NULL ? row->status : 404;
    if (row == NULL)
        return;
    if (row->len > r->room_cap)
        return https_request_fail(r, HTTPS_TOO_LARGE, NULL);
    memcpy(r->answer_type, row->type, sizeof(row->type));
    if (row->len > 0)
        memcpy(r->room, row->body, row->len);
    r->len = (uint32_t)row->len;
}

static void submit(void *state, struct https_request *r, uint64_t now_ns)
{
    struct https_table *t = state;

    (void)now_ns;
    base_assert(r->address_cnt > 0);
    base_list_push_back(&t->waiting, &r->node);
    t->waiting_cnt++;
    t->asked_cnt++;
}

static uint32_t poll(void *state, struct https_request **done, uint32_t cap, uint64_t now_ns)
{
    struct https_table *t = state;
    uint32_t n = 0;
    bool late;

    base_list_each (node, &t->waiting) {
        struct https_request *r = base_container_of(node, struct https_request, node);
        if (n == cap)
            break;
        if (due_ns(t, r, &late) > now_ns)
            continue;
        base_list_remove(node);
        t->waiting_cnt--;
        if (late)
            https_request_fail(r, HTTPS_TIMEOUT, NULL);
        else
            answer(t, r);
        done[n++] = r;
    }
    return n;
}

static uint64_t deadline(void *state)
{
    struct https_table *t = state;
    uint64_t first = BASE_NS_NONE;
    bool late;

    base_list_each (node, &t->waiting) {
        uint64_t due = due_ns(t, base_container_of(node, struct https_request, node), &late);
        first = due < first ? due : first;
    }
    return first;
}

static int wait_fd(void *state)
{
    (void)state;
    return -1;
}

struct https_client https_table_client(struct https_table *t)
{
    static const struct https_client_ops ops = {"table", submit, poll, deadline, wait_fd};

    return (struct https_client){&ops, t};
}
