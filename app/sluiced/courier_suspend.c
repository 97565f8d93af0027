#include "courier_suspend.h"
#include "base_siphash.h"
#include "base_time.h"
#include "courier.h"
#include "courier_bounce.h"
#include "courier_control.h"
#include "courier_journal.h"
#include "courier_plan.h"
#include "courier_print.h"
#include "courier_report.h"
#include "courier_shape.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_ring.h>
#include <rte_ring_elem.h>

#define KNOWN_WAIT_NS (10 * BASE_NS_S)
#define WRITE_WAIT_NS (10 * BASE_NS_S)
#define VALUE_LEN     20 /* le64 until, le64 for, le32 uid; then the reason */
#define FOR_MAX_NS    (365 * 86400 * BASE_NS_S)

base_static_assert(BASE_ARRAY_CNT(((struct courier_suspensions *)0)->told_cnt) >=
                       TOPOLOGY_SPOOL_MAX,
                   "one for each spool");

void courier_suspend_init(struct courier *c)
{
    base_list_init(&c->suspensions.all);
}

void courier_suspend_fini(struct courier *c)
{
    struct base_list *node;

    if (c->suspensions.all.next == NULL)
        return;
    while ((node = base_list_pop_front(&c->suspensions.all)) != NULL)
        free(base_container_of(node, struct courier_suspension, node));
}

bool courier_suspend_is(const struct spool_id *id)
{
    static const uint8_t zero[8];

    return memcmp(id->b, zero, sizeof(zero)) == 0;
}

/* ---- in force ---- */

static bool in_force(const struct courier_suspension *s)
{
    return s->state != SUSPENSION_ENDING;
}

const struct courier_suspension *courier_suspend_find(const struct courier *c,
                                                      struct base_span name)
{
    base_list_each (node, &c->suspensions.all) {
        const struct courier_suspension *s =
            base_container_of(node, struct courier_suspension, node);
        if (in_force(s) && base_span_caseeq(base_span_str(s->name), name))
            return s;
    }
    return NULL;
}

const struct courier_suspension *courier_suspend_of(const struct courier *c, struct base_span name,
                                                    uint32_t group)
{
    const struct courier_suspension *s = courier_suspend_find(c, name);

    if (s != NULL || group >= QUEUE_GROUP_MAX || c->shape.provider[group] == NULL)
        return s;
    return courier_suspend_find(c, base_span_str(c->shape.provider[group]->name));
}

/* A provider of that name goes before a destination. */
static void apply(struct courier *c, const char *name, bool suspended)
{
    struct base_span span = base_span_str(name);
    uint32_t group = courier_shape_find(c, span);

    if (group != 0 && c->shape.provider[group]->conf != NULL)
        queue_group_suspend(c->queue, group, suspended);
    else if (queue_suspend(c->queue, span, suspended) != 0)
        base_assert(false); /* as without memory for the journal */
}

void courier_suspend_apply(struct courier *c)
{
    base_list_each (node, &c->suspensions.all) {
        const struct courier_suspension *s =
            base_container_of(node, struct courier_suspension, node);
        if (in_force(s))
            apply(c, s->name, true);
    }
}

static void log_change(struct courier *c, const struct courier_suspension *s, const char *what)
{
    struct stats_log_record log = {.wall_ns = c->wall_ns, .event = STATS_LOG_WARNING};
    char text[STATS_LOG_TEXT_CAP + 1];

    snprintf(text, sizeof(text), "%s %.60s for_s=%llu uid=%u reason=%.80s", what, s->name,
             (unsigned long long)(s->for_ns / BASE_NS_S), s->uid, s->reason);
    stats_log_text(&log, base_span_str(text));
    stats_log_push(&c->log, &log);
}

static void suspension_free(struct courier *c, struct courier_suspension *s)
{
    base_list_remove(&s->node);
    c->suspensions.cnt--;
    free(s);
}

static void answer(struct courier *c, struct courier_suspension *s, const char *error)
{
    struct courier_request *r = s->request;

    s->request = NULL;
    s->give_up_ns = 0;
    if (r == NULL)
        return;
    r->error = error;
    if (r->text_len == 0)
        courier_print(r, "%s %s\n", s->state == SUSPENSION_ENDING ? "resumed" : "suspended",
                      s->name);
    courier_control_answer(c, r);
}

