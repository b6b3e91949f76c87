/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bed of the engine's fuzz targets.
 *
 * Plain bytes die at the integrity check, so a target also speaks with the true keys of the peer;
 * plain bytes inside die in the parser, so it also builds payloads by a small program, each byte
 * of which libFuzzer may change. Whatever arrives, these hold: engines with different pre-shared
 * keys establish and install nothing; nothing leaves unprotected but IKE_SA_INIT and an answer of
 * notifies; after it all a handshake comes through; nothing (SAs, SPIs, records of the escrow) is
 * left at the end, which net_free() and the fake data plane see to.
 */
#include "tests/ike/fuzz/bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CLEAR_MAX 256 /* an unprotected answer is short: nobody is to be flooded by it */

void
fuzz_broken(const char *what)
{
	fprintf(stderr, "INVARIANT: %s\n", what);
	abort();
}

/* ---- what leaves ---- */

static bool
clear_payload_ok(uint8_t exchange, uint8_t type)
{
	if (exchange != IKE_X_SA_INIT)
		return type == IKE_P_NOTIFY;
	return type == IKE_P_SA || type == IKE_P_KE || type == IKE_P_NONCE ||
	       type == IKE_P_NOTIFY || type == IKE_P_VENDOR;
}

/* Nothing that should be protected leaves in the clear. */
static enum net_verdict
watch(struct net *net, int from, const struct ike_header *h)
{
	const uint8_t *bytes = net->sending->bytes;
	uint8_t type = h->next;
	size_t at = IKE_HEADER_LEN;

	if (type == IKE_P_SK || type == IKE_P_SKF) {
		if (h->exchange == IKE_X_SA_INIT)
			fuzz_broken("IKE_SA_INIT was protected");
		return NET_PASS;
	}
	if (h->exchange != IKE_X_SA_INIT &&
	    (!(h->flags & IKE_FLAG_RESPONSE) || net->sending->len > CLEAR_MAX))
		fuzz_broken("a request, or a long answer, left unprotected");
	for (; type != IKE_P_NONE; type = bytes[at], at += spw_get_be16(bytes + at + 2))
		if (at + IKE_PAYLOAD_HDR > net->sending->len ||
		    !clear_payload_ok(h->exchange, type))
			fuzz_broken("a payload left unprotected that must not");
	return NET_PASS;
}

/* ---- states ---- */

/* Settings that make long messages: both identities, four proposals. */
static void
lengthen(struct spw_ike_conn *c, uint8_t mine, uint8_t other)
{
	static const uint8_t encr[] = {SPW_ENCR_AES256_GCM, SPW_ENCR_AES192_GCM,
				       SPW_ENCR_AES128_GCM, SPW_ENCR_CHACHA20_POLY1305};

	c->fragment = 576;
	c->local_id = c->remote_id = (struct spw_ike_id){.type = SPW_ID_FQDN, .len = 120};
	memset(c->local_id.data, mine, 120);
	memset(c->remote_id.data, other, 120);
	c->n_esp = 4;
	for (int i = 0; i < 4; i++)
		c->esp[i].encr = encr[i];
}

static void
settle_special(struct spw_ike_conn *c, unsigned int state, int host)
{
	if (state == 11) /* PFS */
		c->esp[0].group = SPW_GROUP_ECP256;
	if (state == 12)
		lengthen(c, (uint8_t)('a' + host), (uint8_t)('b' - host));
	if (state == 17) {
		c->ppk_len = c->ppk_id_len = 5;
		memcpy(c->ppk, "quant", 5);
		memcpy(c->ppk_id, "azure", 5);
	}
	if (state == 18) {
		c->ike[0] =
			(struct spw_ike_proposal){SPW_ENCR_AES256_CBC, SPW_INTEG_HMAC_SHA256_128,
						  SPW_PRF_HMAC_SHA256, SPW_GROUP_MODP2048};
		c->psk_len = 21;
	}
}

static void
connect_hosts(struct net *net, unsigned int state)
{
	struct spw_ike_conn c0 = net_conn(net, 0), c1 = net_conn(net, 1);

	c0.mode = state == 0 ? SPW_IKE_MODE_RESPOND : SPW_IKE_MODE_BOTH;
	c1.mode = state == 10 ? SPW_IKE_MODE_BOTH : SPW_IKE_MODE_RESPOND;
	if (state < FUZZ_STRANGER)
		c1.psk[0] ^= 1;
	if (net->nat)
		c0.local_id = c1.remote_id =
			(struct spw_ike_id){.type = SPW_ID_FQDN, .len = 4, .data = "here"};
	settle_special(&c0, state, 0);
	settle_special(&c1, state, 1);
	net_set(net, 0, &c0);
	net_set(net, 1, &c1);
}

