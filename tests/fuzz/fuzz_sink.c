/* A session of the sink from the network's bytes, cut as the first byte says, and at once: what is
 * said and noted is the same. */
#include "session.h"

#include <stdlib.h>

#define SAID_CAP (1 << 20)

struct outcome {
    size_t len;
    uint64_t counter[SINK_COUNTER_CNT];
};

static struct sink sink;
static struct stats_block stats;
static struct outcome *now;

static bool hear(struct session *s, const void *p, size_t len)
{
    (void)s;
    (void)p;
    now->len += len;
    return now->len < SAID_CAP;
}

static void run(struct outcome *o, const uint8_t *p, size_t len, size_t piece)
{
    static struct session s;

    memset(o, 0, sizeof(*o));
    now = o;
    for (int i = 0; i < SINK_COUNTER_CNT; i++)
        atomic_store(&sink.counter[i], 0);
    session_open(&s, &sink);
    for (size_t at = 0; at < len && !s.ends; at += piece)
        session_feed(&s, p + at, len - at < piece ? len - at : piece);
    session_close(&s);
    for (int i = 0; i < SINK_COUNTER_CNT; i++)
        o->counter[i] = sink_get(&sink, (enum sink_counter)i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool begun;
    struct outcome one, many;

    if (size < 2)
        return 0;
    if (!begun) {
        sink_init(&sink, "sink.example");
        sink.stats = &stats;
        sink.send = hear;
        begun = true;
    }
    run(&one, data + 1, size - 1, size);
    run(&many, data + 1, size - 1, data[0] % 32 + 1u);
    for (int i = 0; i < SINK_COUNTER_CNT; i++)
        if (one.counter[i] != many.counter[i])
            abort();
    return 0;
}
