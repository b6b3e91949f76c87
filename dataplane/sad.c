/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The security association database: its frame, tunnels and SPIs.
 *
 * Inbound SAs stand in an array that the low bits of their SPI index; we choose those SPIs, so a
 * lookup is one load and one comparison, and the remaining bits are random. An index that was given
 * back rests for ten minutes at the end of a queue, so no SPI returns while packets of its last
 * owner may live, and no index is handed out twice in a row. One that was given out and never
 * installed comes back after an hour, because an iked that dies may have forgotten it; a few slots
 * are looked at in each tick. Beside the array stands which SPI is given out, so that packets which
 * come before their SA can be told from strangers (park.c). A tunnel holds a pointer to the SA it
 * sends on; changing that pointer is the whole of a rekey's switch-over.
 *
 * One writer, the API thread. Workers read through acquire loads; what they might still hold is
 * freed after all of them have been quiescent (dp_sad_grace). The install, deletion and move of
 * SAs are in sad_install.c, limits and events in sad_limits.c, statistics in sad_stats.c.
 */
#include "dataplane/sad.h"

#include <errno.h>
#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/ecn.h"
#include "dataplane/fit.h"
#include "dataplane/sad_data.h"

#define SAS_DEFAULT	65536
#define TUNNELS_DEFAULT 16384
#define EVENTS		4096
#define NO_SLOT		UINT32_MAX
#define SPI_MIN		256 /* RFC 4303 2.1: 1..255 are reserved */
#define MTU_MAX		65535
#define LOOKS_A_TICK	64 /* the usual 65,536 slots in 100 s */

void
dp_sad_grace(struct dp_sad *sad)
{
	if (sad->qsbr != NULL)
		rte_rcu_qsbr_synchronize(sad->qsbr, RTE_QSBR_THRID_INVALID);
}

static struct rte_ring *
make_ring(void)
{
	static unsigned int serial;
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "dp_sa_events_%u", serial++);
	return rte_ring_create_elem(name, sizeof(struct dp_sa_note), EVENTS, SOCKET_ID_ANY,
				    RING_F_SC_DEQ);
}

static int
make_counts(struct dp_sad *sad)
{
	sad->tunnel_count = calloc(sad->n_workers, sizeof(struct dp_tunnel_count *));
	if (sad->tunnel_count == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < sad->n_workers; i++) {
		sad->tunnel_count[i] = rte_zmalloc(
			"dp_tunnel_count", sad->max_tunnels * sizeof(struct dp_tunnel_count), 64);
		if (sad->tunnel_count[i] == NULL)
			return -ENOMEM;
	}
	return 0;
}

static int
make_arrays(struct dp_sad *sad)
{
	uint32_t n = sad->index_mask + 1;

	sad->in = rte_zmalloc("dp_sa_by_spi", n * sizeof(*sad->in), 64);
	sad->expect = calloc(n, sizeof(*sad->expect));
	sad->sends = calloc(1u << DP_SENDS_BITS, sizeof(*sad->sends));
	sad->slots = calloc(n, sizeof(*sad->slots));
	sad->tunnels = rte_zmalloc("dp_tunnels", sad->max_tunnels * sizeof(*sad->tunnels), 64);
	sad->tunnel_conf = calloc(sad->max_tunnels, sizeof(*sad->tunnel_conf));
	sad->tunnel_base = calloc(sad->max_tunnels, sizeof(*sad->tunnel_base));
	sad->sent_before = calloc(sad->max_tunnels, sizeof(*sad->sent_before));
	sad->learnt = calloc(sad->max_tunnels, sizeof(*sad->learnt));
	sad->spis = calloc(sad->max_tunnels, sizeof(*sad->spis));
	sad->keys_in = dp_keys_new();
	sad->keys_out = dp_keys_new();
	sad->once = dp_once_new();
	sad->events = make_ring();
	if (sad->in == NULL || sad->expect == NULL || sad->sends == NULL || sad->slots == NULL ||
	    sad->tunnels == NULL || sad->tunnel_conf == NULL || sad->tunnel_base == NULL ||
	    sad->sent_before == NULL || sad->learnt == NULL || sad->spis == NULL ||
	    sad->keys_in == NULL || sad->keys_out == NULL || sad->once == NULL ||
	    sad->events == NULL)
		return -ENOMEM;
	return make_counts(sad);
}