static void
rekey(struct net *net, int i, uint32_t what)
{
	(void)ike_engine_rekey(net->host[i].engine, net->now, "azure", what);
}

/* From an established pair to the state. */
static void
go_on(struct net *net, unsigned int state)
{
	switch (state) {
	case 5: rekey(net, 0, SPW_IKE_RESET_CHILD); break;
	case 6: rekey(net, 0, SPW_IKE_RESET_IKE); break;
	case 7: ike_engine_reset(net->host[0].engine, net->now, "azure", SPW_IKE_RESET_IKE); break;
	case 8:
		rekey(net, 0, SPW_IKE_RESET_CHILD);
		rekey(net, 1, SPW_IKE_RESET_CHILD);
		break;
	case 9:
		rekey(net, 0, SPW_IKE_RESET_IKE);
		rekey(net, 1, SPW_IKE_RESET_IKE);
		break;
	case 11: rekey(net, 0, SPW_IKE_RESET_CHILD); break;
	case 13: net_dataplane_reset(net, 1); break;
	case 14:
		net_kill_at(net, 1, 1, false, 5 * NET_MS);
		rekey(net, 1, SPW_IKE_RESET_CHILD);
		break;
	case 15:
		rekey(net, 1, SPW_IKE_RESET_IKE);
		net_run(net, 15 * NET_MS);
		rekey(net, 0, SPW_IKE_RESET_CHILD);
		break;
	case 16:
		(void)ike_engine_reset(net->host[0].engine, net->now, "azure", SPW_IKE_RESET_CHILD);
		break;
	case 19:
		net_dh(net, 0, 5 * NET_MS, 50 * NET_MS);
		net_dh(net, 1, 5 * NET_MS, 50 * NET_MS);
		rekey(net, 0, SPW_IKE_RESET_IKE);
		break;
	default: break;
	}
}

struct net *
fuzz_bring(unsigned int state)
{
	/* how long after the start the interesting moment is */
	static const uint64_t early_ms[FUZZ_STRANGER] = {0, 15, 5, 25};
	struct net *net = net_new(state + 1);

	spw_log_init("fuzz", SPW_LOG_ERROR);
	net->script = watch;
	net->nat = state == 9;
	connect_hosts(net, state);
	if (state < FUZZ_STRANGER) {
		net_run(net, early_ms[state] * NET_MS);
		return net;
	}
	if (state != 10)
		net_run(net, 1 * NET_S);
	else
		net_run(net, 15 * NET_MS);
	go_on(net, state);
	return net;
}

void
fuzz_finish(struct net *net, unsigned int state)
{
	if (state < FUZZ_STRANGER) {
		net_run(net, 1 * NET_S);
		for (int i = 0; i < 2; i++)
			if (net_ike_sas(net, i) || net->host[i].installs)
				fuzz_broken("established without a verified AUTH");
	}
	connect_hosts(net, 4);
	for (int i = 0; i < 2; i++)
		(void)ike_engine_reset(net->host[i].engine, net->now, "azure", SPW_IKE_RESET_IKE);
	if (!net_run_up(net, 120 * NET_S))
		fuzz_broken("no handshake comes through afterwards");
	net_free(net);
}

/* ---- messages ---- */

void
fuzz_put(struct net *net, int to, const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1); /* exactly as long, for the sanitizer */
	const struct ike_datagram d = {.local = net->host[to].addr,
				       .remote = net->host[!to].addr,
				       .local_port = 500,
				       .remote_port = 500,
				       .bytes = copy,
				       .len = len};

	if (len)
		memcpy(copy, bytes, len);
	ike_engine_input(net->host[to].engine, net->now, &d);
	free(copy);
}

static struct ike_sa *
peer_of(const struct net *net, int to)
{
	const struct ike_sa *at = net->host[to].engine->sas;

	return at ? ike_sa_find(net->host[!to].engine, at->initiator ? at->spi_r : at->spi_i)
		  : NULL;
}

