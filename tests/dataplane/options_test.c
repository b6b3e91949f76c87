/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line: what it comes to, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// clang-format off
#include <cmocka.h>
// clang-format on

#include <errno.h>
#include <getopt.h>

#include "dataplane/options.h"

#define WORDS 8

static int
parse(struct dp_options *o, const char *const words[WORDS])
{
	static char name[] = "spillway-dataplane";
	char *argv[WORDS + 2] = {name};
	struct spw_err err = {0};
	int argc = 1, rc;

	for (; words[argc - 1] != NULL; argc++)
		argv[argc] = (char *)(uintptr_t)words[argc - 1];
	optind = 0; /* getopt() begins anew */
	rc = dp_options_parse(o, argc, argv, &err);
	assert_int_equal(rc < 0, err.text[0] != '\0');
	return rc;
}

static void
packet_buffers_grow_with_the_workers_unless_named(void **state)
{
	static const struct {
		const char *words[WORDS];
		uint32_t mbufs, memory_mb;
	} rows[] = {
		{{NULL}, 32767, 0},
		{{"--no-huge"}, 32767, 1024},
		{{"--workers", "4"}, 131071, 0},
		{{"--cores", "0-7"}, 262143, 0},
		{{"--workers", "4", "--no-huge"}, 131071, 1024 + 264},
		{{"--no-huge", "--mbuf-size", "9216", "--workers", "2"}, 65535, 1024 + 304},
		{{"--workers", "4", "--mbufs", "8191"}, 8191, 0},
		{{"--workers", "4", "--mbufs", "8191", "--no-huge"}, 8191, 1024},
		{{"--workers", "4", "--memory", "300", "--no-huge"}, 131071, 300},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dp_options o;

		assert_int_equal(parse(&o, rows[i].words), 0);
		assert_int_equal(o.mbufs, rows[i].mbufs);
		assert_int_equal(o.memory_mb, rows[i].memory_mb);
	}
}

static void
nonsense_is_refused_with_a_sentence(void **state)
{
	static const char *const rows[][WORDS] = {
		{"--workers", "0"},
		{"--workers", "33"},
		{"--workers", "2x"},
		{"--workers", ""},
		{"--workers"},
		{"--mbufs", "4094"},
		{"--mbuf-size", "2047"},
		{"--max-sas", "65537"},
		{"--max-sas", "96"},
		{"--cores", "3-2"},
		{"--cores", "a"},
		{"--cores", "1,,2"},
		{"--cores", "0-32"},
		{"--cores", "1024"},
		{"--cores", "-1"},
		{"--polling", "often"},
		{"--what"},
		{"else"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct dp_options o;

		assert_int_equal(parse(&o, rows[i]), -EINVAL);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(packet_buffers_grow_with_the_workers_unless_named),
		cmocka_unit_test(nonsense_is_refused_with_a_sentence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
