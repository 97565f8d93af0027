/*
 * What blast is told on its command line. Threads: read by all once parsed. Memory: the strings are
 * those of argv.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "device.h"
#include "flood_frame.h"
#include "net.h"

#include <stdbool.h>
#include <stddef.h>

#define OPTIONS_LANE_MAX DEVICE_LANE_MAX

struct mode;

enum options_tls {
    OPTIONS_TLS_DEFAULT,
    OPTIONS_TLS_NONE,
    OPTIONS_TLS_STARTTLS,
    OPTIONS_TLS_IMPLICIT
};

struct options {
    const char *device; /* for EAL's --vdev or --allow; NULL with kernel */
    bool kernel;        /* over its sockets, without DPDK */
    bool poll;          /* a lane over a port never sleeps */
    struct net_endpoint to;
    struct net_addr from; /* the first of our addresses, which are on one link */
    uint32_t from_cnt;    /* 0: the kernel chooses */
    uint8_t from_prefix_len;
    struct net_addr gateway;
    const struct mode *mode; /* NULL: no connections, a flood alone */
    enum flood_kind flood;
    uint64_t rate;         /* connections started a second; 0: as fast as they end */
    uint64_t message_rate; /* messages or round trips begun a second; 0: likewise */
    uint64_t flood_rate;   /* frames a second; 0: as many as go */
    uint64_t frame_max;    /* of the flood; 0: until the time is over */
    uint64_t unit_max;     /* messages, connections or round trips in all; 0: likewise */
    uint64_t size_bytes;   /* of a message */
    uint64_t duration_ns;
    uint64_t timeout_ns; /* silence after which a connection is given up */
    uint64_t seed;
    uint32_t connection_cnt; /* at a time */
    uint32_t per_connection; /* messages or round trips */
    uint32_t lane_cnt;
    uint32_t cpu[OPTIONS_LANE_MAX];
    bool cpus_given;
    enum options_tls tls;
    uint16_t tls_version; /* TLS_VERSION_...; 0: what both ends have */
    bool tls_resume;
    uint8_t proxy;           /* version of the header; 0: none */
    struct net_addr clients; /* whom it names: this address and those behind it, in turns */
    uint32_t client_cnt;
    const char *user; /* of AUTH PLAIN; NULL: no login */
    const char *password;
    uint32_t recipient_cnt; /* of a message */
    bool bdat;
    bool no_pipelining;
    bool ehlo;             /* said in modes that need it not, too */
    uint64_t run;          /* that messages name; 0: a random one for each load */
    const char *ledger;    /* path; NULL: none */
    const char *histogram; /* path; NULL: none */
    const char *case_name; /* for lines of JSON */
    const char *who;       /* likewise: the server */
    const char *sender, *recipient;
    bool json;
    bool loads; /* modes and floods come on standard input */
};

extern const char options_usage[];

/* Address i of from, i < from_cnt. */
struct net_addr options_from(const struct options *o, uint32_t i);

/* Whom the PROXY header of connection i names. */
struct net_addr options_client(const struct options *o, uint32_t i);

/* Returns 0, 1 when help is asked for, or -EINVAL with a line in err. */
int options_parse(struct options *o, int argc, char **argv, char *err, size_t err_cap);

/* One load of those that come on standard input: words as on the command line, without those that
 * are about the port. line is cut into them and stays borrowed. What it does not say is as in base.
 * Returns 0, or -EINVAL with a line in err. */
int options_parse_load(struct options *o, const struct options *base, char *line, char *err,
                       size_t err_cap);

#endif
