/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's rules without input or output: whose an SA is and when an orphan ends, when a NAT
 * keepalive is due, what a datagram on port 4500 is, which requests and options are refused; and
 * what the sandbox lets it do.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ike/iked/iked.h"
#include "ike/iked/sandbox.h"
#include "ike/wire.h"

static bool listened; /* on the file that was removed last, when it was */

/* This program's own, to look at sockets that go. */
int
unlink(const char *path)
{
	struct spw_err err = {0};
	int fd = spw_msg_connect(path, &err);

	listened = fd >= 0;
	if (fd >= 0)
		close(fd);
	return (int)syscall(SYS_unlink, path);
}

/* Else the next one, which may listen as soon as nobody does, would lose its socket. */
static void
the_socket_is_removed_while_it_is_ours(void **state)
{
	struct iked d = {.listen_fd = -1};
	struct spw_err err = {0};
	char dir[] = "/tmp/spw-iked-XXXXXX";

	assert_non_null(mkdtemp(dir));
	assert_int_equal(iked_server_listen(&d, dir, (gid_t)-1, &err), 0);
	listened = false;
	iked_server_stop(&d, dir);
	assert_true(listened);
	assert_int_equal(rmdir(dir), 0);
}

static void
sas_are_found_after_random_adds_and_dels(void **state)
{
	bool model[512] = {false};
	struct iked_sas s = {0};
	unsigned int seed = 7;

	for (int i = 0; i < 20000; i++) {
		uint32_t spi = (uint32_t)rand_r(&seed) % 512;

		if (rand_r(&seed) & 1) {
			assert_int_equal(iked_sas_add(&s, spi, spi % 7, false), 0);
			model[spi] = true;
		} else {
			iked_sas_del(&s, spi);
			model[spi] = false;
		}
		uint32_t probe = (uint32_t)rand_r(&seed) % 512;

		assert_int_equal(iked_sas_find(&s, probe) != NULL, model[probe]);
	}
	for (size_t i = 1; i < s.n; i++)
		assert_true(s.sa[i - 1].spi_in < s.sa[i].spi_in);
	iked_sas_clear(&s);
	assert_null(iked_sas_find(&s, 1));
}

/* What a tunnel's SAs say, against a search of all; SAs change their tunnel, too. */
static void
the_sas_of_a_tunnel_are_found_after_random_adds_and_dels(void **state)
{
	struct iked_sas s = {0};
	unsigned int seed = 11;

	for (int i = 0; i < 30000; i++) {
		uint32_t spi = 1 + (uint32_t)rand_r(&seed) % 300, tunnel;
		uint64_t last = 0;
		size_t orphans = 0;

		if (rand_r(&seed) % 3) {
			assert_int_equal(iked_sas_add(&s, spi, (uint32_t)rand_r(&seed) % 600,
						      rand_r(&seed) & 1),
					 0);
			iked_sas_find(&s, spi)->last_in_ns = (uint64_t)rand_r(&seed);
		} else {
			iked_sas_del(&s, spi);
		}
		tunnel = s.n ? s.sa[(size_t)rand_r(&seed) % s.n].tunnel : 7;
		for (size_t k = 0; k < s.n; k++) {
			const struct iked_sa *sa = &s.sa[k];

			orphans += sa->tunnel == tunnel && sa->orphan;
			if (sa->tunnel == tunnel && !sa->orphan && sa->last_in_ns > last)
				last = sa->last_in_ns;
		}
		assert_int_equal(iked_sas_last_in(&s, tunnel), last);
		assert_int_equal(iked_sas_carrying(&s, tunnel), orphans);
	}
	iked_sas_clear(&s);
	assert_int_equal(iked_sas_last_in(&s, 7), 0);
}

static void
an_orphan_stays_until_its_successor_is_up_and_then_its_time_out(void **state)
{
	struct iked_sas s = {0};

	assert_int_equal(iked_sas_add(&s, 300, 1, true), 0);
	assert_int_equal(iked_sas_add(&s, 301, 2, true), 0);
	assert_int_equal(iked_sas_add(&s, 400, 1, false), 0);
	assert_int_equal(iked_sas_carrying(&s, 1), 1);
	assert_int_equal(iked_sas_orphans(&s), 2);
	assert_null(iked_sas_due(&s, UINT64_MAX - 1)); /* nothing replaces it yet */
	iked_sas_replaced(&s, 1, 10 * SPW_NS_PER_S);
	assert_int_equal(iked_sas_carrying(&s, 1), 0);
	assert_int_equal(iked_sas_carrying(&s, 2), 1);
	iked_sas_replaced(&s, 1, 50 * SPW_NS_PER_S); /* the first successor counts */
	assert_null(iked_sas_due(&s, 10 * SPW_NS_PER_S - 1));
	assert_int_equal(iked_sas_due(&s, 10 * SPW_NS_PER_S)->spi_in, 300);
	iked_sas_del(&s, 300);
	assert_null(
		iked_sas_due(&s, 10 * SPW_NS_PER_S)); /* neither our own nor the other tunnel's */
	iked_sas_clear(&s);
}

