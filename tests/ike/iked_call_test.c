/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests to the data plane, one at a time, answered by this program over a socket pair: what an
 * answer brings along must not gather.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "ike/iked/iked.h"

static unsigned int
descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void
descriptors_of_an_answer_are_closed(void **state)
{
	static struct iked d = {.dp = {.event_fd = -1}};
	const struct spw_dp_sa_ref ref = {.spi_in = 0x1000};
	unsigned int before;
	int pair[2], null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(null >= 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	d.dp.client = (struct spw_client){.fd = pair[0], .timeout_ms = 1000};
	before = descriptors();
	for (uint32_t i = 1; i <= 20; i++) {
		/* the answer waits already when it is asked for */
		struct spw_msg_hdr hdr = {
			.number = SPW_DP_SA_SWITCH, .flags = SPW_MSG_REPLY, .seq = i};
		struct spw_err err = {0};

		assert_int_equal(spw_msg_send(pair[1], &hdr, NULL, &null, 1), 0);
		assert_int_equal(iked_dataplane_call(&d, SPW_DP_SA_SWITCH, &ref, sizeof(ref), &err),
				 0);
	}
	assert_int_equal(descriptors(), before);
	close(pair[0]);
	close(pair[1]);
	close(null);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(descriptors_of_an_answer_are_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
