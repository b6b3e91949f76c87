/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Conformance: IKE_AUTH with a pre-shared key (IKE-050 to 066) and extensions that are left out
 * (EXT). IKE_AUTH is written by hand, its AUTH computed from the standard's formula and not by the
 * engine. Computations of AUTH by the engine are counted by the linker.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ike/puppet.h"

#define PSK	 "a shared secret, long"
#define PSK_LEN	 20
#define PAD	 "Key Pad for IKEv2"
#define CHILD_IN 0x7a7a7a7a

static unsigned int auths_computed;

int __real_ike_keys_auth(enum spw_prf prf, const struct spw_secret *psk,
			 const struct ike_chunk *message, const struct ike_nonce *nonce,
			 const struct spw_secret *p, const struct ike_chunk *id, uint8_t *out);
int __wrap_ike_keys_auth(enum spw_prf prf, const struct spw_secret *psk,
			 const struct ike_chunk *message, const struct ike_nonce *nonce,
			 const struct spw_secret *p, const struct ike_chunk *id, uint8_t *out);

int
__wrap_ike_keys_auth(enum spw_prf prf, const struct spw_secret *psk,
		     const struct ike_chunk *message, const struct ike_nonce *nonce,
		     const struct spw_secret *p, const struct ike_chunk *id, uint8_t *out)
{
	auths_computed++;
	return __real_ike_keys_auth(prf, psk, message, nonce, p, id, out);
}

enum part { IDI = 1, IDR = 2, AUTH = 4, SA = 8, TSI = 16, TSR = 32 };

/* An IKE_AUTH message; all zero = what the peer expects. */
struct auth_parts {
	unsigned int missing, twice; /* enum part */
	const char *psk, *pad;
	size_t psk_len, pad_len;
	uint8_t method;
	struct ike_chunk id;	  /* content of the signer's ID payload */
	struct ike_chunk other;	  /* of the other ID payload */
	struct ike_chunk claimed; /* sent instead of `id`, which AUTH covers */
	void (*more)(struct ike_builder *b);
};

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
	const struct ike_chunk pad = {p->pad ? p->pad : PAD, p->pad ? p->pad_len : 17};
	uint8_t key[32], maced[32];
	const struct ike_chunk octets[] = {{sa->own_init.bytes, sa->own_init.len},
					   {nonce->bytes, nonce->len},
					   {maced, sizeof(maced)}};

	assert_int_equal(ike_prf(SPW_PRF_HMAC_SHA256, p->psk ? p->psk : PSK,
				 p->psk ? p->psk_len : PSK_LEN, &pad, 1, key),
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
	const struct spw_selector any = {
		.low = spw_addr_v4(0), .high = spw_addr_v4(0xffffffff), .port_high = 65535};
	bool initiator = puppet_sa(net, i)->initiator;
	uint8_t own[8], peer[8], auth[36] = {p->method ? p->method : 2};
	struct ike_chunk id = {own, 8}, other = {peer, 8};

	default_id(net, i, own);
	default_id(net, !i, peer);
	id = p->id.bytes ? p->id : id;
	other = p->other.bytes ? p->other : other;
	make_auth(net, i, p, &id, auth + 4);
	id = p->claimed.bytes ? p->claimed : id;
	for (unsigned int n = times(p, IDI); n > 0; n--)
		ike_build_bytes(b, IKE_P_IDI, initiator ? id.bytes : other.bytes,
				initiator ? id.len : other.len);
	if (!initiator)
		ike_build_rewind(b); /* an answer has no IDi */
	for (unsigned int n = times(p, IDR); n > 0; n--)
		ike_build_bytes(b, IKE_P_IDR, initiator ? other.bytes : id.bytes,
				initiator ? other.len : id.len);
	for (unsigned int n = times(p, AUTH); n > 0; n--)
		ike_build_bytes(b, IKE_P_AUTH, auth, sizeof(auth));
	for (unsigned int n = times(p, SA); n > 0; n--)
		ike_build_sa(b, IKE_PROTO_ESP, CHILD_IN, 4, &esp, 1, 1, false);
	for (unsigned int n = times(p, TSI); n > 0; n--)
		ike_build_ts(b, IKE_P_TSI, &any, 1);
	for (unsigned int n = times(p, TSR); n > 0; n--)
		ike_build_ts(b, IKE_P_TSR, &any, 1);
	if (p->more)
		p->more(b);
}

