/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests to the data plane, one at a time, answered by this program over a socket pair: what an
 * answer brings along must not gather. And requests of controld when there is no memory for the
 * rows of all connections: "none" would be a lie, and what is known of them must not go.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "ike/iked/iked.h"
#include "tests/ike/no_dataplane.h"

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

/* ---- the log ---- */

static char log_text[16384];

/* Ask a data plane that is not there for an SPI and to delete an SA, so many times each. */
static void
log_of_refusals(struct iked *d, unsigned int n)
{
	FILE *f = tmpfile();
	int before = dup(STDERR_FILENO);
	uint32_t spi;

	assert_non_null(f);
	dup2(fileno(f), STDERR_FILENO);
	for (unsigned int i = 0; i < n; i++) {
		assert_int_equal(iked_op_spi_alloc(d, i, &spi), -ENOTCONN);
		assert_int_equal(iked_op_sa_delete(d, 0x1000 + i, SPW_SA_PART_IN), -ENOTCONN);
	}
	dup2(before, STDERR_FILENO);
	close(before);
	rewind(f);
	log_text[fread(log_text, 1, sizeof(log_text) - 1, f)] = '\0';
	fclose(f);
}

static unsigned int
lines_with(const char *text)
{
	unsigned int n = 0;

	for (const char *p = log_text; (p = strstr(p, text)) != NULL; p++)
		n++;
	return n;
}

/* Ten thousand tunnels have as many requests when the data plane goes. */
static void
refusals_have_a_line_a_second_for_each_kind(void **state)
{
	static struct iked d = {.dp = {.event_fd = -1, .client.fd = -1}};
	uint64_t before = spw_clock_ns();

	log_of_refusals(&d, 50);
	assert_in_range(lines_with(" refused request=SPI_ALLOC "), 1,
			1 + (spw_clock_ns() - before) / SPW_NS_PER_S);
	assert_in_range(lines_with(" delete-failed "), 1,
			1 + (spw_clock_ns() - before) / SPW_NS_PER_S);
	usleep(1100000);
	log_of_refusals(&d, 1);
	assert_int_equal(lines_with(" refused request=SPI_ALLOC "), 1);
	assert_int_equal(lines_with(" delete-failed "), 1);
	assert_int_equal(lines_with(" suppressed="), 2);
}

/* ---- without memory ---- */

static size_t no_room_for; /* elements of this size are not had */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *
__wrap_calloc(size_t n, size_t size)
{
	return no_room_for != 0 && size == no_room_for ? NULL : __real_calloc(n, size);
}

static void
send_nothing(void *ctx, const struct ike_datagram *d)
{
}

static int
no_spi(void *ctx, uint32_t tunnel, uint32_t *spi)
{
	return -ENOTCONN;
}

static struct spw_ike_conn
connection(void)
{
	struct spw_ike_conn c = {.name = "tun",
				 .tunnel = 7,
				 .generation = 1,
				 .local = spw_addr_v4(0x0a000001),
				 .remote = spw_addr_v4(0x0a000002),
				 .mode = SPW_IKE_MODE_RESPOND,
				 .psk = "secret",
				 .psk_len = 6,
				 .n_ike = 1,
				 .n_esp = 1,
				 .n_local = 1,
				 .n_remote = 1};

	c.ike[0] = (struct spw_ike_proposal){
		.encr = SPW_ENCR_AES256_GCM, .prf = SPW_PRF_HMAC_SHA384, .group = SPW_GROUP_ECP384};
	c.esp[0] = (struct spw_ike_proposal){.encr = SPW_ENCR_AES256_GCM};
	c.sel_local[0] = c.sel_remote[0] = (struct spw_selector){
		.low = spw_addr_v4(0), .high = spw_addr_v4(0xffffffff), .port_high = 65535};
	return c;
}

static int
ask(struct iked *d, uint16_t number, const void *elem, uint16_t size)
{
	static struct spw_msg m;
	struct spw_err err = {0};
	struct iked_client c = {.iked = d};
	int pair[2], rc;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	c.fd = pair[0];
	memset(&m, 0, sizeof(m));
	m.hdr = (struct spw_msg_hdr){.number = number, .count = elem ? 1 : 0, .elem_size = size};
	if (elem)
		memcpy(m.body, elem, size);
	rc = iked_command(&c, &m, &err);
	assert_int_equal(rc != 0, err.text[0] != 0);
	close(pair[0]);
	close(pair[1]);
	return rc;
}

static void
without_memory_for_the_rows_nothing_is_forgotten(void **state)
{
	static struct iked d = {.dp = {.event_fd = -1, .client.fd = -1}, .escrow = {.fd = -1}};
	const struct spw_ike_sweep sweep = {.generation = 1};
	struct ike_ops ops = no_dataplane_ops();
	const struct ike_engine_config config = {.ops = &ops};
	const struct spw_ike_conn c = connection();

	ops.send = send_nothing;
	ops.spi_alloc = no_spi;
	assert_int_equal(spw_secret_init(), 0);
	assert_int_equal(ike_engine_new(&d.engine, &config, spw_clock_ns()), 0);
	assert_int_equal(ask(&d, SPW_IKE_CONN_SET, &c, sizeof(c)), 0);
	assert_int_equal(ask(&d, SPW_IKE_GET_CONNS, NULL, 0), 0);
	no_room_for = sizeof(struct spw_ike_status);
	assert_int_equal(ask(&d, SPW_IKE_GET_CONNS, NULL, 0), -ENOMEM);
	assert_int_equal(ask(&d, SPW_IKE_CONN_SWEEP, &sweep, sizeof(sweep)), 0);
	assert_non_null(iked_conns_find(&d.conns, "tun"));
	no_room_for = 0;
	assert_int_equal(ask(&d, SPW_IKE_GET_CONNS, NULL, 0), 0);
	ike_engine_free(d.engine);
	iked_conns_clear(&d.conns);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(descriptors_of_an_answer_are_closed),
		cmocka_unit_test(refusals_have_a_line_a_second_for_each_kind),
		cmocka_unit_test(without_memory_for_the_rows_nothing_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
