/* Whose turn it is: destinations, senders, limits, destinations that do not answer; and memory. */
#include "unit.h"

#include "queue_rig.h"

#include <malloc.h>
#include <stdio.h>

#define S    BASE_NS_S
#define WALL (UINT64_C(1700000000) * S)

static struct queue_config config = {.backoff_min_ns = 300 * S,
                                     .backoff_max_ns = 4000 * S,
                                     .lifetime_ns = 5 * 86400 * S,
                                     .destination_max = 20,
                                     .job_max = 100,
                                     .seed = 7};
static struct queue *q;
static uint64_t now;
static uint32_t number; /* of the last message */

static int open_queue(void **state)
{
    (void)state;
    now = S;
    number = 0;
    assert_int_equal(queue_init(&q, &config), 0);
    queue_clock(q, now, WALL);
    return 0;
}

static int close_queue(void **state)
{
    (void)state;
    queue_fini(q);
    return 0;
}

static struct spool_id add(const char *sender, const char *to)
{
    struct spool_id id = spool_id_make(WALL + number, 1, 0, number);
    struct base_span r = base_span_str(to);
    number++;
    struct spool_arrival *a = queue_rig_arrival(base_span_str(sender), &r, 1, WALL, false, NULL);
    assert_int_equal(queue_add(q, &id, a, now, WALL + now), 0);
    return id;
}

static bool end(struct queue_job *job, uint8_t state, uint16_t code)
{
    struct spool_outcome out[QUEUE_JOB_RCPT_MAX];
    return queue_rig_end(q, job, state, code, now, WALL + now, out);
}

static void delivered(struct queue_job *job)
{
    assert_true(end(job, SPOOL_OUTCOME_DELIVERED, 250));
    assert_int_equal(queue_remove(q, &job->id), 0);
}

static struct queue_destination_entry entry;

static bool take_entry(void *user, const struct queue_destination_entry *e)
{
    if (!base_span_eq(e->name, base_span_str(user)))
        return true;
    entry = *e;
    return false;
}

static const struct queue_destination_entry *look(const char *name)
{
    entry = (struct queue_destination_entry){0};
    queue_each_destination(q, 0, UINT32_MAX, take_entry, (void *)(uintptr_t)name);
    return entry.number != 0 ? &entry : NULL;
}

/* One place, then 5, then one more with each round of answers, up to the limit. */
static void places_grow_with_answers(void **state)
{
    (void)state;
    static struct queue_job job[64];
    for (int i = 0; i < 1000; i++)
        add("s@x.org", "r@one.example");
    assert_true(queue_next(q, &job[0], now));
    assert_false(queue_next(q, &job[1], now));
    assert_true(queue_deadline(q) > now);
    delivered(&job[0]);
    uint32_t window = QUEUE_WINDOW_START;
    for (int round = 0; round < 30; round++) {
        uint32_t n = 0;
        while (queue_next(q, &job[n], now))
            n++;
        assert_int_equal(n, window);
        assert_int_equal(look("one.example")->job_cnt, n);
        for (uint32_t i = 0; i < n; i++)
            delivered(&job[i]);
        window += window < 20;
    }
    assert_int_equal(window, 20);
    config.destination_max = 2;
    queue_configure(q, &config);
    config.destination_max = 20;
    assert_true(queue_next(q, &job[0], now) && queue_next(q, &job[1], now));
    assert_false(queue_next(q, &job[2], now));
}

/* A sender with thousands of messages has one turn of two beside one with a few. */
static void senders_take_turns(void **state)
{
    (void)state;
    struct queue_job job;
    uint32_t turns = 0;
    for (int i = 0; i < 3000; i++)
        add("bulk@x.org", "r@one.example");
    for (int i = 0; i < 3; i++)
        add("one@x.org", "r@one.example");
    add("", "r@one.example");
    for (int left = 4; left > 0; turns++) {
        assert_true(queue_next(q, &job, now));
        left -= !base_span_eq(job.sender, base_span_str("bulk@x.org"));
        delivered(&job);
    }
    assert_in_range(turns, 4, 9);
    struct spool_id last = {{0}};
    for (int i = 0; i < 500; i++) { /* and its own come in their order */
        assert_true(queue_next(q, &job, now));
        assert_true(memcmp(last.b, job.id.b, sizeof(last.b)) < 0);
        last = job.id;
        delivered(&job);
    }
}

