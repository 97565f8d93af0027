/*
 * The log of the data path: a binary record goes into a ring; another thread makes text of it.
 *
 * An event is a row of STATS_LOG_EVENTS: level, and a format for its fields. A lane never formats,
 * never waits and never makes a system call.
 *
 * What says where a message went (stats_log_kept) is never lost:
 *
 * - A lane reserves room for the word on a message before the message is committed
 *   (stats_log_reserve); while there is none the client waits.
 * - A thread that has no such moment (the courier) sets keep: what the ring has no room for then
 *   waits in memory of its own, in order, and goes by stats_log_flush. It starts no new work while
 *   anything waits (stats_log_waits), which is what bounds that memory.
 *
 * Other records are dropped while the ring is three quarters full (TRACE: half full), and counted
 * by event (struct stats_log_lost): the log's writer tells of them in the log itself.
 *
 * What a record costs is the cache lines that change cores. Therefore the ring's elements are cells
 * of one line each, and a record takes as many as its text needs: one without text, eight at most.
 * They are published at once. Room is reserved for records of any length.
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
 * %m the two numbers, %e the second as "5.7.1" (5007001; 0: none), %s to %z the eight parts of the
 * text (escaped by the writer). Words are divided by single spaces. A field's name is what stands
 * before "=" in its word; %{name}s gives another, or one where there is none, and %{-name}s leaves
 * the word out of the text form. A word whose part the record does not have is left out, but for
 * %s.
 */
#define STATS_LOG_EVENTS(X)                                                                        \
    X(CONNECT, STATS_LOG_INFO, "connect", "client=%a lane=%n")                                     \
    X(CONNECT_PROXY, STATS_LOG_INFO, "connect", "client=%a lane=%n proxy=%s")                      \
    X(XCLIENT, STATS_LOG_INFO, "xclient", "client=%a %s")                                          \
    X(PROXY_REFUSED, STATS_LOG_WARN, "proxy_refused", "peer=%a reason=%s")                         \
    X(TLS, STATS_LOG_INFO, "tls", "client=%a %s")                                                  \
    X(TLS_RELAY, STATS_LOG_INFO, "tls", "relay=%a %s")                                             \
    X(TLS_FAILED, STATS_LOG_INFO, "tls_failed", "client=%a reason=%s")                             \
    X(AUTH, STATS_LOG_INFO, "auth", "client=%a method=%s login=%t")                                \
    X(AUTH_FAILED, STATS_LOG_WARN, "auth_failed",                                                  \
      "warning: unknown[%{client}a]: SASL %{method}s %{reason}t sasl_username=%{login}u")          \
    X(DISCONNECT, STATS_LOG_INFO, "disconnect",                                                    \
      "client=%a messages=%n reason=%s last=%t %{commands}u")                                      \
    X(REFUSED, STATS_LOG_INFO, "refused",                                                          \
      "id=%i client=%a code=%n dsn=%e reason=%s stage=%t from=<%u> to=<%v> helo=%w protocol=%x")   \
    X(PREGREET, STATS_LOG_INFO, "pregreet", "client=%a bytes=%n after_ms=%m data=%s")              \
    X(EXPANDED, STATS_LOG_INFO, "expanded", "id=%i client=%a recipients=%n line=%m to=%s")         \
    X(MESSAGE, STATS_LOG_INFO, "message", "id=%i client=%a message_id=%s login=%t method=%u")      \
    X(ACCEPTED, STATS_LOG_INFO, "accepted", "id=%i client=%a bytes=%n recipients=%m")              \
    X(QUEUED, STATS_LOG_INFO, "queued", "id=%i from=<%s> bytes=%n recipients=%m")                  \
    X(NOT_STORED, STATS_LOG_WARN, "not_stored", "id=%i client=%a reason=%s")                       \
    X(DELIVERED, STATS_LOG_INFO, "delivered",                                                      \
      "id=%i relay=%a code=%n to=<%t> host=%u source=%y tls=%v requiretls=%z %{dsn}w %{-delays}x " \
      "%{reply}s")                                                                                 \
    X(NEXT_HOST, STATS_LOG_INFO, "next_host",                                                      \
      "id=%i relay=%a code=%n host=%u source=%y tls=%v requiretls=%z %{dsn}w %{reply}s")           \
    X(DEFERRED, STATS_LOG_WARN, "deferred",                                                        \
      "id=%i relay=%a code=%n retry_s=%m to=<%t> host=%u source=%y tls=%v requiretls=%z %{dsn}w "  \
      "%{-delays}x %{reply}s")                                                                     \
    X(FAILED, STATS_LOG_WARN, "failed",                                                            \
      "id=%i relay=%a code=%n to=<%t> host=%u source=%y tls=%v requiretls=%z %{dsn}w %{-delays}x " \
      "%{reply}s")                                                                                 \
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
    X(GAP, STATS_LOG_WARN, "lost", "lines=%n kind=%s")                                             \
    X(TRACE, STATS_LOG_DEBUG, "trace", "peer=%a conn=%m id=%i %{layer}s: %{what}t")                \
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

