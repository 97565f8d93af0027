/*
 * The messages between the gateway and the process that makes its HTTPS requests, one a datagram
 * (SOCK_SEQPACKET). Both sides read what the other writes as a stranger's: the one that parses HTTP
 * and certificates may have been taken over.
 *
 *   gateway -> process   START, with the descriptor of the authorities' file; then ASK id request
 *   process -> gateway   READY or REFUSED text, then ANSWER id answer: one to each ASK
 *
 * A message is a head of 8 bytes (magic, version, kind, id) and a body; numbers are little endian.
 * The format is no promise: both ends are the same program.
 *
 * Threads: pure; any. Memory: spans of a message that was read point into the input.
 */
#ifndef HTTPS_WIRE_H
#define HTTPS_WIRE_H

#include "https_request.h"

#define HTTPS_WIRE_TEXT_MAX 512
#define HTTPS_WIRE_MAX      (HTTPS_POST_MAX + 4096) /* of any message */

enum https_wire_kind {
    HTTPS_WIRE_START = 1,
    HTTPS_WIRE_ASK,
    HTTPS_WIRE_READY,
    HTTPS_WIRE_REFUSED,
    HTTPS_WIRE_ANSWER,
};

struct https_wire_message {
    uint8_t kind;          /* enum https_wire_kind */
    uint32_t id;           /* ASK, ANSWER */
    struct base_span text; /* REFUSED: why. Printable ASCII, no NUL at its end */
    /* ASK */
    uint8_t method;
    bool any_certificate;
    uint16_t port;
    uint32_t timeout_ms, room_cap;
    char host[DNS_NAME_CAP];
    char path[HTTPS_PATH_CAP];
    struct net_addr address[HTTPS_ADDRESS_MAX];
    uint32_t address_cnt;
    /* ANSWER */
    uint8_t result;
    uint16_t status;
    char why[HTTPS_WHY_CAP];
    /* Both: the Content-Type and the body. */
    char type[HTTPS_TYPE_CAP];
    struct base_span body;
};

/* Each appends a message. Returns 0, or -EINVAL when it does not fit into the limits or out. */
int https_wire_put_start(struct base_buf *out) BASE_WARN_UNUSED;
int https_wire_put_ask(struct base_buf *out, uint32_t id, const struct https_request *r,
                       uint32_t timeout_ms) BASE_WARN_UNUSED;
int https_wire_put_ready(struct base_buf *out) BASE_WARN_UNUSED;
int https_wire_put_refused(struct base_buf *out, const char *why) BASE_WARN_UNUSED;
/* Of m: id, result, status, type, why, body. In texts that came from outside, what is not printable
 * becomes '?'. */
int https_wire_put_answer(struct base_buf *out,
                          const struct https_wire_message *m) BASE_WARN_UNUSED;

/* Reads one message, the whole of in. Returns 0, or -EINVAL: anything in it is not as it must be.
 */
int https_wire_read(struct https_wire_message *m, struct base_span in) BASE_WARN_UNUSED;

/* Copies an ANSWER's content; a body that has no room there makes it HTTPS_TOO_LARGE. */
void https_wire_answer(const struct https_wire_message *m, struct https_request *r);

#endif
