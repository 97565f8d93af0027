/*
 * TLS reports over days of virtual time, by a seed: sessions of a few domains, midnights,
 * collectors that refuse, fail or whose answers get lost, a DNS that fails, a clock set back, a
 * disk that cannot be written for a while, kills (what was written stays) and power failures (of
 * what was not synced a part is gone), and starts of a new sender from the file. At the end all is
 * well for two days.
 *
 *   - Each day of each domain that wants reports by HTTPS has one report: one report-id, one body.
 *     It comes twice only where a kill, or a lost answer, left open whether it had come.
 *   - Without a power failure it holds every session that was taken before the day was closed; with
 *     one, no more than those.
 *   - Who wants none, or only mail, gets none. At the end no counts of past days are left.
 *
 *   sim_tlsrpt [FIRST_SEED [SEED_CNT]]   one seed alone replays it
 */
#include "base_rand.h"
#include "tlsrpt_sender.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

enum { DAY_0 = 20000, DAYS = 9, STORM_DAYS = 5, OPEN_MAX = TLSRPT_SLOTS, FILE_MAX = 1 << 22 };
enum kind { GOOD, FLAKY, TWO, MAIL, UNWANTED, STUBBORN, KIND_CNT };

static const char *const domain_name[KIND_CNT] = {"good.example", "flaky.example",
                                                  "two.example",  "mail.example",
                                                  "none.example", "stubborn.example"};
static const char *const record[KIND_CNT] = {
    "v=TLSRPTv1; rua=https://c.good.example/",
    "v=TLSRPTv1; rua=https://c.flaky.example/",
    "v=TLSRPTv1; rua=https://dead.two.example/,https://c.two.example/",
    "v=TLSRPTv1; rua=mailto:x@mail.example",
    "v=spf1 -all",
    "v=TLSRPTv1; rua=https://c.stubborn.example/"};

struct report { /* of one day of one domain */
    uint64_t taken_cnt, got_cnt;
    bool got, unsure; /* whether the sender knows that it has come */
    struct tlsrpt_text body;
};

static struct world {
    struct base_rand rand;
    uint64_t now_s, first_s, latest_s;
    struct tlsrpt_sender sender;
    struct tlsrpt_counts delta;
    uint8_t *disk;
    size_t disk_len, synced_len;
    bool disk_fails, calm;
    uint32_t power_cnt;  /* failures of it */
    bool torn[DAYS + 2]; /* a power failure may have cost sessions of that day */
    bool asked[OPEN_MAX], posted[OPEN_MAX];
    int kind[OPEN_MAX];
    char uri[OPEN_MAX][600];
    struct base_span body[OPEN_MAX];
    struct report report[DAYS + 2][KIND_CNT];
    uint64_t post_cnt, repeat_cnt, start_cnt;
    uint64_t seed;
} w;

static void fail(const char *what, int day, int kind)
{
    printf("seed %llu: %s (day %d, %s)\n", (unsigned long long)w.seed, what, day,
           kind < KIND_CNT ? domain_name[kind] : "-");
    exit(1);
}

static bool chance(uint32_t one_of)
{
    return base_rand_below(&w.rand, one_of) == 0;
}

static int kind_of(struct base_span name)
{
    for (int k = 0; k < KIND_CNT; k++)
        if (base_span_eq(name, base_span_str(domain_name[k])))
            return k;
    fail("a domain that is none", 0, KIND_CNT);
    return -1;
}

/* ---- what the sender asks for ---- */

static bool ask(void *user, uint32_t slot, const char *name)
{
    (void)user;
    if (!w.calm && chance(20))
        return false;
    w.asked[slot] = true;
    w.kind[slot] = kind_of(base_span_str(name + strlen("_smtp._tls.")));
    return true;
}

static bool post(void *user, uint32_t slot, struct base_span uri, struct base_span body)
{
    (void)user;
    if (!w.calm && chance(30))
        return false;
    w.posted[slot] = true;
    w.body[slot] = body;
    snprintf(w.uri[slot], sizeof(w.uri[slot]), "%.*s", (int)uri.len, (const char *)uri.p);
    w.post_cnt++;
    return true;
}

