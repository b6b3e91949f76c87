/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IKE_SA_INIT by hand. A request has a true public value, always the same: nobody here ever
 * computes what comes of it. Messages are made in a static buffer, one at a time.
 */
#include "tests/ike/puppet_init.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint8_t buf[4096];

size_t
puppet_init(uint8_t *out, size_t size, const struct init_parts *p)
{
	static const struct spw_ike_proposal usual = {
		.encr = SPW_ENCR_AES256_GCM, .prf = SPW_PRF_HMAC_SHA256, .group = SPW_GROUP_ECP256};
	const struct ike_header h = {.spi_i = p->spi_i,
				     .spi_r = p->spi_r,
				     .exchange = IKE_X_SA_INIT,
				     .flags = IKE_FLAG_INITIATOR,
				     .mid = p->mid};
	static struct ike_dh *dh;
	uint8_t nonce[IKE_NONCE_MAX + 1];
	struct ike_builder b;
	size_t len;

	if (!dh) /* one key pair serves all: nothing here is ever decrypted */
		assert_int_equal(ike_dh_new(&dh, SPW_GROUP_ECP256), 0);
	memset(nonce, 0x41 + p->nonce_byte, sizeof(nonce));
	ike_build_start(&b, out, size, &h);
	if (p->cookie)
		ike_build_notify(&b, IKE_N_COOKIE, 0, 0, p->cookie, p->cookie_len);
	if (p->head)
		p->head(&b);
	if (!p->no_sa)
		ike_build_sa(&b, IKE_PROTO_IKE, 0, 0, p->offer ? p->offer : &usual,
			     p->offer ? p->n_offer : 1, 1, true);
	if (!p->no_ke)
		ike_build_ke(&b, p->ke_group ? p->ke_group : 19, ike_dh_public(dh), 64);
	if (!p->no_nonce)
		ike_build_bytes(&b, IKE_P_NONCE, nonce, p->nonce_len ? p->nonce_len : 32);
	if (p->more)
		p->more(&b);
	assert_int_equal(ike_build_finish(&b, &len), 0);
	return len;
}

void
puppet_knock(struct net *net, uint64_t spi_i)
{
	const struct init_parts p = {.spi_i = spi_i, .nonce_byte = (uint8_t)spi_i};

	puppet_raw(net, 1, &net->host[0].addr, 500, 500, buf, puppet_init(buf, sizeof(buf), &p));
}

unsigned int
puppet_half_open(const struct net *net)
{
	unsigned int n = 0;

	for (const struct ike_sa *sa = net->host[1].engine->sas; sa; sa = sa->next)
		n += sa->state == IKE_SA_HALF_OPEN;
	return n;
}

struct net *
init_responder(uint64_t seed)
{
	struct net *net = tape_net(seed);
	struct spw_ike_conn c = net_conn(net, 1);

	c.mode = SPW_IKE_MODE_RESPOND;
	net_set(net, 1, &c);
	return net;
}

void
init_send(struct net *net, const uint8_t *bytes, size_t len)
{
	tape_clear();
	puppet_raw(net, 1, &net->host[0].addr, 500, 500, bytes, len);
}

const struct taped *
init_ask(struct net *net, const struct init_parts *p)
{
	init_send(net, buf, puppet_init(buf, sizeof(buf), p));
	assert_true(tape.n <= 1);
	return tape.n ? &tape.at[0] : NULL;
}

struct net *
init_dialled(uint64_t seed, bool force_encap)
{
	struct net *net = tape_net(seed);
	struct spw_ike_conn c = net_conn(net, 0);

	c.mode = SPW_IKE_MODE_INITIATE;
	c.n_ike = 3;
	c.ike[2] = c.ike[1] = c.ike[0];
	c.ike[0].group = SPW_GROUP_MODP2048;
	c.ike[1].group = SPW_GROUP_ECP384;
	c.force_encap = force_encap;
	net_set(net, 0, &c);
	return net;
}

const struct taped *
init_hint(struct net *net, uint16_t type, const void *data, size_t len)
{
	const struct ike_header h = {.spi_i = puppet_sa(net, 0)->spi_i,
				     .exchange = IKE_X_SA_INIT,
				     .flags = IKE_FLAG_RESPONSE};
	unsigned int before = tape.n;
	struct ike_builder b;
	size_t n;

	ike_build_start(&b, buf, sizeof(buf), &h);
	ike_build_notify(&b, type, 0, 0, data, len);
	assert_int_equal(ike_build_finish(&b, &n), 0);
	puppet_raw(net, 0, &net->host[1].addr, 500, 500, buf, n);
	assert_true(tape.n <= before + 1);
	return tape.n > before ? &tape.at[before] : NULL;
}
