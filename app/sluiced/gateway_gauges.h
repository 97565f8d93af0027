/*
 * What no thread counts as it goes: packets that the NICs lost, packet buffers that are free, the
 * allocator's figures. Read now and then, into the counters of the control thread.
 *
 * Threads: control's. Nothing here is slow, or waits for a lane.
 */
#ifndef GATEWAY_GAUGES_H
#define GATEWAY_GAUGES_H

#include "gateway.h"

void gateway_gauges_read(struct gateway *g);

#endif
