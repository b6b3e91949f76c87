/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IKE_AUTH by hand, of either end of a half-open IKE SA: payloads may be missing, doubled or other
 * than AUTH covers. The keys are the engine's own, the formula is not.
 */
#include "tests/ike/puppet_auth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CHILD_IN 0x7a7a7a7a

static void
default_id(const struct net *net, int i, uint8_t id[8])
{
	memset(id, 0, 8);
	id[0] = SPW_ID_IPV4;
	memcpy(id + 4, net->host[i].addr.bytes, 4);
}

/* RFC 7296 2.15 by hand: the AUTH of host i's SA over its first message. 32 bytes. */
static void
make_auth(struct net *net, int i, const struct auth_parts *p, const struct ike_chunk *id,
	  uint8_t out[32])
{
	const struct ike_sa *sa = puppet_sa(net, i);
	const struct ike_nonce *nonce = sa->initiator ? &sa->nr : &sa->ni;
	const struct spw_secret *sk = sa->initiator ? &sa->keys.pi : &sa->keys.pr;
	const struct ike_chunk pad = {p->pad ? p->pad : AUTH_PAD, p->pad ? p->pad_len : 17};
	uint8_t key[32], maced[32];
	const struct ike_chunk octets[] = {{sa->own_init.bytes, sa->own_init.len},
					   {nonce->bytes, nonce->len},
					   {maced, sizeof(maced)}};

	assert_int_equal(ike_prf(SPW_PRF_HMAC_SHA256, p->psk ? p->psk : AUTH_PSK,
				 p->psk ? p->psk_len : AUTH_PSK_LEN, &pad, 1, key),
			 0);
	assert_int_equal(ike_prf(SPW_PRF_HMAC_SHA256, sk->bytes, sk->len, id, 1, maced), 0);
	assert_int_equal(ike_prf(SPW_PRF_HMAC_SHA256, key, 32, octets, 3, out), 0);
}

static unsigned int
times(const struct auth_parts *p, unsigned int part)
{
	return p->missing & part ? 0 : p->twice & part ? 2 : 1;
}

static void
fill_auth(struct net *net, int i, struct ike_builder *b, const struct auth_parts *p)
{
	const struct spw_ike_proposal esp = {.encr = SPW_ENCR_AES256_GCM};
	const struct spw_selector any = net_any();
	bool initiator = puppet_sa(net, i)->initiator;
	uint8_t own[8], peer[8], auth[36] = {p->method ? p->method : 2};
	struct ike_chunk id = {own, 8}, other = {peer, 8};

	default_id(net, i, own);
	default_id(net, !i, peer);
	id = p->id.bytes ? p->id : id;
	other = p->other.bytes ? p->other : other;
	make_auth(net, i, p, &id, auth + 4);
	id = p->claimed.bytes ? p->claimed : id;
	for (unsigned int n = times(p, AUTH_PART_IDI); n > 0; n--)
		ike_build_bytes(b, IKE_P_IDI, initiator ? id.bytes : other.bytes,
				initiator ? id.len : other.len);
	if (!initiator)
		ike_build_rewind(b); /* an answer has no IDi */
	for (unsigned int n = times(p, AUTH_PART_IDR); n > 0; n--)
		ike_build_bytes(b, IKE_P_IDR, initiator ? other.bytes : id.bytes,
				initiator ? other.len : id.len);
	for (unsigned int n = times(p, AUTH_PART_AUTH); n > 0; n--)
		ike_build_bytes(b, IKE_P_AUTH, auth, sizeof(auth));
	for (unsigned int n = times(p, AUTH_PART_SA); n > 0; n--)
		ike_build_sa(b, IKE_PROTO_ESP, CHILD_IN, 4, &esp, 1, 1, false);
	for (unsigned int n = times(p, AUTH_PART_TSI); n > 0; n--)
		ike_build_ts(b, IKE_P_TSI, &any, 1);
	for (unsigned int n = times(p, AUTH_PART_TSR); n > 0; n--)
		ike_build_ts(b, IKE_P_TSR, &any, 1);
	if (p->more)
		p->more(b);
}

const struct taped *
auth_send(struct net *net, const struct auth_parts *p)
{
	struct ike_builder b;

	tape_clear();
	puppet_begin(net, 0, &b, IKE_X_AUTH, false, 1);
	fill_auth(net, 0, &b, p);
	puppet_send(net, 0, &b);
	return tape_count(1, IKE_X_AUTH, true) ? tape_last(1, IKE_X_AUTH, true) : NULL;
}

uint16_t
auth_outcome(const struct auth_parts *p)
{
	struct net *net = tape_half(1);
	const struct taped *t = auth_send(net, p);
	uint16_t error;

	assert_non_null(t);
	error = t->m.has_auth ? 0 : t->m.notify[0].type;
	if (error) {
		assert_int_equal(t->m.n_notifies, 1);
		assert_int_equal(net->host[1].installs, 0);
		assert_int_equal(tape_count(1, IKE_X_INFORMATIONAL, false), 0); /* no Delete */
	}
	assert_int_equal(net_ike_sas(net, 1), error == 0);
	tape_free(net);
	return error;
}

struct net *
auth_answered(const struct auth_parts *p)
{
	struct net *net = tape_half(5);
	struct ike_builder b;

	tape_clear();
	puppet_begin(net, 1, &b, IKE_X_AUTH, true, 1);
	fill_auth(net, 1, &b, p);
	puppet_send(net, 1, &b);
	return net;
}
