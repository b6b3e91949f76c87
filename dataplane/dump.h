/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: rows of the GET_* messages. */
#ifndef SPW_DATAPLANE_DUMP_H
#define SPW_DATAPLANE_DUMP_H

#include "dataplane/control.h"

/*
 * Write the next row of a dump.
 * @cursor  where to go on; 0 at the start
 * @row     room for one reply element, zeroed
 * False when there are no more rows. API thread.
 */
typedef bool dp_dump(struct dp_control *c, uint32_t *cursor, void *row);

dp_dump dp_probe_row; /* of GET_PROBES */
/* The dump of a message number; NULL when it is none. */
dp_dump *dp_dump_of(uint16_t number);
/* What the hello and the status say about this build and process. */
void dp_describe(struct dp_control *c, struct spw_dp_hello_reply *out);

#endif
