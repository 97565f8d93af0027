#include "message.h"

#include "base_crc32c.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define LINE_BYTES  64
#define VARIANT_MAX (UINT64_C(4) << 20) /* larger bodies have one variant */

/* The common part of the header section, with so many bytes more in its subject. Returns its
 * length. */
static uint32_t write_head(struct message *m, const struct options *o, uint32_t more)
{
    int n = snprintf((char *)m->head + LEDGER_FIELD_BYTES, sizeof(m->head) - LEDGER_FIELD_BYTES,
                     "From: <%s>\r\nTo: <%s>\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n"
                     "Subject: blast %0*d\r\n\r\n",
                     o->sender, o->recipient, (int)more + 1, 0);

    base_assert(n > 0 && (size_t)n < sizeof(m->head) - LEDGER_FIELD_BYTES); /* they are bounded */
    return LEDGER_FIELD_BYTES + (uint32_t)n;
}

/* The subject is filled up so that the body can be whole lines. */
static void make_head(struct message *m, const struct options *o)
{
    uint32_t least = write_head(m, o, 0);
    uint64_t rest = o->size_bytes > least ? o->size_bytes - least : 0;

    m->head_len = write_head(m, o, (uint32_t)(rest % LINE_BYTES));
    m->body_bytes = rest > LINE_BYTES ? rest - rest % LINE_BYTES : LINE_BYTES;
    m->bytes = m->head_len + m->body_bytes;
}

int message_make(struct message *m, const struct options *o, uint64_t run)
{
    char line[LINE_BYTES + 16];

    message_free(m);
    m->run = run;
    make_head(m, o);
    m->variant_cnt = m->body_bytes <= VARIANT_MAX ? MESSAGE_VARIANT_CNT : 1;
    uint64_t line_cnt = m->body_bytes / LINE_BYTES + m->variant_cnt;
    m->text = malloc(line_cnt * LINE_BYTES);
    if (m->text == NULL)
        return -ENOMEM;
    for (uint64_t i = 0; i < line_cnt; i++) {
        snprintf(line, sizeof(line),
                 "%010lu the quick brown fox jumps over the lazy dog 1234567\r\n",
                 (unsigned long)i);
        memcpy(m->text + i * LINE_BYTES, line, LINE_BYTES);
    }
    for (uint32_t v = 0; v < m->variant_cnt; v++)
        m->crc32c[v] = base_crc32c(0, m->text + (uint64_t)v * LINE_BYTES, m->body_bytes);
    return 0;
}

void message_free(struct message *m)
{
    free(m->text);
    *m = (struct message){0};
}

struct base_span message_piece(const struct message *m, uint64_t number, uint64_t at,
                               uint8_t *scratch)
{
    uint32_t variant = (uint32_t)(number % m->variant_cnt);

    if (at >= m->head_len) {
        at -= m->head_len;
        return base_span_of(m->text + (uint64_t)variant * LINE_BYTES + at, m->body_bytes - at);
    }
    struct ledger_id id = {.run = m->run,
                           .number = number,
                           .body_crc32c = m->crc32c[variant],
                           .body_bytes = m->body_bytes};
    ledger_field_write(scratch, &id);
    memcpy(scratch + LEDGER_FIELD_BYTES, m->head + LEDGER_FIELD_BYTES,
           m->head_len - LEDGER_FIELD_BYTES);
    return base_span_of(scratch + at, m->head_len - at);
}
