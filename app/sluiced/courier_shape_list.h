/*
 * What an operator sees of providers and destinations. Threads: the courier's.
 */
#ifndef COURIER_SHAPE_LIST_H
#define COURIER_SHAPE_LIST_H

#include "courier.h"

void courier_shape_list_providers(struct courier *c, struct courier_request *r);
void courier_shape_list_destinations(struct courier *c, struct courier_request *r);

/* Behind a recipient of a list: that, and why, it is suspended; nothing when it is not. */
void courier_shape_list_suspension(const struct courier *c, struct courier_request *r,
                                   const struct queue_entry *e, uint32_t index);

#endif
