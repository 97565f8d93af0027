/*
 * The names of a spool's segment files, "00000001.seg" and on, as the disk drivers that use real
 * files write and read them (lib/spool/FORMAT.md). Any thread; nothing is kept.
 */
#ifndef DISK_NAMES_H
#define DISK_NAMES_H

#include <stdint.h>

#define DISK_NAME_CAP 16

void disk_name_format(char out[DISK_NAME_CAP], uint32_t segment);

/* The numbers of the segments in the folder: cap of them are given, in ascending order;
 * other names are passed over. Returns how many there are, or a negative error. */
int disk_name_list(int folder_fd, uint32_t *numbers, uint32_t cap);

#endif
