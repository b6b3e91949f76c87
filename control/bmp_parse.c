/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BMP version 3 (RFC 7854) and the BGP messages in it (RFC 4271, 4760, 6793), read by cursors.
 *
 * Taken are Initiation (nothing in it is needed), Peer Up (what both OPENs say of graceful
 * restart), Peer Down (reason and the code of a NOTIFICATION), Route Monitoring (one UPDATE: IPv4
 * unicast in its own fields, both families in MP_REACH_NLRI and MP_UNREACH_NLRI; an UPDATE without
 * any is the End-of-RIB of RFC 4724 2) and Termination. Of an UPDATE only prefixes and next hops
 * count: the AS path is skipped, so two and four octet AS numbers are the same here. Path
 * identifiers (RFC 7911) are not expected, bgpd does not send them in BMP.
 *
 * A message is walked twice: first without a handler, as a check, then to tell; so a refused one
 * has said nothing. No allocation, no state; lengths are all checked by the cursors.
 */
#include "control/bmp_parse.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BMP_VERSION	 3
#define BMP_HEADER	 6
#define BGP_HEADER	 19
#define FLAG_V6		 0x80
#define FLAG_POST_POLICY 0x40

enum bmp_type {
	BMP_ROUTE_MONITORING = 0,
	BMP_PEER_DOWN = 2,
	BMP_PEER_UP = 3,
	BMP_TERMINATION = 5,
};
enum bgp_type { BGP_OPEN = 1, BGP_UPDATE = 2, BGP_NOTIFICATION = 3 };
enum attribute { ATTR_NEXT_HOP = 3, ATTR_MP_REACH = 14, ATTR_MP_UNREACH = 15 };

#define OPTION_CAPABILITIES 2
#define CAPABILITY_RESTART  64
#define RESTART_N_BIT	    0x4
#define CEASE		    6
#define CEASE_DECONFIGURED  3
#define CEASE_HARD_RESET    9

struct walk {
	const struct ctl_bmp_handler *handler; /* NULL: only check */
	void *ctx;
	struct ctl_bmp_peer peer;
	struct spw_err *err;
};

int
ctl_bmp_frame(const uint8_t *bytes, size_t len, struct spw_err *err)
{
	if (len < BMP_HEADER)
		return len > 0 && bytes[0] != BMP_VERSION
			       ? spw_fail(err, -EPROTO, "version %u, not %u", bytes[0], BMP_VERSION)
			       : 0;
	uint32_t whole = spw_get_be32(bytes + 1);

	if (bytes[0] != BMP_VERSION)
		return spw_fail(err, -EPROTO, "version %u, not %u", bytes[0], BMP_VERSION);
	if (whole < BMP_HEADER || whole > CTL_BMP_MESSAGE)
		return spw_fail(err, -EPROTO, "message of %u bytes", whole);
	return len >= whole ? (int)whole : 0;
}

static void
read_peer(struct spw_reader *r, struct ctl_bmp_peer *peer)
{
	memset(peer, 0, sizeof(*peer));
	peer->type = spw_read_u8(r);
	uint8_t flags = spw_read_u8(r);

	spw_read_u64(r); /* distinguisher */
	const uint8_t *addr = spw_read_bytes(r, 16);

	peer->as = spw_read_u32(r);
	spw_read_u32(r); /* BGP identifier */
	spw_read_u64(r); /* time */
	peer->post_policy = flags & FLAG_POST_POLICY;
	if (!addr)
		return;
	peer->addr.family = flags & FLAG_V6 ? AF_INET6 : AF_INET;
	memcpy(peer->addr.bytes, flags & FLAG_V6 ? addr : addr + 12,
	       spw_addr_len(peer->addr.family));
}

/* A BGP message (RFC 4271 4.1) as a cursor over what follows its header; bad when it is none. */
static struct spw_reader
read_bgp(struct spw_reader *r, uint8_t *type)
{
	const uint8_t *marker = spw_read_bytes(r, 16);
	uint16_t len = spw_read_u16(r);

	*type = spw_read_u8(r);
	for (unsigned int i = 0; marker && i < 16; i++)
		r->bad |= marker[i] != 0xff;
	r->bad |= len < BGP_HEADER;
	return spw_read_sub(r, r->bad ? 0 : len - BGP_HEADER);
}

static uint8_t
family_of(uint16_t afi, uint8_t safi)
{
	if (safi != 1)
		return 0;
	return afi == 1 ? AF_INET : afi == 2 ? AF_INET6 : 0;
}

