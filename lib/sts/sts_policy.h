/*
 * A policy of MTA-STS as its file says it (RFC 8461 section 3.2): lines "key: value", ended by CRLF
 * or LF. Of a key that comes twice the first counts, but for mx; unknown keys are passed over.
 *
 * Threads: pure; any. Memory: the patterns lie in the caller's room, one behind the other, each
 * ended by NUL.
 */
#ifndef STS_POLICY_H
#define STS_POLICY_H

#include "dns_name.h"

#define STS_MAX_AGE_MAX 31557600 /* seconds */
#define STS_POLICY_MAX  65536    /* bytes of the file */
#define STS_MX_MAX      128      /* patterns; more are none that anybody meant */

enum sts_mode { STS_MODE_NONE, STS_MODE_TESTING, STS_MODE_ENFORCE, STS_MODE_CNT };
const char *sts_mode_name(enum sts_mode mode);

struct sts_policy {
    uint8_t mode; /* enum sts_mode */
    uint32_t max_age_s, mx_cnt;
    const char *mx; /* "mx.example.org", "*.example.org"; A-labels in lower case */
    uint32_t mx_len;
};

/* room: as many bytes as the text has, and one more, always do. Returns 0, or -EINVAL with the
 * reason in *why, static text. */
int sts_policy_parse(struct sts_policy *out, struct base_span text, char *room, size_t room_cap,
                     const char **why) BASE_WARN_UNUSED;

/* The next pattern: *at is 0 first. NULL behind the last. */
const char *sts_policy_next(const struct sts_policy *p, size_t *at);

/* The patterns name this host, in lower case (RFC 8461 section 4.1): an asterisk stands for exactly
 * one label. */
bool sts_policy_match(const struct sts_policy *p, const char *host);

/* "*.a.example", "a.example": taken as a pattern. */
bool sts_pattern_valid(struct base_span text);

#endif