/* Host 0 sends this IKE_AUTH; what host 1 answers, NULL = nothing. */
static const struct taped *
authenticate(struct net *net, const struct auth_parts *p)
{
	struct ike_builder b;

	tape_clear();
	puppet_begin(net, 0, &b, IKE_X_AUTH, false, 1);
	fill_auth(net, 0, &b, p);
	puppet_send(net, 0, &b);
	return tape_count(1, IKE_X_AUTH, true) ? tape_last(1, IKE_X_AUTH, true) : NULL;
}

/* The error that one such IKE_AUTH brings; 0 = established. Nothing may be left of a failed one. */
static uint16_t
outcome(const struct auth_parts *p)
{
	struct net *net = tape_half(1);
	const struct taped *t = authenticate(net, p);
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

static void
ike_050_auth_is_by_the_formula_and_of_method_2(void **state)
{
	static const uint8_t methods[] = {1, 3, 9, 10, 11, 12, 13, 14, 255};
	const struct auth_parts good = {0}, with_nul = {.pad = PAD, .pad_len = 18};

	assert_int_equal(outcome(&good), 0);
	assert_int_equal(outcome(&with_nul), IKE_N_AUTHENTICATION_FAILED);
	for (size_t i = 0; i < sizeof(methods); i++) {
		const struct auth_parts p = {.method = methods[i]};

		assert_int_equal(outcome(&p), IKE_N_AUTHENTICATION_FAILED);
	}
}

static void
ike_051_keys_of_any_length_and_content_are_taken_as_they_are(void **state)
{
	static const uint32_t lengths[] = {1, 2, 63, 64, 65, 128, 255, 256};

	for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
		struct net *net = tape_net(2);
		char key[257];

		for (size_t i = 0; i < sizeof(key); i++)
			key[i] = "a b\tc\0d \xff"[i % 9];
		for (int i = 1; i >= 0; i--) {
			struct spw_ike_conn c = net_conn(net, i);

			c.mode = i ? SPW_IKE_MODE_RESPOND : SPW_IKE_MODE_INITIATE;
			c.psk_len = lengths[k];
			memcpy(c.psk, key, lengths[k]);
			net_set(net, i, &c);
		}
		tape.drop_from[0] = IKE_X_AUTH;
		net_run(net, 100 * NET_MS);
		const struct auth_parts p = {.psk = key, .psk_len = lengths[k]};

		assert_true(authenticate(net, &p)->m.has_auth);
		tape_free(net);
	}
}

static void
ike_052_key_and_identities_are_refused_alike_after_the_same_work(void **state)
{
	static const uint8_t stranger[8] = {SPW_ID_FQDN, 0, 0, 0, 'n', 'o', 'n', 'e'};
	const struct auth_parts wrong[] = {
		{.psk = "x", .psk_len = 1},
		{.id = {stranger, 8}},
		{.other = {stranger, 8}},
	};
	uint8_t first[64];
	size_t len = 0;
	unsigned int work = 0;

	for (int i = 0; i < 3; i++) {
		struct net *net = tape_half(3);
		const struct taped *t;

		auths_computed = 0;
		t = authenticate(net, &wrong[i]);
		assert_int_equal(t->m.notify[0].type, IKE_N_AUTHENTICATION_FAILED);
		assert_true(t->plain_len < sizeof(first));
		if (i == 0) {
			memcpy(first, t->plain, t->plain_len);
			len = t->plain_len;
			work = auths_computed;
		}
		assert_int_equal(t->plain_len, len);
		assert_memory_equal(t->plain, first, len);
		assert_int_equal(auths_computed, work);
		assert_int_equal(net_ike_sas(net, 1), 0);
		assert_int_equal(tape_count(1, IKE_X_INFORMATIONAL, false), 0);
		tape_free(net);
	}
	assert_true(work > 0);
}

