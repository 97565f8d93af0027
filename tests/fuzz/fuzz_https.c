/*
 * What comes out of the process that makes HTTPS requests, and out of others' records: messages,
 * URLs, content types. The first byte chooses. A message that is taken is written and read again.
 */
#include "base_bytes.h"
#include "https_wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t out[HTTPS_WIRE_MAX], room[HTTPS_ROOM_MAX];

static void again(struct https_wire_message *m)
{
    struct base_buf b = {.p = out, .cap = sizeof(out)};
    struct https_request r = {.room = room, .room_cap = sizeof(room)};
    struct https_wire_message twice;
    int failed;

    if (m->kind == HTTPS_WIRE_ANSWER) {
        https_wire_answer(m, &r);
        base_assert(r.result == m->result && r.len == m->body.len);
        failed = https_wire_put_answer(&b, m);
    } else if (m->kind == HTTPS_WIRE_ASK) {
        r.method = m->method;
        r.any_certificate = m->any_certificate;
        r.port = m->port;
        r.room_cap = m->room_cap;
        r.body = m->body;
        r.address_cnt = m->address_cnt;
        memcpy(r.host, m->host, sizeof(r.host));
        memcpy(r.path, m->path, sizeof(r.path));
        memcpy(r.type, m->type, sizeof(r.type));
        memcpy(r.address, m->address, sizeof(r.address));
        failed = https_wire_put_ask(&b, m->id, &r, m->timeout_ms);
    } else {
        return;
    }
    base_assert(failed == 0);
    failed = https_wire_read(&twice, base_buf_span(&b));
    base_assert(failed == 0 && twice.id == m->id && base_span_eq(twice.body, m->body));
}

static void fuzz_url(struct base_span in)
{
    struct https_request r = {0};

    if (https_request_url(&r, in) != 0)
        return;
    base_assert(r.port > 0 && dns_name_valid(base_span_str(r.host)));
    base_assert(https_path_valid(base_span_str(r.path)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct https_wire_message m;

    if (size == 0)
        return 0;
    uint8_t *copy = malloc(size); /* of its own, so that a byte beyond is seen */
    base_assert(copy != NULL);
    memcpy(copy, data + 1, size - 1);
    copy[size - 1] = 0;
    struct base_span in = base_span_of(copy, size - 1);
    if (data[0] % 4 == 0) {
        fuzz_url(in);
    } else if (data[0] % 4 == 1) {
        (void)https_type_is((const char *)copy, "text/plain");
    } else {
        if (in.len > 3) { /* the magic alone would take it hours to find */
            copy[0] = 'H';
            copy[1] = 's';
            copy[2] = 1;
        }
        if (https_wire_read(&m, in) == 0)
            again(&m);
    }
    free(copy);
    return 0;
}
