/*
 * THE map: the way of a message, the threads, and every ring between two of them with its depth.
 * It is data (topology.c), checked at start; nothing else in the program makes a ring.
 *
 * Each ring has one producer and one consumer (SPSC: a plain MPMC ring stalls everybody when a
 * producer is preempted) and moves ownership of what lies in it. A full ring is backpressure: the
 * producer keeps what it has and tries again on its next pass.
 */
#ifndef TOPOLOGY_H
#define TOPOLOGY_H

#include "conf.h"
#include "doorbell.h"
#include "spool_id.h"
#include "stats.h"
#include "stats_log.h"
#include "stream.h"
#include "trace.h"

#include <stddef.h>

struct rte_ring;

#define TOPOLOGY_LANE_MAX   64
#define TOPOLOGY_SPOOL_MAX  CONF_SPOOL_MAX
#define TOPOLOGY_SPOOL_NONE UINT32_MAX
#define TOPOLOGY_KEYOP_MAX  64

#define TOPOLOGY_VERIFY_DEPTH 1024 /* of the rings between lanes and courier for recipients */

/* One row of the way of a message: what README's table shows, in its order. */
struct topology_step {
    const char *name;
    const char *where;
};
extern const struct topology_step topology_way[];
extern const size_t topology_way_cnt;

/* Threads of the process main. Control is the main thread. */
enum topology_thread {
    TOPOLOGY_LANE,    /* lane_cnt of them */
    TOPOLOGY_SPOOLER, /* one for each spool */
    TOPOLOGY_COURIER,
    TOPOLOGY_CONTROL,
    TOPOLOGY_HOST,     /* the machine's own traffic, where the configuration has it */
    TOPOLOGY_RESOLVER, /* questions to the DNS */
    TOPOLOGY_AUTH,     /* logins, where the configuration has users */
    TOPOLOGY_STREAM,   /* the kernel's sockets, for lanes: stream.h */
    TOPOLOGY_LOG,      /* the log's writer */
    TOPOLOGY_KEYOP,    /* private keys' operations, keyop_cnt of them; the last row: telemetry */
    TOPOLOGY_THREAD_CNT
};

enum topology_link_id {
    TOPOLOGY_LANE_SPOOLER,    /* struct spool_entry */
    TOPOLOGY_SPOOLER_LANE,    /* struct spool_done */
    TOPOLOGY_COURIER_SPOOLER, /* struct spool_entry */
    TOPOLOGY_SPOOLER_COURIER, /* struct spool_done */
    TOPOLOGY_COURIER_LANE,    /* struct delivery * */
    TOPOLOGY_LANE_COURIER,    /* struct delivery * */
    TOPOLOGY_LANE_LANE,       /* struct rte_mbuf *: frames that came in on the wrong lane */
    TOPOLOGY_LANE_NEIGHBOR,   /* struct lane_neighbor: what ARP told one lane */
    TOPOLOGY_LANE_ICMP,       /* about connections of others */
    TOPOLOGY_CONTROL_COURIER, /* struct courier_request * */
    TOPOLOGY_COURIER_CONTROL, /* struct courier_request * */
    TOPOLOGY_CONTROL_LANE,    /* struct lane_ask *: what an operator asks of it */
    TOPOLOGY_LANE_CONTROL,    /* struct lane_ask *: the answers */
    TOPOLOGY_LANE_HOST,       /* struct rte_mbuf *: frames for the machine's kernel */
    TOPOLOGY_HOST_FREE,       /* struct rte_mbuf *: those that it has got, back to be freed */
    TOPOLOGY_HOST_LANE,       /* struct rte_mbuf *: frames of the kernel's for the port */
    TOPOLOGY_LANE_KEYOP,      /* struct tls_keyop * */
    TOPOLOGY_KEYOP_LANE,      /* struct tls_keyop *: done */
    TOPOLOGY_LANE_RESOLVER,   /* struct dns_query *: questions; see resolver.h */
    TOPOLOGY_RESOLVER_LANE,   /* struct dns_query *: with their answers */
    TOPOLOGY_COURIER_RESOLVER,
    TOPOLOGY_RESOLVER_COURIER,
    TOPOLOGY_CONTROL_RESOLVER,
    TOPOLOGY_RESOLVER_CONTROL,
    TOPOLOGY_LANE_VERIFY, /* struct rcpt_job *: whether the next hop takes a recipient */
    TOPOLOGY_VERIFY_LANE, /* struct rcpt_job *: the answers */
    TOPOLOGY_LANE_AUTH,   /* struct auth_job *: logins */
    TOPOLOGY_AUTH_LANE,   /* struct auth_job *: their answers */
    TOPOLOGY_LANE_LOG,    /* struct stats_log_record, in cells */
    TOPOLOGY_SPOOLER_LOG,
    TOPOLOGY_COURIER_LOG,
    TOPOLOGY_RESOLVER_LOG,
    TOPOLOGY_AUTH_LOG,
    TOPOLOGY_CONTROL_LOG,
    TOPOLOGY_LINK_CNT
};

struct topology_link {
    const char *name;
    enum topology_thread from;
    enum topology_thread to;
    uint32_t element_bytes; /* multiple of 4 */
    uint32_t depth;         /* power of two */
};

/* One directory of the spool, and what others need to know of it. Its index is its place in the
 * configuration; its number, which stands in the ids of its messages, lies on its disk. */
struct topology_spool {
    struct doorbell bell;
    /* Written by its spooler (relaxed: the word itself is all), read by lanes at MAIL and by
     * control: why it takes no new message, static text; NULL while it does. */
    _Atomic(const char *) refusal BASE_CACHE_ALIGNED;
    const char *name; /* borrowed, from the configuration; NULL: it has none (simulations) */
    uint8_t number;
};

