/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where the keys of a spillway-iked lie, and that they are gone when their use is over.
 *
 * Two daemons with taps (tapped.c) negotiate over the loopback of a namespace of their own; each
 * tells which secrets it makes, the pre-shared key is this program's. Their whole memory is then
 * searched: while the SAs live, secrets stand in locked memory that no core dump holds and nowhere
 * else, and what has served its purpose (private values, g^ir, SKEYSEED) nowhere at all; after the
 * SA nothing but the pre-shared key is left, after the connection nothing. The escrow, which
 * /proc does not show, is searched through its descriptor. What both wrote to their logs, at the
 * most talkative level, is searched as well, for hex and base64 too. Needs root; else skipped.
 *
 *	memory_scan_test PATH/ike_iked_tapped
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/ike/fake_dataplane.h"
#include "tests/ike/scan.h"
#include "tests/ike/tapped.h"

#define USER	"nobody"
#define TUNNEL	7
#define WAIT_MS 8000
#define GONE_MS 20000 /* an SA lingers after its Delete, to answer a repeated one */

#define KIND_PSK   0
#define BIT(kind)  (1u << (kind))
#define EVERYTHING (BIT(TAP_KINDS) - 1)
#define SERVED	   (BIT(TAP_DH_PRIVATE) | BIT(TAP_DH_SHARED) | BIT(TAP_SEED) | BIT(TAP_PADDED_PSK))
#define PSK_LEN	   64

static const char *program;
static char base_dir[] = "/tmp/spw-scan-XXXXXX";

struct side {
	const char *name;
	char dir[64];
	struct spw_addr local, remote;
	int udp[2];
	int tap;    /* read end */
	int escrow; /* duplicate of its memory */
	struct fake_dataplane dp;
	pid_t pid;
	struct spw_client client;
	size_t n_secrets;
	struct scan_secret secret[SCAN_SECRETS];
};
static struct side a = {.name = "a", .client.fd = -1, .escrow = -1};
static struct side b = {.name = "b", .client.fd = -1, .escrow = -1};
static struct spw_msg reply;

#define EVENTUALLY(cond, ms)                                           \
	__extension__({                                                \
		uint64_t until_ = spw_clock_ns() + (ms)*SPW_NS_PER_MS; \
		bool held_;                                            \
		while (!(held_ = (cond)) && spw_clock_ns() < until_)   \
			poll(NULL, 0, 50);                             \
		held_;                                                 \
	})

/* ---- the daemons ---- */

static void
file_path(const struct side *s, const char *file, char out[108])
{
	snprintf(out, 108, "%s/%s", s->dir, file);
}

/* The end of the daemon's life: the pipe and the log stay for the test. */
static void
run_daemon(struct side *s, int tap)
{
	char path[108], number[16];
	int log;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	file_path(s, "log", path);
	log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	fcntl(tap, F_SETFD, 0);
	snprintf(number, sizeof(number), "%d", tap);
	setenv(TAP_FD_NAME, number, 1);
	if (log >= 0 && dup2(log, STDERR_FILENO) >= 0)
		execl(program, program, "--run-dir", s->dir, "--user", USER, "--log-level", "debug",
		      (char *)NULL);
	_exit(127);
}

static int
ike_connect(const struct side *s)
{
	struct spw_err err = {0};
	char path[108];

	file_path(s, "ike.sock", path);
	return spw_msg_connect(path, &err);
}

static void
call(struct side *s, uint16_t number, const void *elem, uint16_t size, const int *fds,
     unsigned int n_fds)
{
	struct spw_err err = {0};

	if (spw_client_call(&s->client, number, elem, size, elem ? 1 : 0, fds, n_fds, &reply,
			    &err) != 0)
		fail_msg("%s: request %u: %s", s->name, number, err.text);
}

