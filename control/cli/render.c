/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * docs/show-json.md to text: for every `what` a list of columns and, where one object is not one
 * row, a function. Keys that are missing or null print as "-". Nothing here knows where the JSON
 * came from, so the tests feed it the examples of the document.
 */
#include <stdlib.h>

#include "control/cli/cells.h"

TEXT_CELL(cell_address, "address")
TEXT_CELL(cell_bfd, "bfd")
TEXT_CELL(cell_cause, "cause")
TEXT_CELL(cell_cipher, "cipher")
TEXT_CELL(cell_description, "description")
TEXT_CELL(cell_dir, "dir")
TEXT_CELL(cell_from, "from")
TEXT_CELL(cell_interface, "interface")
TEXT_CELL(cell_mac, "mac")
TEXT_CELL(cell_name, "name")
TEXT_CELL(cell_active, "active")
TEXT_CELL(cell_peer, "peer")
TEXT_CELL(cell_prefix, "prefix")
TEXT_CELL(cell_reason, "reason")
TEXT_CELL(cell_remote, "remote")
TEXT_CELL(cell_role, "role")
TEXT_CELL(cell_source, "source")
TEXT_CELL(cell_spi, "spi")
TEXT_CELL(cell_state, "state")
TEXT_CELL(cell_to, "to")
TEXT_CELL(cell_tunnel, "tunnel")
TEXT_CELL(cell_vnet, "vnet")
NUMBER_CELL(cell_bytes, "bytes", cli_format_bytes)
NUMBER_CELL(cell_last, "last_s", cli_format_age)
NUMBER_CELL(cell_rate, "rate_bps", cli_format_rate)
NUMBER_CELL(cell_rekey_in, "rekey_in_s", cli_format_age)
NUMBER_CELL(cell_rx_bytes, "rx_bytes", cli_format_bytes)
NUMBER_CELL(cell_since, "since_s", cli_format_age)
NUMBER_CELL(cell_tx_bytes, "tx_bytes", cli_format_bytes)
NUMBER_CELL(cell_up, "up_s", cli_format_age)
COUNT_CELL(cell_asymmetric, "asymmetric_packets")
COUNT_CELL(cell_created, "created_packets")
COUNT_CELL(cell_dropped, "dropped_packets")
COUNT_CELL(cell_from_twin, "from_twin_packets")
COUNT_CELL(cell_mirrored, "mirrored_packets")
COUNT_CELL(cell_own_in, "own_in_packets")
COUNT_CELL(cell_own_out, "own_out_packets")
COUNT_CELL(cell_packets, "packets")
COUNT_CELL(cell_pfx_in, "prefixes_received")
COUNT_CELL(cell_pfx_out, "prefixes_sent")
COUNT_CELL(cell_rx_packets, "rx_packets")
COUNT_CELL(cell_transit_in, "transit_in_packets")
COUNT_CELL(cell_transit_out, "transit_out_packets")
COUNT_CELL(cell_tx_packets, "tx_packets")
COUNT_CELL(cell_violations, "violations")
COUNT_CELL(cell_cycles, "cycles_per_packet")
COUNT_CELL(cell_lost, "lost_packets")
PLAIN_CELL(cell_children, "children")
PLAIN_CELL(cell_core, "core")
PLAIN_CELL(cell_mtu, "mtu")
PLAIN_CELL(cell_remote_as, "remote_as")
PLAIN_CELL(cell_retx, "retransmits")
PLAIN_CELL(cell_worker, "worker")

static void
cell_link(const json_t *row, char out[CLI_CELL])
{
	bool off = strcmp(text_of(row, "admin"), "down") == 0;

	snprintf(out, CLI_CELL, "%s", off ? "disabled" : text_of(row, "link"));
}

static void
cell_addresses(const json_t *row, char out[CLI_CELL])
{
	join_cell(json_object_get(row, "addresses"), ",", out);
}

static void
cell_ike_role(const json_t *row, char out[CLI_CELL])
{
	const char *role = text_of(row, "role");

	snprintf(out, CLI_CELL, "%s",
		 strcmp(role, "initiator") == 0	  ? "init"
		 : strcmp(role, "responder") == 0 ? "resp"
						  : role);
}