/* Whichever of two keys it is, or none, and whether there are two: the same work. */
static void
ike_052_two_keys_are_tried_with_the_same_work_as_one(void **state)
{
	static const struct auth_parts p[] = {
		{0}, {.psk = "next", .psk_len = 4}, {.psk = "none", .psk_len = 4}};
	unsigned int work[2][3];

	for (int two = 0; two < 2; two++)
		for (int i = 0; i < 3; i++) {
			struct net *net = tape_half(6);
			struct spw_ike_conn c = net->host[1].conn;

			c.next_psk_len = two ? 4 : 0;
			memcpy(c.next_psk, "next", 4);
			/* as it would have been from the beginning */
			ike_psk_unload(net->host[1].engine->conns);
			assert_int_equal(ike_psk_load(net->host[1].engine->conns, &c), 0);
			assert_int_equal(ike_conn_mark(net->host[1].engine->conns), 0);
			auths_computed = 0;
			assert_int_equal(authenticate(net, &p[i])->m.has_auth,
					 i == 0 || (two && i == 1));
			work[two][i] = auths_computed - (i == 0 || (two && i == 1)); /* ours */
			tape_free(net);
		}
	for (int i = 0; i < 6; i++)
		assert_int_equal(work[i / 3][i % 3], work[0][0]);
	assert_int_equal(work[0][0], 2);
}

static void
ike_054_every_kind_of_identity_is_sent_and_matched(void **state)
{
	static const struct spw_ike_id ids[] = {
		{.type = SPW_ID_IPV4, .len = 4, .data = {10, 0, 0, 1}},
		{.type = SPW_ID_IPV6, .len = 16, .data = {0x20, 1, 0xd, 0xb8}},
		{.type = SPW_ID_FQDN, .len = 11, .data = "gw.contoso."},
		{.type = SPW_ID_RFC822, .len = 5, .data = "a@b.c"},
		{.type = SPW_ID_KEY_ID, .len = 3, .data = {0, 0xff, 7}},
		{.type = SPW_ID_FQDN, .len = SPW_IKE_ID_MAX, .data = {'z'}},
	};

	for (size_t k = 0; k < sizeof(ids) / sizeof(ids[0]); k++)
		for (int match = 0; match < 2; match++) {
			struct net *net = tape_net(4);
			struct spw_ike_conn c[2] = {net_conn(net, 0), net_conn(net, 1)};

			c[0].mode = SPW_IKE_MODE_INITIATE;
			c[1].mode = SPW_IKE_MODE_RESPOND;
			c[0].local_id = c[1].remote_id = ids[k];
			c[0].remote_id = c[1].local_id = ids[(k + 1) % 6];
			if (!match)
				c[1].remote_id.data[0] ^= 1;
			net_set(net, 1, &c[1]);
			net_set(net, 0, &c[0]);
			assert_int_equal(net_run_up(net, 2 * NET_S), match);
			tape_free(net);
		}
}

static void
ike_054_identities_of_a_wrong_length_are_refused(void **state)
{
	static const uint8_t v4[] = {SPW_ID_IPV4, 0, 0, 0, 1, 2, 3, 4, 5};
	static const uint8_t v6[] = {SPW_ID_IPV6, 0, 0, 0, 1, 2, 3, 4};
	static uint8_t giant[4000] = {SPW_ID_FQDN};
	const struct {
		struct ike_chunk id;
		uint16_t error;
	} t[] = {
		{{v4, 7}, IKE_N_INVALID_SYNTAX},    {{v4, 9}, IKE_N_INVALID_SYNTAX},
		{{v6, 8}, IKE_N_INVALID_SYNTAX},    {{v4, 4}, IKE_N_INVALID_SYNTAX},
		{{giant, 4}, IKE_N_INVALID_SYNTAX}, {{giant, 4000}, IKE_N_AUTHENTICATION_FAILED},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const struct auth_parts p = {.id = t[i].id};

		assert_int_equal(outcome(&p), t[i].error);
	}
}

static void
ike_006_reserved_octets_of_an_identity_are_covered_by_auth(void **state)
{
	static const uint8_t odd[8] = {SPW_ID_IPV4, 1, 2, 3, 192, 0, 2, 1};
	static const uint8_t even[8] = {SPW_ID_IPV4, 0, 0, 0, 192, 0, 2, 1};
	const struct auth_parts covered = {.id = {odd, 8}};
	const struct auth_parts not_covered = {.id = {even, 8}, .claimed = {odd, 8}};

	assert_int_equal(outcome(&covered), 0);
	assert_int_equal(outcome(&not_covered), IKE_N_AUTHENTICATION_FAILED);
}

