/*
 * The log of the data path: a binary record goes into a ring; another thread makes text of it.
 *
 * An event is a row of STATS_LOG_EVENTS: level, and a format for its fields. A lane never
 * formats, never blocks and never allocates: when the ring is full the record is dropped and
 * counted (LOG_DROPPED).
 *
 * Threads: one producer for each ring (struct stats_log), one consumer for all of them. Memory: the
 * ring holds copies of the records; nothing is borrowed after stats_log_push returns.
 */
#ifndef STATS_LOG_H
#define STATS_LOG_H

#include "base_bytes.h"
#include "stats.h"

struct rte_ring;

enum stats_log_level { STATS_LOG_ERROR, STATS_LOG_WARN, STATS_LOG_INFO, STATS_LOG_DEBUG };

/*
 * X(id, level, name, format). In the format: %i the message id, %a the address (with port), %n and
 * %m the two numbers, %s the text (escaped by the writer).
 */
#define STATS_LOG_EVENTS(X)                                                                        \
    X(CONNECT, STATS_LOG_INFO, "connect", "client=%a lane=%n")                                     \
    X(CONNECT_PROXY, STATS_LOG_INFO, "connect", "client=%a lane=%n proxy=%s")                      \
    X(XCLIENT, STATS_LOG_INFO, "xclient", "client=%a %s")                                          \
    X(PROXY_REFUSED, STATS_LOG_WARN, "proxy_refused", "peer=%a reason=%s")                         \
    X(TLS, STATS_LOG_INFO, "tls", "client=%a %s")                                                  \
    X(TLS_RELAY, STATS_LOG_INFO, "tls", "relay=%a %s")                                             \
    X(TLS_FAILED, STATS_LOG_INFO, "tls_failed", "client=%a reason=%s")                             \
    X(AUTH, STATS_LOG_INFO, "auth", "client=%a %s")                                                \
    X(AUTH_FAILED, STATS_LOG_WARN, "auth_failed", "warning: unknown[%a]: SASL %s")                 \
    X(DISCONNECT, STATS_LOG_INFO, "disconnect", "client=%a messages=%n reason=%s")                 \
    X(REFUSED, STATS_LOG_INFO, "refused", "id=%i client=%a code=%n reason=%s")                     \
    X(EXPANDED, STATS_LOG_INFO, "expanded", "id=%i client=%a recipients=%n line=%m to=%s")         \
    X(ACCEPTED, STATS_LOG_INFO, "accepted", "id=%i client=%a bytes=%n recipients=%m")              \
    X(NOT_STORED, STATS_LOG_WARN, "not_stored", "id=%i client=%a reason=%s")                       \
    X(DELIVERED, STATS_LOG_INFO, "delivered", "id=%i relay=%a code=%n %s")                         \
    X(NEXT_HOST, STATS_LOG_INFO, "next_host", "id=%i relay=%a code=%n %s")                         \
    X(DEFERRED, STATS_LOG_WARN, "deferred", "id=%i relay=%a code=%n retry_s=%m %s")                \
    X(FAILED, STATS_LOG_WARN, "failed", "id=%i relay=%a code=%n %s")                               \
    X(BOUNCED, STATS_LOG_INFO, "bounced", "id=%i recipients=%n dsn=%s")                            \
    X(NOTIFIED, STATS_LOG_INFO, "notified", "id=%i recipients=%n dsn=%s")                          \
    X(FINISHED, STATS_LOG_INFO, "finished", "id=%i")                                               \
    X(HELD, STATS_LOG_WARN, "held", "id=%i by=control uid=%n")                                     \
    X(RELEASED, STATS_LOG_INFO, "released", "id=%i by=control uid=%n")                             \
    X(REQUEUED, STATS_LOG_INFO, "requeued", "id=%i by=control uid=%n")                             \
    X(DELETED, STATS_LOG_WARN, "deleted", "id=%i by=control uid=%n")                               \
    X(RECOVERED, STATS_LOG_INFO, "recovered", "messages=%n segments=%m %s")                        \
    X(SPOOL_ERROR, STATS_LOG_ERROR, "spool_error", "segment=%n error=%m what=%s")                  \
    X(SPOOL_REFUSES, STATS_LOG_WARN, "spool_refuses", "free_bytes=%n what=%s")                     \
    X(SPOOL_ACCEPTS, STATS_LOG_INFO, "spool_accepts", "free_bytes=%n what=%s")                     \
    X(NEIGHBOR, STATS_LOG_WARN, "neighbor", "address=%a what=%s")                                  \
    X(CHECKSUM_HINT, STATS_LOG_WARN, "checksum_hint", "packets=%n what=%s")                        \
    X(RELOAD, STATS_LOG_INFO, "reload", "generation=%n what=%s")                                   \
    X(ROLE, STATS_LOG_WARN, "role", "pid=%n what=%s")                                              \
    X(NOTE, STATS_LOG_INFO, "note", "%s")                                                          \
    X(WARNING, STATS_LOG_WARN, "warning", "%s")

#define STATS_LOG_ENUM(id, level, name, format) STATS_LOG_##id,
enum stats_log_event { STATS_LOG_EVENTS(STATS_LOG_ENUM) STATS_LOG_EVENT_CNT };
#undef STATS_LOG_ENUM

struct stats_log_row {
    enum stats_log_level level;
    const char *name;
    const char *format;
};
extern const struct stats_log_row stats_log_rows[STATS_LOG_EVENT_CNT];

#define STATS_LOG_TEXT_CAP 192

/* One record, four cache lines; the ring copies it whole. */
struct stats_log_record {
    uint64_t wall_ns;
    uint8_t id[16];      /* the message's id; all zero when there is none */
    uint8_t address[16]; /* IPv6 or v4-mapped; all zero when there is none */
    uint64_t n;
    uint64_t m;
    uint16_t event; /* enum stats_log_event */
    uint16_t port;  /* of address */
    uint16_t thread;
    uint16_t text_len;
    uint8_t text[STATS_LOG_TEXT_CAP]; /* raw bytes, escaped by the writer */
};
base_static_assert(sizeof(struct stats_log_record) == 256, "four cache lines");

/* A producer's end. The ring and the block are borrowed for its whole life. */
struct stats_log {
    struct rte_ring *ring; /* elements of sizeof(struct stats_log_record); NULL: records vanish */
    struct stats_block *stats;
    uint16_t thread;
};

/* Copies the record into the ring; text beyond the cap is cut. Fills in thread; the caller has
 * set the rest. Never blocks. */
void stats_log_push(struct stats_log *log, const struct stats_log_record *record);

/* Takes up to cap records out, oldest first; returns how many. The consumer's side. */
uint32_t stats_log_pop(struct rte_ring *ring, struct stats_log_record *records, uint32_t cap);

/* Copies text into a record, cut at the cap. */
static inline void stats_log_text(struct stats_log_record *r, struct base_span text)
{
    r->text_len = (uint16_t)(text.len < STATS_LOG_TEXT_CAP ? text.len : STATS_LOG_TEXT_CAP);
    if (r->text_len > 0)
        memcpy(r->text, text.p, r->text_len);
}

#endif