static void
daemon_start(struct side *s)
{
	struct spw_ike_hello hello = {0};
	int pipe_fd[2];

	assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
	assert_true(fcntl(pipe_fd[1], F_SETPIPE_SZ, 1 << 20) > 0);
	assert_int_equal(fcntl(pipe_fd[0], F_SETFL, O_NONBLOCK), 0);
	s->pid = fork();
	if (s->pid == 0)
		run_daemon(s, pipe_fd[1]);
	close(pipe_fd[1]);
	s->tap = pipe_fd[0];
	assert_true(EVENTUALLY((s->client.fd = ike_connect(s)) >= 0, WAIT_MS));
	s->client.timeout_ms = 3000;
	call(s, SPW_IKE_HELLO, &hello, sizeof(hello), NULL, 0);
	call(s, SPW_IKE_ESCROW_GET, NULL, 0, NULL, 0);
	assert_int_equal(reply.n_fds, 1);
	s->escrow = reply.fds[0];
}

static void
daemon_end(struct side *s, int signal)
{
	if (s->pid <= 0)
		return;
	kill(s->pid, signal);
	waitpid(s->pid, NULL, 0);
	s->pid = 0;
	close(s->client.fd);
	close(s->tap);
	close(s->escrow);
}

/* Everything the taps told so far. */
static void
taps_read(struct side *s)
{
	struct tap_head head;

	while (read(s->tap, &head, sizeof(head)) == (ssize_t)sizeof(head)) {
		struct scan_secret *secret = &s->secret[s->n_secrets++];

		assert_true(s->n_secrets < SCAN_SECRETS && head.len <= SCAN_LEN);
		secret->kind = head.kind;
		secret->len = head.len;
		assert_int_equal(read(s->tap, secret->bytes, head.len), (ssize_t)head.len);
	}
}

static unsigned int
secrets_of(const struct side *s, uint32_t kind)
{
	unsigned int n = 0;

	for (size_t i = 0; i < s->n_secrets; i++)
		n += s->secret[i].kind == kind;
	return n;
}

/* ---- the tunnel ---- */

static void
psk_fill(uint8_t psk[PSK_LEN])
{
	static uint8_t made[PSK_LEN];

	if (made[0] == 0)
		for (size_t i = 0; i < PSK_LEN; i++)
			made[i] = (uint8_t)(1 + randombytes_uniform(255));
	memcpy(psk, made, PSK_LEN);
}

static struct spw_ike_id
id_of(const char *name)
{
	struct spw_ike_id id = {.type = SPW_ID_FQDN, .len = (uint8_t)strlen(name)};

	memcpy(id.data, name, id.len);
	return id;
}

static struct spw_ike_conn
conn_of(const struct side *s, enum spw_group group)
{
	const struct spw_selector any = {
		.low = spw_addr_v4(0), .high = spw_addr_v4(0xffffffff), .port_high = 65535};
	struct spw_ike_conn c = {.name = "tun",
				 .tunnel = TUNNEL,
				 .generation = 1,
				 .local = s->local,
				 .remote = s->remote,
				 .local_id = id_of(s == &a ? "a.test" : "b.test"),
				 .remote_id = id_of(s == &a ? "b.test" : "a.test"),
				 .mode = s == &a ? SPW_IKE_MODE_RESPOND : SPW_IKE_MODE_INITIATE,
				 .psk_len = PSK_LEN,
				 .n_ike = 1,
				 .n_esp = 1,
				 .ike_rekey_s = 3600,
				 .dpd_delay_s = 30,
				 .dpd_timeout_s = 60,
				 .nat_keepalive_s = 20,
				 .replay_window = 1024,
				 .child_seconds = {3000, 3600},
				 .n_local = 1,
				 .n_remote = 1};

	psk_fill(c.psk);
	c.ike[0] = (struct spw_ike_proposal){SPW_ENCR_AES256_GCM, SPW_INTEG_NONE,
					     SPW_PRF_HMAC_SHA384, (uint8_t)group};
	c.esp[0] = (struct spw_ike_proposal){SPW_ENCR_AES256_GCM, SPW_INTEG_NONE, SPW_PRF_NONE,
					     (uint8_t)group};
	c.sel_local[0] = c.sel_remote[0] = any;
	return c;
}