static void destinations_take_turns(void **state)
{
    (void)state;
    static const char *const to[] = {"r@a.example", "r@b.example", "r@c.example"};
    struct queue_job job;
    char seen[7] = "";
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 100; i++)
            add("s@x.org", to[k]);
    for (int i = 0; i < 3; i++) { /* all three answer */
        assert_true(queue_next(q, &job, now));
        delivered(&job);
    }
    for (int i = 0; i < 6; i++) {
        assert_true(queue_next(q, &job, now));
        seen[i] = (char)job.domain.p[0];
        delivered(&job);
    }
    assert_memory_equal(seen, seen + 3, 3);
    assert_true(seen[0] != seen[1] && seen[1] != seen[2] && seen[0] != seen[2]);
}

static size_t by_last_letter(void *user, struct base_span domain,
                             uint8_t out[QUEUE_DESTINATION_MAX])
{
    out[0] = domain.p[domain.len - 1 - *(const size_t *)user];
    return 1;
}

/* Domains behind one next hop are one destination: one job, one limit; also after a reload. */
static void names_of_destinations(void **state)
{
    (void)state;
    static size_t back;
    static const char *const to[] = {"r@x.ab", "r@y.ab", "r@z.bb", "r@z.cc", "r@z.ac"};
    struct base_span r[5];
    struct queue_config c = config;
    struct queue_job job, other;
    back = 0;
    c.destination = by_last_letter;
    c.user = &back;
    queue_configure(q, &c);
    for (int i = 0; i < 5; i++)
        r[i] = base_span_str(to[i]);
    struct spool_id id = spool_id_make(WALL, 1, 0, 1);
    struct spool_arrival *a = queue_rig_arrival(base_span_str("s"), r, 5, WALL, true, NULL);
    assert_int_equal(queue_add(q, &id, a, now, WALL + now), 0);
    assert_int_equal(look("b")->queued_cnt, 3);
    assert_int_equal(look("c")->queued_cnt, 2);
    assert_true(queue_next(q, &job, now));
    assert_int_equal(job.recipient_cnt, 3);
    back = 1; /* a, a, b, c, a while the first three are out */
    queue_configure(q, &c);
    assert_int_equal(look("a")->queued_cnt, 3);
    assert_false(end(&job, SPOOL_OUTCOME_DEFERRED, 450));
    assert_int_equal(look("a")->deferred_cnt, 2);
    assert_int_equal(look("b")->deferred_cnt, 1);
    assert_true(queue_next(q, &job, now) && queue_next(q, &other, now));
    assert_int_equal(job.recipient_cnt + other.recipient_cnt, 2);
    assert_false(end(&job, SPOOL_OUTCOME_FAILED, 550));
    assert_false(end(&other, SPOOL_OUTCOME_DELIVERED, 250));
}

/* Three failures set it aside; one tries when its back-off is over; an answer lets all go. */
static void set_aside(void **state)
{
    (void)state;
    struct queue_job job, other;
    struct spool_outcome out[QUEUE_JOB_RCPT_MAX];
    struct queue_usage u;
    uint64_t wait = 0;
    for (int i = 0; i < 50; i++)
        add("s@x.org", "r@dead.example");
    for (int i = 0; i < QUEUE_FAILS_MAX; i++) {
        assert_true(queue_next(q, &job, now));
        assert_false(end(&job, SPOOL_OUTCOME_DEFERRED, 0));
    }
    add("s@x.org", "r@live.example");
    assert_true(queue_next(q, &job, now));
    assert_true(base_span_eq(job.domain, base_span_str("live.example")));
    delivered(&job);
    for (int i = 0; i < 6; i++) { /* its back-off doubles, to backoff_max */
        assert_false(queue_next(q, &job, now));
        assert_true(look("dead.example")->aside);
        wait = look("dead.example")->aside_ns;
        uint64_t base = i < 4 ? (300 * S) << i : 4000 * S;
        assert_in_range(wait, base, base + base / 8);
        now += wait;
        assert_true(queue_next(q, &job, now));
        assert_false(queue_next(q, &other, now));
        assert_false(queue_rig_end(q, &job, SPOOL_OUTCOME_DEFERRED, 0, now, WALL + now, out));
        assert_int_equal(out[0].next_wall_ns, WALL + now + look("dead.example")->aside_ns);
    }
    queue_usage(q, &u);
    assert_int_equal(u.aside_cnt, 1);
    now += look("dead.example")->aside_ns;
    assert_true(queue_next(q, &job, now));
    delivered(&job);
    int rest = 0;
    for (; queue_next(q, &job, now); rest++) /* those that were tried and failed, too */
        delivered(&job);
    assert_int_equal(rest, 49);
    queue_usage(q, &u);
    assert_int_equal(u.message_cnt + u.aside_cnt + u.destination_cnt, 0);
}

