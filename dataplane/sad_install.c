/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Child SAs: install, switch, delete.
 *
 * An install checks everything, prepares everything and then publishes in steps that cannot fail.
 * Key material is taken once for the life of the process (sad_once.c), because an SA starts at
 * sequence number 1 and the sequence number is the IV. Inbound counts from the moment its array
 * slot is set; outbound when the tunnel's pointer is set, at once or by a later switch. Deleting
 * goes the other way: unpublish, wait until no worker can hold the SA, wipe the keys, free.
 *
 * API thread only. Memory that workers read comes from rte_malloc (huge pages where there are
 * some), keys from the slab.
 */
#include <errno.h>
#include <netinet/in.h>
#include <rte_malloc.h>
#include <stdlib.h>

#include "dataplane/sad_data.h"

#define SEQ32_MAX UINT64_C(0xffffffff)
/*
 * Without ESN a new SA is asked for when a tenth of the numbers is left, whatever the
 * configured soft limit says (RFC 4303 3.3.3: the number must never cycle).
 */
#define SEQ32_SOFT (SEQ32_MAX - SEQ32_MAX / 10)
/* With ESN the end is out of reach; the distance keeps claims that run past it from wrapping. */
#define SEQ64_MAX (UINT64_MAX - (UINT64_C(1) << 40))

struct dp_child *
dp_sad_child(const struct dp_sad *sad, uint32_t spi_in)
{
	const struct dp_spi_slot *s = &sad->slots[spi_in & sad->index_mask];

	return s->spi == spi_in && s->state == DP_SPI_INSTALLED ? s->child : NULL;
}

static int
check_limit(const struct spw_sa_limit *l, const char *what, struct spw_err *err)
{
	if (l->hard != 0 && l->soft > l->hard)
		return spw_fail(err, -EINVAL, "sa: soft limit of %s beyond the hard limit", what);
	return 0;
}

static int
check_numbers(const struct spw_sa_desc *sa, struct spw_err *err)
{
	int rc = check_limit(&sa->seconds, "seconds", err);

	if (rc == 0)
		rc = check_limit(&sa->bytes, "bytes", err);
	if (rc == 0)
		rc = check_limit(&sa->packets, "packets", err);
	if (rc < 0)
		return rc;
	if (sa->replay_window > SPW_SA_REPLAY_MAX)
		return spw_fail(err, -EINVAL, "sa: replay window %u, must be at most %d",
				sa->replay_window, SPW_SA_REPLAY_MAX);
	if (sa->spi_out < 256)
		return spw_fail(err, -EINVAL, "sa: outbound SPI %u is reserved", sa->spi_out);
	return 0;
}

static int
check_outer(const struct spw_sa_desc *sa, struct spw_err *err)
{
	return dp_outer_check(&sa->local, &sa->remote, "sa", err);
}

static int
check_ports(const struct spw_sa_desc *sa, struct spw_err *err)
{
	if ((sa->flags & SPW_SA_UDP_ENCAP) != 0 && (sa->local_port == 0 || sa->remote_port == 0))
		return spw_fail(err, -EINVAL, "sa: UDP encapsulation without ports");
	return 0;
}

static int
check_keys(const struct dp_sad *sad, const struct spw_sa_desc *sa, struct dp_cipher *cipher,
	   struct spw_err *err)
{
	bool esn = (sa->flags & SPW_SA_ESN) != 0;

	if (sa->encr >= SPW_ENCR_COUNT || sa->integ >= SPW_INTEG_COUNT ||
	    dp_crypto_cipher(sad->crypto, sa->encr, sa->integ, esn, cipher) < 0)
		return spw_fail(err, -ENOTSUP,
				"sa: encryption %u with integrity %u does not work here", sa->encr,
				sa->integ);
	if (sa->key_len != cipher->key_len)
		return spw_fail(err, -EINVAL,
				"sa: keys of %u bytes, %s takes %u with salt or integrity key",
				sa->key_len, spw_encr_info(sa->encr)->show_name, cipher->key_len);
	if (spw_bytes_equal(sa->key_in, sa->key_out, sa->key_len))
		return spw_fail(err, -EINVAL, "sa: one key for both directions");
	if (dp_once_has(sad->once, sa->key_in, sa->key_len) ||
	    dp_once_has(sad->once, sa->key_out, sa->key_len))
		return spw_fail(err, -EEXIST,
				"sa: keys of SPI %08x were installed before; make a new child SA",
				sa->spi_in);
	return 0;
}

