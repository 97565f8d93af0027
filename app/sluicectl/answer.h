/* The gateway's answer, read block by block (control.h of sluiced): what came is printed as it
 * comes, so that a message or a list of any length takes the same memory. */
#ifndef ANSWER_H
#define ANSWER_H

#include <stdio.h>

/*
 * Prints the answer that comes from in: blocks to out, errors to err; empty to err when all that
 * came was nothing. Returns the exit status: COMMAND_DONE; COMMAND_REFUSED when the gateway
 * refused, or out cannot be written; COMMAND_UNREACHABLE when the answer broke off, or there was
 * none.
 */
int answer_print(FILE *in, FILE *out, FILE *err, const char *empty);

#endif