static void
ike_055_missing_and_doubled_payloads_of_a_request_are_told(void **state)
{
	static const unsigned int parts[] = {IDI, AUTH, SA, TSI, TSR};

	for (size_t i = 0; i < 5; i++) {
		const struct auth_parts missing = {.missing = parts[i]};
		const struct auth_parts twice = {.twice = parts[i]};

		assert_int_equal(outcome(&missing), parts[i] == AUTH ? IKE_N_AUTHENTICATION_FAILED
								     : IKE_N_INVALID_SYNTAX);
		assert_int_equal(outcome(&twice), IKE_N_INVALID_SYNTAX);
	}
	const struct auth_parts no_idr = {.missing = IDR};

	assert_int_equal(outcome(&no_idr), 0); /* that one may be left out */
}

/* Host 1 answers the IKE_AUTH of host 0 by hand. */
static struct net *
answered(const struct auth_parts *p)
{
	struct net *net = tape_half(5);
	struct ike_builder b;

	tape_clear();
	puppet_begin(net, 1, &b, IKE_X_AUTH, true, 1);
	fill_auth(net, 1, &b, p);
	puppet_send(net, 1, &b);
	return net;
}

static void
ike_055_missing_and_doubled_payloads_of_an_answer_are_survived(void **state)
{
	static const unsigned int parts[] = {IDR, AUTH, SA, TSI, TSR};

	for (size_t i = 0; i < 5; i++)
		for (int twice = 0; twice < 2; twice++) {
			const struct auth_parts p = {.missing = twice ? 0 : parts[i],
						     .twice = twice ? parts[i] : 0};
			struct net *net = answered(&p);

			/* without its child the IKE SA is good */
			assert_int_equal(net_ike_sas(net, 0), !twice && parts[i] >= SA);
			assert_int_equal(net_sas(net, 0), 0);
			tape_free(net);
		}
}

static void
ike_057_there_is_no_key_exchange_in_ike_auth(void **state)
{
	struct net *net = tape_net(6);

	for (int i = 1; i >= 0; i--) {
		struct spw_ike_conn c = net_conn(net, i);

		c.mode = i ? SPW_IKE_MODE_RESPOND : SPW_IKE_MODE_INITIATE;
		c.esp[0].group = SPW_GROUP_ECP384;
		net_set(net, i, &c);
	}
	assert_true(net_run_up(net, 2 * NET_S));
	for (int i = 0; i < 2; i++) {
		const struct taped *t = tape_last(i, IKE_X_AUTH, i);

		assert_true(t->opened && t->m.has_sa && !t->m.has_ke && !t->m.has_nonce);
		for (unsigned int k = 0; k < t->m.sa.n_transforms; k++)
			assert_int_not_equal(t->m.sa.transform[k].type, SPW_TRANSFORM_DH);
	}
	tape_free(net);
}

static void
more_initial_contact(struct ike_builder *b)
{
	ike_build_notify(b, IKE_N_INITIAL_CONTACT, 0, 0, NULL, 0);
}

static void
ike_058_initial_contact_counts_only_with_a_good_auth(void **state)
{
	for (int good = 0; good < 2; good++) {
		struct net *net = tape_up(7);
		struct spw_ike_conn c = net_conn(net, 0);
		const struct auth_parts p = {.more = more_initial_contact,
					     .psk = good ? PSK : "no",
					     .psk_len = good ? PSK_LEN : 2};
		uint32_t before = net->host[1].active;

		net_run(net, 20 * NET_S);
		net_reboot(net, 0, false);
		tape.drop_from[0] = tape.drop_from[1] = IKE_X_AUTH;
		net_set(net, 0, &c);
		net_run(net, 100 * NET_MS);
		authenticate(net, &p);
		assert_int_equal(net_ike_sas(net, 1), 1); /* the new one or the old one */
		assert_int_equal(net->host[1].active != before, good);
		assert_int_equal(tape_count(1, IKE_X_INFORMATIONAL, false), 0); /* silently */
		tape_free(net);
	}
}

