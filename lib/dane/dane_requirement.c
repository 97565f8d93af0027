#include "dane_requirement.h"
#include "base_siphash.h"

static uint64_t add(const uint8_t key[16], uint64_t h, const void *p, size_t len)
{
    uint8_t before[8 + 8];
    struct base_span text = base_span_of(p, len);

    base_put_le64(before, h);
    base_put_le64(before + 8, len);
    h = base_siphash(key, before, sizeof(before));
    return text.len > 0 ? h ^ base_siphash(key, text.p, text.len) : h;
}

static uint64_t add_text(const uint8_t key[16], uint64_t h, const char *text)
{
    return add(key, h, text, text != NULL ? strlen(text) : 0);
}

/* A sum: an RRset has no order (RFC 2181 section 5), and resolvers turn it round. */
static uint64_t add_records(const uint8_t key[16], const struct dane_requirement *r)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < r->record_cnt; i++) {
        const struct dane_record *d = &r->records[i];
        uint8_t row[] = {d->usage, d->selector, d->matching};
        sum += add(key, add(key, 0, row, sizeof(row)), d->data.p, d->data.len);
    }
    return sum;
}

uint64_t dane_requirement_digest(const struct dane_requirement *r, const uint8_t key[16])
{
    uint8_t head[] = {r->level,   r->proof,       r->trusted_only,
                      r->testing, r->sni != NULL, r->policy_name != NULL};
    uint64_t h = add(key, 0, head, sizeof(head));

    h = add_text(key, h, r->sni);
    h = add_text(key, h, r->policy_name);
    h = add(key, h, &r->name_cnt, sizeof(r->name_cnt));
    for (uint32_t i = 0; i < r->name_cnt; i++)
        h = add_text(key, h, r->names[i]);
    uint64_t records = add_records(key, r);
    h = add(key, h, &records, sizeof(records));
    h = add(key, h, &r->record_cnt, sizeof(r->record_cnt));
    for (uint32_t i = 0; i < r->fingerprint_cnt; i++)
        h = add(key, h, r->fingerprints[i].p, r->fingerprints[i].len);
    return h;
}
