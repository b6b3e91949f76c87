/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bed of the tests of whole daemons.
 *
 * A namespace of its own gives both daemons the ports of IKE and keeps what they send from the
 * machine. Each has a directory for its sockets that anybody may enter, for it gives up root. Its
 * UDP sockets are made here and handed over as controld does it: with duplicates kept, so that the
 * next process gets the same. A stand-in for the data plane runs on a thread of its own and has a
 * lock; all else is for the test's thread. One answer at a time, static for its size.
 */
#include "tests/ike/iked_bed.h"

#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
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

struct spw_msg bed_reply;
static char base_dir[] = "/tmp/spw-iked-XXXXXX";

/* ---- the place ---- */

static bool
loopback_up(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq req = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	bool ok = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &req) == 0;

	close(fd);
	return ok;
}

bool
bed_namespace(void)
{
	return unshare(CLONE_NEWNET) == 0 && loopback_up();
}

void
bed_path(const struct bed_side *s, const char *file, char out[108])
{
	snprintf(out, 108, "%s/%s", s->dir, file);
}

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
side_make(struct bed_side *s, uint32_t local, uint32_t remote)
{
	char path[108];

	snprintf(s->dir, sizeof(s->dir), "%s/%s", base_dir, s->name);
	assert_int_equal(mkdir(s->dir, 0777), 0);
	assert_int_equal(chmod(s->dir, 0777), 0);
	s->local = spw_addr_v4(local);
	s->remote = spw_addr_v4(remote);
	s->udp[0] = udp_open(&s->local, 500);
	s->udp[1] = udp_open(&s->local, 4500);
	bed_path(s, "dataplane.sock", path);
	fake_start(&s->dp, path);
}

static void
side_end(struct bed_side *s)
{
	static const char *const files[] = {"ike.sock", "dataplane.sock", "log"};
	char path[108];

	bed_end(s, SIGKILL);
	fake_stop(&s->dp);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		bed_path(s, files[i], path);
		unlink(path);
	}
	rmdir(s->dir);
}

int
bed_setup(struct bed_side *a, struct bed_side *b)
{
	if (!bed_namespace() || !mkdtemp(base_dir) || chmod(base_dir, 0755) < 0)
		return -1;
	side_make(a, 0x7f000001, 0x7f000002);
	side_make(b, 0x7f000002, 0x7f000001);
	return 0;
}

int
bed_teardown(struct bed_side *a, struct bed_side *b)
{
	side_end(a);
	side_end(b);
	return rmdir(base_dir);
}

/* ---- the daemon ---- */

int
bed_connect(const struct bed_side *s)
{
	struct spw_err err = {0};
	char path[108];

	bed_path(s, "ike.sock", path);
	return spw_msg_connect(path, &err);
}

int
bed_call(struct bed_side *s, uint16_t number, const void *elem, uint16_t size, const int *fds,
	 unsigned int n_fds, struct spw_err *err)
{
	return spw_client_call(&s->client, number, elem, size, elem ? 1 : 0, fds, n_fds, &bed_reply,
			       err);
}

void
bed_ask(struct bed_side *s, uint16_t number, const void *elem, uint16_t size, const int *fds,
	unsigned int n_fds)
{
	struct spw_err err = {0};

	if (bed_call(s, number, elem, size, fds, n_fds, &err) != 0)
		fail_msg("%s: request %u: %s", s->name, number, err.text);
}

void
bed_start(struct bed_side *s, const char *program, void (*prepare)(void *ctx), void *ctx)
{
	struct spw_ike_hello hello = {0};

	s->pid = fork();
	if (s->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (prepare)
			prepare(ctx);
		execl(program, program, "--run-dir", s->dir, "--user", BED_USER, "--log-level",
		      "debug", (char *)NULL);
		_exit(127);
	}
	assert_true(s->pid > 0);
	assert_true(EVENTUALLY((s->client.fd = bed_connect(s)) >= 0));
	s->client.timeout_ms = 3000;
	bed_ask(s, SPW_IKE_HELLO, &hello, sizeof(hello), NULL, 0);
}

void
bed_subscribe(struct bed_side *s)
{
	struct spw_ike_hello subscribe = {.subscribe = 1};
	struct spw_client events = {.timeout_ms = 2000};
	struct spw_err err = {0};

	events.fd = bed_connect(s);
	assert_true(events.fd >= 0);
	assert_int_equal(spw_client_call(&events, SPW_IKE_HELLO, &subscribe, sizeof(subscribe), 1,
					 NULL, 0, &bed_reply, &err),
			 0);
	s->events = events.fd;
}

