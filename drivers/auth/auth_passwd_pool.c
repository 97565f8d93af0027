#include "auth_passwd_pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <crypt.h>
#include <openssl/crypto.h>

struct list {
    struct auth_passwd_job *first, **last;
};

struct auth_passwd_pool {
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t more;
    struct list waiting, done;
    uint32_t job_cnt, job_max; /* pushed and not popped */
    bool stop;
    /* The owner's. */
    int fd;
    uint32_t thread_cnt;
    pthread_t threads[];
};

static void list_init(struct list *l)
{
    l->first = NULL;
    l->last = &l->first;
}

static void list_put(struct list *l, struct auth_passwd_job *job)
{
    job->next = NULL;
    *l->last = job;
    l->last = &job->next;
}

static struct auth_passwd_job *list_take(struct list *l)
{
    struct auth_passwd_job *job = l->first;

    if (job == NULL)
        return NULL;
    l->first = job->next;
    if (l->first == NULL)
        l->last = &l->first;
    return job;
}

static void check_crypt(struct auth_passwd_job *job, struct crypt_data *data)
{
    memset(data, 0, sizeof(*data));
    const char *made = crypt_rn(job->password, job->hash, data, sizeof(*data));
    size_t len = strlen(job->hash);
    /* crypt_rn gives no hash that begins like a failed one's. */
    job->matches = made != NULL && made[0] != '*' && strlen(made) == len &&
                   CRYPTO_memcmp(made, job->hash, len) == 0;
    OPENSSL_cleanse(data, sizeof(*data));
}

static void check_verifier(struct auth_passwd_job *job)
{
    struct smtp_sasl_verifier made = job->verifier;

    job->matches =
        smtp_sasl_derive(&made, base_span_of(job->password, job->password_len)) == 0 &&
        CRYPTO_memcmp(made.stored_key, job->verifier.stored_key, sizeof(made.stored_key)) == 0;
    OPENSSL_cleanse(&made, sizeof(made));
}

static void *work(void *arg)
{
    static const uint64_t one = 1;
    struct auth_passwd_pool *p = arg;
    struct crypt_data *data = malloc(sizeof(*data));

    pthread_mutex_lock(&p->lock);
    while (!p->stop && data != NULL) {
        struct auth_passwd_job *job = list_take(&p->waiting);
        if (job == NULL) {
            pthread_cond_wait(&p->more, &p->lock);
            continue;
        }
        pthread_mutex_unlock(&p->lock);
        if (job->hash[0] != 0)
            check_crypt(job, data);
        else
            check_verifier(job);
        pthread_mutex_lock(&p->lock);
        list_put(&p->done, job);
        while (write(p->fd, &one, sizeof(one)) < 0 && errno == EINTR)
            ;
    }
    pthread_mutex_unlock(&p->lock);
    free(data);
    return NULL;
}

int auth_passwd_pool_open(struct auth_passwd_pool **out, uint32_t threads, uint32_t job_max)
{
    struct auth_passwd_pool *p = calloc(1, sizeof(*p) + threads * sizeof(p->threads[0]));

    if (p == NULL)
        return -ENOMEM;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->more, NULL);
    list_init(&p->waiting);
    list_init(&p->done);
    p->job_max = job_max;
    p->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int error = p->fd < 0 ? -errno : 0;
    for (uint32_t i = 0; i < threads && error == 0; i++) {
        error = -pthread_create(&p->threads[i], NULL, work, p);
        p->thread_cnt += error == 0;
    }
    if (error != 0) {
        auth_passwd_pool_close(p);
        return error;
    }
    *out = p;
    return 0;
}

void auth_passwd_pool_close(struct auth_passwd_pool *p)
{
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->more);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->thread_cnt; i++)
        pthread_join(p->threads[i], NULL);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->more);
    if (p->fd >= 0)
        close(p->fd);
    free(p);
}

bool auth_passwd_pool_push(struct auth_passwd_pool *p, struct auth_passwd_job *job)
{
    pthread_mutex_lock(&p->lock);
    bool room = p->job_cnt < p->job_max;
    if (room) {
        p->job_cnt++;
        list_put(&p->waiting, job);
        pthread_cond_signal(&p->more);
    }
    pthread_mutex_unlock(&p->lock);
    return room;
}

struct auth_passwd_job *auth_passwd_pool_pop(struct auth_passwd_pool *p)
{
    uint64_t count;

    pthread_mutex_lock(&p->lock);
    struct auth_passwd_job *job = list_take(&p->done);
    p->job_cnt -= job != NULL;
    if (job == NULL && read(p->fd, &count, sizeof(count)) < 0)
        job = NULL; /* EAGAIN: nothing was done since */
    pthread_mutex_unlock(&p->lock);
    return job;
}

int auth_passwd_pool_fd(const struct auth_passwd_pool *p)
{
    return p->fd;
}
