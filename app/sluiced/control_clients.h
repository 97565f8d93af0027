/*
 * The clients of the control socket, one place each: who gets one and who gives way, the command's
 * line, the answer by blocks as it is read, answers that the courier and the lanes have sent back,
 * streams. What commands say is not here (control_commands.c), nor who may what (control_socket.c).
 *
 * Threads: control's. Nothing here waits, but control_clients_await().
 */
#ifndef CONTROL_CLIENTS_H
#define CONTROL_CLIENTS_H

#include "control.h"

/* All places are free. */
void control_clients_init(struct control *c);
/* Closes all and frees what they hold. */
void control_clients_fini(struct control *c);

/* Takes in those that wait: a burst at a time, so that a flood of them does not hold up the rest.
 */
void control_clients_accept(struct control *c);

/* The descriptor of client i has news; its tag is i. Nothing happens when it was dropped. */
void control_clients_event(struct control *c, uint32_t i);

/* What the courier and the lanes have sent back goes on to whom it is for. */
void control_clients_answers(struct control *c);

/* In each tick: what streams have to say by now; who was silent for too long is dropped. */
void control_clients_tend(struct control *c);

/* At the end: what a lane still has is its own until it answers, which it does while it runs.
 * Waits for that, for some seconds at most. */
void control_clients_await(struct control *c);

#endif