static int append(void *user, struct base_span bytes, bool sync)
{
    (void)user;
    if (w.disk_fails) {
        size_t part = base_rand_below(&w.rand, bytes.len + 1); /* it may stop amid it */
        memcpy(w.disk + w.disk_len, bytes.p, part);
        w.disk_len += part;
        return -28;
    }
    if (w.disk_len + bytes.len > FILE_MAX)
        fail("the file grows without bound", 0, KIND_CNT);
    memcpy(w.disk + w.disk_len, bytes.p, bytes.len);
    w.disk_len += bytes.len;
    if (sync)
        w.synced_len = w.disk_len;
    return 0;
}

static int replace(void *user, struct base_span bytes)
{
    (void)user;
    if (w.disk_fails)
        return -28;
    memcpy(w.disk, bytes.p, bytes.len);
    w.disk_len = w.synced_len = bytes.len;
    return 0;
}

static void say(void *user, bool warning, const char *text)
{
    (void)user;
    (void)warning;
    (void)text;
}

static const struct tlsrpt_ops ops = {
    .ask = ask, .post = post, .append = append, .replace = replace, .log = say};
static struct tlsrpt_config config = {.organization = "o",
                                      .contact = "c@gw.example",
                                      .hostname = "gw.example",
                                      .spread_s = 4 * 3600,
                                      .backoff_min_s = 600};
static const uint8_t key[16] = {3};

/* ---- the collector ---- */

static uint64_t number_behind(const char *json, const char *word)
{
    uint64_t sum = 0;

    for (const char *at = strstr(json, word); at != NULL; at = strstr(at + 1, word))
        sum += strtoull(at + strlen(word) + 2, NULL, 10);
    return sum;
}

static void collect(struct base_span body)
{
    static char json[1 << 16];
    z_stream z = {0};
    int year, month, mday;
    char name[64];

    if (inflateInit2(&z, 15 + 16) != Z_OK)
        abort();
    z.next_in = (z_const Bytef *)(uintptr_t)body.p;
    z.avail_in = (uInt)body.len;
    z.next_out = (Bytef *)json;
    z.avail_out = sizeof(json) - 1;
    if (inflate(&z, Z_FINISH) != Z_STREAM_END)
        fail("a body that is no gzip", 0, KIND_CNT);
    json[z.total_out] = 0;
    inflateEnd(&z);
    const char *id = strstr(json, "\"report-id\":\"");
    if (id == NULL ||
        sscanf(id + 13, "%d-%d-%d.%63[^@]@gw.example", &year, &month, &mday, name) != 4)
        fail("a report without its id", 0, KIND_CNT);
    int day = -1, kind = kind_of(base_span_str(name));
    for (int i = 0; i < DAYS + 2; i++) {
        char date[TLSRPT_DATE_CAP], want[32];
        tlsrpt_date(date, (uint32_t)(DAY_0 + i));
        snprintf(want, sizeof(want), "\"%.10sT00:00:00Z\"", date);
        if (strstr(json, want) != NULL && strncmp(id + 13, date, 10) == 0)
            day = i;
    }
    if (day < 0 || (uint64_t)(DAY_0 + day + 1) * TLSRPT_DAY_S > w.latest_s)
        fail("a report of a day that is not over", day, kind);
    struct report *r = &w.report[day][kind];
    if (r->got && (!r->unsure || !base_span_eq(tlsrpt_text_span(&r->body), body)))
        fail(r->unsure ? "a second report that differs" : "a second report", day, kind);
    w.repeat_cnt += r->got;
    if (!r->got)
        tlsrpt_put_span(&r->body, body);
    r->got = true;
    r->unsure = true; /* until the answer has come back */
    r->got_cnt = number_behind(json, "total-successful-session-count") +
                 number_behind(json, "total-failure-session-count");
}

static bool takes(int kind)
{
    if (w.calm)
        return true;
    return kind == FLAKY ? chance(3) : kind == STUBBORN ? false : !chance(8);
}

static void answer_post(uint32_t slot)
{
    int kind = w.kind[slot];
    uint32_t day = w.sender.slot[slot].day - DAY_0;

    w.posted[slot] = false;
    if (strstr(w.uri[slot], "dead.") != NULL || !takes(kind))
        return tlsrpt_sender_posted(&w.sender, slot, chance(2) ? 503 : 0, "connect", w.now_s);
    collect(w.body[slot]);
    if (!w.calm && chance(10)) /* the answer is lost */
        return tlsrpt_sender_posted(&w.sender, slot, 0, "timeout", w.now_s);
    tlsrpt_sender_posted(&w.sender, slot, chance(2) ? 200 : 201, "", w.now_s);
    w.report[day][kind].unsure = w.sender.stale; /* it knows, but can not write it down */
}

