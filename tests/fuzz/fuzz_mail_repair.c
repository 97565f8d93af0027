/*
 * Repair of header sections: what the filter makes of one that comes in pieces of any size, against
 * a naive one that has all of it, line by line.
 */
#include "base_rand.h"
#include "mail_repair.h"

#include <stdlib.h>

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* The name of the field that begins at p, in lower case into out; its length, 0: no field. */
static size_t field_name(const uint8_t *p, size_t len, char *out)
{
    size_t n = 0, i;

    while (n < len && p[n] > ' ' && p[n] != 0x7f && p[n] != ':')
        n++;
    for (i = n; i < len && is_blank(p[i]);)
        i++;
    if (n == 0 || i == len || p[i] != ':')
        return 0;
    for (i = 0; i < n; i++)
        out[i] = (char)(p[i] >= 'A' && p[i] <= 'Z' ? p[i] + 32 : p[i]);
    out[n] = 0;
    return n;
}

/* Returns the length of the repaired section. */
static size_t naive(const uint8_t *p, size_t len, uint8_t *out, bool *date, bool *id)
{
    char *name = malloc(len + 1);
    bool dropping = false;
    size_t kept = 0;

    base_assert(name != NULL);
    *date = *id = false;
    for (size_t at = 0; at < len;) {
        const uint8_t *end = memchr(p + at, '\n', len - at);
        size_t line = end != NULL ? (size_t)(end - (p + at)) + 1 : len - at;
        if (p[at] == '\r' || p[at] == '\n') {
            memcpy(out + kept, p + at, len - at);
            kept += len - at;
            break;
        }
        if (!is_blank(p[at])) {
            dropping = false;
            if (field_name(p + at, line, name) > 0) {
                *date |= strcmp(name, "date") == 0;
                *id |= strcmp(name, "message-id") == 0;
                dropping = strcmp(name, "bcc") == 0 || strcmp(name, "resent-bcc") == 0;
            }
        }
        if (!dropping) {
            memcpy(out + kept, p + at, line);
            kept += line;
        }
        at += line;
    }
    free(name);
    return kept;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *wanted = malloc(size + 1), *got = malloc(size + 1), *copy = malloc(size + 1);
    struct base_rand rand = {0};
    struct mail_repair r;
    size_t got_len = 0;
    bool date, id;

    base_assert(wanted != NULL && got != NULL && copy != NULL);
    base_rand_init(&rand, size);
    size_t wanted_len = naive(data, size, wanted, &date, &id);
    mail_repair_init(&r);
    for (size_t at = 0; at < size;) {
        size_t n = 1 + base_rand_below(&rand, 12), undo;
        n = n < size - at ? n : size - at;
        memcpy(copy, data + at, n);
        size_t kept = mail_repair_push(&r, copy, n, &undo);
        base_assert(kept <= n && undo <= got_len);
        got_len -= undo;
        memcpy(got + got_len, copy, kept);
        got_len += kept;
        at += n;
    }
    base_assert(got_len == wanted_len && memcmp(got, wanted, got_len) == 0);
    base_assert(r.has_date == date && r.has_message_id == id);
    free(wanted);
    free(got);
    free(copy);
    return 0;
}
