/*
 * sluicectl capture: packets of all lanes as a pcapng file, which goes to the client as it comes.
 * One at a time. Each lane has a ring (capture.h) from when it has taken the question that brings
 * it until it has answered the one that takes it away: only then is it freed, whenever the client
 * goes.
 *
 * Threads: control's.
 */
#ifndef CONTROL_CAPTURE_H
#define CONTROL_CAPTURE_H

#include "capture.h"
#include "lane_watch.h"

struct control;
struct control_capture;

/* A lane has answered. */
void control_capture_answered(struct control *c, struct lane_ask *ask);

/* At the end, lanes still run: whether some lane still has a ring, or is asked. Rings are asked
 * back. */
bool control_capture_pending(struct control *c);

/* Lanes do not run any more, or have answered all. */
void control_capture_fini(struct control *c);

#endif
