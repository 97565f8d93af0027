#include "auth_passwd.h"
#include "auth_passwd_pool.h"
#include "base_pool.h"
#include "base_siphash.h"

#include <errno.h>
#include <stdlib.h>

#include <openssl/crypto.h>

/* One exchange; x is NULL when it was cancelled while its hash was being made. */
struct own {
    struct auth_exchange *x;
    struct smtp_sasl sasl;
    struct auth_passwd_job job;
    bool working;                          /* the job is with the pool */
    bool decoy;                            /* whatever comes of it */
    char account[SMTP_SASL_LOGIN_MAX + 1]; /* the login as the file spells it */
};

struct auth_passwd {
    struct auth_passwd_settings settings;
    struct auth_passwd_table *table; /* NULL: none yet */
    struct auth_passwd_pool *pool;
    struct base_pool owns;
};

static void forget(struct auth_passwd *p, struct own *o)
{
    smtp_sasl_clear(&o->sasl);
    OPENSSL_cleanse(&o->job, sizeof(o->job));
    base_pool_put(&p->owns, o);
}

/* The last word, after which the exchange is gone. */
static void end(struct auth_passwd *p, struct own *o, enum auth_result result)
{
    struct auth_exchange *x = o->x;
    char login[SMTP_SASL_LOGIN_MAX + 1];
    const char *from = result == AUTH_ACCEPTED ? o->account : o->sasl.login;
    size_t len = strlen(from);

    memcpy(login, from, len);
    forget(p, o);
    x->own = NULL;
    p->settings.done.done(
        p->settings.done.user, x,
        &(struct auth_answer){.result = result, .login = base_span_of(login, len)});
}

static uint64_t random_of(const struct auth_passwd *p, const struct smtp_sasl *s)
{
    uint8_t folded[SMTP_SASL_LOGIN_MAX];

    for (size_t i = 0; i < s->login_len; i++) {
        uint8_t c = (uint8_t)s->login[i];
        folded[i] = (uint8_t)(c - 'A') < 26 ? (uint8_t)(c | 0x20) : c;
    }
    return base_siphash(p->settings.secret, folded, s->login_len);
}

static const struct auth_passwd_account *find(struct auth_passwd *p, struct own *o)
{
    const struct auth_passwd_account *a =
        auth_passwd_find(p->table, base_span_of(o->sasl.login, o->sasl.login_len));

    if (a != NULL && a->nologin)
        a = NULL;
    if (a != NULL)
        memcpy(o->account, a->login, strlen(a->login) + 1);
    return a;
}

static void check_password(struct auth_passwd *p, struct own *o)
{
    const struct auth_passwd_account *a = find(p, o);

    o->decoy = a == NULL;
    if (a == NULL)
        a = auth_passwd_decoy(p->table, random_of(p, &o->sasl), false);
    if (a == NULL)
        return end(p, o, AUTH_REFUSED);
    o->job = (struct auth_passwd_job){.password = o->sasl.password,
                                      .password_len = o->sasl.password_len};
    if (a->hash != NULL)
        memcpy(o->job.hash, a->hash, strlen(a->hash) + 1);
    else
        o->job.verifier = *a->verifier;
    o->working = true;
    if (!auth_passwd_pool_push(p->pool, &o->job)) {
        o->working = false;
        end(p, o, AUTH_BUSY);
    }
}

/* What a login without a verifier is shown: made of the login, and not to be told from a real one.
 */
static void make_decoy(struct auth_passwd *p, struct own *o, struct smtp_sasl_verifier *v)
{
    uint64_t random = random_of(p, &o->sasl);
    const struct auth_passwd_account *like = auth_passwd_decoy(p->table, random, true);

    *v = (struct smtp_sasl_verifier){.iterations = 4096, .salt_len = 16};
    if (like != NULL) {
        v->iterations = like->verifier->iterations;
        v->salt_len = like->verifier->salt_len;
    }
    for (uint8_t i = 0; i < v->salt_len; i++) {
        uint64_t in[2] = {random, i / 8};
        uint64_t bits = base_siphash(p->settings.secret, in, sizeof(in));
        v->salt[i] = (uint8_t)(bits >> i % 8 * 8);
    }
    p->settings.random(v->stored_key, sizeof(v->stored_key));
}