/* What the message alone is refused for does not set the destination aside. */
static void refusals_are_answers(void **state)
{
    (void)state;
    struct queue_job job;
    for (int i = 0; i < 20; i++)
        add("s@x.org", "r@grey.example");
    for (int i = 0; i < 20; i++) {
        assert_true(queue_next(q, &job, now));
        assert_false(end(&job, SPOOL_OUTCOME_DEFERRED, 451));
    }
    assert_false(look("grey.example")->aside);
    struct spool_id id = add("s@x.org", "r@grey.example");
    assert_true(queue_next(q, &job, now));
    assert_memory_equal(&job.id, &id, sizeof(id));
    queue_put_back(q, &job, now);
    assert_true(queue_next(q, &job, now));
    queue_answer(q, &job, QUEUE_ANSWER_NONE);
    queue_put_back(q, &job, now + S);
    assert_false(queue_next(q, &job, now));
}

/* Destinations that never answered leave places for those that do. */
static void silent_ones_leave_room(void **state)
{
    (void)state;
    static struct queue_job job[100];
    struct queue_job one;
    char to[64];
    uint32_t n = 0;
    add("s@x.org", "r@live.example");
    assert_true(queue_next(q, &one, now));
    delivered(&one);
    for (int i = 0; i < 200; i++) {
        snprintf(to, sizeof(to), "r@d%d.example", i);
        add("s@x.org", to);
        add("s@x.org", to);
    }
    while (n < 100 && queue_next(q, &job[n], now))
        n++;
    assert_int_equal(n, 75);
    for (int i = 0; i < 30; i++)
        add("s@x.org", "r@live.example");
    assert_true(queue_next(q, &one, now));
    assert_true(base_span_eq(one.domain, base_span_str("live.example")));
    delivered(&one);
    for (uint32_t i = 0; i < n; i++)
        assert_false(end(&job[i], SPOOL_OUTCOME_DEFERRED, 0));
    uint32_t live = 0, failing = 0, fresh = 0;
    for (n = 0; n < 100 && queue_next(q, &job[n], now); n++) {
        uint32_t d = look("live.example")->job_cnt;
        live = d;
    }
    failing = 25;
    fresh = n - live - failing;
    assert_in_range(live, QUEUE_WINDOW_START, 20);
    assert_int_equal(fresh, 50);
}

/* An operator's flush has it tried now. */
static void flush_wakes(void **state)
{
    (void)state;
    struct queue_job job;
    struct spool_id id = {{0}};
    for (int i = 0; i < QUEUE_FAILS_MAX + 1; i++)
        id = add("s@x.org", "r@dead.example");
    for (int i = 0; i < QUEUE_FAILS_MAX; i++) {
        assert_true(queue_next(q, &job, now));
        assert_false(end(&job, SPOOL_OUTCOME_DEFERRED, 0));
    }
    assert_false(queue_next(q, &job, now));
    assert_int_equal(queue_hold(q, &id, true), 0);
    assert_int_equal(look("dead.example")->held_cnt, 1);
    assert_int_equal(queue_flush_message(q, &id, now), 0);
    assert_false(queue_next(q, &job, now));
    assert_int_equal(queue_hold(q, &id, false), 0);
    assert_int_equal(queue_flush_message(q, &id, now), 0);
    for (int i = 0; i <= QUEUE_FAILS_MAX; i++) {
        assert_true(queue_next(q, &job, now));
        delivered(&job);
    }
}

static struct base_span words_seen;
static uint32_t words_cnt;

static bool see_words(void *user, const struct queue_entry *e)
{
    (void)user;
    words_seen = e->words;
    words_cnt += e->words.len > 0;
    return true;
}

