/*
 * Reports: whatever servers, clients and messages say, there are three parts of well-formed lines,
 * and the fields of a report are those that we wrote. The random octets are part of the input, so
 * that the fuzzer can find the boundary.
 */
#include "dsn_rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
    const uint8_t *p;
    size_t len;
};

static uint8_t take_octet(struct input *in)
{
    if (in->len == 0)
        return 0;
    in->len--;
    return *in->p++;
}

/* A piece with its length in front, in 2^shift octets. */
static struct base_span take(struct input *in, unsigned shift)
{
    size_t len = (size_t)take_octet(in) << shift;

    len = len < in->len ? len : in->len;
    struct base_span piece = base_span_of(in->p, len);
    in->p += len;
    in->len -= len;
    return piece;
}

static unsigned lines_with(struct base_span text, const char *start)
{
    unsigned found = 0;
    size_t len = strlen(start);

    for (size_t i = 0; i + len <= text.len; i++)
        if ((i == 0 || text.p[i - 1] == '\n') && memcmp(text.p + i, start, len) == 0)
            found++;
    return found;
}

/* Where the quoted original begins: all before it is ours. */
static struct base_span ours(struct base_span text, const struct mail_dsn *dsn)
{
    unsigned found = 0;

    for (size_t i = 0; i + dsn->delimiter_len <= text.len; i++)
        if ((i == 0 || text.p[i - 1] == '\n') &&
            memcmp(text.p + i, dsn->delimiter, dsn->delimiter_len) == 0 && ++found == 3)
            return base_span_of(text.p, i);
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t text[65536];
    struct input in = {data, size};
    struct mail_dsn_recipient recipients[3];
    struct mail_dsn dsn;
    uint8_t flags = take_octet(&in), cnt = (uint8_t)(1 + take_octet(&in) % 3);
    struct mail_dsn_report report = {
        .hostname = base_span_str("gw.example.net"),
        .id = base_span_str("id.1"),
        .sender = take(&in, 1),
        .envid = take(&in, 1),
        .arrival_wall_ns = flags & 1,
        .recipients = recipients,
        .recipient_cnt = cnt,
        .content = (enum mail_dsn_return)(flags >> 1 & 3),
        .eightbit = (flags & 8) != 0,
        .utf8 = (flags & 16) != 0,
        .quote_max_bytes = 4096,
    };
    size_t out_piece = 1 + take_octet(&in), in_piece = 1 + take_octet(&in);

    if (report.content > MAIL_DSN_RETURN_FULL)
        report.content = MAIL_DSN_RETURN_FULL;
    memset(report.random, flags & 32 ? take_octet(&in) : 0, sizeof(report.random));
    for (uint8_t i = 0; i < cnt; i++) {
        uint8_t kind = take_octet(&in) % MAIL_DSN_KIND_CNT;
        recipients[i] = (struct mail_dsn_recipient){
            .kind = (enum mail_dsn_kind)kind,
            .address = take(&in, 1),
            .orcpt = take(&in, 1),
            .status = take(&in, 0),
            .remote_mta = take(&in, 1),
            .diagnostic = take(&in, 2),
            .reason = take(&in, 2),
            .last_attempt_wall_ns = flags,
            .retry_until_wall_ns = flags,
        };
    }
    struct base_buf out = {.p = text, .cap = sizeof(text)};
    struct base_span original = base_span_of(in.p, in.len);
    if (mail_dsn_open(&dsn, &report) != 0)
        return 0;
    bool done = dsn_write(&dsn, &out, original, out_piece, in_piece);
    base_assert(done);
    const char *fault =
        dsn_fault(base_buf_span(&out), &dsn, report.content == MAIL_DSN_RETURN_NONE ? 2 : 3);
    base_assert(fault == NULL);
    struct base_span head = ours(base_buf_span(&out), &dsn);
    base_assert(lines_with(head, "Final-Recipient: ") == cnt);
    base_assert(lines_with(head, "Action: ") == cnt && lines_with(head, "Status: ") == cnt);
    base_assert(lines_with(head, "To: ") == 1 && lines_with(head, "Content-Type: ") <= 4);
    base_assert(lines_with(head, "Reporting-MTA: ") == 1);
    return 0;
}
