/*
 * The messages between the gateway and its resolver process, one a datagram (SOCK_SEQPACKET). Both
 * sides read what the other writes as a stranger's: the one that parses the DNS may have been taken
 * over.
 *
 *   gateway -> process   SET key text (any number), START, then ASK id question
 *   process -> gateway   READY or REFUSED text, then ANSWER id answer: one to each ASK
 *
 * A message is a head of 8 bytes (magic, version, kind, id) and a body; numbers are little endian.
 * The format is no promise: both ends are the same program.
 *
 * Threads: pure; any. Memory: texts of a message that was read point into the input.
 */
#ifndef DNS_WIRE_H
#define DNS_WIRE_H

#include "dns.h"

#define DNS_WIRE_TEXT_MAX  4096
#define DNS_WIRE_SMALL_MAX 4352                  /* bytes of any message but ANSWER */
#define DNS_WIRE_MAX       (DNS_DATA_MAX + 1024) /* of any message */

enum dns_wire_kind {
    DNS_WIRE_SET = 1,
    DNS_WIRE_START,
    DNS_WIRE_ASK,
    DNS_WIRE_READY,
    DNS_WIRE_REFUSED,
    DNS_WIRE_ANSWER,
};

enum dns_wire_key {
    DNS_WIRE_SERVER =
        1,            /* "192.0.2.53" or "192.0.2.53@5353": questions go there; none: recursion */
    DNS_WIRE_STUB,    /* "zone 192.0.2.53@5353" */
    DNS_WIRE_ANCHOR,  /* a record */
    DNS_WIRE_CACHE,   /* bytes */
    DNS_WIRE_LOOKUPS, /* questions at a time */
    DNS_WIRE_KEY_END
};

struct dns_wire_message {
    uint8_t kind; /* enum dns_wire_kind */
    uint8_t key;  /* SET: enum dns_wire_key */
    uint32_t id;  /* ASK, ANSWER */
    /* SET: the value; REFUSED: why. Printable ASCII, no NUL at its end. */
    struct base_span text;
    /* ASK */
    uint16_t type;
    uint32_t timeout_ms;
    char name[DNS_NAME_CAP];
    /* ANSWER */
    uint8_t status, rcode;
    bool secure;
    uint32_t ttl_s, record_cnt;
    struct base_span data; /* checked by dns_records_valid */
    char canonical[DNS_NAME_CAP];
    char why[DNS_WHY_CAP];
};

/* Each appends a message. Returns 0, or -EINVAL when it does not fit into the limits or out. */
int dns_wire_put_set(struct base_buf *out, enum dns_wire_key key,
                     struct base_span text) BASE_WARN_UNUSED;
int dns_wire_put_start(struct base_buf *out) BASE_WARN_UNUSED;
int dns_wire_put_ask(struct base_buf *out, uint32_t id, const char *name, uint16_t type,
                     uint32_t timeout_ms) BASE_WARN_UNUSED;
int dns_wire_put_ready(struct base_buf *out) BASE_WARN_UNUSED;
int dns_wire_put_refused(struct base_buf *out, const char *why) BASE_WARN_UNUSED;
int dns_wire_put_answer(struct base_buf *out, uint32_t id,
                        const struct dns_answer *a) BASE_WARN_UNUSED;

/* Reads one message, the whole of in. Returns 0, or -EINVAL: anything in it is not as it must be.
 */
int dns_wire_read(struct dns_wire_message *m, struct base_span in) BASE_WARN_UNUSED;

/* Copies an ANSWER's content; data that has no room there makes it DNS_FAILED. */
void dns_wire_answer(const struct dns_wire_message *m, struct dns_answer *a);

#endif
