/*
 * The process that resolves: libunbound, which validates, in a thread; questions and answers over
 * one socket (dns_wire.h). It parses what strangers send, so it has nothing else: no file, no key,
 * no way to the gateway but that socket.
 *
 * A question is given up at its deadline. Nothing is kept over the process's end but what the next
 * one is asked.
 */
#ifndef RESOLVER_PROCESS_H
#define RESOLVER_PROCESS_H

#include "base_assert.h"

/* Runs until the socket ends. confine is called once the settings are there and before the first
 * question: from then on the process needs no file and no right. Returns the exit status. */
int resolver_process_run(int socket, void (*confine)(void)) BASE_WARN_UNUSED;

#endif
