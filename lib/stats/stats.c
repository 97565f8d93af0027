#include "stats.h"

#include <string.h>

#define STATS(id, group, name, unit, help) {group, name, unit, help},
const struct stats_row stats_rows[STATS_CNT] = {
#include "stats_table.h"
};

#define STATS_HISTOGRAM(id, group, name, unit, help, shift, bounds)                                \
    {{group, name, unit, help}, shift, bounds},
const struct stats_histogram_row stats_histogram_rows[STATS_HISTOGRAM_CNT] = {
#include "stats_table.h"
};

#define STATS_LISTENER(id, name, unit, help) {"listener", name, unit, help},
const struct stats_row stats_listener_rows[STATS_LISTENER_CNT] = {
#include "stats_table.h"
};

bool stats_is_gauge(const struct stats_row *row)
{
    size_t len = strlen(row->unit);

    return len >= 4 && strcmp(row->unit + len - 4, " now") == 0;
}
