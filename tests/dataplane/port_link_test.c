/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The link of a port, told by two sides at once: the driver's interrupt and, through the API
 * thread, the kernel. No ports, no EAL.
 */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/bell.h"
#include "dataplane/path_bits.h"
#include "dataplane/port.h"

#define ROUNDS 100000
#define PATH   3

static struct dp_path_bits bits;
static struct dp_bell bell;
static struct dp_port *port;
static _Atomic uint32_t here[2]; /* how far each side is; both meet without sleeping */

/* What the driver says in a round, and what the kernel says. */
static bool
says(uint32_t round, bool driver)
{
	return (round * UINT32_C(0x9e3779b1) >> (driver ? 31 : 17) & 1) != 0;
}

/* Wait until the other side is as far. */
static void
meet(unsigned int side)
{
	uint32_t at = atomic_fetch_add(&here[side], 1) + 1;

	for (unsigned int i = 1; (int32_t)(atomic_load(&here[1 - side]) - at) < 0; i++)
		if (i % 1000 == 0)
			sched_yield();
}

static int
start(void **state)
{
	dp_path_bits_init(&bits);
	port = aligned_alloc(64, sizeof(*port));
	if (!port || dp_bell_init(&bell) < 0)
		return -1;
	memset(port, 0, sizeof(*port));
	port->mask = calloc(1, sizeof(*port->mask));
	dp_path_mask_add(port->mask, PATH);
	port->bits = &bits;
	port->bell = &bell;
	return 0;
}

static int
end(void **state)
{
	free(port->mask);
	free(port);
	close(bell.fd);
	dp_path_bits_fini(&bits);
	return 0;
}

static void *
driver(void *arg)
{
	for (uint32_t round = 0; round < ROUNDS; round++) {
		meet(0);
		dp_port_link_driver(port, says(round, true));
		meet(0);
	}
	return NULL;
}

static void
a_link_is_up_when_both_sides_said_so_last_however_they_met(void **state)
{
	uint32_t wrong = 0;
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, driver, NULL), 0);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		meet(1);
		dp_port_link_kernel(port, says(round, false));
		meet(1);
		wrong += atomic_load(&port->link_up) != (says(round, true) && says(round, false));
	}
	pthread_join(thread, NULL);
	assert_int_equal(wrong, 0);
}

static void
a_fall_clears_the_paths_over_the_port_and_a_second_word_changes_nothing(void **state)
{
	bool up;

	dp_port_link_driver(port, true);
	dp_port_link_kernel(port, true);
	uint32_t clears = dp_path_bits_life(&bits, PATH, &up).clears;

	assert_int_equal(dp_path_bits_set(&bits, PATH, true, clears, 1), 0);
	dp_port_link_kernel(port, true);
	dp_port_link_driver(port, true);
	assert_int_equal(dp_path_bits_life(&bits, PATH, &up).clears, clears);
	assert_true(up);
	dp_port_link_driver(port, false);
	assert_int_equal(dp_path_bits_life(&bits, PATH, &up).clears, clears + 1);
	assert_false(up);
	dp_port_link_kernel(port, false);
	assert_int_equal(dp_path_bits_life(&bits, PATH, &up).clears, clears + 1);
	assert_int_equal(atomic_load(&port->link_up), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_link_is_up_when_both_sides_said_so_last_however_they_met),
		cmocka_unit_test(
			a_fall_clears_the_paths_over_the_port_and_a_second_word_changes_nothing),
	};

	return cmocka_run_group_tests(tests, start, end);
}
