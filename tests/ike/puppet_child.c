/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * CREATE_CHILD_SA by hand: a request in any form, and an engine that is asked in the midst of
 * something of its own. The key exchange in it has a true value of its group, whose private part is
 * forgotten: nothing that comes of it is ever decrypted here.
 */
#include "tests/ike/puppet_child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void
child_fill(struct ike_builder *b, void *ctx)
{
	static const struct spw_ike_proposal usual = {.encr = SPW_ENCR_AES256_GCM};
	const struct child_wish *w = ctx;
	const struct spw_selector any = net_any();
	uint8_t nonce[32];
	struct ike_dh *dh;

	memset(nonce, 0x30 + w->nonce_byte, sizeof(nonce));
	if (w->rekey)
		ike_build_notify(b, IKE_N_REKEY_SA,
				 w->rekey_protocol ? w->rekey_protocol : IKE_PROTO_ESP, w->rekey,
				 NULL, 0);
	ike_build_sa(b, IKE_PROTO_ESP, w->spi ? w->spi : 0x1001, 4, w->offer ? w->offer : &usual, 1,
		     1, true);
	ike_build_bytes(b, IKE_P_NONCE, nonce, sizeof(nonce));
	if (w->ke) {
		assert_int_equal(ike_dh_new(&dh, spw_group_by_ike_id(w->ke)), 0);
		ike_build_ke(b, w->ke, ike_dh_public(dh),
			     spw_group_info(ike_dh_group(dh))->public_len);
		ike_dh_free(dh);
	}
	ike_build_ts(b, IKE_P_TSI, w->tsi ? w->tsi : &any, 1);
	ike_build_ts(b, IKE_P_TSR, w->tsr ? w->tsr : &any, 1);
}

const struct taped *
child_ask(struct net *net, int i, struct child_wish w)
{
	const struct taped *t = puppet_ask(net, i, IKE_X_CREATE_CHILD, child_fill, &w);

	assert_non_null(t);
	assert_true(t->opened);
	return t;
}

void
child_fill_ike_rekey(struct ike_builder *b, void *ctx)
{
	static const struct spw_ike_proposal usual = {
		.encr = SPW_ENCR_AES256_GCM, .prf = SPW_PRF_HMAC_SHA256, .group = SPW_GROUP_ECP256};
	uint8_t nonce[32] = {1};
	struct ike_dh *dh;

	assert_int_equal(ike_dh_new(&dh, SPW_GROUP_ECP256), 0);
	ike_build_sa(b, IKE_PROTO_IKE, 0x1122334455667788, 8, &usual, 1, 1, true);
	ike_build_bytes(b, IKE_P_NONCE, nonce, sizeof(nonce));
	if (!ctx)
		ike_build_ke(b, 19, ike_dh_public(dh), 64);
	ike_dh_free(dh);
}

void
child_fill_delete(struct ike_builder *b, void *ctx)
{
	const uint32_t *spi = ctx;

	ike_build_delete(b, spi, spi ? 1 : 0);
}

uint16_t
child_error(const struct taped *t)
{
	const struct ike_notify *n;

	assert_non_null(t);
	assert_true(t->opened);
	n = ike_wire_error(&t->m);
	return n ? n->type : 0;
}

uint32_t
child_spi(struct net *net, int i)
{
	return net->host[i].active;
}

struct net *
child_waiting(uint64_t seed, uint32_t what, bool delete)
{
	struct net *net = tape_up(seed);

	tape.drop_from[1] = 255;
	if (delete)
		ike_engine_reset(net->host[1].engine, net->now, "azure", what);
	else
		assert_int_equal(ike_engine_rekey(net->host[1].engine, net->now, "azure", what), 0);
	assert_int_not_equal(puppet_sa(net, 1)->req.task, IKE_TASK_NONE);
	return net;
}
