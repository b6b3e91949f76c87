/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parser of IKEv2 messages: header, chain of payloads, and the small payloads.
 *
 * A message is parsed whole into struct ike_msg before anything in it is used. Every read goes
 * through a bounded cursor; each payload gets a cursor over exactly its own bytes, so a length
 * that lies can only make its own payload malformed. Counts have caps that are ordinary errors.
 * Reserved bits are ignored (RFC 7296 2.5), except that those of an ID payload are kept, for AUTH
 * covers them (2.15). Unknown payloads are skipped, or reported when critical. No allocation, no
 * recursion, no state; any thread. The SA and TS payloads are in wire_sa.c.
 */
#include "ike/wire.h"

#include <errno.h>
#include <string.h>

int
ike_wire_header(struct ike_header *h, const uint8_t *bytes, size_t len)
{
	struct spw_reader r;

	spw_reader_init(&r, bytes, len);
	h->spi_i = spw_read_u64(&r);
	h->spi_r = spw_read_u64(&r);
	h->next = spw_read_u8(&r);
	h->version = spw_read_u8(&r);
	h->exchange = spw_read_u8(&r);
	h->flags = spw_read_u8(&r);
	h->mid = spw_read_u32(&r);
	h->len = spw_read_u32(&r);
	return r.bad || h->len != len ? -EBADMSG : 0;
}

/* Read a generic payload header; `body` becomes a cursor over the content. RFC 7296 3.2. */
static int
read_payload(struct spw_reader *r, uint8_t *next, bool *critical, struct spw_reader *body)
{
	uint16_t len;

	*next = spw_read_u8(r);
	*critical = (spw_read_u8(r) & 0x80) != 0;
	len = spw_read_u16(r);
	if (r->bad || len < IKE_PAYLOAD_HDR)
		return -EBADMSG;
	*body = spw_read_sub(r, len - IKE_PAYLOAD_HDR);
	return r->bad ? -EBADMSG : 0;
}

/* RFC 7296 2.5: the critical bit counts only for types we do not know. */
static bool
is_known(uint8_t type)
{
	return (type >= IKE_P_SA && type <= IKE_P_EAP) || type == IKE_P_SKF;
}

/* Number and total of an SKF payload. RFC 7383 2.5. */
static int
read_fragment(struct ike_sk *sk, struct spw_reader *body)
{
	sk->fragment = spw_read_u16(body);
	sk->total = spw_read_u16(body);
	sk->aad_len += 4;
	if (body->bad || sk->fragment == 0 || sk->fragment > sk->total ||
	    sk->total > IKE_FRAGMENTS_MAX)
		return -EBADMSG;
	return 0;
}

int
ike_wire_find_sk(const struct ike_header *h, const uint8_t *bytes, size_t len, struct ike_sk *sk)
{
	struct spw_reader r, body;
	uint8_t type = h->next, refused = 0;
	bool critical;

	spw_reader_init(&r, bytes + IKE_HEADER_LEN, len - IKE_HEADER_LEN);
	for (unsigned int n = 0; type != IKE_P_NONE; n++) {
		const uint8_t *at = r.at;
		uint8_t next;

		if (n == IKE_MAX_PAYLOADS)
			return -E2BIG;
		if (read_payload(&r, &next, &critical, &body) != 0)
			return -EBADMSG;
		if (type == IKE_P_SK || type == IKE_P_SKF) {
			*sk = (struct ike_sk){.inner = next,
					      .critical = refused,
					      .aad_len = (size_t)(at - bytes) + IKE_PAYLOAD_HDR};
			if (spw_reader_left(&r) != 0)
				return -EBADMSG;
			if (type == IKE_P_SK)
				return 0;
			if (read_fragment(sk, &body) != 0)
				return -EBADMSG;
			/* bare payloads belong to piece 1, RFC 7383 2.5 */
			return n > 0 && sk->fragment > 1 ? -EBADMSG : 0;
		}
		if (critical && refused == 0 && !is_known(type))
			refused = type;
		type = next;
	}
	return -ENOENT;
}

