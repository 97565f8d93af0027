/*
 * O5: what comes out of the DNS and out of the process that asks it: RDATA of every type, trust
 * anchor files, and the messages between the two processes. The first byte chooses. What is taken
 * is checked against what its header promises, and a message that is taken is written and read
 * again.
 */
#include "dns_anchor.h"
#include "dns_rdata.h"
#include "dns_wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_rdata(struct base_span in)
{
    struct dns_mx mx;
    struct dns_tlsa tlsa;
    struct net_addr a;
    char name[DNS_NAME_CAP];
    uint8_t room[256];
    struct base_buf txt = {.p = room, .cap = sizeof(room)};

    base_assert((dns_read_address(&a, DNS_TYPE_A, in) == 0) == (in.len == 4));
    base_assert((dns_read_address(&a, DNS_TYPE_AAAA, in) == 0) == (in.len == 16));
    if (dns_read_name(name, in) == 0)
        base_assert(dns_name_valid(base_span_str(name)) && in.len == strlen(name) + 2);
    if (dns_read_mx(&mx, in) == 0)
        base_assert(mx.host[0] == 0 || dns_name_valid(base_span_str(mx.host)));
    base_assert((dns_read_tlsa(&tlsa, in) == 0) == (in.len >= 3));
    if (dns_read_txt(&txt, in) == 0)
        base_assert(txt.len < in.len);
    else
        base_assert(txt.len == 0);
}

static void fuzz_anchors(struct base_span in)
{
    struct base_span record;
    const char *why;
    char owner[DNS_NAME_CAP];
    uint32_t line = 0;
    int got;

    while ((got = dns_anchor_next(&in, &line, &record, &why)) != 0) {
        base_assert(got == 1 || why != NULL);
        if (got == 1)
            dns_anchor_owner(owner, record);
    }
    base_assert(in.len == 0);
}

static void again(const struct dns_wire_message *m)
{
    static uint8_t room[DNS_WIRE_MAX], data[DNS_DATA_MAX];
    struct base_buf b = {.p = room, .cap = sizeof(room)};
    struct dns_answer a = {.data = data, .data_cap = sizeof(data)};
    struct dns_wire_message twice;
    struct base_span rdata;
    size_t at = 0;
    uint32_t cnt = 0;

    if (m->kind != DNS_WIRE_ANSWER)
        return;
    dns_wire_answer(m, &a);
    base_assert(a.status == m->status && a.record_cnt == m->record_cnt);
    base_assert(!(a.secure && dns_status_is_error(a.status)));
    while (dns_answer_next(&a, &at, &rdata))
        cnt++;
    base_assert(cnt == a.record_cnt);
    int failed = dns_wire_put_answer(&b, m->id, &a);
    base_assert(failed == 0);
    failed = dns_wire_read(&twice, base_buf_span(&b));
    base_assert(failed == 0 && twice.id == m->id && base_span_eq(twice.data, m->data));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct dns_wire_message m;

    if (size == 0)
        return 0;
    uint8_t *copy = malloc(size); /* of its own, so that a byte beyond is seen */
    base_assert(copy != NULL);
    memcpy(copy, data + 1, size - 1);
    struct base_span in = base_span_of(copy, size - 1);
    if (data[0] % 3 == 0) {
        fuzz_rdata(in);
    } else if (data[0] % 3 == 1) {
        fuzz_anchors(in);
    } else {
        if (in.len > 3) { /* the magic alone would take it hours to find */
            copy[0] = 'D';
            copy[1] = 'r';
            copy[2] = 1;
        }
        if (dns_wire_read(&m, in) == 0)
            again(&m);
    }
    free(copy);
    return 0;
}
