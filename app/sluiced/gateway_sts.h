/*
 * The policies of MTA-STS on disk: read once before the courier runs, written by control whenever
 * the courier hands an image over, as a whole (state_dir.h), so that a restart begins with what was
 * in force. A file that is damaged or gone costs fetches, nothing else.
 *
 * Threads: control's.
 */
#ifndef GATEWAY_STS_H
#define GATEWAY_STS_H

#include "courier.h"

#define GATEWAY_STS_SUB "mta-sts"

struct gateway_sts {
    int dir;        /* -1: not kept */
    char note[160]; /* for the log; "": nothing */
    bool warning;   /* it is one */
    bool failed;    /* the last image was not written, which was told */
};

/* After courier_init. Whatever goes wrong is for the log. */
void gateway_sts_open(struct gateway_sts *g, struct courier *c, const struct conf *conf,
                      uint64_t wall_ns);
/* Writes what has been handed over, if anything. */
void gateway_sts_tend(struct gateway_sts *g, struct courier *c);
/* The courier has stopped: writes the rest. */
void gateway_sts_close(struct gateway_sts *g, struct courier *c);

/* What is to be told, once. */
bool gateway_sts_note(struct gateway_sts *g, char text[160], bool *warning);

#endif
