/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two spillway-iked on 127.0.0.1 and 127.0.0.2 of a network namespace of their own, each with a
 * stand-in for its data plane; this program plays controld for both. The tests run in order, each
 * from the state that the one before left. Needs root (namespace, ports 500 and 4500, the drop of
 * privileges); without it the test is skipped.
 *
 *	iked_test PATH/spillway-iked
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
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
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/ike/fake_dataplane.h"

#define USER		  "nobody"
#define TUNNEL		  7
#define WAIT_MS		  8000
#define ORPHAN_AT_LEAST_S 10

static const char *program;
static char base_dir[] = "/tmp/spw-iked-XXXXXX";

struct side {
	const char *name;
	char dir[64];
	struct spw_addr local, remote;
	int udp[2]; /* the duplicates that controld keeps */
	int escrow; /* as well; -1 = none */
	struct fake_dataplane dp;
	pid_t pid;
	struct spw_client client;
	int events;
};
static struct side a = {.name = "a", .client.fd = -1, .events = -1, .escrow = -1};
static struct side b = {.name = "b", .client.fd = -1, .events = -1, .escrow = -1};
static struct spw_msg reply;

static void
sleep_ms(unsigned int ms)
{
	poll(NULL, 0, (int)ms);
}

/* Wait until a condition holds; false after WAIT_MS. */
#define EVENTUALLY(cond)                                                    \
	__extension__({                                                     \
		uint64_t until_ = spw_clock_ns() + WAIT_MS * SPW_NS_PER_MS; \
		bool held_;                                                 \
		while (!(held_ = (cond)) && spw_clock_ns() < until_)        \
			sleep_ms(20);                                       \
		held_;                                                      \
	})

static int
udp_open(const struct spw_addr *local, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t len = spw_addr_to_sockaddr(local, port, &ss);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&ss, len) == 0);
	return fd;
}

static void
path_of(const struct side *s, const char *file, char out[108])
{
	snprintf(out, 108, "%s/%s", s->dir, file);
}

static pid_t
spawn(const char *dir, const char *user)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(program, program, "--run-dir", dir, "--user", user, "--log-level", "debug",
		      (char *)NULL);
		_exit(127);
	}
	return pid;
}

static int
ike_connect(const struct side *s)
{
	struct spw_err err = {0};
	char path[108];

	path_of(s, "ike.sock", path);
	return spw_msg_connect(path, &err);
}

static int
call(struct side *s, uint16_t number, const void *elem, uint16_t size, const int *fds,
     unsigned int n_fds, struct spw_err *err)
{
	return spw_client_call(&s->client, number, elem, size, elem ? 1 : 0, fds, n_fds, &reply,
			       err);
}

static void
hello(struct side *s)
{
	struct spw_ike_hello plain = {0}, subscribe = {.subscribe = 1};
	struct spw_client events = {.timeout_ms = 2000};
	struct spw_err err = {0};

	assert_true(EVENTUALLY((s->client.fd = ike_connect(s)) >= 0));
	s->client.timeout_ms = 3000;
	assert_int_equal(call(s, SPW_IKE_HELLO, &plain, sizeof(plain), NULL, 0, &err), 0);
	events.fd = ike_connect(s);
	assert_true(events.fd >= 0);
	assert_int_equal(spw_client_call(&events, SPW_IKE_HELLO, &subscribe, sizeof(subscribe), 1,
					 NULL, 0, &reply, &err),
			 0);
	s->events = events.fd;
}

static void
daemon_start(struct side *s)
{
	s->pid = spawn(s->dir, USER);
	assert_true(s->pid > 0);
	hello(s);
}

static int
daemon_end(struct side *s, int signal)
{
	int status = -1;

	if (s->pid <= 0)
		return -1;
	kill(s->pid, signal);
	waitpid(s->pid, &status, 0);
	s->pid = 0;
	close(s->client.fd);
	close(s->events);
	s->client.fd = s->events = -1;
	return status;
}

