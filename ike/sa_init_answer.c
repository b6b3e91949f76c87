/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IKE_SA_INIT as responder (RFC 7296 1.2, 2.1, 2.6, 2.7, 2.23; RFC 8019).
 *
 * Nothing is kept for a stranger before he has a right to it: the connection is looked up by
 * address first (nobody else is answered at all), then the cookie is asked for when there are
 * many half-open SAs, then proposal and group are checked; only then are keys made. While they are
 * (dh_park.c) the request counts as a half-open SA. A repeated request, byte for byte the same,
 * gets the same answer again.
 */
#include <errno.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "ike/engine.h"

#define SPARE_NS     (SPW_NS_PER_S / 900)
#define SPARE_KNOWN  50 /* of 100, for configured peers alone */
#define AGAIN_PER_S  100
#define PREFIX_PER_S 90 /* answers to a /24 or /64 without a peer, and so many at once: */
#define PREFIX_BURST 10

/* The prefix of an address that may be anybody's has not had its share of this second. */
static bool
prefix_may(struct ike_engine *e, const struct spw_addr *to)
{
	uint8_t hash[crypto_shorthash_BYTES];

	/* keyed: nobody chooses whose share he takes */
	crypto_shorthash(hash, to->bytes, to->family == AF_INET6 ? 8 : 3, e->jar.keys.bytes);
	return ike_pace_take(&e->prefix[hash[0]], e->now, PREFIX_PER_S, PREFIX_BURST);
}

/*
 * One unauthenticated answer may be sent now: at most 100 at once, 1000 in any second, 100 of them
 * to one prefix (DOS-06); and however many are asked for by others, configured peers get theirs
 * (DOS-03).
 */
static bool
may_spare(struct ike_engine *e, const struct spw_addr *to)
{
	uint64_t credit = (e->now - e->spare_ns) / SPARE_NS;
	bool known = ike_peer_known(e, to);

	if (credit > 0) {
		e->spare = (uint32_t)ike_min_u64(100, e->spare + credit);
		e->spare_ns += credit * SPARE_NS;
	}
	if (e->spare <= (known ? 0 : SPARE_KNOWN) || (!known && !prefix_may(e, to)))
		return false;
	e->spare--;
	return true;
}

static void
reply_begin(struct ike_engine *e, struct ike_builder *b, const struct ike_header *h)
{
	struct ike_header r = {
		.spi_i = h->spi_i, .spi_r = h->spi_r, .exchange = h->exchange, .mid = h->mid};

	r.flags = (h->flags & IKE_FLAG_INITIATOR) ? IKE_FLAG_RESPONSE
						  : IKE_FLAG_RESPONSE | IKE_FLAG_INITIATOR;
	ike_build_start(b, e->out, sizeof(e->out), &r);
}

static void
reply_send(struct ike_engine *e, struct ike_builder *b, struct ike_datagram *out)
{
	if (!may_spare(e, &out->remote) || ike_build_finish(b, &out->len) != 0)
		return;
	out->bytes = e->out;
	ike_post(e, out);
}

void
ike_reply_plain(struct ike_engine *e, const struct ike_datagram *d, const struct ike_header *h,
		uint16_t type, const void *data, size_t len)
{
	struct ike_datagram out = *d;
	struct ike_builder b;

	reply_begin(e, &b, h);
	ike_build_notify(&b, type, 0, 0, data, len);
	reply_send(e, &b, &out);
}

void
ike_reply_token(struct ike_engine *e, const struct ike_datagram *d, const struct ike_header *h,
		const void *token, size_t len)
{
	struct ike_datagram out = *d;
	struct ike_builder b;

	reply_begin(e, &b, h);
	ike_build_notify(&b, IKE_N_INVALID_IKE_SPI, 0, 0, NULL, 0);
	ike_build_notify(&b, IKE_N_QCD_TOKEN, IKE_PROTO_IKE, 0, token, len);
	reply_send(e, &b, &out);
}