static void
ike_059_initial_contact_is_sent_when_nothing_else_stands(void **state)
{
	for (int orphan = 0; orphan < 2; orphan++) {
		struct net *net = tape_net(8);

		net->host[0].engine->config.no_initial_contact = orphan;
		net_connect(net, SPW_IKE_MODE_INITIATE, SPW_IKE_MODE_RESPOND);
		assert_true(net_run_up(net, 2 * NET_S));
		assert_int_equal(ike_wire_notify(&tape_last(0, IKE_X_AUTH, false)->m,
						 IKE_N_INITIAL_CONTACT) != NULL,
				 !orphan);
		net_run(net, 1 * NET_S);
		net->host[0].engine->conns->renew = true;
		ike_wake_conn(net->host[0].engine->conns);
		net->host[0].engine->config.no_initial_contact = false;
		ike_engine_tick(net->host[0].engine, net->now);
		net_run(net, 1 * NET_S);
		assert_int_equal(tape_count(0, IKE_X_AUTH, false), 2);
		assert_null(ike_wire_notify(&tape_last(0, IKE_X_AUTH, false)->m,
					    IKE_N_INITIAL_CONTACT));
		tape_free(net);
	}
}

static void
ike_061_a_half_open_ike_sa_cannot_be_rekeyed(void **state)
{
	struct net *net = tape_half(9);
	struct spw_ike_conn c = net_conn(net, 1);
	struct ike_builder b;
	uint8_t nonce[32] = {1};
	struct ike_dh *dh;

	assert_int_equal(ike_dh_new(&dh, SPW_GROUP_ECP256), 0);
	puppet_begin(net, 0, &b, IKE_X_CREATE_CHILD, false, 1);
	ike_build_sa(&b, IKE_PROTO_IKE, 0x1122334455667788, 8, c.ike, 1, 1, true);
	ike_build_bytes(&b, IKE_P_NONCE, nonce, sizeof(nonce));
	ike_build_ke(&b, 19, ike_dh_public(dh), 64);
	tape_clear();
	puppet_send(net, 0, &b);
	ike_dh_free(dh);
	assert_int_equal(tape.n, 0);
	assert_int_equal(net_ike_sas(net, 1), 0);
	assert_null(net->host[1].engine->sas->next);
	tape_free(net);
}

/* ---- a mirror ---- */

static void
mirror(struct net *net, const struct taped *t)
{
	uint8_t copy[4096];

	assert_true(t->len <= sizeof(copy));
	memcpy(copy, t->bytes, t->len);
	net_inject(net, 0, copy, t->len, t->local_port);
	copy[19] ^= IKE_FLAG_RESPONSE; /* and as if it were the answer */
	net_inject(net, 0, copy, t->len, t->local_port);
	copy[19] ^= IKE_FLAG_RESPONSE | IKE_FLAG_INITIATOR;
	net_inject(net, 0, copy, t->len, t->local_port);
}

static void
ike_062_our_own_messages_never_authenticate_anybody(void **state)
{
	for (int same_id = 0; same_id < 2; same_id++) {
		struct net *net = tape_net(10);
		struct spw_ike_conn c = net_conn(net, 0);

		/* the worst case: both ends are configured with one identity */
		if (same_id)
			c.local_id = c.remote_id =
				(struct spw_ike_id){.type = SPW_ID_FQDN, .len = 4, .data = "same"};
		tape.on_send = mirror;
		net_set(net, 0, &c);
		for (int s = 0; s < 60; s++) {
			net_run(net, 1 * NET_S);
			tape_clear();
			assert_int_equal(net_ike_sas(net, 0), 0);
			assert_int_equal(net->host[0].installs, 0);
		}
		tape_free(net);
	}
}

/* ---- errors after IKE_AUTH ---- */

static void
ike_063_an_answer_we_do_not_believe_is_told_once_and_forgotten(void **state)
{
	const struct auth_parts p = {.psk = "no", .psk_len = 2};
	struct net *net = answered(&p);

	assert_int_equal(tape_count(0, IKE_X_INFORMATIONAL, false), 1);
	assert_int_equal(tape_last(0, IKE_X_INFORMATIONAL, false)->m.notify[0].type,
			 IKE_N_AUTHENTICATION_FAILED);
	assert_int_equal(net_ike_sas(net, 0), 0);
	assert_int_equal(net->host[0].installs, 0);
	tape_free(net);
}

static void
fill_error(struct ike_builder *b, void *ctx)
{
	ike_build_notify(b, *(const uint16_t *)ctx, 0, 0, NULL, 0);
}

