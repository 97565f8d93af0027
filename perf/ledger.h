/*
 * What became of each message of a load: the generator (blast) writes which it was told are
 * accepted, the next hop (sink) writes which it has seen, and a comparison tells what was lost,
 * doubled or damaged between the two. Each writes a file of its own, of the same form.
 *
 * Each message is one of a run, by its number, and carries that in its first header field, whose
 * width is fixed, so that it can be written in place:
 *
 *     X-Blast-Id: 0123456789abcdef-00000000002a-89abcdef-0000001000<CRLF>
 *                 run              number       CRC32C   bytes        all in hex, lower case
 *
 * CRC32C and bytes are of the body: what comes behind the first empty line, up to and with the last
 * CRLF, without stuffed dots. Fields may be added by those on the way, the body is as it was sent.
 *
 * A message has copies, one for each recipient: recipient K's mailbox ends its local part in K
 * ("sink12@example.org"; without digits it is 0). The file has a byte for each copy of each number,
 * in this order behind a page with struct ledger_head. It is mapped and shared, so that it holds
 * after a crash what was known then, and it is sparse.
 *
 * Threads: marks by any number of threads and processes at a time; open and close by one. Memory:
 * a mapping of the whole file. Errors: negative errno.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include "base_assert.h"
#include "base_bytes.h"

#define LEDGER_MAGIC         "SLUICELG"
#define LEDGER_VERSION       1
#define LEDGER_HEAD_BYTES    4096
#define LEDGER_RECIPIENT_MAX 100
#define LEDGER_ENTRY_MAX     (UINT64_C(1) << 36) /* bytes of a file behind its head */

/* ---- the field ---- */

#define LEDGER_FIELD_NAME  "X-Blast-Id: "
#define LEDGER_FIELD_BYTES (12 + 16 + 1 + 12 + 1 + 8 + 1 + 10 + 2) /* with its CRLF */
#define LEDGER_NUMBER_MAX  ((UINT64_C(1) << 48) - 1)
#define LEDGER_BODY_MAX    ((UINT64_C(1) << 40) - 1)

struct ledger_id {
    uint64_t run;
    uint64_t number; /* 0..LEDGER_NUMBER_MAX */
    uint32_t body_crc32c;
    uint64_t body_bytes; /* 0..LEDGER_BODY_MAX */
};

/* Writes the whole field, LEDGER_FIELD_BYTES, without a NUL. */
void ledger_field_write(uint8_t *p, const struct ledger_id *id);

/* line: one line of a header section, with or without its CRLF. False: it is another field, or not
 * whole; the name is compared without case, the rest is strict. */
bool ledger_field_parse(struct base_span line, struct ledger_id *out) BASE_WARN_UNUSED;

/* K of "sink12@example.org", or 0; what is LEDGER_RECIPIENT_MAX or more gives that. */
uint32_t ledger_recipient(struct base_span mailbox);

/* ---- a file ---- */

enum ledger_kind { LEDGER_SENT, LEDGER_SEEN };

/* A copy's byte in what the generator writes. */
enum ledger_state {
    LEDGER_UNSENT,  /* its end of data has not left: nobody may ever see it */
    LEDGER_UNKNOWN, /* it has, and no reply came: it may be seen or not */
    LEDGER_ACKED,   /* 250: it must be seen */
    LEDGER_REFUSED, /* 4xx or 5xx, behind the data or before: the sender has it still */
    LEDGER_STATE_CNT
};

/* In what the next hop writes: how often it has accepted it, up to LEDGER_SEEN_MAX, and: */
#define LEDGER_SEEN_MAX 0x7f
#define LEDGER_DAMAGED  0x80 /* once at least its body was not as sent */

struct ledger_head {
    char magic[8];
    uint32_t version;
    uint32_t kind;     /* enum ledger_kind */
    uint64_t run;      /* of a LEDGER_SEEN: 0 until the first message */
    uint64_t capacity; /* messages: numbers 0..capacity-1 */
    uint32_t recipient_cnt;
    uint32_t reserved;
    uint64_t message_bytes; /* 0: not known */
};

base_static_assert(sizeof(struct ledger_head) == 48, "of all architectures");

struct ledger {
    struct ledger_head *head; /* the mapping; NULL: closed */
    _Atomic uint8_t *entry;
    uint64_t entry_cnt;
};

struct ledger_settings {
    enum ledger_kind kind;
    uint64_t run;           /* of a LEDGER_SEEN: 0 takes that of the first message seen */
    uint64_t capacity;      /* 1 or more */
    uint32_t recipient_cnt; /* 1..LEDGER_RECIPIENT_MAX */
    uint64_t message_bytes;
};

/* Makes the file anew, empty. Returns 0, or -errno (-EINVAL: settings). */
int ledger_create(struct ledger *l, const char *path,
                  const struct ledger_settings *settings) BASE_WARN_UNUSED;

/* A file that is there, to be read and written on. -EINVAL: it is none, or not whole. */
int ledger_open(struct ledger *l, const char *path) BASE_WARN_UNUSED;

void ledger_close(struct ledger *l);

/* A copy of a LEDGER_SENT. False: beyond the capacity. */
bool ledger_mark(struct ledger *l, uint64_t number, uint32_t recipient, enum ledger_state state);

/* A copy was accepted by the next hop: call it before the 250 is sent. whole: its body's CRC32C and
 * length are those of the field. False: of another run, or beyond the capacity: nothing is
 * marked. */
bool ledger_see(struct ledger *l, const struct ledger_id *id, uint32_t recipient, bool whole);

/* ---- the comparison ---- */

struct ledger_result {
    uint64_t acked, unknown, refused; /* copies in what was sent */
    uint64_t seen;                    /* copies that were seen, once or more */
    uint64_t lost;                    /* acked, and not seen */
    uint64_t doubled;                 /* seen more than once */
    uint64_t damaged;
    uint64_t unknown_seen; /* unknown, and seen: right, and so is unknown and not seen */
    uint64_t refused_seen; /* refused, and seen: the sender sends it again */
    uint64_t unsent_seen;  /* seen without its end of data having been sent */
    uint64_t first_lost;   /* number of the first that was lost, UINT64_MAX: none */
};

/* Whatever one file has beyond the other's end counts as unsent or unseen. Returns 0, or -EINVAL:
 * they are not a LEDGER_SENT and a LEDGER_SEEN of the same run (or of nothing seen) with as many
 * recipients. */
int ledger_compare(const struct ledger *sent, const struct ledger *seen,
                   struct ledger_result *out) BASE_WARN_UNUSED;

#endif
