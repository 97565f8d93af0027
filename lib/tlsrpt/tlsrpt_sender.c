#include "tlsrpt_sender.h"
#include "base_siphash.h"

#include <errno.h>
#include <stdio.h>

#define BUCKETS       8192
#define REWRITE_BYTES (1u << 20) /* at least that is appended before the file is written anew */
#define PAUSE_S       60         /* after the state could not be written */

static const uint8_t spread_key[16] = "sluice tlsrpt";

/* ---- the file ---- */

static void prune(struct tlsrpt_sender *s)
{
    struct base_list *n = s->journal.entries.next, *next;

    for (; n != &s->journal.entries; n = next) {
        struct tlsrpt_entry *e = base_container_of(n, struct tlsrpt_entry, node);
        next = n->next;
        if (e->state != TLSRPT_BEGUN &&
            (e->day + TLSRPT_KEEP_DAYS < s->closed || s->journal.cnt > TLSRPT_JOURNAL_MAX))
            tlsrpt_journal_remove(&s->journal, e);
    }
}

static int rewrite(struct tlsrpt_sender *s)
{
    struct tlsrpt_text t = {0};

    prune(s);
    tlsrpt_state_begin(&t);
    size_t start = t.len;
    tlsrpt_state_counts(&t, &s->counts, 0);
    for (struct base_list *n = s->journal.entries.next; n != &s->journal.entries; n = n->next)
        tlsrpt_state_entry(&t, base_container_of(n, struct tlsrpt_entry, node));
    tlsrpt_state_end(&t, start);
    int error = s->ops->replace(s->user, tlsrpt_text_span(&t));
    if (error == 0) {
        s->stale = false;
        s->file_bytes = 0;
        s->whole_bytes = t.len;
    } else {
        s->tally.write_failed_cnt++;
    }
    tlsrpt_text_free(&t);
    return error;
}

/* Appends lines, or writes the file anew where that is the shorter way, or the only one. What the
 * lines say is in memory already. */
static int keep(struct tlsrpt_sender *s, struct tlsrpt_text *lines, bool sync)
{
    int error = 0;

    tlsrpt_state_end(lines, 0);
    if (!s->stale && s->file_bytes < REWRITE_BYTES + 4 * s->whole_bytes) {
        error = s->ops->append(s->user, tlsrpt_text_span(lines), sync);
        if (error == 0)
            s->file_bytes += lines->len;
        else
            s->tally.write_failed_cnt++;
        s->stale = error != 0;
    }
    if (s->stale || s->file_bytes >= REWRITE_BYTES + 4 * s->whole_bytes)
        error = rewrite(s);
    tlsrpt_text_free(lines);
    return error;
}

void tlsrpt_sender_save(struct tlsrpt_sender *s)
{
    if (s->stale)
        (void)rewrite(s);
}

/* ---- the beginning and the end ---- */

static uint32_t day_of(uint64_t now_s)
{
    return (uint32_t)(now_s / TLSRPT_DAY_S);
}

static void read_file(struct tlsrpt_sender *s, struct base_span file)
{
    char text[128];

    s->stale = true; /* it begins whole, and without what no longer matters */
    if (file.p == NULL)
        return;
    int bad = tlsrpt_state_read(&s->counts, &s->journal, file);
    if (bad == 0)
        return;
    if (bad < 0)
        snprintf(text, sizeof(text), "tlsrpt: what was kept of other runs cannot be read");
    else
        snprintf(text, sizeof(text), "tlsrpt: of what was kept, %d pieces are damaged: left out",
                 bad);
    s->ops->log(s->user, true, text);
}

/* Those before today, and those that reports were begun of, when the clock was set back since. */
static void close_days(struct tlsrpt_sender *s, uint32_t today)
{
    s->closed = today - 1;
    for (struct base_list *n = s->journal.entries.next; n != &s->journal.entries; n = n->next) {
        const struct tlsrpt_entry *e = base_container_of(n, struct tlsrpt_entry, node);
        if (e->day > s->closed && e->day <= today + 1) /* else it was wrong then */
            s->closed = e->day;
    }
}

int tlsrpt_sender_init(struct tlsrpt_sender *s, const struct tlsrpt_config *config,
                       const struct tlsrpt_ops *ops, void *user, size_t bytes_max,
                       const uint8_t key[16], struct base_span file, uint64_t now_s)
{
    *s = (struct tlsrpt_sender){.config = *config, .ops = ops, .user = user};
    tlsrpt_journal_init(&s->journal);
    if (tlsrpt_counts_init(&s->counts, BUCKETS, bytes_max, key) != 0)
        return -ENOMEM;
    read_file(s, file);
    close_days(s, day_of(now_s));
    (void)rewrite(s);
    return 0;
}

