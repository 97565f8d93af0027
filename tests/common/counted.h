/*
 * Which counters a test program has moved. When SLUICE_COUNTED names a directory, the program
 * writes their names there as it ends (tests/script/counters.py reads them); else nothing happens.
 */
#ifndef COUNTED_H
#define COUNTED_H

#include "stats.h"

/* Adds what a block shows; to be called before the block goes. */
void counted_add(const struct stats_block *block);

#endif