/* Whether a record of the event may never be lost. */
bool stats_log_kept(enum stats_log_event event);

#define STATS_LOG_PART_CNT   8
#define STATS_LOG_TEXT_CAP   432
#define STATS_LOG_CELL_BYTES 64
#define STATS_LOG_CELLS_MAX  8

/* One record. In the ring: its first 64 bytes, then, unless they are all zero, the 16 from part on,
 * then its text. */
struct stats_log_record {
    uint64_t wall_ns;
    uint8_t id[16];      /* the message's id; all zero when there is none */
    uint8_t address[16]; /* IPv6 or v4-mapped; all zero when there is none */
    uint64_t n;
    uint32_t m;
    uint32_t conn;  /* the connection's number among those of today, from 1; 0: none */
    uint16_t event; /* enum stats_log_event */
    uint16_t port;  /* of address */
    uint16_t thread;
    uint16_t text_len; /* of all parts */
    /* Where the parts behind the first begin in text, plus 1; 0: the record does not have it. In
     * their order; what lies before the first of them is the first part. */
    uint16_t part[STATS_LOG_PART_CNT - 1];
    uint8_t cut;  /* some part did not fit */
    uint8_t path; /* the third part is a socket's path, and stands where the address would */
    uint8_t text[STATS_LOG_TEXT_CAP]; /* raw bytes, escaped by the writer */
};
base_static_assert(offsetof(struct stats_log_record, part) == STATS_LOG_CELL_BYTES, "one cell");
base_static_assert(sizeof(struct stats_log_record) == STATS_LOG_CELLS_MAX * STATS_LOG_CELL_BYTES,
                   "as many cells as it may take");

/* Records that were dropped, by event: since the start. One producer writes, the log's writer reads
 * (relaxed: each word is all there is to know). */
struct stats_log_lost {
    _Atomic uint64_t cnt[STATS_LOG_EVENT_CNT];
} BASE_CACHE_ALIGNED;

/* A producer's end. What it points to is borrowed for its whole life; the rest is the producer's,
 * and begins as zeros. */
struct stats_log {
    struct rte_ring *ring; /* elements of STATS_LOG_CELL_BYTES; NULL: records vanish */
    struct stats_block *stats;
    struct stats_log_lost *lost; /* NULL: dropped records are counted in stats alone */
    uint16_t thread;
    bool keep;         /* kept records wait in memory */
    bool unattended;   /* nobody may read the ring (simulations): kept ones are like others */
    uint32_t reserved; /* cells of the ring */
    uint32_t free_cnt; /* cells free when it was last looked at, less what was pushed since */
    /* What waits: an array of cap, cnt of them from at on. Owned; stats_log_free. */
    struct stats_log_record *waiting;
    uint32_t at, cnt, cap;
};

/* Copies the record into the ring, or deals with it as the head of this file says. Fills in thread;
 * the caller has set the rest. Never blocks. */
