/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IKE_SA_INIT as initiator (RFC 7296 1.2, 2.6, 2.7, 2.23).
 *
 * All of it is unauthenticated, so an answer is only ever used when it is wholly right, down to
 * the public value; anything else leaves the attempt as it was, still repeating its request until
 * its patience ends. Errors are hints for a person (2.21.1); only COOKIE and INVALID_KE_PAYLOAD are
 * acted on, each a bounded number of times and only with a group that we proposed. A repeated
 * request differs by the cookie, or by group and key: SPI, nonce and proposals stay.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ike/engine.h"

/*
 * NAT detection payloads of what we send. The hash of an address that is none claims a NAT
 * (force_encap); it is the same each time, for a request that is repeated with a cookie must be.
 */
static void
build_natd(struct ike_builder *b, struct ike_sa *sa, bool pretend)
{
	const struct spw_addr none = {.family = sa->local.family};
	uint8_t hash[IKE_NATD_LEN];

	if (ike_nat_hash(sa->spi_i, sa->spi_r, pretend ? &none : &sa->local,
			 pretend ? 0 : sa->local_port, hash) != 0)
		return;
	ike_build_notify(b, IKE_N_NAT_DETECTION_SOURCE_IP, 0, 0, hash, sizeof(hash));
	if (ike_nat_hash(sa->spi_i, sa->spi_r, &sa->remote, sa->remote_port, hash) == 0)
		ike_build_notify(b, IKE_N_NAT_DETECTION_DESTINATION_IP, 0, 0, hash, sizeof(hash));
}

/* Build and send the request that the SA's nonce, key pair and cookie make. */
static int
send_init(struct ike_sa *sa)
{
	const struct ike_header h = {
		.spi_i = sa->spi_i, .exchange = IKE_X_SA_INIT, .flags = IKE_FLAG_INITIATOR};
	const struct ike_request *r = &sa->req;
	enum spw_group group = ike_dh_group(r->dh);
	const struct spw_group_info *info = spw_group_info(group);
	struct ike_builder b;
	size_t len;
	int rc;

	ike_build_start(&b, sa->e->out, sizeof(sa->e->out), &h);
	if (sa->cookie.len)
		ike_build_notify(&b, IKE_N_COOKIE, 0, 0, sa->cookie.bytes, sa->cookie.len);
	ike_build_sa(&b, IKE_PROTO_IKE, 0, 0, r->offer, r->n_offer, 1, true);
	ike_build_ke(&b, info->ike_id, ike_dh_public(r->dh), info->public_len);
	ike_build_bytes(&b, IKE_P_NONCE, sa->ni.bytes, sa->ni.len);
	build_natd(&b, sa, sa->conn->set.force_encap);
	if (sa->conn->set.fragment)
		ike_build_notify(&b, IKE_N_FRAGMENTATION_SUPPORTED, 0, 0, NULL, 0);
	ike_ppk_build_use(sa->conn, &b);
	rc = ike_build_finish(&b, &len);
	if (rc == 0)
		rc = ike_blob_set(&sa->own_init, sa->e->out, len);
	if (rc == 0)
		rc = ike_request_launch(sa, IKE_TASK_INIT, IKE_X_SA_INIT, sa->e->out, len);
	return rc;
}

void
ike_init_start(struct ike_conn *conn)
{
	struct ike_engine *e = conn->e;
	struct ike_sa *sa;
	struct ike_dh *dh = NULL;
	int rc = ike_pair_take(e, &conn->pair, conn->set.ike[0].group, IKE_DH_DIAL, &dh);

	if (rc == -EINPROGRESS) /* we are called again when it is there */
		return;
	sa = ike_sa_new(e, conn, true);
	if (!sa) {
		ike_dh_free(dh);
		ike_dial_failed(conn);
		return;
	}
	sa->req.dh = dh;
	sa->state = IKE_SA_INIT_SENT;
	sa->spi_i = ike_sa_fresh_spi(e);
	sa->local = conn->set.local;
	sa->remote = conn->set.remote;
	sa->local_port = sa->remote_port = IKE_PORT;
	ike_nonce_new(e, &sa->ni);
	sa->req.n_offer = conn->set.n_ike;
	memcpy(sa->req.offer, conn->set.ike, sizeof(sa->req.offer));
	sa->req.groups_tried = 1u << conn->set.ike[0].group;
	if (rc == 0)
		rc = send_init(sa);
	if (rc != 0) {
		ike_sa_reason(sa,
			      "cannot make an IKE_SA_INIT: out of memory or cryptography failed");
		ike_state_set(sa, IKE_SA_DEAD);
		ike_dial_failed(conn);
	}
}

