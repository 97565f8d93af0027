/*
 * Reports to senders in the simulated world: next hops that refuse some recipients of a message for
 * good, or put them off for long, or until the gateway gives up; and the ledger of what the
 * messages' senders were told. A sender is an address of its own for each message; reports come
 * back through the same next hop, and some senders are gone, so that there the report fails, too.
 */
#ifndef SIM_BOUNCE_H
#define SIM_BOUNCE_H

#include "base_rand.h"
#include "base_time.h"
#include "smtp_params.h"

#define BOUNCE_RCPT_MAX    4
#define BOUNCE_LIFETIME_NS (150 * BASE_NS_S)
#define BOUNCE_WARN_NS     (20 * BASE_NS_S)
#define BOUNCE_QUOTE_BYTES 8192

enum bounce_fate {
    BOUNCE_TAKE,
    BOUNCE_REFUSE, /* 550 */
    BOUNCE_LATE,   /* 451 for longer than a warning takes */
    BOUNCE_NEVER,  /* 451 for ever */
    BOUNCE_FATE_CNT
};

struct bounce_ledger {
    enum bounce_fate fate[BOUNCE_RCPT_MAX];
    uint64_t since_ns;    /* when the next hop heard of the message first; 0: not yet */
    bool sender_gone;     /* its next hop refuses what is for it */
    uint32_t refused_cnt; /* reports that it refused so */
    char id[16][64];      /* Message-IDs of different reports */
    uint32_t id_cnt;
    uint32_t failed[BOUNCE_RCPT_MAX], delayed[BOUNCE_RCPT_MAX], relayed[BOUNCE_RCPT_MAX];
};

/* What a ledger is checked against. */
struct bounce_message {
    const uint8_t *bytes; /* of the message */
    size_t len;
    uint32_t number;
    uint32_t rcpt_cnt;
    const uint32_t *delivered; /* times, by recipient */
    const uint8_t *notify;     /* by recipient, bits of enum smtp_notify */
    uint8_t ret;               /* enum smtp_ret */
    bool smtputf8;
    bool dsn; /* the next hop offers DSN */
};

void bounce_fates(struct bounce_ledger *l, struct base_rand *rand);

/* 250, 451 or 550 to RCPT of recipient r. */
unsigned bounce_answer(struct bounce_ledger *l, uint32_t r, uint64_t now_ns);

/* A report has come. Returns NULL, or what is wrong with it. text[len] is 0. */
const char *bounce_take(struct bounce_ledger *l, const struct bounce_message *m, const char *text,
                        size_t len, const struct smtp_mail_params *mail,
                        const char *const address[BOUNCE_RCPT_MAX]);

/* True when every recipient has its last word, as far as the world hears it. */
bool bounce_settled(const struct bounce_ledger *l, const struct bounce_message *m);

/* At the end. extra: reports beyond one that may tell of the same; exact: none was lost to an error
 * of the disk; timely: whoever waited long enough must have been told of the delay. Returns NULL or
 * what is wrong. */
const char *bounce_check(const struct bounce_ledger *l, const struct bounce_message *m,
                         uint32_t extra, bool exact, bool timely);

#endif