static void
cell_dpd(const json_t *row, char out[CLI_CELL])
{
	char age[CLI_CELL];

	if (!has(row, "dpd"))
		return;
	snprintf(out, CLI_CELL, "%.20s %.20s", text_of(row, "dpd"),
		 has(row, "heard_s")
			 ? cli_format_short((double)(int64_t)number_of(row, "heard_s"), age)
			 : "");
}

/* What the rekey after the first coming up has shown. */
static void
cell_pfs(const json_t *row, char out[CLI_CELL])
{
	const json_t *pfs = json_object_get(row, "pfs_check");

	if (pfs)
		snprintf(out, CLI_CELL, "%.20s", text_of(pfs, "outcome"));
}

/* "(no reply to IKE_SA_INIT, next try 8s)" */
static void
ike_trailer(const json_t *row, char out[CLI_CELL])
{
	char next[CLI_CELL];

	const json_t *pfs = json_object_get(row, "pfs_check");

	if (!has(row, "reason") && !has(row, "next_try_s")) {
		if (pfs && has(pfs, "cause"))
			snprintf(out, CLI_CELL, " (%.110s)", text_of(pfs, "cause"));
		return;
	}
	snprintf(out, CLI_CELL, " (%.110s%s%s%.20s)", text_of(row, "reason"),
		 has(row, "reason") && has(row, "next_try_s") ? ", " : "",
		 has(row, "next_try_s") ? "next try " : "",
		 has(row, "next_try_s") ? cli_format_short(number_of(row, "next_try_s"), next)
					: "");
}

static void
cell_nat_t(const json_t *row, char out[CLI_CELL])
{
	snprintf(out, CLI_CELL, "%s", json_is_true(json_object_get(row, "nat_t")) ? "yes" : "no");
}

static void
cell_replay(const json_t *row, char out[CLI_CELL])
{
	if (has(row, "replay_window"))
		snprintf(out, CLI_CELL, "%.0f/%.0f/%.0f", number_of(row, "replay_window"),
			 number_of(row, "late"), number_of(row, "replayed"));
}

static void
cell_pps(const json_t *row, char out[CLI_CELL])
{
	snprintf(out, CLI_CELL, "%.1f/s", number_of(row, "rate_pps"));
}

static void
cell_load(const json_t *row, char out[CLI_CELL])
{
	snprintf(out, CLI_CELL, "%.1f%%", number_of(row, "load_percent"));
}

static void
cell_at(const json_t *row, char out[CLI_CELL])
{
	cli_format_date(text_of(row, "at"), out);
}

static void
cell_detect(const json_t *row, char out[CLI_CELL])
{
	if (has(row, "detect_ms"))
		cli_format_short(number_of(row, "detect_ms") / 1e3, out);
}

static void
cell_switch(const json_t *row, char out[CLI_CELL])
{
	if (has(row, "switch_us"))
		cli_format_short(number_of(row, "switch_us") / 1e6, out);
}

/* "*expressroute 172.16.0.2 er0 | azure-a 203.0.113.2" */
static void
cell_paths(const json_t *row, char out[CLI_CELL])
{
	const json_t *p;
	size_t i, n = 0;

	json_array_foreach(json_object_get(row, "paths"), i, p)
	{
		bool active = json_is_true(json_object_get(p, "active"));
		bool up = json_is_true(json_object_get(p, "up"));

		if (n >= CLI_CELL)
			return;
		n += (size_t)snprintf(out + n, CLI_CELL - n, "%s%s%s%s%s%s%s%s", i ? " | " : "",
				      active ? "*" : "", text_of(p, "path"),
				      has(p, "next_hop") ? " " : "", text_of(p, "next_hop"),
				      has(p, "interface") ? " " : "", text_of(p, "interface"),
				      up ? "" : " (down)");
	}
}

static void
cell_candidates(const json_t *row, char out[CLI_CELL])
{
	const json_t *c;
	size_t i, n = 0;

	json_array_foreach(json_object_get(row, "candidates"), i, c)
	{
		if (n >= CLI_CELL)
			return;
		n += (size_t)snprintf(out + n, CLI_CELL - n, "%s%s %s%s%s", i ? " | " : "",
				      text_of(c, "path"), text_of(c, "state"),
				      has(c, "detail") ? " " : "", text_of(c, "detail"));
	}
}

