/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Settings that change at any moment, over seeds: other keys, policies, selectors, identities and
 * modes, a tunnel that is removed and set again under its name, at either end, amid handshakes,
 * rekeys, key exchanges that are done elsewhere and kills. When both ends are set alike at last,
 * one tunnel stands, both agree, and nothing is left of what was before.
 *
 * And setting by setting: whether a tunnel that stands goes on, or begins anew.
 *
 * 200 schedules; SPW_LONG=1: 20,000. SPW_SEED=n: that one alone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/witness.h"

#define BOTH	SPW_IKE_MODE_BOTH
#define RESPOND SPW_IKE_MODE_RESPOND

/* The settings of host i, some of them others by the bits of r. */
static struct spw_ike_conn
variant(const struct net *net, int i, uint64_t r)
{
	struct spw_ike_conn c = net_conn(net, i);

	c.mode = (uint32_t)(r & 3) % 3;
	if (r & 4)
		c.psk[0] ^= 1;
	if (r & 8) {
		memcpy(c.next_psk, net_conn(net, i).psk, c.psk_len);
		c.next_psk_len = c.psk_len;
		c.next_psk[0] ^= !(r & 4);
	}
	if (r & 16)
		c.esp[0].encr = SPW_ENCR_AES128_GCM;
	if (r & 32)
		c.esp[0].group = SPW_GROUP_ECP256;
	if (r & 64) {
		c.n_ike = 2;
		c.ike[1] = c.ike[0];
		c.ike[0].group = SPW_GROUP_X25519;
	}
	if (r & 128)
		c.sel_local[0].low = c.sel_local[0].high = spw_addr_v4(0x0a000001);
	if ((r & 0x700) == 0)
		c.local_id = (struct spw_ike_id){.type = SPW_ID_FQDN, .len = 3, .data = "abc"};
	if (r & 0x800)
		c.fragment = 576;
	c.dpd_delay_s = r & 0x1000 ? 5 : 15;
	c.child_seconds.soft = r & 0x2000 ? 3 : 0;
	c.child_seconds.hard = r & 0x2000 ? 9 : 0;
	c.ike_rekey_s = r & 0x4000 ? 7 : 0;
	return c;
}

static void
remove_conn(struct net *net, int i)
{
	struct net_host *h = &net->host[i];

	h->has_conn = false;
	net_call_begins(h);
	(void)ike_engine_conn_del(h->engine, net->now, "azure");
	net_call_ends(h);
}

static void
act(struct net *net, uint64_t r)
{
	int i = (int)(r >> 8 & 1);
	struct spw_ike_conn c = variant(net, i, r >> 20);

	switch (r % 8) {
	case 0: remove_conn(net, i); break;
	case 1:
	case 2: net_set(net, i, &c); break;
	case 3: /* what it should be */
		c = net_conn(net, i);
		c.mode = i == 0 ? BOTH : RESPOND;
		net_set(net, i, &c);
		break;
	case 4: { /* changed, and back before anybody has answered */
		const struct spw_ike_conn before = net->host[i].conn;

		net_set(net, i, &c);
		if (before.psk_len)
			net_set(net, i, &before);
		break;
	}
	case 5: net_rekey(net, i, r >> 9 & 1 ? SPW_IKE_RESET_IKE : SPW_IKE_RESET_CHILD); break;
	case 6:
		if (r >> 9 & 1)
			net_kill_at(net, i, 1 + (unsigned int)(r >> 10) % 10, r >> 16 & 1,
				    (r >> 20) % NET_S);
		break;
	default: net->loss_percent = (unsigned int)(r >> 16) % 30; break;
	}
}

/*
 * SAs of a killed process whose settings are not those of the next: they carry traffic on, and the
 * peer has no reason to ask for others.
 */
static void
strangers_end(struct net_host *h)
{
	for (unsigned int k = 0; k < h->sa_top; k++) {
		if (!h->sa[k].orphan)
			continue;
		if (h->active == h->sa[k].spi_in)
			h->active = 0;
		h->sa[k].in = h->sa[k].out = h->sa[k].orphan = false;
	}
}

