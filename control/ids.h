/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: numbers of data plane objects that survive a restart of this process. */
#ifndef SPW_CONTROL_IDS_H
#define SPW_CONTROL_IDS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/spillway.h"

enum ctl_id_class {
	CTL_ID_PORT,
	CTL_ID_IFACE,
	CTL_ID_TUNNEL,
	CTL_ID_PATH,
	CTL_ID_GROUP,
	CTL_ID_BFD,
	CTL_ID_PROBE,
	CTL_ID_CLASSES,
};

#define CTL_ID_NONE UINT32_MAX
#define CTL_ID_KEY  320

struct ctl_ids;

/*
 * Open the book of numbers, in a directory that a reboot empties (as it ends the data plane).
 * A line that does not parse (a torn write) is left out. 0 or -errno with a sentence.
 */
int ctl_ids_open(struct ctl_ids **ids, const char *path, struct spw_err *err);
void ctl_ids_close(struct ctl_ids *ids);
/*
 * The number of a key in a class: as before, or a free one (the lowest; for paths and groups the
 * next one round), written to the file before the return. @key without newline. CTL_ID_NONE when
 * the class is full or the file cannot be written (logged).
 */
uint32_t ctl_ids_get(struct ctl_ids *ids, enum ctl_id_class class, const char *key);
/*
 * Give a number back; unknown keys are ignored. When the file cannot be written (logged), no number
 * is given before it can.
 */
void ctl_ids_put(struct ctl_ids *ids, enum ctl_id_class class, const char *key);
/* A new generation: larger than every one before, also of earlier processes; never 0. */
uint32_t ctl_ids_next_generation(struct ctl_ids *ids);
/* Small facts kept beside the numbers. get returns "" when not set. Names without space. */
void ctl_ids_set_fact(struct ctl_ids *ids, const char *name, const char *value);
const char *ctl_ids_get_fact(const struct ctl_ids *ids, const char *name);

#endif