static void same_words_cost_once(void **state)
{
    (void)state;
    static const struct spool_id zero;
    struct queue_usage before, after;
    struct queue_job job;
    char text[64];
    const char *again = "450 4.2.0 mailbox busy, of which there is much to be said";
    for (int i = 0; i < 6000; i++)
        add("s@x.org", "r@one.example");
    queue_usage(q, &before);
    for (int i = 0; i < 6000; i++) {
        assert_true(queue_next(q, &job, now));
        assert_false(end(&job, SPOOL_OUTCOME_DEFERRED, 450));
        queue_note(q, job.message, 0, base_span_str(again));
    }
    queue_usage(q, &after);
    assert_in_range(after.bytes, before.bytes, before.bytes + 4096);
    queue_each(q, &zero, UINT32_MAX, see_words, NULL);
    assert_true(base_span_eq(words_seen, base_span_str(again)));
    now += 5000 * S;
    for (int i = 0; i < 6000; i++) { /* each other words: there is a bound */
        assert_true(queue_next(q, &job, now));
        snprintf(text, sizeof(text), "450 4.2.0 busy (%d)", i);
        queue_note(q, job.message, 0, base_span_str(text));
        assert_true(end(&job, SPOOL_OUTCOME_DELIVERED, 250));
    }
    queue_usage(q, &after);
    assert_in_range(after.bytes, before.bytes, before.bytes + 4600 * 128);
    words_cnt = 0;
    queue_each(q, &zero, UINT32_MAX, see_words, NULL);
    assert_in_range(words_cnt, 4096, 4096 + 6000 / 16);
}

static struct queue_result told(const struct queue_job *job, uint16_t code, uint32_t enhanced)
{
    return (struct queue_result){.recipient = job->recipients[0],
                                 .state = SPOOL_OUTCOME_DEFERRED,
                                 .code = code,
                                 .enhanced = enhanced};
}

static uint32_t enhanced_cnt;

/* What is kept of the codes is right: as code_of and enhanced_of made them. */
static bool see_codes(void *user, const struct queue_entry *e)
{
    uint32_t n = (uint32_t)(e->arrival_wall_ns - WALL), round = *(const uint32_t *)user;
    struct spool_outcome o = queue_entry_outcome(e, 0);
    assert_int_equal(o.code, 400 + (n + round) % 7);
    if (o.enhanced != 0)
        assert_int_equal(o.enhanced, 4000000 + n % 6000 + round);
    enhanced_cnt += o.enhanced != 0;
    return true;
}

/* Pairs of codes cost once; there is a bound on them, above which the journal has them alone. */
static void same_codes_cost_once(void **state)
{
    (void)state;
    static const struct spool_id zero;
    struct queue_usage before, after;
    struct queue_job job;
    struct spool_outcome out;
    struct base_span to = base_span_str("r@one.example");
    for (uint32_t i = 0; i < 6100; i++) {
        struct spool_id id = spool_id_make(WALL + i, 1, 0, i);
        struct spool_arrival *a =
            queue_rig_arrival(base_span_str("s@x.org"), &to, 1, WALL + i, false, NULL);
        assert_int_equal(queue_add(q, &id, a, now, WALL + now), 0);
    }
    queue_usage(q, &before);
    for (uint32_t round = 0; round < 3; round++, now += 9000 * S) {
        for (int i = 0; i < 6100; i++) {
            assert_true(queue_next(q, &job, now));
            uint32_t n = (uint32_t)(job.arrival_wall_ns - WALL);
            struct queue_result r =
                told(&job, (uint16_t)(400 + (n + round) % 7), 4000000 + n % 6000 + round);
            assert_false(queue_done(q, &job, &r, &out, now, WALL + now));
            assert_int_equal(out.enhanced, r.enhanced);
            assert_int_equal(out.code, r.code);
        }
        enhanced_cnt = 0;
        queue_each(q, &zero, UINT32_MAX, see_codes, &round);
        assert_in_range(enhanced_cnt, 4096, 4096 + 100);
        queue_usage(q, &after);
        assert_in_range(after.bytes, before.bytes, before.bytes + 4096 * 16);
    }
    for (int i = 0; i < 6100; i++) { /* and they go: then there is room for others */
        assert_true(queue_next(q, &job, now));
        struct queue_result r = told(&job, 450, 4002001);
        assert_false(queue_done(q, &job, &r, &out, now, WALL + now));
    }
    for (uint32_t i = 0; i < 6100; i++) {
        struct spool_id id = spool_id_make(WALL + i, 1, 0, i);
        if (i >= 100)
            assert_int_equal(queue_remove(q, &id), 0);
    }
    uint32_t round = 0;
    for (now += 9000 * S; queue_next(q, &job, now);) {
        uint32_t n = (uint32_t)(job.arrival_wall_ns - WALL);
        struct queue_result r = told(&job, (uint16_t)(400 + n % 7), 4000000 + n);
        assert_false(queue_done(q, &job, &r, &out, now, WALL + now));
    }
    enhanced_cnt = 0;
    queue_each(q, &zero, UINT32_MAX, see_codes, &round);
    assert_int_equal(enhanced_cnt, 100);
}