static int
check_spi(const struct dp_sad *sad, const struct spw_sa_desc *sa, struct spw_err *err)
{
	const struct dp_spi_slot *s = &sad->slots[sa->spi_in & sad->index_mask];

	if (sa->tunnel >= sad->max_tunnels || sad->tunnel_conf[sa->tunnel].mtu == 0)
		return spw_fail(err, -ENOENT, "sa: tunnel %u is not known to the data plane",
				sa->tunnel);
	if (s->spi != sa->spi_in || s->state == DP_SPI_FREE || s->tunnel != sa->tunnel)
		return spw_fail(err, -ENOENT, "sa: SPI %08x was not allocated to tunnel %u",
				sa->spi_in, sa->tunnel);
	if (s->state == DP_SPI_INSTALLED)
		return spw_fail(err, -EEXIST, "sa: SPI %08x has an SA", sa->spi_in);
	return 0;
}

static uint64_t
or_none(uint64_t limit)
{
	return limit == 0 ? DP_NO_LIMIT : limit;
}

static struct dp_sa_limits
limits_of(const struct spw_sa_desc *sa)
{
	return (struct dp_sa_limits){
		.soft_bytes = or_none(sa->bytes.soft),
		.hard_bytes = or_none(sa->bytes.hard),
		.soft_packets = or_none(sa->packets.soft),
		.hard_packets = or_none(sa->packets.hard),
	};
}

static void
set_outer(struct dp_sa_out *out, const struct spw_sa_desc *sa)
{
	const bool udp = (sa->flags & SPW_SA_UDP_ENCAP) != 0;
	const struct dp_outer_ends ends = {.local = sa->local,
					   .remote = sa->remote,
					   .local_port = udp ? sa->local_port : 0,
					   .remote_port = udp ? sa->remote_port : 0};

	dp_outer_set(&out->first_outer, &ends);
	atomic_init(&out->outer, &out->first_outer);
}

static struct dp_sa_in *
new_in(struct dp_child *c, const struct spw_sa_desc *sa, const struct dp_cipher *cipher)
{
	uint32_t window = dp_replay_round(sa->replay_window);
	size_t size = offsetof(struct dp_sa_in, replay) + dp_replay_bytes(window);
	struct dp_sa_in *in = rte_zmalloc("dp_sa_in", size, 64);

	if (in == NULL)
		return NULL;
	in->open = cipher->open;
	in->key = c->key_in;
	in->sel = &c->sel;
	in->sel_pass = dp_selectors_pass(&c->sel);
	in->child = c;
	atomic_init(&in->remote, dp_peer_of(&sa->remote, sa->remote_port));
	in->limit = limits_of(sa);
	in->watch_packets = RTE_MIN(in->limit.soft_packets, in->limit.hard_packets);
	in->watch_bytes = RTE_MIN(in->limit.soft_bytes, in->limit.hard_bytes);
	in->iv_len = cipher->iv_len;
	in->tag_len = cipher->tag_len;
	in->align = cipher->align;
	in->spi = sa->spi_in;
	in->spi_be = htonl(sa->spi_in);
	in->tunnel = sa->tunnel;
	in->slot = c->slot;
	in->esn = (sa->flags & SPW_SA_ESN) != 0;
	in->follow = (sa->flags & SPW_SA_BEHIND_NAT) == 0;
	rte_spinlock_init(&in->guard);
	dp_replay_init(&in->replay, window);
	c->replay_window = window;
	return in;
}

/* Those of an SA that takes any IPv4 packet are IPv6; of one that does not, all. */
static uint32_t
states_to_ask(uint8_t sel_pass)
{
	if ((sel_pass & 1) == 0)
		return UINT32_MAX;
	return (sel_pass & 2) != 0 ? 0 : DP_STATE(0, DP_PKT_IPV6);
}

static struct dp_sa_out *
new_out(const struct dp_sad *sad, struct dp_child *c, const struct spw_sa_desc *sa,
	const struct dp_cipher *cipher)
{
	size_t size = sizeof(struct dp_sa_out) + sad->n_workers * sizeof(struct dp_sa_out_count);
	struct dp_sa_out *out = rte_zmalloc("dp_sa_out", size, 64);
	const bool esn = (sa->flags & SPW_SA_ESN) != 0;
	uint64_t watch;

	if (out == NULL)
		return NULL;
	out->seal = cipher->seal;
	out->key = c->key_out;
	set_outer(out, sa);
	out->sel = &c->sel;
	out->sel_pass = dp_selectors_pass(&c->sel);
	out->ask = states_to_ask(out->sel_pass);
	out->child = c;
	out->limit = limits_of(sa);
	out->seq_max = esn ? SEQ64_MAX : SEQ32_MAX;
	if (!esn && out->limit.soft_packets > SEQ32_SOFT)
		out->limit.soft_packets = SEQ32_SOFT;
	watch = RTE_MIN(out->limit.soft_packets, out->limit.hard_packets);
	atomic_init(&out->watch_packets, RTE_MIN(watch, out->seq_max));
	out->watch_bytes = RTE_MIN(out->limit.soft_bytes, out->limit.hard_bytes);
	out->iv_len = cipher->iv_len;
	out->tag_len = cipher->tag_len;
	out->align = cipher->align;
	out->udp6 = sa->local.family == AF_INET6 && (sa->flags & SPW_SA_UDP_ENCAP) != 0;
	out->tunnel = sa->tunnel;
	out->spi_be = htonl(sa->spi_out);
	out->slot = c->slot;
	return out;
}

