/* Descriptors of targets, none of which blocks; private to drivers/log. Each returns a descriptor
 * or a negative error. */
#ifndef LOG_TARGET_H
#define LOG_TARGET_H

#include <stdbool.h>
#include <sys/types.h>

struct iovec;

int log_target_open(const char *path);
/* The datagram socket of syslog or journald. */
int log_target_connect(const char *path);
/* Standard error; *own: the descriptor is to be closed. A pipe or terminal is opened once more: who
 * else has it keeps his way of waiting. */
int log_target_stderr(bool *own);

/* writev, also where the descriptor is somebody's socket; -errno. */
ssize_t log_target_write(int fd, const struct iovec *v, int cnt);

#endif
