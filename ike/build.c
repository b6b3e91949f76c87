/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The builder of IKEv2 messages: plain and protected, and every payload we send.
 *
 * A message grows in a caller's buffer through a bounded writer that latches overflow, so only
 * the finish checks it. The type of a payload is put into the "next payload" byte of the one
 * before when it is opened, its length when it is closed. Reserved bits are zero, payloads go in
 * the order of the figures of RFC 7296. Of a protected message the padding is the shortest that
 * fits (3.14). No allocation, no state; any thread.
 */
#include <errno.h>
#include <string.h>

#include "ike/wire.h"

#define VERSION_2 0x20

void
ike_build_start(struct ike_builder *b, void *buf, size_t size, const struct ike_header *h)
{
	memset(b, 0, sizeof(*b));
	spw_writer_init(&b->w, buf, size);
	spw_write_u64(&b->w, h->spi_i);
	spw_write_u64(&b->w, h->spi_r);
	b->next = spw_write_reserve(&b->w, 1);
	if (b->next)
		*b->next = IKE_P_NONE;
	spw_write_u8(&b->w, VERSION_2);
	spw_write_u8(&b->w, h->exchange);
	spw_write_u8(&b->w, h->flags);
	spw_write_u32(&b->w, h->mid);
	spw_write_u32(&b->w, 0); /* length, put in at the end */
}

void
ike_build_open(struct ike_builder *b, uint8_t type)
{
	if (b->next)
		*b->next = type;
	b->payload = spw_write_reserve(&b->w, IKE_PAYLOAD_HDR);
	if (!b->payload)
		return;
	memset(b->payload, 0, IKE_PAYLOAD_HDR);
	b->next = b->payload;
}

void
ike_build_close(struct ike_builder *b)
{
	if (!b->w.bad && b->payload)
		spw_put_be16(b->payload + 2, (uint16_t)(b->w.at - b->payload));
	b->payload = NULL;
}

void
ike_build_sk(struct ike_builder *b, const struct ike_cipher *c)
{
	uint8_t *iv;

	ike_build_open(b, IKE_P_SK);
	b->sk = b->payload;
	iv = spw_write_reserve(&b->w, ike_cipher_iv_len(c));
	if (iv)
		memset(iv, 0, ike_cipher_iv_len(c));
	b->inner = b->w.at;
}

void
ike_build_rewind(struct ike_builder *b)
{
	if (!b->sk)
		return;
	b->w.at = b->inner;
	b->w.bad = false;
	b->payload = NULL;
	b->next = b->sk;
	*b->next = IKE_P_NONE;
}

int
ike_build_finish(struct ike_builder *b, size_t *len)
{
	if (b->w.bad)
		return -ENOBUFS;
	*len = spw_writer_len(&b->w);
	spw_put_be32(b->w.start + 24, (uint32_t)*len);
	return 0;
}

int
ike_build_seal(struct ike_builder *b, struct ike_cipher *c, size_t *len)
{
	size_t block = ike_cipher_block(c);
	size_t plain = (size_t)(b->w.at - b->inner) + 1; /* with the pad length byte */
	size_t pad = (block - plain % block) % block;
	size_t icv = ike_cipher_icv_len(c);
	uint8_t *tail = spw_write_reserve(&b->w, pad + 1 + icv);
	int rc;

	if (!tail || !b->sk)
		return -ENOBUFS;
	memset(tail, 0, pad + 1 + icv);
	tail[pad] = (uint8_t)pad;
	spw_put_be16(b->sk + 2, (uint16_t)(b->w.at - b->sk));
	rc = ike_build_finish(b, len);
	if (rc != 0)
		return rc;
	return ike_cipher_seal(c, b->w.start, *len, (size_t)(b->sk - b->w.start) + IKE_PAYLOAD_HDR);
}

void
ike_build_bytes(struct ike_builder *b, uint8_t type, const void *bytes, size_t len)
{
	ike_build_open(b, type);
	spw_write_bytes(&b->w, bytes, len);
	ike_build_close(b);
}

void
ike_build_ke(struct ike_builder *b, uint16_t group, const void *bytes, size_t len)
{
	ike_build_open(b, IKE_P_KE);
	spw_write_u16(&b->w, group);
	spw_write_u16(&b->w, 0);
	spw_write_bytes(&b->w, bytes, len);
	ike_build_close(b);
}

void
ike_build_notify(struct ike_builder *b, uint16_t type, uint8_t protocol, uint32_t spi,
		 const void *data, size_t len)
{
	ike_build_open(b, IKE_P_NOTIFY);
	spw_write_u8(&b->w, protocol);
	spw_write_u8(&b->w, spi ? 4 : 0);
	spw_write_u16(&b->w, type);
	if (spi)
		spw_write_u32(&b->w, spi);
	if (len)
		spw_write_bytes(&b->w, data, len);
	ike_build_close(b);
}

