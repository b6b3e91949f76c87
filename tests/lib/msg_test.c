/* SPDX-License-Identifier: BSD-3-Clause */
/* Framed messages, their tables, secrets and the algorithm table. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/spillway.h"

static struct spw_msg msg;

static void
pair_make(int fds[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
}

static void
batch_and_descriptor_arrive_whole(void **state)
{
	struct spw_dp_route routes[3] = {{.group = 1}, {.group = 2}, {.group = 3}};
	struct spw_msg_hdr hdr = {
		.number = SPW_DP_ROUTE_SET, .seq = 9, .count = 3, .elem_size = sizeof(routes[0])};
	int pair[2], pipe_fds[2];

	pair_make(pair);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(spw_msg_send(pair[0], &hdr, routes, pipe_fds, 1), 0);
	assert_int_equal(spw_msg_recv(pair[1], &msg), 0);
	assert_int_equal(msg.hdr.number, SPW_DP_ROUTE_SET);
	assert_int_equal(msg.hdr.count, 3);
	assert_memory_equal(msg.body, routes, sizeof(routes));
	assert_int_equal(msg.n_fds, 1);
	spw_msg_close_fds(&msg);
	close(pair[0]);
	assert_int_equal(spw_msg_recv(pair[1], &msg), -ECONNRESET);
	close(pair[1]);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void
wrong_framing_is_refused(void **state)
{
	struct {
		struct spw_msg_hdr hdr;
		uint8_t body[8];
	} raw;
	const struct spw_msg_hdr wrong[] = {
		{.protocol = SPW_MSG_PROTOCOL + 1, .count = 1, .elem_size = 8},
		{.protocol = SPW_MSG_PROTOCOL, .count = 2, .elem_size = 8},
		{.protocol = SPW_MSG_PROTOCOL, .count = 1, .elem_size = 7},
		{.protocol = SPW_MSG_PROTOCOL, .count = 65535, .elem_size = 65535},
		{.protocol = SPW_MSG_PROTOCOL, .count = 0, .elem_size = 8},
	};
	int pair[2];

	pair_make(pair);
	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		raw.hdr = wrong[i];
		assert_int_equal(send(pair[0], &raw, sizeof(raw), 0), sizeof(raw));
		assert_int_equal(spw_msg_recv(pair[1], &msg), -EPROTO);
	}
	assert_int_equal(send(pair[0], &raw, 5, 0), 5);
	assert_int_equal(spw_msg_recv(pair[1], &msg), -EPROTO);
	close(pair[0]);
	close(pair[1]);
}

static unsigned int
descriptors_open(void)
{
	unsigned int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void
descriptors_that_come_with_nothing_are_closed(void **state)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr m = {.msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	unsigned int before;
	int pair[2];

	pair_make(pair);
	before = descriptors_open();
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &pair[0], sizeof(int));
	assert_int_equal(sendmsg(pair[0], &m, 0), 0);
	assert_int_equal(spw_msg_recv(pair[1], &msg), -ECONNRESET);
	assert_int_equal(descriptors_open(), before);
	close(pair[0]);
	close(pair[1]);
}

static void
client_takes_only_the_reply_to_its_request(void **state)
{
	struct spw_msg_error refusal = {.index = 0, .text = "port 'x' does not exist"};
	struct spw_msg_hdr hdr = {.flags = SPW_MSG_REPLY, .count = 0};
	struct spw_client client = {.timeout_ms = 200};
	struct spw_err err = {0};
	int pair[2];

	pair_make(pair);
	client.fd = pair[0];
	hdr.seq = 77; /* of an earlier request that timed out */
	assert_int_equal(spw_msg_send(pair[1], &hdr, NULL, NULL, 0), 0);
	hdr.seq = 1;
	hdr.status = ENODEV;
	hdr.count = 1;
	hdr.elem_size = sizeof(refusal);
	assert_int_equal(spw_msg_send(pair[1], &hdr, &refusal, NULL, 0), 0);
	assert_int_equal(spw_client_call(&client, SPW_DP_PORT_SET, NULL, 0, 0, NULL, 0, &msg, &err),
			 -ENODEV);
	assert_string_equal(err.text, "port 'x' does not exist");
	assert_int_equal(spw_client_call(&client, SPW_DP_PORT_SET, NULL, 0, 0, NULL, 0, &msg, &err),
			 -ETIMEDOUT);
	close(pair[0]);
	close(pair[1]);
}

