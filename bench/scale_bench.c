/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * bench-scale: what large tables cost.
 *
 * Routes: cycles of a lookup, memory, stalls of a worker while they change (scale_tables.c).
 * Tunnels: install time, memory, throughput over that of one tunnel, stalls and loss while SAs are
 * replaced (scale_tunnels.c). Ends with `RATIO tunnels-10000/tunnels-1 X`, the lower of the
 * figures at 64 and 1400 bytes, and with what that would be if only the cipher's keys took longer.
 *
 * This thread is pinned to the first CPU and writes; the loops that are measured for stalls run on
 * the second.
 */
#include "bench/scale.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench/gateway.h"

struct sc_options sc_options = {.rounds = 6,
				.window_s = 0.25,
				.routes4 = 1000000,
				.routes6 = 200000,
				.tunnels = 10000,
				.tables = true,
				.stalls = true};

uint64_t
sc_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return *state = x;
}

uint64_t
sc_resident(void)
{
	unsigned long all, resident = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f != NULL) {
		if (fscanf(f, "%lu %lu", &all, &resident) != 2)
			resident = 0;
		fclose(f);
	}
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

double
sc_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double
sc_percentile(double *v, unsigned int n, double percent)
{
	if (n == 0)
		return 0;
	qsort(v, n, sizeof(*v), by_value);
	return v[(unsigned int)((double)(n - 1) * percent / 100)];
}

static void
parse(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			sc_options.json = true;
		else if (strcmp(argv[i], "--quick") == 0) {
			sc_options.rounds = 2;
			sc_options.window_s = 0.2;
		} else if (strcmp(argv[i], "--long") == 0) {
			sc_options.rounds = 40;
			sc_options.window_s = 0.5;
		} else if (strcmp(argv[i], "--tunnels") == 0)
			sc_options.tables = false;
		else if (strcmp(argv[i], "--work") == 0)
			sc_options.tables = sc_options.stalls = false;
		else if (strcmp(argv[i], "--isa=aes-ni") == 0)
			sc_options.older = true;
		else
			bg_die("the options are --json, --quick, --long, --tunnels (no tables), "
			       "--work (no stalls either), --isa=aes-ni",
			       NULL);
	}
}

int
main(int argc, char **argv)
{
	parse(argc, argv);
	bg_eal(3072);
	if (sc_options.tables)
		sc_tables();
	sc_tunnels();
	return 0;
}
