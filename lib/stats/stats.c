#include "stats.h"

#define STATS(id, group, name, unit, help) {group, name, unit, help},
const struct stats_row stats_rows[STATS_CNT] = {
#include "stats_table.h"
};
#undef STATS
