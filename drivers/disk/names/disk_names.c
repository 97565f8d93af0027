#include "disk_names.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void disk_name_format(char out[DISK_NAME_CAP], uint32_t segment)
{
    snprintf(out, DISK_NAME_CAP, "%08u.seg", segment % 100000000U);
}

/* The number of a segment's file name, or 0, which none has. */
static uint32_t number_of(const char *name)
{
    uint32_t n = 0;
    for (int i = 0; i < 8; i++) {
        if (name[i] < '0' || name[i] > '9')
            return 0;
        n = n * 10 + (uint32_t)(name[i] - '0');
    }
    return strcmp(name + 8, ".seg") == 0 ? n : 0;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a;
    const uint32_t *y = b;
    return *x < *y ? -1 : *x > *y;
}

int disk_name_list(int folder_fd, uint32_t *numbers, uint32_t cap)
{
    int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        int rc = -errno;
        if (fd >= 0)
            close(fd);
        return rc;
    }
    uint32_t cnt = 0;
    const struct dirent *e;
    while ((e = readdir(dir)) != NULL) {
        uint32_t n = number_of(e->d_name);
        if (n == 0)
            continue;
        if (cnt < cap)
            numbers[cnt] = n;
        cnt++;
    }
    closedir(dir);
    if (cap > 0)
        qsort(numbers, cnt < cap ? cnt : cap, sizeof(*numbers), by_number);
    return (int)cnt;
}
