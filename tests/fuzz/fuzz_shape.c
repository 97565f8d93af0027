/* A rule, a pattern of hosts and a reply of any bytes: what is read is read the same again, and
 * nothing is read outside. */
#include "shape.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
    return 0;
}
