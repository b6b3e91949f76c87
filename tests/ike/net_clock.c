/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The time of the scripted network, which is virtual: the loop jumps from one event to the next. An
 * event is something that arrives, an engine that wants to wake up, or a packet of traffic that is
 * due; of two at once what arrives goes first. ESP is never lost by the network, so every packet
 * that is lost is a fault of the engines: its sender used an SA that the receiver did not have,
 * unless a test sent it.
 */
#include "tests/ike/net_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

double
net_seconds(const struct net *net)
{
	return (double)(net->now % (100000 * NET_S)) / 1e9;
}

static void
tell(struct net_host *h, uint32_t kind, uint32_t spi)
{
	const struct spw_dp_sa_event ev = {.kind = kind, .tunnel = NET_TUNNEL, .spi_in = spi};

	if (h->down_until)
		return; /* nobody listens */
	net_call_begins(h);
	ike_engine_sa_event(h->engine, h->net->now, &ev);
	net_call_ends(h);
}

/* It has no SA: lost, and told the first time when one is to come. */
static void
lose_esp(struct net_host *h, uint32_t spi)
{
	struct net_spi *given = net_find_spi(h, spi);

	h->net->esp_lost++;
	if (h->net->trace)
		fprintf(stderr, "%10.3f %d LOST esp spi=%08x\n", net_seconds(h->net), h->index,
			spi);
	if (!given || given->told)
		return;
	given->told = true;
	tell(h, SPW_SA_EV_EARLY, spi);
}

static void
deliver_esp(struct net *net, const struct net_packet *p)
{
	struct net_host *h = &net->host[p->to];
	struct net_sa *sa = net_find_sa(h, p->spi);
	bool first;

	if (h->dead)
		return;
	if (!sa || !sa->in) {
		lose_esp(h, p->spi);
		return;
	}
	first = !sa->heard;
	sa->heard = true;
	h->last_inbound = net->now;
	if (first)
		tell(h, SPW_SA_EV_FIRST_IN, p->spi);
}

static void
deliver_job(struct net_host *h, struct ike_dh_job *job)
{
	ike_dh_job_run(job);
	h->dh_jobs++;
	net_call_begins(h);
	ike_engine_dh_done(h->engine, h->net->now, job);
	net_call_ends(h);
}

static void
deliver(struct net *net)
{
	struct net_packet copy = net_pop(net);
	struct net_host *h = &net->host[copy.to];

	if (copy.gone)
		return;
	if (copy.job) {
		deliver_job(h, copy.job);
		return;
	}
	if (copy.esp) {
		deliver_esp(net, &copy);
		return;
	}
	if (h->down_until && h->down_until <= net->now)
		net_start_again(h);
	if (h->down_until) { /* it waits in the socket */
		copy.at = h->down_until;
		net_push(net, &copy);
		return;
	}
	copy.d.bytes = copy.bytes;
	net_call_begins(h);
	if (!h->dead)
		ike_engine_input(h->engine, net->now, &copy.d);
	net_call_ends(h);
	free(copy.bytes);
}

/* Both hosts send one packet on the SA their data plane has chosen. */
static void
send_traffic(struct net *net)
{
	for (int i = 0; i < 2; i++) {
		struct net_host *h = &net->host[i];
		struct net_sa *sa = h->active ? net_find_sa(h, h->active) : NULL;

		if (h->dead)
			continue;
		if (!sa || !sa->out) {
			net->esp_unsent++;
			continue;
		}
		net->esp_sent++;
		net_esp(net, !i, sa->spi_out);
	}
	net->traffic_at = net->now + net->traffic_every;
}

static void
tick(struct net_host *h)
{
	if (h->down_until) {
		net_start_again(h);
		return;
	}
	net_call_begins(h);
	ike_engine_tick(h->engine, h->net->now);
	net_call_ends(h);
}

static uint64_t
wakeup(struct net_host *h)
{
	if (h->dead)
		return UINT64_MAX;
	if (h->down_until)
		return h->down_until;
	if (!h->wake_known) {
		h->wake = ike_engine_wakeup(h->engine);
		h->wake_known = true;
	}
	return h->wake;
}

/* Run the earliest event before `end`; false when there is none. */
static bool
step(struct net *net, uint64_t end)
{
	const struct net_packet *p = net->n_queue ? &net->queue[0] : NULL;
	uint64_t at = p ? p->at : UINT64_MAX;
	uint64_t wake[2];

	for (int i = 0; i < 2; i++) {
		wake[i] = wakeup(&net->host[i]);
		at = ike_min_u64(at, wake[i]);
	}
	if (net->traffic)
		at = ike_min_u64(at, net->traffic_at);
	if (at >= end)
		return false;
	if (at > net->now)
		net->now = at;
	if (p && p->at <= net->now)
		deliver(net);
	else if (net->traffic && net->traffic_at <= net->now)
		send_traffic(net);
	else
		tick(&net->host[wake[0] <= net->now ? 0 : 1]);
	return true;
}

void
net_run(struct net *net, uint64_t ns)
{
	uint64_t end = net->now + ns, steps = 0;

	for (int i = 0; i < 2; i++) /* tests call engines themselves in between */
		net->host[i].wake_known = false;
	while (step(net, end))
		if (++steps > 20000000)
			fail_msg("the engines never rest");
	net->now = end;
}

bool
net_run_up(struct net *net, uint64_t limit)
{
	uint64_t end = net->now + limit;

	while (net->now < end && !(net_up(net, 0) && net_up(net, 1)))
		net_run(net, 10 * NET_MS);
	return net_up(net, 0) && net_up(net, 1);
}

void
net_run_traffic(struct net *net)
{
	assert_true(net_run_up(net, 5 * NET_S));
	net->traffic = true;
	net_run(net, 500 * NET_MS);
	net->esp_lost = net->esp_unsent = 0;
}
