/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two spillway-iked with each other, and this program as controld of both. The tests run in order,
 * each from the state that the one before left. Needs root (namespace, ports 500 and 4500, the drop
 * of privileges); without it the test is skipped.
 *
 *	iked_test PATH/spillway-iked
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ike/bounds.h"
#include "tests/ike/iked_bed.h"
#include "tests/ike/proc.h"

#define ORPHAN_AT_LEAST_S 10

static const char *program;
static struct bed_side a = BED_SIDE("a"), b = BED_SIDE("b");

static void
sleep_ms(unsigned int ms)
{
	poll(NULL, 0, (int)ms);
}

static void
daemon_start(struct bed_side *s)
{
	bed_start(s, program, NULL, NULL);
	bed_subscribe(s);
}

static struct spw_ike_conn
conn_of(const struct bed_side *s, uint32_t generation)
{
	struct spw_ike_conn c = bed_conn(s, s == &a ? SPW_IKE_MODE_INITIATE : SPW_IKE_MODE_RESPOND);

	c.generation = generation;
	return c;
}

static void
sweep(struct bed_side *s, uint32_t generation)
{
	const struct spw_ike_sweep below = {.generation = generation};

	bed_ask(s, SPW_IKE_CONN_SWEEP, &below, sizeof(below), NULL, 0);
}

static void
configure(struct bed_side *s, uint32_t generation)
{
	struct spw_ike_conn conn = conn_of(s, generation);

	bed_configure(s, &conn);
	sweep(s, generation);
}

static void
two_daemons_bring_a_tunnel_up(void **state)
{
	struct spw_ike_status row;

	daemon_start(&b);
	configure(&b, 1);
	daemon_start(&a);
	configure(&a, 1);
	bed_expect_event(&a, true);
	bed_expect_event(&b, true);
	assert_true(bed_agree(&a, &b));
	row = bed_status(&a);
	assert_int_equal(row.state, SPW_IKE_ESTABLISHED);
	assert_int_equal(row.initiator, 1);
	assert_int_equal(row.children, 1);
}

static void
a_restarted_controld_gets_its_sockets_back(void **state)
{
	struct spw_ike_socket sock = {.local = a.local}, other = {.local = b.local};
	struct sockaddr_in sin;
	socklen_t len = sizeof(sin);
	struct spw_err err = {0};

	assert_int_equal(bed_call(&a, SPW_IKE_SOCKET_GET, &other, sizeof(other), NULL, 0, &err),
			 -ENOENT);
	bed_ask(&a, SPW_IKE_SOCKET_GET, &sock, sizeof(sock), NULL, 0);
	assert_int_equal(bed_reply.n_fds, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(getsockname(bed_reply.fds[i], (struct sockaddr *)&sin, &len), 0);
		assert_int_equal(ntohs(sin.sin_port), i ? 4500 : 500);
		close(a.udp[i]);
		a.udp[i] = bed_reply.fds[i];
	}
}

static void
the_daemon_runs_without_privileges(void **state)
{
	static const char *const sets[] = {"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"};
	const struct passwd *pw = getpwnam(BED_USER);
	char ids[64], limit[128];

	snprintf(ids, sizeof(ids), "%u\t%u\t%u\t%u", pw->pw_uid, pw->pw_uid, pw->pw_uid,
		 pw->pw_uid);
	assert_true(proc_status_is(a.pid, "Uid:", ids));
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		assert_true(proc_status_is(a.pid, sets[i], "0000000000000000"));
	assert_true(proc_status_is(a.pid, "NoNewPrivs:", "1"));
#ifndef __SANITIZE_ADDRESS__
	assert_true(proc_status_is(a.pid, "Seccomp:", "2"));
#endif
	assert_int_equal(a.dp.peer_uid, pw->pw_uid);
	snprintf(ids, sizeof(ids), "/proc/%d/limits", (int)a.pid);
	assert_true(proc_line(ids, "Max core file size", limit));
	assert_memory_equal(limit, "0 ", 2);
}

/*
 * Nothing is ever handled twice at once: there is one event loop, and the threads beside it, which
 * compute key exchanges, know no IKE SA. The filter of system calls holds for all of them.
 */
