/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The store of the escrow, killed between any two instructions.
 *
 * A child does one thing to a store in shared memory and is stepped through it by ptrace. After
 * each instruction the next process begins, on a copy of the memory as it is: it finds what held
 * before, up to some instruction, and what holds after from there on. Of a record that is over it
 * finds no octet.
 *
 * The records of the first slot are of one capital letter each, the later the higher; those of the
 * second of a small one.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ike/escrow.h"
#include "lib/secret.h"

#define SLOTS  2
#define RECORD 200 /* octets behind the name */
#define CHANCE 40  /* octets of numbers and sums that may look like letters */

static void
put(struct ike_escrow *esc, unsigned int slot, char letter)
{
	size_t room;
	uint8_t *draft = ike_escrow_draft(esc, &room);

	memset(draft, 0, IKE_ESCROW_NAME);
	draft[0] = (uint8_t)letter;
	memset(draft + IKE_ESCROW_NAME, letter, RECORD);
	ike_escrow_write(esc, slot, IKE_ESCROW_NAME + RECORD);
}

/* Of the record in a slot; '-' = there is none. */
static char
letter_in(const struct ike_escrow *esc, unsigned int slot)
{
	size_t len;
	const uint8_t *r = ike_escrow_read(esc, slot, &len);

	if (!r)
		return '-';
	assert_int_equal(len, IKE_ESCROW_NAME + RECORD);
	for (size_t i = IKE_ESCROW_NAME; i < len; i++)
		assert_int_equal(r[i], r[0]);
	return (char)r[0];
}

static size_t
count_letters(const uint8_t *memory, char first)
{
	size_t n = 0;

	for (size_t i = 0; i < ike_escrow_size(SLOTS); i++)
		n += memory[i] >= (uint8_t)first && memory[i] <= (uint8_t)first + 25;
	return n;
}

/* What the next process finds in both slots. */
static void
find(const uint8_t *memory, uint8_t *copy, char found[SLOTS + 1])
{
	struct ike_escrow *esc;

	memcpy(copy, memory, ike_escrow_size(SLOTS));
	assert_int_equal(ike_escrow_new(&esc, copy, ike_escrow_size(SLOTS)), 0);
	for (unsigned int i = 0; i < SLOTS; i++) {
		found[i] = letter_in(esc, i + 1);
		if (found[i] == '-')
			assert_true(count_letters(copy, i == 0 ? 'A' : 'a') < CHANCE);
	}
	ike_escrow_free(esc);
}

/* Both slots, written so many times. */
static struct ike_escrow *
written(uint8_t *memory, int times)
{
	struct ike_escrow *esc;

	assert_int_equal(ike_escrow_new(&esc, memory, ike_escrow_size(SLOTS)), 0);
	for (unsigned int i = 1; i <= SLOTS; i++)
		assert_int_equal(ike_escrow_take(esc), i);
	for (int i = 0; i < times; i++) {
		put(esc, 1, (char)('A' + i));
		put(esc, 2, (char)('a' + i));
		ike_escrow_publish(esc);
	}
	return esc;
}

typedef void deed(struct ike_escrow *esc);

/* Stopped before it does so; 0 where nobody may trace. */
static pid_t
child(struct ike_escrow *esc, deed *what)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
			_exit(1);
		raise(SIGSTOP);
		what(esc);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSTOPPED(status) ? pid : 0;
}

static bool
step(pid_t pid)
{
	int status;

	assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
	return WIFSTOPPED(status);
}

/* From slots that were written two or three times, so that either half is the one that holds. */
static void
walk(int times, deed *what, const char *after)
{
	const char before[SLOTS + 1] = {(char)('A' + times - 1), (char)('a' + times - 1)};
	size_t size = ike_escrow_size(SLOTS);
	uint8_t *copy = malloc(size), *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
						     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct ike_escrow *esc;
	char found[SLOTS + 1] = "";
	bool done = false;
	pid_t pid;

	assert_true(copy && memory != MAP_FAILED);
	esc = written(memory, times);
	pid = child(esc, what);
	if (!pid)
		skip();
	do {
		find(memory, copy, found);
		done |= strcmp(found, after) == 0;
		assert_string_equal(found, done ? after : before);
	} while (step(pid));
	assert_true(done);
	ike_escrow_free(esc);
	munmap(memory, size);
	free(copy);
}

static void
replace_both(struct ike_escrow *esc)
{
	put(esc, 1, 'Y');
	put(esc, 2, 'y');
	ike_escrow_publish(esc);
}

static void
a_batch_holds_as_a_whole_from_one_instruction_on(void **state)
{
	walk(2, replace_both, "Yy");
	walk(3, replace_both, "Yy");
}

static void
end_first(struct ike_escrow *esc)
{
	ike_escrow_remove(esc, 1);
	ike_escrow_publish(esc);
}

/* Nor does what it was before come back. */
static void
a_record_that_has_ended_does_not_come_back(void **state)
{
	walk(2, end_first, "-b");
	walk(3, end_first, "-c");
}

static void
end_first_for_second(struct ike_escrow *esc)
{
	put(esc, 2, 'y');
	ike_escrow_remove(esc, 1);
	ike_escrow_publish(esc);
}

static void
a_record_ends_with_the_batch_that_writes_another(void **state)
{
	walk(2, end_first_for_second, "-y");
	walk(3, end_first_for_second, "-y");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_holds_as_a_whole_from_one_instruction_on),
		cmocka_unit_test(a_record_that_has_ended_does_not_come_back),
		cmocka_unit_test(a_record_ends_with_the_batch_that_writes_another),
	};

	if (spw_secret_init() != 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
