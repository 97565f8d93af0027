/* The disks of sim_gateway.c, and their troubles. */
#include "sim_gateway.h"
#include "base_time.h"
#include "sim_world.h"

/* One spool alone, in four of seven seeds: now and then for all the run, or (OUTAGE) with every
 * write for some seconds. */
void sim_choose_fault(struct sim *s)
{
    uint64_t kind = s->seed % 7;

    s->fault = s->trouble.kind == TROUBLE_NONE && kind < FAULT_NONE ? (enum fault)kind : FAULT_NONE;
    s->outage_ns = s->fault == FAULT_OUTAGE ? s->now_ns + base_rand_below(&s->rand, 3 * BASE_NS_S)
                                            : BASE_NS_NONE;
}

struct disk_sim_config sim_disk_config(const struct sim *s, uint32_t i, bool trouble)
{
    const struct trouble *t = &s->trouble;
    bool writes = s->fault == FAULT_WRITES, reads = s->fault == FAULT_READS;
    struct disk_sim_config d = {
        .seed = s->seed + i,
        .delay_max = 5,
        .queue_depth = 64,
        .sector_bytes = s->seed & 1 ? 512 : 4096,
        .again_ppm = 10000,
        .write_error_ppm = writes ? 3000 : 0,
        .write_short_ppm = writes ? 3000 : 0,
        .write_ghost_ppm = writes ? 3000 : 0,
        .read_error_ppm = reads ? 5000 : 0,
        .read_flip_ppm = reads ? 20000 : 0,
        .capacity_bytes = s->fault == FAULT_SMALL ? (4 + s->seed / 7 % 3) << 20 : 0,
    };

    if (!trouble || (t->disk != i && t->kind != TROUBLE_ALL))
        return d;
    if (t->kind == TROUBLE_SMALL)
        d.capacity_bytes = 4 << 20; /* as few segments as there can be: 750 kB of mail */
    else
        d.write_error_ppm = t->kind == TROUBLE_RANDOM ? 300000 : 1000000;
    return d;
}

static void set_trouble(struct sim *s, bool on)
{
    for (uint32_t i = 0; i < s->spool_cnt; i++) {
        struct disk_sim_config d = sim_disk_config(s, i, on);
        disk_sim_configure(&s->disk[i], &d);
    }
}

void sim_choose_spools(struct sim *s)
{
    struct trouble *t = &s->trouble;

    s->spool_cnt = 1 + (uint32_t)(s->seed / 3 % SPOOL_CNT_MAX);
    *t = (struct trouble){.kind = (enum trouble_kind)(s->seed / 9 % TROUBLE_CNT)};
    if (s->spool_cnt == 1)
        t->kind = TROUBLE_NONE;
    t->disk = (uint32_t)base_rand_below(&s->rand, s->spool_cnt);
    t->begin_ns = s->now_ns + (t->kind == TROUBLE_SMALL ? 0 : base_rand_below(&s->rand, BASE_NS_S));
    t->end_ns = t->kind == TROUBLE_FOR_GOOD
                    ? BASE_NS_NONE
                    : t->begin_ns + base_rand_below(&s->rand, 20 * BASE_NS_S);
}

void sim_run_trouble(struct sim *s)
{
    struct trouble *t = &s->trouble;

    if (t->kind == TROUBLE_NONE)
        return;
    if (!t->began && s->now_ns >= t->begin_ns) {
        t->began = true;
        set_trouble(s, true);
    }
    bool through = world_sent(s->world) && world_delivered(s->world);
    if (t->began && !t->ended && (s->now_ns >= t->end_ns || through)) {
        t->ended = true;
        set_trouble(s, false);
    }
}

void sim_count_moved(struct sim *s, uint32_t acked_before)
{
    bool refused = false, taken = false;

    for (uint32_t i = 0; i < s->spool_cnt; i++)
        if (topology_spool_refusal(&s->topology, i) != NULL)
            refused = true;
        else
            taken = true;
    if (refused && taken)
        s->moved_cnt += world_acked(s->world) - acked_before;
}