/* One prefix of an NLRI field (RFC 4271 4.3), masked. false when it is none. */
static bool
read_prefix(struct spw_reader *r, uint8_t family, struct spw_prefix *out)
{
	struct spw_prefix p = {.addr.family = family, .len = spw_read_u8(r)};

	if (p.len > 8 * spw_addr_len(family)) {
		r->bad = true;
		return false;
	}
	size_t n = (p.len + 7u) / 8;
	const uint8_t *bytes = spw_read_bytes(r, n);

	if (!bytes)
		return false;
	memcpy(p.addr.bytes, bytes, n);
	*out = spw_prefix_masked(&p);
	return true;
}

/* All prefixes of a field. next_hop NULL: they are withdrawn. */
static void
walk_prefixes(struct walk *w, struct spw_reader *r, uint8_t family, const struct spw_addr *next_hop)
{
	const struct ctl_bmp_handler *h = w->handler;
	struct spw_prefix p;

	while (!r->bad && spw_reader_left(r) > 0) {
		if (!read_prefix(r, family, &p) || !h)
			continue;
		if (next_hop && h->announced)
			h->announced(w->ctx, &w->peer, &p, next_hop);
		if (!next_hop && h->withdrawn)
			h->withdrawn(w->ctx, &w->peer, &p);
	}
}

static void
tell_end_of_rib(struct walk *w, uint8_t family)
{
	if (w->handler && w->handler->end_of_rib)
		w->handler->end_of_rib(w->ctx, &w->peer, family);
}

/* The fields of an UPDATE that count; cursors, so that they can be told in the order wanted. */
struct update {
	struct spw_reader withdrawn, announced;
	struct spw_reader unreach, reach; /* prefixes of the MP attributes */
	uint8_t unreach_family, reach_family;
	bool has_unreach, has_reach, has_attributes;
	struct spw_addr next_hop, mp_next_hop;
};

/*
 * The next hop of MP_REACH_NLRI: 4 or 16 bytes, or 32, a global one and a link-local one (RFC 2545
 * 3). The global one counts.
 */
static void
read_mp_next_hop(struct spw_reader *r, struct spw_addr *out)
{
	uint8_t len = spw_read_u8(r);
	const uint8_t *bytes = spw_read_bytes(r, len);

	if (!bytes || (len != 4 && len != 16 && len != 32)) {
		r->bad = true;
		return;
	}
	out->family = len == 4 ? AF_INET : AF_INET6;
	memcpy(out->bytes, bytes, len == 4 ? 4 : 16);
}

/* One MP attribute may be there once (RFC 7606 3 g). */
static void
read_mp_reach(struct spw_reader *r, struct update *u)
{
	uint16_t afi = spw_read_u16(r);
	uint8_t family = family_of(afi, spw_read_u8(r));

	if (family == 0)
		return; /* a family that is not followed: whatever it holds */
	r->bad |= u->has_reach;
	u->has_reach = true;
	u->reach_family = family;
	read_mp_next_hop(r, &u->mp_next_hop);
	spw_read_u8(r); /* reserved */
	u->reach = *r;
}

static void
read_mp_unreach(struct spw_reader *r, struct update *u)
{
	uint16_t afi = spw_read_u16(r);
	uint8_t family = family_of(afi, spw_read_u8(r));

	if (family == 0)
		return;
	r->bad |= u->has_unreach;
	u->has_unreach = true;
	u->unreach_family = family;
	u->unreach = *r;
}

static void
read_attribute(struct spw_reader *r, struct update *u)
{
	uint8_t flags = spw_read_u8(r), type = spw_read_u8(r);
	size_t len = flags & 0x10 ? spw_read_u16(r) : spw_read_u8(r);
	struct spw_reader value = spw_read_sub(r, len);

	u->has_attributes = true;
	if (r->bad)
		return;
	if (type == ATTR_NEXT_HOP && len == 4) {
		u->next_hop.family = AF_INET;
		memcpy(u->next_hop.bytes, value.at, 4);
	} else if (type == ATTR_NEXT_HOP) {
		r->bad = true;
	} else if (type == ATTR_MP_REACH) {
		read_mp_reach(&value, u);
	} else if (type == ATTR_MP_UNREACH) {
		read_mp_unreach(&value, u);
	}
	r->bad |= value.bad;
}

