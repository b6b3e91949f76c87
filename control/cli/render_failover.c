/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Text of what is more than one table: candidates of a vnet, readiness with its tunnels and load,
 * the report of a drill, events, and the tables of what watches the paths. Pure: JSON in, text out.
 */
#include <stdlib.h>

#include "control/cli/cells.h"

/* A duration given in microseconds or milliseconds. */
static void
us(double n, char out[CLI_CELL])
{
	cli_format_short(n / 1e6, out);
}

static void
ms(double n, char out[CLI_CELL])
{
	cli_format_short(n / 1e3, out);
}

static void
percent(double n, char out[CLI_CELL])
{
	snprintf(out, CLI_CELL, "%.1f%%", n);
}

static void
kbps(double n, char out[CLI_CELL])
{
	cli_format_rate(n * 1000, out);
}

TEXT_CELL(cell_class, "class")
TEXT_CELL(cell_interface, "interface")
TEXT_CELL(cell_kind, "kind")
TEXT_CELL(cell_name, "name")
TEXT_CELL(cell_path, "path")
TEXT_CELL(cell_peer, "peer")
TEXT_CELL(cell_pfs, "pfs")
TEXT_CELL(cell_phase, "phase")
TEXT_CELL(cell_bfd, "bfd")
TEXT_CELL(cell_detail, "detail")
TEXT_CELL(cell_diagnostic, "diagnostic")
TEXT_CELL(cell_next_hop, "next_hop")
TEXT_CELL(cell_probe, "probe")
TEXT_CELL(cell_standby, "standby")
TEXT_CELL(cell_state, "state")
TEXT_CELL(cell_target, "target")
TEXT_CELL(cell_tunnel, "tunnel")
TEXT_CELL(cell_verdict, "verdict")
TEXT_CELL(cell_vnet, "vnet")
NUMBER_CELL(cell_avg, "rtt_avg_us", us)
NUMBER_CELL(cell_capacity, "capacity_kbps", kbps)
NUMBER_CELL(cell_child_age, "child_age_s", cli_format_age)
NUMBER_CELL(cell_detect, "detect_ms", ms)
NUMBER_CELL(cell_heard, "heard_s", cli_format_short)
NUMBER_CELL(cell_ike_up, "ike_up_s", cli_format_age)
NUMBER_CELL(cell_last, "rtt_last_us", us)
NUMBER_CELL(cell_last_rekey, "last_rekey_s", cli_format_age)
NUMBER_CELL(cell_load, "load_kbps", kbps)
NUMBER_CELL(cell_loss, "loss_percent", percent)
NUMBER_CELL(cell_max, "rtt_max_us", us)
NUMBER_CELL(cell_min, "rtt_min_us", us)
NUMBER_CELL(cell_p50, "rtt_p50_us", us)
NUMBER_CELL(cell_p99, "rtt_p99_us", us)
NUMBER_CELL(cell_passes, "passes_kbps", kbps)
NUMBER_CELL(cell_probe_loss, "probe_loss_percent", percent)
NUMBER_CELL(cell_since, "since_s", cli_format_age)
NUMBER_CELL(cell_took, "took_s", cli_format_short)
NUMBER_CELL(cell_transmit, "transmit_ms", ms)
COUNT_CELL(cell_carried, "carried_packets")
COUNT_CELL(cell_downs, "downs")
COUNT_CELL(cell_dropped, "dropped_packets")
COUNT_CELL(cell_probes_lost, "probes_lost")
COUNT_CELL(cell_probes_sent, "probes_sent")
PLAIN_CELL(cell_size, "size_bytes")
PLAIN_CELL(cell_weight, "weight")

static void
cell_findings(const json_t *row, char out[CLI_CELL])
{
	join_cell(json_object_get(row, "findings"), "; ", out);
}

static void
cell_faults(const json_t *row, char out[CLI_CELL])
{
	join_cell(json_object_get(row, "faults"), ",", out);
}

static void
cell_mtu(const json_t *row, char out[CLI_CELL])
{
	snprintf(out, CLI_CELL, "%.0f %.20s", number_of(row, "mtu"),
		 text_of(json_object_get(row, "mtu_test"), "verdict"));
}

/* Why probes are lost, while they are. */
static void
cell_why(const json_t *row, char out[CLI_CELL])
{
	if (number_of(row, "loss_percent") > 0 || strcmp(text_of(row, "state"), "up") != 0)
		snprintf(out, CLI_CELL, "%s", text_of(row, "lost_why"));
}

static void
cell_fits(const json_t *row, char out[CLI_CELL])
{
	if (has(row, "fits"))
		snprintf(out, CLI_CELL, "%s",
			 json_is_true(json_object_get(row, "fits")) ? "yes" : "no");
}

