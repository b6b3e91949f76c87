/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The wire between the two hosts of the scripted network.
 *
 * One queue holds what is under way, packets and key exchanges alike: a heap by the time of
 * arrival, and by the order of sending where that is the same. An IKE datagram may be lost,
 * doubled, delayed, changed by a bit, or stopped by the test's script; it passes a NAT when there
 * is one. ESP is only delayed. Each request that is seen is kept, to know its repeat by: that must
 * be the same bytes (RFC 7296 2.1).
 */
#include "tests/ike/net_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

uint64_t
net_random(uint64_t *state)
{
	uint64_t x = *state;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x * UINT64_C(2685821657736338717);
}

static bool
before(const struct net_packet *a, const struct net_packet *b)
{
	return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void
swap(struct net_packet *a, struct net_packet *b)
{
	struct net_packet t = *a;

	*a = *b;
	*b = t;
}

/* The queue is a heap: the earliest packet first, those in use at the front. */
void
net_push(struct net *net, const struct net_packet *p)
{
	unsigned int i = net->n_queue++;

	if (i == NET_QUEUE)
		fail_msg("the network's queue is full");
	net->queue[i] = *p;
	net->queue[i].used = true;
	net->queue[i].order = net->order++;
	for (; i > 0 && before(&net->queue[i], &net->queue[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&net->queue[i], &net->queue[(i - 1) / 2]);
}

struct net_packet
net_pop(struct net *net)
{
	struct net_packet first = net->queue[0];
	unsigned int i = 0, n = --net->n_queue;

	net->queue[0] = net->queue[n];
	net->queue[n].used = false;
	for (unsigned int k = 1; k < n; k = 2 * i + 1) {
		if (k + 1 < n && before(&net->queue[k + 1], &net->queue[k]))
			k++;
		if (!before(&net->queue[k], &net->queue[i]))
			break;
		swap(&net->queue[k], &net->queue[i]);
		i = k;
	}
	return first;
}

uint64_t
net_delay(struct net *net)
{
	uint64_t span = net->delay_max - net->delay_min;

	return net->delay_min + (span ? net_random(&net->rng) % span : 0);
}

/* Repeats of a message must be the same bytes (IKE-152, IKE-151). */
static void
watch_repeat(struct net *net, int from, const struct ike_header *h, const struct ike_datagram *d)
{
	if (h->exchange == IKE_X_SA_INIT || h->next != IKE_P_SK)
		return;
	for (unsigned int i = 0; i < net->n_seen; i++) {
		struct net_seen *s = &net->seen[i];

		if (s->from != from || s->spi_i != h->spi_i || s->mid != h->mid ||
		    s->flags != h->flags || s->exchange != h->exchange)
			continue;
		net->repeats++;
		if (s->len != d->len || memcmp(s->bytes, d->bytes, d->len) != 0)
			net->repeats_changed++;
		if (net->trace && net->repeats_changed)
			fprintf(stderr, "REPEAT %d x=%u mid=%u spi_i=%04x\n", from, h->exchange,
				h->mid, (unsigned int)(h->spi_i & 0xffff));
		return;
	}
	if (net->n_seen == 512)
		return;
	struct net_seen *s = &net->seen[net->n_seen++];
	*s = (struct net_seen){.from = from,
			       .spi_i = h->spi_i,
			       .mid = h->mid,
			       .exchange = h->exchange,
			       .flags = h->flags,
			       .len = d->len,
			       .bytes = malloc(d->len)};
	memcpy(s->bytes, d->bytes, d->len);
}

static void
push_datagram(struct net *net, int to, const struct ike_datagram *d, uint64_t delay)
{
	struct net_packet p = {.to = to, .at = net->now + delay, .d = *d};

	p.bytes = malloc(d->len + 1);
	memcpy(p.bytes, d->bytes, d->len);
	if (net->corrupt_percent && net_random(&net->rng) % 100 < net->corrupt_percent)
		p.bytes[net_random(&net->rng) % d->len] ^=
			(uint8_t)(1 << net_random(&net->rng) % 8);
	net_push(net, &p);
}

/* Turn the sender's view of a datagram into the receiver's, through the NAT when there is one. */
static struct ike_datagram
as_received(struct net *net, int from, const struct ike_datagram *d)
{
	struct ike_datagram r = *d;

	r.local = d->remote;
	r.remote = d->local;
	r.local_port = d->remote_port;
	r.remote_port = d->local_port;
	if (net->nat && from == 0) {
		r.remote = spw_addr_v4(0xcb007109);
		r.remote_port = (uint16_t)(net->nat_port + (d->local_port == 4500));
	} else if (net->nat) {
		r.local = net->host[0].addr;
		r.local_port = (uint16_t)(d->remote_port - net->nat_port == 1 ? 4500 : 500);
	}
	return r;
}

static void
op_send(void *ctx, const struct ike_datagram *d)
{
	struct net_host *h = ctx;
	struct net *net = h->net;
	struct ike_datagram r = as_received(net, h->index, d);
	struct ike_header hdr;
	enum net_verdict v = NET_PASS;

	assert_int_equal(ike_wire_header(&hdr, d->bytes, d->len), 0);
	if (net_dying(h, true))
		return;
	net->ike_sent++;
	watch_repeat(net, h->index, &hdr, d);
	if (h->dead)
		return;
	net->sending = d;
	if (net->script)
		v = net->script(net, h->index, &hdr);
	if (net->trace)
		fprintf(stderr, "%10.3f %d sends x=%u mid=%u %s spi_i=%04x len=%zu%s\n",
			net_seconds(net), h->index, hdr.exchange, hdr.mid,
			hdr.flags & IKE_FLAG_RESPONSE ? "rsp" : "req",
			(unsigned int)(hdr.spi_i & 0xffff), d->len,
			v == NET_DROP ? " DROPPED" : "");
	if (v == NET_DROP || net_random(&net->rng) % 100 < net->loss_percent)
		return;
	push_datagram(net, !h->index, &r, v == NET_HOLD ? 3 * NET_S : net_delay(net));
	if (net_random(&net->rng) % 100 < net->dup_percent)
		push_datagram(net, !h->index, &r, net_delay(net));
}

void
net_inject(struct net *net, int to, const uint8_t *bytes, size_t len, uint16_t port)
{
	const struct ike_datagram d = {.local = net->host[to].addr,
				       .remote = net->host[!to].addr,
				       .local_port = port,
				       .remote_port = port,
				       .bytes = bytes,
				       .len = len};

	push_datagram(net, to, &d, 0);
}

void
net_esp(struct net *net, int to, uint32_t spi)
{
	const struct net_packet p = {
		.esp = true, .to = to, .spi = spi, .at = net->now + net_delay(net)};

	net_push(net, &p);
}

void
net_wire_ops(struct ike_ops *ops)
{
	ops->send = op_send;
}

void
net_wire_free(struct net *net)
{
	for (unsigned int i = 0; i < NET_QUEUE; i++)
		if (net->queue[i].used)
			free(net->queue[i].bytes);
	for (unsigned int i = 0; i < net->n_seen; i++)
		free(net->seen[i].bytes);
}
