/* SPDX-License-Identifier: BSD-3-Clause */
/* Which transmit queue a worker sends by, and which have a lock: for every number of both. */
#include "dataplane/tx_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// clang-format off
#include <cmocka.h>
// clang-format on

static void
every_sa_leaves_by_one_queue_that_is_locked_when_shared(void **unused)
{
	for (unsigned int max = 1; max < 70; max++) {
		for (unsigned int workers = 1; workers <= 32; workers++) {
			struct dp_tx_plan plan = dp_tx_plan(max, workers);

			assert_in_range(plan.n, 1, max);
			for (unsigned int w = 0; w < workers; w++) {
				uint16_t own = dp_tx_queue(&plan, w, false, 0);

				assert_true(own < plan.n);
				/* Without a lock only where nobody else sends. */
				assert_true(workers == 1 || own == w || dp_tx_locked(&plan, own));
			}
			for (uint32_t slot = 0; slot < 100 && workers > 1; slot++) {
				uint16_t queue = dp_tx_queue(&plan, 0, true, slot);

				assert_true(queue < plan.n);
				assert_true(dp_tx_locked(&plan, queue));
				for (unsigned int w = 1; w < workers; w++)
					assert_int_equal(dp_tx_queue(&plan, w, true, slot), queue);
			}
		}
	}
}

static void
with_queues_enough_other_packets_never_meet_a_lock(void **unused)
{
	for (unsigned int workers = 2; workers <= 32; workers++) {
		struct dp_tx_plan plan = dp_tx_plan(2 * workers, workers);

		for (unsigned int w = 0; w < workers; w++)
			assert_false(dp_tx_locked(&plan, dp_tx_queue(&plan, w, false, 0)));
	}
	assert_false(dp_tx_locked(&(struct dp_tx_plan){.sa_own = true}, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_sa_leaves_by_one_queue_that_is_locked_when_shared),
		cmocka_unit_test(with_queues_enough_other_packets_never_meet_a_lock),
	};

	return cmocka_run_group_tests_name("tx_plan", tests, NULL, NULL);
}