/* Chain all indices in random order, so that SPIs tell nothing about how many there are. */
static void
chain_slots(struct dp_sad *sad)
{
	uint32_t n = sad->index_mask + 1;
	uint32_t start = randombytes_uniform(n);
	uint32_t step = randombytes_random() | 1; /* odd: reaches all of a power of two */

	sad->free_head = start;
	for (uint32_t i = 0, at = start; i < n; i++) {
		uint32_t next = (at + step) & sad->index_mask;

		sad->slots[at].next = i + 1 == n ? NO_SLOT : next;
		sad->free_tail = at;
		at = next;
	}
}

static int
check_config(const struct dp_sad_config *config, struct spw_err *err)
{
	uint32_t sas = config->max_sas;

	if (config->n_workers == 0)
		return spw_fail(err, -EINVAL, "sad: no workers");
	if (sas != 0 && ((sas & (sas - 1)) != 0 || sas < 2 || sas > 1u << 24))
		return spw_fail(err, -EINVAL, "sad: %u SAs is not a power of two up to 2^24", sas);
	if (config->max_tunnels > 65536)
		return spw_fail(err, -EINVAL, "sad: %u tunnels, at most 65536",
				config->max_tunnels);
	return 0;
}

int
dp_sad_init(struct dp_sad **out, const struct dp_sad_config *config, struct spw_err *err)
{
	struct dp_sad *sad;
	int rc = check_config(config, err);

	if (rc < 0)
		return rc;
	sad = aligned_alloc(64, (sizeof(*sad) + 63) & ~(size_t)63);
	if (sad == NULL)
		return spw_fail(err, -ENOMEM, "sad: out of memory");
	memset(sad, 0, sizeof(*sad));
	LIST_INIT(&sad->children);
	sad->n_workers = config->n_workers;
	sad->shared = config->n_workers > 1;
	sad->qsbr = config->qsbr;
	sad->clock = config->clock != NULL ? config->clock : spw_clock_ns;
	sad->index_mask = (config->max_sas != 0 ? config->max_sas : SAS_DEFAULT) - 1;
	sad->max_tunnels = config->max_tunnels != 0 ? config->max_tunnels : TUNNELS_DEFAULT;
	rc = dp_crypto_new(&sad->crypto, config->isa, err);
	if (rc == 0 && make_arrays(sad) < 0)
		rc = spw_fail(err, -ENOMEM, "sad: out of memory for %u SAs and %u tunnels",
			      sad->index_mask + 1, sad->max_tunnels);
	if (rc < 0) {
		dp_sad_free(sad);
		return rc;
	}
	chain_slots(sad);
	*out = sad;
	return 0;
}

void
dp_sad_free(struct dp_sad *sad)
{
	struct dp_child *c;

	if (sad == NULL)
		return;
	sad->qsbr = NULL; /* the workers have stopped: nobody to wait for */
	while ((c = LIST_FIRST(&sad->children)) != NULL)
		dp_sad_child_remove(sad, c);
	for (unsigned int i = 0; sad->tunnel_count != NULL && i < sad->n_workers; i++)
		rte_free(sad->tunnel_count[i]);
	free(sad->tunnel_count);
	rte_ring_free(sad->events);
	dp_once_free(sad->once);
	dp_keys_free(sad->keys_in);
	dp_keys_free(sad->keys_out);
	dp_crypto_free(sad->crypto);
	free(sad->learnt);
	free(sad->spis);
	free(sad->tunnel_base);
	free(sad->sent_before);
	free(sad->tunnel_conf);
	rte_free(sad->tunnels);
	free(sad->slots);
	free(sad->expect);
	free(sad->sends);
	rte_free(sad->in);
	free(sad);
}

