/*
 * Header sections on final delivery: what the filter makes of one that comes in pieces of any size,
 * into room of any size, against a naive one that has all of it, line by line.
 */
#include "base_rand.h"
#include "mail_final.h"

#include <stdlib.h>
#include <strings.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_name(const uint8_t *p, size_t len, const char *name)
{
    const uint8_t *colon = len > 0 ? memchr(p, ':', len) : NULL;
    size_t n = colon != NULL ? (size_t)(colon - p) : 0;

    if (n > MAIL_FINAL_NAME_MAX)
        return false;
    while (n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'))
        n--;
    return n == strlen(name) && strncasecmp((const char *)p, name, n) == 0;
}

static size_t naive(const uint8_t *p, size_t len, uint8_t *out, uint32_t *delivered_cnt)
{
    bool dropping = false;
    size_t kept = 0;

    *delivered_cnt = 0;
    for (size_t at = 0; at < len;) {
        const uint8_t *end = memchr(p + at, '\n', len - at);
        size_t line = end != NULL ? (size_t)(end - (p + at)) + 1 : len - at;
        if (p[at] == '\r') {
            memcpy(out + kept, p + at, len - at);
            return kept + len - at;
        }
        if (p[at] != ' ' && p[at] != '\t') {
            dropping = is_name(p + at, line, "Return-Path");
            *delivered_cnt += is_name(p + at, line, "Delivered-To");
        }
        if (!dropping) {
            memcpy(out + kept, p + at, line);
            kept += line;
        }
        at += line;
    }
    return kept;
}

static void count(void *user, uint64_t hash)
{
    (void)hash;
    (*(uint32_t *)user)++;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *wanted = malloc(size + 1), *got = malloc(size + MAIL_FINAL_NAME_MAX + 1);
    uint32_t wanted_cnt, told = 0;
    struct base_rand rand = {0};
    struct mail_final m, looked;
    size_t got_len = 0;

    base_assert(wanted != NULL && got != NULL);
    base_rand_init(&rand, size);
    size_t wanted_len = naive(data, size, wanted, &wanted_cnt);
    mail_final_init(&m);
    mail_final_init(&looked);
    for (size_t at = 0; at < size;) {
        size_t n = 1 + base_rand_below(&rand, size - at), used = 0;
        size_t room = MAIL_FINAL_NAME_MAX + 1 + base_rand_below(&rand, 100);
        uint8_t *exact = malloc(room), *piece = malloc(n);
        struct base_buf out = {.p = exact, .cap = room};
        base_assert(exact != NULL && piece != NULL);
        memcpy(piece, data + at, n);
        mail_final_strip(&m, base_span_of(piece, n), &used, &out);
        base_assert(used > 0 && used <= n && out.len <= size - got_len);
        memcpy(got + got_len, exact, out.len);
        got_len += out.len;
        mail_final_look(&looked, base_span_of(piece, used), count, &told);
        base_assert(mail_final_over(&looked) == mail_final_over(&m));
        at += used;
        free(exact);
        free(piece);
    }
    struct base_buf last = {.p = got, .len = got_len, .cap = size + MAIL_FINAL_NAME_MAX};
    mail_final_strip_end(&m, &last);
    mail_final_look_end(&looked, count, &told);
    base_assert(last.len == wanted_len && memcmp(got, wanted, wanted_len) == 0);
    base_assert(told == (wanted_cnt < MAIL_FINAL_FIELD_MAX ? wanted_cnt : MAIL_FINAL_FIELD_MAX));
    free(wanted);
    free(got);
    return 0;
}