static void
an_orphan_on_which_the_peer_still_sends_waits_but_not_for_ever(void **state)
{
	const uint64_t s = SPW_NS_PER_S, at = 100 * SPW_NS_PER_S;
	static const struct {
		uint64_t now_s, last_in_s;
		bool due;
	} t[] = {
		{99, 0, false},	   {100, 0, true},   {100, 40, true},	{100, 41, false},
		{159, 100, false}, {160, 100, true}, {699, 690, false}, {700, 699, true},
	};
	struct iked_sas sas = {0};

	assert_int_equal(iked_sas_add(&sas, 300, 1, true), 0);
	iked_sas_replaced(&sas, 1, at);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		iked_sas_find(&sas, 300)->last_in_ns = t[i].last_in_s * s;
		assert_int_equal(iked_sas_due(&sas, t[i].now_s * s) != NULL, t[i].due);
	}
	iked_sas_clear(&sas);
}

static void
last_inbound_counts_only_our_own_sas(void **state)
{
	struct iked_sas s = {0};

	assert_int_equal(iked_sas_add(&s, 300, 1, true), 0);
	assert_int_equal(iked_sas_add(&s, 301, 1, false), 0);
	assert_int_equal(iked_sas_add(&s, 302, 1, false), 0);
	assert_int_equal(iked_sas_add(&s, 303, 2, false), 0);
	iked_sas_find(&s, 300)->last_in_ns = 900;
	assert_int_equal(iked_sas_last_in(&s, 1), 0);
	iked_sas_find(&s, 301)->last_in_ns = 500;
	iked_sas_find(&s, 302)->last_in_ns = 400;
	iked_sas_find(&s, 303)->last_in_ns = 800;
	assert_int_equal(iked_sas_last_in(&s, 1), 500);
	iked_sas_clear(&s);
}

static void
keepalive_is_due_each_period_behind_a_nat_only(void **state)
{
	struct iked_conn c = {.nat_keepalive_s = 20};
	uint64_t s = SPW_NS_PER_S;

	assert_false(iked_conn_keepalive(&c, false, 1 * s));
	assert_false(iked_conn_keepalive(&c, true, 10 * s));
	assert_false(iked_conn_keepalive(&c, true, 29 * s));
	assert_true(iked_conn_keepalive(&c, true, 30 * s));
	assert_false(iked_conn_keepalive(&c, true, 31 * s));
	assert_true(iked_conn_keepalive(&c, true, 50 * s));
	assert_false(iked_conn_keepalive(&c, false, 99 * s));
	assert_false(iked_conn_keepalive(&c, true, 100 * s)); /* starts anew */
	c.nat_keepalive_s = 0;
	assert_false(iked_conn_keepalive(&c, true, 1000 * s));
}