static bool
fits_address(const struct ike_conn *c, const struct ike_datagram *d)
{
	return c->set.mode != SPW_IKE_MODE_INITIATE && spw_addr_equal(&c->set.local, &d->local) &&
	       spw_addr_equal(&c->set.remote, &d->remote);
}

static struct ike_conn *
match_address(struct ike_engine *e, const struct ike_datagram *d)
{
	for (struct ike_conn *c = ike_index_near(e, &d->remote); c; c = c->near)
		if (fits_address(c, d))
			return c;
	return NULL;
}

/* The first connection of this address that has a proposal in common. */
static struct ike_conn *
match_proposal(struct ike_engine *e, const struct ike_datagram *d, const struct ike_msg *m,
	       struct ike_choice *choice)
{
	const struct ike_choice_rule rule = {.protocol = IKE_PROTO_IKE, .with_group = true};

	for (struct ike_conn *c = ike_index_near(e, &d->remote); c; c = c->near)
		if (fits_address(c, d) &&
		    ike_proposal_choose(&m->sa, c->set.ike, c->set.n_ike, &rule, choice) == 0)
			return c;
	return NULL;
}

static void
answer_again(struct ike_engine *e, const struct ike_datagram *d, const struct ike_sa *sa)
{
	struct ike_datagram out = *d;

	if (!ike_pace_take(&e->again, e->now, AGAIN_PER_S, AGAIN_PER_S))
		return;
	out.bytes = sa->response.bytes;
	out.len = sa->response.len;
	ike_post(e, &out);
}

/*
 * The SA that a request like this made before: an exact repeat of a half-open one gets its answer
 * again, one that has gone on is left alone. RFC 7296 2.1.
 */
static bool
repeated(struct ike_engine *e, const struct ike_datagram *d, const struct ike_msg *m)
{
	struct ike_sa *sa = NULL;

	while ((sa = ike_index_next(e, IKE_MARK_DIALLED, m->hdr.spi_i, sa)) != NULL) {
		if (sa->initiator || sa->state == IKE_SA_DEAD ||
		    !spw_addr_equal(&sa->remote, &d->remote) || sa->ni.len != m->nonce.len ||
		    memcmp(sa->ni.bytes, m->nonce.bytes, m->nonce.len) != 0)
			continue;
		if (sa->state == IKE_SA_HALF_OPEN && sa->peer_init.len == d->len &&
		    memcmp(sa->peer_init.bytes, d->bytes, d->len) == 0)
			answer_again(e, d, sa);
		return true;
	}
	return false;
}

/* Our own request, sent back to us: who answers it would talk to himself (IKE-062). */
static bool
mirrored(const struct ike_engine *e, const struct ike_msg *m)
{
	const struct ike_sa *sa = NULL;

	while ((sa = ike_index_next(e, IKE_MARK_DIALLED, m->hdr.spi_i, sa)) != NULL)
		if (sa->initiator && sa->ni.len == m->nonce.len &&
		    memcmp(sa->ni.bytes, m->nonce.bytes, m->nonce.len) == 0)
			return true;
	return false;
}

/*
 * Half-open SAs in all, and of this address; with those that wait for their keys, and in all also
 * those that have just been refused. The newest SAs are first in the list, and so are most of
 * these.
 */
static unsigned int
count_half_open(const struct ike_engine *e, const struct spw_addr *from, unsigned int *of_source)
{
	unsigned int n, left = e->index.half_open;

	*of_source = 0;
	n = ike_park_strangers(e, from, of_source);
	for (const struct ike_sa *sa = e->sas; sa && left > 0; sa = sa->next) {
		if (!ike_sa_is_strangers(sa))
			continue;
		n++;
		left--;
		*of_source += sa->state == IKE_SA_HALF_OPEN && spw_addr_equal(&sa->remote, from);
	}
	return n;
}

