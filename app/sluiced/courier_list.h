/* What is in the queue, as text: one piece of a list each. The courier's thread. */
#ifndef COURIER_LIST_H
#define COURIER_LIST_H

#include "courier.h"

/* The messages that the filter means: text, or one JSON object a line. */
void courier_list_messages(struct courier *c, struct courier_request *r);

/* One of them, with all its recipients. */
void courier_list_show(struct courier *c, struct courier_request *r);

/* How many there are, by destination and state. */
void courier_list_stat(struct courier *c, struct courier_request *r);

#endif
