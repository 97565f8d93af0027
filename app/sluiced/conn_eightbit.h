/*
 * 8-bit mail for next hops that take 7-bit mail alone: a lane's converters, and the look at a
 * message's content that tells what is to be done with it. Converters are few, and such mail waits
 * for one; each is a delivery's from the look at the content until the delivery leaves the
 * connection.
 *
 * Threads: the lane's. Memory: in the lane.
 */
#ifndef CONN_EIGHTBIT_H
#define CONN_EIGHTBIT_H

#include "mail_eightbit.h"

#define CONN_EIGHTBIT_CNT 4

struct conn;

struct conn_eightbit {
    struct mail_eightbit converter[CONN_EIGHTBIT_CNT];
    bool taken[CONN_EIGHTBIT_CNT];
};

/* Goes on reading the message for the SMTP client's CHECK, as much of it as is wanted; at the end
 * tells the client what there is, and keeps the converter where the body is to be converted.
 * Nothing is done where conn.out.checking is not set. */
void conn_eightbit_look(struct conn *c);

/* No look any more, and no converter; also where there is neither. */
void conn_eightbit_drop(struct conn *c);

#endif
