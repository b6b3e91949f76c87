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
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/ike/iked_bed.h"
#include "tests/ike/proc.h"
#include "tests/ike/scan.h"
#include "tests/ike/tapped.h"

#define GONE_MS 20000 /* an SA lingers after its Delete, to answer a repeated one */

#define KIND_PSK   0
#define BIT(kind)  (1u << (kind))
#define EVERYTHING (BIT(TAP_KINDS) - 1)
#define SERVED	   (BIT(TAP_DH_PRIVATE) | BIT(TAP_DH_SHARED) | BIT(TAP_SEED) | BIT(TAP_PADDED_PSK))
#define PSK_LEN	   64

static const char *program;

struct scanned {
	struct bed_side side;
	int tap; /* read end */
	size_t n_secrets;
	struct scan_secret secret[SCAN_SECRETS];
};
static struct scanned a = {.side = BED_SIDE("a")};
static struct scanned b = {.side = BED_SIDE("b")};

/* ---- the daemons ---- */

struct outlets {
	const struct scanned *of;
	int tap; /* write end */
};

/* The daemon's pipe and its log, which stay for the test. */
static void
open_outlets(void *ctx)
{
	const struct outlets *o = ctx;
	char path[108], number[16];
	int log;

	bed_path(&o->of->side, "log", path);
	log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
	fcntl(o->tap, F_SETFD, 0);
	snprintf(number, sizeof(number), "%d", o->tap);
	setenv(TAP_FD_NAME, number, 1);
	if (log < 0 || dup2(log, STDERR_FILENO) < 0)
		_exit(127);
}

static void
daemon_start(struct scanned *s)
{
	struct outlets o = {.of = s};
	int pipe_fd[2];

	assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
	assert_true(fcntl(pipe_fd[1], F_SETPIPE_SZ, 1 << 20) > 0);
	assert_int_equal(fcntl(pipe_fd[0], F_SETFL, O_NONBLOCK), 0);
	o.tap = pipe_fd[1];
	bed_start(&s->side, program, open_outlets, &o);
	close(pipe_fd[1]);
	s->tap = pipe_fd[0];
	bed_ask(&s->side, SPW_IKE_ESCROW_GET, NULL, 0, NULL, 0);
	assert_int_equal(bed_reply.n_fds, 1);
	s->side.escrow = bed_reply.fds[0];
}

static void
daemon_end(struct scanned *s, int signal)
{
	if (bed_end(&s->side, signal) < 0)
		return;
	close(s->tap);
	close(s->side.escrow);
}

/* Everything the taps told so far. */
static void
taps_read(struct scanned *s)
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
secrets_of(const struct scanned *s, uint32_t kind)
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

static struct spw_ike_conn
conn_of(const struct scanned *s, enum spw_group group)
{
	struct spw_ike_conn c =
		bed_conn(&s->side, s == &a ? SPW_IKE_MODE_RESPOND : SPW_IKE_MODE_INITIATE);

	c.psk_len = PSK_LEN;
	psk_fill(c.psk);
	c.ike[0].group = c.esp[0].group = (uint8_t)group;
	return c;
}

static void
configure(struct scanned *s, enum spw_group group)
{
	struct spw_ike_conn conn = conn_of(s, group);

	bed_configure(&s->side, &conn);
}

static bool
is_up(struct scanned *s)
{
	return bed_status(&s->side).state == SPW_IKE_ESTABLISHED &&
	       fake_count(&s->side.dp, BED_TUNNEL) > 0;
}

static void
rekey(struct scanned *s, uint32_t what)
{
	const struct spw_ike_reset ask = {.name = "tun", .what = what};
	struct spw_ike_status before = bed_status(&s->side), after = before;

	bed_ask(&s->side, SPW_IKE_REKEY, &ask, sizeof(ask), NULL, 0);
	assert_true(EVENTUALLY(
		(after = bed_status(&s->side),
		 after.ike_rekeys + after.child_rekeys > before.ike_rekeys + before.child_rekeys &&
			 after.state == SPW_IKE_ESTABLISHED)));
	bed_first_packet(&a.side, &b.side);
	bed_first_packet(&b.side, &a.side);
	poll(NULL, 0, 300); /* the old one's Delete */
}

