/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The SAs in the data plane, as iked sees them.
 *
 * Our own are those installed since this process started. Any other one was left by an earlier
 * instance that died: an orphan. Nobody holds its IKE SA any more, but it carries traffic, so it
 * stays until a child SA of ours has taken its tunnel over and some seconds have passed for what
 * is in flight. No input or output here.
 *
 * A sorted array, searched by halves, because the data plane's whole list is matched against it;
 * and chains of the SAs of each tunnel, because every second each tunnel is asked about. The chains
 * name SPIs, not places, which move: each hop is a search. 0 is no SPI. A whole list is appended
 * and then sorted, because room for each in its place would be made by moving half of those before
 * it. One thread.
 */
#include "ike/iked/sas.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/msg_dataplane.h"

/* Index of the first SA whose SPI is not below spi_in. */
static size_t
lower_bound(const struct iked_sas *s, uint32_t spi_in)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->sa[mid].spi_in < spi_in)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* Where the chain of a tunnel begins; others may share it. */
static uint32_t *
chain_of(const struct iked_sas *s, uint32_t tunnel)
{
	return &s->chain[tunnel & (s->cap - 1)];
}

static void
chain_add(struct iked_sas *s, struct iked_sa *sa)
{
	uint32_t *at = chain_of(s, sa->tunnel);

	if (sa->spi_in == 0)
		return;
	sa->next = *at;
	*at = sa->spi_in;
}

static void
chain_del(struct iked_sas *s, const struct iked_sa *sa)
{
	uint32_t *at = chain_of(s, sa->tunnel);

	while (*at != sa->spi_in && *at != 0)
		at = &iked_sas_find(s, *at)->next;
	if (*at != 0)
		*at = sa->next;
}

/* The SAs of a tunnel one after another, `after` NULL = the first. */
static struct iked_sa *
of_tunnel(const struct iked_sas *s, uint32_t tunnel, const struct iked_sa *after)
{
	uint32_t spi = after ? after->next : s->cap ? *chain_of(s, tunnel) : 0;
	struct iked_sa *sa = spi ? iked_sas_find(s, spi) : NULL;

	while (sa && sa->tunnel != tunnel)
		sa = sa->next ? iked_sas_find(s, sa->next) : NULL;
	return sa;
}

/* Room for one more; a power of two of chains. */
static int
grow(struct iked_sas *s)
{
	size_t cap = s->cap ? 2 * s->cap : 16;
	uint32_t *chain;
	struct iked_sa *sa;

	if (s->n < s->cap)
		return 0;
	sa = realloc(s->sa, cap * sizeof(*sa));
	if (!sa)
		return -ENOMEM;
	s->sa = sa;
	chain = calloc(cap, sizeof(*chain));
	if (!chain)
		return -ENOMEM;
	free(s->chain);
	s->chain = chain;
	s->cap = cap;
	for (size_t i = 0; i < s->n; i++)
		chain_add(s, &s->sa[i]);
	return 0;
}

int
iked_sas_add(struct iked_sas *s, uint32_t spi_in, uint32_t tunnel, bool orphan)
{
	size_t i = lower_bound(s, spi_in);
	bool there = i < s->n && s->sa[i].spi_in == spi_in;

	if (!there) {
		int rc = grow(s);

		if (rc != 0)
			return rc;
		memmove(&s->sa[i + 1], &s->sa[i], (s->n - i) * sizeof(*s->sa));
		s->n++;
	} else {
		chain_del(s, &s->sa[i]);
	}
	s->sa[i] = (struct iked_sa){
		.spi_in = spi_in, .tunnel = tunnel, .orphan = orphan, .present = true};
	chain_add(s, &s->sa[i]);
	return 0;
}

struct iked_sa *
iked_sas_append(struct iked_sas *s, uint32_t spi_in, uint32_t tunnel)
{
	struct iked_sa *sa;

	if (grow(s) != 0)
		return NULL;
	sa = &s->sa[s->n++];
	*sa = (struct iked_sa){.spi_in = spi_in, .tunnel = tunnel, .present = true};
	return sa;
}