/* clang-format off */
static const struct cli_column bfd_columns[] = {
	{"Peer", 17, cell_peer, false}, {"Interface", 12, cell_interface, false},
	{"State", 9, cell_state, true}, {"Since", 10, cell_since, false},
	{"Transmit", 10, cell_transmit, false}, {"Detect", 8, cell_detect, false},
	{"Heard", 8, cell_heard, false}, {"Downs", 7, cell_downs, false},
	{"Diagnostic", 0, cell_diagnostic, false},
};
static const struct cli_column probe_columns[] = {
	{"Vnet", 8, cell_vnet, false}, {"Path", 14, cell_path, false},
	{"Next-hop", 16, cell_next_hop, false}, {"Target", 16, cell_target, false},
	{"Kind", 6, cell_kind, false}, {"Size", 6, cell_size, false},
	{"State", 9, cell_state, true}, {"Loss", 7, cell_loss, false},
	{"Last", 8, cell_last, false}, {"Min", 8, cell_min, false},
	{"Avg", 8, cell_avg, false}, {"Max", 8, cell_max, false},
	{"Lost-why", 0, cell_why, false},
};
static const struct cli_column readiness_columns[] = {
	{"Vnet", 8, cell_name, false}, {"Verdict", 11, cell_verdict, true},
	{"Standby", 14, cell_standby, false}, {"Findings", 0, cell_findings, false},
};
static const struct cli_column standby_columns[] = {
	{"Vnet", 8, cell_vnet, false}, {"Tunnel", 12, cell_tunnel, false},
	{"Verdict", 11, cell_verdict, true}, {"IKE-up", 10, cell_ike_up, false},
	{"SA-age", 9, cell_child_age, false}, {"Rekeyed", 9, cell_last_rekey, false},
	{"PFS", 10, cell_pfs, false}, {"Probe", 8, cell_probe, true},
	{"Loss", 7, cell_probe_loss, false}, {"p50", 8, cell_p50, false},
	{"p99", 8, cell_p99, false}, {"MTU", 14, cell_mtu, false},
	{"Capacity", 0, cell_capacity, false},
};
static const struct cli_column load_columns[] = {
	{"Vnet", 8, cell_vnet, false}, {"Class", 12, cell_class, false},
	{"Load", 12, cell_load, false}, {"Would-pass", 12, cell_passes, false},
	{"Fits", 0, cell_fits, true},
};
static const struct cli_column candidate_columns[] = {
	{"Candidate", 14, cell_path, false}, {"Link", 12, cell_interface, false},
	{"Next-hop", 16, cell_next_hop, false}, {"State", 16, cell_state, true},
	{"Weight", 8, cell_weight, false}, {"BFD", 6, cell_bfd, true},
	{"Probe", 9, cell_probe, true}, {"Faults", 12, cell_faults, false},
	{"Detail", 0, cell_detail, false},
};
static const struct cli_column phase_columns[] = {
	{"Phase", 10, cell_phase, false}, {"Path", 14, cell_path, false},
	{"Time", 8, cell_took, false}, {"Probes", 8, cell_probes_sent, false},
	{"Lost", 6, cell_probes_lost, false}, {"Loss", 7, cell_loss, false},
	{"p50", 8, cell_p50, false}, {"p99", 8, cell_p99, false},
	{"Carried", 12, cell_carried, false}, {"Dropped", 0, cell_dropped, false},
};
/* clang-format on */
#define TABLE(out, c, rows, colour) cli_table(out, c, sizeof(c) / sizeof(c[0]), rows, NULL, colour)

/* Rows of a list inside each vnet, with the vnet's name; new reference. */
static json_t *
flatten(const json_t *vnets, const char *outer, const char *inner)
{
	json_t *rows = json_array(), *row, *list;
	const json_t *v;
	size_t i, k;

	json_array_foreach(vnets, i, v)
	{
		list = json_object_get(v, outer);
		if (inner)
			list = json_object_get(list, inner);
		json_array_foreach(list, k, row)
		{
			json_t *copy = json_copy(row);

			json_object_set_new(copy, "vnet", json_string(text_of(v, "name")));
			json_array_append_new(rows, copy);
		}
	}
	return rows;
}

static void
print_text(FILE *out, const char *before, const char *text)
{
	char safe[CLI_CELL];

	snprintf(safe, sizeof(safe), "%s", text);
	cli_make_printable(safe);
	fprintf(out, "%s%s", before, safe);
}

