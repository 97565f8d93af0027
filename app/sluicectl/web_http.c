#include "web_internal.h"
#include "http_server.h"
#include "web_access.h"
#include "web_files.h"
#include "web_queue.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RENEW_MS 30000 /* then a connection ends with its answer, long before its place does */

/* A request, from its head to its answer. */
struct web_call {
    struct web_request request; /* of /api */
    struct MHD_PostProcessor *form;
    size_t form_len;
    bool pushed, too_much, counted;
};

/* ---- answers ---- */

static enum MHD_Result send_answer(struct MHD_Connection *c, unsigned status,
                                   struct MHD_Response *r)
{
    static const char *const headers[][2] = {
        {"Content-Security-Policy",
         "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src "
         "'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
         "require-trusted-types-for 'script'; trusted-types 'none'"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
    };
    enum MHD_Result done = MHD_NO;

    if (r == NULL)
        return MHD_NO;
    for (size_t i = 0; i < BASE_ARRAY_CNT(headers); i++)
        (void)MHD_add_response_header(r, headers[i][0], headers[i][1]);
    if (http_now_ms() - http_peer_of(c)->since_ms > RENEW_MS)
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONNECTION, "close");
    done = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return done;
}

static enum MHD_Result say(struct MHD_Connection *c, unsigned status, const char *text)
{
    struct MHD_Response *r = http_say(text);

    if (r != NULL && status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD, POST");
    if (r != NULL && status == MHD_HTTP_UNAUTHORIZED)
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
                                      "Basic realm=\"Sluice, any user name\", charset=\"UTF-8\"");
    if (r != NULL && status == MHD_HTTP_TOO_MANY_REQUESTS)
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_RETRY_AFTER, "12");
    return send_answer(c, status, r);
}

/* ---- who may ---- */

static const char *header(struct MHD_Connection *c, const char *name)
{
    return MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
}

/* No name of somebody else's: a page of his could have been led here by the DNS. Addresses are none
 * that he could have. */
static bool host_is_ours(const struct web *w, struct MHD_Connection *c)
{
    const char *field = header(c, MHD_HTTP_HEADER_HOST);
    char host[WEB_HOST_CAP];
    bool literal;

    if (field == NULL || !web_host_read(host, field, &literal))
        return false;
    return literal || strcmp(host, "localhost") == 0 ||
           (w->options->host != NULL && strcasecmp(host, w->options->host) == 0) ||
           (w->secret.leaf != NULL && gnutls_x509_crt_check_hostname(w->secret.leaf, host) != 0);
}

/* Without a password: root, who started us, and who became root to do so. */
static bool user_may(const struct web *w, struct http_peer *p)
{
    return http_peer_find_user(p) &&
           (p->uid == 0 || p->uid == geteuid() ||
            (geteuid() == 0 && w->sudo_uid >= 0 && p->uid == (uint32_t)w->sudo_uid));
}

/* Returns 0 when the password is right; or the status to answer. */
static unsigned password_status(struct web *w, struct MHD_Connection *c, struct http_peer *p)
{
    char *password = NULL;
    uint64_t now_ms = http_now_ms();
    const uint32_t *uid = http_peer_find_user(p) ? &p->uid : NULL;
    struct web_guess_client *client = web_guess_client(&w->guess, &p->address, uid, now_ms);
    char *user = MHD_basic_auth_get_username_password(c, &password);
    unsigned status = MHD_HTTP_UNAUTHORIZED;

    if (user != NULL && password != NULL && !web_guess_may(&w->guess, client, now_ms)) {
        status = MHD_HTTP_TOO_MANY_REQUESTS;
    } else if (user != NULL && password != NULL) {
        bool right = web_password_eq(w->secret.password, password);
        web_guess_told(&w->guess, client, right);
        status = right ? 0 : status;
    }
    if (password != NULL)
        explicit_bzero(password, strlen(password));
    MHD_free(user);
    MHD_free(password);
    return status;
}

