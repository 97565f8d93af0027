/*
 * The bytes of a certificate's files. A private key that others than its owner and group may read,
 * or that its group may change, is refused: more than 0640 is a mistake.
 *
 * Threads: any; blocks for the disk.
 */
#ifndef CERTIFICATE_FILE_H
#define CERTIFICATE_FILE_H

#include "conf.h"

struct certificate_file {
    uint8_t *text; /* NULL: not read */
    size_t len;
};

/* All of it; the text is the caller's also after an error. Returns 0, or a negative one. */
int certificate_file_read(struct certificate_file *f, int fd, bool secret) BASE_WARN_UNUSED;

/* Chain and key; wiped when they have been used. */
struct certificate_pair {
    struct certificate_file file[2];
};
enum { CERTIFICATE_CHAIN, CERTIFICATE_KEY };

/* A file without secrets. Returns 0, or a negative error; f->text is the caller's to free. */
int certificate_file_load(struct certificate_file *f, const char *path,
                          int (*open_file)(void *user, const char *path),
                          void *user) BASE_WARN_UNUSED;

/* Both files of c, which open_file gives as descriptors (or negative errors). Returns 0, or a
 * negative error with *which of them could not be read. */
int certificate_pair_read(struct certificate_pair *p, const struct conf_certificate *c,
                          int (*open_file)(void *user, const char *path), void *user,
                          int *which) BASE_WARN_UNUSED;
void certificate_pair_wipe(struct certificate_pair *p);

#endif