static void
build_transform(struct ike_builder *b, uint8_t type, uint16_t id, uint16_t key_bits, bool last)
{
	spw_write_u8(&b->w, last ? 0 : 3);
	spw_write_u8(&b->w, 0);
	spw_write_u16(&b->w, key_bits ? 12 : 8);
	spw_write_u8(&b->w, type);
	spw_write_u8(&b->w, 0);
	spw_write_u16(&b->w, id);
	if (key_bits) {
		spw_write_u16(&b->w, 0x800e); /* Key Length, short form */
		spw_write_u16(&b->w, key_bits);
	}
}

/* The transforms of one proposal; their number is returned. RFC 7296 3.3.3: which are wanted. */
static unsigned int
build_transforms(struct ike_builder *b, uint8_t protocol, const struct spw_ike_proposal *p,
		 bool with_group)
{
	const struct spw_encr_info *encr = spw_encr_info(p->encr);
	bool esp = protocol == IKE_PROTO_ESP;
	bool group = with_group && p->group != SPW_GROUP_NONE;
	unsigned int n = 1;

	build_transform(b, SPW_TRANSFORM_ENCR, encr->ike_id, encr->ike_key_bits, false);
	if (!esp) {
		build_transform(b, SPW_TRANSFORM_PRF, spw_prf_info(p->prf)->ike_id, 0, false);
		n++;
	}
	if (p->integ != SPW_INTEG_NONE) {
		build_transform(b, SPW_TRANSFORM_INTEG, spw_integ_info(p->integ)->ike_id, 0, false);
		n++;
	}
	if (group) {
		build_transform(b, SPW_TRANSFORM_DH, spw_group_info(p->group)->ike_id, 0, !esp);
		n++;
	}
	if (esp && p->esn != SPW_ESN_NO) {
		build_transform(b, SPW_TRANSFORM_ESN, 1, 0, p->esn == SPW_ESN_YES);
		n++;
	}
	if (esp && p->esn != SPW_ESN_YES) {
		build_transform(b, SPW_TRANSFORM_ESN, 0, 0, true);
		n++;
	}
	return n;
}

void
ike_build_sa(struct ike_builder *b, uint8_t protocol, uint64_t spi, uint8_t spi_len,
	     const struct spw_ike_proposal *p, unsigned int n, uint8_t number, bool with_group)
{
	ike_build_open(b, IKE_P_SA);
	for (unsigned int i = 0; i < n; i++) {
		uint8_t *head = spw_write_reserve(&b->w, 8);
		unsigned int count;

		if (spi_len == 4)
			spw_write_u32(&b->w, (uint32_t)spi);
		else if (spi_len == 8)
			spw_write_u64(&b->w, spi);
		count = build_transforms(b, protocol, &p[i], with_group);
		if (b->w.bad)
			return;
		head[0] = i + 1 == n ? 0 : 2;
		head[1] = 0;
		spw_put_be16(head + 2, (uint16_t)(b->w.at - head));
		head[4] = (uint8_t)(number + i);
		head[5] = protocol;
		head[6] = spi_len;
		head[7] = (uint8_t)count;
	}
	ike_build_close(b);
}

void
ike_build_id(struct ike_builder *b, uint8_t type, const struct spw_ike_id *id)
{
	ike_build_open(b, type);
	spw_write_u32(&b->w, (uint32_t)id->type << 24);
	spw_write_bytes(&b->w, id->data, id->len);
	ike_build_close(b);
}

void
ike_build_auth(struct ike_builder *b, const void *auth, size_t len)
{
	ike_build_open(b, IKE_P_AUTH);
	spw_write_u32(&b->w, (uint32_t)IKE_AUTH_PSK << 24);
	spw_write_bytes(&b->w, auth, len);
	ike_build_close(b);
}

void
ike_build_ts(struct ike_builder *b, uint8_t type, const struct spw_selector *ts, unsigned int n)
{
	ike_build_open(b, type);
	spw_write_u32(&b->w, n << 24);
	for (unsigned int i = 0; i < n; i++) {
		size_t len = spw_addr_len(ts[i].low.family);

		spw_write_u8(&b->w, len == 4 ? 7 : 8);
		spw_write_u8(&b->w, ts[i].protocol);
		spw_write_u16(&b->w, (uint16_t)(8 + 2 * len));
		spw_write_u16(&b->w, ts[i].port_low);
		spw_write_u16(&b->w, ts[i].port_high);
		spw_write_bytes(&b->w, ts[i].low.bytes, len);
		spw_write_bytes(&b->w, ts[i].high.bytes, len);
	}
	ike_build_close(b);
}

void
ike_build_delete(struct ike_builder *b, const uint32_t *spis, unsigned int n)
{
	ike_build_open(b, IKE_P_DELETE);
	spw_write_u8(&b->w, n ? IKE_PROTO_ESP : IKE_PROTO_IKE);
	spw_write_u8(&b->w, n ? 4 : 0);
	spw_write_u16(&b->w, (uint16_t)n);
	for (unsigned int i = 0; i < n; i++)
		spw_write_u32(&b->w, spis[i]);
	ike_build_close(b);
}
