/* What the files of the settings share. */
#ifndef SETTINGS_INTERNAL_H
#define SETTINGS_INTERNAL_H

#include "settings.h"

int settings_compare_text(struct base_span x, struct base_span y);

/* s->conf is set. False: no memory; what was made is freed by the other. */
bool settings_fill_destinations(struct settings *s);
void settings_free_destinations(struct settings *s);

#endif
