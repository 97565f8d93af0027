/*
 * Two TCP stacks on benches (tcp_lab.h), end 0 and end 1, and the segments between them, each of
 * which the test delivers, loses, keeps for later, sends twice, splits, joins or marks. What a
 * checksum would catch is not among it: segments arrive as sent or not at all.
 */
#ifndef LAB_PAIR_H
#define LAB_PAIR_H

#include "tcp_lab.h"

#define LAB_PAIR_FLIGHT_CAP 128  /* of each direction; what comes on top is lost */
#define LAB_PAIR_DATA_CAP   1900 /* payload of a segment, joined ones too */

struct lab_flight {
    struct lab_segment g;
    uint8_t data[LAB_DATA_CAP];
};

/* On their way from one end; the oldest first. */
struct lab_way {
    uint32_t cnt;
    uint8_t order[LAB_PAIR_FLIGHT_CAP]; /* places in flight; those behind cnt are free */
    struct lab_flight flight[LAB_PAIR_FLIGHT_CAP];
};

struct lab_pair {
    struct lab lab[2];
    struct lab_way way[2]; /* by the sending end */
};

/* Opens both ends; their configs may differ. */
void lab_pair_open(struct lab_pair *p, const struct tcp_config config[2]);
/* Asserts that all mbufs are back. */
void lab_pair_close(struct lab_pair *p);

/* Moves what an end has sent onto its way. look (may be NULL) sees each segment. */
typedef void lab_pair_look(void *arg, unsigned from, const struct lab_segment *g);
void lab_pair_collect(struct lab_pair *p, unsigned from, lab_pair_look *look, void *arg);

/* The nth segment on the way (the last when there are fewer); NULL: none. */
struct lab_segment *lab_pair_at(struct lab_pair *p, unsigned from, uint32_t nth);

/* Each takes the nth as lab_pair_at does; nothing happens when there is none. */
void lab_pair_lose(struct lab_pair *p, unsigned from, uint32_t nth);
/* Delivered; with keep a copy stays on the way. Without a flush when burst is set. */
void lab_pair_deliver(struct lab_pair *p, unsigned from, uint32_t nth, bool keep, bool burst);
/* Len bytes at an offset are delivered as a segment of their own; the whole stays on the way. */
void lab_pair_part(struct lab_pair *p, unsigned from, uint32_t nth, uint32_t offset, uint32_t len);
/* The first len bytes leave the segment and are one of their own before it. */
void lab_pair_split(struct lab_pair *p, unsigned from, uint32_t nth, uint32_t len);
/* Joined with the one behind it when they follow each other, as a receiving card does. */
void lab_pair_join(struct lab_pair *p, unsigned from, uint32_t nth);

/* Time goes on at both ends. */
void lab_pair_wait(struct lab_pair *p, uint64_t span_ns);

#endif
