/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bounded cursors over byte strings in network order.
 *
 * Every parser of messages from outside reads through struct spw_reader: no read leaves the given
 * range, a short read latches an error instead of returning early, and the parser checks the latch
 * once before it uses anything. Writers work the same way, so a message that does not fit is
 * noticed at its end and never sent. No allocation; any thread, one owner a cursor.
 */
#include "lib/bytes.h"

#include <string.h>

void
spw_reader_init(struct spw_reader *r, const void *bytes, size_t len)
{
	r->at = bytes;
	r->end = r->at + len;
	r->bad = false;
}

size_t
spw_reader_left(const struct spw_reader *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->at);
}

const uint8_t *
spw_read_bytes(struct spw_reader *r, size_t len)
{
	const uint8_t *start = r->at;

	if (r->bad || (size_t)(r->end - r->at) < len) {
		r->bad = true;
		return NULL;
	}
	r->at += len;
	return start;
}

uint8_t
spw_read_u8(struct spw_reader *r)
{
	const uint8_t *p = spw_read_bytes(r, 1);

	return p ? *p : 0;
}

uint16_t
spw_read_u16(struct spw_reader *r)
{
	const uint8_t *p = spw_read_bytes(r, 2);

	return p ? spw_get_be16(p) : 0;
}

uint32_t
spw_read_u32(struct spw_reader *r)
{
	const uint8_t *p = spw_read_bytes(r, 4);

	return p ? spw_get_be32(p) : 0;
}

uint64_t
spw_read_u64(struct spw_reader *r)
{
	const uint8_t *p = spw_read_bytes(r, 8);

	return p ? spw_get_be64(p) : 0;
}

struct spw_reader
spw_read_sub(struct spw_reader *r, size_t len)
{
	struct spw_reader sub;
	const uint8_t *p = spw_read_bytes(r, len);

	if (p) {
		spw_reader_init(&sub, p, len);
	} else {
		spw_reader_init(&sub, r->end, 0);
		sub.bad = true;
	}
	return sub;
}

void
spw_writer_init(struct spw_writer *w, void *buf, size_t size)
{
	w->start = buf;
	w->at = buf;
	w->end = w->start + size;
	w->bad = false;
}

size_t
spw_writer_len(const struct spw_writer *w)
{
	return (size_t)(w->at - w->start);
}

uint8_t *
spw_write_reserve(struct spw_writer *w, size_t len)
{
	uint8_t *p = w->at;

	if (w->bad || (size_t)(w->end - w->at) < len) {
		w->bad = true;
		return NULL;
	}
	w->at += len;
	return p;
}

void
spw_write_bytes(struct spw_writer *w, const void *bytes, size_t len)
{
	uint8_t *p = spw_write_reserve(w, len);

	if (p && len)
		memcpy(p, bytes, len);
}

void
spw_write_u8(struct spw_writer *w, uint8_t v)
{
	spw_write_bytes(w, &v, 1);
}

void
spw_write_u16(struct spw_writer *w, uint16_t v)
{
	uint8_t *p = spw_write_reserve(w, 2);

	if (p)
		spw_put_be16(p, v);
}

void
spw_write_u32(struct spw_writer *w, uint32_t v)
{
	uint8_t *p = spw_write_reserve(w, 4);

	if (p)
		spw_put_be32(p, v);
}

void
spw_write_u64(struct spw_writer *w, uint64_t v)
{
	uint8_t *p = spw_write_reserve(w, 8);

	if (p)
		spw_put_be64(p, v);
}

uint16_t
spw_get_be16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap16(v);
}

uint32_t
spw_get_be32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap32(v);
}

uint64_t
spw_get_be64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return __builtin_bswap64(v);
}

void
spw_put_be16(void *p, uint16_t v)
{
	v = __builtin_bswap16(v);
	memcpy(p, &v, sizeof(v));
}

void
spw_put_be32(void *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, sizeof(v));
}

void
spw_put_be64(void *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, sizeof(v));
}