static void
turn_cookie_secret(struct ike_engine *e)
{
	struct ike_cookie_jar *jar = &e->jar;

	if (e->now - jar->turned_ns < IKE_COOKIE_TURN_NS)
		return;
	jar->has_previous = e->now - jar->turned_ns < 2 * IKE_COOKIE_TURN_NS;
	jar->version++;
	jar->turned_ns = e->now;
	e->config.ops->random(e->config.ctx, ike_cookie_key(jar, jar->version), IKE_COOKIE_KEY);
}

/* Under attack they have less time, those that are there, too. RFC 8019 4.1. */
static void
hurry_half_open(struct ike_engine *e)
{
	for (struct ike_sa *sa = e->sas; sa; sa = sa->next) {
		uint64_t end = ike_after(sa->made_ns, IKE_HURRY_NS);

		if (sa->state != IKE_SA_HALF_OPEN || sa->expire_at <= end)
			continue;
		ike_touch(sa);
		sa->expire_at = end;
	}
}

/* True when the request may go on; else a cookie was sent, or nothing. */
static bool
pass_cookie(struct ike_engine *e, const struct ike_datagram *d, const struct ike_msg *m)
{
	const struct ike_notify *n = ike_wire_notify(m, IKE_N_COOKIE);
	unsigned int of_source, total = count_half_open(e, &d->remote, &of_source);
	uint8_t cookie[IKE_COOKIE_LEN];

	turn_cookie_secret(e);
	if (total >= IKE_HALF_OPEN_MAX)
		return false;
	if (total > e->config.half_open_cookies || of_source >= IKE_PER_SOURCE) {
		if (e->now >= e->cookies_until)
			hurry_half_open(e);
		e->cookies_until = ike_after(e->now, IKE_CALM_NS);
	}
	if (e->now >= e->cookies_until)
		return true;
	if (n && ike_cookie_valid(&e->jar, n->data.bytes, n->data.len, m->nonce.bytes, m->nonce.len,
				  &d->remote, d->remote_port, m->hdr.spi_i))
		return true;
	ike_cookie_make(&e->jar, e->jar.version, m->nonce.bytes, m->nonce.len, &d->remote,
			d->remote_port, m->hdr.spi_i, cookie);
	ike_reply_plain(e, d, &m->hdr, IKE_N_COOKIE, cookie, sizeof(cookie));
	return false;
}

static void
detect_nat(struct ike_sa *sa, const struct ike_msg *m)
{
	uint8_t hash[IKE_NATD_LEN];

	/* the request's hashes were made before SPIr was known */
	if (ike_nat_hash(sa->spi_i, 0, &sa->remote, sa->remote_port, hash) == 0)
		sa->nat_there = ike_nat_changed(m, IKE_N_NAT_DETECTION_SOURCE_IP, hash);
	if (ike_nat_hash(sa->spi_i, 0, &sa->local, sa->local_port, hash) == 0)
		sa->nat_here = ike_nat_changed(m, IKE_N_NAT_DETECTION_DESTINATION_IP, hash);
	sa->encap = sa->nat_here || sa->nat_there || sa->conn->set.force_encap;
}