static void
cell_failover_reason(const json_t *row, char out[CLI_CELL])
{
	char left[CLI_CELL];

	if (has(row, "restore_in_s"))
		snprintf(out, CLI_CELL, "%.100s%sreturn in %.20s", text_of(row, "reason"),
			 has(row, "reason") ? ", " : "",
			 cli_format_short((double)(int64_t)number_of(row, "restore_in_s"), left));
	else
		cell_reason(row, out);
}

/* "1000 (80%)" */
static void
cell_limit(const json_t *row, char out[CLI_CELL])
{
	if (has(row, "prefix_limit"))
		snprintf(out, CLI_CELL, "%.0f (%.0f%%)", number_of(row, "prefix_limit"),
			 number_of(row, "prefix_limit_percent"));
}

/* clang-format off */
static const struct cli_column interface_columns[] = {
	{"Interface", 12, cell_name, false}, {"Role", 14, cell_role, false},
	{"Link", 10, cell_link, true}, {"MTU", 6, cell_mtu, false},
	{"Address", 20, cell_addresses, false}, {"MAC", 19, cell_mac, false},
	{"Description", 0, cell_description, false},
};
static const struct cli_column counter_columns[] = {
	{"Interface", 12, cell_name, false}, {"Rx-packets", 14, cell_rx_packets, false},
	{"Rx-bytes", 10, cell_rx_bytes, false}, {"Tx-packets", 14, cell_tx_packets, false},
	{"Tx-bytes", 10, cell_tx_bytes, false}, {"Mirrored", 12, cell_mirrored, false},
	{"From-twin", 12, cell_from_twin, false}, {"Dropped", 10, cell_dropped, false},
	{"Asymmetric", 0, cell_asymmetric, false},
};
static const struct cli_column ike_columns[] = {
	{"Peer", 12, cell_peer, false}, {"Remote", 16, cell_remote, false},
	{"State", 13, cell_state, true}, {"Role", 6, cell_ike_role, false},
	{"Cipher", 25, cell_cipher, false}, {"Up", 10, cell_up, false},
	{"Rekey-in", 10, cell_rekey_in, false}, {"PFS", 10, cell_pfs, false},
	{"DPD", 6, cell_dpd, false}, {"Retx", 4, cell_retx, false},
};
static const struct cli_column sa_columns[] = {
	{"Tunnel", 12, cell_tunnel, false}, {"Dir", 5, cell_dir, false},
	{"SPI", 12, cell_spi, false}, {"Cipher", 12, cell_cipher, false},
	{"NAT-T", 7, cell_nat_t, false}, {"Packets", 12, cell_packets, false},
	{"Bytes", 9, cell_bytes, false}, {"Rate", 11, cell_rate, false},
	{"Replay(win/late/dup)", 22, cell_replay, false}, {"Rekey-in", 0, cell_rekey_in, false},
};
static const struct cli_column statistics_columns[] = {
	{"Tunnel", 12, cell_tunnel, false}, {"State", 8, cell_state, true},
	{"Transit-in", 14, cell_transit_in, false}, {"Transit-out", 14, cell_transit_out, false},
	{"Own-in", 10, cell_own_in, false}, {"Own-out", 10, cell_own_out, false},
	{"Violations", 12, cell_violations, false}, {"Asymmetric", 12, cell_asymmetric, false},
	{"SAs", 0, cell_children, false},
};
static const struct cli_column route_columns[] = {
	{"Prefix", 20, cell_prefix, false}, {"Source", 11, cell_source, false},
	{"Vnet", 8, cell_vnet, false}, {"Paths", 0, cell_paths, false},
};
static const struct cli_column neighbor_columns[] = {
	{"Address", 17, cell_address, false}, {"Interface", 12, cell_interface, false},
	{"MAC", 19, cell_mac, false}, {"State", 0, cell_state, true},
};
static const struct cli_column failover_columns[] = {
	{"Vnet", 7, cell_name, false}, {"Active", 14, cell_active, false},
	{"State", 9, cell_state, true}, {"Since", 10, cell_since, false},
	{"Reason", 22, cell_failover_reason, false}, {"Candidates", 0, cell_candidates, false},
};
static const struct cli_column history_columns[] = {
	{"When", 25, cell_at, false}, {"Vnet", 8, cell_vnet, false},
	{"From", 14, cell_from, false}, {"To", 14, cell_to, false},
	{"Cause", 15, cell_cause, false}, {"Detect", 8, cell_detect, false},
	{"Switch", 8, cell_switch, false}, {"Lost", 0, cell_lost, false},
};
static const struct cli_column drop_columns[] = {
	{"Reason", 24, cell_reason, false}, {"Packets", 14, cell_packets, false},
	{"Rate", 10, cell_pps, false}, {"Last", 0, cell_last, false},
};
static const struct cli_column worker_columns[] = {
	{"Worker", 8, cell_worker, false}, {"Core", 6, cell_core, false},
	{"Load", 8, cell_load, false}, {"Cycles/packet", 15, cell_cycles, false},
	{"Rx", 14, cell_rx_packets, false}, {"Tx", 14, cell_tx_packets, false},
	{"Dropped", 10, cell_dropped, false}, {"Mirrored", 10, cell_mirrored, false},
	{"From-twin", 11, cell_from_twin, false}, {"Created", 0, cell_created, false},
};
static const struct cli_column bgp_columns[] = {
	{"Neighbor", 17, cell_address, false}, {"AS", 8, cell_remote_as, false},
	{"State", 13, cell_state, true}, {"Up", 10, cell_up, false},
	{"Received", 10, cell_pfx_in, false}, {"Limit", 12, cell_limit, false},
	{"Sent", 7, cell_pfx_out, false},
	{"BFD", 6, cell_bfd, true}, {"Description", 0, cell_description, false},
};

