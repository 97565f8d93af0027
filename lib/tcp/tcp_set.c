#include "tcp_set.h"
#include "base_lines.h"

#include <errno.h>
#include <stdlib.h>

int tcp_set_init(struct tcp_set *t, uint32_t cap)
{
    uint32_t total = 0;

    *t = (struct tcp_set){0};
    do {
        base_assert(t->level_cnt < TCP_SET_LEVEL_CNT);
        cap = (cap + 63) / 64;
        t->word_cnt[t->level_cnt++] = cap;
        total += cap;
    } while (cap > 1);
    t->level[0] = base_lines_new(total * sizeof(uint64_t));
    if (t->level[0] == NULL)
        return -ENOMEM;
    for (uint32_t l = 1; l < t->level_cnt; l++)
        t->level[l] = t->level[l - 1] + t->word_cnt[l - 1];
    return 0;
}

void tcp_set_fini(struct tcp_set *t)
{
    free(t->level[0]);
    t->level[0] = NULL;
}

void tcp_set_add(struct tcp_set *t, uint32_t n)
{
    for (uint32_t l = 0; l < t->level_cnt; l++, n /= 64) {
        uint64_t *word = &t->level[l][n / 64];
        bool told = *word != 0;
        *word |= UINT64_C(1) << n % 64;
        if (told)
            return;
    }
}

void tcp_set_remove(struct tcp_set *t, uint32_t n)
{
    for (uint32_t l = 0; l < t->level_cnt; l++, n /= 64) {
        uint64_t *word = &t->level[l][n / 64];
        *word &= ~(UINT64_C(1) << n % 64);
        if (*word != 0)
            return;
    }
}

uint32_t tcp_set_next(const struct tcp_set *t, uint32_t from)
{
    for (uint32_t l = 0; l < t->level_cnt && from / 64 < t->word_cnt[l]; l++) {
        uint64_t word = t->level[l][from / 64] >> from % 64;
        if (word != 0) {
            from += (uint32_t)__builtin_ctzll(word);
            while (l-- > 0)
                from = from * 64 + (uint32_t)__builtin_ctzll(t->level[l][from]);
            return from;
        }
        from = from / 64 + 1;
    }
    return TCP_SET_NONE;
}
