/* Any bytes as the words of a capture, and as a frame for what they mean: reads stay inside. */
#include "capture.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct capture_filter both = {.by_address = true, .by_port = true, .port = 25};
    const uint8_t *line = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t len = line != NULL ? (size_t)(line - data) : size;
    struct capture_words w;
    struct base_span bad;

    int rc = capture_words_parse(&w, base_span_of(data, len), &bad);
    base_assert(rc == 0 || rc == -EINVAL || rc == -EDOM);
    if (rc == -EINVAL)
        base_assert(bad.len == 0 || (bad.p >= data && bad.p + bad.len <= data + len));
    if (rc == 0)
        base_assert(w.snap_bytes <= CAPTURE_SNAP_MAX);
    struct base_span frame = base_span_of(data + len, size - len);
    (void)capture_match(rc == 0 ? &w.filter : &both, frame.p, frame.len);
    (void)capture_match(&both, data, size);
    return 0;
}