/* It is over: gone from the spool as soon as that can be. */
static void end(struct courier *c, struct courier_suspension *s, const char *what)
{
    bool on_disk = s->state == SUSPENSION_DURABLE;

    s->gone = !on_disk && s->state != SUSPENSION_WRITING;
    log_change(c, s, what);
    answer(c, s, "it was resumed before it was on disk");
    s->state = SUSPENSION_ENDING;
    apply(c, s->name, false);
    if (on_disk)
        courier_journal(c, &s->id, SPOOL_FREE, NULL, 0);
}

/* ---- from the spool ---- */

static struct courier_suspension *by_id(const struct courier *c, const struct spool_id *id)
{
    base_list_each (node, &c->suspensions.all) {
        struct courier_suspension *s = base_container_of(node, struct courier_suspension, node);
        if (spool_id_eq(&s->id, id))
            return s;
    }
    return NULL;
}

static bool copy_text(char *out, size_t cap, struct base_span text)
{
    if (text.len >= cap || memchr(text.p, 0, text.len) != NULL)
        return false;
    memcpy(out, text.p, text.len);
    out[text.len] = 0;
    return true;
}

static bool read_envelope(struct courier_suspension *s, struct base_span envelope)
{
    struct spool_envelope_field f;
    bool name = false, value = false;

    while (spool_envelope_next(&envelope, &f) == 1) {
        if (f.type == SPOOL_ENVELOPE_RECIPIENT)
            name = copy_text(s->name, sizeof(s->name), f.value);
        if (f.type != SPOOL_ENVELOPE_SUSPENSION || f.value.len < VALUE_LEN)
            continue;
        s->until_wall_ns = base_le64(f.value.p);
        s->for_ns = base_le64(f.value.p + 8);
        s->uid = base_le32(f.value.p + 16);
        value = copy_text(s->reason, sizeof(s->reason),
                          base_span_of(f.value.p + VALUE_LEN, f.value.len - VALUE_LEN));
    }
    return name && value && (s->for_ns != 0 || s->until_wall_ns == 0);
}

/* How much of it is left, as far as the wall clock can be believed. */
static uint64_t left_ns(const struct courier *c, const struct courier_suspension *s)
{
    uint64_t left = s->until_wall_ns > c->wall_ns ? s->until_wall_ns - c->wall_ns : 1;

    return left < s->for_ns ? left : s->for_ns;
}

static void recovered(struct courier *c, const struct spool_done *done)
{
    const struct spool_arrival *a = done->arrival;
    struct courier_suspension *s = calloc(1, sizeof(*s));

    base_assert(s != NULL);
    s->id = done->id;
    if (!read_envelope(s, base_span_of(a->envelope, a->envelope_len)) ||
        c->suspensions.cnt >= SUSPENSION_MAX) {
        courier_warn(c, &done->id, "a suspension that cannot be read is given up");
        courier_journal(c, &done->id, SPOOL_FREE, NULL, 0);
        free(s);
        return;
    }
    const struct courier_suspension *other = courier_suspend_find(c, base_span_str(s->name));
    s->state = SUSPENSION_DURABLE;
    s->until_ns = s->for_ns != 0 ? c->now_ns + left_ns(c, s) : 0;
    base_list_push_back(&c->suspensions.all, &s->node);
    c->suspensions.cnt++;
    if (other != NULL) { /* a crash came between it and the end of the one before: both hold */
        courier_warn(c, &done->id, "suspended twice: the later end counts");
        return;
    }
    apply(c, s->name, true);
    log_change(c, s, "still suspended:");
}

void courier_suspend_done(struct courier *c, const struct spool_done *done)
{
    struct courier_suspension *s = by_id(c, &done->id);

    if (done->op == SPOOL_ARRIVED) {
        if (s == NULL) {
            stats_inc(c->stats, STATS_COURIER_SUSPENSIONS);
            recovered(c, done);
        }
        spool_arrival_free(done->arrival);
        return;
    }
    if (s == NULL)
        return;
    if (done->op == SPOOL_COMMIT && done->status == 0) {
        stats_inc(c->stats, STATS_COURIER_SUSPENSIONS);
        stats_inc(c->stats, STATS_COURIER_SUSPENSIONS_NEW);
    }
    if (done->op == SPOOL_COMMIT) {
        bool good = done->status == 0 || done->status == -EEXIST;
        if (s->state == SUSPENSION_ENDING) { /* resumed meanwhile */
            if (good)
                courier_journal(c, &s->id, SPOOL_FREE, NULL, 0);
            else
                suspension_free(c, s);
            return;
        }
        s->state = good ? SUSPENSION_DURABLE : SUSPENSION_UNWRITTEN;
        answer(c, s, good ? NULL : "it holds, but no spool took it: a restart ends it");
    } else if (done->op == SPOOL_FREE) {
        answer(c, s, NULL);
        suspension_free(c, s);
    }
}