static struct spw_selector
any_v4(void)
{
	return (struct spw_selector){
		.low = spw_addr_v4(0), .high = spw_addr_v4(0xffffffff), .port_high = 65535};
}

static struct spw_ike_id
id_of(const char *name)
{
	struct spw_ike_id id = {.type = SPW_ID_FQDN, .len = (uint8_t)strlen(name)};

	memcpy(id.data, name, id.len);
	return id;
}

static struct spw_ike_conn
conn_of(const struct side *s, uint32_t generation)
{
	struct spw_ike_conn c = {.name = "tun",
				 .tunnel = TUNNEL,
				 .generation = generation,
				 .local = s->local,
				 .remote = s->remote,
				 .local_id = id_of(s == &a ? "a.test" : "b.test"),
				 .remote_id = id_of(s == &a ? "b.test" : "a.test"),
				 .mode = s == &a ? SPW_IKE_MODE_INITIATE : SPW_IKE_MODE_RESPOND,
				 .psk_len = 16,
				 .n_ike = 1,
				 .n_esp = 1,
				 .ike_rekey_s = 3600,
				 .dpd_delay_s = 30,
				 .dpd_timeout_s = 60,
				 .nat_keepalive_s = 20,
				 .replay_window = 1024,
				 .child_seconds = {3000, 3600},
				 .jitter_percent = 10,
				 .n_local = 1,
				 .n_remote = 1};

	memcpy(c.psk, "correct horse ba", 16);
	c.ike[0] = (struct spw_ike_proposal){SPW_ENCR_AES256_GCM, SPW_INTEG_NONE,
					     SPW_PRF_HMAC_SHA384, SPW_GROUP_ECP384};
	c.esp[0] = (struct spw_ike_proposal){SPW_ENCR_AES256_GCM, SPW_INTEG_NONE, SPW_PRF_NONE,
					     SPW_GROUP_NONE};
	c.sel_local[0] = any_v4();
	c.sel_remote[0] = any_v4();
	return c;
}

static void
configure(struct side *s, uint32_t generation)
{
	struct spw_ike_socket sock = {.local = s->local};
	struct spw_ike_conn conn = conn_of(s, generation);
	struct spw_ike_sweep sweep = {.generation = generation};
	struct spw_err err = {0};

	assert_int_equal(call(s, SPW_IKE_SOCKET_SET, &sock, sizeof(sock), s->udp, 2, &err), 0);
	assert_int_equal(call(s, SPW_IKE_CONN_SET, &conn, sizeof(conn), NULL, 0, &err), 0);
	assert_int_equal(call(s, SPW_IKE_CONN_SWEEP, &sweep, sizeof(sweep), NULL, 0, &err), 0);
}

/* The next tunnel event within `ms`; false when none comes. */
static bool
event_next(struct side *s, struct spw_ike_tunnel_event *ev, int ms)
{
	struct pollfd p = {.fd = s->events, .events = POLLIN};

	if (poll(&p, 1, ms) != 1 || spw_msg_recv(s->events, &reply) != 0)
		return false;
	assert_int_equal(reply.hdr.number, SPW_IKE_EV_TUNNEL);
	assert_int_equal(reply.hdr.flags, SPW_MSG_EVENT);
	assert_int_equal(reply.hdr.elem_size, sizeof(*ev));
	memcpy(ev, reply.body, sizeof(*ev));
	return true;
}

static void
expect_event(struct side *s, bool up)
{
	struct spw_ike_tunnel_event ev;

	do {
		if (!event_next(s, &ev, WAIT_MS))
			fail_msg("%s: no event that the tunnel is %s", s->name, up ? "up" : "down");
		assert_string_equal(ev.name, "tun");
		assert_int_equal(ev.tunnel, TUNNEL);
	} while ((ev.up != 0) != up);
}