void tlsrpt_sender_fini(struct tlsrpt_sender *s)
{
    tlsrpt_sender_save(s);
    for (uint32_t i = 0; i < TLSRPT_SLOTS; i++)
        tlsrpt_text_free(&s->slot[i].body);
    tlsrpt_journal_fini(&s->journal);
    tlsrpt_counts_fini(&s->counts);
}

void tlsrpt_sender_configure(struct tlsrpt_sender *s, const struct tlsrpt_config *config)
{
    s->config = *config;
}

void tlsrpt_sender_take(struct tlsrpt_sender *s, const struct tlsrpt_counts *from, uint64_t taken_s)
{
    struct tlsrpt_text lines = {0};

    if (from->domain_cnt > 0) {
        tlsrpt_state_counts(&lines, from, s->closed);
        s->tally.lost_cnt += tlsrpt_counts_merge(&s->counts, from, s->closed);
    }
    s->tally.lost_cnt += from->dropped_cnt;
    if (lines.len > 0)
        (void)keep(s, &lines, false);
    /* Days are opened again only when the clock was wrong by more than one. */
    if (day_of(taken_s) > s->closed + 1 || day_of(taken_s) + 1 < s->closed)
        s->closed = day_of(taken_s) - 1;
}

/* ---- what has come of a report ---- */

static struct base_span slot_name(const struct tlsrpt_slot *slot)
{
    return base_span_of(slot->name, slot->len);
}

static struct tlsrpt_entry *entry_of(struct tlsrpt_sender *s, const struct tlsrpt_slot *slot)
{
    struct tlsrpt_entry *e = tlsrpt_journal_find(&s->journal, slot->day, slot_name(slot));

    if (e != NULL)
        return e;
    e = tlsrpt_journal_add(&s->journal, slot->day, slot_name(slot));
    tlsrpt_report_id(e->id, slot->day, slot_name(slot), s->config.hostname);
    return e;
}

static void set_why(struct tlsrpt_entry *e, const char *why)
{
    snprintf(e->why, sizeof(e->why), "%s", why);
}

static void set_free(struct tlsrpt_slot *slot)
{
    tlsrpt_text_free(&slot->body);
    *slot = (struct tlsrpt_slot){.state = TLSRPT_FREE};
}

/* The day's counts of the domain are done with. The entry is told of once more, or forgotten. */
static void finish(struct tlsrpt_sender *s, struct tlsrpt_slot *slot, struct tlsrpt_entry *e)
{
    struct tlsrpt_domain *d = tlsrpt_counts_find(&s->counts, slot->day, slot_name(slot));
    struct tlsrpt_text lines = {0};

    tlsrpt_state_done(&lines, slot->day, slot_name(slot));
    tlsrpt_state_entry(&lines, e);
    if (d != NULL)
        tlsrpt_counts_remove(&s->counts, d);
    bool sync = e->state != TLSRPT_NONE;
    if (e->state == TLSRPT_NONE)
        tlsrpt_journal_remove(&s->journal, e);
    (void)keep(s, &lines, sync);
    set_free(slot);
}

static void finish_as(struct tlsrpt_sender *s, struct tlsrpt_slot *slot, enum tlsrpt_state state,
                      const char *why)
{
    struct tlsrpt_entry *e = entry_of(s, slot);

    e->state = (uint8_t)state;
    set_why(e, why);
    finish(s, slot, e);
}

static void begin_attempt(struct tlsrpt_entry *e, uint64_t now_s)
{
    if (e->first_s == 0)
        e->first_s = now_s;
    e->last_s = now_s;
    e->attempt_cnt++;
}