static void step(struct auth_passwd *p, struct own *o, enum smtp_sasl_step s, struct base_buf *out)
{
    struct smtp_sasl_verifier decoy;

    if (s == SMTP_SASL_VERIFIER) {
        const struct auth_passwd_account *a = find(p, o);
        bool known = a != NULL && a->verifier != NULL;
        if (!known)
            make_decoy(p, o, &decoy);
        s = smtp_sasl_verify(&o->sasl, known ? a->verifier : &decoy, known, out);
    }
    switch (s) {
    case SMTP_SASL_CHALLENGE: {
        struct auth_answer a = {.result = AUTH_CHALLENGE, .challenge = base_buf_span(out)};
        return p->settings.done.done(p->settings.done.user, o->x, &a);
    }
    case SMTP_SASL_PASSWORD:
        return check_password(p, o);
    case SMTP_SASL_ACCOUNT:
        return end(p, o, find(p, o) != NULL ? AUTH_ACCEPTED : AUTH_REFUSED);
    case SMTP_SASL_ACCEPTED:
        return end(p, o, AUTH_ACCEPTED);
    case SMTP_SASL_REFUSED:
        return end(p, o, AUTH_REFUSED);
    default:
        return end(p, o, AUTH_MALFORMED);
    }
}

static void push(struct auth_passwd *p, struct own *o, struct base_span response)
{
    uint8_t challenge[SMTP_SASL_CHALLENGE_MAX];
    struct base_buf out = {challenge, 0, sizeof(challenge)};

    step(p, o, smtp_sasl_push(&o->sasl, response, &out), &out);
}

static void begin(void *state, struct auth_exchange *x, struct base_span response)
{
    struct auth_passwd *p = state;
    struct own *o = p->table != NULL ? base_pool_get(&p->owns) : NULL;

    if (o == NULL) {
        struct auth_answer a = {.result = p->table != NULL ? AUTH_BUSY : AUTH_UNAVAILABLE};
        return p->settings.done.done(p->settings.done.user, x, &a);
    }
    struct smtp_sasl_facts facts = {
        .plus_offered = x->plus_offered, .bound = x->bound, .identity = x->identity};
    memcpy(facts.binding, x->binding, sizeof(facts.binding));
    p->settings.random(facts.random, sizeof(facts.random));
    smtp_sasl_init(&o->sasl, (enum smtp_sasl_mechanism)x->mechanism, &facts);
    o->x = x;
    x->own = o;
    push(p, o, response);
}

static void resume(void *state, struct auth_exchange *x, struct base_span response)
{
    struct own *o = x->own;

    if (o != NULL && !o->working) /* else it speaks out of turn: the answer comes anyway */
        push(state, o, response);
}

static void cancel(void *state, struct auth_exchange *x)
{
    struct own *o = x->own;

    if (o == NULL)
        return;
    x->own = NULL;
    o->x = NULL;
    if (!o->working)
        forget(state, o);
}

static int wait_fd(void *state)
{
    return auth_passwd_pool_fd(((struct auth_passwd *)state)->pool);
}

static void run(void *state, uint64_t now_ns)
{
    struct auth_passwd *p = state;
    struct auth_passwd_job *job;

    (void)now_ns;
    while ((job = auth_passwd_pool_pop(p->pool)) != NULL) {
        struct own *o = base_container_of(job, struct own, job);
        o->working = false;
        if (o->x == NULL)
            forget(p, o);
        else
            end(p, o, job->matches && !o->decoy ? AUTH_ACCEPTED : AUTH_REFUSED);
    }
}

static const struct auth_driver_ops ops = {
    .name = "passwd",
    .begin = begin,
    .resume = resume,
    .cancel = cancel,
    .wait_fd = wait_fd,
    .run = run,
};

int auth_passwd_open(struct auth_passwd **out, const struct auth_passwd_settings *settings)
{
    struct auth_passwd *p = calloc(1, sizeof(*p));

    if (p == NULL)
        return -ENOMEM;
    p->settings = *settings;
    int error = base_pool_init(&p->owns, settings->exchange_max, sizeof(struct own), 16,
                               sizeof(struct own));
    if (error == 0)
        error = auth_passwd_pool_open(&p->pool, settings->thread_cnt, settings->job_max);
    if (error != 0) {
        auth_passwd_close(p);
        return error;
    }
    *out = p;
    return 0;
}

void auth_passwd_close(struct auth_passwd *p)
{
    if (p->pool != NULL)
        auth_passwd_pool_close(p->pool);
    if (p->owns.memory != NULL) {
        p->owns.free_cnt = p->owns.object_cnt; /* exchanges end with the driver */
        base_pool_fini(&p->owns);
    }
    auth_passwd_free(p->table);
    free(p);
}

void auth_passwd_use(struct auth_passwd *p, struct auth_passwd_table *table)
{
    auth_passwd_free(p->table);
    p->table = table;
}

struct auth_driver auth_passwd_driver(struct auth_passwd *p)
{
    return (struct auth_driver){&ops, p};
}
