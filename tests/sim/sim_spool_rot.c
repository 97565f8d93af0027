/*
 * Rot: one bit of a disk at rest is wrong. Of content: the spool refuses, or tells of the message
 * that was hit, keeps all others, and puts the segment aside. Of anything else (headers, envelopes,
 * commits, outcomes, summaries): it refuses, or nothing of what was acknowledged is missing or
 * older than it was. Told to go on, it has all that does not lie in what was hit.
 */
#include "sim_spool_probe.h"
#include "spool_format.h"

#include <errno.h>
#include <string.h>

enum target_kind {
    TARGET_CONTENT,
    TARGET_RECORD,
    TARGET_BATCH,
    TARGET_SEGMENT,
    TARGET_SUMMARY,
    KINDS
};

enum { ROTS_PER_SEED = 2 * KINDS };

/* What is going to be wrong. */
struct target {
    enum target_kind kind;
    uint32_t segment;
    uint64_t offset;
    uint32_t len;
    uint64_t batch; /* where the one starts that it is in; 0: in none */
    uint32_t hit;   /* CONTENT: the message */
    uint32_t seen;  /* candidates so far */
};

/* One after the other, each is chosen with the same chance. */
static bool candidate(struct target *t, struct base_rand *rand, uint32_t segment, uint64_t offset,
                      uint32_t len, uint64_t batch)
{
    if (base_rand_below(rand, ++t->seen) != 0)
        return false;
    t->segment = segment;
    t->offset = offset;
    t->len = len;
    t->batch = batch;
    return true;
}

static bool batch_of(const uint8_t *data, const struct spool_segment_header *g, uint64_t at,
                     struct spool_batch_header *h)
{
    return spool_batch_header_read(data + at, h) == 0 && h->sequence == g->sequence &&
           h->salt == g->salt && at + h->len <= g->bytes;
}

/* Calls back for each record of the batch at at that is valid; the rest of the batch is unknown. */
static void records_walk(
    struct probe *p, const uint8_t *data, const struct spool_segment_header *g, uint64_t at,
    void (*each)(struct probe *, const struct spool_record *, uint64_t, void *), void *arg)
{
    struct spool_batch_header h;
    struct spool_record r;
    if (!batch_of(data, g, at, &h))
        return;
    uint64_t offset = at + SPOOL_BATCH_HEADER_LEN;
    for (uint32_t i = 0; i < h.record_cnt; i++) {
        if (spool_record_read(data + offset, at + h.used - offset, g->salt, offset, &r) < 0)
            return;
        each(p, &r, offset, arg);
        offset += spool_record_bytes(r.len);
    }
}

struct record_choice {
    struct target *target;
    struct base_rand *rand;
    uint32_t segment;
    uint64_t batch;
};

static void record_choose(struct probe *p, const struct spool_record *r, uint64_t offset, void *arg)
{
    struct record_choice *c = arg;
    bool content = r->type == SPOOL_RECORD_PIECE && r->part != SPOOL_PART_ENVELOPE;
    if (c->target->kind == TARGET_RECORD)
        candidate(c->target, c->rand, c->segment, offset,
                  SPOOL_RECORD_HEADER_LEN + (content ? 0 : r->len), c->batch);
    else if (content && p->g->m[probe_row(p, &r->id)].state == ACKED &&
             candidate(c->target, c->rand, c->segment, offset + SPOOL_RECORD_HEADER_LEN, r->len,
                       c->batch))
        c->target->hit = probe_row(p, &r->id);
}