/* Whether the request is taken; else *done is what was made of its answer. */
static bool is_admitted(struct web *w, struct MHD_Connection *c, enum MHD_Result *done)
{
    struct http_peer *p = http_peer_of(c);
    char text[256];
    unsigned status;

    if (p->fd < 0) {
        *done = say(c, MHD_HTTP_SERVICE_UNAVAILABLE, "too many clients at a time, try again\n");
        return false;
    }
    if (!host_is_ours(w, c)) {
        *done = say(c, MHD_HTTP_FORBIDDEN,
                    "this server is not known by that name: ask for it by its address or as "
                    "localhost, or start it with --host NAME\n");
        return false;
    }
    if (w->options->password_file != NULL) {
        status = password_status(w, c, p);
        if (status == MHD_HTTP_TOO_MANY_REQUESTS)
            *done = say(c, status, "too many wrong passwords: try again in a minute\n");
        else if (status != 0)
            *done = say(c, status, "the password, please\n");
    } else {
        status = user_may(w, p) ? 0 : MHD_HTTP_FORBIDDEN;
        snprintf(text, sizeof(text),
                 "without a password this page is for root and for the user who started it (uid "
                 "%u), and whose connection this is %s: start it with --password-file FILE to let "
                 "others in\n",
                 geteuid(), p->known ? "is somebody else" : "cannot be told");
        if (status != 0)
            *done = say(c, status, text);
    }
    if (status == 0)
        p->trusted = true;
    return status == 0;
}

/* ---- requests ---- */

static void free_call(struct web_call *call)
{
    struct web_request *r = &call->request;

    for (int f = 0; f < WEB_FIELD_CNT; f++)
        free(r->field[f]);
    for (uint32_t i = 0; i < r->id_cnt; i++)
        free(r->id[i]);
    free(r->text);
    if (call->form != NULL)
        MHD_destroy_post_processor(call->form);
    free(call);
}

void web_completed(void *user, struct MHD_Connection *c, void **own,
                   enum MHD_RequestTerminationCode why)
{
    struct web *w = user;
    struct web_call *call = *own;

    (void)c, (void)why;
    if (call == NULL)
        return;
    if (call->counted)
        w->change_cnt--;
    free_call(call);
    *own = NULL;
}

/* Adds a piece of a value. Returns false: that is more than anybody needs. */
static bool add_value(struct web_request *r, const char *key, const char *data, uint64_t at,
                      size_t len)
{
    char **value = NULL;

    for (int f = 0; f < WEB_FIELD_CNT; f++)
        if (strcmp(key, web_field_names[f]) == 0)
            value = &r->field[f];
    if (value == NULL) { /* another version's */
        r->unclear = true;
        return true;
    }
    if (value == &r->field[WEB_ID] && r->kind == WEB_CHANGE) {
        if (at == 0 && r->id_cnt == WEB_ID_MAX)
            return false;
        r->id_cnt += at == 0;
        value = &r->id[r->id_cnt - 1];
    } else if (at == 0 && *value != NULL) {
        r->unclear |= **value != 0;
    }
    size_t had = at > 0 && *value != NULL ? strlen(*value) : 0;
    char *grown = had + len <= WEB_FORM_MAX ? realloc(*value, had + len + 1) : NULL;
    if (grown == NULL)
        return false;
    memcpy(grown + had, data, len);
    grown[had + len] = 0;
    *value = grown;
    return true;
}

static enum MHD_Result add_argument(void *user, enum MHD_ValueKind kind, const char *key,
                                    const char *value)
{
    struct web_call *call = user;

    (void)kind;
    if (key != NULL && value != NULL)
        call->too_much |= !add_value(&call->request, key, value, 0, strlen(value));
    return MHD_YES;
}

static enum MHD_Result add_form(void *user, enum MHD_ValueKind kind, const char *key,
                                const char *file, const char *type, const char *encoding,
                                const char *data, uint64_t at, size_t len)
{
    struct web_call *call = user;

    (void)kind, (void)file, (void)type, (void)encoding;
    if (key == NULL)
        call->request.unclear = true;
    else
        call->too_much |= !add_value(&call->request, key, data, at, len);
    return MHD_YES;
}

/* ---- the JSON ---- */

