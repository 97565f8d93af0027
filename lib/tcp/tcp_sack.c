/*
 * The receiver's selective acknowledgements: RFC 2018, with duplicates by RFC 2883. The blocks are
 * the runs of the out-of-order queue, the one with the latest arrival first.
 */
#include "tcp_internal.h"

void tcp_sack_duplicate(struct tcp_stack *s, const struct tcp_conn *c, uint32_t left,
                        uint32_t right)
{
    if (!(c->flags & TCP_CONN_SACK) || s->has_duplicate)
        return;
    s->has_duplicate = true;
    s->duplicate = (struct tcp_sack_block){.left = left, .right = right};
}

bool tcp_sack_is_duplicate(const struct tcp_options *options, uint32_t ack)
{
    const struct tcp_sack_block *block = options->sack;

    return options->sack_cnt > 0 && tcp_seq_lt(block[0].left, block[0].right) &&
           (tcp_seq_leq(block[0].right, ack) ||
            (options->sack_cnt > 1 && tcp_seq_geq(block[0].left, block[1].left) &&
             tcp_seq_leq(block[0].right, block[1].right)));
}

/* Puts the block at its place by the time of its latest mbuf; the oldest falls off. */
static void insert(struct tcp_options *options, uint32_t *stamp, uint32_t first, uint32_t cap,
                   struct tcp_sack_block block, uint32_t block_stamp)
{
    uint32_t at = first;

    while (at < options->sack_cnt && tcp_seq_gt(stamp[at], block_stamp))
        at++;
    if (at == cap)
        return;
    if (options->sack_cnt < cap)
        options->sack_cnt++;
    for (uint32_t i = options->sack_cnt - 1U; i > at; i--) {
        options->sack[i] = options->sack[i - 1];
        stamp[i] = stamp[i - 1];
    }
    options->sack[at] = block;
    stamp[at] = block_stamp;
}

void tcp_sack_write(struct tcp_stack *s, const struct tcp_conn *c, struct tcp_options *options)
{
    uint32_t stamp[TCP_SACK_BLOCK_MAX] = {0};
    uint32_t cap = options->has_timestamp ? TCP_SACK_BLOCK_MAX - 1 : TCP_SACK_BLOCK_MAX;

    if (!(c->flags & TCP_CONN_SACK))
        return;
    if (s->has_duplicate) {
        s->has_duplicate = false;
        options->sack[options->sack_cnt++] = s->duplicate;
        tcp_count(s, STATS_TCP_TX_DSACKS);
    }
    uint32_t first = options->sack_cnt;
    for (const struct rte_mbuf *m = c->ooo_head; m != NULL;) {
        struct tcp_sack_block run = {.left = m->hash.usr, .right = m->hash.usr};
        uint32_t latest = m->hash.fdir.hi;
        for (; m != NULL && m->hash.usr == run.right; m = m->next) {
            run.right += m->data_len;
            if (tcp_seq_gt(m->hash.fdir.hi, latest))
                latest = m->hash.fdir.hi;
        }
        insert(options, stamp, first, cap, run, latest);
    }
    if (options->sack_cnt > first)
        tcp_count(s, STATS_TCP_TX_SACKS);
}