/* ---- memory ---- */

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/allocator_interface.h>
#define ALLOCATED() __sanitizer_get_current_allocated_bytes()
#endif
#endif
#ifndef ALLOCATED
static uint64_t allocated(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}
#define ALLOCATED() allocated()
#endif

/* Fills the queue with addresses of 30 bytes, each sender a different one, to destination_cnt
 * destinations. Returns the bytes that it takes. */
static uint64_t fill(uint32_t message_cnt, uint32_t recipient_cnt, uint32_t destination_cnt)
{
    static char text[200][32];
    static struct base_span to[200];
    char sender[32];
    struct queue_usage u;
    uint64_t before = ALLOCATED();
    uint32_t at = 0;
    open_queue(NULL);
    for (uint32_t i = 0; i < message_cnt; i++) {
        struct spool_id id = spool_id_make(WALL + i, 1, 0, i);
        for (uint32_t k = 0; k < recipient_cnt; k++, at++) {
            snprintf(text[k], sizeof(text[k]), "usr%06u@d%06u.mail.example", at % 1000000,
                     at % destination_cnt);
            to[k] = base_span_str(text[k]);
        }
        snprintf(sender, sizeof(sender), "news-%06u@lists.example.net", i);
        struct spool_arrival *a =
            queue_rig_arrival(base_span_str(sender), to, recipient_cnt, WALL, false, NULL);
        assert_int_equal(queue_add(q, &id, a, now, WALL + now), 0);
    }
    assert_int_equal(to[0].len, 30);
    uint64_t bytes = ALLOCATED() - before;
    queue_usage(q, &u);
    assert_in_range(u.bytes, bytes - bytes / 50, bytes + bytes / 50);
    assert_int_equal(u.destination_cnt, destination_cnt);
    return u.bytes > bytes ? u.bytes : bytes;
}

/* The bound of issue and header, destinations and what malloc takes included. */
static void memory(void **state)
{
    (void)state;
    struct queue_job job;
    struct queue_usage u;
    uint64_t one = fill(20000, 1, 2000);
    print_message("%.1f bytes a message with one recipient, ten for each destination\n",
                  (double)one / 20000);
    assert_true(one <= 20000 * 256);
    while (queue_next(q, &job, now)) /* waiting for a time costs no more */
        assert_false(end(&job, SPOOL_OUTCOME_DEFERRED, 450));
    queue_usage(q, &u);
    assert_true(u.bytes <= one + 4096); /* what they were told, once */
    close_queue(NULL);
    uint64_t few = fill(500, 20, 1000);
    close_queue(NULL);
    uint64_t many = fill(500, 120, 1000);
    close_queue(NULL);
    print_message("%.1f bytes for each further recipient\n", (double)(many - few) / 50000);
    assert_true(many - few <= UINT64_C(50000) * 64);
}

static bool collect(void *user, const struct queue_entry *e)
{
    struct spool_id **at = user;
    *(*at)++ = e->id;
    return true;
}

/* What was taken comes back when the messages go, the larger blocks too. */
static void memory_comes_back(void **state)
{
    (void)state;
    enum { CNT = 3000 };
    static struct spool_id ids[CNT];
    static const struct spool_id zero;
    struct queue_usage u;
    for (uint32_t recipient_cnt = 1; recipient_cnt < 200; recipient_cnt += 66) {
        struct spool_id *at = ids;
        uint64_t bytes = fill(CNT, recipient_cnt, 100);
        queue_each(q, &zero, UINT32_MAX, collect, &at);
        assert_ptr_equal(at, ids + CNT);
        for (uint32_t i = 0; i < CNT; i++) /* in an order of its own */
            assert_int_equal(queue_remove(q, &ids[(i * 7919) % CNT]), 0);
        queue_usage(q, &u);
        assert_int_equal(u.message_cnt + u.recipient_cnt + u.destination_cnt, 0);
        assert_in_range(u.bytes, 1, 200000);
        assert_true(bytes > 3 * u.bytes);
        close_queue(NULL);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, open_queue, close_queue)
    const struct CMUnitTest tests[] = {
        CASE(places_grow_with_answers),
        CASE(senders_take_turns),
        CASE(destinations_take_turns),
        CASE(names_of_destinations),
        CASE(set_aside),
        CASE(refusals_are_answers),
        CASE(silent_ones_leave_room),
        CASE(flush_wakes),
        CASE(same_words_cost_once),
        CASE(same_codes_cost_once),
        cmocka_unit_test(memory),
        cmocka_unit_test(memory_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
