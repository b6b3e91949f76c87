/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages as bgpd sends them to a BMP station (RFC 7854), each made in one buffer: the next one
 * takes the place of the last. What is malformed is made by the tests, from these.
 */
#include "tests/control/bmp_bed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

uint8_t bmp_message[BMP_MESSAGE];

struct spw_prefix
bmp_prefix(const char *text)
{
	struct spw_prefix p;

	assert_int_equal(spw_prefix_parse(&p, text, NULL), 0);
	return p;
}

struct spw_addr
bmp_addr(const char *text)
{
	return bmp_prefix(text).addr;
}

static void
put_peer(struct spw_writer *w, const char *peer, uint8_t flags)
{
	static const uint8_t zero[12];
	struct spw_addr a = bmp_addr(peer);
	bool v6 = a.family == AF_INET6;

	spw_write_u8(w, 0);
	spw_write_u8(w, flags | (v6 ? 0x80 : 0));
	spw_write_u64(w, 0);
	if (!v6)
		spw_write_bytes(w, zero, 12);
	spw_write_bytes(w, a.bytes, v6 ? 16 : 4);
	spw_write_u32(w, 12076);
	spw_write_u32(w, 1);
	spw_write_u64(w, 0);
}

static void
put_bgp(struct spw_writer *w, uint8_t type, const uint8_t *body, size_t len)
{
	for (unsigned int i = 0; i < 16; i++)
		spw_write_u8(w, 0xff);
	spw_write_u16(w, (uint16_t)(19 + len));
	spw_write_u8(w, type);
	spw_write_bytes(w, body, len);
}

struct spw_writer
bmp_begin(uint8_t type)
{
	struct spw_writer w;

	spw_writer_init(&w, bmp_message, sizeof(bmp_message));
	spw_write_u8(&w, 3);
	spw_write_u32(&w, 0);
	spw_write_u8(&w, type);
	return w;
}

size_t
bmp_end(struct spw_writer *w)
{
	assert_false(w->bad);
	spw_put_be32(bmp_message + 1, (uint32_t)spw_writer_len(w));
	return spw_writer_len(w);
}

size_t
bmp_monitoring(const char *peer, uint8_t flags, const uint8_t *update, size_t len)
{
	struct spw_writer w = bmp_begin(0);

	put_peer(&w, peer, flags);
	put_bgp(&w, 2, update, len);
	return bmp_end(&w);
}

static void
put_prefix(struct spw_writer *w, const char *text)
{
	struct spw_prefix p = bmp_prefix(text);

	spw_write_u8(w, p.len);
	spw_write_bytes(w, p.addr.bytes, (p.len + 7u) / 8);
}

size_t
bmp_withdrawal(const char *peer, const char *text)
{
	uint8_t body[64];
	struct spw_writer w;

	spw_writer_init(&w, body, sizeof(body));
	spw_write_u16(&w, (uint16_t)(1 + (bmp_prefix(text).len + 7) / 8));
	put_prefix(&w, text);
	spw_write_u16(&w, 0);
	return bmp_monitoring(peer, 0x40, body, spw_writer_len(&w));
}

size_t
bmp_announcement(const char *peer, const char *text, const char *next_hop)
{
	uint8_t body[64];
	struct spw_writer w;

	spw_writer_init(&w, body, sizeof(body));
	spw_write_u16(&w, 0);
	spw_write_u16(&w, 7);
	spw_write_u8(&w, 0x40);
	spw_write_u8(&w, 3);
	spw_write_u8(&w, 4);
	spw_write_bytes(&w, bmp_addr(next_hop).bytes, 4);
	put_prefix(&w, text);
	return bmp_monitoring(peer, 0x40, body, spw_writer_len(&w));
}

size_t
bmp_mp(const char *peer, uint8_t type, const char *text, const char *next_hop)
{
	uint8_t body[128], value[96];
	struct spw_writer w, v;

	spw_writer_init(&v, value, sizeof(value));
	spw_write_u16(&v, 2);
	spw_write_u8(&v, 1);
	if (next_hop) {
		spw_write_u8(&v, 32);
		spw_write_bytes(&v, bmp_addr(next_hop).bytes, 16);
		spw_write_bytes(&v, bmp_addr("fe80::1").bytes, 16);
		spw_write_u8(&v, 0);
	}
	if (text)
		put_prefix(&v, text);
	spw_writer_init(&w, body, sizeof(body));
	spw_write_u16(&w, 0);
	spw_write_u16(&w, (uint16_t)(4 + spw_writer_len(&v)));
	spw_write_u8(&w, 0x90);
	spw_write_u8(&w, type);
	spw_write_u16(&w, (uint16_t)spw_writer_len(&v));
	spw_write_bytes(&w, value, spw_writer_len(&v));
	return bmp_monitoring(peer, 0x40, body, spw_writer_len(&w));
}

/* OPEN with the graceful restart capability: families 0 or 1, flags in the high bits. */
static void
put_open(struct spw_writer *w, int families, uint8_t flags)
{
	uint8_t body[64];
	struct spw_writer b;

	spw_writer_init(&b, body, sizeof(body));
	spw_write_u8(&b, 4);
	spw_write_u16(&b, 12076);
	spw_write_u16(&b, 180);
	spw_write_u32(&b, 1);
	if (families < 0) {
		spw_write_u8(&b, 0);
	} else {
		size_t len = 2 + 4 * (size_t)families;

		spw_write_u8(&b, (uint8_t)(len + 4));
		spw_write_u8(&b, 2);
		spw_write_u8(&b, (uint8_t)(len + 2));
		spw_write_u8(&b, 64);
		spw_write_u8(&b, (uint8_t)len);
		spw_write_u16(&b, (uint16_t)(flags << 12 | 120));
		for (int i = 0; i < families; i++)
			spw_write_u32(&b, 0x00010180);
	}
	put_bgp(w, 1, body, spw_writer_len(&b));
}

size_t
bmp_peer_up(const char *peer, int sent, int received, uint8_t flags)
{
	struct spw_writer w = bmp_begin(3);

	put_peer(&w, peer, 0);
	for (unsigned int i = 0; i < 5; i++)
		spw_write_u32(&w, 0);
	put_open(&w, sent, flags);
	put_open(&w, received, flags);
	return bmp_end(&w);
}

size_t
bmp_peer_down(const char *peer, uint8_t reason, uint8_t code, uint8_t subcode)
{
	struct spw_writer w = bmp_begin(2);
	uint8_t body[2] = {code, subcode};

	put_peer(&w, peer, 0);
	spw_write_u8(&w, reason);
	if (reason == 1 || reason == 3)
		put_bgp(&w, 3, body, 2);
	if (reason == 2)
		spw_write_u16(&w, 0);
	return bmp_end(&w);
}
