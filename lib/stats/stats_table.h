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
/* drivers/log */
STATS(LOG_LINES,             "log", "lines",             "lines",   "lines written to the log")
STATS(LOG_LOST,              "log", "lost",              "lines",   "lines lost because the log could not be written")
/* lib/stats */
STATS(LOG_DROPPED,           "log", "dropped",           "records", "log records lost because the ring was full")
/* clang-format on */