static void
remarks(FILE *out, const json_t *vnets)
{
	const json_t *v, *r;
	size_t i, k;

	json_array_foreach(vnets, i, v)
	{
		json_array_foreach(json_object_get(v, "remarks"), k, r)
		{
			print_text(out, "Remark ", text_of(v, "name"));
			print_text(out, ": ", json_is_string(r) ? json_string_value(r) : "-");
			fputc('\n', out);
		}
	}
}

static void
readiness(FILE *out, const json_t *vnets, const struct cli_style *style)
{
	json_t *tunnels = flatten(vnets, "tunnels", NULL);
	json_t *classes = flatten(vnets, "capacity", "classes");

	TABLE(out, readiness_columns, vnets, style->colour);
	if (json_array_size(tunnels) > 0) {
		fputc('\n', out);
		TABLE(out, standby_columns, tunnels, style->colour);
	}
	if (json_array_size(classes) > 0) {
		fputc('\n', out);
		TABLE(out, load_columns, classes, style->colour);
	}
	if (style->detail)
		remarks(out, vnets);
	json_decref(tunnels);
	json_decref(classes);
}

/* A candidate, then the links below it. */
static json_t *
candidate_rows(const json_t *vnet)
{
	json_t *rows = json_array(), *c, *link;
	size_t i, k;

	json_array_foreach(json_object_get(vnet, "candidates"), i, c)
	{
		json_array_append(rows, c);
		json_array_foreach(json_object_get(c, "links"), k, link)
			json_array_append(rows, link);
	}
	return rows;
}

static void
failover_detail(FILE *out, const json_t *vnets, const struct cli_style *style)
{
	const json_t *v;
	size_t i;

	json_array_foreach(vnets, i, v)
	{
		json_t *plain = json_copy((json_t *)(uintptr_t)v), *one = json_array();
		json_t *rows = candidate_rows(v);

		json_object_del(plain, "candidates");
		json_object_del(plain, "last");
		json_array_append_new(one, plain);
		if (i)
			fputc('\n', out);
		cli_table_detail(out, one, "name");
		TABLE(out, candidate_columns, rows, style->colour);
		if (has(v, "last")) {
			fputs("Last:  ", out);
			cli_render_switch(out, json_object_get(v, "last"));
		}
		json_decref(rows);
		json_decref(one);
	}
}

static bool
table_or_detail(FILE *out, const struct cli_column *column, unsigned int n, const json_t *rows,
		const char *name_key, const struct cli_style *style)
{
	if (style->detail)
		cli_table_detail(out, rows, name_key);
	else
		cli_table(out, column, n, rows, NULL, style->colour);
	return true;
}

bool
cli_render_failover(FILE *out, const char *what, const json_t *data, const struct cli_style *style)
{
	const json_t *vnets = json_object_get(data, "vnets");

	if (strcmp(what, "failover-readiness") == 0 && json_is_array(vnets)) {
		readiness(out, vnets, style);
		return true;
	}
	if (strcmp(what, "failover") == 0 && style->detail && json_is_array(vnets)) {
		failover_detail(out, vnets, style);
		fprintf(out, "Asymmetric packets: %.0f\n", number_of(data, "asymmetric_packets"));
		return true;
	}
	if (strcmp(what, "bfd") == 0 && json_is_array(json_object_get(data, "bfd")))
		return table_or_detail(out, bfd_columns,
				       sizeof(bfd_columns) / sizeof(bfd_columns[0]),
				       json_object_get(data, "bfd"), "peer", style);
	if (strcmp(what, "probes") == 0 && json_is_array(json_object_get(data, "probes")))
		return table_or_detail(out, probe_columns,
				       sizeof(probe_columns) / sizeof(probe_columns[0]),
				       json_object_get(data, "probes"), "target", style);
	return false;
}

bool
cli_render_phases(FILE *out, const json_t *report)
{
	const json_t *phases = json_object_get(report, "phases");

	if (!json_is_array(phases))
		return false;
	TABLE(out, phase_columns, phases, false);
	return true;
}

void
cli_render_event(FILE *out, const json_t *event)
{
	const char *kind = text_of(event, "event"), *key;
	char date[CLI_CELL];
	json_t *value;

	if (strcmp(kind, "switch") == 0) {
		fprintf(out, "%s  ", text_of(event, "vnet"));
		cli_render_switch(out, event);
		return;
	}
	print_text(out, cli_format_date(text_of(event, "at"), date), "  ");
	print_text(out, "", kind);
	json_object_foreach((json_t *)(uintptr_t)event, key, value)
	{
		if (!json_is_string(value) || strcmp(key, "event") == 0 || strcmp(key, "at") == 0)
			continue;
		print_text(out, "  ", key);
		print_text(out, "=", json_string_value(value));
	}
	fputc('\n', out);
}
