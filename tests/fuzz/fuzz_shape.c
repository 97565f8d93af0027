/* A rule, a pattern of hosts, a reply, and limits that were kept, of any bytes: what is read is
 * read the same again, and nothing is read outside. */
#include "shape.h"
#include "shape_store.h"

#include <stdlib.h>

#define NOW  (1000 * BASE_NS_S)
#define WALL (UINT64_C(1700000000) * BASE_NS_S)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Lines as they are, without a head, too: it would cost the fuzzer its time. */
static void stored(struct base_span text)
{
    struct shape_stored s, again;
    bool begun = text.len > 0 && text.p[0] == 'g';
    int got;

    while ((got = shape_store_get(&s, &text, &begun, NOW, WALL)) != 0) {
        uint8_t bytes[SHAPE_STORE_LINE_MAX];
        struct base_buf out = {.p = bytes, .cap = sizeof(bytes)};
        bool once = true;
        if (got < 0)
            continue;
        base_assert(s.name[0] != 0 && s.state.until_ns <= NOW + SHAPE_TIME_MAX_NS);
        base_assert(shape_store_put(&out, &s, NOW, WALL));
        struct base_span line = base_buf_span(&out);
        base_assert(shape_store_get(&again, &line, &once, NOW, WALL) == 1 && line.len == 0);
        base_assert(strcmp(s.name, again.name) == 0 && strcmp(s.rule, again.rule) == 0 &&
                    strcmp(s.cause, again.cause) == 0);
        base_assert(s.state.until_ns == again.state.until_ns && s.state.low == again.state.low &&
                    s.state.now.connections == again.state.now.connections &&
                    s.state.now.gap_ns == again.state.now.gap_ns);
        (void)shape_state_step(&again.state, again.state.step_ns);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *cut = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t len = cut != NULL ? (size_t)(cut - data) : size;
    char why[SHAPE_WHY_CAP], *text = malloc(len + 1);
    struct shape_rule r, again;
    uint64_t ns;

    base_assert(text != NULL);
    if (len > 0)
        memcpy(text, data, len);
    text[len] = 0;
    struct base_span words =
        cut != NULL ? base_span_of(cut + 1, size - len - 1) : base_span_of(data, 0);
    struct shape_reply reply = {.code = 451, .enhanced = "4.7.650", .text = words};
    (void)shape_host_match(text, "mx.l.example.com");
    (void)shape_host_check(text);
    if (shape_rate_parse(&ns, text) && ns > 0) {
        char rate[SHAPE_RATE_TEXT_CAP];
        shape_rate_format(rate, ns);
    }
    if (shape_rule_parse(&r, text, why) == 0) {
        base_assert(shape_rule_parse(&again, text, why) == 0);
        base_assert(shape_rule_fits(&r, &reply) == shape_rule_fits(&again, &reply));
        shape_rule_fini(&r);
        shape_rule_fini(&again);
    }
    free(text);
    stored(base_span_of(data, size));
    return 0;
}