/* One more SA sends with this SPI, or one less. */
static void
count_sends(struct dp_sad *sad, uint32_t spi, int by)
{
	_Atomic uint8_t *n = &sad->sends[dp_sends_slot(spi)];
	uint8_t was = atomic_load_explicit(n, memory_order_relaxed);

	if (was != UINT8_MAX)
		atomic_store_explicit(n, (uint8_t)(was + by), memory_order_relaxed);
}

static void
free_out(struct dp_sa_out *out)
{
	struct dp_outer *outer = atomic_load_explicit(&out->outer, memory_order_relaxed);

	if (outer != &out->first_outer)
		rte_free(outer);
	rte_free(out);
}

/* Free what no worker can reach; keys are wiped by the slab. */
static void
free_parts(struct dp_sad *sad, struct dp_child *c, uint32_t parts)
{
	if ((parts & SPW_SA_PART_IN) != 0) {
		rte_free(c->in);
		dp_keys_put(sad->keys_in, c->key_in);
		c->in = NULL;
		c->key_in = NULL;
	}
	if ((parts & SPW_SA_PART_OUT) != 0) {
		struct dp_sa_out *out = c->out != NULL ? c->out : c->out_gone;

		if (out != NULL) {
			count_sends(sad, c->spi_out, -1);
			sad->sent_before[c->tunnel] += dp_sa_out_sent(out);
			free_out(out);
		}
		dp_keys_put(sad->keys_out, c->key_out);
		c->out = c->out_gone = NULL;
		c->key_out = NULL;
	}
}

static void
free_child(struct dp_sad *sad, struct dp_child *c)
{
	free_parts(sad, c, SPW_SA_PART_IN | SPW_SA_PART_OUT);
	rte_free(c);
}

static int
fill_child(struct dp_sad *sad, struct dp_child *c, const struct spw_sa_desc *sa,
	   const struct dp_cipher *cipher, struct spw_err *err)
{
	int rc = dp_selectors_set(&c->sel, sa, err);

	if (rc == 0)
		rc = dp_keys_get(sad->keys_in, &c->key_in, err);
	if (rc == 0)
		rc = dp_keys_get(sad->keys_out, &c->key_out, err);
	if (rc < 0)
		return rc;
	dp_crypto_expand(sad->crypto, cipher, c->key_in, sa->key_in);
	dp_crypto_expand(sad->crypto, cipher, c->key_out, sa->key_out);
	c->in = new_in(c, sa, cipher);
	c->out = new_out(sad, c, sa, cipher);
	if (c->out != NULL)
		count_sends(sad, c->spi_out, 1);
	if (c->in == NULL || c->out == NULL)
		return spw_fail(err, -ENOMEM, "sa: out of memory");
	return 0;
}

static int
new_child(struct dp_sad *sad, const struct spw_sa_desc *sa, const struct dp_cipher *cipher,
	  struct dp_child **child, struct spw_err *err)
{
	struct dp_child *c = rte_zmalloc("dp_child", sizeof(*c), 64);
	int rc;

	if (c == NULL)
		return spw_fail(err, -ENOMEM, "sa: out of memory");
	c->slot = sa->spi_in & sad->index_mask;
	c->tunnel = sa->tunnel;
	c->spi_in = sa->spi_in;
	c->spi_out = sa->spi_out;
	c->encr = sa->encr;
	c->integ = sa->integ;
	c->local = sa->local;
	c->remote = sa->remote;
	c->local_port = sa->local_port;
	c->remote_port = sa->remote_port;
	c->flags = sa->flags;
	c->seconds = sa->seconds;
	c->installed_ns = sad->clock();
	rc = fill_child(sad, c, sa, cipher, err);
	if (rc < 0) {
		free_child(sad, c);
		return rc;
	}
	*child = c;
	return 0;
}

static void
publish_out(struct dp_sad *sad, struct dp_child *c)
{
	/* Partner: the acquire load in the seal stage. */
	atomic_store_explicit(&sad->tunnels[c->tunnel].out, c->out, memory_order_release);
}

