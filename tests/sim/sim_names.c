#include "sim_names.h"
#include "base_time.h"

#include <stdio.h>

enum trouble {
    GOOD,
    IMPLICIT,
    DEAD_FIRST, /* the better host is not there */
    DEAD_ALONE, /* the only one, for now */
    FAILS,      /* a few times */
    SILENT,     /* for now */
    LATE,
    HALF, /* the one family fails, the other answers */
    HOSTLESS,
    TROUBLE_CNT
};

static const uint8_t here[] = {10, 0, 0, 2}, away[] = {10, 0, 0, 9};

static struct base_span mx(uint8_t out[64], uint8_t preference, const char *label,
                           const char *domain)
{
    size_t at = 2;
    const char *parts[] = {label, domain};

    out[0] = 0;
    out[1] = preference;
    for (int i = 0; i < 2; i++)
        for (const char *p = parts[i]; *p != 0;) {
            size_t len = strcspn(p, ".");
            out[at++] = (uint8_t)len;
            memcpy(out + at, p, len);
            at += len;
            p += len + (p[len] == '.');
        }
    out[at++] = 0;
    return base_span_of(out, at);
}

static void put(struct resolver_table *t, const struct resolver_table_entry *e)
{
    int failed = resolver_table_put(t, e);

    base_assert(failed == 0);
}

static void put_host(struct resolver_table *t, const char *name, enum trouble trouble,
                     const uint8_t address[4], uint32_t ttl_s)
{
    struct resolver_table_entry a = {.name = name,
                                     .type = DNS_TYPE_A,
                                     .status = DNS_OK,
                                     .ttl_s = ttl_s,
                                     .record = {base_span_of(address, 4)}};
    struct resolver_table_entry aaaa = {.name = name, .type = DNS_TYPE_AAAA, .status = DNS_NODATA};

    if (trouble == LATE)
        a.delay_ns = 1900 * BASE_NS_MS;
    if (trouble == HALF)
        aaaa.status = DNS_SERVFAIL;
    if (trouble == HOSTLESS) {
        a.status = DNS_SERVFAIL;
        a.record[0] = base_span_of(NULL, 0);
    }
    put(t, &a);
    put(t, &aaaa);
}

static void put_domain(struct resolver_table *t, struct base_rand *rand, const char *domain,
                       enum trouble trouble)
{
    uint8_t first[64], second[64];
    char host[2][64];
    uint32_t ttl_s = (uint32_t)base_rand_below(rand, 6);
    struct resolver_table_entry e = {
        .name = domain, .type = DNS_TYPE_MX, .status = DNS_OK, .ttl_s = ttl_s};

    snprintf(host[0], sizeof(host[0]), "mx1.%s", domain);
    snprintf(host[1], sizeof(host[1]), "mx2.%s", domain);
    e.delay_ns = base_rand_below(rand, 200) * BASE_NS_MS;
    e.record[0] = mx(first, 10, "mx1", domain);
    e.record[1] = mx(second, 20, "mx2", domain);
    if (trouble == IMPLICIT) {
        e.status = DNS_NODATA;
        e.record[0] = e.record[1] = base_span_of(NULL, 0);
    } else if (trouble == DEAD_ALONE) {
        e.record[1] = base_span_of(NULL, 0);
    } else if (trouble == FAILS) {
        e.fail_cnt = 1 + (uint32_t)base_rand_below(rand, 3);
        e.fail_status = base_rand_below(rand, 2) == 0 ? DNS_SERVFAIL : DNS_BOGUS;
    } else if (trouble == SILENT) {
        e.delay_ns = BASE_NS_NONE;
    }
    put(t, &e);
    bool dead = trouble == DEAD_FIRST || trouble == DEAD_ALONE;
    put_host(t, host[0], trouble, dead ? away : here, ttl_s);
    put_host(t, host[1], trouble, here, ttl_s);
    put_host(t, domain, trouble, here, ttl_s);
}

void sim_names_fill(struct resolver_table *t, struct base_rand *rand, bool bad)
{
    static const char *const domains[] = {"example.org", "other.example", "third.example",
                                          "client.example"};

    for (size_t i = 0; i < BASE_ARRAY_CNT(domains); i++)
        put_domain(t, rand, domains[i],
                   (enum trouble)base_rand_below(rand, bad ? TROUBLE_CNT : IMPLICIT + 1));
}
