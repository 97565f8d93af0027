#include "certificate_file.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (1 << 20)
#define SECRET_MODE    0640

int certificate_file_read(struct certificate_file *f, int fd, bool secret)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EINVAL;
    if (secret && (st.st_mode & 0077 & ~SECRET_MODE) != 0)
        return -EKEYREJECTED;
    if (st.st_size > FILE_BYTES_MAX)
        return -EFBIG;
    f->text = malloc((size_t)st.st_size + 1);
    if (f->text == NULL)
        return -ENOMEM;
    while (f->len < (size_t)st.st_size) {
        ssize_t n = read(fd, f->text + f->len, (size_t)st.st_size - f->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        f->len += (size_t)n;
    }
    return 0;
}

int certificate_file_load(struct certificate_file *f, const char *path,
                          int (*open_file)(void *user, const char *path), void *user)
{
    *f = (struct certificate_file){0};
    int fd = open_file(user, path);
    if (fd < 0)
        return fd;
    int error = certificate_file_read(f, fd, false);
    close(fd);
    return error;
}

int certificate_pair_read(struct certificate_pair *p, const struct conf_certificate *c,
                          int (*open_file)(void *user, const char *path), void *user, int *which)
{
    *p = (struct certificate_pair){0};
    for (*which = CERTIFICATE_CHAIN; *which <= CERTIFICATE_KEY; ++*which) {
        bool secret = *which == CERTIFICATE_KEY;
        int fd = open_file(user, secret ? c->key : c->chain);
        int error = fd;
        if (fd >= 0) {
            error = certificate_file_read(&p->file[*which], fd, secret);
            close(fd);
        }
        if (error < 0)
            return error;
    }
    return 0;
}

void certificate_pair_wipe(struct certificate_pair *p)
{
    for (int k = 0; k < 2; k++)
        if (p->file[k].text != NULL) {
            explicit_bzero(p->file[k].text, p->file[k].len);
            free(p->file[k].text);
        }
    *p = (struct certificate_pair){0};
}

const char *certificate_file_why(int error)
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