static bool
read_update(struct spw_reader *r, struct update *u)
{
	memset(u, 0, sizeof(*u));
	u->withdrawn = spw_read_sub(r, spw_read_u16(r));
	struct spw_reader attributes = spw_read_sub(r, spw_read_u16(r));

	while (!attributes.bad && spw_reader_left(&attributes) > 0)
		read_attribute(&attributes, u);
	u->announced = spw_read_sub(r, spw_reader_left(r));
	r->bad |= attributes.bad;
	/* Announced prefixes need a next hop (RFC 4271 6.3). */
	r->bad |= spw_reader_left(&u->announced) > 0 && !u->next_hop.family;
	return !r->bad;
}

static int
walk_update(struct walk *w, struct spw_reader r)
{
	struct update u;

	if (!read_update(&r, &u))
		return spw_fail(w->err, -EPROTO, "UPDATE whose fields do not fit");
	bool end4 = !u.has_attributes && spw_reader_left(&u.withdrawn) == 0 &&
		    spw_reader_left(&u.announced) == 0;
	bool end_mp = u.has_unreach && !u.has_reach && spw_reader_left(&u.unreach) == 0;

	if (end4)
		tell_end_of_rib(w, AF_INET);
	if (end_mp)
		tell_end_of_rib(w, u.unreach_family);
	walk_prefixes(w, &u.withdrawn, AF_INET, NULL);
	if (u.has_unreach)
		walk_prefixes(w, &u.unreach, u.unreach_family, NULL);
	walk_prefixes(w, &u.announced, AF_INET, &u.next_hop);
	if (u.has_reach)
		walk_prefixes(w, &u.reach, u.reach_family, &u.mp_next_hop);
	if (u.withdrawn.bad || u.unreach.bad || u.announced.bad || u.reach.bad)
		return spw_fail(w->err, -EPROTO, "UPDATE with a prefix that is none");
	return 0;
}

static int
walk_monitoring(struct walk *w, struct spw_reader *r)
{
	uint8_t type;
	struct spw_reader body = read_bgp(r, &type);

	if (r->bad || spw_reader_left(r) > 0)
		return spw_fail(w->err, -EPROTO, "route monitoring without a whole BGP message");
	return type == BGP_UPDATE ? walk_update(w, body) : 0;
}

struct restart_capability {
	bool present, families, notifications;
};

/* RFC 4724 3: flags and time, then four bytes for each family whose routes can be kept. */
static void
read_capability(struct spw_reader *r, struct restart_capability *out)
{
	uint8_t code = spw_read_u8(r);
	struct spw_reader value = spw_read_sub(r, spw_read_u8(r));

	if (code != CAPABILITY_RESTART || spw_reader_left(&value) < 2)
		return;
	uint16_t flags = spw_read_u16(&value) >> 12;

	out->present = true;
	out->notifications = flags & RESTART_N_BIT;
	out->families = spw_reader_left(&value) >= 4;
}

static void
read_options(struct spw_reader *r, bool extended, struct restart_capability *out)
{
	while (!r->bad && spw_reader_left(r) > 0) {
		uint8_t type = spw_read_u8(r);
		struct spw_reader value =
			spw_read_sub(r, extended ? spw_read_u16(r) : spw_read_u8(r));

		if (type != OPTION_CAPABILITIES)
			continue;
		while (!value.bad && spw_reader_left(&value) > 0)
			read_capability(&value, out);
		r->bad |= value.bad;
	}
}

/* An OPEN (RFC 4271 4.2), also with long optional parameters (RFC 9072 2). */
static bool
read_open(struct spw_reader *r, struct restart_capability *out)
{
	uint8_t type;
	struct spw_reader body = read_bgp(r, &type);

	memset(out, 0, sizeof(*out));
	spw_read_bytes(&body, 9); /* version, AS, hold time, identifier */
	size_t len = spw_read_u8(&body);
	bool extended = len == 255 && spw_reader_left(&body) > 0 && body.at[0] == 255;

	if (extended) {
		spw_read_u8(&body);
		len = spw_read_u16(&body);
	}
	struct spw_reader options = spw_read_sub(&body, len);

	read_options(&options, extended, out);
	return !r->bad && type == BGP_OPEN && !body.bad && !options.bad;
}

static int
walk_up(struct walk *w, struct spw_reader *r)
{
	struct restart_capability sent, received;

	spw_read_bytes(r, 20); /* local address, ports */
	if (!read_open(r, &sent) || !read_open(r, &received))
		return spw_fail(w->err, -EPROTO, "peer up without two whole OPEN messages");
	struct ctl_bmp_restart restart = {.retained = sent.present && received.families};

	restart.notifications = restart.retained && sent.notifications && received.notifications;
	if (w->handler && w->handler->peer_up)
		w->handler->peer_up(w->ctx, &w->peer, &restart);
	return 0;
}

