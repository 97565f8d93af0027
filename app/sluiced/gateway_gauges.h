/*
 * What no thread counts as it goes: packets that the NICs lost, packet buffers that are free, the
 * allocator's figures. Read now and then, into the counters of the control thread; and what the
 * disks of the spools have free, each into its spooler's counters, which tell it by spool.
 *
 * Threads: control's. Nothing here is slow, or waits for a lane.
 */
#ifndef GATEWAY_GAUGES_H
#define GATEWAY_GAUGES_H

#include "gateway.h"

void gateway_gauges_read(struct gateway *g);

#endif
