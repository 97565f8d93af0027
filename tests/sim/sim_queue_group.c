#include "sim_queue_group.h"

#include <string.h>

#define MS BASE_NS_MS

uint32_t sim_group_of(const struct sim *g, uint32_t key)
{
    uint32_t n = key % DOMAIN_MAX;

    if (!g->grouped)
        return 0;
    if (g->flood)
        return n < g->dead_cnt ? n % 3 : g->grouped_live ? 3 : 0;
    return n % GROUP_CNT;
}

uint32_t sim_group_of_name(void *user, struct base_span name, uint32_t group)
{
    const struct sim *g = user;
    uint32_t n = 0, key;

    for (size_t i = name.p[0] == 'h' ? 3 : 1; i < name.len; i++)
        n = n * 10 + (uint32_t)(name.p[i] - '0');
    key = name.p[0] == 'h' ? DOMAIN_MAX + n : n;
    return n % 2 == 0 ? sim_group_of(g, key) : group;
}

void sim_group_draw(struct sim *g)
{
    static const uint64_t gap[] = {0, 0, 7 * MS, 150 * MS, 2 * S, 20 * S};
    for (uint32_t i = 1; i < GROUP_CNT; i++) {
        struct sim_group *s = &g->group[i];
        s->limits.job_max = below(g, 3) == 0 ? 0 : 1 + (uint32_t)below(g, 6);
        s->limits.rcpt_max = below(g, 3) == 0 ? 1 + (uint32_t)below(g, 40) : 0;
        s->limits.job_gap_ns = gap[below(g, BASE_ARRAY_CNT(gap))];
        s->limits.rcpt_gap_ns = gap[below(g, 5)] / 8;
        if (i == 3 && g->flood) /* of those that have to have their turns in time */
            s->limits = (struct queue_group_limits){.job_max = 1 + (uint32_t)below(g, 6)};
        s->start_cnt = 0;
    }
}

void sim_group_tell(struct sim *g)
{
    for (uint32_t i = 1; g->grouped && i < GROUP_CNT; i++) {
        int rc = queue_group_limit(g->q, i, &g->group[i].limits);
        CHECK(rc == 0, "limit: %d", rc);
        queue_group_suspend(g->q, i, g->group[i].suspended);
        queue_group_pause(g->q, i, 0);
        g->group[i].pause_ns = 0;
        g->group[i].start_cnt = 0;
    }
    if (g->suspended_key != 0) {
        int rc = queue_suspend(g->q, base_span_str(g->suspended_name), true);
        CHECK(rc == 0, "suspend: %d", rc);
    }
}

static void name_free(struct sim *g)
{
    if (g->suspended_key == 0)
        return;
    int rc = queue_suspend(g->q, base_span_str(g->suspended_name), false);
    CHECK(rc == 0, "resume: %d", rc);
    g->suspended_key = 0;
}

void sim_group_act(struct sim *g)
{
    uint32_t i = 1 + (uint32_t)below(g, GROUP_CNT - 1);
    struct sim_group *s = &g->group[i];

    if (!g->grouped || g->flood)
        return;
    switch (below(g, 4)) {
    case 0:
        s->suspended = !s->suspended;
        queue_group_suspend(g->q, i, s->suspended);
        break;
    case 1:
        s->pause_ns = g->now_ns + below(g, 600 * S);
        queue_group_pause(g->q, i, s->pause_ns);
        break;
    case 2:
        name_free(g);
        g->suspended_key = 1 + (uint32_t)below(g, g->domain_cnt);
        snprintf(g->suspended_name, sizeof(g->suspended_name), "D%u", g->suspended_key - 1);
        sim_group_tell(g);
        break;
    default:
        name_free(g);
    }
}

void sim_group_free(struct sim *g)
{
    name_free(g);
    for (uint32_t i = 1; i < GROUP_CNT; i++)
        g->group[i].suspended = false;
    sim_group_tell(g);
}

static uint64_t tolerance(uint64_t gap_ns)
{
    return gap_ns < QUEUE_GROUP_BURST_NS ? QUEUE_GROUP_BURST_NS - gap_ns : 0;
}

/* This start against each of the last ones. */
static void pace_check(struct sim *g, struct sim_group *s, uint32_t rcpt_cnt)
{
    uint64_t jobs_ns = 0, rcpts_ns = 0;
    uint32_t n = s->start_cnt < START_CNT ? s->start_cnt : START_CNT;

    for (uint32_t i = 1; i <= n; i++) {
        const struct sim_start *at = &s->start[(s->start_cnt - i) % START_CNT];
        uint64_t since = g->now_ns - at->now_ns;
        jobs_ns += s->limits.job_gap_ns;
        rcpts_ns += s->limits.rcpt_gap_ns * at->rcpt_cnt;
        CHECK(since + tolerance(s->limits.job_gap_ns) >= jobs_ns || s->limits.job_gap_ns == 0,
              "%u jobs in %llu ms", i + 1, (unsigned long long)(since / MS));
        CHECK(since + tolerance(s->limits.rcpt_gap_ns) >= rcpts_ns || s->limits.rcpt_gap_ns == 0,
              "recipients of %u jobs in %llu ms", i, (unsigned long long)(since / MS));
    }
    s->start[s->start_cnt++ % START_CNT] = (struct sim_start){g->now_ns, rcpt_cnt};
}

bool sim_group_begins(struct sim *g, struct out *o)
{
    uint32_t i = sim_group_of(g, o->key), cnt = 0;
    struct sim_group *s = &g->group[i];

    if (o->job.set_aside)
        return true;
    CHECK(g->suspended_key == 0 || g->pairs || o->key != g->suspended_key - 1, "is suspended");
    if (!queue_group_join(g->q, &o->job, i))
        return false;
    if (i == 0)
        return true;
    for (uint32_t k = 0; k < g->out_cnt; k++)
        cnt += g->out[k].counts && sim_group_of(g, g->out[k].key) == i;
    CHECK(s->limits.job_max == 0 || cnt <= s->limits.job_max, "%u jobs of group %u", cnt, i);
    CHECK(!s->suspended && s->pause_ns <= g->now_ns, "group %u is not to have any", i);
    CHECK(s->limits.rcpt_max == 0 || o->job.recipient_cnt <= s->limits.rcpt_max, "%u recipients",
          o->job.recipient_cnt);
    pace_check(g, s, o->job.recipient_cnt);
    g->group_jobs++;
    return true;
}

uint64_t sim_group_slack(const struct sim *g, uint64_t n)
{
    uint64_t longest = 0;
    for (uint32_t i = 1; g->grouped && i < GROUP_CNT; i++) {
        const struct queue_group_limits *l = &g->group[i].limits;
        uint64_t ns = l->job_gap_ns + l->rcpt_gap_ns * QUEUE_JOB_RCPT_MAX;
        longest = ns > longest ? ns : longest;
    }
    return n * longest;
}