/* A piece: the number and the total stand between the payload's header and the IV. */
static size_t
seal_piece(const struct ike_header *h, struct ike_cipher *c, const struct fuzz_sealing *how,
	   const uint8_t *plain, size_t len, uint8_t *buf)
{
	size_t aad = IKE_HEADER_LEN + 8, iv = ike_cipher_iv_len(c), block = ike_cipher_block(c);
	size_t padded = (len / block + 1) * block,
	       total = aad + iv + padded + ike_cipher_icv_len(c);
	struct ike_builder b;

	ike_build_start(&b, buf, IKE_DATAGRAM_MAX, h);
	memset(buf + IKE_HEADER_LEN, 0, total - IKE_HEADER_LEN);
	buf[16] = IKE_P_SKF;
	spw_put_be32(buf + 24, (uint32_t)total);
	buf[IKE_HEADER_LEN] = how->piece == 1 ? how->first : 0;
	spw_put_be16(buf + IKE_HEADER_LEN + 2, (uint16_t)(total - IKE_HEADER_LEN));
	spw_put_be16(buf + IKE_HEADER_LEN + 4, how->piece);
	spw_put_be16(buf + IKE_HEADER_LEN + 6, how->total);
	memcpy(buf + aad + iv, plain, len);
	buf[aad + iv + padded - 1] = (uint8_t)(padded - len - 1);
	return ike_cipher_seal(c, buf, total, aad) == 0 ? total : 0;
}

static size_t
seal_whole(const struct ike_header *h, struct ike_cipher *c, uint8_t first, const uint8_t *plain,
	   size_t len, uint8_t *buf)
{
	struct ike_builder b;
	size_t total;

	ike_build_start(&b, buf, IKE_DATAGRAM_MAX, h);
	ike_build_sk(&b, c);
	*b.sk = first;
	spw_write_bytes(&b.w, plain, len);
	return ike_build_seal(&b, c, &total) == 0 ? total : 0;
}

void
fuzz_put_sealed(struct net *net, const struct fuzz_sealing *how, const uint8_t *plain, size_t len)
{
	static uint8_t buf[IKE_DATAGRAM_MAX];
	const struct ike_sa *at = net->host[how->to].engine->sas;
	struct ike_sa *peer = peer_of(net, how->to);
	size_t total;

	if (!peer || !peer->seal || len > IKE_DATAGRAM_MAX / 2)
		return;
	const struct ike_header h = {
		.spi_i = at->spi_i,
		.spi_r = at->spi_r,
		.exchange = how->response || !how->exchange ? at->req.exchange : how->exchange,
		.flags = (uint8_t)((how->response ? IKE_FLAG_RESPONSE : 0) |
				   (peer->initiator ? IKE_FLAG_INITIATOR : 0)),
		.mid = (how->response ? at->req.mid : at->next_in) - how->again};

	total = how->total ? seal_piece(&h, peer->seal, how, plain, len, buf)
			   : seal_whole(&h, peer->seal, how->first, plain, len, buf);
	if (total)
		fuzz_put(net, how->to, buf, total);
}

/* ---- payloads by program ---- */

/* What a step may use. */
struct scene {
	const struct spw_ike_conn *conn;
	uint32_t spi; /* the inbound SPI of the sender's child */
	uint8_t arg;
};

static const uint16_t notifies[] = {
#define IKE_NOTIFY(name, number) number,
#include "ike/notify.def"
};

static const uint8_t *
public_value(void)
{
	static struct ike_dh *dh;

	if (!dh && ike_dh_new(&dh, SPW_GROUP_ECP256) != 0)
		fuzz_broken("no key pair");
	return ike_dh_public(dh);
}

static void
step_sa(struct ike_builder *b, const struct scene *s, bool esp)
{
	struct spw_ike_proposal p[2] = {esp ? s->conn->esp[0] : s->conn->ike[0]};

	p[1] = p[0];
	if (s->arg & 1)
		p[0].group = SPW_GROUP_ECP256;
	if (s->arg & 2)
		p[0].encr = SPW_ENCR_AES128_GCM;
	if (s->arg & 4)
		p[1].group = SPW_GROUP_MODP2048;
	ike_build_sa(b,
		     s->arg & 8 ? IKE_PROTO_AH
		     : esp	? IKE_PROTO_ESP
				: IKE_PROTO_IKE,
		     0x10000u + s->arg, esp ? 4 : 8, p, 1 + (s->arg >> 7), 1, !(s->arg & 16));
}

