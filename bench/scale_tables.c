/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Routing tables of a million IPv4 and two hundred thousand IPv6 routes: what a lookup costs by
 * implementation and table size, what a route costs in memory, and what a worker feels while they
 * change.
 *
 * The tables are made up, with the lengths of the Internet's: IPv4 mostly /24, a few host routes;
 * IPv6 /32 with /48 and some others inside. Addresses looked up lie in the routes, at random over
 * the whole table: the worst for the caches.
 */
#define ALLOW_EXPERIMENTAL_API /* rte_vect_set_max_simd_bitwidth() of DPDK 22.11 */

#include "bench/scale.h"

#include <rte_cycles.h>
#include <rte_fib.h>
#include <rte_rcu_qsbr.h>
#include <rte_vect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/gateway.h"
#include "dataplane/fib.h"
#include "dataplane/fib6.h"

#define BURST  64
#define ADDRS  65536 /* prepared addresses */
#define BATCH  1000
#define PASSES 15

static struct tables {
	struct rte_rcu_qsbr *qsbr;
	struct dp_fib *fib;
	struct dp_fib6 *fib6;
	uint32_t ip[ADDRS];
	uint8_t ip6[ADDRS][16];
	unsigned int at;   /* of the loop */
	uint64_t random;   /* of the writer */
	bool out;	   /* the writer's routes are out just now */
	uint32_t n, first; /* of the writer */
	struct dp_fib_op op[BATCH];
} t;

static uint64_t
mix(uint64_t x)
{
	x = (x ^ x >> 31) * UINT64_C(0x7fb5d329728ea185);
	x = (x ^ x >> 27) * UINT64_C(0x81dadef4bc2dd44d);
	return x ^ x >> 33;
}

static struct dp_fib_op
route4(uint32_t i, bool del)
{
	static const uint8_t lens[16] = {24, 24, 24, 24, 24, 24, 24, 24,
					 24, 23, 22, 22, 21, 20, 19, 16};
	uint64_t h = mix(i + 1);
	uint8_t len = i % 50 == 0 ? 32 : lens[h >> 60];
	uint32_t ip = 0x01000000 + (uint32_t)(h % 0xdf000000);

	return (struct dp_fib_op){.ip = ip & ~UINT32_C(0) << (32 - len),
				  .len = len,
				  .del = del,
				  .group = 1 + i % 1000};
}

static struct dp_fib_op
route6(uint32_t i, bool del)
{
	uint64_t h = mix(i + 1), site = mix(i / 10 + 77);
	uint8_t len = i % 10 == 0 ? 32 : i % 10 < 8 ? 48 : i % 10 == 8 ? 44 : 64;
	uint64_t ip = (UINT64_C(0x2000) << 48) | (site & UINT64_C(0x0fff)) << 48 |
		      (site >> 16 & 0xffff) << 32 | (h & 0xffffffff);
	struct dp_fib_op op = {.len = len, .del = del, .group = 1 + i % 1000};

	ip = __builtin_bswap64(ip & ~UINT64_C(0) << (64 - len));
	memcpy(op.ip6, &ip, 8);
	return op;
}

static void
apply(bool six, struct dp_fib_op *op, uint32_t n)
{
	struct spw_err err = {0};
	uint32_t bad;

	if ((six ? dp_fib6_apply(t.fib6, op, n, &bad, &err)
		 : dp_fib_apply(t.fib, op, n, &bad, &err)) != 0)
		bg_die("routes", &err);
}

/* Bring a table to so many routes; numbers of routes begin at *from. */
static void
fill(bool six, uint32_t target, uint32_t *from)
{
	struct dp_lr *lr = six ? &t.fib6->lr : &t.fib->lr;

	while (lr->routes < target) {
		uint32_t n = RTE_MIN(target - lr->routes, (uint32_t)BATCH);

		for (uint32_t i = 0; i < n; i++, ++*from)
			t.op[i] = six ? route6(*from, false) : route4(*from, false);
		apply(six, t.op, n);
	}
}

static void
addresses(bool six, uint32_t routes)
{
	uint64_t state = 99;

	for (unsigned int i = 0; i < ADDRS; i++) {
		uint32_t of = (uint32_t)(sc_random(&state) % routes);
		uint32_t host = (uint32_t)sc_random(&state);

		if (six) {
			struct dp_fib_op op = route6(of, false);

			memcpy(t.ip6[i], op.ip6, 16);
			t.ip6[i][7] |= (uint8_t)host;
			memcpy(&t.ip6[i][8], &host, 4);
		} else {
			struct dp_fib_op op = route4(of, false);

			t.ip[i] = op.len == 32 ? op.ip : op.ip | (host & ~UINT32_C(0) >> op.len);
		}
	}
}

/* Cycles for an address, median of some passes over all prepared ones. */
static double
measure(bool six)
{
	double cycles[PASSES];
	uint64_t leaves[BURST];

	for (unsigned int pass = 0; pass < PASSES; pass++) {
		uint64_t start = rte_rdtsc();

		for (unsigned int i = 0; i < ADDRS; i += BURST) {
			if (six)
				dp_fib6_lookup(t.fib6, &t.ip6[i], leaves, BURST);
			else
				dp_fib_lookup(t.fib, &t.ip[i], leaves, BURST);
		}
		cycles[pass] = (double)(rte_rdtsc() - start) / ADDRS;
	}
	return sc_percentile(cycles, PASSES, 50);
}

static void
print_lookup(int family, const char *how, uint32_t routes, double cycles)
{
	printf(sc_options.json
		       ? "{\"what\": \"lookup\", \"family\": %d, \"how\": \"%s\", \"routes\": %u, "
			 "\"cycles\": %.1f}\n"
		       : "lookup IPv%d %-8s %8u routes  %6.1f cycles an address\n",
	       family, how, routes, cycles);
	fflush(stdout);
}

