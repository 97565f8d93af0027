/*
 * The process that knows the accounts: `sluiced --role=auth`. It is given its configuration and the
 * passwd file's descriptors over the socket pair, runs a driver of drivers/auth, and answers
 * logins. It gives up root, writes nothing and opens nothing.
 */
#ifndef AUTH_ROLE_H
#define AUTH_ROLE_H

/* The role's main; returns the exit status. */
int auth_role_main(int socket);

#endif
