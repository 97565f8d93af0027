#include "web_command.h"
#include "web_http.h"

#define LISTEN "127.0.0.1:8025"

int web_command_run(const struct command_call *call)
{
    const char *listen = command_option_value(call, "--listen");
    const struct web_options options = {
        .socket_path = call->socket,
        .listen = listen != NULL ? listen : LISTEN,
        .host = command_option_value(call, "--host"),
        .certificate = command_option_value(call, "--certificate"),
        .key = command_option_value(call, "--key"),
        .password_file = command_option_value(call, "--password-file"),
        .read_only = command_option_value(call, "--read-only") != NULL,
    };

    return web_http_serve(&options);
}