static void
datagrams_on_4500_are_told_apart(void **state)
{
	static const struct {
		uint8_t bytes[8];
		size_t len;
		enum iked_udp_kind kind;
	} t[] = {
		{{0}, 0, IKED_UDP_SHORT},	    {{0xff}, 1, IKED_UDP_KEEPALIVE},
		{{0xfe}, 1, IKED_UDP_SHORT},	    {{0xff, 0xff}, 2, IKED_UDP_SHORT},
		{{0, 0, 0, 0}, 4, IKED_UDP_SHORT},  {{0, 0, 0, 0, 7}, 5, IKED_UDP_IKE},
		{{0, 0, 0, 1, 7}, 5, IKED_UDP_ESP}, {{0xff, 0, 0, 0, 7}, 5, IKED_UDP_ESP},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_int_equal(iked_udp_classify(t[i].bytes, t[i].len), t[i].kind);
}

/* Only what anybody may send without having shown anything waits for the others. */
static void
a_first_message_is_an_ike_sa_init_request(void **state)
{
	static const struct {
		uint8_t version, exchange, flags;
		bool first;
	} t[] = {
		{0x20, IKE_X_SA_INIT, IKE_FLAG_INITIATOR, true},
		{0x20, IKE_X_SA_INIT, 0, true},
		{0x20, IKE_X_SA_INIT, IKE_FLAG_RESPONSE, false},
		{0x20, IKE_X_SA_INIT, IKE_FLAG_RESPONSE | IKE_FLAG_INITIATOR, false},
		{0x20, IKE_X_AUTH, IKE_FLAG_INITIATOR, false},
		{0x20, IKE_X_CREATE_CHILD, IKE_FLAG_INITIATOR, false},
		{0x20, IKE_X_INFORMATIONAL, 0, false},
		{0x20, IKE_X_INFORMATIONAL, IKE_FLAG_RESPONSE, false},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		uint8_t m[IKE_HEADER_LEN] = {
			1,	    [16] = IKE_P_NONE,	  t[i].version, t[i].exchange,
			t[i].flags, [27] = IKE_HEADER_LEN};

		assert_int_equal(iked_udp_is_first(m, sizeof(m)), t[i].first);
		assert_false(iked_udp_is_first(m, sizeof(m) - 1));
		assert_false(iked_udp_is_first(m, 0));
	}
}

static struct spw_ike_conn
good_conn(void)
{
	return (struct spw_ike_conn){.name = "azure-a",
				     .tunnel = 1,
				     .local = spw_addr_v4(0x7f000001),
				     .remote = spw_addr_v4(0x7f000002),
				     .psk_len = 4,
				     .n_ike = 1,
				     .n_esp = 1,
				     .n_local = 1,
				     .n_remote = 1};
}

static void
connections_with_impossible_sizes_are_refused(void **state)
{
	struct spw_ike_conn c = good_conn();
	struct spw_err err = {0};

	assert_int_equal(iked_conn_check(&c, &err), 0);
#define REFUSED(change)                                               \
	do {                                                          \
		c = good_conn();                                      \
		change;                                               \
		assert_int_equal(iked_conn_check(&c, &err), -EINVAL); \
		assert_true(strlen(err.text) > 10);                   \
	} while (0)
	REFUSED(c.name[0] = '\0');
	REFUSED(memset(c.name, 'a', sizeof(c.name)));
	REFUSED(c.name[2] = '\n');
	REFUSED(c.psk_len = 0);
	REFUSED(c.psk_len = SPW_IKE_PSK_MAX + 1);
	REFUSED(c.n_ike = 0);
	REFUSED(c.n_ike = SPW_IKE_PROPOSALS + 1);
	REFUSED(c.n_esp = SPW_IKE_PROPOSALS + 1);
	REFUSED(c.n_local = SPW_SA_SELECTORS + 1);
	REFUSED(c.n_remote = 0);
	REFUSED(c.local_id.len = SPW_IKE_ID_MAX + 1);
	REFUSED(c.remote.family = 0);
	REFUSED(c.remote.family = AF_INET6);
}

static void
notes_follow_the_engine(void **state)
{
	struct spw_ike_status rows[2] = {{.name = "c"}, {.name = "a"}};
	struct spw_ike_conn conn = good_conn();
	struct iked_conns cs = {0};

	for (const char *n = "abc"; *n; n++) {
		conn.name[0] = *n;
		conn.name[1] = '\0';
		assert_int_equal(iked_conns_set(&cs, &conn), 0);
	}
	conn.tunnel = 9;
	assert_int_equal(iked_conns_set(&cs, &conn), 0);
	assert_int_equal(cs.n, 3);
	assert_int_equal(iked_conns_find(&cs, "c")->tunnel, 9);
	iked_conns_keep(&cs, rows, 2);
	assert_int_equal(cs.n, 2);
	assert_null(iked_conns_find(&cs, "b"));
	assert_non_null(iked_conns_find(&cs, "a"));
	iked_conns_keep(&cs, rows, 1);
	assert_int_equal(cs.n, 1);
	iked_conns_clear(&cs);
}

static int
parse(struct iked_options *o, char *arg, char *value)
{
	char *argv[] = {(char[]){"iked"}, arg, value, NULL};
	struct spw_err err = {0};

	return iked_options_parse(o, arg ? value ? 3 : 2 : 1, argv, &err);
}

static void
options_have_defaults_and_refuse_the_unknown(void **state)
{
	struct iked_options o;

	assert_int_equal(parse(&o, NULL, NULL), 0);
	assert_string_equal(o.run_dir, "/run/spillway");
	assert_string_equal(o.control_user, "root");
	assert_null(o.user);
	assert_int_equal(parse(&o, (char[]){"--run-dir"}, (char[]){"/x"}), 0);
	assert_string_equal(o.run_dir, "/x");
	assert_int_equal(parse(&o, (char[]){"--user=-"}, NULL), 0);
	assert_string_equal(o.user, "-");
	assert_int_equal(parse(&o, (char[]){"--log-level=loud"}, NULL), -EINVAL);
	assert_int_equal(parse(&o, (char[]){"--run-dir"}, NULL), -EINVAL);
	assert_int_equal(parse(&o, (char[]){"--frob"}, NULL), -EINVAL);
	assert_int_equal(parse(&o, (char[]){"word"}, NULL), -EINVAL);
}

static void
identity_is_found_or_named_in_the_refusal(void **state)
{
	struct iked_identity id;
	struct spw_err err = {0};

	assert_int_equal(iked_identity_find(&id, "-", &err), 0);
	assert_true(id.keep);
	assert_int_equal(id.uid, geteuid());
	assert_int_equal(iked_identity_find(&id, "no-such-user-here", &err), -ENOENT);
	assert_non_null(strstr(err.text, "no-such-user-here"));
	if (geteuid() == 0 && getpwnam("nobody")) {
		assert_int_equal(iked_identity_find(&id, "nobody", &err), 0);
		assert_false(id.keep);
		assert_int_equal(id.uid, getpwnam("nobody")->pw_uid);
	}
}

static void
ciphers_are_all_of_esp_until_the_data_plane_says(void **state)
{
	static struct iked_dataplane dp;

	assert_int_equal(iked_dataplane_encr_mask(&dp),
			 1u << SPW_ENCR_AES128_GCM | 1u << SPW_ENCR_AES192_GCM |
				 1u << SPW_ENCR_AES256_GCM | 1u << SPW_ENCR_AES128_CBC |
				 1u << SPW_ENCR_AES256_CBC | 1u << SPW_ENCR_CHACHA20_POLY1305);
	dp.seen = true;
	dp.encr_mask = 1u << SPW_ENCR_AES128_GCM;
	assert_int_equal(iked_dataplane_encr_mask(&dp), 1u << SPW_ENCR_AES128_GCM);
}

/* What somebody might try who runs in the daemon's place; each must end the process. */
static void
try_open(void)
{
	syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
}

static void
try_exec(void)
{
	execl("/bin/true", "true", (char *)NULL);
}

static void
try_internet(void)
{
	socket(AF_INET, SOCK_STREAM, 0);
}

static void
try_packet(void)
{
	socket(AF_PACKET, SOCK_RAW, 0);
}

static void
try_fork(void)
{
	syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, 0);
}