static const struct {
    const char *path;
    enum web_kind kind;
} paths[] = {
    {"/api/live", WEB_LIVE},       {"/api/state", WEB_STATE},   {"/api/queue", WEB_QUEUE},
    {"/api/message", WEB_MESSAGE}, {"/api/change", WEB_CHANGE},
};

/* An object, or its members behind ours where it is LIVE. */
static enum MHD_Result send_json(const struct web *w, struct MHD_Connection *c,
                                 const struct web_request *r, const char *members, size_t len)
{
    char *text = NULL;
    size_t text_len = 0;
    FILE *out = open_memstream(&text, &text_len);

    if (out == NULL)
        return MHD_NO;
    fputc('{', out);
    if (r->kind == WEB_LIVE)
        fprintf(out, "\"token\":\"%s\",\"read_only\":%s,", w->token,
                w->options->read_only ? "true" : "false");
    fwrite(members, 1, len, out);
    fputc('}', out);
    if (fclose(out) != 0) {
        free(text);
        return MHD_NO;
    }
    return send_answer(c, MHD_HTTP_OK, http_response(text, text_len, "application/json"));
}

/* Said by the service, journald and the like; the gateway's log has the messages. */
static void tell_change(const struct http_peer *p, const struct web_request *r)
{
    char address[INET6_ADDRSTRLEN] = "";
    const void *from = p->address.ss_family == AF_INET6
                           ? (const void *)&((const struct sockaddr_in6 *)&p->address)->sin6_addr
                           : (const void *)&((const struct sockaddr_in *)&p->address)->sin_addr;

    (void)inet_ntop(p->address.ss_family, from, address, sizeof(address));
    fprintf(stderr, "sluicectl: web: %s: %s %s (%u): %s\n", address, r->field[WEB_VERB],
            r->field[WEB_WHICH], r->id_cnt, r->text);
}

static enum MHD_Result send_answered(const struct web *w, struct MHD_Connection *c,
                                     const struct web_request *r)
{
    if (r->text == NULL || r->len < 2)
        return say(c, MHD_HTTP_SERVICE_UNAVAILABLE, "the server ends, or is short of memory\n");
    if (r->refused)
        return say(c, MHD_HTTP_CONFLICT, r->text);
    if (r->kind == WEB_CHANGE)
        tell_change(http_peer_of(c), r);
    return send_json(w, c, r, r->text + 1, r->len - 2);
}

/* What it waited is not its fault: it has RENEW_MS for the answer, which ends it. */
static void end_wait(struct http_peer *p)
{
    uint64_t least_ms = http_now_ms() - RENEW_MS - 1;

    p->waits = false;
    if (p->since_ms < least_ms)
        p->since_ms = least_ms;
}

/* The last call for a request, or the one after it was answered. */
static enum MHD_Result run_call(struct web *w, struct MHD_Connection *c, struct web_call *call)
{
    struct web_request *r = &call->request;
    char *text = NULL;
    size_t len = 0;

    if (r->done) {
        end_wait(http_peer_of(c));
        return send_answered(w, c, r);
    }
    if (call->pushed) /* called for something else */
        return MHD_YES;
    if (r->kind != WEB_CHANGE)
        MHD_get_connection_values(c, MHD_GET_ARGUMENT_KIND, add_argument, call);
    if (call->too_much)
        return say(c, MHD_HTTP_CONTENT_TOO_LARGE, "that is more than a request may have\n");
    const char *wrong = r->kind == WEB_CHANGE ? web_queue_wrong(r) : NULL;
    if (wrong != NULL)
        return say(c, MHD_HTTP_BAD_REQUEST, wrong);
    if (r->kind == WEB_LIVE || r->kind == WEB_STATE) {
        FILE *out = open_memstream(&text, &len);
        bool seen = out != NULL && web_work_seen(w->work, r->kind, r->field[WEB_AFTER], out);
        if (out != NULL && fclose(out) == 0 && seen) {
            enum MHD_Result done = send_json(w, c, r, text, len);
            free(text);
            return done;
        }
        free(text);
    }
    r->connection = c;
    call->pushed = true;
    call->counted = r->kind == WEB_CHANGE;
    w->change_cnt += call->counted;
    http_peer_of(c)->waits = true;
    if (!w->restarts && web_work_push(w->work, r))
        return MHD_YES;
    http_peer_of(c)->waits = false;
    return say(c, MHD_HTTP_SERVICE_UNAVAILABLE, "too many questions at a time, try again\n");
}

