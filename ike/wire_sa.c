/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parsers of the two nested payloads: Security Association (RFC 7296 3.3) and Traffic
 * Selectors (3.13).
 *
 * Structure errors (lengths, counts, chaining) make the payload malformed. Content we do not know
 * does not: an unknown transform, attribute or selector type only makes that element
 * unacceptable (3.3.6), which the choice of a proposal or the narrowing then sees. No allocation,
 * no state; any thread.
 */
#include "ike/wire.h"

#include <errno.h>
#include <string.h>

#define ATTRIBUTE_KEY_LENGTH 14
#define TS_IPV4		     7
#define TS_IPV6		     8

/* Attributes of a transform. Only a Key Length in short form is known. RFC 7296 3.3.5. */
static int
parse_attributes(struct ike_transform *t, struct spw_reader r)
{
	while (spw_reader_left(&r) > 0) {
		uint16_t type = spw_read_u16(&r);
		uint16_t value = spw_read_u16(&r);

		if (type & 0x8000) {
			bool known = (type & 0x7fff) == ATTRIBUTE_KEY_LENGTH;

			if (!known || t->key_bits != 0 || value == 0)
				t->bad = true;
			t->key_bits = known ? value : t->key_bits;
		} else {
			t->bad = true;
			spw_read_bytes(&r, value);
		}
		if (r.bad)
			return -EBADMSG;
	}
	return 0;
}

static int
parse_transform(struct ike_sa_payload *sa, struct spw_reader *r, bool last)
{
	struct ike_transform *t = &sa->transform[sa->n_transforms];
	struct spw_reader body;
	uint8_t more = spw_read_u8(r);
	uint16_t len;

	spw_read_u8(r); /* reserved */
	len = spw_read_u16(r);
	if (r->bad || len < 8 || more != (last ? 0 : 3))
		return -EBADMSG;
	body = spw_read_sub(r, len - 4);
	if (sa->n_transforms == IKE_MAX_TRANSFORMS)
		return -E2BIG;
	memset(t, 0, sizeof(*t));
	t->type = spw_read_u8(&body);
	spw_read_u8(&body); /* reserved */
	t->id = spw_read_u16(&body);
	sa->n_transforms++;
	return body.bad ? -EBADMSG : parse_attributes(t, body);
}

static void
read_spi(struct ike_proposal *p, struct spw_reader *r)
{
	const uint8_t *spi = spw_read_bytes(r, p->spi_len);

	p->spi = !spi || (p->spi_len != 4 && p->spi_len != 8) ? 0
		 : p->spi_len == 4			      ? spw_get_be32(spi)
							      : spw_get_be64(spi);
}

static int
parse_proposal(struct ike_sa_payload *sa, struct spw_reader r)
{
	struct ike_proposal *p = &sa->proposal[sa->n_proposals];
	uint8_t count;
	int rc = 0;

	if (sa->n_proposals == IKE_MAX_PROPOSALS)
		return -E2BIG;
	p->number = spw_read_u8(&r);
	p->protocol = spw_read_u8(&r);
	p->spi_len = spw_read_u8(&r);
	count = spw_read_u8(&r);
	read_spi(p, &r);
	p->first = sa->n_transforms;
	p->count = count;
	for (unsigned int i = 0; i < count && rc == 0; i++)
		rc = parse_transform(sa, &r, i + 1 == count);
	sa->n_proposals++;
	return rc != 0 ? rc : r.bad || spw_reader_left(&r) != 0 ? -EBADMSG : 0;
}

int
ike_wire_sa(struct ike_sa_payload *sa, struct spw_reader r)
{
	bool last = false;

	sa->n_proposals = 0;
	sa->n_transforms = 0;
	while (!last) {
		uint8_t more = spw_read_u8(&r);
		uint16_t len;
		int rc;

		spw_read_u8(&r); /* reserved */
		len = spw_read_u16(&r);
		if (r.bad || len < 8 || (more != 0 && more != 2))
			return -EBADMSG;
		last = more == 0;
		struct spw_reader body = spw_read_sub(&r, len - 4);

		rc = r.bad ? -EBADMSG : parse_proposal(sa, body);
		if (rc != 0)
			return rc;
	}
	return spw_reader_left(&r) == 0 ? 0 : -EBADMSG;
}

/* One selector into `s`; *known false when its type is not an address range. */
static int
parse_selector(struct spw_selector *s, struct spw_reader *r, bool *known)
{
	uint8_t type = spw_read_u8(r);
	uint8_t protocol = spw_read_u8(r);
	uint16_t len = spw_read_u16(r);
	struct spw_reader body;
	size_t addr_len = type == TS_IPV4 ? 4 : 16;
	const uint8_t *low, *high;

	if (r->bad || len < 4)
		return -EBADMSG;
	body = spw_read_sub(r, len - 4);
	*known = type == TS_IPV4 || type == TS_IPV6;
	if (r->bad)
		return -EBADMSG;
	if (!*known)
		return 0;
	memset(s, 0, sizeof(*s));
	s->protocol = protocol;
	s->port_low = spw_read_u16(&body);
	s->port_high = spw_read_u16(&body);
	low = spw_read_bytes(&body, addr_len);
	high = spw_read_bytes(&body, addr_len);
	if (body.bad || spw_reader_left(&body) != 0)
		return -EBADMSG;
	s->low.family = s->high.family = type == TS_IPV4 ? AF_INET : AF_INET6;
	memcpy(s->low.bytes, low, addr_len);
	memcpy(s->high.bytes, high, addr_len);
	return 0;
}

int
ike_wire_ts(struct ike_ts_payload *ts, struct spw_reader r)
{
	uint8_t count = spw_read_u8(&r);

	spw_read_bytes(&r, 3); /* reserved */
	ts->count = 0;
	if (r.bad || count == 0)
		return -EBADMSG;
	for (unsigned int i = 0; i < count; i++) {
		struct spw_selector s;
		bool known = false;
		int rc = parse_selector(&s, &r, &known);

		if (rc != 0)
			return rc;
		if (!known)
			continue;
		if (ts->count == IKE_MAX_TS)
			return -E2BIG;
		ts->ts[ts->count++] = s;
	}
	return spw_reader_left(&r) == 0 ? 0 : -EBADMSG;
}
