/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IKE_AUTH with a pre-shared key, both roles (RFC 7296 1.2, 2.15, 2.16, 2.21.2).
 *
 * An IKE SA becomes ESTABLISHED only here, after the peer's AUTH and identity were verified. A
 * bad key, an unknown identity and a wrong one get the same answer after the same work (the AUTH
 * is computed before identities are looked at), so nothing tells them apart. Which of a
 * connection's keys counts is psk.c's, what a post-quantum key does to AUTH and SK_* ppk.c's. The
 * first child SA is made in the same exchange without a key exchange of its own; when only it
 * fails, the IKE SA stands and the child is tried again later, after pauses that grow until there
 * is one, whatever number of IKE SAs that takes.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ike/engine.h"

static void
id_of_address(struct spw_ike_id *id, const struct spw_addr *a)
{
	memset(id, 0, sizeof(*id));
	id->type = a->family == AF_INET6 ? SPW_ID_IPV6 : SPW_ID_IPV4;
	id->len = (uint8_t)spw_addr_len(a->family);
	memcpy(id->data, a->bytes, id->len);
}

/* The identities in use: as configured, else the address of the end. */
void
ike_auth_ids(const struct spw_ike_conn *c, struct spw_ike_id *local, struct spw_ike_id *remote)
{
	*local = c->local_id;
	*remote = c->remote_id;
	if (local->type == 0)
		id_of_address(local, &c->local);
	if (remote->type == 0)
		id_of_address(remote, &c->remote);
}

static bool
id_matches(const struct spw_ike_id *want, const struct ike_identity *got)
{
	return want->type == got->type && want->len == got->data.len &&
	       memcmp(want->data, got->data.bytes, want->len) == 0;
}

/* Content of an ID payload as we send it. */
static size_t
id_content(const struct spw_ike_id *id, uint8_t out[4 + SPW_IKE_ID_MAX])
{
	memset(out, 0, 4);
	out[0] = id->type;
	memcpy(out + 4, id->data, id->len);
	return 4 + (size_t)id->len;
}

/* Our AUTH, under the key this SA is authenticated with; `p` is SK_pi or SK_pr. */
static int
own_auth(struct ike_sa *sa, const struct spw_secret *p, uint8_t *out)
{
	const struct ike_chunk msg = {sa->own_init.bytes, sa->own_init.len};
	uint8_t content[4 + SPW_IKE_ID_MAX];
	struct spw_ike_id local, remote;
	int psk = ike_psk_of(sa);

	if (psk < 0)
		return -ENOENT;
	ike_auth_ids(&sa->conn->set, &local, &remote);
	const struct ike_chunk idc = {content, id_content(&local, content)};

	return ike_keys_auth(sa->suite.prf, &sa->conn->psk[psk].key, &msg,
			     sa->initiator ? &sa->nr : &sa->ni, p, &idc, out);
}

/* AUTH and what belongs to it: PPK_IDENTITY, and NO_PPK_AUTH where a PPK may be left out. */
static int
build_own_auth(struct ike_sa *sa, struct ike_builder *b)
{
	bool fallback = sa->ppk == IKE_PPK_AGREED && !sa->conn->set.ppk_required;
	size_t len = spw_prf_info(sa->suite.prf)->len;
	uint8_t auth[IKE_PRF_MAX], plain[IKE_PRF_MAX];
	struct spw_secret p = {0};
	int rc = ike_ppk_sk_p(sa, &p);

	if (rc == 0)
		rc = own_auth(sa, &p, auth);
	if (rc == 0 && fallback)
		rc = own_auth(sa, &sa->keys.pi, plain);
	if (rc == 0)
		ike_build_auth(b, auth, len);
	if (rc == 0 && sa->ppk != IKE_PPK_OFF)
		ike_ppk_build_identity(sa, b);
	if (rc == 0 && fallback)
		ike_build_notify(b, IKE_N_NO_PPK_AUTH, 0, 0, plain, len);
	spw_secret_free(&p);
	spw_wipe(auth, sizeof(auth));
	spw_wipe(plain, sizeof(plain));
	return rc;
}

void
ike_auth_id_text(const struct ike_identity *id, char *out, size_t size)
{
	struct spw_addr a = {.family = id->type == SPW_ID_IPV6 ? AF_INET6 : AF_INET};
	char text[SPW_ADDR_TEXT];

	if ((id->type != SPW_ID_IPV4 && id->type != SPW_ID_IPV6) ||
	    id->data.len != spw_addr_len(a.family)) {
		spw_text_escape(out, size, id->data.bytes, id->data.len);
		return;
	}
	memcpy(a.bytes, id->data.bytes, id->data.len);
	snprintf(out, size, "%s", spw_addr_format(&a, text));
}