static void answer_dns(uint32_t slot)
{
    struct base_span text[2] = {base_span_str("unrelated"), base_span_str(record[w.kind[slot]])};

    w.asked[slot] = false;
    if (!w.calm && chance(6))
        return tlsrpt_sender_answer(&w.sender, slot, TLSRPT_ANSWER_UNKNOWN, NULL, 0, "servfail",
                                    w.now_s);
    tlsrpt_sender_answer(&w.sender, slot, TLSRPT_ANSWER_RECORDS, text, 2, "", w.now_s);
}

/* ---- time ---- */

static void count_sessions(void)
{
    uint32_t day = (uint32_t)(w.now_s / TLSRPT_DAY_S);

    for (uint32_t n = (uint32_t)base_rand_below(&w.rand, 4); n > 0; n--) {
        int k = (int)base_rand_below(&w.rand, KIND_CNT);
        struct tlsrpt_text policy = {0}, detail = {0};
        tlsrpt_put_policy(&policy,
                          &(struct tlsrpt_policy_words){.domain = base_span_str(domain_name[k])});
        if (chance(3))
            tlsrpt_put_detail(&detail, &(struct tlsrpt_detail_words){
                                           .result = TLSRPT_VALIDATION_FAILURE,
                                           .reason = base_span_str(chance(2) ? "a" : "b")});
        if (tlsrpt_counts_add(&w.delta, day, base_span_str(domain_name[k]),
                              tlsrpt_text_span(&policy), tlsrpt_text_span(&detail), 1) != 0)
            fail("no room", 0, k);
        tlsrpt_text_free(&policy);
        tlsrpt_text_free(&detail);
    }
}

static void take(void)
{
    for (struct base_list *n = w.delta.domains.next; n != &w.delta.domains; n = n->next) {
        const struct tlsrpt_domain *d = base_container_of(n, struct tlsrpt_domain, node);
        if (d->day > w.sender.closed &&
            !w.report[d->day - DAY_0][kind_of(tlsrpt_domain_name(d))].got) /* set back far */
            w.report[d->day - DAY_0][kind_of(tlsrpt_domain_name(d))].taken_cnt +=
                tlsrpt_domain_success(d) + tlsrpt_domain_failure(d);
    }
    tlsrpt_sender_take(&w.sender, &w.delta, w.now_s);
    tlsrpt_counts_fini(&w.delta);
    if (tlsrpt_counts_init(&w.delta, 16, 1 << 20, key) != 0)
        abort();
}

static void start(void)
{
    struct base_span file = base_span_of(w.disk_len > 0 ? w.disk : NULL, w.disk_len);

    if (tlsrpt_counts_init(&w.delta, 16, 1 << 20, key) != 0 ||
        tlsrpt_sender_init(&w.sender, &config, &ops, NULL, 1 << 20, key, file, w.now_s) != 0)
        abort();
    w.start_cnt++;
}

/* The process is gone with all that is in memory. */
static void kill_it(bool power)
{
    struct tlsrpt_sender *s = &w.sender;
    uint8_t *copy = malloc(FILE_MAX);
    size_t len = w.disk_len, at = w.synced_len;

    if (copy == NULL)
        abort();
    bool lost_before = s->stale; /* what is only in memory is lost, too */
    memcpy(copy, w.disk, len);
    w.disk_fails = true; /* fini writes nothing */
    for (uint32_t i = 0; i < OPEN_MAX; i++) {
        if (w.posted[i] && !chance(3) && takes(w.kind[i]) && strstr(w.uri[i], "dead.") == NULL)
            collect(w.body[i]); /* it came there, and nobody will know */
        w.asked[i] = w.posted[i] = false;
    }
    tlsrpt_sender_fini(s);
    tlsrpt_counts_fini(&w.delta);
    w.disk_fails = false;
    memcpy(w.disk, copy, len);
    w.disk_len = len;
    free(copy);
    if (power && len > at) {
        w.disk_len = at + base_rand_below(&w.rand, len - at + 1);
        for (size_t i = at; i < w.disk_len; i++)
            if (chance(200))
                w.disk[i] = 0;
    }
    if ((power && len > at) || lost_before)
        for (int i = 0; i < DAYS + 2; i++)
            w.torn[i] |= (uint64_t)(DAY_0 + i) * TLSRPT_DAY_S <= w.latest_s;
    w.power_cnt += power;
    w.synced_len = w.disk_len;
    start();
}