static void
try_trace(void)
{
	syscall(SYS_ptrace, 0, 0, 0, 0);
}

static void
try_code(void)
{
	mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void
try_kill(void)
{
	syscall(SYS_kill, getppid(), 0);
}

/* How the kernel ends a process that does `what` in the sandbox; 0 = it lived. */
static int
end_of(void (*what)(void))
{
	struct spw_err err = {0};
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || iked_sandbox_enter(&err) != 0)
			_exit(1);
		what();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status);
}

static void
do_daily_work(void)
{
	struct spw_secret key = {0};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	void *p = malloc(1 << 20);

	if (fd < 0 || !p || spw_secret_alloc(&key, 32) != 0 || getrandom(p, 16, 0) != 16)
		_exit(2);
	spw_secret_free(&key);
	free(p);
	close(fd);
}

static void
the_sandbox_ends_whoever_does_what_the_daemon_never_does(void **state)
{
	static void (*const forbidden[])(void) = {try_open, try_exec,  try_internet, try_packet,
						  try_fork, try_trace, try_code,     try_kill};

#ifdef __SANITIZE_ADDRESS__
	return;
#endif
	assert_int_equal(spw_secret_init(), 0);
	assert_int_equal(end_of(do_daily_work), 0);
	for (size_t i = 0; i < sizeof(forbidden) / sizeof(forbidden[0]); i++)
		assert_int_equal(end_of(forbidden[i]), SIGSYS);
}

static void
alg_08_random_octets_that_repeat_are_noticed(void **state)
{
	struct iked_random r = {0};
	uint8_t zero[IKED_RANDOM_BLOCK] = {0}, other[IKED_RANDOM_BLOCK] = {1}, draws[200][40];

	assert_false(iked_random_repeats(&r, zero)); /* the first is never a repeat */
	assert_true(iked_random_repeats(&r, zero));
	assert_false(iked_random_repeats(&r, other));
	assert_false(iked_random_repeats(&r, zero));
	for (size_t i = 0; i < 200; i++) { /* short and long draws, all different */
		memset(draws[i], 0, sizeof(draws[i]));
		iked_random_draw(&r, draws[i], i % 2 ? 8 : 40);
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(draws[i], draws[k], 8);
	}
}

