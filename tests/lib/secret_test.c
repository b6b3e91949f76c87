/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The memory of secrets. What must end the process is done in a child; what the kernel must know of
 * the pages (locked, not dumped, guarded) is read from /proc/self/smaps; not under ASan, which
 * makes mlock(2) do nothing.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/spillway.h"

#define MANY 4000
#if defined(__SANITIZE_ADDRESS__)
#define NEEDS_LOCKING() skip()
#else
#define NEEDS_LOCKING() ((void)0)
#endif

/* Reads what ASan rightly forbids. */
__attribute__((no_sanitize("address"))) static bool
all_zero(const volatile uint8_t *p, size_t len)
{
	uint8_t any = 0;

	for (size_t i = 0; i < len; i++)
		any |= p[i];
	return any == 0;
}

__attribute__((no_sanitize("address"))) static void
poke(volatile uint8_t *p)
{
	*p ^= 0x5a;
}

static void
quiet_child(void)
{
	struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGABRT, SIG_DFL);
	if (!freopen("/dev/null", "w", stderr))
		_exit(1);
}

/* The signal that ends a child which does this; 0 when it lives. */
static int
fate(void (*act)(struct spw_secret *s), size_t len)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct spw_secret s = {0}, neighbour = {0};

		quiet_child();
		if (spw_secret_alloc(&s, len) != 0 || spw_secret_alloc(&neighbour, len) != 0)
			_exit(2);
		act(&s);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		assert_int_equal(WEXITSTATUS(status), 0);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void
write_behind(struct spw_secret *s)
{
	poke(s->bytes + s->len);
	spw_secret_free(s);
}

static void
write_far_behind(struct spw_secret *s)
{
	poke(s->bytes + s->len + 15);
	spw_secret_free(s);
}

static void
write_before(struct spw_secret *s)
{
	poke(s->bytes - 1);
	spw_secret_free(s);
}

static void
free_twice(struct spw_secret *s)
{
	struct spw_secret copy = *s;

	spw_secret_free(s);
	spw_secret_free(&copy);
}

static void
free_with_another_length(struct spw_secret *s)
{
	s->len--;
	spw_secret_free(s);
}

static void
free_inside(struct spw_secret *s)
{
	s->bytes++;
	spw_secret_free(s);
}

static void
write_within(struct spw_secret *s)
{
	memset(s->bytes, 0xff, s->len);
	spw_secret_free(s);
}

static void
write_around_ends_the_process_when_freed(void **state)
{
	static const size_t lens[] = {1, 31, 32, 33, 36, 48, 64, 100, 128, 216, 256};

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		assert_int_equal(fate(write_within, lens[i]), 0);
		assert_int_equal(fate(write_behind, lens[i]), SIGABRT);
		assert_int_equal(fate(write_far_behind, lens[i]), SIGABRT);
		assert_int_equal(fate(write_before, lens[i]), SIGABRT);
	}
}

static void
free_of_what_is_not_one_ends_the_process(void **state)
{
	assert_int_equal(fate(free_twice, 48), SIGABRT);
	assert_int_equal(fate(free_with_another_length, 48), SIGABRT);
	assert_int_equal(fate(free_inside, 48), SIGABRT);
}

static void
run_off_the_end(struct spw_secret *s)
{
	for (volatile uint8_t *p = s->bytes;; p++)
		poke(p);
}

static void
run_off_the_start(struct spw_secret *s)
{
	for (volatile uint8_t *p = s->bytes;; p--)
		poke(p);
}

static void
pages_around_are_guarded(void **state)
{
	assert_int_equal(fate(run_off_the_end, 48), SIGSEGV);
	assert_int_equal(fate(run_off_the_start, 48), SIGSEGV);
	assert_int_equal(fate(run_off_the_end, 4000), SIGSEGV);
}

/* Is the mapping of this address locked, not dumped, and between two that cannot be read? */
static bool
mapping_is_guarded(const void *at)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long low, high, before_end = 0, end = 0;
	bool before_none = false, last_none = false, flags_ok = false, after_ok = false, in = false;
	char line[512], perms[8];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %7s", &low, &high, perms) == 3) {
			if (end == low && strncmp(perms, "---", 3) == 0)
				after_ok = true;
			in = (uintptr_t)at >= low && (uintptr_t)at < high;
			if (in) {
				before_none = last_none && before_end == low;
				end = high;
			}
			last_none = strncmp(perms, "---", 3) == 0;
			before_end = high;
		} else if (in && strncmp(line, "VmFlags:", 8) == 0) {
			flags_ok = strstr(line, " lo") && strstr(line, " dd");
		}
	}
	fclose(f);
	return flags_ok && before_none && after_ok;
}

static void
pages_are_locked_and_not_dumped(void **state)
{
	struct spw_secret s = {0};

	NEEDS_LOCKING();
	assert_int_equal(spw_secret_set(&s, "0123456789", 10), 0);
	assert_true(mapping_is_guarded(s.bytes));
	spw_secret_free(&s);
}