/* Who it was that we did not believe; never the key. */
static void
log_identity(struct ike_sa *sa, const struct ike_identity *id)
{
	char text[96];

	ike_auth_id_text(id, text, sizeof(text));
	spw_log_limited(&sa->e->log, SPW_LOG_WARNING, "ike", "auth-failed",
			"conn=%s peer_id_type=%u peer_id=\"%s\"", sa->conn->set.name, id->type,
			text);
}

/* What both roles do once the peer is authentic. */
static void
established(struct ike_sa *sa)
{
	struct ike_engine *e = sa->e;
	struct ike_conn *conn = sa->conn;
	char text[64];

	ike_blob_free(&sa->own_init);
	ike_blob_free(&sa->peer_init);
	ike_blob_free(&sa->cookie);
	spw_secret_free(&sa->keys.pi);
	spw_secret_free(&sa->keys.pr);
	sa->expire_at = UINT64_MAX;
	sa->made_ns = e->now;
	sa->birth = (struct ike_birth){.ns = e->now, .dialled = sa->initiator, .low = sa->low};
	if (conn->set.ike_rekey_s) {
		uint64_t soft = conn->set.ike_rekey_s * SPW_NS_PER_S;

		sa->rekey_at = ike_after(
			e->now, ike_jitter(soft, conn->set.jitter_percent, ike_random_u64(e)));
		sa->hard_at = ike_after(e->now, soft + soft / 10);
	}
	conn->attempts = 0;
	conn->next_try = ike_after(e->now, IKE_REDIAL_NS);
	conn->renew = false;
	conn->reason[0] = '\0';
	spw_log(SPW_LOG_INFO, "ike", "established",
		"conn=%s role=%s spi_i=%016llx spi_r=%016llx suite=%s nat_here=%d nat_there=%d",
		conn->set.name, sa->initiator ? "initiator" : "responder",
		(unsigned long long)sa->spi_i, (unsigned long long)sa->spi_r,
		ike_proposal_format(&sa->suite, text, sizeof(text)), sa->nat_here, sa->nat_there);
}

/* No other IKE SA of this connection stands: the peer may forget what it has. RFC 7296 2.4. */
static bool
first_contact(const struct ike_sa *sa)
{
	if (sa->e->config.no_initial_contact)
		return false;
	for (const struct ike_sa *o = sa->conn->sas; o; o = o->conn_next)
		if (o != sa && o->state != IKE_SA_DEAD && o->state != IKE_SA_GONE)
			return false;
	return true;
}

int
ike_auth_start(struct ike_sa *sa)
{
	const struct spw_ike_conn *set = &sa->conn->set;
	struct spw_ike_id local, remote;
	struct ike_builder b;
	int rc = ike_child_offer(sa, NULL);

	if (rc == 0)
		rc = ike_child_prepare(sa, SPW_GROUP_NONE);
	if (rc != 0)
		return rc;
	ike_auth_ids(set, &local, &remote);
	ike_psk_choose(sa, sa->conn->dial_psk);
	sa->contact_sent = first_contact(sa);
	ike_request_begin(sa, &b, IKE_X_AUTH);
	ike_build_id(&b, IKE_P_IDI, &local);
	if (sa->contact_sent)
		ike_build_notify(&b, IKE_N_INITIAL_CONTACT, 0, 0, NULL, 0);
	ike_build_id(&b, IKE_P_IDR, &remote);
	rc = build_own_auth(sa, &b);
	if (rc != 0)
		return rc;
	ike_build_sa(&b, IKE_PROTO_ESP, sa->req.spi_in, 4, sa->req.offer, sa->req.n_offer, 1,
		     false);
	ike_build_ts(&b, IKE_P_TSI, set->sel_local, set->n_local);
	ike_build_ts(&b, IKE_P_TSR, set->sel_remote, set->n_remote);
	ike_qcd_give(sa, &b);
	return ike_request_send(sa, &b, IKE_TASK_AUTH);
}

