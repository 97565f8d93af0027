#include "courier_journal.h"
#include "base_assert.h"
#include "base_time.h"
#include "courier_command.h"
#include "courier_suspend.h"

#include <errno.h>
#include <stdlib.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

#define RETRY_NS  BASE_NS_S
#define WRITE_MAX 16384 /* journal entries of a spool that are not durable yet */

/* A journal entry. */
struct courier_write {
    struct base_list node;
    struct spool_entry entry;
    uint32_t change_no;              /* of the operator's change; 0: none */
    struct spool_outcome outcomes[]; /* OUTCOME: its payload */
};

/* Of the spool where the message lies: arrived has seen to it that there is one. */
static struct courier_spool *spool_of(struct courier *c, const struct spool_id *id)
{
    uint32_t spool = topology_spool_of(c->topology, id);

    base_assert(spool < c->topology->spool_cnt);
    return &c->spool[spool];
}

/* Journals one message's outcomes, or that it is over. Without memory the process cannot keep its
 * promises: asserted. */
static struct courier_write *write_make(struct courier *c, const struct spool_id *id,
                                        enum spool_op op, const struct spool_outcome *outcomes,
                                        uint32_t cnt)
{
    struct courier_spool *s = spool_of(c, id);
    size_t align = _Alignof(struct courier_write);
    size_t bytes = sizeof(struct courier_write) + cnt * sizeof(outcomes[0]);
    struct courier_write *w = aligned_alloc(align, (bytes + align - 1) & ~(align - 1));

    base_assert(w != NULL);
    if (cnt > 0)
        memcpy(w->outcomes, outcomes, cnt * sizeof(outcomes[0]));
    w->entry = (struct spool_entry){
        .id = *id,
        .op = (uint8_t)op,
        .from = SPOOL_TO_COURIER,
        .p = (const uint8_t *)w->outcomes,
        .len = (uint32_t)(cnt * sizeof(outcomes[0])),
        .cookie = w,
    };
    w->change_no = 0;
    c->write_cnt++;
    s->write_cnt++;
    base_list_push_back(&s->outbox, &w->node);
    return w;
}

void courier_change(struct courier *c, const struct spool_id *id, enum spool_op op,
                    const struct spool_outcome *outcomes, uint32_t cnt)
{
    write_make(c, id, op, outcomes, cnt)->change_no = c->changes.number;
    c->changes.write_cnt++;
}

void courier_journal(struct courier *c, const struct spool_id *id, enum spool_op op,
                     const struct spool_outcome *outcomes, uint32_t cnt)
{
    (void)write_make(c, id, op, outcomes, cnt);
}

/* Half of the room: the other is for deliveries. */
bool courier_may_change(const struct courier *c)
{
    return c->write_cnt < WRITE_MAX / 2 * c->topology->spool_cnt && !stats_log_waits(&c->log);
}

uint32_t courier_journal_send(struct courier *c, struct courier_spool *s)
{
    struct base_list *node;
    uint32_t n = 0;

    /* What failed goes first, and nothing before it: an older outcome of a recipient that came
     * after the newer one would stand in its place at the next start. */
    if (!base_list_empty(&s->retry) && c->now_ns < s->retry_ns)
        return 0;
    while (!base_list_empty(&s->retry)) {
        node = s->retry.prev;
        base_list_remove(node);
        base_list_push_front(&s->outbox, node);
    }
    while (!base_list_empty(&s->outbox)) {
        struct courier_write *w = base_container_of(s->outbox.next, struct courier_write, node);
        if (rte_ring_sp_enqueue_elem(s->to, &w->entry, sizeof(w->entry)) != 0)
            break;
        base_list_remove(&w->node);
        base_list_push_back(&s->sent, &w->node);
        n++;
    }
    if (n > 0)
        doorbell_ring(&c->topology->spool[s - c->spool].bell);
    return n;
}

static void log_finished(struct courier *c, const struct spool_id *id)
{
    struct stats_log_record r = {.wall_ns = c->wall_ns, .event = STATS_LOG_FINISHED};
    memcpy(r.id, id->b, sizeof(r.id));
    stats_log_push(&c->log, &r);
}

void courier_journal_done(struct courier *c, struct courier_spool *s, const struct spool_done *done)
{
    struct courier_write *w = done->cookie;

    base_list_remove(&w->node);
    /* -ENOENT, -EINVAL: there is nothing that it could be written for. */
    if (done->status != 0 && done->status != -ENOENT && done->status != -EINVAL) {
        stats_inc(c->stats, STATS_COURIER_JOURNAL_RETRIES);
        base_list_push_back(&s->retry, &w->node);
        s->retry_ns = c->now_ns + RETRY_NS;
        return;
    }
    if (done->op == SPOOL_FREE && courier_suspend_is(&done->id)) {
        courier_suspend_done(c, done);
    } else if (done->op == SPOOL_FREE) {
        base_assert(queue_remove(c->queue, &done->id) == 0);
        stats_inc(c->stats, STATS_COURIER_FINISHED);
        if (w->change_no == 0) /* else "deleted" told it */
            log_finished(c, &done->id);
    }
    if (w->change_no != 0)
        courier_command_journalled(c, w->change_no);
    c->write_cnt--;
    s->write_cnt--;
    free(w);
}

bool courier_journal_full(struct courier *c, const struct spool_id *id)
{
    return spool_of(c, id)->write_cnt >= WRITE_MAX;
}

static void free_writes(struct base_list *list)
{
    struct base_list *node;

    while ((node = base_list_pop_front(list)) != NULL)
        free(base_container_of(node, struct courier_write, node));
}

void courier_journal_fini(struct courier_spool *s)
{
    free_writes(&s->outbox);
    free_writes(&s->sent);
    free_writes(&s->retry);
}