static void
status_get(struct side *s, struct spw_ike_status *row)
{
	struct spw_err err = {0};

	assert_int_equal(call(s, SPW_IKE_GET_CONNS, NULL, 0, NULL, 0, &err), 0);
	assert_int_equal(reply.hdr.count, 1);
	assert_int_equal(reply.hdr.elem_size, sizeof(*row));
	memcpy(row, reply.body, sizeof(*row));
}

/* What one side seals the other opens: the outbound SAs mirror each other. */
static bool
sides_agree(void)
{
	struct spw_sa_desc x, y;
	bool agree = fake_outbound(&a.dp, TUNNEL, &x) && fake_outbound(&b.dp, TUNNEL, &y) &&
		     x.spi_out == y.spi_in && y.spi_out == x.spi_in && x.encr == y.encr &&
		     x.key_len == 36 && x.key_len == y.key_len &&
		     memcmp(x.key_out, y.key_in, x.key_len) == 0 &&
		     memcmp(x.key_in, y.key_out, x.key_len) == 0;

	spw_wipe(&x, sizeof(x));
	spw_wipe(&y, sizeof(y));
	return agree;
}

static void
two_daemons_bring_a_tunnel_up(void **state)
{
	struct spw_ike_status row;

	daemon_start(&b);
	configure(&b, 1);
	daemon_start(&a);
	configure(&a, 1);
	expect_event(&a, true);
	expect_event(&b, true);
	assert_true(sides_agree());
	status_get(&a, &row);
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

	assert_int_equal(call(&a, SPW_IKE_SOCKET_GET, &other, sizeof(other), NULL, 0, &err),
			 -ENOENT);
	assert_int_equal(call(&a, SPW_IKE_SOCKET_GET, &sock, sizeof(sock), NULL, 0, &err), 0);
	assert_int_equal(reply.n_fds, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(getsockname(reply.fds[i], (struct sockaddr *)&sin, &len), 0);
		assert_int_equal(ntohs(sin.sin_port), i ? 4500 : 500);
		close(a.udp[i]);
		a.udp[i] = reply.fds[i];
	}
}

static bool
status_line_is(pid_t pid, const char *key, const char *want)
{
	char path[64], line[256];
	bool is = false;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof(line), f))
		if (strncmp(line, key, strlen(key)) == 0)
			is = strstr(line, want) != NULL;
	if (f)
		fclose(f);
	return is;
}

static void
the_daemon_runs_without_privileges(void **state)
{
	static const char *const sets[] = {"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"};
	const struct passwd *pw = getpwnam(USER);
	char ids[64];

	snprintf(ids, sizeof(ids), "\t%u\t%u\t%u\t%u", pw->pw_uid, pw->pw_uid, pw->pw_uid,
		 pw->pw_uid);
	assert_true(status_line_is(a.pid, "Uid:", ids));
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		assert_true(status_line_is(a.pid, sets[i], "0000000000000000"));
	assert_true(status_line_is(a.pid, "NoNewPrivs:", "1"));
#ifndef __SANITIZE_ADDRESS__
	assert_true(status_line_is(a.pid, "Seccomp:", "2"));
#endif
	assert_int_equal(a.dp.peer_uid, pw->pw_uid);
	snprintf(ids, sizeof(ids), "/proc/%d/limits", (int)a.pid);
	FILE *f = fopen(ids, "r");
	char line[256];
	bool core = false;

	while (f && fgets(line, sizeof(line), f))
		core |= strncmp(line, "Max core file size        0 ", 28) == 0;
	assert_true(core);
	fclose(f);
}