static void
tunnel_up(enum spw_group group)
{
	configure(&a, group);
	configure(&b, group);
	if (!EVENTUALLY(is_up(&a) && is_up(&b)))
		fail_msg("the tunnel does not come up: %s", bed_status(&b.side).reason);
	bed_first_packet(&b.side, &a.side);
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
look(struct scanned *s, uint32_t kinds)
{
	struct scan_secret psk = {.kind = KIND_PSK, .len = PSK_LEN};
	struct scan_found found;
	struct scan *scan;

	taps_read(s);
	psk_fill(psk.bytes);
	s->secret[s->n_secrets] = psk;
	scan = scan_new(s->secret, s->n_secrets + 1, kinds);
	assert_true(scan_process(scan, s->side.pid, &found));
	assert_true(found.bytes > 1000000);
	scan_free(scan);
	return found;
}

/* Search the escrow, which the process maps where nobody can read it. */
static unsigned int
look_in_escrow(struct scanned *s, uint32_t kinds)
{
	struct stat st;
	struct scan *scan = scan_new(s->secret, s->n_secrets, kinds);
	unsigned int hits;
	uint8_t *memory;
	uint32_t kind;
	size_t at;

	assert_int_equal(fstat(s->side.escrow, &st), 0);
	memory = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, s->side.escrow,
		      0);
	assert_true(memory != MAP_FAILED);
	hits = scan_bytes(scan, memory, (size_t)st.st_size, &at, &kind);
	munmap(memory, (size_t)st.st_size);
	scan_free(scan);
	return hits;
}

static void
nowhere(struct scanned *s, uint32_t kinds, const char *when)
{
	struct scan_found found = look(s, kinds);

	if (found.open + found.sheltered > 0)
		fail_msg("%s, %s: %u pieces of secrets in the open, %u in locked memory; %s",
			 s->side.name, when, found.open, found.sheltered, found.where);
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
	struct scanned *sides[] = {&a, &b};

	tunnel_up(SPW_GROUP_ECP384);
	for (int i = 0; i < 2; i++) {
		struct scanned *s = sides[i];
		struct scan_found found = look(s, EVERYTHING);

		/* what the taps must have told: else nothing was looked for */
		assert_true(secrets_of(s, TAP_DH_PRIVATE) >= 5);
		assert_true(secrets_of(s, TAP_DH_SHARED) >= 5);
		assert_true(secrets_of(s, TAP_SEED) >= 3);
		assert_true(secrets_of(s, TAP_PADDED_PSK) >= 2);
		assert_true(secrets_of(s, TAP_IKE_KEYS) >= 3);
		assert_true(secrets_of(s, TAP_CHILD_KEYS) >= 3);
		if (found.open > 0)
			fail_msg("%s: %u pieces of secrets in the open: %s", s->side.name,
				 found.open, found.where);
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
nothing_but_psk(struct scanned *s)
{
	struct scan_found found = look(s, EVERYTHING & ~BIT(KIND_PSK));

	return found.open + found.sheltered == 0 && look_in_escrow(s, EVERYTHING) == 0;
}

static void
after_the_sa_nothing_but_the_psk_is_left(void **state)
{
	struct scan_found psk;

	daemon_end(&b, SIGTERM); /* its Delete ends a's SA */
	assert_true(EVENTUALLY(bed_status(&a.side).state == SPW_IKE_IDLE));
	if (!EVENTUALLY_IN(GONE_MS, nothing_but_psk(&a)))
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

	bed_ask(&a.side, SPW_IKE_CONN_DEL, &ref, sizeof(ref), NULL, 0);
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
	assert_int_equal(spw_client_call(&a.side.client, SPW_IKE_CONN_SET, &conn, sizeof(conn), 1,
					 NULL, 0, &bed_reply, &err),
			 -EINVAL);
	nowhere(&a, BIT(KIND_PSK), "after a refused request");
	/* a header that lies about the length: the frame is not a message at all */
	odd.fd = bed_connect(&a.side);
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
file_read(const struct scanned *s, char **text, size_t *len)
{
	char path[108];
	struct stat st;
	int fd;

	bed_path(&s->side, "log", path);
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
	struct scanned *sides[] = {&a, &b};

	for (int i = 0; i < 2; i++) {
		struct scanned *s = sides[i];
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
setup(void **state)
{
	if (spw_secret_init() != 0 || bed_setup(&a.side, &b.side) != 0)
		return -1;
	daemon_start(&a);
	daemon_start(&b);
	return 0;
}

static int
teardown(void **state)
{
	daemon_end(&a, SIGKILL);
	daemon_end(&b, SIGKILL);
	return bed_teardown(&a.side, &b.side);
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

	int wrong = proc_called_right(argc, 2, "memory_scan_test PATH/ike_iked_tapped");

	if (wrong)
		return wrong;
	program = argv[1];
	return cmocka_run_group_tests(tests, setup, teardown);
}
