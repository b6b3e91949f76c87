/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IKE fragmentation (RFC 7383): a protected message too long for the path goes as several, each
 * sealed by itself, because IP fragments of UDP 500 and 4500 do not pass everywhere (Azure's edge
 * drops them).
 *
 * Out: the payloads of a finished message are cut, and each piece becomes a message of its own in
 * e->sealed, one after the other; an IKE header tells its length, so a kept request or answer is
 * simply all of them in a row. A message that fits is sealed as ever. Nothing of the plaintext
 * stays behind.
 *
 * In: a piece is looked at only when the window would take its message, and kept only after its
 * ICV was good, so a stranger cannot make us keep anything (7383 2.6). One request and one answer
 * are put together at a time for an IKE SA, as the window is 1; a piece of another message or of a
 * finer cut of the same one starts anew, a coarser cut is late and dropped. Pieces together are no
 * longer than a message may be, and wait for the rest at most IKE_PIECES_NS. The caller handles the
 * whole message when it is there and wipes it.
 *
 * One thread, the engine's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ike/engine.h"

#define SKF_HEAD	8 /* generic header, number, total */
#define UDP_HEAD	8
#define NON_ESP		4
#define FRAGMENT_LENGTH 24 /* of the IKE header's Length field */

/* Bytes of IKE message that one packet may hold. */
static size_t
room_of(const struct ike_sa *sa)
{
	size_t ip = sa->remote.family == AF_INET6 ? 40 : 20;
	size_t marker = sa->local_port == IKE_PORT ? 0 : NON_ESP;

	return sa->fragment - ip - UDP_HEAD - marker;
}

/* What of it is left for payloads, with padding at its worst. */
static size_t
piece_room(const struct ike_sa *sa)
{
	const struct ike_cipher *c = sa->seal;

	return room_of(sa) - IKE_HEADER_LEN - SKF_HEAD - ike_cipher_iv_len(c) -
	       ike_cipher_icv_len(c) - ike_cipher_block(c);
}

struct cut {
	const uint8_t *head; /* the IKE header of the whole message */
	uint8_t first;	     /* type of its first payload */
	uint16_t total;
};

/* Seal piece `number` (from 1) to `out`; its length, or -errno. */
static int
seal_piece(struct ike_sa *sa, const struct cut *cut, uint16_t number, const uint8_t *bytes,
	   size_t len, uint8_t *out)
{
	size_t block = ike_cipher_block(sa->seal), iv = ike_cipher_iv_len(sa->seal);
	size_t pad = (block - (len + 1) % block) % block;
	size_t aad = IKE_HEADER_LEN + SKF_HEAD, text = aad + iv;
	size_t all = text + len + pad + 1 + ike_cipher_icv_len(sa->seal);
	int rc;

	memset(out, 0, all);
	memcpy(out, cut->head, IKE_HEADER_LEN);
	out[16] = IKE_P_SKF;
	spw_put_be32(out + FRAGMENT_LENGTH, (uint32_t)all);
	out[IKE_HEADER_LEN] = number == 1 ? cut->first : IKE_P_NONE;
	spw_put_be16(out + IKE_HEADER_LEN + 2, (uint16_t)(all - IKE_HEADER_LEN));
	spw_put_be16(out + IKE_HEADER_LEN + 4, number);
	spw_put_be16(out + IKE_HEADER_LEN + 6, cut->total);
	memcpy(out + text, bytes, len);
	out[text + len + pad] = (uint8_t)pad;
	rc = ike_cipher_seal(sa->seal, out, all, aad);
	return rc == 0 ? (int)all : rc;
}

static int
seal_pieces(struct ike_sa *sa, const struct ike_builder *b, size_t *len)
{
	size_t left = (size_t)(b->w.at - b->inner), room = piece_room(sa), at = 0;
	struct cut cut = {
		.head = b->w.start, .first = *b->sk, .total = (uint16_t)((left + room - 1) / room)};
	uint8_t *out = sa->e->sealed;

	if (cut.total > IKE_FRAGMENTS_MAX)
		return -ENOBUFS;
	for (uint16_t n = 1; n <= cut.total; n++) {
		size_t take = left < room ? left : room;
		int rc = seal_piece(sa, &cut, n, b->inner + at, take, out);

		if (rc < 0)
			return rc;
		out += rc;
		at += take;
		left -= take;
	}
	*len = (size_t)(out - sa->e->sealed);
	return 0;
}