static void
ike_160_one_thread_handles_every_message(void **state)
{
	unsigned int n, workers;
	cpu_set_t set;

	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	workers = CPU_COUNT(&set) >= 4 ? 2 : 1;
	assert_int_equal(proc_threads_with(a.pid, "SigBlk:", "fffffffe7ffbfeff", &n), workers);
	assert_int_equal(n, 1 + workers);
	assert_int_equal(proc_threads_with(a.pid, "NoNewPrivs:", "1", &n), n);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	assert_int_equal(proc_threads_with(a.pid, "Seccomp:", "2", &n), n);
#endif
}

/* Sockets on port 4500 in a list of the daemon's network namespace: "tcp", "tcp6", "udp". */
static unsigned int
sockets_on_4500(const char *list)
{
	char path[64], line[512];
	unsigned int n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/net/%s", (int)a.pid, list);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, ":1194 ") != NULL;
	fclose(f);
	return n;
}

static void
ext_13_nothing_listens_on_tcp(void **state)
{
	assert_true(sockets_on_4500("udp") >= 2); /* there they are */
	assert_int_equal(sockets_on_4500("tcp") + sockets_on_4500("tcp6"), 0);
	for (unsigned int i = 0; i < 2; i++) {
		struct sockaddr_in to = {.sin_family = AF_INET,
					 .sin_port = htons(i ? 4500 : 500),
					 .sin_addr.s_addr = htonl(0x7f000001)};
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_true(fd >= 0);
		assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), -1);
		assert_int_equal(errno, ECONNREFUSED);
		close(fd);
	}
}

