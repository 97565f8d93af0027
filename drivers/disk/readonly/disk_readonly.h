/*
 * The disk driver of whoever only looks at a spool: the files of disk_uring, opened for reading
 * alone, one request after the other. Nothing is made, not even the lock file; what would write is
 * refused with -EROFS.
 *
 * While it is open it holds the spool's lock, shared with others who look, so that no gateway
 * starts on the spool in between. Where there is no lock file (a copy, a backup) there is no
 * gateway either.
 *
 * Threads: one. Memory: one descriptor for the segment in use, whatever their number.
 */
#ifndef DISK_READONLY_H
#define DISK_READONLY_H

#include "spool_disk.h"

#include <stddef.h>

/* dir_fd: of the spool's folder; borrowed for life. Returns 0; -EBUSY when a gateway has the spool;
 * -ENOENT when the folder is no spool; or a negative error. err gets a sentence. */
int disk_readonly_open(struct spool_disk *out, int dir_fd, char *err,
                       size_t err_cap) BASE_WARN_UNUSED;
void disk_readonly_close(struct spool_disk *disk);

#endif
