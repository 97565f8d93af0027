/*
 * How many of something each client has, by its prefix: an IPv4 address, or the /64 of an IPv6
 * address, which is what one customer gets. Open addressing with linear probing; rows of clients
 * that have none any more are closed up, so that none is ever left over.
 *
 * The hash is keyed: addresses are chosen by others. Bounded: twice as many rows as there can be of
 * the something, so that it is never full, and a look goes over few rows.
 *
 * Threads: its lane's only, but for init and fini. Memory: taken at init.
 */
#ifndef CLIENT_TABLE_H
#define CLIENT_TABLE_H

#include "base_assert.h"
#include "net_addr.h"

struct client_row {
    uint8_t prefix[16]; /* the address, or its first 8 bytes and zeros */
    uint32_t cnt;       /* 0: the row is free */
};

struct client_table {
    struct client_row *row;
    uint32_t mask; /* rows less one */
    uint32_t cnt;  /* of all clients */
    uint32_t max;  /* that cnt may be */
    uint8_t key[16];
};

/* For max in all. Returns 0 or -ENOMEM. */
int client_table_init(struct client_table *t, uint32_t max, const uint8_t key[16]) BASE_WARN_UNUSED;
void client_table_fini(struct client_table *t);

/* How many the client of that address has. */
uint32_t client_table_count(const struct client_table *t, const struct net_addr *addr);

/* One more; there are less than max. */
void client_table_add(struct client_table *t, const struct net_addr *addr);

/* One less; it has one. */
void client_table_remove(struct client_table *t, const struct net_addr *addr);

#endif