static void
another_user_may_not_steer(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct spw_ike_hello h = {0};
		struct spw_client c = {.timeout_ms = 1000};
		struct spw_err err = {0};
		char path[108];

		bed_path(&a, "ike.sock", path);
		if (chmod(path, 0666) < 0 || setgid(1) < 0 || setuid(1) < 0)
			_exit(3);
		c.fd = bed_connect(&a);
		if (c.fd < 0)
			_exit(2);
		_exit(spw_client_call(&c, SPW_IKE_HELLO, &h, sizeof(h), 1, NULL, 0, &bed_reply,
				      &err) == 0
			      ? 1
			      : 0);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
refused(struct bed_side *s, uint16_t number, const void *elem, uint16_t size, const int *fds,
	unsigned int n_fds, int want)
{
	struct spw_err err = {0};

	assert_int_equal(bed_call(s, number, elem, size, fds, n_fds, &err), want);
	assert_true(strlen(err.text) > 15);
	assert_null(strchr(err.text, '\n'));
}

static void
bad_requests_are_refused_and_change_nothing(void **state)
{
	struct spw_ike_socket sock = {.local = spw_addr_v4(0x7f000009)};
	struct spw_ike_conn conn = conn_of(&a, 1);
	struct spw_ike_reset reset = {.name = "tun", .what = 9};
	struct spw_ike_conn_ref ref = {.name = "other"};

	refused(&a, 99, NULL, 0, NULL, 0, -EOPNOTSUPP);
	refused(&a, SPW_IKE_EV_TUNNEL, NULL, 0, NULL, 0, -EOPNOTSUPP);
	refused(&a, SPW_IKE_CONN_SET, &conn, sizeof(conn) - 1, NULL, 0, -EINVAL);
	refused(&a, SPW_IKE_CONN_SET, NULL, 0, NULL, 0, -EINVAL);
	refused(&a, SPW_IKE_CONN_SET, &conn, sizeof(conn), a.udp, 1, -EINVAL);
	refused(&a, SPW_IKE_SOCKET_SET, &sock, sizeof(sock), NULL, 0, -EINVAL);
	refused(&a, SPW_IKE_SOCKET_SET, &sock, sizeof(sock), a.udp, 2, -EINVAL);
	refused(&a, SPW_IKE_RESET, &reset, sizeof(reset), NULL, 0, -EINVAL);
	refused(&a, SPW_IKE_CONN_DEL, &ref, sizeof(ref), NULL, 0, -ENOENT);
	memset(ref.name, 'x', sizeof(ref.name));
	refused(&a, SPW_IKE_CONN_DEL, &ref, sizeof(ref), NULL, 0, -EINVAL);
	conn.n_esp = 200;
	refused(&a, SPW_IKE_CONN_SET, &conn, sizeof(conn), NULL, 0, -EINVAL);
	assert_true(bed_agree(&a, &b));
	assert_int_equal(fake_count(&a.dp, BED_TUNNEL), 1);
}

static void
the_same_settings_again_touch_nothing(void **state)
{
	struct spw_ike_tunnel_event ev;
	struct spw_sa_desc before, after;

	assert_true(fake_outbound(&a.dp, BED_TUNNEL, &before));
	configure(&a, 2);
	assert_false(bed_event(&a, &ev, 300));
	assert_true(fake_outbound(&a.dp, BED_TUNNEL, &after));
	assert_int_equal(before.spi_in, after.spi_in);
}

static void
first_packet_from_a(void)
{
	assert_true(bed_first_packet(&a, &b));
}

static bool
moved_from(uint32_t spi_in)
{
	struct spw_sa_desc sa;

	return fake_outbound(&a.dp, BED_TUNNEL, &sa) && sa.spi_in != spi_in;
}

static void
a_soft_limit_rekeys_the_child(void **state)
{
	struct spw_sa_desc sa;

	assert_true(fake_outbound(&a.dp, BED_TUNNEL, &sa));
	struct spw_dp_sa_event ev = {.kind = SPW_SA_EV_SOFT,
				     .tunnel = BED_TUNNEL,
				     .spi_in = sa.spi_in,
				     .limit = SPW_SA_LIMIT_TIME};

	fake_event(&a.dp, &ev);
	assert_true(EVENTUALLY(moved_from(sa.spi_in)));
	first_packet_from_a();
	assert_true(EVENTUALLY(bed_agree(&a, &b)));
}

/* The next CREATE_CHILD_SA that waits for a stopped daemon, and when it was there; 0 = none. */
static uint64_t
waiting_request(struct bed_side *s, uint8_t *bytes, size_t size, ssize_t *len)
{
	struct pollfd p = {.fd = s->udp[0], .events = POLLIN};

	while (poll(&p, 1, BED_WAIT_MS) == 1) {
		*len = recv(s->udp[0], bytes, size, MSG_DONTWAIT);
		if (*len > 28 && bytes[18] == 36)
			return spw_clock_ns();
	}
	return 0;
}

static uint32_t
newest_spi(struct fake_dataplane *f)
{
	uint32_t spi;

	pthread_mutex_lock(&f->lock);
	spi = f->spi_given[f->n_spis - 1];
	pthread_mutex_unlock(&f->lock);
	return spi;
}

/* The peer is stopped, so its answer does not come; its first packet on the new SA does. */
static void
a_packet_before_the_answer_repeats_the_request(void **state)
{
	struct spw_dp_sa_event ev = {.kind = SPW_SA_EV_SOFT, .tunnel = BED_TUNNEL};
	uint8_t first[2048], again[2048];
	ssize_t len, len_again;
	struct spw_sa_desc sa;
	uint64_t at, at_again;

	assert_true(fake_outbound(&a.dp, BED_TUNNEL, &sa));
	assert_int_equal(kill(b.pid, SIGSTOP), 0);
	ev.spi_in = sa.spi_in;
	fake_event(&a.dp, &ev);
	at = waiting_request(&b, first, sizeof(first), &len);
	ev = (struct spw_dp_sa_event){
		.kind = SPW_SA_EV_EARLY, .tunnel = BED_TUNNEL, .spi_in = newest_spi(&a.dp)};
	fake_event(&a.dp, &ev);
	at_again = waiting_request(&b, again, sizeof(again), &len_again);
	assert_int_equal(kill(b.pid, SIGCONT), 0);
	assert_true(at != 0 && at_again != 0);
	assert_true(at_again - at < IKE_RETRANSMIT_NS);
	assert_int_equal(len_again, len);
	assert_memory_equal(again, first, (size_t)len);
	assert_true(EVENTUALLY(moved_from(sa.spi_in))); /* by the third, which is b's */
	first_packet_from_a();
	assert_true(EVENTUALLY(bed_agree(&a, &b)));
}

/* As controld does: give back what is kept, keep what is in use. */
static int
escrow_exchange(struct bed_side *s)
{
	struct spw_err err = {0};
	int rc = 0;

	if (s->escrow >= 0)
		rc = bed_call(s, SPW_IKE_ESCROW_SET, NULL, 0, &s->escrow, 1, &err);
	bed_ask(s, SPW_IKE_ESCROW_GET, NULL, 0, NULL, 0);
	assert_int_equal(bed_reply.n_fds, 1);
	if (s->escrow >= 0)
		close(s->escrow);
	s->escrow = bed_reply.fds[0];
	return rc;
}

static void
a_strange_escrow_is_refused_and_an_empty_one_used(void **state)
{
	struct spw_ike_status before, after;
	int strange = open("/dev/zero", O_RDWR | O_CLOEXEC);
	struct stat st;

	assert_int_equal(escrow_exchange(&a), 0);
	assert_int_equal(fstat(a.escrow, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	before = bed_status(&a);
	bed_end(&a, SIGKILL);
	daemon_start(&a);
	refused(&a, SPW_IKE_ESCROW_SET, NULL, 0, &strange, 1, -EINVAL);
	close(strange);
	close(a.escrow);
	a.escrow = -1;
	assert_int_equal(escrow_exchange(&a), 0); /* the new one's */
	configure(&a, 1);
	assert_true(EVENTUALLY((after = bed_status(&a), after.state == SPW_IKE_ESTABLISHED)));
	assert_true(after.spi_i != before.spi_i);
	first_packet_from_a();
	assert_true(EVENTUALLY(bed_agree(&a, &b)));
}

static void
a_killed_daemon_leaves_its_sas_and_replaces_them_later(void **state)
{
	struct spw_ike_tunnel_event ev;
	struct spw_sa_desc orphan;
	uint64_t up_ns;

	assert_true(fake_outbound(&a.dp, BED_TUNNEL, &orphan));
	bed_end(&a, SIGKILL);
	assert_true(fake_has(&a.dp, orphan.spi_in));
	daemon_start(&a);
	configure(&a, 1);
	/* The orphan carries the traffic: the tunnel is up from the first moment. */
	assert_true(bed_event(&a, &ev, 1000));
	assert_int_equal(ev.up, 1);
	assert_true(EVENTUALLY(moved_from(orphan.spi_in)));
	up_ns = spw_clock_ns();
	first_packet_from_a();
	assert_true(EVENTUALLY(bed_agree(&a, &b)));
	while (fake_has(&a.dp, orphan.spi_in)) {
		assert_true(spw_clock_ns() - up_ns < 20 * SPW_NS_PER_S);
		sleep_ms(50);
	}
	assert_true(spw_clock_ns() - up_ns >= ORPHAN_AT_LEAST_S * SPW_NS_PER_S);
	assert_true(bed_agree(&a, &b));
	while (bed_event(&a, &ev, 100))
		assert_int_equal(ev.up, 1); /* never told to be down */
}

/* Ended by `signal`, started again with its escrow: the same IKE SA and the same child go on. */
static void
goes_on(int signal)
{
	struct spw_ike_status before, after;
	struct spw_ike_tunnel_event ev;
	struct spw_sa_desc old, new;
	int status;

	before = bed_status(&a);
	assert_int_equal(before.escrow, 1);
	assert_true(fake_outbound(&a.dp, BED_TUNNEL, &old));
	status = bed_end(&a, signal);
	if (signal == SIGKILL)
		assert_true(WIFSIGNALED(status));
	else
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 75);
	assert_true(fake_has(&a.dp, old.spi_in));
	daemon_start(&a);
	assert_int_equal(escrow_exchange(&a), 0);
	configure(&a, 1);
	assert_true(bed_event(&a, &ev, 1000));
	assert_int_equal(ev.up, 1);
	after = bed_status(&a);
	assert_int_equal(after.state, SPW_IKE_ESTABLISHED);
	assert_true(after.spi_i == before.spi_i && after.spi_r == before.spi_r);
	assert_int_equal(after.children, 1);
	assert_int_equal(after.escrow, 1);
	assert_true(fake_outbound(&a.dp, BED_TUNNEL, &new));
	assert_int_equal(new.spi_in, old.spi_in);
	/* it works: a rekey of the child, and one of the IKE SA */
	struct spw_ike_reset rekey = {.name = "tun", .what = SPW_IKE_RESET_CHILD};

	bed_ask(&a, SPW_IKE_REKEY, &rekey, sizeof(rekey), NULL, 0);
	assert_true(EVENTUALLY(moved_from(old.spi_in)));
	first_packet_from_a();
	assert_true(EVENTUALLY(bed_agree(&a, &b)));
	while (bed_event(&a, &ev, 50))
		assert_int_equal(ev.up, 1);
}

static void
a_killed_daemon_goes_on_from_its_escrow(void **state)
{
	close(a.escrow); /* of an instance that is gone */
	a.escrow = -1;
	assert_int_equal(escrow_exchange(&a), 0);
	goes_on(SIGKILL);
	goes_on(SIGKILL);
}

static void
a_daemon_that_hands_over_is_followed(void **state)
{
	goes_on(SIGUSR1);
}

/* Killed while the data plane answers nobody, between a decision and its end. */
static void
a_deletion_that_a_daemon_died_over_is_made_up_by_the_next(void **state)
{
	const struct spw_ike_reset reset = {.name = "tun", .what = SPW_IKE_RESET_IKE};
	const struct spw_msg_hdr hdr = {
		.number = SPW_IKE_RESET, .seq = 1, .count = 1, .elem_size = sizeof(reset)};
	struct spw_sa_desc old;
	unsigned int violations;

	assert_true(fake_outbound(&a.dp, BED_TUNNEL, &old));
	pthread_mutex_lock(&a.dp.lock);
	assert_int_equal(spw_msg_send(a.client.fd, &hdr, &reset, NULL, 0), 0);
	sleep_ms(200);
	bed_end(&a, SIGKILL);
	violations = a.dp.violations;
	pthread_mutex_unlock(&a.dp.lock);
	sleep_ms(50); /* what it had asked for is done, the rest is not */
	assert_true(fake_has(&a.dp, old.spi_in));
	pthread_mutex_lock(&a.dp.lock);
	if (a.dp.violations == violations + 1) /* the answer to it had nowhere to go */
		a.dp.violations = violations;
	pthread_mutex_unlock(&a.dp.lock);
	daemon_start(&a);
	assert_int_equal(escrow_exchange(&a), 0);
	assert_true(fake_has(&a.dp, old.spi_in));
	configure(&a, 1);
	assert_false(fake_has(&a.dp, old.spi_in));
	assert_true(EVENTUALLY(fake_count(&a.dp, BED_TUNNEL) > 0));
	first_packet_from_a();
	assert_true(EVENTUALLY(bed_agree(&a, &b)));
}

static void
an_escrow_is_taken_once_and_only_a_real_one(void **state)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_int_equal(escrow_exchange(&a), -EEXIST); /* controld came again, iked did not */
	refused(&a, SPW_IKE_ESCROW_SET, NULL, 0, NULL, 0, -EINVAL);
	refused(&a, SPW_IKE_ESCROW_GET, NULL, 0, &null, 1, -EINVAL);
	close(null);
}

static void
a_new_incarnation_gets_new_children(void **state)
{
	struct spw_sa_desc old, new;

	assert_true(fake_outbound(&a.dp, BED_TUNNEL, &old));
	fake_stop(&a.dp);
	sleep_ms(300);
	char path[108];

	bed_path(&a, "dataplane.sock", path);
	fake_start(&a.dp, path);
	assert_true(EVENTUALLY(fake_outbound(&a.dp, BED_TUNNEL, &new)));
	assert_int_not_equal(old.spi_in, new.spi_in);
	assert_memory_not_equal(old.key_out, new.key_out, new.key_len);
	first_packet_from_a();
	assert_true(EVENTUALLY(bed_agree(&a, &b)));
}

static void
a_dial_without_a_data_plane_is_made_up_when_it_comes(void **state)
{
	struct spw_ike_reset reset = {.name = "tun", .what = SPW_IKE_RESET_IKE};
	struct spw_ike_status row;
	char path[108];

	fake_stop(&a.dp);
	sleep_ms(100);
	bed_ask(&a, SPW_IKE_RESET, &reset, sizeof(reset), NULL, 0);
	sleep_ms(4000); /* a few attempts, each pause longer */
	row = bed_status(&a);
	assert_int_not_equal(row.state, SPW_IKE_ESTABLISHED);
	bed_path(&a, "dataplane.sock", path);
	fake_start(&a.dp, path);
	uint64_t back_ns = spw_clock_ns();

	assert_true(EVENTUALLY(fake_count(&a.dp, BED_TUNNEL) > 0));
	assert_true(spw_clock_ns() - back_ns < 2500 * SPW_NS_PER_MS);
	assert_true(EVENTUALLY(bed_agree(&a, &b)));
}

/* Does the daemon have the sockets of this address? */
static bool
has_sockets(struct bed_side *s, const struct spw_addr *local)
{
	struct spw_ike_socket sock = {.local = *local};
	struct spw_err err = {0};
	int rc = bed_call(s, SPW_IKE_SOCKET_GET, &sock, sizeof(sock), NULL, 0, &err);

	assert_true(rc == 0 || rc == -ENOENT);
	if (rc == 0)
		spw_msg_close_fds(&bed_reply);
	return rc == 0;
}

static void
sockets_that_no_tunnel_needs_are_closed(void **state)
{
	struct spw_ike_conn conn = conn_of(&a, 3);

	sweep(&a, 1);
	sleep_ms(1500);
	assert_true(has_sockets(&a, &a.local)); /* of a tunnel that stands */
	assert_int_equal(kill(b.pid, SIGSTOP), 0);
	sweep(&a, 2);
	sleep_ms(2500);
	assert_true(has_sockets(&a, &a.local)); /* the Delete is repeated */
	assert_int_equal(kill(b.pid, SIGCONT), 0);
	assert_true(EVENTUALLY(!has_sockets(&a, &a.local)));
	assert_true(EVENTUALLY(fake_count(&b.dp, BED_TUNNEL) == 0)); /* it was answered */

	/* handed over before the tunnel that needs them is told: they are waited with */
	bed_ask(&a, SPW_IKE_SOCKET_SET, &(struct spw_ike_socket){.local = a.local},
		sizeof(struct spw_ike_socket), a.udp, 2);
	sleep_ms(1500);
	assert_true(has_sockets(&a, &a.local));
	bed_ask(&a, SPW_IKE_CONN_SET, &conn, sizeof(conn), NULL, 0);
	sweep(&a, 3);
	assert_true(EVENTUALLY(bed_agree(&a, &b)));
	assert_true(has_sockets(&a, &a.local));
}

static void
an_orderly_stop_tells_the_peer(void **state)
{
	int status;

	while (b.events >= 0) { /* what came before */
		struct spw_ike_tunnel_event ev;

		if (!bed_event(&b, &ev, 50))
			break;
	}
	status = bed_end(&a, SIGTERM);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	bed_expect_event(&b, false);
	assert_true(EVENTUALLY(fake_count(&b.dp, BED_TUNNEL) == 0));
	assert_int_equal(fake_count(&a.dp, BED_TUNNEL), 0);
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
		cmocka_unit_test(two_daemons_bring_a_tunnel_up),
		cmocka_unit_test(a_restarted_controld_gets_its_sockets_back),
		cmocka_unit_test(the_daemon_runs_without_privileges),
		cmocka_unit_test(ike_160_one_thread_handles_every_message),
		cmocka_unit_test(ext_13_nothing_listens_on_tcp),
		cmocka_unit_test(another_user_may_not_steer),
		cmocka_unit_test(bad_requests_are_refused_and_change_nothing),
		cmocka_unit_test(the_same_settings_again_touch_nothing),
		cmocka_unit_test(a_soft_limit_rekeys_the_child),
		cmocka_unit_test(a_packet_before_the_answer_repeats_the_request),
		cmocka_unit_test(a_strange_escrow_is_refused_and_an_empty_one_used),
		cmocka_unit_test(a_killed_daemon_leaves_its_sas_and_replaces_them_later),
		cmocka_unit_test(a_killed_daemon_goes_on_from_its_escrow),
		cmocka_unit_test(a_daemon_that_hands_over_is_followed),
		cmocka_unit_test(a_deletion_that_a_daemon_died_over_is_made_up_by_the_next),
		cmocka_unit_test(an_escrow_is_taken_once_and_only_a_real_one),
		cmocka_unit_test(a_new_incarnation_gets_new_children),
		cmocka_unit_test(a_dial_without_a_data_plane_is_made_up_when_it_comes),
		cmocka_unit_test(sockets_that_no_tunnel_needs_are_closed),
		cmocka_unit_test(an_orderly_stop_tells_the_peer),
		cmocka_unit_test(the_contract_of_the_data_plane_was_kept),
	};

	int wrong = proc_called_right(argc, 2, "iked_test PATH/spillway-iked");

	if (wrong)
		return wrong;
	program = argv[1];
	return cmocka_run_group_tests(tests, setup, teardown);
}
