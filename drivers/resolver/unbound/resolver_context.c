#include "resolver_context.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/crypto.h>
#include <unbound.h>

int resolver_context_open(struct resolver_context *c)
{
    memset(c, 0, sizeof(*c));
    c->lookups = 256;
    c->cache_bytes = 16 << 20;
    c->ub = ub_ctx_create();
    if (c->ub == NULL)
        return -ENOMEM;
    ub_ctx_debugout(c->ub, NULL); /* nothing that strangers cause goes to stderr */
    return 0;
}

void resolver_context_close(struct resolver_context *c)
{
    if (c->ub != NULL)
        ub_ctx_delete(c->ub);
    c->ub = NULL;
}

static void wrong(struct resolver_context *c, const char *what, const char *value, int error)
{
    if (c->why[0] == 0)
        snprintf(c->why, sizeof(c->why), "%s %.60s: %s", what, value, ub_strerror(error));
}

static void option(struct resolver_context *c, const char *name, const char *value)
{
    int error = ub_ctx_set_option(c->ub, name, value);

    if (error != 0)
        wrong(c, name, value, error);
}

static void option_number(struct resolver_context *c, const char *name, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    option(c, name, text);
}

/* "zone address" */
static void set_stub(struct resolver_context *c, char *text)
{
    char *blank = strchr(text, ' ');
    int error = UB_SYNTAX;

    if (blank != NULL && c->stub_cnt < BASE_ARRAY_CNT(c->stub)) {
        *blank = 0;
        if (dns_name_copy(c->stub[c->stub_cnt], base_span_str(text)) == 0)
            error = ub_ctx_set_stub(c->ub, c->stub[c->stub_cnt++], blank + 1, 0);
    }
    if (error != 0)
        wrong(c, "stub", text, error);
}

static void set_anchor(struct resolver_context *c, const char *text)
{
    int error = UB_SYNTAX;

    if (c->anchor_cnt < BASE_ARRAY_CNT(c->anchor)) {
        char owner[DNS_NAME_CAP];
        snprintf(owner, sizeof(owner), "%.*s", (int)strcspn(text, " \t"), text);
        if (dns_name_copy(c->anchor[c->anchor_cnt], base_span_str(owner)) != 0)
            c->anchor[c->anchor_cnt][0] = 0; /* the root */
        c->anchor_cnt++;
        error = ub_ctx_add_ta(c->ub, text);
    }
    if (error != 0)
        wrong(c, "trust anchor", text, error);
}

void resolver_context_set(struct resolver_context *c, enum dns_wire_key key, struct base_span text)
{
    char value[DNS_WIRE_TEXT_MAX + 1];
    int error = 0;

    memcpy(value, text.p, text.len);
    value[text.len] = 0;
    switch (key) {
    case DNS_WIRE_SERVER:
        error = ub_ctx_set_fwd(c->ub, value);
        if (error != 0)
            wrong(c, "server", value, error);
        break;
    case DNS_WIRE_STUB:
        set_stub(c, value);
        break;
    case DNS_WIRE_ANCHOR:
        set_anchor(c, value);
        break;
    case DNS_WIRE_CACHE:
        c->cache_bytes = strtoull(value, NULL, 10);
        break;
    case DNS_WIRE_LOOKUPS:
        c->lookups = (uint32_t)strtoul(value, NULL, 10);
        break;
    case DNS_WIRE_KEY_END:
        break;
    }
}

/* A zone that is asked of servers of its own is not in the public tree, as a rule: without a key of
 * its own it is taken unsigned. */
static void mark_insecure(struct resolver_context *c)
{
    char local[DNS_NAME_CAP + 16];

    for (uint32_t i = 0; i < c->stub_cnt; i++) {
        bool has_anchor = false;
        for (uint32_t j = 0; j < c->anchor_cnt; j++)
            has_anchor |= strcmp(c->stub[i], c->anchor[j]) == 0;
        if (!has_anchor)
            option(c, "domain-insecure:", c->stub[i]);
        /* libunbound denies names of private addresses by itself, unless one is told of. */
        snprintf(local, sizeof(local), "%s transparent", c->stub[i]);
        option(c, "local-zone:", local);
    }
}

int resolver_context_start(struct resolver_context *c)
{
    uint32_t lookups = c->lookups > 0 && c->lookups <= 4096 ? c->lookups : 256;

    /* The configuration names them, so they are meant. */
    option(c, "do-not-query-localhost:", "no");
    option_number(c, "num-queries-per-thread:", lookups);
    option_number(c, "outgoing-range:", lookups < 64 ? 64 : lookups > 512 ? 512 : lookups);
    /* Ten, its own default, are held by as many questions to a server that takes connections and
     * says no more. */
    option_number(c, "outgoing-num-tcp:", lookups < 64 ? lookups : 64);
    /* Nothing is taken from the additional section. An answer that has 1,000 hosts' addresses
     * there, each signed, would be given up as one that costs too much to validate
     * (CVE-2023-50387). */
    option(c, "val-clean-additional:", "no");
    option_number(c, "rrset-cache-size:", c->cache_bytes / 2);
    option_number(c, "msg-cache-size:", c->cache_bytes / 4);
    option_number(c, "key-cache-size:", c->cache_bytes / 8);
    option_number(c, "neg-cache-size:", c->cache_bytes / 8);
    mark_insecure(c);
    int error = ub_ctx_async(c->ub, 1); /* a thread: its fork would inherit what is ours */
    if (error != 0)
        wrong(c, "threads", "", error);
    /* Takes away what is not there: libunbound reads its settings now and not with the first
     * question. */
    error = ub_ctx_zone_remove(c->ub, "none.invalid");
    if (error != 0)
        wrong(c, "servers, stubs or", "trust anchors", error);
    /* Reads its configuration now: later no file can be opened. */
    OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
    return c->why[0] == 0 ? 0 : -EINVAL;
}