#define COLUMNS(c) c, sizeof(c) / sizeof(c[0])
static const struct {
	const char *what, *rows, *name_key;
	const struct cli_column *column;
	unsigned int n;
	void (*trailer)(const json_t *row, char out[CLI_CELL]);
} tables[] = {
	{"interfaces", "interfaces", "name", COLUMNS(interface_columns), NULL},
	{"ike", "ike", "peer", COLUMNS(ike_columns), ike_trailer},
	{"ipsec-sa", "sas", "tunnel", COLUMNS(sa_columns), NULL},
	{"ipsec-statistics", "tunnels", "tunnel", COLUMNS(statistics_columns), NULL},
	{"route", "routes", "prefix", COLUMNS(route_columns), NULL},
	{"neighbors", "neighbors", "address", COLUMNS(neighbor_columns), NULL},
	{"failover", "vnets", "name", COLUMNS(failover_columns), NULL},
	{"failover-history", "switches", "at", COLUMNS(history_columns), NULL},
	{"drops", "drops", "reason", COLUMNS(drop_columns), NULL},
	{"workers", "workers", "worker", COLUMNS(worker_columns), NULL},
	{"bgp", "neighbors", "address", COLUMNS(bgp_columns), NULL},
};
/* clang-format on */

static void
render_part(FILE *out, const char *name, const json_t *part)
{
	char age[CLI_CELL];

	if (!json_is_true(json_object_get(part, "connected"))) {
		fprintf(out, "%-11s not connected\n", name);
		return;
	}
	fprintf(out, "%-11s %s", name, text_of(part, "version"));
	if (has(part, "uptime_s"))
		fprintf(out, "  up %s", cli_format_age(number_of(part, "uptime_s"), age));
	if (has(part, "dpdk"))
		fprintf(out, "  %s", text_of(part, "dpdk"));
	if (has(part, "cipher_isa"))
		fprintf(out, "  ciphers %s", text_of(part, "cipher_isa"));
	if (has(part, "workers"))
		fprintf(out, "  workers %.0f", number_of(part, "workers"));
	if (has(part, "incarnation"))
		fprintf(out, "  incarnation %s", text_of(part, "incarnation"));
	fputc('\n', out);
}

static void
render_version(FILE *out, const json_t *data)
{
	char age[CLI_CELL];

	fprintf(out, "%-11s %s  up %s  revision %.0f\n", "spillway", text_of(data, "version"),
		cli_format_age(number_of(data, "uptime_s"), age), number_of(data, "revision"));
	render_part(out, "dataplane", json_object_get(data, "dataplane"));
	render_part(out, "iked", json_object_get(data, "iked"));
	render_part(out, "frr", json_object_get(data, "frr"));
}