static void
configure(struct side *s, enum spw_group group)
{
	struct spw_ike_socket sock = {.local = s->local};
	struct spw_ike_conn conn = conn_of(s, group);

	call(s, SPW_IKE_SOCKET_SET, &sock, sizeof(sock), s->udp, 2);
	call(s, SPW_IKE_CONN_SET, &conn, sizeof(conn), NULL, 0);
}

static struct spw_ike_status
status_of(struct side *s)
{
	struct spw_ike_status row;

	call(s, SPW_IKE_GET_CONNS, NULL, 0, NULL, 0);
	assert_int_equal(reply.hdr.count, 1);
	memcpy(&row, reply.body, sizeof(row));
	return row;
}

static bool
is_up(struct side *s)
{
	return status_of(s).state == SPW_IKE_ESTABLISHED && fake_count(&s->dp, TUNNEL) > 0;
}

/* The data planes carry no packet: b's new SA is proven by word. */
static void
first_packet(struct side *from, struct side *to)
{
	struct spw_dp_sa_event ev = {.kind = SPW_SA_EV_FIRST_IN, .tunnel = TUNNEL};
	struct spw_sa_desc sa;

	if (!fake_outbound(&from->dp, TUNNEL, &sa))
		return;
	ev.spi_in = sa.spi_out;
	fake_event(&to->dp, &ev);
}

static void
rekey(struct side *s, uint32_t what)
{
	const struct spw_ike_reset ask = {.name = "tun", .what = what};
	struct spw_ike_status before = status_of(s), after = before;

	call(s, SPW_IKE_REKEY, &ask, sizeof(ask), NULL, 0);
	assert_true(EVENTUALLY(
		(after = status_of(s),
		 after.ike_rekeys + after.child_rekeys > before.ike_rekeys + before.child_rekeys &&
			 after.state == SPW_IKE_ESTABLISHED),
		WAIT_MS));
	first_packet(&a, &b);
	first_packet(&b, &a);
	poll(NULL, 0, 300); /* the old one's Delete */
}

static void
tunnel_up(enum spw_group group)
{
	configure(&a, group);
	configure(&b, group);
	if (!EVENTUALLY(is_up(&a) && is_up(&b), WAIT_MS))
		fail_msg("the tunnel does not come up: %s", status_of(&b).reason);
	first_packet(&b, &a);
	rekey(&b, SPW_IKE_RESET_CHILD);
	rekey(&b, SPW_IKE_RESET_IKE);
	rekey(&a, SPW_IKE_RESET_CHILD);
	rekey(&a, SPW_IKE_RESET_IKE);
	taps_read(&a);
	taps_read(&b);
}

/* ---- looking ---- */

/* Search a daemon; the caller looks at what was found. */
static struct scan_found
look(struct side *s, uint32_t kinds)
{
	struct scan_secret psk = {.kind = KIND_PSK, .len = PSK_LEN};
	struct scan_found found;
	struct scan *scan;

	taps_read(s);
	psk_fill(psk.bytes);
	s->secret[s->n_secrets] = psk;
	scan = scan_new(s->secret, s->n_secrets + 1, kinds);
	assert_true(scan_process(scan, s->pid, &found));
	assert_true(found.bytes > 1000000);
	scan_free(scan);
	return found;
}

/* Search the escrow, which the process maps where nobody can read it. */
static unsigned int
look_in_escrow(struct side *s, uint32_t kinds)
{
	struct stat st;
	struct scan *scan = scan_new(s->secret, s->n_secrets, kinds);
	unsigned int hits;
	uint8_t *memory;
	uint32_t kind;
	size_t at;

	assert_int_equal(fstat(s->escrow, &st), 0);
	memory = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, s->escrow, 0);
	assert_true(memory != MAP_FAILED);
	hits = scan_bytes(scan, memory, (size_t)st.st_size, &at, &kind);
	munmap(memory, (size_t)st.st_size);
	scan_free(scan);
	return hits;
}

