/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What must hold at every moment of a schedule, looked at from outside of both engines.
 *
 * After every change in a data plane: what a host may send on, the other one can receive on. This
 * holds while no Delete, no limit and no reset is in the schedule (`net->strict`): a Delete takes
 * away in one place what the other may still use until it has heard of it.
 *
 * After every call into an engine: an IKE SA that is ESTABLISHED went through an IKE_AUTH that was
 * worth something. Each end must have the peer's IKE_SA_INIT message as that sent it, the initiator
 * knows besides that its own arrived so, and both have the same key (RFC 7296 2.15); the witness
 * knows both ends, and compares. An SA that never
 * was half open is a successor: then one must have been established before it. What was seen is
 * kept with the network, not with a process, so that it outlives kills.
 */
#include "tests/ike/witness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEEN 256

struct seen {
	uint64_t spi_i, spi_r;
	uint64_t own, peer; /* of the IKE_SA_INIT messages; 0 = never half open */
	bool established;
};

struct witness {
	struct seen seen[2][SEEN];
	unsigned int next[2];
	unsigned int established[2];
	struct witness_count count;
};

static uint64_t
digest(const struct ike_blob *b)
{
	uint64_t sum = UINT64_C(0xcbf29ce484222325) ^ b->len;

	for (size_t i = 0; i < b->len; i++)
		sum = (sum ^ b->bytes[i]) * UINT64_C(0x100000001b3);
	return sum | 1;
}

static struct seen *
find(struct witness *w, int i, const struct ike_sa *sa)
{
	for (unsigned int k = 0; k < SEEN && k < w->next[i]; k++)
		if (w->seen[i][k].spi_i == sa->spi_i && w->seen[i][k].spi_r == sa->spi_r)
			return &w->seen[i][k];
	return NULL;
}

static struct seen *
find_or_make(struct witness *w, int i, const struct ike_sa *sa)
{
	struct seen *s = find(w, i, sa);

	if (s)
		return s;
	s = &w->seen[i][w->next[i]++ % SEEN];
	*s = (struct seen){.spi_i = sa->spi_i, .spi_r = sa->spi_r};
	return s;
}

static bool
same_psk(const struct net *net)
{
	const struct spw_ike_conn *a = &net->host[0].conn, *b = &net->host[1].conn;

	return a->psk_len == b->psk_len && memcmp(a->psk, b->psk, a->psk_len) == 0;
}

/* An SA is ESTABLISHED that was not before. */
static void
judge(struct net *net, int i, const struct ike_sa *sa, struct seen *s)
{
	struct witness *w = net->witness;
	struct seen *other = find(w, !i, sa);

	s->established = true;
	w->established[i]++;
	if (s->own == 0) {
		w->count.successors++;
		if (w->established[i] == 1)
			fail_msg("seed %llu: host %d: the first IKE SA never went through IKE_AUTH",
				 (unsigned long long)net->seed, i);
		return;
	}
	w->count.authenticated++;
	if (!other || other->own != s->peer || (sa->initiator && other->peer != s->own))
		fail_msg("seed %llu: host %d: ESTABLISHED, and the ends saw different IKE_SA_INITs",
			 (unsigned long long)net->seed, i);
	if (!same_psk(net))
		fail_msg("seed %llu: host %d: ESTABLISHED with another key than the peer's",
			 (unsigned long long)net->seed, i);
}

void
witness_call(struct net *net, int i, bool killed)
{
	for (const struct ike_sa *sa = net->host[i].engine->sas; sa; sa = sa->next) {
		struct seen *s;

		if (sa->spi_r == 0 || sa->state == IKE_SA_DEAD)
			continue;
		s = find_or_make(net->witness, i, sa);
		if (s->established)
			continue;
		if (sa->state == IKE_SA_ESTABLISHED) {
			if (!killed)
				judge(net, i, sa, s);
		} else if (sa->own_init.len > 0 && sa->peer_init.len > 0) {
			s->own = digest(&sa->own_init);
			s->peer = digest(&sa->peer_init);
		}
	}
}

static const struct net_sa *
live(const struct net_host *h, uint32_t spi_in)
{
	for (unsigned int k = 0; k < h->sa_top; k++)
		if (h->sa[k].spi_in == spi_in && (h->sa[k].in || h->sa[k].out))
			return &h->sa[k];
	return NULL;
}

void
witness_change(struct net *net)
{
	for (int i = 0; i < 2; i++) {
		const struct net_host *h = &net->host[i];
		const struct net_sa *out = h->active ? live(h, h->active) : NULL, *in;

		if (!out || !out->out)
			continue;
		in = live(&net->host[!i], out->spi_out);
		net->witness->count.moments++;
		if (!in || !in->in)
			fail_msg("seed %llu: host %d may send on %08x, which the other cannot "
				 "receive on",
				 (unsigned long long)net->seed, i, out->spi_out);
	}
}

void
witness_new(struct net *net)
{
	net->witness = calloc(1, sizeof(*net->witness));
	assert_non_null(net->witness);
}

struct witness_count
witness_free(struct net *net)
{
	struct witness_count count = net->witness->count;

	free(net->witness);
	net->witness = NULL;
	return count;
}

void
witness_quiet(struct net *net, uint64_t seed)
{
	for (int i = 0; i < 2; i++)
		if (net_ike_sas(net, i) != 1 || net_sas(net, i) != 1 ||
		    net_status(net, i).children != 1 || net->host[i].spis_out != 0)
			fail_msg("seed %llu: host %d has %u IKE SAs, %u child SAs, %u stray SPIs",
				 (unsigned long long)seed, i, net_ike_sas(net, i), net_sas(net, i),
				 net->host[i].spis_out);
	if (!net_agrees(net))
		fail_msg("seed %llu: the ends do not agree", (unsigned long long)seed);
	if (net->host[0].stranded + net->host[1].stranded > 0)
		fail_msg("seed %llu: a killed process left SAs that nobody knows",
			 (unsigned long long)seed);
	if (net->repeats_changed)
		fail_msg("seed %llu: a repeated message changed", (unsigned long long)seed);
}

uint64_t
witness_setting(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}