/* From here on the kernel gives this process no random octets, neither way. */
static bool
take_randomness_away(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getrandom, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog prog = {.len = 5, .filter = code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0;
}

static void
alg_08_a_draw_that_fails_ends_the_process(void **state)
{
	for (size_t len = 1; len <= 64; len *= 8) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			struct iked_random r = {0};
			uint8_t buf[64];

			if (freopen("/dev/null", "w", stderr) && take_randomness_away())
				iked_random_draw(&r, buf, len);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGABRT);
	}
}

/* Both kinds of memory: what one instance records, the next one finds through the descriptor. */
static void
an_escrow_outlives_its_instance(void **state)
{
	for (int secret = 0; secret < 2; secret++) {
		struct iked_escrow first = {.fd = -1}, next = {.fd = -1};
		struct spw_err err = {0};
		unsigned int slot;
		uint8_t *draft;
		size_t room;
		int kept;

		assert_int_equal(iked_escrow_make(&first, secret, &err), 0);
		if (!secret)
			assert_false(first.secret);
		slot = ike_escrow_take(first.store);
		draft = ike_escrow_draft(first.store, &room);
		memset(draft, 'x', 100);
		ike_escrow_write(first.store, slot, 100);
		ike_escrow_publish(first.store);
		kept = dup(first.fd);
		iked_escrow_close(&first);
		assert_int_equal(iked_escrow_make(&next, secret, &err), 0);
		assert_int_equal(ike_escrow_found(next.store), 0);
		assert_int_equal(iked_escrow_replace(&next, kept, &err), 0);
		assert_int_equal(next.fd, kept);
		assert_int_equal(ike_escrow_found(next.store), 1);
		assert_int_equal(ike_escrow_sweep(next.store), 1);
		iked_escrow_close(&next);
	}
}

static void
an_escrow_that_could_shrink_or_is_of_another_is_refused(void **state)
{
	struct iked_escrow e = {.fd = -1};
	struct spw_err err = {0};
	int fd = memfd_create("t", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	unsigned int slots;

	assert_int_equal(iked_escrow_make(&e, false, &err), 0);
	slots = ike_escrow_slots(e.store);
	assert_int_equal(ftruncate(fd, (off_t)ike_escrow_size(slots)), 0);
	assert_int_equal(iked_escrow_replace(&e, fd, &err), -EINVAL); /* not sealed */
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
	assert_int_equal(pwrite(fd, "other", 5, 0), 5);
	assert_int_equal(iked_escrow_replace(&e, fd, &err), -EINVAL); /* something else */
	assert_int_equal(ike_escrow_slots(e.store), slots);	      /* nothing changed */
	close(fd);
	iked_escrow_close(&e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_socket_is_removed_while_it_is_ours),
		cmocka_unit_test(an_escrow_outlives_its_instance),
		cmocka_unit_test(an_escrow_that_could_shrink_or_is_of_another_is_refused),
		cmocka_unit_test(sas_are_found_after_random_adds_and_dels),
		cmocka_unit_test(the_sas_of_a_tunnel_are_found_after_random_adds_and_dels),
		cmocka_unit_test(an_orphan_stays_until_its_successor_is_up_and_then_its_time_out),
		cmocka_unit_test(an_orphan_on_which_the_peer_still_sends_waits_but_not_for_ever),
		cmocka_unit_test(last_inbound_counts_only_our_own_sas),
		cmocka_unit_test(keepalive_is_due_each_period_behind_a_nat_only),
		cmocka_unit_test(datagrams_on_4500_are_told_apart),
		cmocka_unit_test(a_first_message_is_an_ike_sa_init_request),
		cmocka_unit_test(connections_with_impossible_sizes_are_refused),
		cmocka_unit_test(notes_follow_the_engine),
		cmocka_unit_test(options_have_defaults_and_refuse_the_unknown),
		cmocka_unit_test(identity_is_found_or_named_in_the_refusal),
		cmocka_unit_test(ciphers_are_all_of_esp_until_the_data_plane_says),
		cmocka_unit_test(the_sandbox_ends_whoever_does_what_the_daemon_never_does),
		cmocka_unit_test(alg_08_random_octets_that_repeat_are_noticed),
		cmocka_unit_test(alg_08_a_draw_that_fails_ends_the_process),
	};

	if (spw_secret_init() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
