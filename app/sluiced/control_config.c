/* config show: what the gateway runs by, and what waits for a restart. */
#include "control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The whole answer at once: a reload may come while it is being read. */
static void make_text(struct control *c, struct control_client *client)
{
    const struct settings_hub *hub = &c->config.gateway->hub;
    const struct conf_show show = {.conf = settings_current(&c->config.gateway->hub)->conf,
                                   .in_use = hub->started->conf,
                                   .changed = client->command.changed};
    FILE *out = open_memstream(&client->text, &client->text_len);

    client->text_at = 0;
    if (out == NULL)
        return;
    if (client->command.filter.json)
        conf_write_show_json(out, &show);
    else
        conf_write_show(out, &show);
    if (fclose(out) != 0) {
        free(client->text);
        client->text = NULL;
    }
}

void control_config_show(struct control *c, struct control_client *client)
{
    if (client->text == NULL)
        make_text(c, client);
    control_text_piece(client);
}
