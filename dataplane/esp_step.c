/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sealing packets that go into a tunnel of their own each: with ten thousand tunnels no two packets
 * that follow each other need have one, and a run of one packet costs more to make than to seal.
 * Each packet is asked, numbered and written in one go, and the cipher goes through all of them in
 * one loop, with the keys of the next ones on their way. What a run's steps (esp_seal.c) would
 * drop, refuse or count apart is left to them.
 *
 * Worker thread.
 */
#include "dataplane/esp_step.h"

#include "dataplane/esp_stamp.h"
#include "dataplane/fit.h"
#include "dataplane/sad_data.h"

struct batch {
	dp_crypto_run_t seal; /* of all of them */
	const struct dp_crypto_key *key[DP_BURST_ROOM];
	struct dp_crypto_job job[DP_BURST_ROOM];
};

/* The SA that the packet goes out on if it is of the plain kind, else NULL. */
static __rte_always_inline struct dp_sa_out *
plain_sa(const struct dp_sad *sad, const struct rte_mbuf *m, const struct dp_pkt *p)
{
	const uint32_t apart = DP_STATE(DP_STATE_NEXT, DP_COUNTED_APART), state = dp_pkt_state(p);
	struct dp_sa_out *sa;

	if (unlikely((state & apart) != DP_NEXT_SEAL || p->tunnel >= sad->max_tunnels ||
		     !dp_packet_is_own(m, DP_SEAL_HEAD, DP_SEAL_TAIL)))
		return NULL;
	/* Partner: publish_out() in sad_install.c. */
	sa = atomic_load_explicit(&sad->tunnels[p->tunnel].out, memory_order_acquire);
	return likely(sa != NULL && (state & sa->ask) == 0) ? sa : NULL;
}

/* Take a number for a packet of `len` bytes, counted before it; false: a limit is near. */
static __rte_always_inline bool
claim(struct dp_sa_out *sa, uint32_t len, uint64_t *seq)
{
	const uint64_t next = dp_counted(&sa->seq) + 1, bytes = dp_counted(&sa->bytes) + len;

	/* The lowest limit of an SA that has ended is 0. */
	if (unlikely(next >= dp_sa_out_watch(sa) || bytes >= sa->watch_bytes))
		return false;
	atomic_store_explicit(&sa->seq, next, memory_order_relaxed);
	atomic_store_explicit(&sa->bytes, bytes, memory_order_relaxed);
	*seq = next;
	return true;
}

/* Number a packet, write it and note its job; false: nothing was done. */
static __rte_always_inline bool
prepare(const struct dp_sad *sad, struct rte_mbuf *m, struct batch *batch, uint16_t at)
{
	const struct dp_pkt *p = dp_pkt(m);
	struct dp_sa_out *sa = plain_sa(sad, m, p);
	const struct dp_outer *o;
	struct dp_stamp stamp;
	uint64_t seq;

	if (unlikely(sa == NULL || sa->seal != batch->seal))
		return false;
	/* Partner: move_out() in sad_move.c. */
	o = atomic_load_explicit(&sa->outer, memory_order_acquire);
	if (unlikely(o->kind > DP_OUTER_V4_UDP || !claim(sa, m->data_len, &seq)))
		return false;
	stamp = dp_stamp_of(sa, &sad->tunnels[p->tunnel]);
	if (o->kind == DP_OUTER_V4)
		dp_stamp_put(&stamp, o, DP_OUTER_V4, m, seq, &batch->job[at]);
	else
		dp_stamp_put(&stamp, o, DP_OUTER_V4_UDP, m, seq, &batch->job[at]);
	batch->key[at] = sa->key;
	return true;
}

uint16_t
dp_seal_step(struct dp_worker *w, const struct dp_burst *b, uint16_t from)
{
	struct rte_mbuf *const *pkt = &b->pkt[from];
	const uint16_t most = (uint16_t)(b->n - from);
	const struct dp_sad *sad = w->sad;
	const struct dp_sa_out *first;
	struct batch batch;
	dp_crypto_each_t each;
	uint16_t n = 0;

	if (most == 0)
		return 0;
	first = plain_sa(sad, pkt[0], dp_pkt(pkt[0]));
	each = first != NULL ? dp_crypto_each(first->seal) : NULL;
	if (each == NULL)
		return 0;
	batch.seal = first->seal;
	while (n < most && prepare(sad, pkt[n], &batch, n))
		n++;
	each(w->crypto, batch.key, batch.job, n);
	return n;
}
