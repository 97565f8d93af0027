/* What others publish (TXT records, URIs) and what a disk gives back. What is read from a file and
 * written again is the same file. */
#include "tlsrpt_state.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[16] = {7};

static void record(struct base_span in)
{
    struct tlsrpt_record r;
    struct tlsrpt_url u;

    if (tlsrpt_record_parse(&r, in) != 0)
        return;
    base_assert(tlsrpt_record_is(in) && r.uri_cnt <= TLSRPT_URI_MAX);
    for (uint32_t i = 0; i < r.uri_cnt; i++) {
        base_assert(r.uri[i].text.p >= in.p && r.uri[i].text.len <= TLSRPT_URI_BYTES_MAX);
        if (r.uri[i].scheme == TLSRPT_HTTPS)
            base_assert(tlsrpt_url_parse(&u, r.uri[i].text) == 0 && u.host.len > 0 && u.port > 0);
    }
}

static void write_all(struct tlsrpt_text *out, const struct tlsrpt_counts *c,
                      const struct tlsrpt_journal *j)
{
    tlsrpt_state_begin(out);
    size_t start = out->len;
    tlsrpt_state_counts(out, c, 0);
    for (struct base_list *n = j->entries.next; n != &j->entries; n = n->next)
        tlsrpt_state_entry(out, base_container_of(n, struct tlsrpt_entry, node));
    tlsrpt_state_end(out, start);
}

/* lines: without a sum, which no fuzzer finds. */
static void state(struct base_span lines)
{
    static const struct tlsrpt_about about = {"o", "c", "h.example"};
    struct tlsrpt_text in = {0}, out = {0}, again = {0}, json = {0};
    struct tlsrpt_counts c;
    struct tlsrpt_journal j;

    for (int round = 0; round < 2; round++) {
        struct tlsrpt_text *to = round == 0 ? &out : &again;
        tlsrpt_journal_init(&j);
        base_assert(tlsrpt_counts_init(&c, 8, 1 << 16, key) == 0);
        if (round == 0) {
            tlsrpt_state_begin(&in);
            size_t start = in.len;
            tlsrpt_put_span(&in, lines);
            tlsrpt_puts(&in, "\n");
            tlsrpt_state_end(&in, start);
        }
        int bad =
            tlsrpt_state_read(&c, &j, round == 0 ? tlsrpt_text_span(&in) : tlsrpt_text_span(&out));
        base_assert(round == 0 || bad == 0);
        write_all(to, &c, &j);
        for (struct base_list *n = c.domains.next; n != &c.domains; n = n->next)
            tlsrpt_report_json(&json, base_container_of(n, struct tlsrpt_domain, node), &about,
                               "id");
        tlsrpt_counts_fini(&c);
        tlsrpt_journal_fini(&j);
    }
    base_assert(base_span_eq(tlsrpt_text_span(&out), tlsrpt_text_span(&again)));
    tlsrpt_text_free(&in);
    tlsrpt_text_free(&out);
    tlsrpt_text_free(&again);
    tlsrpt_text_free(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tlsrpt_counts c;
    struct tlsrpt_journal j;
    struct base_span in = base_span_of(data, size);

    if (size == 0)
        return 0;
    record(in);
    state(in);
    tlsrpt_journal_init(&j);
    base_assert(tlsrpt_counts_init(&c, 8, 1 << 16, key) == 0);
    (void)tlsrpt_state_read(&c, &j, in); /* the file as a whole */
    tlsrpt_counts_fini(&c);
    tlsrpt_journal_fini(&j);
    return 0;
}
