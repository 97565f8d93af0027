/* What the files of lib/dane share. */
#ifndef DANE_INTERNAL_H
#define DANE_INTERNAL_H

#include "dane.h"

#include <openssl/x509.h>

/* A chain that is being looked at. */
struct dane_work {
    const struct dane_record *records;
    uint32_t record_cnt;
    X509 *leaf;
    STACK_OF(X509) * others; /* the chain without the leaf, and without repetitions of it */
    const char *const *names;
    uint32_t name_cnt;
    int64_t now_s;
};

/* Sets leaf and others. False: there is no certificate that can be read, or no memory. */
bool dane_work_open(struct dane_work *w, const struct dane_chain *chain);
void dane_work_close(struct dane_work *w);
/* The server's certificate is for one of the names, which may be addresses. */
bool dane_work_has_name(const struct dane_work *w);
/* What libcrypto says of a chain that it takes for none. */
enum dane_result dane_work_judge(int error);

X509 *dane_certificate_read(struct base_span der);

#endif