/* The group of an INVALID_KE_PAYLOAD, when we proposed it and have not tried it yet. */
bool
ike_group_allowed(const struct ike_request *r, uint16_t ike_id, enum spw_group *group)
{
	enum spw_group g = spw_group_by_ike_id(ike_id);

	if (g == SPW_GROUP_NONE || (r->groups_tried >> g & 1) != 0)
		return false;
	for (unsigned int i = 0; i < r->n_offer; i++) {
		if (r->offer[i].group == g) {
			*group = g;
			return true;
		}
	}
	return false;
}

static enum ike_fault
retry_with_cookie(struct ike_sa *sa, const struct ike_notify *n)
{
	if (n->data.len == 0 || n->data.len > IKE_COOKIE_MAX ||
	    ++sa->cookie_rounds > IKE_COOKIE_ROUNDS)
		return IKE_FAULT_UNEXPECTED;
	if (ike_blob_set(&sa->cookie, n->data.bytes, n->data.len) != 0 || send_init(sa) != 0)
		return IKE_FAULT_REFUSED;
	return IKE_OK;
}

enum ike_fault
ike_init_retry(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b)
{
	const struct ike_notify *cookie = ike_wire_notify(m, IKE_N_COOKIE);
	const struct ike_notify *ke = ike_wire_notify(m, IKE_N_INVALID_KE_PAYLOAD);
	struct ike_request *r = &sa->req;
	struct ike_dh_want want = {.rank = IKE_DH_DIAL};
	struct ike_dh *dh;
	int rc;

	if (cookie)
		return retry_with_cookie(sa, cookie);
	if (ke->data.len != 2 || !ike_group_allowed(r, spw_get_be16(ke->data.bytes), &want.group))
		return IKE_FAULT_UNEXPECTED;
	rc = ike_dh_obtain(sa->e, &want, &dh, NULL);
	if (rc != 0)
		return rc == -EINPROGRESS ? IKE_FAULT_PARKED : IKE_FAULT_REFUSED;
	ike_dh_free(r->dh);
	r->dh = dh;
	r->groups_tried |= 1u << want.group;
	return send_init(sa) == 0 ? IKE_OK : IKE_FAULT_REFUSED;
}

/* See whether a NAT stands between, and move to port 4500 when it does. RFC 7296 2.23. */
static void
detect_nat(struct ike_sa *sa, const struct ike_msg *m)
{
	uint8_t hash[IKE_NATD_LEN];

	if (ike_nat_hash(sa->spi_i, sa->spi_r, &sa->remote, sa->remote_port, hash) == 0)
		sa->nat_there = ike_nat_changed(m, IKE_N_NAT_DETECTION_SOURCE_IP, hash);
	if (ike_nat_hash(sa->spi_i, sa->spi_r, &sa->local, sa->local_port, hash) == 0)
		sa->nat_here = ike_nat_changed(m, IKE_N_NAT_DETECTION_DESTINATION_IP, hash);
	sa->encap = sa->nat_here || sa->nat_there || sa->conn->set.force_encap;
}

static int
derive_keys(struct ike_sa *sa, const struct spw_secret *shared)
{
	const struct ike_keys_input in = {.suite = &sa->suite,
					  .shared = shared,
					  .ni = &sa->ni,
					  .nr = &sa->nr,
					  .spi_i = sa->spi_i,
					  .spi_r = sa->spi_r};

	sa->low = *ike_nonce_lower(&sa->ni, &sa->nr);
	return ike_sa_set_keys(sa, &in);
}

enum ike_fault
ike_init_response(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b)
{
	const struct ike_choice_rule rule = {.protocol = IKE_PROTO_IKE, .with_group = true};
	struct ike_request *r = &sa->req;
	struct ike_dh_want want = {.own = r->dh, .peer = &m->ke, .rank = IKE_DH_DIAL};
	struct spw_secret shared = {0};
	struct ike_choice choice;
	int rc;

	if (ike_proposal_check(&m->sa, r->offer, r->n_offer, &rule, &choice) != 0 ||
	    choice.what.group != ike_dh_group(r->dh) ||
	    m->ke_group != spw_group_info(choice.what.group)->ike_id || !ike_ppk_answered(sa, m))
		return IKE_FAULT_UNEXPECTED;
	want.group = choice.what.group;
	rc = ike_dh_obtain(sa->e, &want, NULL, &shared);
	if (rc == -EINPROGRESS)
		return IKE_FAULT_PARKED;
	ike_sa_reason(sa, "key exchange with the peer failed");
	if (rc == -EINVAL) /* whoever said that, the peer may say better */
		sa->hint_ns = sa->e->now;
	if (rc != 0)
		return rc == -EINVAL ? IKE_FAULT_UNEXPECTED : IKE_FAULT_REFUSED;
	sa->suite = choice.what;
	sa->spi_r = m->hdr.spi_r;
	ike_nonce_set(&sa->nr, &m->nonce);
	rc = derive_keys(sa, &shared);
	spw_secret_free(&shared);
	if (rc != 0)
		return IKE_FAULT_REFUSED;
	detect_nat(sa, m);
	if (ike_wire_notify(m, IKE_N_FRAGMENTATION_SUPPORTED))
		sa->fragment = sa->conn->set.fragment;
	if (sa->encap)
		sa->local_port = sa->remote_port = IKE_NATT_PORT;
	ike_request_clear(sa);
	sa->next_out = 1;
	ike_sa_reason(sa, "");
	return ike_auth_start(sa) == 0 ? IKE_OK : IKE_FAULT_REFUSED;
}

