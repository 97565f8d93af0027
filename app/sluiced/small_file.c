#include "small_file.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_MODE 0640

int small_file_read(int fd, size_t max, bool secret, uint8_t **text, size_t *len)
{
    struct stat st;

    *text = NULL;
    *len = 0;
    if (fstat(fd, &st) != 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if (secret && (st.st_mode & 0077 & ~SECRET_MODE) != 0)
        return -EKEYREJECTED;
    if ((uint64_t)st.st_size > max)
        return -EFBIG;
    *text = malloc((size_t)st.st_size + 1);
    if (*text == NULL)
        return -ENOMEM;
    while (*len < (size_t)st.st_size) {
        ssize_t n = read(fd, *text + *len, (size_t)st.st_size - *len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        *len += (size_t)n;
    }
    return 0;
}

const char *small_file_why(int error)
{
    switch (error) {
    case -EACCES:
        return "no permission";
    case -EINVAL:
        return "not a file";
    case -EKEYREJECTED:
        return "too many may read or change it: at most mode 640";
    default:
        return strerror(-error);
    }
}
