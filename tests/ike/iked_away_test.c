/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A data plane that lives on but cannot be reached for a while: it is busy for longer than iked
 * waits, or has closed the connection of a subscriber that did not read. Nothing that was to be
 * done there may be forgotten, and nothing that it would have told. Two spillway-iked with each
 * other; the tests run in order, each from the state that the one before left. Needs root.
 *
 *	iked_away_test PATH/spillway-iked
 */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/ike/iked_bed.h"
#include "tests/ike/proc.h"

#define SOFT_BYTES 1000000

static const char *program;
static struct bed_side a = BED_SIDE("a"), b = BED_SIDE("b");

static void
start(struct bed_side *s)
{
	bed_start(s, program, NULL, NULL);
	bed_subscribe(s);
}

static void
configure(struct bed_side *s)
{
	struct spw_ike_conn c = bed_conn(s, s == &a ? SPW_IKE_MODE_INITIATE : SPW_IKE_MODE_RESPOND);

	c.child_bytes = (struct spw_sa_limit){SOFT_BYTES, 2 * SOFT_BYTES};
	bed_configure(s, &c);
}

static void
ask_reset(struct bed_side *s, uint32_t what)
{
	struct spw_ike_reset reset = {.name = "tun", .what = what};

	bed_ask(s, SPW_IKE_RESET, &reset, sizeof(reset), NULL, 0);
}

static bool
moved_from(uint32_t spi_in)
{
	struct spw_sa_desc sa;

	return fake_outbound(&a.dp, BED_TUNNEL, &sa) && sa.spi_in != spi_in;
}

static void
a_tunnel_comes_up(void **state)
{
	start(&b);
	configure(&b);
	start(&a);
	configure(&a);
	bed_expect_event(&a, true);
	bed_expect_event(&b, true);
	assert_true(bed_agree(&a, &b));
}

/* Else traffic would go out on an SA that the peer has deleted, until its hard limit. */
static void
what_was_to_be_deleted_meanwhile_is_deleted_then(void **state)
{
	struct spw_sa_desc old;

	assert_true(fake_outbound(&a.dp, BED_TUNNEL, &old));
	fake_away(&a.dp, true);
	ask_reset(&b, SPW_IKE_RESET_IKE);
	bed_expect_event(&a, false);
	assert_true(fake_has(&a.dp, old.spi_in));
	fake_away(&a.dp, false);
	assert_true(EVENTUALLY_IN(1500, !fake_has(&a.dp, old.spi_in)));
	bed_expect_event(&a, true);
	assert_true(EVENTUALLY(bed_agree(&a, &b)));
}

/* A soft limit is told once; unheard it would be a hard one, and its traffic lost. */
static void
a_soft_limit_that_nobody_heard_of_is_seen_then(void **state)
{
	struct spw_sa_desc old;

	assert_true(fake_outbound(&a.dp, BED_TUNNEL, &old));
	fake_away(&a.dp, true);
	poll(NULL, 0, 50);
	a.dp.out_bytes = SOFT_BYTES + 1;
	fake_away(&a.dp, false);
	assert_true(EVENTUALLY_IN(1500, moved_from(old.spi_in)));
	a.dp.out_bytes = 0;
	assert_true(bed_first_packet(&a, &b));
	assert_true(EVENTUALLY(bed_agree(&a, &b)));
}

/* What carries the traffic is told though it is seen after the connections were set. */
static void
sas_of_a_killed_daemon_make_the_tunnel_up_when_they_are_seen_late(void **state)
{
	struct spw_ike_tunnel_event ev;

	bed_end(&a, SIGKILL);
	fake_away(&a.dp, true);
	start(&a);
	configure(&a);
	fake_away(&a.dp, false);
	assert_true(bed_event(&a, &ev, 2000));
	assert_int_equal(ev.up, 1);
	assert_string_equal(ev.reason, "child SAs of an earlier instance carry the traffic");
	while (bed_event(&a, &ev, 300))
		assert_int_equal(ev.up, 1);
}

static void
the_contract_of_the_data_plane_was_kept(void **state)
{
	bed_contract_kept(&a, &b);
}

static int
setup(void **state)
{
	return bed_setup(&a, &b);
}

static int
teardown(void **state)
{
	return bed_teardown(&a, &b);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tunnel_comes_up),
		cmocka_unit_test(what_was_to_be_deleted_meanwhile_is_deleted_then),
		cmocka_unit_test(a_soft_limit_that_nobody_heard_of_is_seen_then),
		cmocka_unit_test(sas_of_a_killed_daemon_make_the_tunnel_up_when_they_are_seen_late),
		cmocka_unit_test(the_contract_of_the_data_plane_was_kept),
	};

	int wrong = proc_called_right(argc, 2, "iked_away_test PATH/spillway-iked");

	if (wrong)
		return wrong;
	program = argv[1];
	return cmocka_run_group_tests(tests, setup, teardown);
}