void stats_log_push(struct stats_log *log, struct stats_log_record *record);

/* Places for cnt kept records to come: true, and exactly one stats_log_push_reserved or
 * stats_log_unreserve follows for each; or false, there are not so many now. */
bool stats_log_reserve(struct stats_log *log, uint32_t cnt) BASE_WARN_UNUSED;
void stats_log_push_reserved(struct stats_log *log, struct stats_log_record *record);
void stats_log_unreserve(struct stats_log *log, uint32_t cnt);

/* So many records of any length have room now, beside those reserved. */
uint32_t stats_log_room(const struct stats_log *log);

/* With keep: moves what waits into the ring as far as it has room; whether some still waits. */
void stats_log_flush(struct stats_log *log);
static inline bool stats_log_waits(const struct stats_log *log)
{
    return log->cnt > 0;
}
void stats_log_free(struct stats_log *log);

/* The consumer's side. What lies in the ring, in cells: of whole records. */
uint32_t stats_log_cells(const struct rte_ring *ring);

/* Takes up to cap records out, oldest first, and of the first *cells cells alone, from which it
 * takes away what they had. Returns how many. Of their text text_len bytes are set. */
uint32_t stats_log_pop_cells(struct rte_ring *ring, struct stats_log_record *records, uint32_t cap,
                             uint32_t *cells);

/* Likewise of all. */
uint32_t stats_log_pop(struct rte_ring *ring, struct stats_log_record *records, uint32_t cap);

/* A record without fields: its text stays as it is, none of it counts. */
static inline void stats_log_begin(struct stats_log_record *r, enum stats_log_event event,
                                   uint64_t wall_ns)
{
    memset(r, 0, offsetof(struct stats_log_record, text));
    r->event = (uint16_t)event;
    r->wall_ns = wall_ns;
}

/* Copies a record, and of its text what counts: most have a quarter of the cap. */
static inline void stats_log_copy(struct stats_log_record *to, const struct stats_log_record *from)
{
    memcpy(to, from, offsetof(struct stats_log_record, text) + from->text_len);
}

/* Sets the first part, cut at the cap; before any other. */
static inline void stats_log_text(struct stats_log_record *r, struct base_span text)
{
    r->cut |= text.len > STATS_LOG_TEXT_CAP;
    r->text_len = (uint16_t)(text.len < STATS_LOG_TEXT_CAP ? text.len : STATS_LOG_TEXT_CAP);
    if (r->text_len > 0)
        memcpy(r->text, text.p, r->text_len);
}

/* Sets part 1 to STATS_LOG_PART_CNT - 1 (%t to %z), cut at most bytes and at the cap; in rising
 * order, each at most once. */
static inline void stats_log_part(struct stats_log_record *r, uint32_t part, struct base_span text,
                                  size_t most)
{
    size_t room = STATS_LOG_TEXT_CAP - (size_t)r->text_len;
    size_t len = text.len < most ? text.len : most;

    base_assert(part > 0 && part < STATS_LOG_PART_CNT);
    len = len < room ? len : room;
    r->cut |= len < text.len;
    r->part[part - 1] = (uint16_t)(r->text_len + 1);
    if (len > 0)
        memcpy(r->text + r->text_len, text.p, len);
    r->text_len = (uint16_t)(r->text_len + len);
}

/* A part's bytes; p is NULL where the record does not have it (part 0 it always has). The record is
 * well-formed. */
static inline struct base_span stats_log_part_of(const struct stats_log_record *r, uint32_t part)
{
    size_t from = 0, to = r->text_len;

    if (part > 0 && r->part[part - 1] == 0)
        return base_span_of(NULL, 0);
    if (part > 0)
        from = (size_t)r->part[part - 1] - 1;
    for (uint32_t i = part; i < STATS_LOG_PART_CNT - 1; i++)
        if (r->part[i] != 0) {
            to = (size_t)r->part[i] - 1;
            break;
        }
    return base_span_of(r->text + from, to - from);
}

#endif
