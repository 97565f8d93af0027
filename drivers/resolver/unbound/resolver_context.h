/*
 * libunbound's context: the validating resolver, in its thread mode, made of the settings that came
 * over the socket. Nothing is read from files.
 *
 * Threads: one; libunbound makes one of its own with the first question.
 */
#ifndef RESOLVER_CONTEXT_H
#define RESOLVER_CONTEXT_H

#include "dns_wire.h"

struct ub_ctx;

struct resolver_context {
    struct ub_ctx *ub;
    uint32_t lookups;
    uint64_t cache_bytes;
    uint32_t stub_cnt, anchor_cnt;
    char stub[64][DNS_NAME_CAP];   /* zones with servers of their own */
    char anchor[64][DNS_NAME_CAP]; /* zones that a trust anchor is for */
    char why[DNS_WHY_CAP];         /* the first setting that was refused */
};

/* Returns 0, or -ENOMEM. */
int resolver_context_open(struct resolver_context *c) BASE_WARN_UNUSED;
void resolver_context_close(struct resolver_context *c);

/* One setting; a wrong one is remembered in why. */
void resolver_context_set(struct resolver_context *c, enum dns_wire_key key, struct base_span text);

/* After the last. Returns 0, or -EINVAL with why. */
int resolver_context_start(struct resolver_context *c) BASE_WARN_UNUSED;

#endif