static int
by_spi(const void *one, const void *other)
{
	const struct iked_sa *a = one, *b = other;

	return (a->spi_in > b->spi_in) - (a->spi_in < b->spi_in);
}

void
iked_sas_sort(struct iked_sas *s)
{
	size_t n = 0;

	if (s->n == 0)
		return;
	qsort(s->sa, s->n, sizeof(*s->sa), by_spi);
	memset(s->chain, 0, s->cap * sizeof(*s->chain));
	for (size_t i = 0; i < s->n; i++) {
		if (n > 0 && s->sa[n - 1].spi_in == s->sa[i].spi_in)
			continue;
		s->sa[n] = s->sa[i];
		chain_add(s, &s->sa[n++]);
	}
	s->n = n;
}

struct iked_sa *
iked_sas_find(const struct iked_sas *s, uint32_t spi_in)
{
	size_t i = lower_bound(s, spi_in);

	return i < s->n && s->sa[i].spi_in == spi_in ? &s->sa[i] : NULL;
}

void
iked_sas_del(struct iked_sas *s, uint32_t spi_in)
{
	struct iked_sa *sa = iked_sas_find(s, spi_in);

	if (!sa)
		return;
	chain_del(s, sa);
	memmove(sa, sa + 1, (size_t)(s->sa + s->n - (sa + 1)) * sizeof(*sa));
	s->n--;
}

void
iked_sas_clear(struct iked_sas *s)
{
	free(s->sa);
	free(s->chain);
	*s = (struct iked_sas){0};
}

uint64_t
iked_sas_last_in(const struct iked_sas *s, uint32_t tunnel)
{
	uint64_t last = 0;

	for (const struct iked_sa *sa = NULL; (sa = of_tunnel(s, tunnel, sa)) != NULL;)
		if (!sa->orphan && !(sa->owed & SPW_SA_PART_IN) && sa->last_in_ns > last)
			last = sa->last_in_ns;
	return last;
}

uint64_t
iked_sas_sent(const struct iked_sas *s, uint32_t tunnel)
{
	uint64_t n = 0;

	for (const struct iked_sa *sa = NULL; (sa = of_tunnel(s, tunnel, sa)) != NULL;)
		n += sa->sent;
	return n;
}

size_t
iked_sas_carrying(const struct iked_sas *s, uint32_t tunnel)
{
	size_t n = 0;

	for (const struct iked_sa *sa = NULL; (sa = of_tunnel(s, tunnel, sa)) != NULL;)
		n += sa->orphan && sa->delete_at_ns == 0;
	return n;
}

size_t
iked_sas_orphans(const struct iked_sas *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		n += s->sa[i].orphan;
	return n;
}

void
iked_sas_replaced(struct iked_sas *s, uint32_t tunnel, uint64_t delete_at_ns)
{
	for (struct iked_sa *sa = NULL; (sa = of_tunnel(s, tunnel, sa)) != NULL;)
		if (sa->orphan && sa->delete_at_ns == 0)
			sa->delete_at_ns = delete_at_ns;
}

static bool
orphan_is_due(const struct iked_sa *sa, uint64_t now_ns)
{
	if (!sa->orphan || sa->delete_at_ns == 0 || now_ns < sa->delete_at_ns)
		return false;
	return sa->last_in_ns == 0 ||
	       now_ns >= sa->last_in_ns + IKED_ORPHAN_QUIET_S * SPW_NS_PER_S ||
	       now_ns >= sa->delete_at_ns + IKED_ORPHAN_MAX_S * SPW_NS_PER_S;
}

const struct iked_sa *
iked_sas_due(const struct iked_sas *s, uint64_t now_ns)
{
	for (size_t i = 0; i < s->n; i++)
		if (orphan_is_due(&s->sa[i], now_ns))
			return &s->sa[i];
	return NULL;
}
