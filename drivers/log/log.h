/*
 * The log's writer: binary records (stats_log.h) become lines of text in a file or on stderr.
 *
 *     2026-01-02T03:04:05.123456Z info accepted id=... client=192.0.2.1:4711 bytes=812 ...
 *
 * One line a record. Of text from outside, bytes other than printable ASCII, backslash and both
 * quotes are written as \xNN, so that a line can neither be forged nor change a terminal. A missing
 * id or address is "-"; an address without a port stands alone.
 *
 * A batch is one write(2), so that lines of several processes do not mix (O_APPEND) and a batch
 * costs one system call. What can't be written is lost and counted (log/lost): the log never holds
 * up the gateway by waiting for a disk; a blocked stderr does.
 *
 * Threads: one. Memory: taken at open, some 80 KiB.
 */
#ifndef LOG_H
#define LOG_H

#include "stats_log.h"

#define LOG_BATCH_MAX 64   /* records of one write(2) */
#define LOG_LINE_CAP  1280 /* longest line: text of which each byte is escaped, and all the rest */
#define LOG_ID_CAP    27

struct log;

/* Writes an id's text and a NUL. */
typedef void (*log_id_format)(char out[LOG_ID_CAP], const uint8_t id[16]);

struct log_config {
    const char *path; /* absolute; borrowed for life. NULL: stderr */
    enum stats_log_level level;
    log_id_format id_format;
    struct stats_block *stats; /* borrowed for life; NULL: nothing is counted */
};

/* Opens (creates, mode 0640, appends). Returns 0 and the log, or the negative error of open(2) or
 * malloc. */
int log_open(struct log **out, const struct log_config *config) BASE_WARN_UNUSED;
void log_close(struct log *l);

/* Opens the path anew, after a rotation renamed the old file. An error leaves the old one in use.
 */
int log_reopen(struct log *l) BASE_WARN_UNUSED;

/* Takes a descriptor that another process has opened, in place of the current one. */
void log_set_fd(struct log *l, int fd);

/* Records less important than level are not written. */
void log_set_level(struct log *l, enum stats_log_level level);

/* Writes cnt records in order, borrowed. Returns 0, or the negative error of the last write(2) that
 * failed; its lines are lost. */
int log_write(struct log *l, const struct stats_log_record *records, uint32_t cnt);

/* The line of one record, with its line feed and without a NUL. Pure. Returns its length. */
size_t log_format(char out[LOG_LINE_CAP], const struct stats_log_record *record,
                  log_id_format id_format);

#endif