static void
run_schedule(uint64_t seed)
{
	struct net *net = net_new(seed);

	net->delay_min = 1 * NET_MS;
	net->delay_max = 100 * NET_MS;
	for (int i = 0; i < 2 && seed % 3 == 1; i++)
		net_dh(net, i, 0, 200 * NET_MS);
	net_connect(net, BOTH, seed & 1 ? BOTH : RESPOND);
	net->traffic = true;
	net->traffic_every = 50 * NET_MS;
	for (int n = 0; n < 30; n++) {
		act(net, net_random(&net->rng));
		net_run(net, net_random(&net->rng) % (n % 5 ? 300 * NET_MS : 5 * NET_S));
	}
	net->host[0].kill_in = net->host[1].kill_in = 0;
	net->loss_percent = 0;
	net_run(net, 3 * NET_S); /* who was killed has begun again */
	for (int i = 0; i < 2; i++)
		strangers_end(&net->host[i]);
	net_connect(net, BOTH, RESPOND);
	if (!net_run_up(net, 200 * NET_S))
		fail_msg("seed %llu: not up", (unsigned long long)seed);
	for (int s = 0; s < 300 && !net_agrees(net); s++)
		net_run(net, NET_S);
	for (int i = 0; i < 2; i++)
		net_orphans_end(net, i);
	net->traffic_every = 500 * NET_MS;
	net_run(net, 200 * NET_S);
	net->esp_lost = net->esp_unsent = 0;
	net_run(net, 60 * NET_S);
	for (int i = 0; i < 2; i++) {
		net_orphans_end(net, i);
		if (net_ike_sas(net, i) != 1 || net_sas(net, i) != 1 || net->host[i].spis_out)
			fail_msg("seed %llu: host %d has %u IKE SAs, %u child SAs, %u SPIs",
				 (unsigned long long)seed, i, net_ike_sas(net, i), net_sas(net, i),
				 net->host[i].spis_out);
		for (const struct ike_sa *sa = net->host[i].engine->sas; sa; sa = sa->next)
			if (sa->state != IKE_SA_ESTABLISHED)
				fail_msg("seed %llu: host %d is left with one that is %s",
					 (unsigned long long)seed, i, ike_state_name(sa->state));
	}
	if (!net_agrees(net) || net->esp_lost + net->esp_unsent)
		fail_msg("seed %llu: agrees %d, lost %llu, unsent %llu", (unsigned long long)seed,
			 net_agrees(net), (unsigned long long)net->esp_lost,
			 (unsigned long long)net->esp_unsent);
	net->traffic = false;
	net_run(net, 1 * NET_S);
	net_free(net);
}

static void
settings_that_change_at_any_moment_leave_one_tunnel(void **state)
{
	uint64_t n = getenv("SPW_LONG") ? 20000 : 200;

	if (getenv("SPW_SEED")) {
		run_schedule(strtoull(getenv("SPW_SEED"), NULL, 10));
		return;
	}
	if (getenv("SPW_SCHEDULES"))
		n = strtoull(getenv("SPW_SCHEDULES"), NULL, 10);
	for (uint64_t seed = 1; seed <= n; seed++)
		run_schedule(seed);
}

/* ---- one setting at a time ---- */

#define CHANGE(name, ...)                        \
	static void name(struct spw_ike_conn *c) \
	{                                        \
		__VA_ARGS__;                     \
	}
