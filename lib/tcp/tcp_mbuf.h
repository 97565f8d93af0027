/*
 * What lib/tcp keeps inside mbufs that it owns. Not for others.
 *
 * A queue's last mbuf is noted in its first (dynfield1, on the line of next), which saves the
 * connection a pointer. An mbuf of the send queue has the time of its last transmission in
 * hash.usr, marks in vlan_tci and a struct tcp_note in dynfield1; an early one of the receiving
 * side has its sequence number in hash.usr, when it came in hash.fdir.hi, and in vlan_tci whether a
 * FIN follows. None of these fields means anything to a port without a flag in ol_flags, which
 * stays clear.
 */
#ifndef TCP_MBUF_H
#define TCP_MBUF_H

#include <rte_mbuf.h>

#include <stdint.h>
#include <string.h>

/* Marks of an mbuf in the send queue. */
enum tcp_mark {
    TCP_MARK_TIMED = 1, /* when it is acknowledged, its time of sending gives an RTT sample */
    TCP_MARK_RETRANSMITTED = 2, /* sent again since it was last taken for lost */
    TCP_MARK_SACKED = 4,        /* the peer holds all of it */
    TCP_MARK_LOST = 8,          /* taken for lost */
    TCP_MARK_AGAIN = 16,        /* was ever sent more than once (Karn) */
    TCP_MARK_TOO_BIG = 32,      /* a router says so; hash.fdir.hi has the segment size it names */
};

/* What an mbuf of the send queue holds besides its marks. */
struct tcp_note {
    struct rte_mbuf *tail;       /* the queue's first only: its last */
    struct rte_mbuf *again_next; /* RETRANSMITTED: neighbors by time */
    struct rte_mbuf *again_prev;
    uint32_t first_us; /* when its first byte was sent last */
    uint32_t seq;      /* of its first byte */
} __attribute__((packed, aligned(4), may_alias));
_Static_assert(sizeof(struct tcp_note) <= sizeof(((struct rte_mbuf *)0)->dynfield1), "room");

static inline struct tcp_note *tcp_mbuf_note(struct rte_mbuf *m)
{
    return (struct tcp_note *)(void *)m->dynfield1;
}

static inline uint32_t tcp_mbuf_seq(const struct rte_mbuf *m)
{
    return ((const struct tcp_note *)(const void *)m->dynfield1)->seq;
}

static inline struct rte_mbuf *tcp_mbuf_tail(const struct rte_mbuf *head)
{
    struct rte_mbuf *tail;

    if (head == NULL)
        return NULL;
    memcpy(&tail, head->dynfield1, sizeof(void *));
    return tail;
}

static inline void tcp_mbuf_set_tail(struct rte_mbuf *head, struct rte_mbuf *tail)
{
    memcpy(head->dynfield1, &tail, sizeof(void *));
}

/* Adds m at the end of the queue. */
static inline void tcp_mbuf_push(struct rte_mbuf **head, struct rte_mbuf *m)
{
    m->next = NULL;
    if (*head == NULL)
        *head = m;
    else
        tcp_mbuf_tail(*head)->next = m;
    tcp_mbuf_set_tail(*head, m);
}

/* Takes the first out of a queue that has one. */
static inline struct rte_mbuf *tcp_mbuf_pop(struct rte_mbuf **head)
{
    struct rte_mbuf *m = *head;

    *head = m->next;
    if (*head != NULL)
        tcp_mbuf_set_tail(*head, tcp_mbuf_tail(m));
    return m;
}

#endif