static void
freed_bytes_are_wiped_at_once(void **state)
{
	static const size_t lens[] = {16, 36, 48, 100, 256};

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		struct spw_secret s = {0}, stays = {0};
		const uint8_t *was;

		assert_int_equal(spw_secret_alloc(&stays, lens[i]), 0);
		assert_int_equal(spw_secret_alloc(&s, lens[i]), 0);
		memset(s.bytes, 0xa5, s.len);
		was = s.bytes;
		assert_false(all_zero(was, lens[i]));
		spw_secret_free(&s);
		assert_true(all_zero(was, lens[i]));
		spw_secret_free(&stays);
	}
}

static void
empty_secret_is_freed_without_harm(void **state)
{
	struct spw_secret s = {0};

	spw_secret_free(&s);
	assert_int_equal(spw_secret_alloc(&s, 48), 0);
	spw_secret_free(&s);
	spw_secret_free(&s);
	assert_null(s.bytes);
}

/* Whether a child whose limit of locked memory is nothing gets a secret of this length. */
static int
without_locked_memory(size_t len)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct rlimit none = {0, 0};
		struct spw_secret s = {0};

		if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 ||
		    (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0))
			_exit(77);
		_exit(spw_secret_alloc(&s, len) == -ENOMEM && !s.bytes ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Runs first: a slab that stands has room for more. */
static void
memory_that_cannot_be_locked_is_refused(void **state)
{
	NEEDS_LOCKING();
	assert_int_equal(without_locked_memory(48), 0);
	assert_int_equal(without_locked_memory(4000), 0);
}

static long
locked_kib(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kib = -1;

	assert_non_null(f);
	while (kib < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "VmLck: %ld", &kib);
	fclose(f);
	return kib;
}

static void
many_secrets_share_pages_and_give_them_back(void **state)
{
	static struct spw_secret s[MANY];
	long before = locked_kib(), full;

	NEEDS_LOCKING();
	for (int i = 0; i < MANY; i++)
		assert_int_equal(spw_secret_alloc(&s[i], 48), 0);
	full = locked_kib() - before;
	assert_in_range(full, MANY * 48 / 1024, MANY * 96 / 1024);
	for (int i = 0; i < MANY; i++)
		spw_secret_free(&s[i]);
	assert_true(locked_kib() - before <= 64);
}

static uint64_t
draw(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Secrets of all lengths come and go; each is zero at first and then keeps what was put in. */
static void *
churn(void *arg)
{
	struct held {
		struct spw_secret s;
		uint8_t fill;
	} held[300] = {0};
	uint64_t seed = (uintptr_t)arg;
	long wrong = 0;

	for (int i = 0; i < 20000; i++) {
		struct held *h = &held[draw(&seed) % 300];

		for (size_t k = 0; h->s.bytes && k < h->s.len; k++)
			wrong += h->s.bytes[k] != h->fill;
		spw_secret_free(&h->s);
		if (draw(&seed) % 4 == 0)
			continue;
		wrong += spw_secret_alloc(&h->s, 1 + draw(&seed) % 258) != 0;
		wrong += !all_zero(h->s.bytes, h->s.len) ||
			 (h->s.len <= 256 && (uintptr_t)h->s.bytes % 16 != 0);
		h->fill = (uint8_t)(1 + draw(&seed) % 255);
		memset(h->s.bytes, h->fill, h->s.len);
	}
	for (int i = 0; i < 300; i++)
		spw_secret_free(&held[i].s);
	return (void *)wrong;
}

static void
secrets_never_overlap(void **state)
{
	for (uintptr_t seed = 1; seed <= 3; seed++)
		assert_null(churn((void *)(seed * 7919)));
}

static void
threads_do_not_disturb_one_another(void **state)
{
	pthread_t t[4];
	void *wrong;

	for (uintptr_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, churn, (void *)(i * 104729 + 3)), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(t[i], &wrong), 0);
		assert_null(wrong);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_that_cannot_be_locked_is_refused),
		cmocka_unit_test(write_around_ends_the_process_when_freed),
		cmocka_unit_test(free_of_what_is_not_one_ends_the_process),
		cmocka_unit_test(pages_around_are_guarded),
		cmocka_unit_test(pages_are_locked_and_not_dumped),
		cmocka_unit_test(freed_bytes_are_wiped_at_once),
		cmocka_unit_test(empty_secret_is_freed_without_harm),
		cmocka_unit_test(many_secrets_share_pages_and_give_them_back),
		cmocka_unit_test(secrets_never_overlap),
		cmocka_unit_test(threads_do_not_disturb_one_another),
	};

	if (spw_secret_init() != 0)
		return 1;
	return cmocka_run_group_tests_name("lib/secret", tests, NULL, NULL);
}