static int
parse_ke(struct ike_msg *m, struct spw_reader r)
{
	m->ke_group = spw_read_u16(&r);
	spw_read_u16(&r); /* reserved */
	m->ke.len = spw_reader_left(&r);
	m->ke.bytes = spw_read_bytes(&r, m->ke.len);
	return r.bad || m->ke.len == 0 ? -EBADMSG : 0;
}

static int
parse_nonce(struct ike_msg *m, struct spw_reader r)
{
	m->nonce.len = spw_reader_left(&r);
	m->nonce.bytes = r.at;
	/* RFC 7296 2.10, 3.9 */
	return m->nonce.len < IKE_NONCE_MIN || m->nonce.len > IKE_NONCE_MAX ? -EBADMSG : 0;
}

/* The data length an identity type demands; 0 = any but empty. RFC 7296 3.5. */
static size_t
id_length(uint8_t type)
{
	return type == SPW_ID_IPV4 ? 4 : type == SPW_ID_IPV6 ? 16 : 0;
}

static int
parse_id(struct ike_identity *id, struct spw_reader r)
{
	id->raw.bytes = r.at;
	id->raw.len = spw_reader_left(&r);
	id->type = spw_read_u8(&r);
	spw_read_bytes(&r, 3); /* reserved */
	id->data.len = spw_reader_left(&r);
	id->data.bytes = spw_read_bytes(&r, id->data.len);
	if (r.bad || id->data.len == 0)
		return -EBADMSG;
	return id_length(id->type) != 0 && id_length(id->type) != id->data.len ? -EBADMSG : 0;
}

static int
parse_auth(struct ike_msg *m, struct spw_reader r)
{
	m->auth_method = spw_read_u8(&r);
	spw_read_bytes(&r, 3); /* reserved */
	m->auth.len = spw_reader_left(&r);
	m->auth.bytes = spw_read_bytes(&r, m->auth.len);
	return r.bad ? -EBADMSG : 0;
}

static int
parse_notify(struct ike_msg *m, struct spw_reader r)
{
	struct ike_notify *n = &m->notify[m->n_notifies];
	const uint8_t *spi;

	if (m->n_notifies == IKE_MAX_NOTIFIES)
		return -E2BIG;
	n->protocol = spw_read_u8(&r);
	n->spi_len = spw_read_u8(&r);
	n->type = spw_read_u16(&r);
	spi = spw_read_bytes(&r, n->spi_len);
	if (r.bad)
		return -EBADMSG;
	n->spi = n->spi_len == 4 ? spw_get_be32(spi) : 0;
	n->data.len = spw_reader_left(&r);
	n->data.bytes = r.at;
	m->n_notifies++;
	/* RFC 7296 2.3: malformed; what it says of windows is not minded */
	return n->type == IKE_N_SET_WINDOW_SIZE && n->data.len != 4 ? -EBADMSG : 0;
}

/* RFC 7296 3.11: an IKE SA is deleted without SPIs, ESP and AH SAs by SPIs of four bytes. */
static int
parse_delete(struct ike_msg *m, struct spw_reader r)
{
	struct ike_delete *d = &m->del[m->n_deletes];
	uint8_t spi_len;

	if (m->n_deletes == IKE_MAX_DELETES)
		return -E2BIG;
	d->protocol = spw_read_u8(&r);
	spi_len = spw_read_u8(&r);
	d->count = spw_read_u16(&r);
	if (r.bad || d->protocol < IKE_PROTO_IKE || d->protocol > IKE_PROTO_ESP)
		return -EBADMSG;
	if (spi_len != (d->protocol == IKE_PROTO_IKE ? 0 : 4))
		return -EBADMSG;
	if (spw_reader_left(&r) != (size_t)spi_len * d->count)
		return -EBADMSG;
	if (d->protocol == IKE_PROTO_IKE && d->count != 0)
		return -EBADMSG;
	d->spis = r.at;
	m->n_deletes++;
	return 0;
}