static void
ike_063_a_peer_that_does_not_believe_us_ends_the_ike_sa(void **state)
{
	static const uint16_t errors[] = {IKE_N_AUTHENTICATION_FAILED, IKE_N_INVALID_SYNTAX};

	for (int i = 0; i < 2; i++) {
		struct net *net = tape_up(11);
		uint16_t error = errors[i];
		const struct taped *t = puppet_ask(net, 0, IKE_X_INFORMATIONAL, fill_error, &error);

		assert_true(t && t->plain_len == 0);
		assert_int_equal(net_ike_sas(net, 1), 0);
		assert_int_equal(net_sas(net, 1), 0);
		tape_free(net);
	}
}

static void
ike_064_a_request_without_auth_is_refused(void **state)
{
	const struct auth_parts p = {.missing = AUTH};

	assert_int_equal(outcome(&p), IKE_N_AUTHENTICATION_FAILED);
}

static void
more_certificates(struct ike_builder *b)
{
	ike_build_bytes(b, IKE_P_CERT, "\4garbage", 8);
	ike_build_bytes(b, IKE_P_CERT, "", 0);
	ike_build_bytes(b, IKE_P_CERTREQ, "\4\xff", 2);
	ike_build_bytes(b, IKE_P_CERTREQ, "", 0);
}

static void
ike_065_certificates_are_not_looked_at(void **state)
{
	const struct auth_parts p = {.more = more_certificates};

	assert_int_equal(outcome(&p), 0);
}

static void
more_wishes(struct ike_builder *b)
{
	static const uint16_t wishes[] = {IKE_N_USE_TRANSPORT_MODE,
					  IKE_N_NON_FIRST_FRAGMENTS_ALSO,
					  IKE_N_ESP_TFC_PADDING_NOT_SUPPORTED,
					  IKE_N_MOBIKE_SUPPORTED,
					  IKE_N_CHILDLESS_IKEV2_SUPPORTED,
					  16442,
					  16406,
					  50000};

	for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++)
		ike_build_notify(b, wishes[i], 0, 0, NULL, 0);
	ike_build_notify(b, IKE_N_IPCOMP_SUPPORTED, 0, 0, "\0\1\2", 3);
	ike_build_bytes(b, IKE_P_CP, "\1\0\0\0\0\1\0\0", 8);
}

/* Wishes that are not granted are not mentioned: a plain tunnel comes of it. */
static void
expect_no_wish(void)
{
	const struct auth_parts p = {.more = more_wishes};
	struct net *net = tape_half(12);
	const struct taped *t = authenticate(net, &p);

	assert_true(t && t->m.has_auth && t->m.has_sa && t->m.has_tsi);
	assert_int_equal(t->m.n_notifies, 1); /* a token, which nobody has to wish for */
	assert_int_equal(t->m.notify[0].type, IKE_N_QCD_TOKEN);
	assert_false(t->m.has_cp);
	assert_int_equal(net->host[1].installs, 1);
	tape_free(net);
}

static void
ike_066_transport_mode_and_compression_are_not_agreed_to(void **state)
{
	expect_no_wish();
}

static void
ike_144_a_wish_for_an_address_is_not_granted(void **state)
{
	expect_no_wish();
}

static void
ext_01_mobike_is_neither_agreed_to_nor_acted_on(void **state)
{
	struct net *net = tape_up(13);
	uint16_t update = 16400; /* UPDATE_SA_ADDRESSES of RFC 4555 */
	const struct spw_addr remote = puppet_sa(net, 1)->remote;
	const struct taped *t = puppet_ask(net, 0, IKE_X_INFORMATIONAL, fill_error, &update);

	assert_true(t && t->plain_len == 0);
	assert_true(spw_addr_equal(&remote, &puppet_sa(net, 1)->remote));
	assert_int_equal(net->host[1].moves, 0);
	expect_no_wish();
	tape_free(net);
}

static void
ext_06_an_exchange_nobody_agreed_to_is_refused(void **state)
{
	struct net *net = tape_half(14);
	struct ike_builder b;

	puppet_begin(net, 0, &b, 43, false, 1); /* IKE_INTERMEDIATE of RFC 9242 */
	puppet_send(net, 0, &b);
	assert_int_equal(net_ike_sas(net, 1), 0);
	assert_int_equal(net->host[1].installs, 0);
	tape_free(net);
}

static void
ext_09_aggregation_is_not_agreed_to(void **state)
{
	expect_no_wish();
}