/* Later, unless it was tried for long enough. */
static void put_off(struct tlsrpt_sender *s, struct tlsrpt_slot *slot, const char *why,
                    uint64_t now_s)
{
    struct tlsrpt_entry *e = entry_of(s, slot);
    uint32_t uri_cnt = slot->uri_cnt > 0 ? slot->uri_cnt : 1;
    uint32_t rounds = e->attempt_cnt / uri_cnt;
    uint64_t wait_s = s->config.backoff_min_s;
    char text[256 + TLSRPT_WHY_CAP];

    s->tally.failed_cnt++;
    set_why(e, why);
    if (now_s >= e->first_s + TLSRPT_RETRY_S) {
        s->tally.given_up_cnt++;
        snprintf(text, sizeof(text), "tlsrpt: the report for %.100s is given up: %.150s", e->name,
                 why);
        s->ops->log(s->user, true, text);
        e->state = TLSRPT_GIVEN_UP;
        return finish(s, slot, e);
    }
    for (uint32_t i = 1; i < rounds && wait_s < TLSRPT_BACKOFF_MAX_S; i++)
        wait_s *= 2;
    wait_s = wait_s < TLSRPT_BACKOFF_MAX_S ? wait_s : TLSRPT_BACKOFF_MAX_S;
    e->next_s = e->attempt_cnt % uri_cnt != 0 ? now_s : now_s + wait_s; /* another URI: at once */
    struct tlsrpt_text lines = {0};
    tlsrpt_state_entry(&lines, e);
    (void)keep(s, &lines, false);
    set_free(slot);
}

/* ---- the attempt ---- */

static void post(struct tlsrpt_sender *s, struct tlsrpt_slot *slot, struct base_span uri,
                 uint64_t now_s)
{
    const struct tlsrpt_domain *d = tlsrpt_counts_find(&s->counts, slot->day, slot_name(slot));
    struct tlsrpt_entry *e = entry_of(s, slot);
    struct tlsrpt_text json = {0}, lines = {0};
    const struct tlsrpt_about about = {.organization = s->config.organization,
                                       .contact = s->config.contact,
                                       .hostname = s->config.hostname};

    base_assert(d != NULL && uri.len < sizeof(slot->uri));
    memcpy(slot->uri, uri.p, uri.len);
    slot->uri[uri.len] = 0;
    memcpy(e->uri, slot->uri, sizeof(e->uri));
    begin_attempt(e, now_s);
    tlsrpt_state_entry(&lines, e);
    if (keep(s, &lines, true) != 0) { /* a crash now would not know of it */
        s->next_s = now_s + PAUSE_S;
        e->attempt_cnt--;
        return set_free(slot);
    }
    tlsrpt_report_json(&json, d, &about, e->id);
    int error = tlsrpt_gzip(&slot->body, tlsrpt_text_span(&json));
    tlsrpt_text_free(&json);
    slot->state = TLSRPT_POSTING;
    if (error != 0 || !s->ops->post(s->user, (uint32_t)(slot - s->slot), base_span_str(slot->uri),
                                    tlsrpt_text_span(&slot->body)))
        put_off(s, slot, "no HTTPS here", now_s);
}

/* The one record at the name (RFC 8460 section 3). Returns false when there is none that holds. */
static bool record_of(struct tlsrpt_record *out, const struct base_span *text, uint32_t cnt)
{
    uint32_t found = 0, at = 0;

    for (uint32_t i = 0; i < cnt; i++)
        if (tlsrpt_record_is(text[i])) {
            at = i;
            found++;
        }
    return found == 1 && tlsrpt_record_parse(out, text[at]) == 0;
}

void tlsrpt_sender_answer(struct tlsrpt_sender *s, uint32_t at, enum tlsrpt_answer answer,
                          const struct base_span *text, uint32_t cnt, const char *why,
                          uint64_t now_s)
{
    struct tlsrpt_slot *slot = &s->slot[at];
    struct base_span uri[TLSRPT_URI_MAX];
    struct tlsrpt_record record;
    char words[TLSRPT_WHY_CAP];

    base_assert(slot->state == TLSRPT_ASKING);
    if (answer == TLSRPT_ANSWER_UNKNOWN) {
        begin_attempt(entry_of(s, slot), now_s);
        snprintf(words, sizeof(words), "its TXT record could not be looked up: %.100s", why);
        return put_off(s, slot, words, now_s);
    }
    if (answer == TLSRPT_ANSWER_NONE || !record_of(&record, text, cnt)) {
        s->tally.none_cnt++;
        return finish_as(s, slot, TLSRPT_NONE, "");
    }
    for (uint32_t i = 0; i < record.uri_cnt; i++)
        if (record.uri[i].scheme == TLSRPT_HTTPS)
            uri[slot->uri_cnt++] = record.uri[i].text;
    if (slot->uri_cnt > 0)
        return post(s, slot, uri[entry_of(s, slot)->attempt_cnt % slot->uri_cnt], now_s);
    if (record.uri_cnt == 0) {
        s->tally.none_cnt++;
        return finish_as(s, slot, TLSRPT_SKIPPED, "no URI of its record can be used");
    }
    s->tally.mailto_cnt++;
    finish_as(s, slot, TLSRPT_SKIPPED, "wanted by mail alone, which has to be signed (DKIM)");
}

