/*
 * Bulk transfers between two stacks over one link, in virtual time, by a seed: what the grid of
 * goodput and the fairness of flows are measured with. Every byte is compared, the stacks'
 * invariants are checked as it goes, and at the end nothing may be left.
 */
#ifndef SIM_BULK_H
#define SIM_BULK_H

#include "wire.h"

#include "tcp.h"

#define SIM_BULK_FLOW_MAX 64

struct sim_bulk_config {
    uint64_t seed;
    struct wire_faults data; /* of the direction that the bytes take */
    struct wire_faults acks;
    enum tcp_congestion congestion;
    bool sack_off;
    uint32_t buffer_bytes; /* send buffer and receive window, each */
    uint32_t flow_cnt;
    uint64_t stagger_ns; /* between the starts of flows */
    uint32_t flow_bytes; /* each flow ends after so many */
    uint64_t bound_ns;   /* all must be done by then */
    /* Flows without end instead, when flow_bytes is 0: bytes are counted in [from_ns, until_ns). */
    uint64_t from_ns;
    uint64_t until_ns;
    bool trace; /* prints each segment */
};

struct sim_bulk_result {
    uint64_t ns; /* from the first call to the last byte */
    uint64_t flow_bytes[SIM_BULK_FLOW_MAX];
    uint64_t retransmits, timeouts, fast, probes, undone;
    uint64_t lost_cnt; /* data frames that the link lost */
};

/* False when a byte was wrong, a transfer did not end or something was left; it is told on
 * stderr. */
bool sim_bulk_run(const struct sim_bulk_config *config, struct sim_bulk_result *out);

#endif
