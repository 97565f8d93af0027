/*
 * DPDK's environment, started from the configuration: arguments, huge pages or not, which lcores.
 * Control is lcore 0 and floats over all CPUs; lane n is lcore n + 1, pinned. Before any other
 * thread.
 */
#ifndef EAL_H
#define EAL_H

#include "conf.h"

#define EAL_ERROR_CAP 256

/* Returns 0, or a negative error with one line in err that says what to do. Warnings (no huge
 * pages) go to warn, empty when there are none. */
int eal_start(const struct conf *conf, char err[EAL_ERROR_CAP],
              char warn[EAL_ERROR_CAP]) BASE_WARN_UNUSED;
void eal_stop(void);

/* The calling thread may run on every CPU again (EAL's threads hand down their one). */
void eal_free_affinity(void);

#endif
