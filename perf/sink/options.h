/*
 * What the sink is told on its command line. Memory: the strings are those of argv.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "net_addr.h"
#include "session.h"

#define OPTIONS_PORT_MAX 1024

struct options {
    const char *device;         /* NULL: the kernel's sockets */
    struct net_endpoint listen; /* the first port */
    uint32_t port_cnt;
    uint32_t prefix_len; /* of the link, with a device */
    struct net_addr gateway;
    uint32_t connection_cnt; /* at a time, with a device */
    uint32_t cpu;
    uint64_t duration_ns;
    bool kernel, tls, implicit, poll;
    uint64_t delay_ns;
    uint32_t reject_percent;
    enum sink_fault fault;
    uint32_t fault_each;
    const char *ledger; /* NULL: none */
    uint64_t message_max;
    uint32_t recipient_max;
};

extern const char options_usage[];

/* Returns 0, 1 when help is asked for, or -EINVAL with a line in err. */
int options_parse(struct options *o, int argc, char **argv, char *err, size_t cap);

#endif
