/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What is watched, through the whole runtime: in a network namespace of its own with real twins and
 * kernel routes, and a double of the data plane that says what BFD and probes saw. Needs root;
 * skipped otherwise.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/runtime.h"
#include "tests/control/runtime_bed.h"

static bool
until(bool (*condition)(void))
{
	return bed_run(3500, condition);
}

static void
make_config(void)
{
	bed_one_link();
	bed.vnet.n_probes = 1;
	bed.vnet.probe[0] = (struct ctl_probe){.target = prefix("10.100.0.4").addr,
					       .kind = SPW_PROBE_ICMP,
					       .interval_ms = 500,
					       .timeout_ms = 1000,
					       .fall = 3,
					       .rise = 3};
	bed.config.bgp = (struct ctl_bgp){.local_as = 65010, .n_neighbors = 1};
	bed.config.bgp.neighbor[0] = (struct ctl_neighbor){.address = prefix("172.16.0.2").addr,
							   .remote_as = 12076,
							   .bfd = true,
							   .bfd_transmit_ms = 300,
							   .bfd_receive_ms = 300,
							   .bfd_multiplier = 3};
}

static int
setup(void **state)
{
	if (bed_enter("watch") != 0)
		return -1;
	if (!bed.base)
		return 0;
	make_config();
	bed.dp.tunnel_up = true;
	bed_start();
	return 0;
}

static uint32_t
path_of(enum spw_dp_path_kind kind)
{
	for (unsigned int i = 0; i < bed.dp.n_path; i++)
		if (bed.dp.path[i].kind == kind &&
		    (kind != SPW_PATH_ADJACENCY || bed.dp.path[i].next_hop.bytes[0] == 172))
			return bed.dp.path[i].id;
	return SPW_DP_ADDR_NONE;
}

static bool
circuit_bit(void)
{
	uint32_t p = path_of(SPW_PATH_ADJACENCY);

	return p != SPW_DP_ADDR_NONE && bed.dp.bit[p].up;
}

static bool
circuit_bit_is_clear(void)
{
	return !circuit_bit();
}

static bool
tunnel_bit(void)
{
	uint32_t p = path_of(SPW_PATH_TUNNEL);

	return p != SPW_DP_ADDR_NONE && bed.dp.bit[p].up;
}

/* The probe over a kind of path; mtu: the one of full size. */
static const struct spw_dp_probe *
probe_over(enum spw_dp_path_kind kind, bool mtu)
{
	for (unsigned int i = 0; i < bed.dp.n_probe; i++)
		if (bed.dp.probe[i].path == path_of(kind) && (bed.dp.probe[i].size > 1000) == mtu &&
		    bed.dp.probe[i].interval_ms >= 500)
			return &bed.dp.probe[i];
	return NULL;
}

static bool
is_watched(void)
{
	return bed.dp.n_bfd == 1 && bed.dp.n_probe == 3 && circuit_bit() && tunnel_bit();
}

static bool
nothing_is_probed_over_the_circuit(void)
{
	return path_of(SPW_PATH_ADJACENCY) == SPW_DP_ADDR_NONE && bed.dp.n_probe == 2;
}

static void
bfd_says(enum spw_bfd_state is, enum spw_bfd_state remote, bool event)
{
	struct spw_dp_bfd_event ev = {.id = bed.dp.bfd[0].id,
				      .state = is,
				      .diag = is == SPW_BFD_UP ? 0 : 1,
				      .at_ns = spw_clock_ns(),
				      .was_up = is != SPW_BFD_UP,
				      .remote_state = remote};
	struct spw_dp_bfd_stats *s = &bed.dp.bfd_stats[bed.dp.bfd[0].id];

	ev.last_rx_ns = ev.at_ns - 900 * SPW_NS_PER_MS;
	double_lock();
	*s = (struct spw_dp_bfd_stats){.state = is,
				       .remote_state = remote,
				       .was_up = s->was_up || is == SPW_BFD_UP,
				       .rx = 10,
				       .changed_ns = ev.at_ns,
				       .last_rx_ns = ev.last_rx_ns};
	double_unlock();
	if (event)
		double_event(SPW_DP_EV_BFD, &ev, sizeof(ev));
}