/* One that is stopped would otherwise stop those who ask it again and again, too. */
static void
connecting_to_one_that_accepts_nobody_never_waits(void **state)
{
	char dir[] = "/tmp/spw-msg-XXXXXX", path[64];
	int fd[64], n = 0, listener, rc;
	struct spw_err err;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	listener = spw_msg_listen(path, (gid_t)-1, &err);
	assert_true(listener >= 0);
	alarm(5);
	while ((rc = spw_msg_connect(path, &err)) >= 0 && n < 64)
		fd[n++] = rc;
	alarm(0);
	assert_in_range(n, 1, 63);
	assert_int_equal(rc, -EAGAIN);
	assert_non_null(strstr(err.text, "accepts nobody"));
	assert_int_equal(fcntl(fd[0], F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(fcntl(fd[0], F_GETFD), FD_CLOEXEC);
	while (n > 0)
		close(fd[--n]);
	close(listener);
	unlink(path);
	rmdir(dir);
}

/* A second daemon started by mistake must not take the clients of the first, nor its file. */
static void
a_socket_is_taken_over_from_the_dead_alone(void **state)
{
	char dir[] = "/tmp/spw-msg-XXXXXX", path[64];
	struct spw_err err = {0};
	int first, client;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/s", dir);
	first = spw_msg_listen(path, (gid_t)-1, &err);
	assert_true(first >= 0);
	assert_int_equal(spw_msg_listen(path, (gid_t)-1, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "another daemon listens on"));
	client = spw_msg_connect(path, &err);
	assert_true(client >= 0);
	close(client);
	close(first); /* as when it is killed: its file stays */
	assert_int_equal(access(path, F_OK), 0);
	first = spw_msg_listen(path, (gid_t)-1, &err);
	assert_true(first >= 0);
	close(first);
	unlink(path);
	rmdir(dir);
}

static void
only_iked_may_touch_sas_and_only_controld_routes(void **state)
{
	assert_int_equal(spw_dp_msg_info(SPW_DP_SA_INSTALL)->who, SPW_ROLE_IKED);
	assert_int_equal(spw_dp_msg_info(SPW_DP_SA_DELETE)->who, SPW_ROLE_IKED);
	assert_int_equal(spw_dp_msg_info(SPW_DP_ROUTE_SET)->who, SPW_ROLE_CONTROLD);
	assert_int_equal(spw_dp_msg_info(SPW_DP_PATH_STATE)->who, SPW_ROLE_CONTROLD);
	assert_int_equal(spw_dp_msg_info(SPW_DP_GET_STATUS)->request_size, 0);
	assert_null(spw_dp_msg_info(9999));
	assert_null(spw_ike_msg_info(9999));
	assert_int_equal(spw_ike_msg_info(SPW_IKE_CONN_SET)->request_size,
			 sizeof(struct spw_ike_conn));
}

static void
secret_compares_and_is_gone_after_free(void **state)
{
	struct spw_secret a = {0}, b = {0}, c = {0};
	char fa[SPW_FINGERPRINT_LEN], fb[SPW_FINGERPRINT_LEN];

	assert_int_equal(spw_secret_set(&a, "0123456789abcdef", 16), 0);
	assert_int_equal(spw_secret_set(&b, "0123456789abcdef", 16), 0);
	assert_int_equal(spw_secret_set(&c, "0123456789abcdeF", 16), 0);
	assert_true(spw_secret_equal(&a, &b));
	assert_false(spw_secret_equal(&a, &c));
	assert_string_equal(spw_secret_fingerprint(&a, fa), spw_secret_fingerprint(&b, fb));
	assert_string_not_equal(spw_secret_fingerprint(&c, fa), fb);
	assert_null(strstr(fb, "0123"));
	spw_secret_free(&a);
	assert_null(a.bytes);
	spw_secret_free(&a);
	spw_secret_move(&a, &b);
	assert_null(b.bytes);
	spw_secret_free(&a);
	spw_secret_free(&c);
	assert_int_equal(spw_secret_alloc(&a, 0), -EINVAL);
}

static void
every_algorithm_is_found_by_name_and_number(void **state)
{
	for (enum spw_encr e = 1; e < SPW_ENCR_COUNT; e++) {
		const struct spw_encr_info *i = spw_encr_info(e);

		assert_int_equal(spw_encr_by_name(i->conf_name), e);
		assert_int_equal(spw_encr_by_ike_id(i->ike_id, i->ike_key_bits), e);
	}
	for (enum spw_group g = 1; g < SPW_GROUP_COUNT; g++) {
		assert_int_equal(spw_group_by_name(spw_group_info(g)->conf_name), g);
		assert_int_equal(spw_group_by_ike_id(spw_group_info(g)->ike_id), g);
	}
	for (enum spw_prf p = 1; p < SPW_PRF_COUNT; p++)
		assert_int_equal(spw_prf_by_ike_id(spw_prf_info(p)->ike_id), p);
	for (enum spw_integ n = 1; n < SPW_INTEG_COUNT; n++)
		assert_int_equal(spw_integ_by_ike_id(spw_integ_info(n)->ike_id), n);
	assert_int_equal(spw_encr_by_name("des"), SPW_ENCR_NONE);
	assert_int_equal(spw_encr_by_ike_id(20, 129), SPW_ENCR_NONE);
	/* RFC 7634 4: no Key Length attribute */
	assert_int_equal(spw_encr_by_ike_id(28, 0), SPW_ENCR_CHACHA20_POLY1305);
	assert_int_equal(spw_encr_by_ike_id(28, 256), SPW_ENCR_NONE);
	assert_int_equal(spw_group_by_ike_id(1), SPW_GROUP_NONE);
}

static void
ages_read_as_a_person_writes_them(void **state)
{
	char out[32];

	assert_string_equal(spw_clock_format_age(41 * SPW_NS_PER_US, out), "41us");
	assert_string_equal(spw_clock_format_age(870 * SPW_NS_PER_MS, out), "0.87s");
	assert_string_equal(spw_clock_format_age((5 * 3600 + 31 * 60 + 2) * SPW_NS_PER_S, out),
			    "05:31:02");
	assert_string_equal(spw_clock_format_age((11 * 86400 + 4 * 3600 + 120) * SPW_NS_PER_S, out),
			    "11d04:02");
}

static int
setup(void **state)
{
	return spw_secret_init();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(batch_and_descriptor_arrive_whole),
		cmocka_unit_test(wrong_framing_is_refused),
		cmocka_unit_test(descriptors_that_come_with_nothing_are_closed),
		cmocka_unit_test(client_takes_only_the_reply_to_its_request),
		cmocka_unit_test(connecting_to_one_that_accepts_nobody_never_waits),
		cmocka_unit_test(a_socket_is_taken_over_from_the_dead_alone),
		cmocka_unit_test(only_iked_may_touch_sas_and_only_controld_routes),
		cmocka_unit_test(secret_compares_and_is_gone_after_free),
		cmocka_unit_test(every_algorithm_is_found_by_name_and_number),
		cmocka_unit_test(ages_read_as_a_person_writes_them),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
