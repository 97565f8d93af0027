/*
 * One report to a sender as it is written: what lib/mail is told about the recipients of a delivery
 * that are to be reported on (delivery_result.report), and the envelope that the report travels in.
 * No I/O and no rings: courier_bounce.h moves the bytes.
 *
 * Threads: the courier's. Memory: one malloc: 40 KiB for 100 recipients, and 170 bytes for each
 * other one that waits. The delivery is
 * borrowed until courier_report_free.
 */
#ifndef COURIER_REPORT_H
#define COURIER_REPORT_H

#include "courier.h"
#include "mail_dsn.h"

#define COURIER_ENVELOPE_MAX 1100

/* delivery_result.report: 1 + enum mail_dsn_kind. */
#define COURIER_REPORT_DELAYED (1 + MAIL_DSN_DELAYED)
/* Is not told of itself, but stays in the job for the others of the message that are. */
#define COURIER_REPORT_CARRIER (1 + MAIL_DSN_KIND_CNT)

/* Recipients beside those of the job that a warning of delay tells of: others of the same message
 * that wait, too, so that the sender is warned once for all of them. */
#define COURIER_REPORT_OTHERS_MAX 500

struct courier_report {
    struct mail_dsn dsn;
    struct mail_dsn_report report;
    char id[SPOOL_ID_TEXT_LEN + 1];
    char remote[NET_ADDR_TEXT_CAP];
    char hostname[MAIL_DSN_NAME_MAX + 1]; /* the settings may be other ones before the end */
    uint8_t sender[SMTP_ADDRESS_MAX];     /* with A-labels, where it is not the message's */
    uint32_t envelope_len;
    uint8_t envelope[COURIER_ENVELOPE_MAX];
    struct mail_dsn_recipient recipients[]; /* and behind them their texts */
};

/* What the sender is to be told of the delivery's recipient at position i, whose state is set. */
uint8_t courier_report_wanted(const struct delivery *d, uint32_t i);

/* True when recipients of the message that are not in the job wait, and are to be told of. */
bool courier_report_others(const struct courier *c, const struct delivery *d);

/* Makes the report with the given id; content: how much of the original goes back. Returns 0;
 * -EINVAL when nobody can be told (mail_dsn_open); -ENOMEM. */
int courier_report_open(struct courier_report **out, struct courier *c, const struct delivery *d,
                        const struct spool_id *id, enum mail_dsn_return content) BASE_WARN_UNUSED;
void courier_report_free(struct courier_report *r);

/* What the message asks for by RET; without it as with RET=FULL. With REQUIRETLS nothing of it goes
 * back, so that the report may go over any connection (RFC 8689 section 5). */
enum mail_dsn_return courier_report_content(const struct delivery *d);

#endif
