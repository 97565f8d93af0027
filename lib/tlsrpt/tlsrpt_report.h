/*
 * One domain's report of one day: the JSON of RFC 8460 section 4.4, as I-JSON (RFC 7493), and its
 * gzip form (section 5.2). The same counts make the same bytes, so that a report that is sent
 * again, as nobody knows whether it has come through, is the same one.
 *
 * Left out: additional-information, receiving-mx-helo.
 *
 * Threads: pure. Memory: the texts' (tlsrpt_text.h).
 */
#ifndef TLSRPT_REPORT_H
#define TLSRPT_REPORT_H

#include "tlsrpt_counts.h"

struct tlsrpt_about {
    const char *organization, *contact; /* UTF-8 */
    const char *hostname;               /* of the gateway: makes ids its own */
};

#define TLSRPT_ID_CAP 544 /* of a report-id with its NUL */

/* "2026-11-22.example.org@mx.example.com": of the day, the domain and us, so that it is the same
 * after any restart. */
void tlsrpt_report_id(char out[TLSRPT_ID_CAP], uint32_t day, struct base_span domain,
                      const char *hostname);

/* Appends the report. */
void tlsrpt_report_json(struct tlsrpt_text *out, const struct tlsrpt_domain *d,
                        const struct tlsrpt_about *about, const char *id);

/* Appends the gzip form of in. Returns 0 or -ENOMEM. */
int tlsrpt_gzip(struct tlsrpt_text *out, struct base_span in) BASE_WARN_UNUSED;

/* Appends a JSON string with its quotes (base_json.h). */
void tlsrpt_put_json(struct tlsrpt_text *out, struct base_span s);
/* "2026-11-22" of a day since 1970. */
#define TLSRPT_DATE_CAP 16
void tlsrpt_date(char out[TLSRPT_DATE_CAP], uint32_t day);

#endif
