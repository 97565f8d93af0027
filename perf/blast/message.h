/*
 * The messages of a load. All have the same header section but for the first field, which names the
 * message (perf/ledger.h), and their bodies are pieces of one long text that begin at different
 * lines of it, so that a body that got under another header is told by its checksum. No line
 * begins with a dot, and each ends in CRLF: what is sent is the same by DATA and by BDAT.
 *
 * Threads: made by main's; then anyone reads. Memory: its own, from message_make to message_free.
 */
#ifndef MESSAGE_H
#define MESSAGE_H

#include "ledger.h"
#include "options.h"

#define MESSAGE_HEAD_MAX    1024 /* the header section, its empty line included */
#define MESSAGE_VARIANT_CNT 64

struct message {
    uint64_t run;
    uint8_t *text; /* lines that tell their number */
    uint64_t body_bytes;
    uint64_t bytes;       /* of each whole message */
    uint32_t head_len;    /* of head, LEDGER_FIELD_BYTES included */
    uint32_t variant_cnt; /* 1 where the text is so long that checksums would take a while */
    uint32_t crc32c[MESSAGE_VARIANT_CNT];
    uint8_t head[MESSAGE_HEAD_MAX]; /* the first field is left open */
};

/* Returns 0, or -ENOMEM. */
int message_make(struct message *m, const struct options *o, uint64_t run) BASE_WARN_UNUSED;
void message_free(struct message *m);

/* The bytes of message number from at < m->bytes on, as far as they lie together; scratch has room
 * for MESSAGE_HEAD_MAX and is borrowed as long as they are. */
struct base_span message_piece(const struct message *m, uint64_t number, uint64_t at,
                               uint8_t *scratch);

#endif
