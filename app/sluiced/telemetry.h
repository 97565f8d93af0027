/*
 * Counters on DPDK's telemetry socket: /sluice/GROUP[,THREAD], /sluice/threads, /sluice/memory,
 * /sluice/histograms[,NAME]. The
 * callbacks run in DPDK's telemetry thread and read counters only.
 */
#ifndef TELEMETRY_H
#define TELEMETRY_H

#include "conf.h"
#include "topology.h"

/* Registers the commands; one topology at a time (DPDK's callbacks carry no pointer). Returns 0, or
 * a negative error. */
int telemetry_start(const struct topology *t) BASE_WARN_UNUSED;
void telemetry_stop(void);

/* Gives the named group, or root alone when it is NULL, the right to the socket: parent directory,
 * directory, socket. Returns 0, or a negative error with a sentence in err. */
int telemetry_permit(const struct conf *conf, char *err, size_t err_cap) BASE_WARN_UNUSED;

#endif
