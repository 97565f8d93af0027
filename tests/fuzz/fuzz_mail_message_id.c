/* Any bytes as a header section: what is found is a view into it, of one line, behind the name; and
 * a plain search for lines finds the same. */
#include "base_assert.h"
#include "mail_message_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct base_span plain(struct base_span s)
{
    struct base_span found = {0};

    for (size_t at = 0; at < s.len && found.len == 0;) {
        const uint8_t *end = memchr(s.p + at, '\n', s.len - at);
        size_t to = end != NULL ? (size_t)(end - s.p) + 1 : s.len;
        found = mail_message_id_find(base_span_of(s.p + at, to - at), true);
        at = to;
    }
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct base_span all = base_span_of(data, size);
    struct base_span found = mail_message_id_find(all, true), other = plain(all);

    base_assert(found.len == other.len && (found.len == 0 || found.p == other.p));
    if (found.len == 0)
        return 0;
    base_assert(found.p > data && found.p + found.len <= data + size);
    base_assert(memchr(found.p, '\n', found.len) == NULL);
    return 0;
}