static int
check_install(const struct dp_sad *sad, const struct spw_sa_desc *sa, struct dp_cipher *cipher,
	      struct spw_err *err)
{
	int rc = check_spi(sad, sa, err);

	if (rc == 0)
		rc = check_numbers(sa, err);
	if (rc == 0)
		rc = check_outer(sa, err);
	if (rc == 0)
		rc = check_ports(sa, err);
	if (rc == 0)
		rc = check_keys(sad, sa, cipher, err);
	return rc;
}

int
dp_sad_install(struct dp_sad *sad, const struct spw_sa_desc *sa, bool outbound, struct spw_err *err)
{
	struct dp_spi_slot *s = &sad->slots[sa->spi_in & sad->index_mask];
	struct dp_cipher cipher;
	struct dp_child *c;
	int rc = check_install(sad, sa, &cipher, err);

	if (rc == 0)
		rc = new_child(sad, sa, &cipher, &c, err);
	if (rc < 0)
		return rc;
	if (dp_once_add(sad->once, sa->key_in, sa->key_len) < 0 ||
	    dp_once_add(sad->once, sa->key_out, sa->key_len) < 0) {
		free_child(sad, c);
		return spw_fail(err, -ENOMEM, "sa: out of memory");
	}
	s->state = DP_SPI_INSTALLED;
	s->child = c;
	LIST_INSERT_HEAD(&sad->children, c, all);
	LIST_INSERT_HEAD(&sad->spis[c->tunnel].children, c, mates);
	sad->spis[c->tunnel].allocated--;
	sad->n_children++;
	/* Partner: the acquire load in the open stage. */
	atomic_store_explicit(&sad->in[c->slot], c->in, memory_order_release);
	dp_sad_changed(sad);
	if (outbound)
		publish_out(sad, c);
	dp_sad_mtu_installed(sad, c);
	return 0;
}

int
dp_sad_switch(struct dp_sad *sad, uint32_t spi_in, struct spw_err *err)
{
	struct dp_child *c = dp_sad_child(sad, spi_in);

	if (c == NULL || c->out == NULL)
		return spw_fail(err, -ENOENT, "sa: no outbound SA beside SPI %08x", spi_in);
	if (dp_child_ended(c))
		return spw_fail(err, -ESTALE, "sa: SPI %08x has reached its hard limit", spi_in);
	publish_out(sad, c);
	return 0;
}

void
dp_sad_unpublish(struct dp_sad *sad, struct dp_child *c, uint32_t parts)
{
	if ((parts & SPW_SA_PART_IN) != 0) {
		atomic_store_explicit(&sad->expect[c->slot], 0, memory_order_relaxed);
		atomic_store_explicit(&sad->in[c->slot], NULL, memory_order_release);
		dp_sad_changed(sad);
	}
	if ((parts & SPW_SA_PART_OUT) != 0) {
		struct dp_tunnel *t = &sad->tunnels[c->tunnel];

		if (c->out == NULL)
			return;
		if (atomic_load_explicit(&t->out, memory_order_relaxed) == c->out)
			atomic_store_explicit(&t->out, NULL, memory_order_release);
		c->out_gone = c->out;
		c->out = NULL;
	}
}

/* The last part is gone: forget the child and let its SPI rest. */
static void
retire_child(struct dp_sad *sad, struct dp_child *c)
{
	LIST_REMOVE(c, all);
	LIST_REMOVE(c, mates);
	sad->n_children--;
	dp_sad_slot_free(sad, c->slot);
	rte_free(c);
}

void
dp_sad_child_remove(struct dp_sad *sad, struct dp_child *c)
{
	const uint32_t both = SPW_SA_PART_IN | SPW_SA_PART_OUT;

	dp_sad_unpublish(sad, c, both);
	dp_sad_grace(sad);
	free_parts(sad, c, both);
	retire_child(sad, c);
}

int
dp_sad_delete(struct dp_sad *sad, uint32_t spi_in, uint32_t parts, struct spw_err *err)
{
	struct dp_child *c = dp_sad_child(sad, spi_in);

	if (parts == 0 || (parts & ~(uint32_t)(SPW_SA_PART_IN | SPW_SA_PART_OUT)) != 0)
		return spw_fail(err, -EINVAL, "sa: parts %u to delete", parts);
	if (c == NULL)
		return spw_fail(err, -ENOENT, "sa: none with SPI %08x", spi_in);
	dp_sad_unpublish(sad, c, parts);
	dp_sad_grace(sad);
	free_parts(sad, c, parts);
	if (c->in == NULL && c->out == NULL)
		retire_child(sad, c);
	return 0;
}
