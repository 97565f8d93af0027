#include "ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_BYTES (sizeof(LEDGER_FIELD_NAME) - 1)

/* ---- the field ---- */

static uint8_t *hex(uint8_t *p, uint64_t value, int digits)
{
    for (int i = digits; i-- > 0; value >>= 4)
        p[i] = (uint8_t) "0123456789abcdef"[value & 15];
    return p + digits;
}

void ledger_field_write(uint8_t *p, const struct ledger_id *id)
{
    base_assert(id->number <= LEDGER_NUMBER_MAX && id->body_bytes <= LEDGER_BODY_MAX);
    memcpy(p, LEDGER_FIELD_NAME, NAME_BYTES);
    p = hex(p + NAME_BYTES, id->run, 16);
    *p++ = '-';
    p = hex(p, id->number, 12);
    *p++ = '-';
    p = hex(p, id->body_crc32c, 8);
    *p++ = '-';
    p = hex(p, id->body_bytes, 10);
    memcpy(p, "\r\n", 2);
}

/* digits of hex and the byte behind them. */
static bool unhex(const uint8_t **p, int digits, uint8_t behind, uint64_t *out)
{
    uint64_t value = 0;

    for (int i = 0; i < digits; i++) {
        uint8_t c = *(*p)++;
        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *out = value;
    return behind == 0 || *(*p)++ == behind;
}

bool ledger_field_parse(struct base_span line, struct ledger_id *out)
{
    uint64_t crc32c = 0;

    if (line.len == LEDGER_FIELD_BYTES && memcmp(line.p + line.len - 2, "\r\n", 2) == 0)
        line.len -= 2;
    if (line.len != LEDGER_FIELD_BYTES - 2 ||
        !base_span_caseeq(base_span_of(line.p, NAME_BYTES), base_span_str(LEDGER_FIELD_NAME)))
        return false;
    const uint8_t *p = line.p + NAME_BYTES;
    if (!unhex(&p, 16, '-', &out->run) || !unhex(&p, 12, '-', &out->number) ||
        !unhex(&p, 8, '-', &crc32c) || !unhex(&p, 10, 0, &out->body_bytes))
        return false;
    out->body_crc32c = (uint32_t)crc32c;
    return true;
}

uint32_t ledger_recipient(struct base_span mailbox)
{
    size_t end = mailbox.len, from;
    uint32_t value = 0;

    for (size_t i = 0; i < mailbox.len; i++)
        if (mailbox.p[i] == '@')
            end = i; /* the last */
    for (from = end; from > 0 && mailbox.p[from - 1] >= '0' && mailbox.p[from - 1] <= '9';)
        from--;
    for (size_t i = from; i < end && value < LEDGER_RECIPIENT_MAX; i++)
        value = value * 10 + (uint32_t)(mailbox.p[i] - '0');
    return value < LEDGER_RECIPIENT_MAX ? value : LEDGER_RECIPIENT_MAX;
}

/* ---- a file ---- */

static bool is_sound(uint64_t capacity, uint32_t recipient_cnt)
{
    return capacity >= 1 && recipient_cnt >= 1 && recipient_cnt <= LEDGER_RECIPIENT_MAX &&
           capacity <= LEDGER_ENTRY_MAX / recipient_cnt;
}

static int map(struct ledger *l, int fd, uint64_t entry_cnt)
{
    void *p = mmap(NULL, LEDGER_HEAD_BYTES + entry_cnt, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (p == MAP_FAILED)
        return -errno;
    l->head = p;
    l->entry = (_Atomic uint8_t *)p + LEDGER_HEAD_BYTES;
    l->entry_cnt = entry_cnt;
    return 0;
}

int ledger_create(struct ledger *l, const char *path, const struct ledger_settings *settings)
{
    *l = (struct ledger){0};
    if (!is_sound(settings->capacity, settings->recipient_cnt))
        return -EINVAL;
    uint64_t entry_cnt = settings->capacity * settings->recipient_cnt;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return -errno;
    int error =
        ftruncate(fd, (off_t)(LEDGER_HEAD_BYTES + entry_cnt)) != 0 ? -errno : map(l, fd, entry_cnt);
    close(fd);
    if (error != 0)
        return error;
    *l->head = (struct ledger_head){.version = LEDGER_VERSION,
                                    .kind = settings->kind,
                                    .run = settings->run,
                                    .capacity = settings->capacity,
                                    .recipient_cnt = settings->recipient_cnt,
                                    .message_bytes = settings->message_bytes};
    memcpy(l->head->magic, LEDGER_MAGIC, sizeof(l->head->magic));
    return 0;
}

int ledger_open(struct ledger *l, const char *path)
{
    struct ledger_head head;
    struct stat st;
    int error = -EINVAL, fd = open(path, O_RDWR | O_CLOEXEC);

    *l = (struct ledger){0};
    if (fd < 0)
        return -errno;
    if (fstat(fd, &st) == 0 && pread(fd, &head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
        memcmp(head.magic, LEDGER_MAGIC, sizeof(head.magic)) == 0 &&
        head.version == LEDGER_VERSION && head.kind <= LEDGER_SEEN &&
        is_sound(head.capacity, head.recipient_cnt) &&
        (uint64_t)st.st_size == LEDGER_HEAD_BYTES + head.capacity * head.recipient_cnt)
        error = map(l, fd, head.capacity * head.recipient_cnt);
    close(fd);
    return error;
}

void ledger_close(struct ledger *l)
{
    if (l->head != NULL)
        munmap(l->head, LEDGER_HEAD_BYTES + l->entry_cnt);
    *l = (struct ledger){0};
}

static _Atomic uint8_t *entry_of(const struct ledger *l, uint64_t number, uint32_t recipient)
{
    const struct ledger_head *h = l->head;

    if (number >= h->capacity || recipient >= h->recipient_cnt)
        return NULL;
    return &l->entry[number * h->recipient_cnt + recipient];
}

bool ledger_mark(struct ledger *l, uint64_t number, uint32_t recipient, enum ledger_state state)
{
    _Atomic uint8_t *e = entry_of(l, number, recipient);

    if (e == NULL)
        return false;
    atomic_store_explicit(e, (uint8_t)state, memory_order_relaxed);
    return true;
}

bool ledger_see(struct ledger *l, const struct ledger_id *id, uint32_t recipient, bool whole)
{
    _Atomic uint64_t *run = (_Atomic uint64_t *)&l->head->run;
    uint64_t none = 0;

    /* The first one tells which run it is; all threads then agree. */
    if (atomic_load_explicit(run, memory_order_relaxed) != id->run &&
        !(atomic_compare_exchange_strong(run, &none, id->run) || none == id->run))
        return false;
    _Atomic uint8_t *e = entry_of(l, id->number, recipient);
    if (e == NULL)
        return false;
    uint8_t was = atomic_load_explicit(e, memory_order_relaxed), is;
    do {
        is = (was & LEDGER_SEEN_MAX) < LEDGER_SEEN_MAX ? (uint8_t)(was + 1) : was;
        is |= whole ? 0 : LEDGER_DAMAGED;
    } while (!atomic_compare_exchange_weak(e, &was, is));
    return true;
}

/* ---- the comparison ---- */

static void compare_one(uint8_t sent, uint8_t seen, struct ledger_result *r)
{
    uint8_t times = seen & LEDGER_SEEN_MAX;

    r->acked += sent == LEDGER_ACKED;
    r->unknown += sent == LEDGER_UNKNOWN;
    r->refused += sent == LEDGER_REFUSED;
    r->seen += times > 0;
    r->lost += sent == LEDGER_ACKED && times == 0;
    r->doubled += times > 1;
    r->damaged += (seen & LEDGER_DAMAGED) != 0;
    r->unknown_seen += sent == LEDGER_UNKNOWN && times > 0;
    r->refused_seen += sent == LEDGER_REFUSED && times > 0;
    r->unsent_seen += sent == LEDGER_UNSENT && times > 0;
}

int ledger_compare(const struct ledger *sent, const struct ledger *seen, struct ledger_result *out)
{
    uint64_t cnt = sent->entry_cnt > seen->entry_cnt ? sent->entry_cnt : seen->entry_cnt;

    *out = (struct ledger_result){.first_lost = UINT64_MAX};
    if (sent->head->kind != LEDGER_SENT || seen->head->kind != LEDGER_SEEN ||
        sent->head->recipient_cnt != seen->head->recipient_cnt ||
        (seen->head->run != sent->head->run && seen->head->run != 0))
        return -EINVAL;
    for (uint64_t i = 0; i < cnt; i++) {
        uint8_t a = i < sent->entry_cnt ? sent->entry[i] : 0;
        uint8_t b = i < seen->entry_cnt ? seen->entry[i] : 0;
        if ((a | b) == 0)
            continue;
        compare_one(a, b, out);
        if (out->lost > 0 && out->first_lost == UINT64_MAX)
            out->first_lost = i / sent->head->recipient_cnt;
    }
    return 0;
}