static void
nowhere(struct side *s, uint32_t kinds, const char *when)
{
	struct scan_found found = look(s, kinds);

	if (found.open + found.sheltered > 0)
		fail_msg("%s, %s: %u pieces of secrets in the open, %u in locked memory; %s",
			 s->name, when, found.open, found.sheltered, found.where);
}

/* ---- tests ---- */

static void
a_planted_secret_is_found_until_it_is_wiped(void **state)
{
	struct scan_secret secret = {.kind = 1, .len = 32};
	struct scan_found found;
	int to[2], from[2];
	uint8_t byte = 0;
	struct scan *scan;
	pid_t pid;

	assert_true(pipe(to) == 0 && pipe(from) == 0);
	pid = fork();
	if (pid == 0) {
		volatile uint8_t *plant = malloc(100), *reversed = malloc(100);

		(void)!getrandom((void *)(uintptr_t)plant, 32, 0);
		for (int i = 0; i < 32; i++)
			reversed[i] = plant[31 - i];
		(void)!write(from[1], (void *)(uintptr_t)plant, 32);
		(void)!read(to[0], &byte, 1);
		memset((void *)(uintptr_t)plant, 0, 24); /* half a piece is left of the second */
		sodium_memzero((void *)(uintptr_t)reversed, 16);
		(void)!write(from[1], &byte, 1);
		(void)!read(to[0], &byte, 1);
		sodium_memzero((void *)(uintptr_t)reversed, 32);
		(void)!write(from[1], &byte, 1);
		pause();
		_exit(0);
	}
	assert_int_equal(read(from[0], secret.bytes, 32), 32);
	scan = scan_new(&secret, 1, EVERYTHING);
	assert_true(scan_process(scan, pid, &found));
	assert_true(found.open >= 4);
	assert_int_equal(found.sheltered, 0);
	assert_int_equal(write(to[1], &byte, 1), 1);
	assert_int_equal(read(from[0], &byte, 1), 1);
	assert_true(scan_process(scan, pid, &found));
	assert_int_equal(found.open, 1); /* half of the reversed one */
	assert_int_equal(write(to[1], &byte, 1), 1);
	assert_int_equal(read(from[0], &byte, 1), 1);
	assert_true(scan_process(scan, pid, &found));
	assert_int_equal(found.open, 0);
	scan_free(scan);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (int i = 0; i < 2; i++) {
		close(to[i]);
		close(from[i]);
	}
}

static void
living_keys_lie_in_locked_memory_only(void **state)
{
	struct side *sides[] = {&a, &b};

	tunnel_up(SPW_GROUP_ECP384);
	for (int i = 0; i < 2; i++) {
		struct side *s = sides[i];
		struct scan_found found = look(s, EVERYTHING);

		/* what the taps must have told: else nothing was looked for */
		assert_true(secrets_of(s, TAP_DH_PRIVATE) >= 5);
		assert_true(secrets_of(s, TAP_DH_SHARED) >= 5);
		assert_true(secrets_of(s, TAP_SEED) >= 3);
		assert_true(secrets_of(s, TAP_PADDED_PSK) >= 2);
		assert_true(secrets_of(s, TAP_IKE_KEYS) >= 3);
		assert_true(secrets_of(s, TAP_CHILD_KEYS) >= 3);
		if (found.open > 0)
			fail_msg("%s: %u pieces of secrets in the open: %s", s->name, found.open,
				 found.where);
		/* it does have keys: PSK, SK_d, SK_e*, SK_p* */
		assert_true(found.sheltered >= 10);
		assert_true(look_in_escrow(s, BIT(TAP_IKE_KEYS)) > 0);
	}
}

