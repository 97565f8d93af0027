/* sluice.conf(5), written from the table of settings. */
#ifndef CONF_MANUAL_H
#define CONF_MANUAL_H

#include <stdio.h>

/* The whole page, in the language mdoc. */
void conf_manual_write(FILE *out);

#endif