static void
fill_ah(struct ike_builder *b, void *ctx)
{
	const struct spw_selector any = {
		.low = spw_addr_v4(0), .high = spw_addr_v4(0xffffffff), .port_high = 65535};
	uint8_t nonce[32] = {1};

	/* HMAC-SHA2-256-128 and 32-bit sequence numbers */
	ike_build_bytes(b, IKE_P_SA, "\0\0\0\34\1\2\4\2zzzz\3\0\0\10\3\0\0\14\0\0\0\10\5\0\0\0",
			28);
	ike_build_bytes(b, IKE_P_NONCE, nonce, sizeof(nonce));
	ike_build_ts(b, IKE_P_TSI, &any, 1);
	ike_build_ts(b, IKE_P_TSR, &any, 1);
}

static void
ext_10_ah_is_refused(void **state)
{
	struct net *net = tape_up(15);
	const struct taped *t = puppet_ask(net, 0, IKE_X_CREATE_CHILD, fill_ah, NULL);

	assert_int_equal(t->m.notify[0].type, IKE_N_NO_PROPOSAL_CHOSEN);
	assert_int_equal(net_ike_sas(net, 1), 1);
	tape_free(net);
}

static void
ext_11_packets_of_ikev1_are_dropped(void **state)
{
	struct net *net = tape_up(16);
	uint8_t main_mode[64] = {[7] = 1, [16] = 1, [17] = 0x10, [18] = 2, [27] = 64};

	tape_clear();
	for (int flags = 0; flags < 256; flags++) {
		main_mode[19] = (uint8_t)flags;
		puppet_raw(net, 1, &net->host[0].addr, 500, 500, main_mode, sizeof(main_mode));
	}
	assert_int_equal(tape.n, 0);
	assert_null(net->host[1].engine->sas->next);
	tape_free(net);
}

static void
ext_14_an_ike_sa_without_a_child_is_not_agreed_to(void **state)
{
	const struct auth_parts p = {.missing = SA | TSI | TSR};

	assert_int_equal(outcome(&p), IKE_N_INVALID_SYNTAX);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ike_050_auth_is_by_the_formula_and_of_method_2),
		cmocka_unit_test(ike_051_keys_of_any_length_and_content_are_taken_as_they_are),
		cmocka_unit_test(ike_052_key_and_identities_are_refused_alike_after_the_same_work),
		cmocka_unit_test(ike_052_two_keys_are_tried_with_the_same_work_as_one),
		cmocka_unit_test(ike_054_every_kind_of_identity_is_sent_and_matched),
		cmocka_unit_test(ike_054_identities_of_a_wrong_length_are_refused),
		cmocka_unit_test(ike_006_reserved_octets_of_an_identity_are_covered_by_auth),
		cmocka_unit_test(ike_055_missing_and_doubled_payloads_of_a_request_are_told),
		cmocka_unit_test(ike_055_missing_and_doubled_payloads_of_an_answer_are_survived),
		cmocka_unit_test(ike_057_there_is_no_key_exchange_in_ike_auth),
		cmocka_unit_test(ike_058_initial_contact_counts_only_with_a_good_auth),
		cmocka_unit_test(ike_059_initial_contact_is_sent_when_nothing_else_stands),
		cmocka_unit_test(ike_061_a_half_open_ike_sa_cannot_be_rekeyed),
		cmocka_unit_test(ike_062_our_own_messages_never_authenticate_anybody),
		cmocka_unit_test(ike_063_an_answer_we_do_not_believe_is_told_once_and_forgotten),
		cmocka_unit_test(ike_063_a_peer_that_does_not_believe_us_ends_the_ike_sa),
		cmocka_unit_test(ike_064_a_request_without_auth_is_refused),
		cmocka_unit_test(ike_065_certificates_are_not_looked_at),
		cmocka_unit_test(ike_066_transport_mode_and_compression_are_not_agreed_to),
		cmocka_unit_test(ike_144_a_wish_for_an_address_is_not_granted),
		cmocka_unit_test(ext_01_mobike_is_neither_agreed_to_nor_acted_on),
		cmocka_unit_test(ext_06_an_exchange_nobody_agreed_to_is_refused),
		cmocka_unit_test(ext_09_aggregation_is_not_agreed_to),
		cmocka_unit_test(ext_10_ah_is_refused),
		cmocka_unit_test(ext_11_packets_of_ikev1_are_dropped),
		cmocka_unit_test(ext_14_an_ike_sa_without_a_child_is_not_agreed_to),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
