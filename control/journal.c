/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What happened, for `monitor failover`: faults of paths, switches, readiness, drills.
 *
 * A ring of the last events, each with a number that only grows; a reader asks for what came after
 * the last number it has seen. A reader that was away too long is told how many it missed. Switches
 * enter when their record is closed (cause and first packet known), in the order they began.
 * One thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/fib.h"
#include "control/show.h"

#define EVENTS 256

static struct {
	struct ctl_runtime *rt; /* whose events these are */
	json_t *event[EVENTS];
	json_int_t next; /* number of the next event; the first is 1 */
	uint64_t switched_ns;
} journal = {.next = 1};

void
ctl_journal_free(struct ctl_runtime *rt)
{
	if (journal.rt != rt)
		return;
	for (unsigned int i = 0; i < EVENTS; i++) {
		json_decref(journal.event[i]);
		journal.event[i] = NULL;
	}
	journal.rt = NULL;
	journal.switched_ns = 0;
}

static void
enter(struct ctl_runtime *rt, const char *what, const char *at, json_t *event)
{
	json_t **place = &journal.event[journal.next % EVENTS];

	journal.rt = rt;
	json_object_set_new(event, "event", json_string(what));
	json_object_set_new(event, "at", json_string(at));
	json_object_set_new(event, "number", json_integer(journal.next++));
	json_decref(*place);
	*place = event;
}

void
ctl_journal_note(struct ctl_runtime *rt, const char *what, json_t *event)
{
	char at[32];

	if (event)
		enter(rt, what, spw_clock_format(spw_clock_wall_ns(), at), event);
}

/* Closed switches that are not in it yet, oldest first; one that is open keeps later ones back. */
static void
take_switches(struct ctl_runtime *rt)
{
	for (unsigned int i = ctl_failover_n_switches(rt); i-- > 0;) {
		const struct ctl_switch *s = ctl_failover_switch(rt, i);
		char at[32];

		if (s->opened_ns <= journal.switched_ns)
			continue;
		if (s->open)
			return;
		journal.switched_ns = s->opened_ns;
		enter(rt, "switch", spw_clock_format(s->wall_ns, at), ctl_show_switch(s, true));
	}
}

void
ctl_journal_path(struct ctl_runtime *rt, const struct ctl_path *path, enum ctl_path_fault fault,
		 bool on)
{
	ctl_journal_note(rt, on ? "fault" : "fault-over",
			 json_pack("{s:s,s:o,s:o,s:s}", "path", ctl_path_name(path), "interface",
				   path->iface ? json_string(path->iface->name) : json_null(),
				   "next_hop", ctl_json_addr(&path->next_hop), "cause",
				   ctl_path_fault_name(fault)));
}

/* @arg  number of the last event the reader knows; without it: only where the numbers stand */
json_t *
ctl_show_failover_events(struct ctl_runtime *rt, const char *arg, struct spw_err *err)
{
	json_int_t from, missed = 0;
	json_t *list = json_array();

	take_switches(rt);
	from = arg ? strtoll(arg, NULL, 10) : journal.next - 1;
	from = from < 0 ? 1 : from < journal.next ? from + 1 : journal.next;
	if (from < journal.next - EVENTS) {
		missed = journal.next - EVENTS - from;
		from = journal.next - EVENTS;
	}
	for (json_int_t n = from < 1 ? 1 : from; n < journal.next; n++)
		if (journal.event[n % EVENTS])
			json_array_append(list, journal.event[n % EVENTS]);
	return json_pack("{s:o,s:I,s:I}", "events", list, "last", journal.next - 1, "missed",
			 missed);
}
