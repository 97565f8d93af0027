/*
 * What is written from the table of commands at the build: man pages (mdoc) and completions for
 * bash and zsh. No part of sluicectl itself.
 */
#ifndef PAGES_H
#define PAGES_H

#include <stdio.h>

void pages_write_bash(FILE *out);
void pages_write_zsh(FILE *out);
void pages_write_man(FILE *out); /* sluicectl(1) */

#endif