/* A probe's state; answered: its newest answer is of now. */
static void
probe_says(enum spw_dp_path_kind kind, enum spw_probe_state is, bool answered, bool event)
{
	const struct spw_dp_probe *p = probe_over(kind, false);
	struct spw_dp_probe_event ev = {.state = is, .at_ns = spw_clock_ns()};
	struct spw_dp_probe_stats *s;

	assert_non_null(p);
	s = &bed.dp.probe_stats[p->id];
	double_lock();
	s->state = is;
	if (answered)
		s->last_ok_ns = ev.at_ns;
	double_unlock();
	ev.id = p->id;
	ev.last_ok_ns = s->last_ok_ns;
	if (event)
		double_event(SPW_DP_EV_PROBE, &ev, sizeof(ev));
}

static json_t *
last_switch(void)
{
	struct spw_err err = {0};
	json_t *shown = ctl_runtime_show(bed.rt, "failover-history", NULL, &err), *last;

	assert_non_null(shown);
	last = json_incref(json_array_get(json_object_get(shown, "switches"), 0));
	json_decref(shown);
	assert_non_null(last);
	return last;
}

static const char *
active(void)
{
	static char name[CTL_NAME];
	struct spw_err err = {0};
	json_t *shown = ctl_runtime_show(bed.rt, "failover", NULL, &err);

	snprintf(name, sizeof(name), "%s",
		 json_string_value(json_object_get(
			 json_array_get(json_object_get(shown, "vnets"), 0), "active")));
	json_decref(shown);
	return name;
}

static bool
is_on_expressroute(void)
{
	return strcmp(active(), "expressroute") == 0;
}

static bool
is_on_tunnel(void)
{
	return strcmp(active(), "azure-a") == 0;
}

static void
sessions_and_probes_are_those_of_the_configuration(void **state)
{
	const struct spw_dp_probe *over_circuit, *over_tunnel, *mtu;

	bed_need_root();
	assert_true(until(tunnel_bit)); /* the twins are up: what is said of them stays */
	ip("neigh replace 172.16.0.2 lladdr 02:00:00:00:00:09 dev er0 nud permanent");
	ip("route add 10.100.0.0/16 via 172.16.0.2 dev er0 proto 186 metric 20");
	assert_true(until(is_watched));
	assert_int_equal(bed.dp.bfd[0].detect_mult, 3);
	assert_int_equal(bed.dp.bfd[0].min_tx_us, 300000);
	assert_int_equal(bed.dp.bfd[0].min_rx_us, 300000);
	assert_memory_equal(bed.dp.bfd[0].local.bytes, "\xac\x10\x00\x01", 4);
	assert_memory_equal(bed.dp.bfd[0].peer.bytes, "\xac\x10\x00\x02", 4);
	over_circuit = probe_over(SPW_PATH_ADJACENCY, false);
	over_tunnel = probe_over(SPW_PATH_TUNNEL, false);
	mtu = probe_over(SPW_PATH_TUNNEL, true);
	assert_true(over_circuit && over_tunnel && mtu);
	assert_int_equal(over_circuit->interval_ms, 500);
	assert_memory_equal(over_circuit->source.bytes, "\x0a\x01\x00\x01", 4);
	assert_int_equal(mtu->size, 1400);
	assert_int_equal(mtu->interval_ms, 10000);
	assert_true(bed.dp.classes > 0);
}

static void
a_session_that_was_never_up_moves_nothing(void **state)
{
	bed_need_root();
	bfd_says(SPW_BFD_INIT, SPW_BFD_DOWN, true);
	bfd_says(SPW_BFD_DOWN, SPW_BFD_DOWN, true);
	assert_false(bed_run(1100, circuit_bit_is_clear));
}

static void
a_bfd_timeout_moves_the_vnet_and_says_how_long_it_took_to_see(void **state)
{
	json_t *last;

	bed_need_root();
	bfd_says(SPW_BFD_UP, SPW_BFD_UP, true);
	bed_run(100, NULL);
	bfd_says(SPW_BFD_DOWN, SPW_BFD_UP, true);
	assert_true(until(circuit_bit_is_clear));
	assert_true(until(is_on_tunnel));
	last = last_switch();
	assert_string_equal(json_string_value(json_object_get(last, "cause")), "bfd-timeout");
	assert_float_equal(json_number_value(json_object_get(last, "detect_ms")), 900, 1);
	json_decref(last);
	bfd_says(SPW_BFD_INIT, SPW_BFD_DOWN, true);
	assert_false(bed_run(300, circuit_bit));
	bfd_says(SPW_BFD_UP, SPW_BFD_UP, true);
	assert_true(until(circuit_bit));
	assert_true(until(is_on_expressroute));
}