CHANGE(mode, c->mode = SPW_IKE_MODE_INITIATE)
CHANGE(next_key, c->next_psk_len = 20; memcpy(c->next_psk, "another key, as long", 20))
CHANGE(ike_lifetime, c->ike_rekey_s = 600)
CHANGE(delay, c->dpd_delay_s = 5)
CHANGE(timeout, c->dpd_timeout_s = 60)
CHANGE(keepalive, c->nat_keepalive_s = 7)
CHANGE(fragment, c->fragment = 576)
CHANGE(seconds, c->child_seconds = (struct spw_sa_limit){540, 600})
CHANGE(bytes, c->child_bytes = (struct spw_sa_limit){900, 1000})
CHANGE(packets, c->child_packets = (struct spw_sa_limit){900, 1000})
CHANGE(jitter, c->jitter_percent = 50)
CHANGE(check, c->pfs_check_s = 3600)
CHANGE(generation, c->generation = 9)
CHANGE(window, c->replay_window = 64)
CHANGE(encap, c->force_encap = 1)
CHANGE(ike_offer, c->ike[c->n_ike] = c->ike[0]; c->ike[c->n_ike++].group = SPW_GROUP_X25519)
CHANGE(esp_offer, c->esp[c->n_esp] = c->esp[0]; c->esp[c->n_esp++].encr = SPW_ENCR_AES128_GCM)
CHANGE(numbers, c->esp[0].esn = SPW_ESN_BOTH)
CHANGE(ours, c->sel_local[0].low = c->sel_local[0].high = spw_addr_v4(0x0a000001))
CHANGE(theirs, c->sel_remote[0].low = c->sel_remote[0].high = spw_addr_v4(0x0a000002))
CHANGE(name_of_ours, c->local_id = (struct spw_ike_id){.type = SPW_ID_IPV4, .len = 4};
       memcpy(c->local_id.data, c->local.bytes, 4))
CHANGE(name_of_theirs, c->remote_id = (struct spw_ike_id){.type = SPW_ID_IPV4, .len = 4};
       memcpy(c->remote_id.data, c->remote.bytes, 4))
CHANGE(quantum, c->ppk_len = 32; memset(c->ppk, 3, 32); c->ppk_id_len = 1; c->ppk_id[0] = 'q')

static const struct {
	void (*change)(struct spw_ike_conn *c);
	bool goes_on;
} settings[] = {
	{mode, true},	       {next_key, true},	{ike_lifetime, true}, {delay, true},
	{timeout, true},       {keepalive, true},	{fragment, true},     {seconds, true},
	{bytes, true},	       {packets, true},		{jitter, true},	      {check, true},
	{generation, true},    {window, false},		{encap, false},	      {ike_offer, false},
	{esp_offer, false},    {numbers, false},	{ours, false},	      {theirs, false},
	{name_of_ours, false}, {name_of_theirs, false}, {quantum, false},
};

/* As docs/iked.md says. What needs a new IKE SA has it at once, and the peer is told to forget. */
static void
each_setting_leaves_the_tunnel_as_it_is_or_makes_it_anew_at_once(void **state)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		struct net *net = net_new(700 + i);
		struct spw_ike_conn c = net_conn(net, 0);
		unsigned int installs;
		uint64_t before;

		net_connect(net, BOTH, RESPOND);
		net->traffic = true;
		net_run_traffic(net);
		before = net_status(net, 0).spi_i;
		installs = net->host[0].installs;
		settings[i].change(&c);
		net_set(net, 0, &c);
		net_run(net, 1 * NET_S);
		if ((net_status(net, 0).spi_i == before) != settings[i].goes_on)
			fail_msg("setting %zu: the IKE SA is %s", i,
				 settings[i].goes_on ? "another" : "the same");
		if (settings[i].goes_on) {
			assert_int_equal(net->host[0].installs, installs);
			assert_int_equal(net->host[0].downs, 0);
			assert_int_equal(net->esp_lost + net->esp_unsent, 0);
		}
		assert_true(net_up(net, 0) && net_up(net, 1));
		net->traffic = false;
		net_run(net, 20 * NET_S);
		assert_int_equal(net_ike_sas(net, 1), 1);
		assert_true(net_agrees(net));
		net_free(net);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_setting_leaves_the_tunnel_as_it_is_or_makes_it_anew_at_once),
		cmocka_unit_test(settings_that_change_at_any_moment_leave_one_tunnel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