void courier_suspend_told(struct courier *c, uint32_t spool)
{
    c->suspensions.told_cnt[spool]++;
    c->suspensions.spool_known[spool] = true; /* those of the time 0 came before */
}

bool courier_suspend_known(struct courier *c)
{
    struct courier_suspensions *all = &c->suspensions;

    if (all->known)
        return true;
    if (all->start_ns == 0)
        all->start_ns = c->now_ns;
    bool known = true;
    for (uint32_t i = 0; i < c->topology->spool_cnt; i++) {
        const struct stats_block *b = topology_stats(c->topology, TOPOLOGY_SPOOLER, i);
        known &= all->spool_known[i] ||
                 all->told_cnt[i] + all->cnt >= stats_get(b, STATS_SPOOL_RECOVERED);
    }
    all->known = known || c->now_ns - all->start_ns > KNOWN_WAIT_NS;
    return all->known;
}

/* ---- each pass ---- */

static void fill_envelope(struct courier_suspension *s)
{
    uint8_t value[VALUE_LEN + SUSPENSION_REASON_MAX];
    size_t reason = strlen(s->reason);
    struct base_buf out = {.p = s->envelope, .cap = sizeof(s->envelope)};

    base_put_le64(value, s->until_wall_ns);
    base_put_le64(value + 8, s->for_ns);
    base_put_le32(value + 16, s->uid);
    memcpy(value + VALUE_LEN, s->reason, reason);
    int failed = spool_envelope_put(&out, SPOOL_ENVELOPE_SENDER, base_span_str(""));
    failed |= spool_envelope_put(&out, SPOOL_ENVELOPE_RECIPIENT, base_span_str(s->name));
    failed |= spool_envelope_put(&out, SPOOL_ENVELOPE_SUSPENSION,
                                 base_span_of(value, VALUE_LEN + reason));
    base_assert(failed == 0);
    s->envelope_len = (uint32_t)out.len;
}

static uint32_t write_one(struct courier *c, struct courier_suspension *s)
{
    const char *why;
    uint32_t spool = topology_choose_spool(c->topology, c->id_counter, &why);
    uint8_t chance[16];

    if (spool == TOPOLOGY_SPOOL_NONE)
        return 0; /* until somebody waits no longer */
    struct rte_ring *to = c->spool[spool].to;
    if (rte_ring_free_count(to) < 2)
        return 0;
    base_put_le64(chance, c->wall_ns);
    base_put_le64(chance + 8, c->random_cnt++);
    s->id = spool_id_make(0, c->topology->spool[spool].number, COURIER_ID_LANE,
                          (uint32_t)base_siphash(c->secret, chance, sizeof(chance)));
    fill_envelope(s);
    struct spool_entry begin = {.id = s->id,
                                .op = SPOOL_BEGIN,
                                .from = SPOOL_TO_COURIER,
                                .p = s->envelope,
                                .len = s->envelope_len};
    struct spool_entry commit = {.id = s->id, .op = SPOOL_COMMIT, .from = SPOOL_TO_COURIER};
    int failed = rte_ring_sp_enqueue_elem(to, &begin, sizeof(begin));
    failed |= rte_ring_sp_enqueue_elem(to, &commit, sizeof(commit));
    base_assert(failed == 0);
    doorbell_ring(&c->topology->spool[spool].bell);
    s->state = SUSPENSION_WRITING;
    return 1;
}

uint32_t courier_suspend_pass(struct courier *c)
{
    uint32_t n = 0;

    base_list_each (node, &c->suspensions.all) {
        struct courier_suspension *s = base_container_of(node, struct courier_suspension, node);
        if (s->state == SUSPENSION_NEW)
            n += write_one(c, s);
        if (in_force(s) && s->until_ns != 0 && c->now_ns >= s->until_ns) {
            end(c, s, "its time is over, resumed:");
            courier_suspend_apply(c); /* there may be another of that name */
            n++;
        }
        if (s->give_up_ns != 0 && c->now_ns >= s->give_up_ns)
            answer(c, s, "the spool takes no writes: it is done, but not on disk yet");
        if (s->state == SUSPENSION_ENDING && s->gone)
            suspension_free(c, s);
    }
    return n;
}