int
bed_end(struct bed_side *s, int signal)
{
	int status = -1;

	if (s->pid <= 0)
		return -1;
	kill(s->pid, signal);
	waitpid(s->pid, &status, 0);
	s->pid = 0;
	close(s->client.fd);
	if (s->events >= 0)
		close(s->events);
	s->client.fd = s->events = -1;
	return status;
}

/* ---- the tunnel ---- */

/* The identity of who has this address: a.test or b.test. */
static struct spw_ike_id
id_of(const struct spw_addr *addr)
{
	struct spw_ike_id id = {.type = SPW_ID_FQDN, .len = 6};

	memcpy(id.data, spw_addr_get_v4(addr) == 0x7f000001 ? "a.test" : "b.test", 6);
	return id;
}

struct spw_ike_conn
bed_conn(const struct bed_side *s, uint32_t mode)
{
	const struct spw_selector any = {
		.low = spw_addr_v4(0), .high = spw_addr_v4(0xffffffff), .port_high = 65535};
	struct spw_ike_conn c = {.name = "tun",
				 .tunnel = BED_TUNNEL,
				 .generation = 1,
				 .local = s->local,
				 .remote = s->remote,
				 .local_id = id_of(&s->local),
				 .remote_id = id_of(&s->remote),
				 .mode = mode,
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
	c.sel_local[0] = c.sel_remote[0] = any;
	return c;
}

void
bed_configure(struct bed_side *s, const struct spw_ike_conn *conn)
{
	struct spw_ike_socket sock = {.local = s->local};

	bed_ask(s, SPW_IKE_SOCKET_SET, &sock, sizeof(sock), s->udp, 2);
	bed_ask(s, SPW_IKE_CONN_SET, conn, sizeof(*conn), NULL, 0);
}

struct spw_ike_status
bed_status(struct bed_side *s)
{
	struct spw_ike_status row;

	bed_ask(s, SPW_IKE_GET_CONNS, NULL, 0, NULL, 0);
	assert_int_equal(bed_reply.hdr.count, 1);
	assert_int_equal(bed_reply.hdr.elem_size, sizeof(row));
	memcpy(&row, bed_reply.body, sizeof(row));
	return row;
}

bool
bed_first_packet(struct bed_side *from, struct bed_side *to)
{
	struct spw_dp_sa_event ev = {.kind = SPW_SA_EV_FIRST_IN, .tunnel = BED_TUNNEL};
	struct spw_sa_desc sa;

	if (!fake_outbound(&from->dp, BED_TUNNEL, &sa))
		return false;
	ev.spi_in = sa.spi_out;
	spw_wipe(&sa, sizeof(sa));
	fake_event(&to->dp, &ev);
	return true;
}

bool
bed_event(struct bed_side *s, struct spw_ike_tunnel_event *ev, int ms)
{
	struct pollfd p = {.fd = s->events, .events = POLLIN};

	if (poll(&p, 1, ms) != 1 || spw_msg_recv(s->events, &bed_reply) != 0)
		return false;
	assert_int_equal(bed_reply.hdr.number, SPW_IKE_EV_TUNNEL);
	assert_int_equal(bed_reply.hdr.flags, SPW_MSG_EVENT);
	assert_int_equal(bed_reply.hdr.elem_size, sizeof(*ev));
	memcpy(ev, bed_reply.body, sizeof(*ev));
	return true;
}

void
bed_expect_event(struct bed_side *s, bool up)
{
	struct spw_ike_tunnel_event ev;

	do {
		if (!bed_event(s, &ev, BED_WAIT_MS))
			fail_msg("%s: no event that the tunnel is %s", s->name, up ? "up" : "down");
		assert_string_equal(ev.name, "tun");
		assert_int_equal(ev.tunnel, BED_TUNNEL);
	} while ((ev.up != 0) != up);
}

bool
bed_agree(struct bed_side *a, struct bed_side *b)
{
	struct spw_sa_desc x, y;
	bool agree = fake_outbound(&a->dp, BED_TUNNEL, &x) &&
		     fake_outbound(&b->dp, BED_TUNNEL, &y) && x.spi_out == y.spi_in &&
		     y.spi_out == x.spi_in && x.encr == y.encr && x.key_len == 36 &&
		     x.key_len == y.key_len && memcmp(x.key_out, y.key_in, x.key_len) == 0 &&
		     memcmp(x.key_in, y.key_out, x.key_len) == 0;

	spw_wipe(&x, sizeof(x));
	spw_wipe(&y, sizeof(y));
	return agree;
}

void
bed_contract_kept(const struct bed_side *a, const struct bed_side *b)
{
	if (a->dp.violations || b->dp.violations)
		fail_msg("a: %u (%s), b: %u (%s)", a->dp.violations, a->dp.violation,
			 b->dp.violations, b->dp.violation);
}
