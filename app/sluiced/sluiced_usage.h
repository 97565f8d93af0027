/* How sluiced is called: the rows that --help and sluiced(8) are written from. */
#ifndef SLUICED_USAGE_H
#define SLUICED_USAGE_H

#include <stdio.h>

void sluiced_usage_write(FILE *out);
/* The man page, in the language mdoc. */
void sluiced_usage_write_man(FILE *out);

#endif
