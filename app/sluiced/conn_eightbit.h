/*
 * A lane's converters of 8-bit mail for next hops that take 7-bit mail alone. There are few, which
 * such mail waits for; each is a delivery's from the look at the content until it is given back.
 *
 * Threads: the lane's. Memory: in the lane.
 */
#ifndef CONN_EIGHTBIT_H
#define CONN_EIGHTBIT_H

#include "mail_eightbit.h"

#define CONN_EIGHTBIT_CNT 4

struct conn_eightbit {
    struct mail_eightbit converter[CONN_EIGHTBIT_CNT];
    bool taken[CONN_EIGHTBIT_CNT];
};

static inline struct mail_eightbit *conn_eightbit_take(struct conn_eightbit *e)
{
    for (uint32_t i = 0; i < CONN_EIGHTBIT_CNT; i++)
        if (!e->taken[i]) {
            e->taken[i] = true;
            return &e->converter[i];
        }
    return NULL;
}

/* m may be NULL. */
static inline void conn_eightbit_put(struct conn_eightbit *e, const struct mail_eightbit *m)
{
    if (m != NULL)
        e->taken[m - e->converter] = false;
}

#endif