/* Every implementation that there is here; leaves the one that is chosen at start. */
static void
lookups4(uint32_t routes)
{
	static const struct {
		const char *name;
		enum rte_fib_lookup_type type;
	} how[] = {{"macro", RTE_FIB_LOOKUP_DIR24_8_SCALAR_MACRO},
		   {"inline", RTE_FIB_LOOKUP_DIR24_8_SCALAR_INLINE},
		   {"uniform", RTE_FIB_LOOKUP_DIR24_8_SCALAR_UNI},
		   {"avx512", RTE_FIB_LOOKUP_DIR24_8_VECTOR_AVX512}};
	uint16_t bits = rte_vect_get_max_simd_bitwidth();
	struct rte_fib *side = dp_lr_side(&t.fib->lr);

	addresses(false, RTE_MAX(routes, 1u));
	print_lookup(4, "chosen", routes, measure(false));
	(void)rte_vect_set_max_simd_bitwidth(RTE_VECT_SIMD_512);
	for (unsigned int i = 0; i < RTE_DIM(how); i++)
		if (rte_fib_select_lookup(side, how[i].type) == 0)
			print_lookup(4, how[i].name, routes, measure(false));
	(void)rte_vect_set_max_simd_bitwidth(bits);
	(void)rte_fib_select_lookup(side, RTE_FIB_LOOKUP_DEFAULT);
}

/* Memory of `n` things; 0 = of the empty table. */
static void
print_memory(const char *of, uint32_t n, uint64_t bytes)
{
	if (sc_options.json)
		printf("{\"what\": \"memory\", \"of\": \"%s\", \"count\": %u, \"bytes\": %.0f, "
		       "\"each\": %.1f}\n",
		       of, n, (double)bytes, n ? (double)bytes / n : 0.0);
	else
		printf("memory %-22s %8u  %10.0f kB in all  %8.1f bytes each\n", of, n,
		       (double)bytes / 1024, n ? (double)bytes / n : 0.0);
	fflush(stdout);
}

static void
sizes4(void)
{
	const uint32_t sizes[] = {1, 10000, sc_options.routes4};
	uint64_t before = sc_resident();
	struct spw_err err = {0};
	uint32_t from = 0;

	if (dp_fib_new(&t.fib, sc_options.routes4 + 8192, t.qsbr, &err) != 0)
		bg_die("IPv4 FIB", &err);
	print_memory("IPv4 FIB, empty", 0, sc_resident() - before);
	before = sc_resident();
	for (unsigned int i = 0; i < RTE_DIM(sizes); i++) {
		fill(false, sizes[i], &from);
		lookups4(sizes[i]);
	}
	print_memory("IPv4 routes", sc_options.routes4, sc_resident() - before);
}

static void
sizes6(void)
{
	const uint32_t sizes[] = {1, 10000, sc_options.routes6};
	uint64_t before = sc_resident();
	struct spw_err err = {0};
	uint32_t from = 0;

	if (dp_fib6_new(&t.fib6, sc_options.routes6 + 8192, t.qsbr, &err) != 0)
		bg_die("IPv6 FIB", &err);
	print_memory("IPv6 FIB, empty", 0, sc_resident() - before);
	before = sc_resident();
	for (unsigned int i = 0; i < RTE_DIM(sizes); i++) {
		fill(true, sizes[i], &from);
		addresses(true, RTE_MAX(sizes[i], 1u));
		print_lookup(6, "trie", sizes[i], measure(true));
	}
	print_memory("IPv6 routes", sc_options.routes6, sc_resident() - before);
	print_memory("IPv6 routes, by count", sc_options.routes6, dp_fib6_bytes(t.fib6));
}

static void
turn(void *arg)
{
	uint64_t leaves[BURST];

	dp_fib_lookup(t.fib, &t.ip[t.at], leaves, BURST);
	dp_fib6_lookup(t.fib6, &t.ip6[t.at], leaves, BURST);
	t.at = (t.at + BURST) % ADDRS;
}

/* Take t.n routes out, and put them back the next time. */
static void
toggle(bool six)
{
	uint32_t all = six ? sc_options.routes6 : sc_options.routes4;

	if (!t.out)
		t.first = (uint32_t)(sc_random(&t.random) % (all - t.n));
	t.out = !t.out;
	for (uint32_t i = 0; i < t.n; i++)
		t.op[i] = six ? route6(t.first + i, t.out) : route4(t.first + i, t.out);
	apply(six, t.op, t.n);
}

static void
write4(void *arg)
{
	toggle(false);
}

static void
write6(void *arg)
{
	toggle(true);
}

static void
stalls(const char *name, void (*write)(void *arg), uint32_t n)
{
	const struct sc_stall s = {.name = name, .turn = turn, .write = write, .qsbr = t.qsbr};

	t.n = n;
	t.random = 5;
	sc_stall_run(&s);
	if (t.out)
		write(NULL);
}

void
sc_tables(void)
{
	size_t size = rte_rcu_qsbr_get_memsize(1);

	t.qsbr = aligned_alloc(64, (size + 63) & ~(size_t)63);
	if (t.qsbr == NULL || rte_rcu_qsbr_init(t.qsbr, 1) != 0)
		bg_die("out of memory", NULL);
	sizes4();
	sizes6();
	stalls("1 IPv4 route of 1M", write4, 1);
	stalls("1,000 IPv4 routes of 1M", write4, BATCH);
	stalls("1 IPv6 route of 200k", write6, 1);
	stalls("1,000 IPv6 routes of 200k", write6, BATCH);
	dp_fib6_free(t.fib6);
	dp_fib_free(t.fib);
	free(t.qsbr);
}