const char *
dp_sad_isa(const struct dp_sad *sad)
{
	return dp_crypto_isa_name(sad->crypto);
}

static int
check_tunnel(const struct dp_sad *sad, const struct spw_dp_tunnel *t, struct spw_err *err)
{
	char what[24];

	if (t->id >= sad->max_tunnels)
		return spw_fail(err, -EINVAL, "tunnel %u: ids go to %u", t->id,
				sad->max_tunnels - 1);
	if (t->mtu < DP_MTU_MIN || t->mtu > MTU_MAX)
		return spw_fail(err, -EINVAL, "tunnel %u: MTU %u, must be %u to %u", t->id, t->mtu,
				DP_MTU_MIN, MTU_MAX);
	if (t->mss_clamp > MTU_MAX)
		return spw_fail(err, -EINVAL, "tunnel %u: MSS %u, must be at most %u", t->id,
				t->mss_clamp, MTU_MAX);
	if (t->outer_df > SPW_OUTER_DF_CLEAR)
		return spw_fail(err, -EINVAL, "tunnel %u: DF policy %u, must be 0 to %d", t->id,
				t->outer_df, SPW_OUTER_DF_CLEAR);
	snprintf(what, sizeof(what), "tunnel %u", t->id);
	return dp_outer_check(&t->local, &t->remote, what, err);
}

int
dp_sad_tunnel_set(struct dp_sad *sad, const struct spw_dp_tunnel *t, struct spw_err *err)
{
	int rc = check_tunnel(sad, t, err);
	struct dp_tunnel *tunnel;

	if (rc < 0)
		return rc;
	tunnel = &sad->tunnels[t->id];
	if (sad->tunnel_conf[t->id].mtu == 0)
		dp_sad_counts_begin(sad, t->id);
	sad->tunnel_conf[t->id] = *t;
	sad->tunnel_conf[t->id].name[SPW_NAME_LEN - 1] = '\0';
	atomic_store_explicit(&tunnel->outer_rule, dp_outer_rule(t->dscp_copy != 0, t->outer_df),
			      memory_order_relaxed);
	dp_sad_mtu_apply(sad, t->id);
	return 0;
}

/* Free the SPIs of a tunnel that were allocated and never installed. */
static void
free_allocated(struct dp_sad *sad, uint32_t tunnel)
{
	for (uint32_t i = 0; i <= sad->index_mask && sad->spis[tunnel].allocated != 0; i++)
		if (sad->slots[i].state == DP_SPI_ALLOCATED && sad->slots[i].tunnel == tunnel)
			dp_sad_slot_free(sad, i);
}

int
dp_sad_tunnel_del(struct dp_sad *sad, uint32_t tunnel, struct spw_err *err)
{
	struct dp_child *c;

	if (tunnel >= sad->max_tunnels || sad->tunnel_conf[tunnel].mtu == 0)
		return spw_fail(err, -ENOENT, "tunnel %u: there is none", tunnel);
	dp_sad_mtu_forget(sad, tunnel);
	atomic_store_explicit(&sad->tunnels[tunnel].fit, 0, memory_order_relaxed);
	while ((c = LIST_FIRST(&sad->spis[tunnel].children)) != NULL)
		dp_sad_child_remove(sad, c);
	free_allocated(sad, tunnel);
	memset(&sad->tunnel_conf[tunnel], 0, sizeof(sad->tunnel_conf[tunnel]));
	return 0;
}

/* Random bits above the index, in a value that RFC 4303 2.1 allows and that the slot did not have.
 */
