/* SPDX-License-Identifier: BSD-3-Clause */
/* BFD sessions as the API thread sees them: whose events it is told. */
#include "tests/dataplane/esp_bed.h"

#include <stdlib.h>
#include <unistd.h>

#include "dataplane/bfd_sessions.h"

#define IFACE 5
#define ID    3

struct yard {
	struct dp_worker worker;
	struct dp_worker *workers[1];
	struct dp_bell bell, api_bell;
	struct dp_path_bits bits;
	struct dp_monitor *m;
	struct dp_bfds *b;
};

static struct yard *
yard_open(void)
{
	struct yard *y = aligned_alloc(64, (sizeof(*y) + 63) / 64 * 64);

	memset(y, 0, sizeof(*y));
	y->workers[0] = &y->worker;
	dp_path_bits_init(&y->bits);
	assert_int_equal(dp_bell_init(&y->bell), 0);
	assert_int_equal(dp_bell_init(&y->api_bell), 0);
	const struct dp_monitor_config config = {.worker = y->workers,
						 .n_workers = 1,
						 .pool = bed_pool(),
						 .mbuf_size = 2048,
						 .bell = &y->bell};

	assert_int_equal(dp_monitor_new(&y->m, &config, NULL), 0);
	assert_int_equal(dp_bfds_new(&y->b, y->m, &y->bits, &y->api_bell, NULL), 0);
	return y;
}

static void
yard_close(struct yard *y)
{
	dp_bfds_free(y->b);
	dp_monitor_free(y->m);
	dp_path_bits_fini(&y->bits);
	close(y->bell.fd);
	close(y->api_bell.fd);
	free(y);
}

static void
set(struct yard *y, uint32_t peer, bool admin_down, uint32_t disc)
{
	const struct spw_dp_bfd conf = {.id = ID,
					.iface = IFACE,
					.detect_mult = 3,
					.min_tx_us = 300000,
					.min_rx_us = 300000,
					.admin_down = admin_down,
					.local = spw_addr_v4(0x0a000001),
					.peer = spw_addr_v4(peer)};

	dp_bfds_set(y->b, &conf, disc, 50000, 1);
}

static void
what_befell_a_session_is_not_told_of_the_next_of_its_number(void **state)
{
	struct yard *y = yard_open();
	struct spw_dp_bfd_event ev;

	set(y, 0x0a000002, false, 7);
	set(y, 0x0a000002, true, 8); /* the same session: it keeps its discriminator */
	assert_true(dp_bfds_event(y->b, &ev));
	assert_int_equal(ev.id, ID);
	assert_int_equal(ev.state, SPW_BFD_ADMIN_DOWN);
	assert_false(dp_bfds_event(y->b, &ev));

	set(y, 0x0a000002, false, 9);  /* an event that waits .. */
	set(y, 0x0a000003, false, 10); /* .. while another neighbour gets the number */
	assert_false(dp_bfds_event(y->b, &ev));
	set(y, 0x0a000003, true, 11);
	dp_bfds_del(y->b, ID); /* .. or nobody */
	assert_false(dp_bfds_event(y->b, &ev));
	set(y, 0x0a000003, false, 12);
	set(y, 0x0a000003, true, 13);
	assert_true(dp_bfds_event(y->b, &ev));
	assert_int_equal(ev.state, SPW_BFD_ADMIN_DOWN);
	yard_close(y);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_befell_a_session_is_not_told_of_the_next_of_its_number),
	};

	return cmocka_run_group_tests(tests, bed_start, bed_stop);
}