/* In how many threads of the process this line is there, of *n. */
static unsigned int
threads_with(pid_t pid, const char *key, const char *want, unsigned int *n)
{
	unsigned int with = 0;
	char path[64];
	struct dirent *entry;

	*n = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	DIR *tasks = opendir(path);

	assert_non_null(tasks);
	while ((entry = readdir(tasks))) {
		if (entry->d_name[0] == '.')
			continue;
		(*n)++;
		with += status_line_is((pid_t)atoi(entry->d_name), key, want);
	}
	closedir(tasks);
	return with;
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
	assert_int_equal(threads_with(a.pid, "SigBlk:", "fffffffe7ffbfeff", &n), workers);
	assert_int_equal(n, 1 + workers);
	assert_int_equal(threads_with(a.pid, "NoNewPrivs:", "1", &n), n);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	assert_int_equal(threads_with(a.pid, "Seccomp:", "2", &n), n);
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

		path_of(&a, "ike.sock", path);
		if (chmod(path, 0666) < 0 || setgid(1) < 0 || setuid(1) < 0)
			_exit(3);
		c.fd = ike_connect(&a);
		if (c.fd < 0)
			_exit(2);
		_exit(spw_client_call(&c, SPW_IKE_HELLO, &h, sizeof(h), 1, NULL, 0, &reply, &err) ==
				      0
			      ? 1
			      : 0);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
refused(int rc, int want, const struct spw_err *err)
{
	assert_int_equal(rc, want);
	assert_true(strlen(err->text) > 15);
	assert_null(strchr(err->text, '\n'));
}

static void
bad_requests_are_refused_and_change_nothing(void **state)
{
	struct spw_ike_socket sock = {.local = spw_addr_v4(0x7f000009)};
	struct spw_ike_conn conn = conn_of(&a, 1);
	struct spw_ike_reset reset = {.name = "tun", .what = 9};
	struct spw_ike_conn_ref ref = {.name = "other"};
	struct spw_err err = {0};

	refused(call(&a, 99, NULL, 0, NULL, 0, &err), -EOPNOTSUPP, &err);
	refused(call(&a, SPW_IKE_EV_TUNNEL, NULL, 0, NULL, 0, &err), -EOPNOTSUPP, &err);
	refused(call(&a, SPW_IKE_CONN_SET, &conn, sizeof(conn) - 1, NULL, 0, &err), -EINVAL, &err);
	refused(call(&a, SPW_IKE_CONN_SET, NULL, 0, NULL, 0, &err), -EINVAL, &err);
	refused(call(&a, SPW_IKE_CONN_SET, &conn, sizeof(conn), a.udp, 1, &err), -EINVAL, &err);
	refused(call(&a, SPW_IKE_SOCKET_SET, &sock, sizeof(sock), NULL, 0, &err), -EINVAL, &err);
	refused(call(&a, SPW_IKE_SOCKET_SET, &sock, sizeof(sock), a.udp, 2, &err), -EINVAL, &err);
	refused(call(&a, SPW_IKE_RESET, &reset, sizeof(reset), NULL, 0, &err), -EINVAL, &err);
	refused(call(&a, SPW_IKE_CONN_DEL, &ref, sizeof(ref), NULL, 0, &err), -ENOENT, &err);
	memset(ref.name, 'x', sizeof(ref.name));
	refused(call(&a, SPW_IKE_CONN_DEL, &ref, sizeof(ref), NULL, 0, &err), -EINVAL, &err);
	conn.n_esp = 200;
	refused(call(&a, SPW_IKE_CONN_SET, &conn, sizeof(conn), NULL, 0, &err), -EINVAL, &err);
	assert_true(sides_agree());
	assert_int_equal(fake_count(&a.dp, TUNNEL), 1);
}

static void
the_same_settings_again_touch_nothing(void **state)
{
	struct spw_ike_tunnel_event ev;
	struct spw_sa_desc before, after;

	assert_true(fake_outbound(&a.dp, TUNNEL, &before));
	configure(&a, 2);
	assert_false(event_next(&a, &ev, 300));
	assert_true(fake_outbound(&a.dp, TUNNEL, &after));
	assert_int_equal(before.spi_in, after.spi_in);
}

/*
 * The stand-ins carry no packet, so b's says that the first one came: the proof on which a
 * responder sends on its new SA.
 */
static void
first_packet_from_a(void)
{
	struct spw_dp_sa_event ev = {.kind = SPW_SA_EV_FIRST_IN, .tunnel = TUNNEL};
	struct spw_sa_desc sa;

	assert_true(fake_outbound(&a.dp, TUNNEL, &sa));
	ev.spi_in = sa.spi_out;
	fake_event(&b.dp, &ev);
}

static bool
moved_from(uint32_t spi_in)
{
	struct spw_sa_desc sa;

	return fake_outbound(&a.dp, TUNNEL, &sa) && sa.spi_in != spi_in;
}

static void
a_soft_limit_rekeys_the_child(void **state)
{
	struct spw_sa_desc sa;

	assert_true(fake_outbound(&a.dp, TUNNEL, &sa));
	struct spw_dp_sa_event ev = {.kind = SPW_SA_EV_SOFT,
				     .tunnel = TUNNEL,
				     .spi_in = sa.spi_in,
				     .limit = SPW_SA_LIMIT_TIME};

	fake_event(&a.dp, &ev);
	assert_true(EVENTUALLY(moved_from(sa.spi_in)));
	first_packet_from_a();
	assert_true(EVENTUALLY(sides_agree()));
}

/* As controld does: give back what is kept, keep what is in use. */
static int
escrow_exchange(struct side *s)
{
	struct spw_err err = {0};
	int rc = 0;

	if (s->escrow >= 0)
		rc = call(s, SPW_IKE_ESCROW_SET, NULL, 0, &s->escrow, 1, &err);
	assert_int_equal(call(s, SPW_IKE_ESCROW_GET, NULL, 0, NULL, 0, &err), 0);
	assert_int_equal(reply.n_fds, 1);
	if (s->escrow >= 0)
		close(s->escrow);
	s->escrow = reply.fds[0];
	return rc;
}

static void
a_strange_escrow_is_refused_and_an_empty_one_used(void **state)
{
	struct spw_ike_status before, after;
	struct spw_err err = {0};
	int strange = open("/dev/zero", O_RDWR | O_CLOEXEC);
	struct stat st;

	assert_int_equal(escrow_exchange(&a), 0);
	assert_int_equal(fstat(a.escrow, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	status_get(&a, &before);
	daemon_end(&a, SIGKILL);
	daemon_start(&a);
	refused(call(&a, SPW_IKE_ESCROW_SET, NULL, 0, &strange, 1, &err), -EINVAL, &err);
	close(strange);
	close(a.escrow);
	a.escrow = -1;
	assert_int_equal(escrow_exchange(&a), 0); /* the new one's */
	configure(&a, 1);
	assert_true(EVENTUALLY((status_get(&a, &after), after.state == SPW_IKE_ESTABLISHED)));
	assert_true(after.spi_i != before.spi_i);
	first_packet_from_a();
	assert_true(EVENTUALLY(sides_agree()));
}

static void
a_killed_daemon_leaves_its_sas_and_replaces_them_later(void **state)
{
	struct spw_ike_tunnel_event ev;
	struct spw_sa_desc orphan;
	uint64_t up_ns;

	assert_true(fake_outbound(&a.dp, TUNNEL, &orphan));
	daemon_end(&a, SIGKILL);
	assert_true(fake_has(&a.dp, orphan.spi_in));
	daemon_start(&a);
	configure(&a, 1);
	/* The orphan carries the traffic: the tunnel is up from the first moment. */
	assert_true(event_next(&a, &ev, 1000));
	assert_int_equal(ev.up, 1);
	assert_true(EVENTUALLY(moved_from(orphan.spi_in)));
	up_ns = spw_clock_ns();
	first_packet_from_a();
	assert_true(EVENTUALLY(sides_agree()));
	while (fake_has(&a.dp, orphan.spi_in)) {
		assert_true(spw_clock_ns() - up_ns < 20 * SPW_NS_PER_S);
		sleep_ms(50);
	}
	assert_true(spw_clock_ns() - up_ns >= ORPHAN_AT_LEAST_S * SPW_NS_PER_S);
	assert_true(sides_agree());
	while (event_next(&a, &ev, 100))
		assert_int_equal(ev.up, 1); /* never told to be down */
}

/* Ended by `signal`, started again with its escrow: the same IKE SA and the same child go on. */
static void
goes_on(int signal)
{
	struct spw_ike_status before, after;
	struct spw_ike_tunnel_event ev;
	struct spw_sa_desc old, new;
	struct spw_err err = {0};
	int status;

	status_get(&a, &before);
	assert_int_equal(before.escrow, 1);
	assert_true(fake_outbound(&a.dp, TUNNEL, &old));
	status = daemon_end(&a, signal);
	if (signal == SIGKILL)
		assert_true(WIFSIGNALED(status));
	else
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 75);
	assert_true(fake_has(&a.dp, old.spi_in));
	daemon_start(&a);
	assert_int_equal(escrow_exchange(&a), 0);
	configure(&a, 1);
	assert_true(event_next(&a, &ev, 1000));
	assert_int_equal(ev.up, 1);
	status_get(&a, &after);
	assert_int_equal(after.state, SPW_IKE_ESTABLISHED);
	assert_true(after.spi_i == before.spi_i && after.spi_r == before.spi_r);
	assert_int_equal(after.children, 1);
	assert_int_equal(after.escrow, 1);
	assert_true(fake_outbound(&a.dp, TUNNEL, &new));
	assert_int_equal(new.spi_in, old.spi_in);
	/* it works: a rekey of the child, and one of the IKE SA */
	struct spw_ike_reset rekey = {.name = "tun", .what = SPW_IKE_RESET_CHILD};

	assert_int_equal(call(&a, SPW_IKE_REKEY, &rekey, sizeof(rekey), NULL, 0, &err), 0);
	assert_true(EVENTUALLY(moved_from(old.spi_in)));
	first_packet_from_a();
	assert_true(EVENTUALLY(sides_agree()));
	while (event_next(&a, &ev, 50))
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

static void
an_escrow_is_taken_once_and_only_a_real_one(void **state)
{
	struct spw_err err = {0};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_int_equal(escrow_exchange(&a), -EEXIST); /* controld came again, iked did not */
	refused(call(&a, SPW_IKE_ESCROW_SET, NULL, 0, NULL, 0, &err), -EINVAL, &err);
	refused(call(&a, SPW_IKE_ESCROW_GET, NULL, 0, &null, 1, &err), -EINVAL, &err);
	close(null);
}

static void
a_new_incarnation_gets_new_children(void **state)
{
	struct spw_sa_desc old, new;

	assert_true(fake_outbound(&a.dp, TUNNEL, &old));
	fake_stop(&a.dp);
	sleep_ms(300);
	char path[108];

	path_of(&a, "dataplane.sock", path);
	fake_start(&a.dp, path);
	assert_true(EVENTUALLY(fake_outbound(&a.dp, TUNNEL, &new)));
	assert_int_not_equal(old.spi_in, new.spi_in);
	assert_memory_not_equal(old.key_out, new.key_out, new.key_len);
	first_packet_from_a();
	assert_true(EVENTUALLY(sides_agree()));
}

static void
a_dial_without_a_data_plane_is_made_up_when_it_comes(void **state)
{
	struct spw_ike_reset reset = {.name = "tun", .what = SPW_IKE_RESET_IKE};
	struct spw_ike_status row;
	struct spw_err err = {0};
	char path[108];

	fake_stop(&a.dp);
	sleep_ms(100);
	assert_int_equal(call(&a, SPW_IKE_RESET, &reset, sizeof(reset), NULL, 0, &err), 0);
	sleep_ms(4000); /* a few attempts, each pause longer */
	status_get(&a, &row);
	assert_int_not_equal(row.state, SPW_IKE_ESTABLISHED);
	path_of(&a, "dataplane.sock", path);
	fake_start(&a.dp, path);
	uint64_t back_ns = spw_clock_ns();

	assert_true(EVENTUALLY(fake_count(&a.dp, TUNNEL) > 0));
	assert_true(spw_clock_ns() - back_ns < 2500 * SPW_NS_PER_MS);
	assert_true(EVENTUALLY(sides_agree()));
}

static void
an_orderly_stop_tells_the_peer(void **state)
{
	int status;

	while (b.events >= 0) { /* what came before */
		struct spw_ike_tunnel_event ev;

		if (!event_next(&b, &ev, 50))
			break;
	}
	status = daemon_end(&a, SIGTERM);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	expect_event(&b, false);
	assert_true(EVENTUALLY(fake_count(&b.dp, TUNNEL) == 0));
	assert_int_equal(fake_count(&a.dp, TUNNEL), 0);
}

static void
the_contract_of_the_data_plane_was_kept(void **state)
{
	if (a.dp.violations || b.dp.violations)
		fail_msg("a: %u (%s), b: %u (%s)", a.dp.violations, a.dp.violation, b.dp.violations,
			 b.dp.violation);
}

static void
side_make(struct side *s, uint32_t local, uint32_t remote)
{
	char path[108];

	snprintf(s->dir, sizeof(s->dir), "%s/%s", base_dir, s->name);
	assert_int_equal(mkdir(s->dir, 0777), 0);
	assert_int_equal(chmod(s->dir, 0777), 0);
	s->local = spw_addr_v4(local);
	s->remote = spw_addr_v4(remote);
	s->udp[0] = udp_open(&s->local, 500);
	s->udp[1] = udp_open(&s->local, 4500);
	path_of(s, "dataplane.sock", path);
	fake_start(&s->dp, path);
}

static void
side_end(struct side *s)
{
	char path[108];

	daemon_end(s, SIGKILL);
	fake_stop(&s->dp);
	path_of(s, "ike.sock", path);
	unlink(path);
	rmdir(s->dir);
}

static int
teardown(void **state)
{
	side_end(&a);
	side_end(&b);
	return rmdir(base_dir);
}

static bool
loopback_up(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	bool ok = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &req) == 0;

	close(fd);
	return ok;
}

static int
setup(void **state)
{
	if (unshare(CLONE_NEWNET) < 0 || !loopback_up() || !mkdtemp(base_dir) ||
	    chmod(base_dir, 0755) < 0)
		return -1;
	side_make(&a, 0x7f000001, 0x7f000002);
	side_make(&b, 0x7f000002, 0x7f000001);
	return 0;
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
		cmocka_unit_test(a_strange_escrow_is_refused_and_an_empty_one_used),
		cmocka_unit_test(a_killed_daemon_leaves_its_sas_and_replaces_them_later),
		cmocka_unit_test(a_killed_daemon_goes_on_from_its_escrow),
		cmocka_unit_test(a_daemon_that_hands_over_is_followed),
		cmocka_unit_test(an_escrow_is_taken_once_and_only_a_real_one),
		cmocka_unit_test(a_new_incarnation_gets_new_children),
		cmocka_unit_test(a_dial_without_a_data_plane_is_made_up_when_it_comes),
		cmocka_unit_test(an_orderly_stop_tells_the_peer),
		cmocka_unit_test(the_contract_of_the_data_plane_was_kept),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: iked_test PATH/spillway-iked\n");
		return 2;
	}
	if (geteuid() != 0) {
		fprintf(stderr, "needs root: skipped\n");
		return 77;
	}
	program = argv[1];
	return cmocka_run_group_tests(tests, setup, teardown);
}