static void step(void)
{
    w.now_s += 1 + base_rand_below(&w.rand, w.calm ? 400 : 900);
    if (!w.calm && chance(60) && w.now_s > w.first_s + 7200)
        w.now_s -= base_rand_below(&w.rand, 7200); /* somebody sets the clock */
    w.latest_s = w.now_s > w.latest_s ? w.now_s : w.latest_s;
    if (!w.calm && chance(150))
        w.disk_fails = true;
    else if (w.calm || chance(4))
        w.disk_fails = false;
    count_sessions();
    if (chance(2))
        take();
    tlsrpt_sender_run(&w.sender, w.now_s);
    for (uint32_t i = 0; i < OPEN_MAX; i++)
        if (w.posted[i] && chance(2))
            answer_post(i);
        else if (w.asked[i] && chance(2))
            answer_dns(i);
    if (!w.calm && chance(80))
        kill_it(chance(3));
}

static void check(void)
{
    for (int day = 0; day < DAYS - 2; day++)
        for (int k = 0; k < KIND_CNT; k++) {
            const struct report *r = &w.report[day][k];
            bool wants = k != MAIL && k != UNWANTED;
            if (r->got && !wants)
                fail("a report that nobody wants", day, k);
            if (r->got && r->got_cnt > r->taken_cnt)
                fail("more sessions than there were", day, k);
            const struct tlsrpt_entry *e = tlsrpt_journal_find(
                &w.sender.journal, (uint32_t)(DAY_0 + day), base_span_str(domain_name[k]));
            if (day < STORM_DAYS && e != NULL && e->state == TLSRPT_GIVEN_UP)
                continue; /* it was tried for a day */
            if (wants && !w.torn[day] && r->taken_cnt > 0 &&
                (!r->got || r->got_cnt != r->taken_cnt))
                fail(r->got ? "sessions are missing" : "no report", day, k);
        }
    for (struct base_list *n = w.sender.counts.domains.next; n != &w.sender.counts.domains;
         n = n->next) {
        const struct tlsrpt_domain *d = base_container_of(n, struct tlsrpt_domain, node);
        if (d->day < DAY_0 + DAYS - 2)
            fail("counts that are left", (int)d->day - DAY_0, kind_of(tlsrpt_domain_name(d)));
    }
}

static void run(uint64_t seed)
{
    uint8_t *disk = w.disk;

    memset(&w, 0, sizeof(w));
    w.disk = disk;
    w.seed = seed;
    base_rand_init(&w.rand, seed);
    w.now_s = (uint64_t)DAY_0 * TLSRPT_DAY_S + base_rand_below(&w.rand, TLSRPT_DAY_S);
    config.spread_s = chance(2) ? 4 * 3600 : 0;
    w.first_s = w.latest_s = w.now_s;
    start();
    while (w.now_s < (uint64_t)(DAY_0 + DAYS) * TLSRPT_DAY_S) {
        w.calm = w.now_s >= (uint64_t)(DAY_0 + STORM_DAYS + 1) * TLSRPT_DAY_S;
        step();
    }
    check();
    tlsrpt_sender_fini(&w.sender);
    tlsrpt_counts_fini(&w.delta);
    for (int day = 0; day < DAYS + 2; day++)
        for (int k = 0; k < KIND_CNT; k++)
            tlsrpt_text_free(&w.report[day][k].body);
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t cnt = argc > 2 ? strtoull(argv[2], NULL, 10) : argc > 1 ? 1 : 60;
    uint64_t posts = 0, repeats = 0, starts = 0;

    w.disk = malloc(2 * FILE_MAX);
    if (w.disk == NULL)
        return 1;
    for (uint64_t seed = first; seed < first + cnt; seed++) {
        run(seed);
        posts += w.post_cnt;
        repeats += w.repeat_cnt;
        starts += w.start_cnt;
    }
    printf("%llu seeds of %d days: %llu attempts, %llu starts, %llu reports that came twice, the "
           "same ones\n",
           (unsigned long long)cnt, DAYS, (unsigned long long)posts, (unsigned long long)starts,
           (unsigned long long)repeats);
    free(w.disk);
    return 0;
}