static void
what_has_served_its_purpose_is_gone_while_the_sa_lives(void **state)
{
	nowhere(&a, SERVED | BIT(TAP_CHILD_KEYS), "with living SAs");
	nowhere(&b, SERVED | BIT(TAP_CHILD_KEYS), "with living SAs");
}

/* Groups whose arithmetic is another: nothing of them stays behind either. */
static void
every_kind_of_group_leaves_nothing_behind(void **state)
{
	static const enum spw_group groups[] = {SPW_GROUP_ECP256, SPW_GROUP_MODP2048};

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		unsigned int before = secrets_of(&a, TAP_DH_SHARED);

		tunnel_up(groups[i]);
		assert_true(secrets_of(&a, TAP_DH_SHARED) >= before + 5);
		nowhere(&a, SERVED | BIT(TAP_CHILD_KEYS), spw_group_info(groups[i])->conf_name);
		nowhere(&b, SERVED | BIT(TAP_CHILD_KEYS), spw_group_info(groups[i])->conf_name);
	}
}

static bool
nothing_but_psk(struct side *s)
{
	struct scan_found found = look(s, EVERYTHING & ~BIT(KIND_PSK));

	return found.open + found.sheltered == 0 && look_in_escrow(s, EVERYTHING) == 0;
}

static void
after_the_sa_nothing_but_the_psk_is_left(void **state)
{
	struct scan_found psk;

	daemon_end(&b, SIGTERM); /* its Delete ends a's SA */
	assert_true(EVENTUALLY(status_of(&a).state == SPW_IKE_IDLE, WAIT_MS));
	if (!EVENTUALLY(nothing_but_psk(&a), GONE_MS))
		nowhere(&a, EVERYTHING & ~BIT(KIND_PSK), "after its SAs");
	assert_int_equal(look_in_escrow(&a, EVERYTHING), 0);
	psk = look(&a, BIT(KIND_PSK));
	assert_int_equal(psk.open, 0);
	assert_true(psk.sheltered > 0);
}

static void
after_the_connection_nothing_at_all_is_left(void **state)
{
	const struct spw_ike_conn_ref ref = {.name = "tun"};

	call(&a, SPW_IKE_CONN_DEL, &ref, sizeof(ref), NULL, 0);
	nowhere(&a, EVERYTHING, "after its connection");
}

/* A request that is refused, or cut short, held a key as well. */
static void
a_refused_request_leaves_no_psk(void **state)
{
	struct spw_ike_conn conn = conn_of(&a, SPW_GROUP_ECP384);
	struct spw_client odd = {.timeout_ms = 500};
	struct spw_err err = {0};

	conn.n_esp = 200;
	assert_int_equal(spw_client_call(&a.client, SPW_IKE_CONN_SET, &conn, sizeof(conn), 1, NULL,
					 0, &reply, &err),
			 -EINVAL);
	nowhere(&a, BIT(KIND_PSK), "after a refused request");
	/* a header that lies about the length: the frame is not a message at all */
	odd.fd = ike_connect(&a);
	assert_true(odd.fd >= 0);
	uint8_t frame[sizeof(struct spw_msg_hdr) + sizeof(conn)];
	const struct spw_msg_hdr hdr = {.protocol = SPW_MSG_PROTOCOL,
					.number = SPW_IKE_CONN_SET,
					.count = 1,
					.elem_size = 8};

	memcpy(frame, &hdr, sizeof(hdr));
	memcpy(frame + sizeof(hdr), &conn, sizeof(conn));
	assert_int_equal(send(odd.fd, frame, sizeof(frame), 0), (ssize_t)sizeof(frame));
	poll(NULL, 0, 200);
	close(odd.fd);
	nowhere(&a, BIT(KIND_PSK), "after a frame that is none");
}