static void segment_choose(struct probe *p, struct target *t, struct base_rand *rand,
                           uint32_t segment)
{
    struct spool_segment_header g;
    struct spool_batch_header h;
    struct spool_summary_header summary;
    uint64_t bytes;
    const uint8_t *data = disk_sim_data(&p->g->disk, segment, &bytes);
    if (spool_segment_header_read(data, &g) < 0)
        return;
    if (t->kind == TARGET_SEGMENT)
        candidate(t, rand, segment, 0, 92, 0);
    for (uint64_t at = SPOOL_BLOCK_BYTES; at < bytes; at += SPOOL_BLOCK_BYTES) {
        struct record_choice c = {.target = t, .rand = rand, .segment = segment, .batch = at};
        if (t->kind == TARGET_SUMMARY &&
            spool_summary_header_read(data + at, bytes - at, &summary) == 0)
            candidate(t, rand, segment, at, summary.len, 0);
        else if (t->kind == TARGET_BATCH && batch_of(data, &g, at, &h))
            candidate(t, rand, segment, at, SPOOL_BATCH_HEADER_LEN, at);
        else if (t->kind == TARGET_CONTENT || t->kind == TARGET_RECORD)
            records_walk(p, data, &g, at, record_choose, &c);
    }
}

static void loosen(struct probe *p, const struct spool_record *r, uint64_t offset, void *arg)
{
    bool *flags = arg;
    (void)offset;
    flags[probe_row(p, &r->id)] = true;
}

/* Marks the messages that have a record in what is going to be wrong, or with rest also behind it.
 */
static void target_mark(struct probe *p, const struct target *t, bool rest, bool *flags)
{
    struct spool_segment_header g;
    uint64_t bytes;
    const uint8_t *data = disk_sim_data(&p->g->disk, t->segment, &bytes);
    if (spool_segment_header_read(data, &g) < 0)
        return;
    for (uint64_t at = SPOOL_BLOCK_BYTES; at < bytes; at += SPOOL_BLOCK_BYTES)
        if (at == t->batch || (rest && at > t->batch) || t->kind == TARGET_SEGMENT)
            records_walk(p, data, &g, at, loosen, flags);
}

/* Nothing on the disk tells that the batch was whole: those that were under way together with it,
 * the last ones of the log. Its loss looks like that of one which was never acknowledged. */
static bool is_log_end(struct probe *p, const struct target *t)
{
    struct spool_segment_header g, other;
    struct spool_batch_header h, behind;
    uint32_t numbers[64];
    uint64_t bytes;
    const uint8_t *data = disk_sim_data(&p->g->disk, t->segment, &bytes);
    struct spool_disk *disk = &p->g->disk;
    if (t->batch == 0 || spool_segment_header_read(data, &g) < 0 ||
        !batch_of(data, &g, t->batch, &h))
        return false;
    for (uint64_t at = t->batch; at < bytes; at += SPOOL_BLOCK_BYTES)
        if (batch_of(data, &g, at, &behind) && behind.committed_lsn >= h.lsn)
            return false;
    int cnt = disk->ops->segment_list(disk->state, numbers, 64);
    for (int i = 0; i < cnt; i++)
        if (spool_segment_header_read(disk_sim_data(disk, numbers[i], &bytes), &other) == 0 &&
            other.sequence > g.sequence)
            return false;
    return true;
}

/* Everything but what was hit can be read where it lies now. */
static void read_again(struct probe *p, uint32_t hit)
{
    struct sim *g = p->g;
    memset(p->read_at, 0, sizeof(p->read_at));
    memset(p->read_over, 0, sizeof(p->read_over));
    p->read_over[hit] = true;
    p->read_cnt = 1;
    for (uint32_t i = 0; p->read_cnt < p->told_cnt; i++) {
        CHECK(i < 5000, "not read after salvage");
        probe_read(p);
        probe_pass(p);
    }
}

/* The spool found the damage at run time: the segment is emptied and put aside, the message is
 * given up, and the next start has all others. */
