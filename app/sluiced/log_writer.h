/*
 * The log's writer: a thread that takes what all others have put into their rings for the log
 * (stats_log.h), and writes it (drivers/log). It alone waits for files and sockets: while they take
 * nothing the rings fill, and who makes records that may not be lost waits with its work.
 *
 * Order: that of each thread; and what a lane tells of a message before it is stored comes before
 * what the courier does. "accepted" and "queued" may come either way.
 *
 * Records that were dropped, in a ring or because the log could not be written, are told of in the
 * log itself as soon as it takes lines again: "lost lines=N kind=connect".
 *
 * Lines of what an operator follows (STATS_LOG_TRACE) are no lines of the log: the writer sets them
 * aside for control, with those of the log that are about the same messages.
 *
 * Threads: log_writer_... by control, but for the thread's own. Memory: the last LOG_TAIL_CNT
 * records are kept for sluicectl log tail, and the last LOG_REFUSAL_CNT of what was refused for
 * sluicectl refusals, whatever is written of them.
 */
#ifndef LOG_WRITER_H
#define LOG_WRITER_H

#include "log.h"
#include "topology.h"

#include <pthread.h>

#define LOG_TAIL_CNT    1024
#define LOG_REFUSAL_CNT 100
#define LOG_RING_MAX    (TOPOLOGY_LANE_MAX + TOPOLOGY_SPOOL_MAX + 4)

/* Records set aside for one wish (trace.h), the oldest at taken_cnt; what finds no room is missed.
 */
struct log_tap {
    struct stats_log_record *record; /* control's; NULL: nobody follows it */
    uint32_t cap;
    uint64_t put_cnt, taken_cnt, missed_cnt;
};

struct log_writer {
    struct topology *topology;
    struct log *log;
    void (*begin)(void);
    /* Control writes (release), the thread takes (acquire). */
    _Atomic int level;        /* enum stats_log_level */
    _Atomic int fd;           /* to be taken in place of the present one; -1: none */
    _Atomic uint64_t stop_ns; /* when it gives up what the log does not take; 0: it goes on */
    bool started;
    pthread_t pthread;
    /* The thread's. */
    enum stats_log_level level_now;
    struct {
        struct rte_ring *ring;
        uint32_t left; /* cells of what was there when this round began */
    } ring[LOG_RING_MAX];
    uint32_t ring_cnt, at;
    uint64_t told[STATS_LOG_EVENT_CNT];
    uint64_t told_ns;
    uint32_t unwritten_cnt; /* at its end: records that may not be lost, and are */
    pthread_mutex_t tail_lock;
    struct log_tap tap[TRACE_CNT]; /* by tail_lock, as the tail */
    uint64_t tail_cnt; /* records so far; the next one's place is tail_cnt % LOG_TAIL_CNT */
    struct stats_log_record tail[LOG_TAIL_CNT];
    uint64_t refusal_cnt; /* likewise */
    struct stats_log_record refusal[LOG_REFUSAL_CNT];
};

/* Starts the thread, which calls begin first (NULL: nothing); log is borrowed until
 * log_writer_stop. Returns 0 or a negative error. */
int log_writer_start(struct log_writer *w, struct log *log, enum stats_log_level level,
                     struct topology *topology, void (*begin)(void)) BASE_WARN_UNUSED;
/* After all other threads: writes what is left, for at most wait_ns. Returns how many records that
 * may not be lost could not be written. */
uint32_t log_writer_stop(struct log_writer *w, uint64_t wait_ns);

void log_writer_set_level(struct log_writer *w, enum stats_log_level level);
/* A file that was opened anew; taken. */
void log_writer_set_fd(struct log_writer *w, int fd);

enum stats_log_level log_writer_level(const struct log_writer *w);

/* Copies the last cnt records, LOG_TAIL_CNT at most, oldest first. Returns how many. */
uint32_t log_writer_tail(struct log_writer *w, struct stats_log_record *out, uint32_t cnt);

/* Copies the last of what clients were refused, oldest first, to out, which has room for
 * LOG_REFUSAL_CNT: commands, logins, handshakes, PROXY headers, messages that could not be stored.
 * Returns how many. */
uint32_t log_writer_refusals(struct log_writer *w, struct stats_log_record *out);

/* From now on records of the wish are set aside in record, which has room for cap and is borrowed
 * until it is taken back by NULL. */
void log_writer_tap(struct log_writer *w, uint32_t wish, struct stats_log_record *record,
                    uint32_t cap);
/* Takes up to cnt of them, oldest first. Returns how many; adds to *missed those that found no room
 * since the last time. */
uint32_t log_writer_tapped(struct log_writer *w, uint32_t wish, struct stats_log_record *out,
                           uint32_t cnt, uint64_t *missed);

/* log_style's id_format: spool_id_format. */
void log_writer_id_format(char out[LOG_ID_CAP], const uint8_t id[16]);

/* ---- for its test ---- */

/* One round of the thread. Returns how many records it has taken, or a negative error of
 * log_flush. */
int log_writer_pass(struct log_writer *w, uint64_t now_ns, uint64_t wall_ns);

#endif
