/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The scripted network of the engine's tests: how it is made, set up and looked at.
 *
 * Two hosts, each a process with an engine (net_process.c) and a data plane (net_dataplane.c), a
 * wire between them (net_wire.c) and a clock (net_clock.c). All of it is simulated and driven by
 * one seed, so that any misfortune can be had again.
 */
#include "tests/ike/net_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

struct net *
net_new(uint64_t seed)
{
	struct net *net = calloc(1, sizeof(*net));

	spw_log_init("test", getenv("SPW_TEST_LOG") ? SPW_LOG_DEBUG : SPW_LOG_ERROR);
	assert_int_equal(spw_secret_init(), 0);
	net->now = 1000 * NET_S;
	net->seed = seed;
	net->rng = seed * 2 + 1;
	for (int i = 0; i < 8; i++)
		net_random(&net->rng);
	net->delay_min = net->delay_max = 10 * NET_MS;
	net->traffic_every = 5 * NET_MS;
	net->nat_port = 31000;
	net->trace = getenv("SPW_TEST_TRACE") != NULL;
	for (int i = 0; i < 2; i++) {
		struct net_host *h = &net->host[i];

		h->net = net;
		h->index = i;
		h->addr = spw_addr_v4(i == 0 ? 0xc0000201 : 0xc6336401);
		h->rng = net_random(&net->rng) | 1;
		net_wire_ops(&h->ops);
		net_dataplane_ops(&h->ops);
		net_process_begin(h);
	}
	return net;
}

void
net_free(struct net *net)
{
	for (int i = 0; i < 2; i++)
		net_process_end(&net->host[i]);
	net_wire_free(net);
	free(net);
}

struct spw_selector
net_any(void)
{
	return (struct spw_selector){
		.low = spw_addr_v4(0), .high = spw_addr_v4(0xffffffff), .port_high = 65535};
}

struct spw_ike_conn
net_conn(const struct net *net, int i)
{
	struct spw_ike_conn c = {.name = "azure",
				 .tunnel = NET_TUNNEL,
				 .generation = 1,
				 .local = net->host[i].addr,
				 .remote = net->host[!i].addr,
				 .psk_len = 20,
				 .psk = "a shared secret, long",
				 .n_ike = 1,
				 .ike = {{.encr = SPW_ENCR_AES256_GCM,
					  .prf = SPW_PRF_HMAC_SHA256,
					  .group = SPW_GROUP_ECP256}},
				 .n_esp = 1,
				 .esp = {{.encr = SPW_ENCR_AES256_GCM}},
				 .dpd_delay_s = 15,
				 .dpd_timeout_s = 30,
				 .nat_keepalive_s = 20,
				 .replay_window = 4096,
				 .jitter_percent = 10,
				 .n_local = 1,
				 .n_remote = 1};

	c.sel_local[0] = c.sel_remote[0] = net_any();
	if (net->nat && i == 1)
		c.remote = spw_addr_v4(0xcb007109);
	return c;
}

void
net_set(struct net *net, int i, const struct spw_ike_conn *c)
{
	struct net_host *h = &net->host[i];
	struct spw_err err = {0};

	h->conn = *c;
	h->has_conn = true;
	net_call_begins(h);
	if (ike_engine_conn_set(h->engine, net->now, c, &err) != 0)
		fail_msg("%s", err.text);
	net_call_ends(h);
}

void
net_connect(struct net *net, uint32_t mode0, uint32_t mode1)
{
	struct spw_ike_conn c0 = net_conn(net, 0), c1 = net_conn(net, 1);

	c0.mode = mode0;
	c1.mode = mode1;
	if (net->nat) { /* identities do not follow the translated address */
		c0.local_id = c1.remote_id =
			(struct spw_ike_id){.type = SPW_ID_FQDN, .len = 4, .data = "here"};
	}
	net_set(net, 0, &c0);
	net_set(net, 1, &c1);
}

void
net_rekey(struct net *net, int i, uint32_t what)
{
	net_call_begins(&net->host[i]);
	(void)ike_engine_rekey(net->host[i].engine, net->now, "azure", what);
	net_call_ends(&net->host[i]);
}

void
net_event(struct net *net, int i, uint32_t kind)
{
	struct net_host *h = &net->host[i];
	const struct spw_dp_sa_event ev = {
		.kind = kind, .tunnel = NET_TUNNEL, .spi_in = h->active, .limit = 1};

	if (kind == SPW_SA_EV_HARD) {
		struct net_sa *sa = net_find_sa(h, h->active);

		sa->in = sa->out = false;
		h->active = 0;
	}
	net_call_begins(h);
	ike_engine_sa_event(h->engine, net->now, &ev);
	net_call_ends(h);
}

void
net_early(struct net *net, int i)
{
	struct net_host *h = &net->host[i];
	struct spw_dp_sa_event ev = {.kind = SPW_SA_EV_EARLY, .tunnel = NET_TUNNEL};

	net_call_begins(h);
	for (const struct ike_sa *sa = h->engine->sas; sa; sa = sa->next)
		if (sa->req.spi_in != 0)
			ev.spi_in = sa->req.spi_in;
	ike_engine_sa_event(h->engine, net->now, &ev);
	net_call_ends(h);
}

bool
net_up(const struct net *net, int i)
{
	return net->host[i].active != 0 && net_ike_sas(net, i) > 0;
}

struct spw_ike_status
net_status(const struct net *net, int i)
{
	struct spw_ike_status s = {0};

	ike_engine_status(net->host[i].engine, &s, 1);
	return s;
}

unsigned int
net_ike_sas(const struct net *net, int i)
{
	unsigned int n = 0;

	for (const struct ike_sa *sa = net->host[i].engine->sas; sa; sa = sa->next)
		n += sa->state == IKE_SA_ESTABLISHED && !sa->redundant && !sa->pending;
	return n;
}

void
net_expect_one(const struct net *net)
{
	for (int i = 0; i < 2; i++)
		if (net_ike_sas(net, i) != 1 || net_sas(net, i) != 1)
			fail_msg("host %d has %u IKE SAs and %u child SAs", i, net_ike_sas(net, i),
				 net_sas(net, i));
	assert_true(net_agrees(net));
}