/* Take a payload that may occur once; false when it was there already. */
static bool
once(bool *has)
{
	bool first = !*has;

	*has = true;
	return first;
}

/* One payload of the chain. Doubled payloads are refused: which one counts would be a guess. */
static int
parse_payload(struct ike_msg *m, uint8_t type, bool critical, struct spw_reader body)
{
	switch (type) {
	case IKE_P_SA: return once(&m->has_sa) ? ike_wire_sa(&m->sa, body) : -EBADMSG;
	case IKE_P_KE: return once(&m->has_ke) ? parse_ke(m, body) : -EBADMSG;
	case IKE_P_IDI: return once(&m->has_idi) ? parse_id(&m->idi, body) : -EBADMSG;
	case IKE_P_IDR: return once(&m->has_idr) ? parse_id(&m->idr, body) : -EBADMSG;
	case IKE_P_AUTH: return once(&m->has_auth) ? parse_auth(m, body) : -EBADMSG;
	case IKE_P_NONCE: return once(&m->has_nonce) ? parse_nonce(m, body) : -EBADMSG;
	case IKE_P_NOTIFY: return parse_notify(m, body);
	case IKE_P_DELETE: return parse_delete(m, body);
	case IKE_P_TSI: return once(&m->has_tsi) ? ike_wire_ts(&m->tsi, body) : -EBADMSG;
	case IKE_P_TSR: return once(&m->has_tsr) ? ike_wire_ts(&m->tsr, body) : -EBADMSG;
	case IKE_P_CP: m->has_cp = true; return 0;
	case IKE_P_EAP: m->has_eap = true; return 0;
	case IKE_P_CERT:
	case IKE_P_CERTREQ:
	case IKE_P_VENDOR: return 0;
	case IKE_P_SK:
	case IKE_P_SKF: return -EBADMSG; /* never nested, never after another */
	default:
		if (critical && m->critical == 0)
			m->critical = type;
		return 0;
	}
}

int
ike_wire_payloads(struct ike_msg *m, uint8_t first, const uint8_t *bytes, size_t len)
{
	struct ike_header hdr = m->hdr;
	struct spw_reader r, body;
	uint8_t type = first, next;
	bool critical;
	int rc;

	memset(m, 0, sizeof(*m));
	m->hdr = hdr;
	spw_reader_init(&r, bytes, len);
	for (unsigned int n = 0; type != IKE_P_NONE; n++) {
		if (n == IKE_MAX_PAYLOADS)
			return -E2BIG;
		rc = read_payload(&r, &next, &critical, &body);
		if (rc == 0)
			rc = parse_payload(m, type, critical, body);
		if (rc != 0)
			return rc;
		type = next;
	}
	return spw_reader_left(&r) == 0 ? 0 : -EBADMSG;
}

const struct ike_notify *
ike_wire_notify(const struct ike_msg *m, uint16_t type)
{
	for (unsigned int i = 0; i < m->n_notifies; i++)
		if (m->notify[i].type == type)
			return &m->notify[i];
	return NULL;
}

const struct ike_notify *
ike_wire_error(const struct ike_msg *m)
{
	for (unsigned int i = 0; i < m->n_notifies; i++)
		if (m->notify[i].type < IKE_N_FIRST_STATUS)
			return &m->notify[i];
	return NULL;
}

uint32_t
ike_wire_delete_spi(const struct ike_delete *d, unsigned int i)
{
	return spw_get_be32(d->spis + 4 * (size_t)i);
}

static const struct {
	uint16_t type;
	const char *name;
} notify_names[] = {
#define IKE_NOTIFY(name, number) {number, #name},
#include "ike/notify.def"
};

const char *
ike_notify_name(uint16_t type)
{
	for (unsigned int i = 0; i < sizeof(notify_names) / sizeof(notify_names[0]); i++)
		if (notify_names[i].type == type)
			return notify_names[i].name;
	return "unknown";
}
