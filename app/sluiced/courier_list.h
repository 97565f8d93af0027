/* The courier's answers to control: what is in the queue. The courier's thread. */
#ifndef COURIER_LIST_H
#define COURIER_LIST_H

#include "courier.h"

/* Answers what lies in the ring from control. Returns how many requests. */
uint32_t courier_list_answer(struct courier *c);

#endif