/* Of a change: asked by our page, with its token. */
static const char *change_refusal(const struct web *w, struct MHD_Connection *c)
{
    const char *token = header(c, "X-Sluice-Token");
    const char *len = header(c, MHD_HTTP_HEADER_CONTENT_LENGTH);

    if (w->options->read_only)
        return "this page was started with --read-only\n";
    if (token == NULL || !web_password_eq(w->token, token))
        return "no change without the token of this run: reload the page\n";
    if (len == NULL || strlen(len) > 5 || strtoul(len, NULL, 10) > WEB_FORM_MAX)
        return "a change has a Content-Length of at most 16384\n";
    return NULL;
}

static enum MHD_Result begin_call(const struct web *w, struct MHD_Connection *c, const char *url,
                                  const char *method, void **own)
{
    bool post = strcmp(method, MHD_HTTP_METHOD_POST) == 0;
    size_t i = 0;

    while (i < BASE_ARRAY_CNT(paths) && strcmp(url, paths[i].path) != 0)
        i++;
    if (i == BASE_ARRAY_CNT(paths))
        return say(c, MHD_HTTP_NOT_FOUND, "there is nothing of that name\n");
    if (post != (paths[i].kind == WEB_CHANGE))
        return say(c, MHD_HTTP_METHOD_NOT_ALLOWED, "changes are posted, all else is got\n");
    if (!web_same_origin(header(c, "Sec-Fetch-Site"), header(c, MHD_HTTP_HEADER_ORIGIN),
                         header(c, MHD_HTTP_HEADER_HOST)))
        return say(c, MHD_HTTP_FORBIDDEN, "another site may not ask\n");
    const char *wrong = post ? change_refusal(w, c) : NULL;
    if (wrong != NULL)
        return say(c, MHD_HTTP_FORBIDDEN, wrong);
    struct web_call *call = calloc(1, sizeof(*call));
    if (call == NULL)
        return MHD_NO;
    call->request.kind = paths[i].kind;
    *own = call;
    if (!post)
        return MHD_YES;
    call->form = MHD_create_post_processor(c, 1024, add_form, call);
    return call->form != NULL ? MHD_YES : say(c, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "send a form\n");
}

static enum MHD_Result send_file(struct MHD_Connection *c, const char *url, const char *method)
{
    const struct web_file *f = web_files;

    while (f->path != NULL && strcmp(f->path, url) != 0)
        f++;
    if (f->path == NULL)
        return say(c, MHD_HTTP_NOT_FOUND, "there is nothing of that name\n");
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return say(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD are understood\n");
    struct MHD_Response *r = MHD_create_response_from_buffer(f->len, (void *)(uintptr_t)f->bytes,
                                                             MHD_RESPMEM_PERSISTENT);
    if (r != NULL) {
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, f->type);
        (void)MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
    }
    return send_answer(c, MHD_HTTP_OK, r);
}

enum MHD_Result web_handle(void *user, struct MHD_Connection *c, const char *url,
                           const char *method, const char *version, const char *upload,
                           size_t *upload_len, void **own)
{
    struct web *w = user;
    struct web_call *call = *own;
    enum MHD_Result done;

    (void)version;
    if (call == NULL) {
        if (!is_admitted(w, c, &done))
            return done;
        return strncmp(url, "/api/", 5) == 0 ? begin_call(w, c, url, method, own)
                                             : send_file(c, url, method);
    }
    if (*upload_len > 0) {
        call->form_len += *upload_len;
        call->too_much |= call->form_len > WEB_FORM_MAX;
        if (call->form != NULL && !call->too_much)
            call->request.unclear |= MHD_post_process(call->form, upload, *upload_len) != MHD_YES;
        *upload_len = 0;
        return MHD_YES;
    }
    return run_call(w, c, call);
}