static void
step_ts(struct ike_builder *b, uint8_t type, const struct scene *s)
{
	struct spw_selector ts[3] = {s->conn->sel_local[0], s->conn->sel_local[0],
				     s->conn->sel_local[0]};

	if (s->arg & 1)
		ts[0].low = ts[0].high = spw_addr_v4(0x0a000000u + s->arg);
	if (s->arg & 2)
		ts[1].protocol = 17;
	if (s->arg & 4)
		ts[0].port_low = 0xffff, ts[0].port_high = 0;
	ike_build_ts(b, type, ts, 1 + (s->arg >> 3) % 3);
}

static void
step_notify(struct ike_builder *b, const struct scene *s, const uint8_t *more, size_t left)
{
	uint16_t type = notifies[s->arg % (sizeof(notifies) / sizeof(notifies[0]))];
	size_t len = left ? more[0] % 32 : 0;

	ike_build_notify(b, type, s->arg & 0x80 ? IKE_PROTO_ESP : 0, s->arg & 0x80 ? s->spi : 0,
			 more + 1, left > len ? len : 0);
}

/* One step; `more` is what follows in the program. */
static void
step(struct ike_builder *b, uint8_t op, const struct scene *s, const uint8_t *more, size_t left)
{
	static const uint8_t filler[256] = {1, 2, 3};
	static const uint8_t odd[] = {IKE_P_CERT, IKE_P_CERTREQ, IKE_P_VENDOR, IKE_P_CP, IKE_P_EAP,
				      IKE_P_SK,	  IKE_P_SKF,	 200,	       0x80 | 57};
	const uint32_t spis[2] = {s->arg & 1 ? s->spi : s->arg, s->spi};

	switch (op % 16) {
	case 0: step_sa(b, s, true); break;
	case 1: step_sa(b, s, false); break;
	case 2: ike_build_bytes(b, IKE_P_NONCE, filler, s->arg ? s->arg : 32); break;
	case 3: ike_build_ke(b, 19, public_value(), s->arg & 0x80 ? 63 : 64); break;
	case 4: ike_build_ke(b, s->arg, filler, s->arg); break;
	case 5: step_ts(b, IKE_P_TSI, s); break;
	case 6: step_ts(b, IKE_P_TSR, s); break;
	case 7: step_notify(b, s, more, left); break;
	case 8:
		ike_build_notify(b, IKE_N_REKEY_SA, IKE_PROTO_ESP, s->arg & 1 ? s->arg : s->spi,
				 NULL, 0);
		break;
	case 9: ike_build_delete(b, spis, s->arg & 2 ? 2 : 1); break;
	case 10: ike_build_delete(b, NULL, 0); break;
	case 11:
		ike_build_id(b, s->arg & 1 ? IKE_P_IDI : IKE_P_IDR,
			     s->arg & 2 ? &s->conn->local_id
					: &(struct spw_ike_id){.type = 1,
							       .len = 4,
							       .data = {192, 0, 2, s->arg}});
		break;
	case 12: ike_build_auth(b, filler, s->arg % 65); break;
	case 13: ike_build_bytes(b, odd[s->arg % sizeof(odd)], more, left < 16 ? left : 16); break;
	case 14:
		ike_build_bytes(b, (uint8_t)(33 + s->arg % 16), more, left < 40 ? left : 40);
		break;
	case 15:
		if (spw_writer_len(&b->w) > IKE_HEADER_LEN) /* spoil a byte that is written */
			b->w.start[IKE_HEADER_LEN +
				   s->arg * 3 % (spw_writer_len(&b->w) - IKE_HEADER_LEN)] ^=
				op >> 4 | 1;
		break;
	default: break;
	}
}

size_t
fuzz_chain(const struct net *net, int to, const uint8_t *program, size_t len, uint8_t *out,
	   size_t size, uint8_t *first)
{
	const struct spw_ike_conn conn = net_conn(net, !to);
	const struct ike_sa *at = net->host[to].engine->sas;
	const struct ike_header h = {.spi_i = 1};
	struct scene s = {.conn = &conn,
			  .spi = at && at->children ? at->children->spi_out : 0x77777};
	static uint8_t buf[IKE_DATAGRAM_MAX / 4];
	struct ike_builder b;
	size_t n;

	ike_build_start(&b, buf, sizeof(buf), &h);
	for (size_t i = 0; i + 1 < len && spw_writer_len(&b.w) + 1024 < sizeof(buf); i += 2) {
		s.arg = program[i + 1];
		step(&b, program[i], &s, program + i + 2, len - i - 2);
	}
	n = spw_writer_len(&b.w) - IKE_HEADER_LEN;
	*first = buf[16];
	n = n < size ? n : size;
	memcpy(out, buf + IKE_HEADER_LEN, n);
	return n;
}
