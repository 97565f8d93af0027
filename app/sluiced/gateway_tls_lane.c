/* Each lane's engine, its limits, and who does the operations with our private keys. */
#include "gateway_tls.h"
#include "keyop_inline.h"
#include "keyop_pool.h"

#include <errno.h>
#include <stdlib.h>

#define STEP_MAX       8   /* handshake steps in a pass: 1 to 3 ms, for which others wait */
#define STEP_MAX_POOL  16  /* likewise, when none of them signs */
#define KEY_QUEUE_MAX  64  /* of a lane at one key thread: 15 ms of RSA; the rings hold as many */
#define KEY_PARKED_MAX 256 /* jobs of a lane, of 32 KiB each, made as they are needed */

/* Whether any listener has TLS. */
static bool wanted(const struct settings *s)
{
    for (uint32_t i = 0; i < s->conf->listener_cnt; i++)
        if (s->listeners[i].tls != CONF_TLS_NONE)
            return true;
    return false;
}

uint32_t gateway_tls_key_threads(const struct settings *s)
{
    return wanted(s) && s->conf->tls.key_operations == CONF_KEY_POOL
               ? (uint32_t)s->conf->tls.key_threads
               : 0;
}

/* A key thread has something for a lane that may sleep. */
static void wake_lane(void *arg, uint32_t lane)
{
    doorbell_ring(&((struct topology *)arg)->lane_bell[lane]);
}

int gateway_tls_open_pool(struct gateway_tls *t, struct topology *topology)
{
    const struct conf *conf = t->started->conf;
    int cpus[TOPOLOGY_KEYOP_MAX];
    struct keyop_pool_settings s = {
        .lane_cnt = topology->lane_cnt,
        .thread_cnt = topology->keyop_cnt,
        .queue_max = KEY_QUEUE_MAX,
        .cpus = conf->tls.key_cpus.cnt > 0 ? cpus : NULL,
        .wake = wake_lane,
        .wake_arg = topology,
        .to = topology->ring[TOPOLOGY_LANE_KEYOP],
        .from = topology->ring[TOPOLOGY_KEYOP_LANE],
        .stats = topology_stats(topology, TOPOLOGY_KEYOP, 0),
    };

    for (uint32_t i = 0; i < conf->tls.key_cpus.cnt; i++)
        cpus[i] = atoi(conf->tls.key_cpus.item[i]); /* conf_parse has checked */
    t->pool = keyop_pool_open(&s);
    return t->pool != NULL ? 0 : -EAGAIN;
}

void gateway_tls_close_pool(struct gateway_tls *t)
{
    if (t->pool != NULL)
        keyop_pool_close(t->pool);
    t->pool = NULL;
}

/* The lane's driver of private-key operations; ops NULL when memory is short. */
static struct tls_keyop_driver driver_of(struct gateway_tls *t, uint32_t lane)
{
    if (t->pool != NULL)
        return (struct tls_keyop_driver){&keyop_pool_ops, keyop_pool_lane(t->pool, lane)};
    t->driver[lane] = keyop_inline_open(false, 0);
    return (struct tls_keyop_driver){t->driver[lane] != NULL ? &keyop_inline_ops : NULL,
                                     t->driver[lane]};
}

void gateway_tls_close_lane(struct gateway_tls *t, uint32_t i)
{
    if (t->lane[i] != NULL) {
        if (t->lane[i]->engine != NULL)
            tls_lane_fini(t->lane[i]->engine);
        lane_tls_fini(t->lane[i]);
    }
    if (t->driver[i] != NULL)
        keyop_inline_close(t->driver[i]);
    free(t->lane[i]);
    t->lane[i] = NULL;
    t->driver[i] = NULL;
}

int gateway_tls_open_lane(struct gateway_tls *t, uint32_t i, struct topology *topology,
                          const uint8_t key[16])
{
    const struct conf *conf = t->started->conf;
    uint64_t max = conf->tls.handshakes;
    struct tls_lane_settings s = {
        .connection_max = (uint32_t)conf->tcp.connections,
        .handshake_max = (uint32_t)(max < conf->tcp.connections ? max : conf->tcp.connections),
        .session_max = (uint32_t)conf->tls.client_sessions,
        .step_max = t->pool != NULL ? STEP_MAX_POOL : STEP_MAX,
        .keyop = driver_of(t, i),
        .keyop_wakes = t->pool != NULL,
        .stats = topology_stats(topology, TOPOLOGY_LANE, i),
    };

    s.parked_max = t->pool == NULL                    ? 0
                   : s.handshake_max < KEY_PARKED_MAX ? s.handshake_max
                                                      : KEY_PARKED_MAX;
    t->lane[i] = aligned_alloc(64, sizeof(*t->lane[i]));
    if (t->lane[i] != NULL)
        memset(t->lane[i], 0, sizeof(*t->lane[i]));
    if (s.keyop.ops != NULL && t->lane[i] != NULL &&
        lane_tls_init(t->lane[i], s.handshake_max, key) == 0)
        t->lane[i]->engine = tls_lane_init(&s);
    if (t->lane[i] != NULL && t->lane[i]->engine != NULL)
        return 0;
    gateway_tls_close_lane(t, i);
    return -ENOMEM;
}