void tlsrpt_sender_posted(struct tlsrpt_sender *s, uint32_t at, uint32_t status, const char *why,
                          uint64_t now_s)
{
    struct tlsrpt_slot *slot = &s->slot[at];
    char words[TLSRPT_WHY_CAP];

    base_assert(slot->state == TLSRPT_POSTING);
    if (status / 100 == 2) {
        struct tlsrpt_entry *e = entry_of(s, slot);
        s->tally.sent_cnt++;
        e->last_s = now_s;
        return finish_as(s, slot, TLSRPT_SENT, "");
    }
    if (status != 0)
        snprintf(words, sizeof(words), "the server answers %u", status);
    else
        snprintf(words, sizeof(words), "%.150s", why);
    put_off(s, slot, words, now_s);
}

/* ---- what is due ---- */

uint64_t tlsrpt_sender_due(const struct tlsrpt_sender *s, const struct tlsrpt_domain *d)
{
    uint8_t bytes[TLSRPT_DOMAIN_MAX + 4];

    base_put_le32(bytes, d->day);
    memcpy(bytes + 4, d->name, d->len);
    uint64_t chance = base_siphash(spread_key, bytes, d->len + 4u);
    if (s->config.hostname != NULL) /* not all gateways at the same time */
        chance ^= base_siphash(spread_key, s->config.hostname, strlen(s->config.hostname));
    return ((uint64_t)d->day + 1) * TLSRPT_DAY_S +
           (s->config.spread_s > 0 ? chance % (s->config.spread_s + 1) : 0);
}

static struct tlsrpt_slot *free_slot(struct tlsrpt_sender *s)
{
    for (uint32_t i = 0; i < TLSRPT_SLOTS; i++)
        if (s->slot[i].state == TLSRPT_FREE)
            return &s->slot[i];
    return NULL;
}

static bool is_under_way(const struct tlsrpt_sender *s, const struct tlsrpt_domain *d)
{
    for (uint32_t i = 0; i < TLSRPT_SLOTS; i++)
        if (s->slot[i].state != TLSRPT_FREE && s->slot[i].day == d->day &&
            base_span_eq(slot_name(&s->slot[i]), tlsrpt_domain_name(d)))
            return true;
    return false;
}

/* Returns false when nothing more can be begun now. d may be gone afterwards. */
static bool begin(struct tlsrpt_sender *s, const struct tlsrpt_domain *d, uint64_t now_s)
{
    struct tlsrpt_slot *slot = free_slot(s);
    struct tlsrpt_entry *e = tlsrpt_journal_find(&s->journal, d->day, tlsrpt_domain_name(d));
    char name[TLSRPT_DOMAIN_MAX + 16];

    if (slot == NULL)
        return false;
    if (e != NULL && e->state == TLSRPT_BEGUN && now_s < e->next_s)
        return true;
    *slot = (struct tlsrpt_slot){.state = TLSRPT_ASKING, .day = d->day, .len = d->len};
    memcpy(slot->name, d->name, d->len + 1u);
    if (e != NULL && e->state != TLSRPT_BEGUN) { /* that day's report is over */
        finish(s, slot, e);
    } else if (d->day + TLSRPT_OLD_DAYS < day_of(now_s)) {
        s->tally.given_up_cnt++;
        finish_as(s, slot, TLSRPT_GIVEN_UP, "its day was long ago");
    } else {
        snprintf(name, sizeof(name), "_smtp._tls.%s", d->name);
        if (!s->ops->ask(s->user, (uint32_t)(slot - s->slot), name)) {
            set_free(slot);
            return false;
        }
    }
    return true;
}

void tlsrpt_sender_run(struct tlsrpt_sender *s, uint64_t now_s)
{
    struct base_list *n = s->counts.domains.next, *next;

    if (now_s < s->next_s && s->next_s - now_s <= PAUSE_S) /* else the clock was set back */
        return;
    s->next_s = 0;
    if (s->stale && rewrite(s) != 0) { /* a crash would not know what was done */
        s->next_s = now_s + PAUSE_S;
        return;
    }
    for (; n != &s->counts.domains; n = next) {
        const struct tlsrpt_domain *d = base_container_of(n, struct tlsrpt_domain, node);
        next = n->next;
        if (d->day > s->closed || is_under_way(s, d) || now_s < tlsrpt_sender_due(s, d))
            continue;
        if (!begin(s, d, now_s))
            return;
    }
}
