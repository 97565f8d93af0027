/* Shared by the files of lib/proxy. */
#ifndef PROXY_INTERNAL_H
#define PROXY_INTERNAL_H

#include "proxy.h"

#define PROXY_V2_SIGNATURE     "\r\n\r\n\0\r\nQUIT\n"
#define PROXY_V2_SIGNATURE_LEN 12
#define PROXY_V2_FIXED_LEN     16 /* signature, version and command, family, length */

enum proxy_v2_family {
    PROXY_V2_UNSPEC = 0x00,
    PROXY_V2_TCP4 = 0x11,
    PROXY_V2_TCP6 = 0x21,
};
#define PROXY_V2_ADDRESS4_LEN 12 /* two addresses, two ports */
#define PROXY_V2_ADDRESS6_LEN 36

enum proxy_tlv {
    PROXY_TLV_ALPN = 0x01,
    PROXY_TLV_AUTHORITY = 0x02,
    PROXY_TLV_CRC32C = 0x03,
    PROXY_TLV_NOOP = 0x04,
    PROXY_TLV_UNIQUE_ID = 0x05,
    PROXY_TLV_SSL = 0x20,
    PROXY_TLV_SSL_VERSION = 0x21,
    PROXY_TLV_SSL_NAME = 0x22,
    PROXY_TLV_SSL_CIPHER = 0x23,
    PROXY_TLV_SSL_SIG_ALG = 0x24,
    PROXY_TLV_SSL_KEY_ALG = 0x25,
    PROXY_TLV_NETNS = 0x30,
};

/* Sets *fault and returns BAD. */
static inline enum proxy_result proxy_bad(enum proxy_fault *fault, enum proxy_fault why)
{
    *fault = why;
    return PROXY_BAD;
}

/* Both addresses are there; sees whether the source is plausible. six: they were given as IPv6. */
void proxy_addressed(struct proxy_header *h, bool six);

/* in begins with the version's signature. */
enum proxy_result proxy_v1_parse(struct proxy_header *out, size_t *consumed,
                                 enum proxy_fault *fault, struct base_span in);
enum proxy_result proxy_v2_parse(struct proxy_header *out, size_t *consumed,
                                 enum proxy_fault *fault, struct base_span in);

#endif
