/*
 * The process that has libcurl in it (https_process.h), as little of it as can be: nobody's rights,
 * no file, no program, no other process; sockets to the world, and the one to the gateway.
 */
#ifndef HTTPS_ROLE_H
#define HTTPS_ROLE_H

/* The role's own main. */
int https_role_main(int socket);

#endif