uint64_t courier_suspend_deadline(const struct courier *c)
{
    uint64_t t = BASE_NS_NONE;

    if (!c->suspensions.known)
        t = c->now_ns + BASE_NS_MS;
    base_list_each (node, &c->suspensions.all) {
        const struct courier_suspension *s =
            base_container_of(node, struct courier_suspension, node);
        if (s->state == SUSPENSION_NEW && c->now_ns + 10 * BASE_NS_MS < t)
            t = c->now_ns + 10 * BASE_NS_MS;
        if (in_force(s) && s->until_ns != 0 && s->until_ns < t)
            t = s->until_ns;
        if (s->give_up_ns != 0 && s->give_up_ns < t)
            t = s->give_up_ns;
    }
    return t;
}

/* ---- the operator ---- */

/* A provider, or a destination: as the queue calls it, or the domain whose mail goes there. */
static void name_of(const struct courier *c, struct base_span word, char out[])
{
    uint8_t name[QUEUE_DESTINATION_MAX];
    uint32_t group = courier_shape_find(c, word);
    bool literal = word.len == 0 || group != 0;

    for (size_t i = 0; i < word.len; i++)
        literal |= memchr(":[], ", word.p[i], 5) != NULL;
    if (!literal) {
        size_t len = courier_plan_destination(c->settings, word, name);
        snprintf(out, QUEUE_DESTINATION_MAX + 1, "%.*s", (int)len, (const char *)name);
        return;
    }
    snprintf(out, QUEUE_DESTINATION_MAX + 1, "%.*s", (int)word.len, (const char *)word.p);
}

void courier_suspend_request(struct courier *c, struct courier_request *r)
{
    struct courier_suspension *s;
    const struct courier_suspension *before;

    if (r->word.len == 0 || r->word.len > QUEUE_DESTINATION_MAX ||
        r->reason.len > SUSPENSION_REASON_MAX || r->for_ns > FOR_MAX_NS) {
        r->error =
            "the name or the reason is too long, or the time is over 365d: give a shorter one";
        return courier_control_answer(c, r);
    }
    s = c->suspensions.cnt < SUSPENSION_MAX ? calloc(1, sizeof(*s)) : NULL;
    if (s == NULL) {
        r->error = "there are 1024 suspensions already, or memory is short: resume some first";
        return courier_control_answer(c, r);
    }
    name_of(c, r->word, s->name);
    before = courier_suspend_find(c, base_span_str(s->name));
    if (before != NULL) /* it takes the place of that one */
        end(c, (struct courier_suspension *)(uintptr_t)before, "suspended anew:");
    s->uid = r->uid;
    s->for_ns = r->for_ns;
    s->until_ns = r->for_ns != 0 ? c->now_ns + r->for_ns : 0;
    s->until_wall_ns = r->for_ns != 0 ? c->wall_ns + r->for_ns : 0;
    snprintf(s->reason, sizeof(s->reason), "%.*s", (int)r->reason.len, (const char *)r->reason.p);
    s->request = r;
    s->give_up_ns = c->now_ns + WRITE_WAIT_NS;
    base_list_push_back(&c->suspensions.all, &s->node);
    c->suspensions.cnt++;
    apply(c, s->name, true);
    log_change(c, s, "suspended:");
}

void courier_suspend_resume(struct courier *c, struct courier_request *r)
{
    char name[QUEUE_DESTINATION_MAX + 1] = "";
    const struct courier_suspension *found = courier_suspend_find(c, r->word);

    if (found == NULL && r->word.len <= QUEUE_DESTINATION_MAX) {
        name_of(c, r->word, name);
        found = courier_suspend_find(c, base_span_str(name));
    }
    uint32_t group = courier_shape_find(c, found != NULL ? base_span_str(found->name) : r->word);
    if (group == 0 && found == NULL)
        group = courier_shape_find(c, base_span_str(name));
    if (group != 0) /* what its replies brought about is over, too */
        courier_shape_forget(c, group);
    if (found == NULL) {
        if (group == 0)
            r->error = "nothing of that name is suspended or limited: queue destinations and "
                       "providers tell what is";
        else
            courier_print(r, "resumed %s\n", c->shape.provider[group]->name);
        return courier_control_answer(c, r);
    }
    struct courier_suspension *s = (struct courier_suspension *)(uintptr_t)found;
    bool durable = s->state == SUSPENSION_DURABLE;
    end(c, s, "resumed:");
    courier_suspend_apply(c);
    s->request = r;
    s->give_up_ns = c->now_ns + WRITE_WAIT_NS;
    if (!durable)
        answer(c, s, NULL);
}