int
ike_fragment_seal(struct ike_sa *sa, struct ike_builder *b, const uint8_t **bytes, size_t *len)
{
	size_t plain, whole;
	int rc;

	if (b->w.bad || !b->sk)
		return -ENOBUFS;
	plain = (size_t)(b->w.at - b->inner);
	whole = (size_t)(b->w.at - b->w.start) + ike_cipher_block(sa->seal) +
		ike_cipher_icv_len(sa->seal);
	if (sa->fragment == 0 || whole <= room_of(sa)) {
		*bytes = b->w.start;
		return ike_build_seal(b, sa->seal, len);
	}
	rc = seal_pieces(sa, b, len);
	spw_wipe(b->inner, plain);
	*bytes = sa->e->sealed;
	return rc;
}

static void
forget(struct ike_pieces *p)
{
	for (uint16_t i = 0; i < p->total; i++) {
		if (p->part[i].bytes)
			spw_wipe(p->part[i].bytes, p->part[i].len);
		ike_blob_free(&p->part[i]);
	}
	free(p->part);
	memset(p, 0, sizeof(*p));
}

void
ike_fragment_forget(struct ike_sa *sa)
{
	forget(&sa->pieces[0]);
	forget(&sa->pieces[1]);
}

void
ike_fragment_expire(struct ike_sa *sa)
{
	for (int i = 0; i < 2; i++)
		if (sa->pieces[i].total && sa->pieces[i].until <= sa->e->now)
			forget(&sa->pieces[i]);
}

uint64_t
ike_fragment_due(const struct ike_sa *sa)
{
	const struct ike_pieces *p = sa->pieces;

	return ike_min_u64(p[0].total ? p[0].until : UINT64_MAX,
			   p[1].total ? p[1].until : UINT64_MAX);
}

/* Make room for the message that this piece belongs to; false when the piece is of no use. */
static bool
pieces_for(struct ike_pieces *p, uint64_t now, const struct ike_header *h, const struct ike_sk *sk)
{
	if (p->total && p->mid == h->mid && p->total == sk->total)
		return true;
	/* Cut anew into more, smaller ones: those before are void; into fewer: an old one. */
	if (p->total && p->mid == h->mid && sk->total < p->total)
		return false;
	forget(p);
	p->part = calloc(sk->total, sizeof(*p->part));
	if (!p->part)
		return false;
	p->total = sk->total;
	p->mid = h->mid;
	p->until = ike_after(now, IKE_PIECES_NS);
	return true;
}

static int
put_together(const struct ike_pieces *p, struct ike_blob *whole)
{
	size_t at = 0;

	whole->bytes = malloc(p->bytes ? p->bytes : 1);
	if (!whole->bytes)
		return -ENOMEM;
	for (uint16_t i = 0; i < p->total; i++) {
		memcpy(whole->bytes + at, p->part[i].bytes, p->part[i].len);
		at += p->part[i].len;
	}
	whole->len = at;
	return 0;
}

int
ike_fragment_take(struct ike_sa *sa, const struct ike_header *h, struct ike_sk *sk,
		  const uint8_t *plain, size_t len, struct ike_blob *whole)
{
	struct ike_pieces *p = &sa->pieces[(h->flags & IKE_FLAG_RESPONSE) != 0];
	struct ike_blob *part;
	int rc;

	if (!pieces_for(p, sa->e->now, h, sk))
		return -EAGAIN;
	part = &p->part[sk->fragment - 1];
	if (part->bytes)
		return -EAGAIN;
	if (p->bytes + len > IKE_DATAGRAM_MAX || ike_blob_set(part, plain, len) != 0) {
		forget(p);
		return -EAGAIN;
	}
	p->bytes += len;
	if (sk->fragment == 1) {
		p->first = sk->inner;
		p->critical = sk->critical;
	}
	if (++p->got < p->total)
		return -EAGAIN;
	sk->inner = p->first;
	sk->critical = p->critical;
	rc = put_together(p, whole);
	forget(p);
	return rc;
}
