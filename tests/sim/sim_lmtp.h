/*
 * A mail store of the simulated world: a server of LMTP behind streams in memory (net_stream.h),
 * for the gateway's stream service. By seed it defers recipients, at RCPT and behind the end of
 * data, is busy or away, and ends sessions anywhere, amid its replies, too. What it takes it tells
 * the world.
 */
#ifndef SIM_LMTP_H
#define SIM_LMTP_H

#include "net_stream.h"

struct sim_lmtp;

struct sim_lmtp_config {
    uint64_t seed;
    uint32_t trouble_percent; /* of what may go wrong */
    /* A recipient has its 250: called before the reply, which may be lost. The fields of final
     * delivery were right. */
    void (*take)(void *user, struct base_span sender, struct base_span recipient,
                 struct base_span content);
    void *user;
};

struct sim_lmtp *sim_lmtp_open(const struct sim_lmtp_config *config);
void sim_lmtp_close(struct sim_lmtp *s);
struct net_stream_driver sim_lmtp_driver(struct sim_lmtp *s);
/* From here on nothing goes wrong. */
void sim_lmtp_calm(struct sim_lmtp *s);
/* Nothing is open. */
bool sim_lmtp_idle(const struct sim_lmtp *s);
/* How many recipients have been taken, and how many sessions ended amid the replies. */
void sim_lmtp_count(const struct sim_lmtp *s, uint64_t *taken_cnt, uint64_t *cut_cnt);

#endif