/* A listener's counters, one block a lane. */
struct topology_listener {
    const char *name; /* borrowed, from the configuration */
    struct stats_listener *of_lane;
};

struct topology {
    uint32_t lane_cnt, spool_cnt, keyop_cnt;
    /* By link, then by the numbers of both ends: from * how many of to + to. */
    struct rte_ring **ring[TOPOLOGY_LINK_CNT];
    struct doorbell lane_bell[TOPOLOGY_LANE_MAX];
    struct topology_spool spool[TOPOLOGY_SPOOL_MAX];
    uint8_t spool_of[256]; /* by number: 1 + the index; 0: there is none */
    struct doorbell courier_bell;
    struct doorbell host_bell;
    struct doorbell resolver_bell;
    /* How often the resolver's configuration was another one: of the process that answers. Stored
     * by the resolver's thread (release), read by the courier (acquire): what it asks after that is
     * answered by that one. */
    _Atomic uint64_t resolver_config_no;
    struct doorbell auth_bell;
    struct doorbell stream_bell;
    struct stream_area *streams; /* by lane: bytes to and from the stream thread */
    struct doorbell control_bell;
    /* Counters, one block a thread: lanes, then spoolers, courier, control, host, resolver, auth,
     * streams, log, key threads. */
    struct stats_block *stats;
    uint32_t stats_cnt;
    struct topology_listener *listener; /* what is counted for each; in their configured order */
    uint32_t listener_cnt;
    _Atomic bool drained;        /* by the operator: lanes take no new mail; control stores */
    struct trace trace;          /* what an operator follows */
    struct stats_log_lost *lost; /* of each thread, by the place of its counters */
    bool silent;
};

/* Checks the tables, makes rings, bells and counters. prefix keeps names of several gateways in one
 * process apart; silent: no bells (simulations). Returns 0, -ENOMEM, -EINVAL. */
int topology_init_keyop(struct topology *t, uint32_t lane_cnt, uint32_t spool_cnt,
                        uint32_t keyop_cnt, const char *prefix, bool silent) BASE_WARN_UNUSED;
/* Without threads for keys. */
int topology_init(struct topology *t, uint32_t lane_cnt, uint32_t spool_cnt, const char *prefix,
                  bool silent) BASE_WARN_UNUSED;
void topology_fini(struct topology *t);

/* Room for the counters of cnt listeners, which topology_fini() frees; before any thread runs.
 * Without it (simulations) nothing is counted for them. Returns 0 or -ENOMEM. */
int topology_add_listeners(struct topology *t, uint32_t cnt) BASE_WARN_UNUSED;
/* The sum over all lanes. */
uint64_t topology_listener_total(const struct topology *t, uint32_t listener,
                                 enum stats_listener_id id);

/* The ring of a link by its place; where one end alone is a lane or a spooler, that is its number.
 */
static inline struct rte_ring *topology_ring(const struct topology *t, enum topology_link_id id,
                                             uint32_t place)
{
    return t->ring[id][place];
}

/* Between a lane and a spooler. */
static inline struct rte_ring *topology_ring_to_spool(const struct topology *t, uint32_t lane,
                                                      uint32_t spool)
{
    return t->ring[TOPOLOGY_LANE_SPOOLER][lane * t->spool_cnt + spool];
}
static inline struct rte_ring *topology_ring_from_spool(const struct topology *t, uint32_t lane,
                                                        uint32_t spool)
{
    return t->ring[TOPOLOGY_SPOOLER_LANE][spool * t->lane_cnt + lane];
}

/* number: of the lane, the spooler or the key thread, else 0. */
static inline struct stats_block *topology_stats(const struct topology *t,
                                                 enum topology_thread thread, uint32_t number)
{
    uint32_t at = thread == TOPOLOGY_LANE      ? number
                  : thread == TOPOLOGY_SPOOLER ? t->lane_cnt + number
                                               : t->lane_cnt + t->spool_cnt + (uint32_t)thread - 2;
    return &t->stats[thread == TOPOLOGY_KEYOP ? at + number : at];
}

#define TOPOLOGY_NAME_CAP 96
/* What telemetry calls the thread, by the place of its counters: lane0, spooler, courier. */
void topology_thread_name(const struct topology *t, uint32_t place, char *out, size_t cap);

/* ---- spools ---- */

/* Tells which number a spool has; before any thread runs. Returns 0, or -EEXIST: another has it. */
int topology_number_spool(struct topology *t, uint32_t spool, uint8_t number) BASE_WARN_UNUSED;

/* The spool where a message lies, by its id; TOPOLOGY_SPOOL_NONE: in none of these. */
static inline uint32_t topology_spool_of(const struct topology *t, const struct spool_id *id)
{
    return (uint32_t)t->spool_of[spool_id_spool(id)] - 1;
}

/* NULL: it takes new messages; else why it does not. */
static inline const char *topology_spool_refusal(const struct topology *t, uint32_t spool)
{
    return atomic_load_explicit(&t->spool[spool].refusal, memory_order_relaxed);
}

/*
 * A spool for a new message: the turn's own, or another one while that takes none. turn: any
 * number, of a lane for example; different ones are spread evenly, and so are those that have to
 * move. Returns TOPOLOGY_SPOOL_NONE with a reason in *why when none takes any.
 */
uint32_t topology_choose_spool(const struct topology *t, uint32_t turn, const char **why);

/* The producer's end of a thread's log. In simulations nothing waits for who reads it. */
struct stats_log topology_log(const struct topology *t, enum topology_thread thread,
                              uint32_t number);

#endif
