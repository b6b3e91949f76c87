/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What tunnels take: the configured MTU, lowered by what was learnt of the path outside.
 *
 * Workers hand over ICMP "too big" messages that look like they quote an ESP packet of ours
 * (pmtu.c). One counts when a live outbound SA has this SPI, these outer addresses and these ports
 * (RFC 4301 6.1.1, 8.2.1); then the inner MTU that its suite and encapsulation leave of the outer
 * one becomes the tunnel's, if that is lower than what it has. It is never raised by a message and
 * never stays longer than LEARNT_NS (RFC 1191 6.3), because the sender may lie or the path change.
 * So the worst that somebody on the path can do is make packets small for ten minutes.
 *
 * IPv4 is never told less than 576 bytes and IPv6 never less than 1280 (RFC 791, RFC 8200 5). Where
 * the path cannot even carry that, packets that large are lost on it: outer packets are not
 * fragmented, as Azure drops fragments of ESP. The log says so for each SA with IPv6 selectors that
 * is installed in such a tunnel, and each time a smaller path is learnt.
 *
 * Workers read one word for each tunnel (dp_fit_word()), which is stored here and nowhere else. API
 * thread only.
 */
#include "dataplane/pmtu.h"
#include "dataplane/sad_data.h"

#define LEARNT_NS (600 * SPW_NS_PER_S)
#define NEVER	  UINT64_MAX

static uint32_t
inner_now(const struct dp_sad *sad, uint32_t tunnel)
{
	uint32_t mtu = sad->tunnel_conf[tunnel].mtu, learnt = sad->learnt[tunnel].mtu;

	return learnt != 0 && learnt < mtu ? learnt : mtu;
}

void
dp_sad_mtu_apply(struct dp_sad *sad, uint32_t tunnel)
{
	uint32_t mtu = inner_now(sad, tunnel);

	if (mtu != 0 && mtu < DP_MTU_MIN)
		mtu = DP_MTU_MIN;
	atomic_store_explicit(&sad->tunnels[tunnel].fit,
			      dp_fit_word(mtu, sad->tunnel_conf[tunnel].mss_clamp),
			      memory_order_relaxed);
}

void
dp_sad_mtu_forget(struct dp_sad *sad, uint32_t tunnel)
{
	sad->learnt[tunnel] = (struct dp_learnt_mtu){0};
}

/* Does the live SA send packets like the one quoted? */
static bool
sends(const struct dp_child *c, const struct dp_sa_note *note)
{
	bool udp = (c->flags & SPW_SA_UDP_ENCAP) != 0;
	uint8_t local[16], remote[16];

	if (c->out == NULL || dp_child_ended(c) || c->spi_out != note->spi_in)
		return false;
	spw_addr_to_mapped(&c->local, local);
	spw_addr_to_mapped(&c->remote, remote);
	return memcmp(local, note->local, 16) == 0 && memcmp(remote, note->remote, 16) == 0 &&
	       note->local_port == (udp ? c->local_port : 0) &&
	       note->remote_port == (udp ? c->remote_port : 0);
}

static const struct dp_child *
find_sender(const struct dp_sad *sad, const struct dp_sa_note *note)
{
	const struct dp_child *c;

	LIST_FOREACH(c, &sad->children, all)
	{
		if (sends(c, note))
			return c;
	}
	return NULL;
}

/* Do its selectors let IPv6 in at all? */
static bool
carries_ipv6(const struct dp_child *c)
{
	return c->sel.local.n > c->sel.local.n4 && c->sel.remote.n > c->sel.remote.n4;
}

static void
tell_small(const struct dp_sad *sad, const struct dp_child *c, uint32_t inner)
{
	spw_log(SPW_LOG_WARNING, "sad", "path-mtu-small",
		"tunnel=%.15s inner=%u: IPv6 packets of up to %d bytes are sent and may be lost on "
		"the path; mend the path, or use IPv4 in this tunnel",
		sad->tunnel_conf[c->tunnel].name, inner, DP_MTU6_MIN);
}

void
dp_sad_mtu_heard(struct dp_sad *sad, const struct dp_sa_note *note)
{
	const struct dp_child *c = find_sender(sad, note);
	struct dp_esp_shape shape;
	uint32_t inner, was;

	if (c == NULL)
		return;
	shape = dp_esp_shape(c->encr, c->integ, (c->flags & SPW_SA_UDP_ENCAP) != 0,
			     c->remote.family == AF_INET6);
	inner = dp_esp_inner_mtu(&shape, note->limit);
	inner = inner < DP_MTU_MIN ? DP_MTU_MIN : inner;
	was = inner_now(sad, c->tunnel);
	if (inner >= was)
		return;
	sad->learnt[c->tunnel] =
		(struct dp_learnt_mtu){.mtu = inner, .until_ns = sad->clock() + LEARNT_NS};
	if (sad->learnt_until_ns == 0 || sad->learnt[c->tunnel].until_ns < sad->learnt_until_ns)
		sad->learnt_until_ns = sad->learnt[c->tunnel].until_ns;
	dp_sad_mtu_apply(sad, c->tunnel);
	spw_log(SPW_LOG_INFO, "sad", "path-mtu", "tunnel=%.15s old=%u new=%u outer=%u",
		sad->tunnel_conf[c->tunnel].name, was, inner, note->limit);
	if (inner < DP_MTU6_MIN && carries_ipv6(c))
		tell_small(sad, c, inner);
}

void
dp_sad_mtu_installed(const struct dp_sad *sad, const struct dp_child *c)
{
	uint32_t inner = inner_now(sad, c->tunnel);

	if (inner < DP_MTU6_MIN && carries_ipv6(c))
		tell_small(sad, c, inner);
}

/* Forget what is old; returns when the next one will be, 0 = there is none. */
static uint64_t
expire(struct dp_sad *sad, uint64_t now_ns)
{
	uint64_t next = NEVER;

	for (uint32_t i = 0; i < sad->max_tunnels; i++) {
		const struct dp_learnt_mtu *l = &sad->learnt[i];
		uint32_t was = l->mtu;

		if (was == 0)
			continue;
		if (l->until_ns > now_ns) {
			next = l->until_ns < next ? l->until_ns : next;
			continue;
		}
		dp_sad_mtu_forget(sad, i);
		dp_sad_mtu_apply(sad, i);
		spw_log(SPW_LOG_INFO, "sad", "path-mtu", "tunnel=%.15s old=%u new=%u cause=age",
			sad->tunnel_conf[i].name, was, inner_now(sad, i));
	}
	return next == NEVER ? 0 : next;
}

void
dp_sad_mtu_tick(struct dp_sad *sad, uint64_t now_ns)
{
	if (sad->learnt_until_ns != 0 && now_ns >= sad->learnt_until_ns)
		sad->learnt_until_ns = expire(sad, now_ns);
}