static void
an_administrator_at_the_peer_moves_nothing(void **state)
{
	bed_need_root();
	bfd_says(SPW_BFD_DOWN, SPW_BFD_ADMIN_DOWN, true);
	assert_false(bed_run(1100, circuit_bit_is_clear));
	bfd_says(SPW_BFD_INIT, SPW_BFD_DOWN, true);
	assert_false(bed_run(300, circuit_bit_is_clear));
	bfd_says(SPW_BFD_UP, SPW_BFD_UP, true);
	bed_run(100, NULL);
}

static void
a_bit_that_bfd_cleared_is_not_set_again_before_its_event_comes(void **state)
{
	struct spw_dp_path_event ev = {.kind = SPW_PATH_EV_CLEARED};

	bed_need_root();
	double_lock();
	ev.path = path_of(SPW_PATH_ADJACENCY);
	bed.dp.bit[ev.path].up = 0;
	ev.clears = ++bed.dp.bit[ev.path].clears;
	double_unlock();
	ev.at_ns = ev.change_ns = spw_clock_ns();
	bfd_says(SPW_BFD_DOWN, SPW_BFD_UP, false);
	double_event(SPW_DP_EV_PATH, &ev, sizeof(ev));
	assert_false(bed_run(300, circuit_bit));
	assert_true(until(is_on_tunnel));
	bfd_says(SPW_BFD_UP, SPW_BFD_UP, true);
	assert_true(until(is_on_expressroute));
}

static void
a_fault_survives_a_restart_and_its_bit_is_never_set(void **state)
{
	unsigned int states;

	bed_need_root();
	bfd_says(SPW_BFD_DOWN, SPW_BFD_UP, true);
	assert_true(until(circuit_bit_is_clear));
	ctl_runtime_free(bed.rt);
	states = bed.dp.states;
	bed_runtime_start();
	assert_false(bed_run(1100, circuit_bit));
	assert_int_equal(bed.dp.states, states);
	assert_true(is_on_tunnel());
	bfd_says(SPW_BFD_UP, SPW_BFD_UP, true);
	assert_true(until(circuit_bit));
	assert_true(until(is_on_expressroute));
}

static void
a_black_hole_moves_the_vnet_while_the_tunnel_answers(void **state)
{
	json_t *last;

	bed_need_root();
	assert_true(until(is_watched));
	probe_says(SPW_PATH_ADJACENCY, SPW_PROBE_UP, true, true);
	probe_says(SPW_PATH_TUNNEL, SPW_PROBE_UP, true, true);
	bed_run(1000, NULL);
	probe_says(SPW_PATH_TUNNEL, SPW_PROBE_UP, true, false);
	probe_says(SPW_PATH_ADJACENCY, SPW_PROBE_DOWN, false, true);
	assert_true(until(circuit_bit_is_clear));
	assert_true(until(is_on_tunnel));
	last = last_switch();
	assert_string_equal(json_string_value(json_object_get(last, "cause")), "probe-lost");
	assert_in_range(json_number_value(json_object_get(last, "detect_ms")), 900, 1500);
	json_decref(last);
}

static void
when_the_target_dies_later_all_stays_as_it_is(void **state)
{
	bed_need_root();
	probe_says(SPW_PATH_TUNNEL, SPW_PROBE_DOWN, false, true);
	assert_false(bed_run(1100, circuit_bit));
	assert_true(tunnel_bit());
	assert_true(is_on_tunnel());
}

static void
one_answer_brings_the_path_back(void **state)
{
	bed_need_root();
	probe_says(SPW_PATH_TUNNEL, SPW_PROBE_UP, true, true);
	probe_says(SPW_PATH_ADJACENCY, SPW_PROBE_UP, true, true);
	assert_true(until(circuit_bit));
	assert_true(until(is_on_expressroute));
}

static void
a_dead_target_moves_nothing(void **state)
{
	bed_need_root();
	probe_says(SPW_PATH_ADJACENCY, SPW_PROBE_DOWN, false, true);
	probe_says(SPW_PATH_TUNNEL, SPW_PROBE_DOWN, false, true);
	assert_false(bed_run(1100, circuit_bit_is_clear));
	assert_true(tunnel_bit());
	assert_true(is_on_expressroute());
}

static void
a_tunnel_without_answers_is_no_candidate(void **state)
{
	struct spw_err err = {0};
	json_t *shown, *v;

	bed_need_root();
	bed_run(800, NULL);
	probe_says(SPW_PATH_ADJACENCY, SPW_PROBE_UP, true, true);
	for (unsigned int i = 0; i < 20 && tunnel_bit(); i++)
		bed_run(100, NULL);
	assert_false(tunnel_bit());
	shown = ctl_runtime_show(bed.rt, "failover-readiness", "prod", &err);
	v = json_array_get(json_object_get(shown, "vnets"), 0);
	assert_string_equal(json_string_value(json_object_get(v, "verdict")), "not-ready");
	json_decref(shown);
	probe_says(SPW_PATH_TUNNEL, SPW_PROBE_UP, true, true);
	assert_true(until(tunnel_bit));
}

