/*
 * What sluicectl top shows: the gateway's answers to top, connections and queue destinations are
 * read into a look; two looks make lines, or one JSON object.
 *
 * Threads: none of its own. Memory: the caller's. Pure.
 */
#ifndef TOP_TEXT_H
#define TOP_TEXT_H

#include "base_bytes.h"
#include "top_times.h"

#include <stdio.h>

#define TOP_LANE_MAX    64
#define TOP_COUNTER_MAX 24
#define TOP_NAME_CAP    64
#define TOP_LIST_MAX    10
#define TOP_CLIENT_MAX  4096  /* different ones that are told apart */
#define TOP_SAMPLE_MAX  20000 /* connections that are looked at */
#define TOP_LINE_CAP    256
#define TOP_LINE_MAX    (40 + TOP_LANE_MAX)
#define TOP_TIMES_MAX   3

struct top_counter {
    char name[TOP_NAME_CAP];
    uint64_t value;
};

struct top_named {
    char name[TOP_NAME_CAP];
    uint64_t value, more;
};

struct top_look {
    char hostname[TOP_NAME_CAP], accepting[TOP_LINE_CAP];
    uint64_t started_ns, now_ns;
    uint32_t lane_cnt;
    uint64_t lane[TOP_LANE_MAX][8];  /* enum top_lane_value */
    uint64_t total[TOP_COUNTER_MAX]; /* enum top_value */
    uint64_t cycles_per_s;           /* of what lanes count their rounds by; 0: not known */
    struct top_times times[TOP_TIMES_MAX];
    /* Clients by connections, destinations by what waits for them: the first of each. */
    struct top_named client[TOP_LIST_MAX], destination[TOP_LIST_MAX];
    uint32_t client_cnt, destination_cnt;
    uint32_t sampled_cnt; /* connections that were looked at for the clients */
    bool sampled_all;
    uint64_t rtt_us; /* half of them have less; 0: none has one */
};

/* Each takes a whole answer. They leave what they do not know. */
void top_read_counters(struct top_look *look, const char *text);
void top_read_connections(struct top_look *look, const char *text, bool all);
void top_read_destinations(struct top_look *look, const char *text);

/* Lines of what was between two looks; before and now may be of different runs of the gateway: then
 * rates count from its start. Returns how many. */
uint32_t top_lines(char lines[TOP_LINE_MAX][TOP_LINE_CAP], const struct top_look *before,
                   const struct top_look *now);
/* Members of such an object, without a comma before or behind: all rates and sizes; how long things
 * took. */
void top_json_values(FILE *out, const struct top_look *before, const struct top_look *now);
void top_json_times(FILE *out, const struct top_look *before, const struct top_look *now);
void top_json(FILE *out, const struct top_look *before, const struct top_look *now);

#endif
