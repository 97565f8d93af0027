/*
 * Every counter of the gateway: STATS(id, group, name, unit, help). Included several times; see
 * stats.h. A dropped packet, a refused command and a failed delivery each have their row.
 */
/* clang-format off */
/* lib/net */
STATS(NET_RX_PACKETS,        "net", "rx_packets",        "packets", "frames taken from the port")
STATS(NET_RX_BYTES,          "net", "rx_bytes",          "bytes",   "bytes of those frames")
STATS(NET_TX_PACKETS,        "net", "tx_packets",        "packets", "frames given to the port")
STATS(NET_TX_BYTES,          "net", "tx_bytes",          "bytes",   "bytes of those frames")
/* lib/spool */
STATS(SPOOL_BATCHES,         "spool", "batches",         "batches", "group commits that became durable")
STATS(SPOOL_BATCH_BYTES,     "spool", "batch_bytes",     "bytes",   "bytes of those, with padding")
STATS(SPOOL_BATCHES_FAILED,  "spool", "batches_failed",  "batches", "group commits given up after writing them again")
STATS(SPOOL_RECORDS,         "spool", "records",         "records", "records that became durable")
STATS(SPOOL_COMMITTED,       "spool", "committed",       "messages", "messages that became durable")
STATS(SPOOL_REFUSED,         "spool", "refused",         "messages", "transactions that failed at their commit")
STATS(SPOOL_FREED,           "spool", "freed",           "messages", "messages that were freed")
STATS(SPOOL_MOVED_BYTES,     "spool", "moved_bytes",     "bytes",   "bytes written again to empty the oldest segment")
STATS(SPOOL_MOVE_ERRORS,     "spool", "move_errors",     "reads",   "reads of the oldest segment that failed or were damaged")
STATS(SPOOL_WRITE_ERRORS,    "spool", "write_errors",    "writes",  "writes that failed or were short")
STATS(SPOOL_REWRITES,        "spool", "rewrites",        "times",   "failed writes that were written again to a new segment")
STATS(SPOOL_READS,           "spool", "reads",           "records", "records read back")
STATS(SPOOL_READ_ERRORS,     "spool", "read_errors",     "records", "reads that failed")
STATS(SPOOL_READ_BAD,        "spool", "read_bad",        "records", "records read with a wrong checksum")
STATS(SPOOL_CREATED,         "spool", "segments_created", "segments", "segment files made")
STATS(SPOOL_CREATE_ERRORS,   "spool", "create_errors",   "times",   "segment files that could not be made")
STATS(SPOOL_RECYCLED,        "spool", "segments_recycled", "segments", "segments freed")
STATS(SPOOL_RECOVERED,       "spool", "recovered",       "messages", "messages found at start")
STATS(SPOOL_UNFINISHED,      "spool", "unfinished",      "messages", "transactions without commit dropped at start")
STATS(SPOOL_TAILS_CUT,       "spool", "tails_cut",       "times",   "ends of the log found at start before the segment's end")
STATS(SPOOL_CORRUPT,         "spool", "corrupt",         "times",   "damage of acknowledged records found at start")
STATS(SPOOL_MESSAGES_NOW,    "spool", "messages_now",    "messages_now", "messages that are queued")
STATS(SPOOL_LIVE_BYTES_NOW,  "spool", "live_bytes_now",  "bytes_now", "bytes of records that are needed")
STATS(SPOOL_READY_NOW,       "spool", "segments_ready_now", "segments_now", "segments ready to be written")
/* lib/stats */
STATS(LOG_DROPPED,           "log", "dropped",           "records", "log records lost because the ring was full")
/* clang-format on */
