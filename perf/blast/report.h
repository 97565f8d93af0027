/*
 * What blast prints: a line each second, and at the end a line "metric value unit" for each figure,
 * or an object of JSON as perf/run writes them. Threads: main's, which reads the lanes' counters.
 */
#ifndef REPORT_H
#define REPORT_H

#include "lane.h"

struct report {
    const struct options *options;
    struct lane *const *lane;
    uint64_t last_ns; /* when the last line was printed; the caller's clock */
    uint32_t second;
    uint64_t before[LANE_COUNTER_CNT];
    struct histogram_sum latency_before, latency; /* latency: scratch */
};

void report_init(struct report *r, const struct options *o, struct lane *const *lane);

/* Call it about once a second. */
void report_second(struct report *r, uint64_t now_ns);

/* Writes the latencies: a line "microseconds count" for each bucket that has any, and behind an
 * empty line those of handshakes, if there were any. Returns 0, or -1. */
int report_histogram(struct report *r, const char *path);

/* When all lanes have ended. Returns the number of connections that failed and of messages that
 * were refused. */
uint64_t report_end(struct report *r);

#endif