static int
build_answer(struct ike_sa *sa, const struct ike_choice *choice, const struct ike_dh *dh)
{
	const struct ike_header h = {.spi_i = sa->spi_i,
				     .spi_r = sa->spi_r,
				     .exchange = IKE_X_SA_INIT,
				     .flags = IKE_FLAG_RESPONSE};
	const struct spw_group_info *group = spw_group_info(choice->what.group);
	struct ike_engine *e = sa->e;
	uint8_t hash[IKE_NATD_LEN];
	struct ike_builder b;
	size_t len;
	int rc;

	ike_build_start(&b, e->out, sizeof(e->out), &h);
	ike_build_sa(&b, IKE_PROTO_IKE, 0, 0, &choice->what, 1, choice->number, true);
	ike_build_ke(&b, group->ike_id, ike_dh_public(dh), group->public_len);
	ike_build_bytes(&b, IKE_P_NONCE, sa->nr.bytes, sa->nr.len);
	rc = ike_nat_hash(sa->spi_i, sa->spi_r, &sa->local, sa->local_port, hash);
	if (sa->conn->set.force_encap) /* a hash that cannot fit claims a NAT */
		e->config.ops->random(e->config.ctx, hash, sizeof(hash));
	ike_build_notify(&b, IKE_N_NAT_DETECTION_SOURCE_IP, 0, 0, hash, sizeof(hash));
	if (rc == 0)
		rc = ike_nat_hash(sa->spi_i, sa->spi_r, &sa->remote, sa->remote_port, hash);
	ike_build_notify(&b, IKE_N_NAT_DETECTION_DESTINATION_IP, 0, 0, hash, sizeof(hash));
	if (sa->fragment)
		ike_build_notify(&b, IKE_N_FRAGMENTATION_SUPPORTED, 0, 0, NULL, 0);
	if (sa->ppk == IKE_PPK_AGREED)
		ike_build_notify(&b, IKE_N_USE_PPK, 0, 0, NULL, 0);
	if (rc == 0)
		rc = ike_build_finish(&b, &len);
	if (rc == 0)
		rc = ike_blob_set(&sa->own_init, e->out, len);
	return rc == 0 ? ike_blob_set(&sa->response, e->out, len) : rc;
}

/* Our key pair and the secret shared with the initiator. */
struct exchange {
	struct ike_dh *dh;
	struct spw_secret shared;
};

/* Fill the half-open SA: keys, answer. */
static int
open_half(struct ike_sa *sa, const struct ike_datagram *d, const struct ike_msg *m,
	  const struct ike_choice *choice, const struct exchange *x)
{
	struct ike_keys_input in = {
		.suite = &sa->suite, .shared = &x->shared, .ni = &sa->ni, .nr = &sa->nr};
	int rc = build_answer(sa, choice, x->dh);

	if (rc == 0)
		rc = ike_blob_set(&sa->peer_init, d->bytes, d->len);
	if (rc == 0) {
		sa->suite = choice->what;
		sa->low = *ike_nonce_lower(&sa->ni, &sa->nr);
		in.spi_i = sa->spi_i;
		in.spi_r = sa->spi_r;
		rc = ike_sa_set_keys(sa, &in);
	}
	return rc;
}

static void
accept_init(struct ike_engine *e, struct ike_conn *conn, const struct ike_datagram *d,
	    const struct ike_msg *m, const struct ike_choice *choice, const struct exchange *x)
{
	struct ike_sa *sa = ike_sa_new(e, conn, false);

	if (!sa)
		return;
	sa->state = IKE_SA_HALF_OPEN;
	sa->expire_at =
		ike_after(e->now, e->now < e->cookies_until ? IKE_HURRY_NS : IKE_HALF_OPEN_NS);
	sa->spi_i = m->hdr.spi_i;
	sa->spi_r = ike_sa_fresh_spi(e);
	sa->local = d->local;
	sa->remote = d->remote;
	sa->local_port = d->local_port;
	sa->remote_port = d->remote_port;
	sa->next_in = 1;
	ike_nonce_set(&sa->ni, &m->nonce);
	ike_nonce_new(e, &sa->nr);
	detect_nat(sa, m);
	if (ike_wire_notify(m, IKE_N_FRAGMENTATION_SUPPORTED))
		sa->fragment = conn->set.fragment;
	if (ike_ppk_offered(sa, m))
		sa->ppk = IKE_PPK_AGREED;
	if (open_half(sa, d, m, choice, x) != 0) {
		ike_state_set(sa, IKE_SA_DEAD);
		return;
	}
	ike_send(sa, sa->response.bytes, sa->response.len);
}

