/*
 * The header of the PROXY protocol, versions 1 and 2 (HAProxy's doc/proxy-protocol.txt, called "the
 * specification" below): read at the start of a connection that a load balancer passes on, written
 * at the start of one to a next hop that wants it.
 *
 * Strict: what the specification does not allow is refused, and nothing is guessed; whether a peer
 * may send a header at all, and has to, is the caller's to know. Refused beyond it: datagram and
 * UNIX addresses, a header of more than PROXY_HEADER_MAX bytes, one of the known TLVs twice.
 *
 * Pure; any thread. No memory: the views in a header point into the bytes that were parsed.
 */
#ifndef PROXY_H
#define PROXY_H

#include "base_assert.h"
#include "base_bytes.h"
#include "net_addr.h"

#define PROXY_HEADER_MAX    2048 /* bytes; the specification's own uses need 536 */
#define PROXY_V1_MAX        107  /* with its CRLF: section 2.1 */
#define PROXY_AUTHORITY_MAX 255
#define PROXY_UNIQUE_ID_MAX 128

enum proxy_result { PROXY_OK, PROXY_MORE, PROXY_BAD };

/* Why a header is BAD. */
enum proxy_fault {
    PROXY_FAULT_NONE,
    PROXY_FAULT_SIGNATURE, /* the first bytes begin no header */
    PROXY_FAULT_LONG,      /* v1: no CRLF in PROXY_V1_MAX bytes; v2: over PROXY_HEADER_MAX */
    PROXY_FAULT_LINE,      /* v1: a lone CR or LF, another family or another number of fields */
    PROXY_FAULT_ADDRESS,   /* v1: an address or a port that is none, or of the other family */
    PROXY_FAULT_VERSION,   /* v2: not version 2 */
    PROXY_FAULT_COMMAND,   /* v2: neither LOCAL nor PROXY */
    PROXY_FAULT_FAMILY,    /* v2: not TCP over IPv4 or IPv6, nor unspecified */
    PROXY_FAULT_SHORT,     /* v2: shorter than its addresses */
    PROXY_FAULT_TLV,       /* v2: a TLV that goes beyond its parent, is too long, or comes twice */
    PROXY_FAULT_CRC32C,    /* v2: the checksum is another one */
    PROXY_FAULT_CNT
};

/* Static text: "the checksum does not match", ... */
const char *proxy_fault_text(enum proxy_fault fault);

/* What the proxy tells of the TLS that it has ended (section 2.2.6). Texts are the peer's bytes. */
struct proxy_ssl {
    bool present;
    bool tls;              /* the client spoke TLS with the proxy */
    bool verified;         /* it showed a certificate, which the proxy found good */
    struct base_span name; /* common name in that certificate */
    struct base_span version, cipher, key_alg, sig_alg;
};

struct proxy_header {
    uint8_t version;  /* 1 or 2 */
    bool local;       /* LOCAL: the proxy speaks for itself (a health check) */
    bool addressed;   /* there are addresses; not with LOCAL, UNKNOWN and UNSPEC: there the
                         connection's own ones count */
    bool implausible; /* no client comes from there: unspecified, loopback, multicast, reserved, or
                         IPv4 inside IPv6; no right may be given by such a source */
    struct net_endpoint source, destination; /* port 0 is allowed */
    struct base_span authority;              /* host name that the client asked for (SNI) */
    struct base_span unique_id, alpn;
    struct proxy_ssl ssl;
};

/*
 * Reads the header that in begins with. OK: *out is filled, *consumed is the header's length, and
 * what follows is untouched. MORE: all of in may be the beginning of one; call again with more,
 * from the first byte on; it comes to an end within PROXY_HEADER_MAX bytes. BAD: *fault says why,
 * as early as it can be known. fault is set to NONE otherwise; consumed to 0.
 */
enum proxy_result proxy_parse(struct proxy_header *out, size_t *consumed, enum proxy_fault *fault,
                              struct base_span in) BASE_WARN_UNUSED;

/* Whether a client may come from there: what a header's implausible tells of its source, IPv4
 * inside IPv6 excepted, which an address alone does not tell. */
bool proxy_plausible(const struct net_addr *a);

#define PROXY_WRITE_MAX PROXY_V1_MAX /* bytes that proxy_write may need; v2 takes less */

/*
 * Appends a header of the version (1 or 2) for a client at source that had connected to
 * destination; NULL for both: UNKNOWN, or LOCAL. Of two families, IPv4 is written as IPv6
 * (v4-mapped). Version 2 carries a CRC32C. Returns 0 or -ENOSPC, and out is untouched then.
 */
int proxy_write(struct base_buf *out, unsigned version, const struct net_endpoint *source,
                const struct net_endpoint *destination) BASE_WARN_UNUSED;

#endif
