/* How the pace falls by rules, and grows again. */
#include "shape.h"

#define WINDOW_NS  (10 * BASE_NS_S)
#define GAP_MAX_NS (600 * BASE_NS_S) /* never slower by itself */

#define RATE_STEPS 10 /* in which a rate grows by what it was */

/* The smaller of two limits, of which 0 is none. */
static uint32_t fewer(uint32_t a, uint32_t b)
{
    return a == 0 ? b : b == 0 || a < b ? a : b;
}

static uint64_t slower(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void shape_state_set(struct shape_state *s, const struct shape_limits *limits)
{
    s->set = *limits;
    if (!s->low) {
        s->now = *limits;
        return;
    }
    s->now.connections = fewer(s->now.connections, limits->connections);
    s->now.gap_ns = slower(s->now.gap_ns, limits->gap_ns);
    if (limits->connections != 0)
        s->was.connections = limits->connections;
    if (limits->gap_ns != 0)
        s->was.gap_ns = limits->gap_ns;
}

static void window_roll(struct shape_state *s, uint64_t now_ns)
{
    if (now_ns - s->window_ns < WINDOW_NS)
        return;
    s->begun_before_cnt = now_ns - s->window_ns < 2 * WINDOW_NS ? s->begun_cnt : 0;
    s->begun_cnt = 0;
    s->window_ns = now_ns;
}

void shape_state_begun(struct shape_state *s, uint64_t now_ns)
{
    window_roll(s, now_ns);
    s->begun_cnt++;
}

/* The gap between messages as it was in the last seconds. */
static uint64_t measured_gap(const struct shape_state *s, uint64_t now_ns)
{
    uint64_t over = now_ns - s->window_ns, cnt = (uint64_t)s->begun_cnt + s->begun_before_cnt;

    over += s->begun_before_cnt > 0 ? WINDOW_NS : 0;
    over = over > BASE_NS_S ? over : BASE_NS_S;
    uint64_t gap = over / (cnt > 0 ? cnt : 1);
    return gap < GAP_MAX_NS / 2 ? gap : GAP_MAX_NS / 2;
}

static void fall(struct shape_state *s, const struct shape_rule *r, uint32_t job_cnt,
                 uint64_t now_ns)
{
    if (!s->low) {
        s->was = s->set;
        if (s->was.connections == 0)
            s->was.connections = job_cnt > 1 ? job_cnt : 1;
        if (s->was.gap_ns == 0)
            s->was.gap_ns = measured_gap(s, now_ns);
    }
    if ((r->actions & SHAPE_CONNECTIONS) != 0) {
        uint32_t from = fewer(s->now.connections, job_cnt > 1 ? job_cnt : 1);
        uint32_t to = r->connections != 0 ? r->connections : from / 2;
        s->now.connections = fewer(s->now.connections, to > 1 ? to : 1);
        s->low = true;
    }
    if ((r->actions & SHAPE_RATE) != 0) {
        uint64_t gap = 2 * slower(s->now.gap_ns, s->now.gap_ns == 0 ? s->was.gap_ns : 0);
        s->now.gap_ns = gap < GAP_MAX_NS ? gap : slower(s->now.gap_ns, GAP_MAX_NS);
        s->low = true;
    }
}

bool shape_state_hit(struct shape_state *s, const struct shape_rule *r, uint32_t job_cnt,
                     uint64_t begun_ns, uint64_t now_ns)
{
    bool falls =
        (r->actions & (SHAPE_CONNECTIONS | SHAPE_RATE)) != 0 || r->wait_ns > 0 || r->suspend_ns > 0;
    uint64_t wait = r->wait_ns;

    window_roll(s, now_ns);
    s->hit_cnt++;
    s->step_ns = now_ns + SHAPE_STEP_NS;
    s->taken = false;
    if (!falls || (s->fell_ns > 0 && begun_ns <= s->fell_ns))
        return false;
    fall(s, r, job_cnt, now_ns);
    for (uint32_t i = 0; i < s->fall_cnt && wait < SHAPE_WAIT_MAX_NS; i++)
        wait *= 2;
    wait = wait < SHAPE_WAIT_MAX_NS ? wait : SHAPE_WAIT_MAX_NS;
    wait = wait > r->suspend_ns ? wait : r->suspend_ns;
    if (now_ns + wait > s->until_ns && wait > 0)
        s->until_ns = now_ns + wait;
    s->step_ns = (wait > 0 ? s->until_ns : now_ns) + SHAPE_STEP_NS;
    s->fell_ns = now_ns;
    s->fall_cnt += s->fall_cnt < SHAPE_FALLS_MAX;
    return true;
}

void shape_state_taken(struct shape_state *s)
{
    s->taken = true;
}

bool shape_state_step(struct shape_state *s, uint64_t now_ns)
{
    if ((!s->low && s->fall_cnt == 0) || now_ns < s->step_ns)
        return false;
    s->step_ns = now_ns + SHAPE_STEP_NS;
    if (!s->taken && s->low)
        return false; /* nothing was tried that would tell */
    s->taken = false;
    s->fall_cnt -= s->fall_cnt > 0;
    if (!s->low)
        return false;
    if (s->now.connections != s->set.connections && ++s->now.connections >= s->was.connections)
        s->now.connections = s->set.connections;
    if (s->now.gap_ns != s->set.gap_ns) {
        /* A tenth of the rate that was: 1/gap grows by 1/(10 * was). */
        uint64_t was = s->was.gap_ns > 0 ? s->was.gap_ns : 1;
        __extension__ unsigned __int128 both =
            (unsigned __int128)s->now.gap_ns * RATE_STEPS * was; /* far below 2^128 */
        s->now.gap_ns = (uint64_t)(both / (s->now.gap_ns + RATE_STEPS * was));
        if (s->now.gap_ns <= was + was / RATE_STEPS)
            s->now.gap_ns = s->set.gap_ns;
    }
    s->low = s->now.connections != s->set.connections || s->now.gap_ns != s->set.gap_ns;
    return true;
}

void shape_state_forget(struct shape_state *s)
{
    s->now = s->set;
    s->low = false;
    s->until_ns = 0;
    s->fall_cnt = 0;
}

uint64_t shape_state_deadline(const struct shape_state *s)
{
    return s->low || s->fall_cnt > 0 ? s->step_ns : BASE_NS_NONE;
}
