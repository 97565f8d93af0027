/* Text of an answer, appended to a request's piece; what does not fit is left out. */
#ifndef COURIER_PRINT_H
#define COURIER_PRINT_H

#include "courier_request.h"

#include <inttypes.h>

__attribute__((format(printf, 2, 3))) void courier_print(struct courier_request *r,
                                                         const char *format, ...);
void courier_print_text(struct courier_request *r, const char *text);
void courier_print_number(struct courier_request *r, uint64_t n);
/* What is not shown, a space or a backslash as \xNN (base_utf8_take). */
void courier_print_span(struct courier_request *r, struct base_span s);
/* Likewise, but spaces stand as they are: a sentence. */
void courier_print_words(struct courier_request *r, struct base_span s);
/* As a JSON string (base_json.h). */
void courier_print_json(struct courier_request *r, struct base_span s);
/* A time as RFC 3339. */
void courier_print_time(struct courier_request *r, uint64_t wall_ns);

#endif
