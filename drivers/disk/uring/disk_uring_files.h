/*
 * The files of disk_uring: names, descriptors, the lock, and durable names. Private to the driver.
 */
#ifndef DISK_URING_FILES_H
#define DISK_URING_FILES_H

#include "base_assert.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk_uring_files {
    int *fds; /* by segment number; -1: not open */
    uint32_t fd_cnt;
    int seg_fd;
    int aside_fd; /* the folder quarantine/ */
    int lock_fd;
    bool buffered;
};

int disk_uring_files_init(struct disk_uring_files *f, int dir_fd, uint32_t file_max, char *err,
                          size_t err_cap) BASE_WARN_UNUSED;
void disk_uring_files_fini(struct disk_uring_files *f);

/* The descriptor, or -1. */
static inline int disk_uring_files_fd(const struct disk_uring_files *f, uint32_t segment)
{
    return segment < f->fd_cnt ? f->fds[segment] : -1;
}

int disk_uring_files_list(struct disk_uring_files *f, uint32_t *numbers, uint32_t cap);
/* Returns the descriptor, which stays here, or a negative error. */
int disk_uring_files_create(struct disk_uring_files *f, uint32_t segment,
                            uint64_t bytes) BASE_WARN_UNUSED;
/* Returns the size or a negative error. */
int64_t disk_uring_files_open(struct disk_uring_files *f, uint32_t segment) BASE_WARN_UNUSED;
/* Moves the file to quarantine/, under a name that is free there. */
int disk_uring_files_set_aside(struct disk_uring_files *f, uint32_t segment) BASE_WARN_UNUSED;
int disk_uring_files_remove(struct disk_uring_files *f, uint32_t segment) BASE_WARN_UNUSED;

#endif
