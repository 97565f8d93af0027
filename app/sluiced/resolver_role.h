/*
 * The resolver: the process that has libunbound in it (resolver_process.h), as little of it as can
 * be: nobody's rights, no file, no program, no other process; sockets to the DNS, and the one to
 * the gateway.
 */
#ifndef RESOLVER_ROLE_H
#define RESOLVER_ROLE_H

/* The role's own main. */
int resolver_role_main(int socket);

#endif