/* The connection an authenticated initiator means: same end points, its identities, its suite. */
static struct ike_conn *
match_identity(struct ike_sa *sa, const struct ike_msg *m)
{
	const struct spw_addr *peer = &sa->conn->set.remote;

	for (struct ike_conn *c = ike_index_near(sa->e, peer); c; c = c->near) {
		struct spw_ike_id local, remote;
		bool suite = false;

		if (!spw_addr_equal(&c->set.local, &sa->conn->set.local) ||
		    !spw_addr_equal(&c->set.remote, &sa->conn->set.remote) ||
		    c->set.mode == SPW_IKE_MODE_INITIATE)
			continue;
		ike_auth_ids(&c->set, &local, &remote);
		for (unsigned int i = 0; i < c->set.n_ike; i++)
			suite |= ike_proposal_equal(&c->set.ike[i], &sa->suite);
		if (suite && id_matches(&remote, &m->idi) &&
		    (!m->has_idr || id_matches(&local, &m->idr)))
			return c;
	}
	return NULL;
}

/*
 * INITIAL_CONTACT: the peer has no other SA with us. Those that stood before it began are orphans
 * and go silently; one that came up meanwhile is the other half of a double dial and stays for
 * ike_rival_stays() (RFC 7296 2.4).
 */
static void
drop_orphans(struct ike_sa *sa, uint64_t began_ns)
{
	for (struct ike_sa *o = sa->conn->sas; o; o = o->conn_next) {
		if (o == sa || o->made_ns > began_ns)
			continue;
		if (o->state == IKE_SA_ESTABLISHED || o->state == IKE_SA_RETIRED ||
		    o->state == IKE_SA_CLOSING)
			ike_state_set(o, IKE_SA_DEAD);
	}
}

/* Our dial that has got no answer yet is not needed any more. */
static void
drop_own_dial(struct ike_sa *sa)
{
	for (struct ike_sa *o = sa->conn->sas; o; o = o->conn_next)
		if (o != sa && o->state == IKE_SA_INIT_SENT)
			ike_state_set(o, IKE_SA_DEAD);
}

/* Part of the answer for the child; an error of it leaves the IKE SA standing. */
static void
answer_child(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b)
{
	struct ike_child *child;
	enum ike_fault fault = ike_child_answer(sa, m, b, true, &child);

	if (fault == IKE_OK) {
		sa->conn->child_attempts = 0;
		return;
	}
	ike_auth_spi_free(sa);
	ike_build_fault(b, sa->e, fault);
	ike_sa_reason(sa, ike_fault_info(fault)->text);
}

void
ike_auth_spi_free(struct ike_sa *sa)
{
	if (sa->auth_spi && sa->conn)
		ike_post_spi_free(sa->e, sa->conn->set.tunnel, sa->auth_spi);
	sa->auth_spi = 0;
}

void
ike_auth_spi_void(struct ike_sa *sa)
{
	if (!sa->auth_spi)
		return;
	sa->auth_spi = 0;
	ike_state_set(sa, IKE_SA_DEAD);
}

/*
 * The child of this answer has the same keys whenever the request is answered, for its nonces are
 * those of the IKE SA. So has it the same SPI: killed after its installation, the next process
 * takes over what stands there and installs no key a second time.
 */
static void
keep_spi(struct ike_sa *sa)
{
	const struct ike_engine_config *c = &sa->e->config;

	if (sa->auth_spi)
		return;
	if (c->ops->spi_alloc(c->ctx, sa->conn->set.tunnel, &sa->auth_spi) != 0)
		sa->auth_spi = 0;
	else
		ike_record_now(sa);
}

/*
 * Who the peer has proved to be: the SA becomes one of that connection's, with the key that was
 * proved. Whatever is wrong, it is found after the same work.
 */
static enum ike_fault
believe(struct ike_sa *sa, const struct ike_msg *m)
{
	struct ike_conn *found = match_identity(sa, m), *conn = found ? found : sa->conn;
	struct ike_chunk auth;
	enum ike_ppk_verdict ppk = ike_ppk_judge(sa, conn, m, &auth);
	bool good = ppk != IKE_PPK_REFUSE;
	int psk;

	if (ppk == IKE_PPK_MIX)
		good = ike_ppk_mix(sa, conn) == 0;
	psk = ike_psk_proven(sa, conn, &auth, &m->idi);
	/* the same to the peer in each case; here it is known what to compare */
	if (!found)
		return IKE_FAULT_IDENTITY;
	if (m->auth_method != IKE_AUTH_PSK)
		return IKE_FAULT_AUTH;
	if (!good)
		return IKE_FAULT_PPK;
	if (psk < 0)
		return IKE_FAULT_AUTH;
	if (ppk != IKE_PPK_MIX)
		sa->ppk = IKE_PPK_OFF;
	ike_sa_attach(sa, conn);
	ike_psk_choose(sa, (unsigned int)psk);
	return IKE_OK;
}