static void salvage_check(struct probe *p, uint32_t segment, uint32_t hit, struct base_rand *rand)
{
    struct sim *g = p->g;
    struct spool_entry e = {.id = g->m[hit].id, .op = SPOOL_FREE, .from = 1};
    enum ledger_state state = g->m[hit].state;
    uint64_t before = stats_get(&p->stats, STATS_SPOOL_SET_ASIDE);
    bool late = base_rand_below(rand, 2) == 0;
    g->m[hit].state = FREEING;
    if (!late)
        CHECK(spool_push(p->spool, &e) == 0, "free");
    uint32_t i = 0;
    for (; i < 5000 && stats_get(&p->stats, STATS_SPOOL_SET_ASIDE) == before; i++)
        probe_pass(p);
    if (late)
        CHECK(spool_push(p->spool, &e) == 0, "free");
    for (uint32_t k = 0; k < 5000 && !spool_idle(p->spool); k++)
        probe_pass(p);
    CHECK(spool_idle(p->spool), "never idle after damage");
    CHECK(i < 5000, "damaged segment %u stays", segment);
    p->aside_cnt++;
    read_again(p, hit);
    g->m[hit].state = FREED;
    if (base_rand_below(rand, 2) == 0)
        disk_sim_crash(&g->disk);
    spool_close(p->spool);
    disk_sim_restart(&g->disk);
    p->rot = false;
    probe_recover(p, base_rand_next(rand));
    g->m[hit].state = state;
}

/* Content: found when it is read, by a start or later. */
static void content_check(struct probe *p, const struct target *t, struct base_rand *rand)
{
    if (!probe_recover(p, base_rand_next(rand)))
        return;
    if (p->damaged[t->hit])
        salvage_check(p, t->segment, t->hit, rand);
    spool_close(p->spool);
}

/* Anything else: either it is refused, or it is as if nothing had happened. Then the operator goes
 * on. */
static void other_check(struct probe *p, const bool *marked, struct base_rand *rand)
{
    struct sim *g = p->g;
    bool open = probe_recover(p, base_rand_next(rand));
    if (!open) {
        memcpy(p->loose, marked, sizeof(p->loose));
        memcpy(p->hit, marked, sizeof(p->hit));
        p->accept = true;
        open = probe_recover(p, base_rand_next(rand));
        p->accept = false;
        p->accepted_cnt += open;
    }
    CHECK(open, "refused although told to go on");
    for (int i = 0; i < 500; i++)
        probe_pass(p);
    spool_close(p->spool);
}

/* One bit, at rest. */
static void rot(struct probe *p, enum target_kind kind, struct base_rand *rand)
{
    struct sim *g = p->g;
    uint32_t numbers[64];
    struct target t = {.kind = kind};
    bool marked[MESSAGE_MAX] = {0};
    int cnt = g->disk.ops->segment_list(g->disk.state, numbers, 64);
    for (int i = 0; i < cnt; i++)
        segment_choose(p, &t, rand, numbers[i]);
    if (t.seen == 0)
        return;
    p->rot_cnt++;
    p->rot = true;
    target_mark(p, &t, false, marked);
    if (is_log_end(p, &t))
        target_mark(p, &t, true, p->loose);
    if (kind == TARGET_CONTENT)
        p->hit[t.hit] = true;
    else
        memcpy(p->hit, marked, sizeof(marked));
    disk_sim_snapshot(&g->disk);
    disk_sim_flip(&g->disk, t.segment, t.offset * 8 + base_rand_below(rand, (uint64_t)t.len * 8));
    probe_quiet(g, rand);
    p->now_ns = g->now_ns;
    if (kind == TARGET_CONTENT)
        content_check(p, &t, rand);
    else
        other_check(p, marked, rand);
    disk_sim_restore(&g->disk);
    memset(p->hit, 0, sizeof(p->hit));
    memset(p->loose, 0, sizeof(p->loose));
    p->rot = false;
}

void rot_run(struct probe *p)
{
    struct sim *g = p->g;
    struct base_rand rand;
    uint64_t crash_cnt = g->crash_cnt;
    for (uint64_t i = 1; i <= ROTS_PER_SEED; i++) {
        g->crash_cnt = p->crash_max + i; /* its number, to replay it */
        base_rand_init(&rand, ~(g->seed << 20 | g->crash_cnt));
        if (p->only == 0 || p->only == g->crash_cnt)
            rot(p, (enum target_kind)((i - 1) % KINDS), &rand);
    }
    g->crash_cnt = crash_cnt;
}