/* An error we may not act on: told to a person (RFC 7296 2.21.1). */
static void
note_hint(struct ike_sa *sa, const struct ike_notify *n)
{
	char text[SPW_IKE_STATE_TEXT];

	sa->hint_ns = sa->e->now;
	if (n->type == IKE_N_NO_PROPOSAL_CHOSEN)
		snprintf(text, sizeof(text),
			 "no common IKE proposal: peer refused all %u of ours; make ike-proposal "
			 "and "
			 "the peer's policy the same",
			 sa->req.n_offer);
	else
		snprintf(text, sizeof(text), "peer answered IKE_SA_INIT with %s (%u)",
			 ike_notify_name(n->type), n->type);
	ike_sa_reason(sa, text);
}

/* An answer that we can do nothing with; not seen in the log it would be as if there was none. */
static void
note_unusable(struct ike_sa *sa, const struct ike_msg *m)
{
	const struct ike_notify *ke = ike_wire_notify(m, IKE_N_INVALID_KE_PAYLOAD);
	char text[SPW_IKE_STATE_TEXT];

	if (sa->hint_ns == sa->e->now) /* it has been said */
		return;
	sa->hint_ns = sa->e->now;
	if (ke && ke->data.len == 2)
		snprintf(text, sizeof(text),
			 "peer wants group %u for the key exchange: put it into ike-proposal, or "
			 "ours into the peer's policy",
			 spw_get_be16(ke->data.bytes));
	else if (ike_wire_notify(m, IKE_N_COOKIE))
		snprintf(text, sizeof(text),
			 "peer asks for one cookie after another: it takes no handshake now");
	else
		snprintf(text, sizeof(text),
			 "peer's answer to IKE_SA_INIT is not what was offered; compare "
			 "ike-proposal with its policy");
	ike_sa_reason(sa, text);
}

void
ike_init_response_in(struct ike_sa *sa, const struct ike_datagram *d, const struct ike_header *h)
{
	const struct ike_notify *error;
	struct ike_msg m = {.hdr = *h};
	enum ike_fault fault = IKE_FAULT_UNEXPECTED;

	if (sa->state != IKE_SA_INIT_SENT || sa->parked[true] || h->mid != 0 ||
	    (h->flags & IKE_FLAG_INITIATOR) || !spw_addr_equal(&d->remote, &sa->remote))
		return;
	if (ike_wire_payloads(&m, h->next, d->bytes + IKE_HEADER_LEN, d->len - IKE_HEADER_LEN) ||
	    m.critical) {
		sa->hint_ns = sa->e->now;
		ike_sa_reason(sa, "peer's answer to IKE_SA_INIT is malformed, or of another "
				  "version of IKEv2");
		return;
	}
	error = ike_wire_error(&m);
	if (m.has_sa && m.has_ke && m.has_nonce && h->spi_r != 0 && !error) {
		if (ike_blob_set(&sa->peer_init, d->bytes, d->len) == 0)
			fault = ike_state_step(sa, IKE_EV_INIT_RSP, &m, NULL);
	} else if (ike_wire_notify(&m, IKE_N_COOKIE) ||
		   ike_wire_notify(&m, IKE_N_INVALID_KE_PAYLOAD)) {
		fault = ike_state_step(sa, IKE_EV_INIT_RETRY, &m, NULL);
	} else if (error) {
		note_hint(sa, error);
	}
	if (fault == IKE_FAULT_PARKED)
		ike_park(sa->e, sa, d, h, &(const struct ike_chunk){d->bytes, d->len}, IKE_P_NONE);
	if (fault == IKE_FAULT_UNEXPECTED)
		note_unusable(sa, &m);
	if (fault == IKE_FAULT_REFUSED) {
		ike_dial_failed(sa->conn);
		ike_state_set(sa, IKE_SA_DEAD);
	}
}