enum ike_fault
ike_auth_request(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b)
{
	uint64_t began = sa->made_ns;
	struct spw_ike_id local, remote;
	enum ike_fault fault;

	if (!m->has_idi)
		return IKE_FAULT_AUTH_SYNTAX;
	if (!m->has_auth) /* the peer wants EAP (2.16) */
		return IKE_FAULT_AUTH;
	if (!m->has_sa || !m->has_tsi || !m->has_tsr)
		return IKE_FAULT_AUTH_SYNTAX;
	fault = believe(sa, m);
	if (fault != IKE_OK) {
		log_identity(sa, &m->idi);
		return fault;
	}
	keep_spi(sa);
	ike_auth_ids(&sa->conn->set, &local, &remote);
	ike_build_id(b, IKE_P_IDR, &local);
	if (build_own_auth(sa, b) != 0)
		return IKE_FAULT_AUTH;
	ike_qcd_take(sa, m);
	established(sa);
	if (ike_wire_notify(m, IKE_N_INITIAL_CONTACT))
		drop_orphans(sa, began);
	drop_own_dial(sa);
	answer_child(sa, m, b);
	ike_qcd_give(sa, b);
	return IKE_OK;
}

/* Tell the responder that we do not believe it, once, and forget. RFC 7296 2.21.2. */
static void
send_disbelief(struct ike_sa *sa)
{
	struct ike_builder b;
	size_t len;

	ike_request_begin(sa, &b, IKE_X_INFORMATIONAL);
	ike_build_notify(&b, IKE_N_AUTHENTICATION_FAILED, 0, 0, NULL, 0);
	if (ike_build_seal(&b, sa->seal, &len) == 0)
		ike_send(sa, sa->e->out, len);
}

/* Errors that concern only the child of IKE_AUTH (RFC 7296 1.2). */
static bool
is_child_error(uint16_t type)
{
	return type == IKE_N_NO_PROPOSAL_CHOSEN || type == IKE_N_TS_UNACCEPTABLE ||
	       type == IKE_N_SINGLE_PAIR_REQUIRED || type == IKE_N_INTERNAL_ADDRESS_FAILURE ||
	       type == IKE_N_FAILED_CP_REQUIRED || type == IKE_N_NO_ADDITIONAL_SAS ||
	       type == IKE_N_TEMPORARY_FAILURE;
}

static void
note_refusal(struct ike_sa *sa, uint16_t type)
{
	char text[SPW_IKE_STATE_TEXT];

	if (type == IKE_N_AUTHENTICATION_FAILED)
		ike_psk_refused(sa->conn);
	if (type == IKE_N_AUTHENTICATION_FAILED)
		snprintf(text, sizeof(text), "%s", ike_fault_info(IKE_FAULT_AUTH)->text);
	else
		snprintf(text, sizeof(text), "peer refused IKE_AUTH: %s (%u)",
			 ike_notify_name(type), type);
	ike_sa_reason(sa, text);
}

enum ike_fault
ike_auth_response(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b)
{
	const struct ike_choice_rule rule = {
		.protocol = IKE_PROTO_ESP, .spi_len = 4, .encr_mask = sa->e->config.encr_mask};
	const struct ike_notify *error = ike_wire_error(m);
	struct spw_ike_id local, remote;
	struct ike_child *child;
	enum ike_fault fault;
	bool believed;

	if (error && (!m->has_auth || !is_child_error(error->type))) {
		note_refusal(sa, error->type);
		return IKE_FAULT_REFUSED;
	}
	if (!m->has_idr || !m->has_auth)
		return IKE_FAULT_AUTH_SYNTAX;
	ike_auth_ids(&sa->conn->set, &local, &remote);
	if (!ike_ppk_settle(sa, m)) {
		send_disbelief(sa);
		return IKE_FAULT_PPK;
	}
	believed = ike_psk_answers(sa, &m->auth, &m->idr) && m->auth_method == IKE_AUTH_PSK;
	if (!believed || !id_matches(&remote, &m->idr)) {
		log_identity(sa, &m->idr);
		send_disbelief(sa);
		return believed ? IKE_FAULT_IDENTITY : IKE_FAULT_AUTH;
	}
	ike_qcd_take(sa, m);
	established(sa);
	if (error) {
		ike_child_failed(sa, error->type, IKE_OK);
		return IKE_OK;
	}
	fault = ike_child_take(sa, m, &rule, true, &child);
	if (fault != IKE_OK)
		ike_child_failed(sa, 0, fault);
	else
		sa->conn->child_attempts = 0;
	return IKE_OK;
}