/* Make the keys, or let the request wait for them. */
static void
exchange_keys(struct ike_engine *e, struct ike_conn *conn, const struct ike_datagram *d,
	      const struct ike_msg *m, const struct ike_choice *choice)
{
	const struct ike_dh_want want = {
		.group = choice->what.group, .peer = &m->ke, .rank = IKE_DH_STRANGER};
	struct exchange x = {0};
	int rc = ike_dh_obtain(e, &want, &x.dh, &x.shared);

	if (rc == -EINPROGRESS)
		ike_park(e, NULL, d, &m->hdr, &(const struct ike_chunk){d->bytes, d->len},
			 IKE_P_NONE);
	if (rc == 0)
		accept_init(e, conn, d, m, choice, &x);
	spw_secret_free(&x.shared);
	ike_dh_free(x.dh);
}

/* Somebody dials whom no tunnel names: perhaps a peer whose address is another than configured. */
static void
tell_stranger(struct ike_engine *e, const struct ike_datagram *d)
{
	const char *cause = "it is no tunnel's remote-address";
	char local[SPW_ADDR_TEXT], remote[SPW_ADDR_TEXT];

	for (const struct ike_conn *c = ike_index_near(e, &d->remote); c; c = c->near) {
		if (!spw_addr_equal(&c->set.remote, &d->remote))
			continue;
		cause = spw_addr_equal(&c->set.local, &d->local)
				? "its tunnel has mode initiate"
				: "its tunnel has another local-address";
	}
	spw_log_limited(&e->strangers_log, SPW_LOG_INFO, "ike", "not-answered",
			"remote=%s local=%s cause=\"%s\"", spw_addr_format(&d->remote, remote),
			spw_addr_format(&d->local, local), cause);
}

/* `waited`: it has passed the cookie, and has waited for its keys. */
static void
take_request(struct ike_engine *e, const struct ike_datagram *d, const struct ike_header *h,
	     bool waited)
{
	struct ike_msg m = {.hdr = *h};
	struct ike_conn *conn = match_address(e, d);
	struct ike_choice choice;
	uint8_t group[2];
	int rc;

	if (e->shutdown || h->mid != 0 || h->spi_r != 0 || !(h->flags & IKE_FLAG_INITIATOR))
		return;
	if (!conn) {
		tell_stranger(e, d);
		return;
	}
	rc = ike_wire_payloads(&m, h->next, d->bytes + IKE_HEADER_LEN, d->len - IKE_HEADER_LEN);
	if (rc != 0) {
		spw_log_limited(&e->strangers_log, SPW_LOG_INFO, "ike", "not-answered",
				"conn=%s cause=\"its first message %s\"", conn->set.name,
				rc == -E2BIG ? "has more parts than are taken" : "is malformed");
		return;
	}
	if (m.critical) {
		ike_reply_plain(e, d, h, IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD, &m.critical, 1);
		return;
	}
	if (!m.has_sa || !m.has_ke || !m.has_nonce || mirrored(e, &m) || repeated(e, d, &m) ||
	    ike_park_knows(e, d, h) || (!waited && !pass_cookie(e, d, &m)))
		return;
	conn = match_proposal(e, d, &m, &choice);
	if (!conn) {
		conn = match_address(e, d);
		if (!conn->up)
			snprintf(conn->reason, sizeof(conn->reason),
				 "no common IKE proposal: none of the peer's %u is configured "
				 "here; make "
				 "ike-proposal and its policy the same",
				 m.sa.n_proposals);
		ike_reply_plain(e, d, h, IKE_N_NO_PROPOSAL_CHOSEN, NULL, 0);
		return;
	}
	if (m.ke_group != spw_group_info(choice.what.group)->ike_id) {
		spw_put_be16(group, spw_group_info(choice.what.group)->ike_id);
		ike_reply_plain(e, d, h, IKE_N_INVALID_KE_PAYLOAD, group, sizeof(group));
		return;
	}
	exchange_keys(e, conn, d, &m, &choice);
}

void
ike_init_request_in(struct ike_engine *e, const struct ike_datagram *d, const struct ike_header *h)
{
	take_request(e, d, h, false);
}

void
ike_init_request_again(struct ike_engine *e, const struct ike_datagram *d,
		       const struct ike_header *h)
{
	take_request(e, d, h, true);
}
