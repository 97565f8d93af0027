/* The server of the web page: its options, its files, its token (web_http.h). */
#include "web_internal.h"
#include "command.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define FIRST_S    10 /* who has not shown that he may */
#define OF_ONE_MAX 16 /* connections of an address, where others can reach us, or of a user */
#define LOOK_S     2

static void end_work(void *user)
{
    struct web *w = user;

    web_work_pause(w->work, true);
}

/* Files that changed are read again, and the server begins anew, though not while a change is under
 * way; those that are no good stay out. */
static bool look_at_files(void *user)
{
    struct web *w = user;
    const struct web_options *o = w->options;
    char why[WEB_SECRET_WHY_CAP];
    uint64_t looks;

    if (++w->ticks % LOOK_S != 0)
        return false;
    looks = web_secret_looks(o->certificate, o->key, o->password_file);
    if (looks == w->secret.looks || looks == w->refused_looks)
        return false;
    w->restarts = true; /* before the count is looked at: a change that comes sees it */
    if (w->change_cnt > 0) {
        w->restarts = false;
        return false;
    }
    if (web_secret_read(&w->fresh, o->certificate, o->key, o->password_file, why))
        return true;
    w->restarts = false;
    w->refused_looks = looks;
    fprintf(stderr, "sluicectl: web: what was read before stays in use: %s\n", why);
    return false;
}

static bool make_token(char token[WEB_TOKEN_CAP])
{
    uint8_t bytes[(WEB_TOKEN_CAP - 1) / 2];

    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        return false;
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(token + 2 * i, 3, "%02x", bytes[i]);
    return true;
}

static int wrong_use(const char *text, const char *listen)
{
    fprintf(stderr, "sluicectl: web --listen %s: %s\n", listen, text);
    return COMMAND_WRONG_USE;
}

static int run(struct web *w, struct http_config *config)
{
    const struct web_options *o = w->options;
    char why[WEB_SECRET_WHY_CAP];
    int status = HTTP_SERVE_AGAIN;

    snprintf(w->what, sizeof(w->what), "web page at http%s://%s/%s",
             o->certificate != NULL ? "s" : "", o->listen,
             o->password_file == NULL ? ", for root and who started this" : "");
    config->what = w->what;
    if (!web_secret_read(&w->fresh, o->certificate, o->key, o->password_file, why)) {
        fprintf(stderr, "sluicectl: web: %s\n", why);
        return COMMAND_WRONG_USE;
    }
    while (status == HTTP_SERVE_AGAIN) {
        web_secret_free(&w->secret);
        w->secret = w->fresh; /* what was read, whatever the files hold by now */
        w->fresh = (struct web_secret){0};
        config->certificate = w->secret.certificate;
        config->key = w->secret.key;
        web_work_pause(w->work, false);
        w->restarts = false;
        status = http_serve(config);
    }
    return status;
}

int web_http_serve(const struct web_options *o)
{
    struct web w = {.options = o, .sudo_uid = -1};
    struct http_config config = {.listen = o->listen,
                                 .handle = web_handle,
                                 .completed = web_completed,
                                 .user = &w,
                                 .first_s = FIRST_S,
                                 .suspends = true,
                                 .tick = look_at_files,
                                 .ends = end_work};
    const char *sudo = getenv("SUDO_UID");
    bool loopback, tls = o->certificate != NULL && o->key != NULL;

    if (!http_read_address(o->listen, &config.address, &loopback))
        return wrong_use("that is no address: 127.0.0.1:8025, [::1]:8025", o->listen);
    if ((o->certificate != NULL) != (o->key != NULL))
        return wrong_use("--certificate and --key go together", o->listen);
    if (!loopback && (!tls || o->password_file == NULL))
        return wrong_use("other machines can reach it: give --certificate FILE, --key FILE and "
                         "--password-file FILE; or listen at 127.0.0.1:8025, and reach that by "
                         "ssh -L 8025:127.0.0.1:8025 THIS-MACHINE",
                         o->listen);
    if (sudo != NULL && sudo[0] >= '0' && sudo[0] <= '9')
        w.sudo_uid = strtol(sudo, NULL, 10);
    config.places_of_one = loopback ? 0 : OF_ONE_MAX;
    config.places_of_user = OF_ONE_MAX;
    web_guess_init(&w.guess, http_now_ms());
    if (!make_token(w.token) || (w.work = web_work_start(o->socket_path)) == NULL) {
        fputs("sluicectl: web: memory is short\n", stderr);
        return COMMAND_UNREACHABLE;
    }
    int status = run(&w, &config);
    web_work_stop(w.work);
    web_secret_free(&w.secret);
    return status;
}