static uint32_t
choose_spi(const struct dp_sad *sad, uint32_t slot)
{
	uint32_t spi;

	do
		spi = (randombytes_random() & ~sad->index_mask) | slot;
	while (spi < SPI_MIN || spi == sad->slots[slot].spi);
	return spi;
}

int
dp_sad_spi_alloc(struct dp_sad *sad, uint32_t tunnel, uint32_t *spi, struct spw_err *err)
{
	uint32_t slot = sad->free_head;
	struct dp_spi_slot *s;

	if (tunnel >= sad->max_tunnels || sad->tunnel_conf[tunnel].mtu == 0)
		return spw_fail(err, -ENOENT, "spi: tunnel %u is not known to the data plane",
				tunnel);
	if (slot != NO_SLOT && sad->slots[slot].freed_ns != 0 &&
	    sad->clock() - sad->slots[slot].freed_ns < DP_SPI_REST_NS)
		slot = NO_SLOT;
	if (slot == NO_SLOT)
		return spw_fail(err, -ENOSPC,
				"spi: all %u are in use or were given back within ten minutes",
				sad->index_mask + 1);
	s = &sad->slots[slot];
	sad->free_head = s->next;
	if (sad->free_head == NO_SLOT)
		sad->free_tail = NO_SLOT;
	s->spi = choose_spi(sad, slot);
	s->tunnel = tunnel;
	s->state = DP_SPI_ALLOCATED;
	sad->spis[tunnel].allocated++;
	s->given_ns = sad->clock();
	atomic_store_explicit(&s->early, false, memory_order_relaxed);
	/* Partner: dp_sad_expects(). */
	atomic_store_explicit(&sad->expect[slot], s->spi, memory_order_release);
	*spi = s->spi;
	return 0;
}

void
dp_sad_changed(struct dp_sad *sad)
{
	/* Partner: the acquire load in park.c. */
	atomic_fetch_add_explicit(&sad->version, 1, memory_order_release);
}

void
dp_sad_slot_free(struct dp_sad *sad, uint32_t slot)
{
	struct dp_spi_slot *s = &sad->slots[slot];

	atomic_store_explicit(&sad->expect[slot], 0, memory_order_relaxed);
	dp_sad_changed(sad);
	if (s->state == DP_SPI_ALLOCATED)
		sad->spis[s->tunnel].allocated--;
	s->state = DP_SPI_FREE;
	s->child = NULL;
	s->freed_ns = sad->clock();
	s->next = NO_SLOT;
	if (sad->free_tail == NO_SLOT)
		sad->free_head = slot;
	else
		sad->slots[sad->free_tail].next = slot;
	sad->free_tail = slot;
}

void
dp_sad_spi_tick(struct dp_sad *sad, uint64_t now_ns)
{
	for (unsigned int n = 0; n < LOOKS_A_TICK; n++) {
		uint32_t slot = sad->next_look++ & sad->index_mask;
		const struct dp_spi_slot *s = &sad->slots[slot];

		if (s->state != DP_SPI_ALLOCATED || now_ns < s->given_ns + DP_SPI_HOLD_NS)
			continue;
		spw_log(SPW_LOG_INFO, "sad", "spi-forgotten", "tunnel=%.15s spi=%08x",
			sad->tunnel_conf[s->tunnel].name, s->spi);
		dp_sad_slot_free(sad, slot);
	}
}

int
dp_sad_spi_free(struct dp_sad *sad, uint32_t tunnel, uint32_t spi, struct spw_err *err)
{
	struct dp_spi_slot *s = &sad->slots[spi & sad->index_mask];

	if (s->spi != spi || s->state == DP_SPI_FREE || s->tunnel != tunnel)
		return spw_fail(err, -ENOENT, "spi: %08x is not allocated to tunnel %u", spi,
				tunnel);
	if (s->state == DP_SPI_INSTALLED)
		return spw_fail(err, -EBUSY, "spi: %08x has an SA; delete that", spi);
	dp_sad_slot_free(sad, spi & sad->index_mask);
	return 0;
}
