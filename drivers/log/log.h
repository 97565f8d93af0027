/*
 * The log's writer: binary records (stats_log.h) become lines (log_format.h) in a file, on stderr,
 * or datagrams to syslog or journald.
 *
 * Nothing here waits: descriptors are non-blocking (a regular file is as slow as its disk). What
 * the target does not take at once is pending, and log_flush goes on with it; the caller takes no
 * further records meanwhile, so that their rings fill and backpressure begins where they are made.
 * While the target fails (disk full, nobody at the socket), pending lines of records that may not
 * be lost (stats_log_kept) stay pending where config.keep, and all others are dropped and counted
 * by event. A line that was written in part is finished when the target takes bytes again; in a new
 * file it is written whole.
 *
 * A batch is one writev(2), so that lines of several processes do not mix (O_APPEND) and a batch
 * costs one system call; or one sendmmsg(2). A socket that fails is connected anew.
 *
 * Threads: one. Memory: taken at open, some 700 KiB.
 */
#ifndef LOG_H
#define LOG_H

#include "log_format.h"

#define LOG_BATCH_MAX 256 /* records of one log_write */

struct log;

enum log_target { LOG_TARGET_STDERR, LOG_TARGET_FILE, LOG_TARGET_SYSLOG, LOG_TARGET_JOURNALD };

struct log_config {
    enum log_target target;
    const char *path; /* of the file, or the socket; absolute; borrowed for life. STDERR: NULL */
    enum stats_log_level level;
    bool keep;
    struct log_style style;      /* frame is set by log_open */
    struct stats_block *stats;   /* borrowed for life; NULL: nothing is counted */
    struct stats_log_lost *lost; /* likewise: lines that were dropped, by event */
};

/* Opens a file (creates, mode 0640, appends) or connects. Returns 0 and the log, or the negative
 * error of open(2) or malloc. A socket where nobody listens yet is no error: see log_connected. */
int log_open(struct log **out, const struct log_config *config) BASE_WARN_UNUSED;
void log_close(struct log *l);
bool log_connected(const struct log *l);

/* Opens the path anew, after a rotation renamed the old file; of a socket, connects again. An error
 * leaves the old one in use. */
int log_reopen(struct log *l) BASE_WARN_UNUSED;

/* Takes a descriptor that another process has opened, in place of the current one. */
void log_set_fd(struct log *l, int fd);

/* Records less important than level are not written. */
void log_set_level(struct log *l, enum stats_log_level level);

/* Writes up to LOG_BATCH_MAX records in order, borrowed; only while nothing is pending. Returns as
 * log_flush does. */
int log_write(struct log *l, const struct stats_log_record *records, uint32_t cnt);

/* Goes on with what is pending. Returns 0: nothing is any more; -EAGAIN: the target takes no more
 * now; another negative error: it fails (something may be pending). */
int log_flush(struct log *l);
bool log_pending(const struct log *l);
/* Nothing is pending and the caller has found no more records: counted (log/caught_up). */
void log_caught_up(struct log *l);
/* Of the pending lines, those of records that may not be lost. */
uint32_t log_pending_kept_cnt(const struct log *l);

/* To wait for room by poll(2); -1: there is none. */
int log_fd(const struct log *l);

#endif