static bool
file_read(const struct side *s, char **text, size_t *len)
{
	char path[108];
	struct stat st;
	int fd;

	file_path(s, "log", path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return false;
	*text = malloc((size_t)st.st_size + 1);
	*len = (size_t)st.st_size;
	(*text)[*len] = '\0';
	bool ok = read(fd, *text, *len) == (ssize_t)*len;

	close(fd);
	return ok;
}

/* Is any part of the secret that gives 12 bytes away written there, in hex or base64? */
static void
not_written(const char *text, size_t len, const struct scan_secret *s)
{
	char form[4 * SCAN_PIECE], upper[4 * SCAN_PIECE];

	for (size_t at = 0; at + 12 <= s->len; at++) {
		sodium_bin2hex(form, sizeof(form), s->bytes + at, 12);
		for (size_t i = 0; i <= strlen(form); i++)
			upper[i] = form[i] >= 'a' ? (char)(form[i] - 'a' + 'A') : form[i];
		assert_null(memmem(text, len, form, 24));
		assert_null(memmem(text, len, upper, 24));
		sodium_bin2base64(form, sizeof(form), s->bytes + at, 12,
				  sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
		assert_null(memmem(text, len, form, 16));
		assert_null(memmem(text, len, s->bytes + at, 12));
	}
}

static void
no_secret_is_in_a_log_at_the_most_talkative_level(void **state)
{
	struct side *sides[] = {&a, &b};

	for (int i = 0; i < 2; i++) {
		struct side *s = sides[i];
		char *text;
		size_t len;

		assert_true(file_read(s, &text, &len));
		/* it is the log of all that was done */
		assert_non_null(strstr(text, "debug"));
		assert_non_null(strstr(text, "tunnel-up"));
		assert_true(s->n_secrets > 20);
		for (size_t k = 0; k <= s->n_secrets; k++) /* the PSK is one behind the others */
			not_written(text, len, &s->secret[k]);
		free(text);
	}
}

/* ---- frame ---- */

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
	file_path(s, "dataplane.sock", path);
	fake_start(&s->dp, path);
}

static void
side_end(struct side *s)
{
	static const char *const files[] = {"ike.sock", "dataplane.sock", "log"};
	char path[108];

	daemon_end(s, SIGKILL);
	fake_stop(&s->dp);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		file_path(s, files[i], path);
		unlink(path);
	}
	rmdir(s->dir);
}

static int
setup(void **state)
{
	int fd = -1;
	struct ifreq req = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	if (spw_secret_init() != 0 || unshare(CLONE_NEWNET) < 0 ||
	    (fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)) < 0 ||
	    ioctl(fd, SIOCSIFFLAGS, &req) < 0 || !mkdtemp(base_dir) || chmod(base_dir, 0755) < 0)
		return -1;
	close(fd);
	side_make(&a, 0x7f000001, 0x7f000002);
	side_make(&b, 0x7f000002, 0x7f000001);
	daemon_start(&a);
	daemon_start(&b);
	return 0;
}

static int
teardown(void **state)
{
	side_end(&a);
	side_end(&b);
	return rmdir(base_dir);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_planted_secret_is_found_until_it_is_wiped),
		cmocka_unit_test(living_keys_lie_in_locked_memory_only),
		cmocka_unit_test(what_has_served_its_purpose_is_gone_while_the_sa_lives),
		cmocka_unit_test(every_kind_of_group_leaves_nothing_behind),
		cmocka_unit_test(after_the_sa_nothing_but_the_psk_is_left),
		cmocka_unit_test(after_the_connection_nothing_at_all_is_left),
		cmocka_unit_test(a_refused_request_leaves_no_psk),
		cmocka_unit_test(no_secret_is_in_a_log_at_the_most_talkative_level),
	};

	if (argc != 2) {
		fprintf(stderr, "usage: memory_scan_test PATH/ike_iked_tapped\n");
		return 2;
	}
	if (geteuid() != 0) {
		fprintf(stderr, "needs root: skipped\n");
		return 77;
	}
	program = argv[1];
	return cmocka_run_group_tests(tests, setup, teardown);
}
