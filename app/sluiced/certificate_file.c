#include "certificate_file.h"
#include "small_file.h"

#include <stdlib.h>
#include <unistd.h>

#define FILE_BYTES_MAX (1 << 20)

int certificate_file_read(struct certificate_file *f, int fd, bool secret)
{
    return small_file_read(fd, FILE_BYTES_MAX, secret, &f->text, &f->len);
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
