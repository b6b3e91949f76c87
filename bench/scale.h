/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to bench-scale: what its parts share. */
#ifndef SPW_BENCH_SCALE_H
#define SPW_BENCH_SCALE_H

#include <stdbool.h>
#include <stdint.h>

struct rte_rcu_qsbr;

struct sc_options {
	bool json;
	unsigned int rounds; /* of windows and of paired passes */
	double window_s;     /* of a stall measurement */
	uint32_t routes4, routes6;
	uint32_t tunnels;
	bool tables;
	bool stalls; /* of the tunnels */
	bool older;  /* the cipher's code for CPUs without wide AES */
};

extern struct sc_options sc_options;

/* The next of a row of random numbers. */
uint64_t sc_random(uint64_t *state);
/* Bytes of memory in use by the process. */
uint64_t sc_resident(void);
double sc_seconds(void);
/* The value with `percent` of n values below or at it; sorts them. */
double sc_percentile(double *v, unsigned int n, double percent);

/*
 * Stalls. A loop runs pinned on the second CPU while the calling thread writes. Three kinds of
 * windows take turns: `canary`, an idle loop; `quiet`, the worker's loop, nobody writes; `busy`,
 * the worker's loop beside the writer. Of each millisecond the longest time between two turns of
 * the loop is kept.
 */
struct sc_stall {
	const char *name;
	/* One turn of the worker's loop; quiescence is reported after it. */
	void (*turn)(void *arg);
	/* One write; called again and again. */
	void (*write)(void *arg);
	void *arg;
	struct rte_rcu_qsbr *qsbr; /* thread 0 is the loop's */
};

/* Measure and print. */
void sc_stall_run(const struct sc_stall *s);

/*
 * The cipher alone over the outbound keys of tunnels, a random one of the first `n` for each text,
 * with the next ones on their way: what the keys' memory costs whoever uses them. @sad has the SAs;
 * @sas by tunnel, from 1 on, `tunnels` of them; @ring the 512 buffers of the tunnels' frames, whose
 * texts are used where ESP has them. Cycles per text, of `size` inner bytes.
 */
struct bg_sa;
struct dp_sad;
struct rte_mbuf;
void sc_keys_new(const struct dp_sad *sad, const struct bg_sa *sas, uint32_t tunnels,
		 struct rte_mbuf **ring);
double sc_keys_pass(uint32_t size, uint32_t n);
void sc_keys_free(void);

/* The parts: routing tables; tunnels and SAs (the gateway is made and stays). */
void sc_tables(void);
void sc_tunnels(void);

#endif