static int
walk_down(struct walk *w, struct spw_reader *r)
{
	struct ctl_bmp_down down = {.reason = spw_read_u8(r)};

	if (down.reason == CTL_BMP_LOCAL_NOTIFICATION ||
	    down.reason == CTL_BMP_REMOTE_NOTIFICATION) {
		uint8_t type;
		struct spw_reader body = read_bgp(r, &type);

		down.code = spw_read_u8(&body);
		down.subcode = spw_read_u8(&body);
		/* bgpd leaves the message out when it has none: then only the reason is known. */
		if ((r->bad || body.bad || type != BGP_NOTIFICATION) && r->end != r->at)
			return spw_fail(w->err, -EPROTO,
					"peer down without a whole NOTIFICATION message");
	} else if (r->bad) {
		return spw_fail(w->err, -EPROTO, "peer down without a reason");
	}
	if (w->handler && w->handler->peer_down)
		w->handler->peer_down(w->ctx, &w->peer, &down);
	return 0;
}

static int
walk_message(struct walk *w, const uint8_t *msg, size_t len)
{
	struct spw_reader r;
	uint8_t type = msg[5];

	spw_reader_init(&r, msg + BMP_HEADER, len - BMP_HEADER);
	if (type == BMP_TERMINATION && w->handler && w->handler->termination)
		w->handler->termination(w->ctx);
	if (type != BMP_ROUTE_MONITORING && type != BMP_PEER_UP && type != BMP_PEER_DOWN)
		return 0;
	read_peer(&r, &w->peer);
	if (r.bad)
		return spw_fail(w->err, -EPROTO, "message without a whole peer header");
	if (type == BMP_ROUTE_MONITORING)
		return walk_monitoring(w, &r);
	return type == BMP_PEER_UP ? walk_up(w, &r) : walk_down(w, &r);
}

int
ctl_bmp_parse(const uint8_t *msg, size_t len, const struct ctl_bmp_handler *handler, void *ctx,
	      struct spw_err *err)
{
	struct walk w = {.err = err};
	int rc = ctl_bmp_frame(msg, len, err);

	if (rc < 0)
		return rc;
	if ((size_t)rc != len)
		return spw_fail(err, -EPROTO, "message of %zu bytes that says %u", len,
				len >= BMP_HEADER ? spw_get_be32(msg + 1) : 0);
	rc = walk_message(&w, msg, len);
	if (rc != 0)
		return rc;
	w.handler = handler;
	w.ctx = ctx;
	return walk_message(&w, msg, len);
}

enum ctl_bmp_verdict
ctl_bmp_judge(const struct ctl_bmp_down *down, const struct ctl_bmp_restart *restart)
{
	bool notified = down->reason == CTL_BMP_LOCAL_NOTIFICATION ||
			down->reason == CTL_BMP_REMOTE_NOTIFICATION;

	/* bgpd says "cease, deconfigured" of every neighbour when it is told to stop. */
	if (down->reason == CTL_BMP_DECONFIGURED ||
	    (down->reason == CTL_BMP_LOCAL_NOTIFICATION && down->code == CEASE &&
	     down->subcode == CEASE_DECONFIGURED))
		return CTL_BMP_OURS;
	if (!notified)
		return restart->retained ? CTL_BMP_KEPT : CTL_BMP_LOST;
	/* RFC 8538 3: with the N bit a NOTIFICATION keeps the routes, unless it is a hard reset. */
	if (restart->notifications && !(down->code == CEASE && down->subcode == CEASE_HARD_RESET))
		return CTL_BMP_KEPT;
	return CTL_BMP_LOST;
}

static const char *
code_text(uint8_t code)
{
	static const char *const text[] = {
		"no code",	  "message header error", "open error", "update error",
		"hold time over", "state machine error",  "cease"};

	return code < sizeof(text) / sizeof(text[0]) ? text[code] : "unknown";
}

char *
ctl_bmp_down_text(const struct ctl_bmp_down *down, char *out, size_t size)
{
	static const char *const text[] = {"not said",
					   "notification sent",
					   "closed by this side",
					   "notification received",
					   "closed by the peer",
					   "neighbor removed"};
	const char *reason =
		down->reason < sizeof(text) / sizeof(text[0]) ? text[down->reason] : text[0];

	if (down->code)
		snprintf(out, size, "%s, %s (%u/%u)", reason, code_text(down->code), down->code,
			 down->subcode);
	else
		snprintf(out, size, "%s", reason);
	return out;
}
