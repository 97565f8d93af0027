/*
 * Inside of bench_spool: what its loads share. One thread, no bounds but those of each load.
 *
 *   bench_spool.c          the command, waiting times
 *   bench_spool_engine.c   a spool over disk/uring, messages sent to it
 *   bench_spool_loads.c    records a second; what is written while much is queued
 *   bench_spool_recover.c  a start that finds many messages
 *   bench_spool_others.c   a bare io_uring program, and one file a message
 */
#ifndef BENCH_SPOOL_H
#define BENCH_SPOOL_H

#include "base_rand.h"
#include "base_time.h"
#include "spool.h"

#define SEGMENT_BYTES   (64ull << 20)
#define OUTSTANDING_MAX 4096

uint64_t bench_now_ns(void);
double bench_cpu_s(void);
__attribute__((noreturn)) void bench_die(const char *what, int error);

/* Waiting times, and what they come to. */
struct tally {
    uint32_t *us;
    uint32_t cnt;
    uint64_t done;
    uint64_t start_ns;
    double start_cpu_s;
};

void bench_tally_begin(struct tally *t);
void bench_tally_add(struct tally *t, uint64_t ns);
/* The load took long enough, or wrote enough. */
bool bench_tally_over(const struct tally *t, uint64_t bytes);
void bench_tally_end(struct tally *t);

struct bench {
    struct spool_disk disk;
    struct spool *spool;
    struct stats_block stats;
    int dir_fd;
    uint8_t *body;
    uint8_t envelope[128];
    uint32_t envelope_len;
    uint32_t bytes;
    uint32_t piece_bytes;
    uint32_t id_next;
    struct spool_id *live; /* messages that stay, when some do */
    uint32_t live_cnt;
    uint32_t live_max;
    struct base_rand rand;
    uint32_t arrived_cnt;
    uint64_t now_ns; /* of this pass */
    uint64_t sent_ns[OUTSTANDING_MAX];
};
void bench_make(struct bench *b, const char *dir, uint32_t bytes);
void bench_start(struct bench *b, uint64_t room_bytes);
void bench_stop(struct bench *b);
void bench_put(struct bench *b, const struct spool_entry *e);
void bench_send(struct bench *b, uint32_t slot);
/* Sleeps until the disk has news. */
void bench_wait(struct bench *b);
/* One pass of the spool: slots whose message is durable become ready. */
void bench_pass(struct bench *b, struct tally *t, uint32_t *ready, uint32_t *ready_cnt, bool keep);
/* Until all that was sent is durable, and freed. */
void bench_drain(struct bench *b, struct tally *t, uint32_t *ready, uint32_t *ready_cnt,
                 uint32_t outstanding);
/* Refuses to fill up the disk. */
uint64_t bench_room_check(const struct bench *b, uint64_t bytes);

void bench_load_spool(const char *dir, uint32_t bytes, uint32_t at_a_time);
void bench_load_live(const char *dir, uint32_t bytes, uint32_t percent);
void bench_load_bare(const char *dir, uint32_t bytes, uint32_t at_a_time);
void bench_load_files(const char *dir, uint32_t bytes, uint32_t at_a_time);
/* Fills a spool with so many messages, and starts on it. */
void bench_recover(const char *dir, uint32_t bytes, uint32_t cnt);
/* Starts on what bench_recover left. */
void bench_restart(const char *dir, uint32_t bytes, uint32_t cnt);

#endif