static void
render_fib(FILE *out, const json_t *data)
{
	fprintf(out, "%s: %s", text_of(data, "address"), text_of(data, "verdict"));
	if (has(data, "path"))
		fprintf(out, " by %s", text_of(data, "path"));
	if (has(data, "next_hop"))
		fprintf(out, " to %s", text_of(data, "next_hop"));
	if (has(data, "interface"))
		fprintf(out, " on %s", text_of(data, "interface"));
	if (has(data, "prefix"))
		fprintf(out, "  (prefix %s, group %.0f)", text_of(data, "prefix"),
			number_of(data, "group"));
	fputc('\n', out);
}

void
cli_render_switch(FILE *out, const json_t *last)
{
	char text[CLI_CELL];

	fprintf(out, "%s  %s -> %s  cause=%s", cli_format_date(text_of(last, "at"), text),
		text_of(last, "from"), text_of(last, "to"), text_of(last, "cause"));
	if (has(last, "detect_ms"))
		fprintf(out, "  detect=%s",
			cli_format_short(number_of(last, "detect_ms") / 1e3, text));
	if (has(last, "switch_us"))
		fprintf(out, "  switch=%s",
			cli_format_short(number_of(last, "switch_us") / 1e6, text));
	if (has(last, "lost_packets"))
		fprintf(out, "  lost=%s pkts (est)",
			cli_format_count(json_integer_value(json_object_get(last, "lost_packets")),
					 text));
	if (has(last, "restore_hold_s"))
		fprintf(out, "  restore-hold %.0fs", number_of(last, "restore_hold_s"));
	fputc('\n', out);
}

static void
render_lasts(FILE *out, const json_t *vnets)
{
	const json_t *v;
	size_t i;

	json_array_foreach(vnets, i, v)
	{
		if (!has(v, "last"))
			continue;
		if (json_array_size(vnets) > 1)
			fprintf(out, "Last %s:  ", text_of(v, "name"));
		else
			fputs("Last:  ", out);
		cli_render_switch(out, json_object_get(v, "last"));
	}
}

/* Reasons that never happened are noise. */
static json_t *
drops_seen(const json_t *rows)
{
	json_t *seen = json_array(), *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		if (number_of(row, "packets") > 0)
			json_array_append(seen, row);
	}
	return seen;
}

static bool
render_table(FILE *out, const char *what, const json_t *data, const struct cli_style *style)
{
	size_t t = 0;
	json_t *rows;

	while (t < sizeof(tables) / sizeof(tables[0]) && strcmp(tables[t].what, what) != 0)
		t++;
	if (t == sizeof(tables) / sizeof(tables[0]))
		return false;
	rows = json_object_get(data, tables[t].rows);
	if (!json_is_array(rows))
		return false;
	if (strcmp(what, "drops") == 0) {
		rows = style->detail ? json_incref(rows) : drops_seen(rows);
		cli_table(out, drop_columns, sizeof(drop_columns) / sizeof(drop_columns[0]), rows,
			  NULL, style->colour);
		json_decref(rows);
	} else if (style->detail) {
		cli_table_detail(out, rows, tables[t].name_key);
	} else if (style->counters) {
		cli_table(out, counter_columns,
			  sizeof(counter_columns) / sizeof(counter_columns[0]), rows, NULL,
			  style->colour);
	} else {
		cli_table(out, tables[t].column, tables[t].n, rows, tables[t].trailer,
			  style->colour);
	}
	return true;
}

bool
cli_render(FILE *out, const char *what, const json_t *data, const struct cli_style *style)
{
	bool ok = true;

	if (strcmp(what, "version") == 0)
		render_version(out, data);
	else if (strcmp(what, "fib") == 0)
		render_fib(out, data);
	else
		ok = cli_render_failover(out, what, data, style) ||
		     render_table(out, what, data, style);
	if (ok && strcmp(what, "failover") == 0 && !style->detail)
		render_lasts(out, json_object_get(data, "vnets"));
	if (ok && strcmp(what, "bgp") == 0)
		fprintf(out, "Local AS %.0f, router id %s\n", number_of(data, "local_as"),
			has(data, "router_id") ? text_of(data, "router_id") : "-");
	if (has(data, "unreachable"))
		fprintf(out, "(%s)\n", text_of(data, "unreachable"));
	return ok;
}
