/*
 * What replies have made of the limits of providers and destinations (shape_store.h) in a file
 * below gateway: state_dir, so that a restart does not begin at full pace where the last run was
 * asked to be slow. Read before the courier runs; written by control, some seconds after something
 * changed, and at the end. A file that is damaged or gone costs that knowledge, no more.
 *
 * Threads: control's.
 */
#ifndef GATEWAY_SHAPE_H
#define GATEWAY_SHAPE_H

#include "courier.h"

#define GATEWAY_SHAPE_SUB "limits"

struct gateway_shape {
    int dir;        /* -1: not kept */
    char note[160]; /* for the log; "": nothing */
    bool failed;    /* the last text was not written, which was told */
};

/* After courier_init. Whatever goes wrong is for the log. */
void gateway_shape_open(struct gateway_shape *g, struct courier *c, const struct conf *conf,
                        uint64_t now_ns, uint64_t wall_ns);
/* Writes what has been handed over, if anything. Returns true when note is to be told. */
bool gateway_shape_tend(struct gateway_shape *g, struct courier *c);
/* The courier has stopped: writes the rest. */
void gateway_shape_close(struct gateway_shape *g, struct courier *c, uint64_t now_ns,
                         uint64_t wall_ns);

#endif