static void
on_done(void *ctx, int rc, json_t *reply, const struct spw_err *err)
{
	*(int *)ctx = rc;
}

static bool
burst_runs(void)
{
	return bed.dp.n_probe == 5;
}

static bool
burst_is_over(void)
{
	return bed.dp.n_probe == 3;
}

static void
a_drill_ends_when_whoever_asked_has_gone(void **state)
{
	const char *words[] = {"failover", "test", "prod", "force", "for", "3s"};
	int rc = 1;

	bed_need_root();
	ctl_runtime_command(bed.rt, words, 6, on_done, &rc);
	assert_int_equal(rc, 1);
	assert_true(until(burst_runs));
	assert_true(until(is_on_tunnel));
	ctl_runtime_cancel(bed.rt, &words); /* somebody else */
	assert_int_equal(rc, 1);
	ctl_runtime_cancel(bed.rt, &rc);
	assert_int_equal(rc, -EINTR);
	assert_true(until(is_on_expressroute));
	assert_true(until(burst_is_over));
}

static void
a_standby_that_is_not_ready_is_not_drilled_even_when_forced(void **state)
{
	const char *words[] = {"failover", "test", "prod", "force"};
	int rc = 1;

	bed_need_root();
	probe_says(SPW_PATH_ADJACENCY, SPW_PROBE_UP, true, false);
	probe_says(SPW_PATH_TUNNEL, SPW_PROBE_DOWN, false, true);
	bed_run(200, NULL);
	ctl_runtime_command(bed.rt, words, 3, on_done, &rc);
	assert_int_equal(rc, -EHOSTDOWN);
	rc = 1;
	ctl_runtime_command(bed.rt, words, 4, on_done, &rc);
	assert_int_equal(rc, -EHOSTDOWN);
	probe_says(SPW_PATH_TUNNEL, SPW_PROBE_UP, true, true);
	assert_true(until(tunnel_bit));
}

static void
events_are_numbered_and_told_once(void **state)
{
	struct spw_err err = {0};
	json_t *all, *none;
	char last[24];

	bed_need_root();
	all = ctl_runtime_show(bed.rt, "failover-events", "0", &err);
	assert_true(json_array_size(json_object_get(all, "events")) >= 4);
	snprintf(last, sizeof(last), "%" JSON_INTEGER_FORMAT,
		 json_integer_value(json_object_get(all, "last")));
	none = ctl_runtime_show(bed.rt, "failover-events", last, &err);
	assert_int_equal(json_array_size(json_object_get(none, "events")), 0);
	json_decref(all);
	json_decref(none);
}

static void
probes_go_before_the_path_they_name(void **state)
{
	bed_need_root();
	ip("route del 10.100.0.0/16 via 172.16.0.2 dev er0 proto 186 metric 20");
	assert_true(bed_run(6000, nothing_is_probed_over_the_circuit));
	assert_int_equal(bed.dp.busy, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sessions_and_probes_are_those_of_the_configuration),
		cmocka_unit_test(a_session_that_was_never_up_moves_nothing),
		cmocka_unit_test(a_bfd_timeout_moves_the_vnet_and_says_how_long_it_took_to_see),
		cmocka_unit_test(an_administrator_at_the_peer_moves_nothing),
		cmocka_unit_test(a_bit_that_bfd_cleared_is_not_set_again_before_its_event_comes),
		cmocka_unit_test(a_fault_survives_a_restart_and_its_bit_is_never_set),
		cmocka_unit_test(a_black_hole_moves_the_vnet_while_the_tunnel_answers),
		cmocka_unit_test(when_the_target_dies_later_all_stays_as_it_is),
		cmocka_unit_test(one_answer_brings_the_path_back),
		cmocka_unit_test(a_dead_target_moves_nothing),
		cmocka_unit_test(a_tunnel_without_answers_is_no_candidate),
		cmocka_unit_test(a_drill_ends_when_whoever_asked_has_gone),
		cmocka_unit_test(a_standby_that_is_not_ready_is_not_drilled_even_when_forced),
		cmocka_unit_test(events_are_numbered_and_told_once),
		cmocka_unit_test(probes_go_before_the_path_they_name),
	};

	return cmocka_run_group_tests(tests, setup, bed_leave);
}
