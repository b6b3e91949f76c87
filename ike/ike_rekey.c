/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rekeying the IKE SA, both roles and their collision (RFC 7296 1.3.2, 2.8.2, 2.18, 2.25.2).
 *
 * The new IKE SA takes over all children in one step; message ids begin at 0; whoever began the
 * rekey is the original initiator of the new one and deletes the old one last. Refused with
 * TEMPORARY_FAILURE while one of our exchanges about a child is under way (IKE-108).
 *
 * Collision: the peer's rekey comes in while ours is out. It is answered, its SA is `pending` and
 * has no children yet. It becomes the successor when our request loses or fails, or when the old
 * SA is deleted by the peer (IKE-113); it goes, deleted by its maker, when ours wins. Children
 * move exactly once, to the survivor.
 */
#include <errno.h>
#include <string.h>

#include "ike/engine.h"

int
ike_rekey_start(struct ike_sa *sa)
{
	struct ike_request *r = &sa->req;
	const struct spw_group_info *info = spw_group_info(sa->suite.group);
	struct ike_builder b;
	int rc = ike_pair_take(sa->e, &sa->pair, sa->suite.group, IKE_DH_LIVING, &r->dh);

	if (rc != 0)
		return rc;
	r->offer[0] = sa->suite;
	r->n_offer = 1;
	ike_nonce_new(sa->e, &r->nonce);
	r->ike_spi = ike_sa_fresh_spi(sa->e);
	ike_request_begin(sa, &b, IKE_X_CREATE_CHILD);
	ike_build_sa(&b, IKE_PROTO_IKE, r->ike_spi, 8, r->offer, 1, 1, true);
	ike_build_bytes(&b, IKE_P_NONCE, r->nonce.bytes, r->nonce.len);
	ike_build_ke(&b, info->ike_id, ike_dh_public(r->dh), info->public_len);
	return ike_request_send(sa, &b, IKE_TASK_IKE_REKEY);
}

/* Everything a new IKE SA inherits and derives. NULL when that fails; nothing is left then. */
static struct ike_sa *
successor(struct ike_sa *old, bool initiator, const struct ike_choice *choice,
	  const struct ike_nonce *ni, const struct ike_nonce *nr, uint64_t own_spi,
	  const struct spw_secret *shared)
{
	struct ike_sa *n = ike_sa_new(old->e, old->conn, initiator);
	struct ike_keys_input in = {.suite = &choice->what,
				    .shared = shared,
				    .ni = ni,
				    .nr = nr,
				    .old_d = &old->keys.d,
				    .old_prf = old->suite.prf};

	if (!n)
		return NULL;
	in.spi_i = n->spi_i = initiator ? own_spi : choice->spi;
	in.spi_r = n->spi_r = initiator ? choice->spi : own_spi;
	n->state = IKE_SA_ESTABLISHED;
	n->suite = choice->what;
	n->local = old->local;
	n->remote = old->remote;
	n->local_port = old->local_port;
	n->remote_port = old->remote_port;
	n->nat_here = old->nat_here;
	n->nat_there = old->nat_there;
	n->encap = old->encap;
	n->fragment = old->fragment;
	memcpy(n->psk_mark, old->psk_mark, sizeof(n->psk_mark));
	n->ppk = old->ppk;
	n->ni = *ni;
	n->nr = *nr;
	n->low = *ike_nonce_lower(ni, nr);
	n->birth = old->birth;
	n->heard_ns = old->e->now;
	if (ike_sa_set_keys(n, &in) != 0) {
		n->state = IKE_SA_DEAD;
		return NULL;
	}
	return n;
}

/* Lifetimes of an IKE SA that has just become the one in use. */
static void
begin_life(struct ike_sa *n)
{
	const struct spw_ike_conn *set = &n->conn->set;
	uint64_t soft = set->ike_rekey_s * SPW_NS_PER_S, now = n->e->now;

	n->pending = false;
	if (soft) {
		n->rekey_at =
			ike_after(now, ike_jitter(soft, set->jitter_percent, ike_random_u64(n->e)));
		n->hard_at = ike_after(now, soft + soft / 10);
	}
	n->conn->ike_rekeys++;
	spw_log(SPW_LOG_INFO, "ike", "rekeyed", "conn=%s spi_i=%016llx spi_r=%016llx role=%s",
		set->name, (unsigned long long)n->spi_i, (unsigned long long)n->spi_r,
		n->initiator ? "initiator" : "responder");
}

static void
take_over(struct ike_sa *old, struct ike_sa *n)
{
	begin_life(n);
	ike_sa_move_children(old, n);
	/* one that has lost to another IKE SA has lost with its successor: so the peer sees it, too
	 */
	if (old->redundant) {
		n->redundant = true;
		n->close_at = old->close_at;
	}
	old->rekey_at = old->hard_at = UINT64_MAX;
	old->close_at = ike_after(old->e->now, IKE_REKEYED_NS); /* the peer should be earlier */
}

static bool
child_exchange(const struct ike_sa *sa)
{
	return sa->req.task == IKE_TASK_CHILD || sa->req.task == IKE_TASK_CHILD_REKEY ||
	       sa->req.task == IKE_TASK_CHILD_DELETE;
}

/* Choose and check the key exchange of the peer's rekey. */
static enum ike_fault
judge(struct ike_sa *sa, const struct ike_msg *m, struct ike_choice *choice)
{
	const struct ike_choice_rule rule = {
		.protocol = IKE_PROTO_IKE, .spi_len = 8, .with_group = true};
	const struct spw_ike_conn *set = &sa->conn->set;

	if (sa->pending || child_exchange(sa) || sa->req.rival)
		return IKE_FAULT_BUSY;
	if (!m->has_sa || !m->has_nonce)
		return IKE_FAULT_CHILD_SYNTAX;
	if (ike_proposal_choose(&m->sa, set->ike, set->n_ike, &rule, choice) != 0)
		return IKE_FAULT_IKE_PROPOSAL;
	if (m->has_ke && m->ke_group == spw_group_info(choice->what.group)->ike_id)
		return IKE_OK;
	spw_put_be16(sa->e->detail.data, spw_group_info(choice->what.group)->ike_id);
	sa->e->detail.len = 2;
	return IKE_FAULT_KE_GROUP;
}

static enum ike_fault
make_answer(struct ike_sa *sa, const struct ike_msg *m, const struct ike_choice *choice,
	    struct ike_builder *b, struct ike_sa **made)
{
	const struct ike_dh_want want = {
		.group = choice->what.group, .peer = &m->ke, .rank = IKE_DH_LIVING};
	const struct spw_group_info *info = spw_group_info(choice->what.group);
	struct spw_secret shared = {0};
	struct ike_nonce ni, nr;
	struct ike_dh *dh = NULL;
	uint64_t spi = ike_sa_fresh_spi(sa->e);
	int rc = ike_dh_obtain(sa->e, &want, &dh, &shared);

	if (rc != 0)
		return ike_dh_fault(rc);
	ike_nonce_set(&ni, &m->nonce);
	ike_nonce_new(sa->e, &nr);
	*made = NULL;
	ike_build_sa(b, IKE_PROTO_IKE, spi, 8, &choice->what, 1, choice->number, true);
	ike_build_bytes(b, IKE_P_NONCE, nr.bytes, nr.len);
	ike_build_ke(b, info->ike_id, ike_dh_public(dh), info->public_len);
	*made = successor(sa, false, choice, &ni, &nr, spi, &shared);
	spw_secret_free(&shared);
	ike_dh_free(dh);
	if (*made && ike_qcd_known(sa))
		ike_qcd_give(*made, b);
	return *made ? IKE_OK : IKE_FAULT_INTERNAL; /* no fault of the peer's message */
}

/* For both IKE_REKEY_REQ and IKE_RIVAL_REQ; the table decides what becomes of the old SA. */
enum ike_fault
ike_rekey_request(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b)
{
	struct ike_request *r = &sa->req;
	struct ike_choice choice;
	struct ike_sa *n;
	enum ike_fault fault = judge(sa, m, &choice);

	if (fault == IKE_OK)
		fault = make_answer(sa, m, &choice, b, &n);
	if (fault != IKE_OK)
		return fault;
	n->quiet_until = ike_after(sa->e->now, IKE_HOLD_NS);
	if (r->task != IKE_TASK_IKE_REKEY) {
		take_over(sa, n);
		return IKE_OK;
	}
	n->pending = true;
	n->expire_at = ike_after(sa->e->now, IKE_PATIENCE_NS);
	r->rival = true;
	r->rival_ike_spi = ike_sa_own_spi(n);
	r->rival_low = n->low;
	return IKE_OK;
}

/* The peer's rekey is the successor after all. RFC 7296 2.8.2. */
enum ike_fault
ike_rekey_adopt(struct ike_sa *sa)
{
	struct ike_sa *rival = ike_sa_find(sa->e, sa->req.rival_ike_spi);

	if (!sa->req.rival || !rival || !rival->pending || rival->state != IKE_SA_ESTABLISHED)
		return IKE_FAULT_UNEXPECTED;
	rival->expire_at = UINT64_MAX;
	take_over(sa, rival);
	return IKE_OK;
}

static void
rekey_refused(struct ike_sa *sa, uint16_t notify)
{
	uint64_t wait = notify == IKE_N_TEMPORARY_FAILURE ? ike_busy_wait(sa) : IKE_REKEY_RETRY_NS;

	spw_log(SPW_LOG_WARNING, "ike", "ike-rekey-failed", "conn=%s cause=%s", sa->conn->set.name,
		notify ? ike_notify_name(notify) : "bad answer");
	sa->conn->renew |= notify == IKE_N_NO_ADDITIONAL_SAS; /* IKE-080 */
	sa->rekey_at = ike_after(sa->e->now, wait);
}

/*
 * Make the SA that the answer to our rekey describes. -EINPROGRESS, or -EBADMSG when the answer is
 * not usable.
 */
static int
take_answer(struct ike_sa *sa, const struct ike_msg *m, struct ike_sa **made)
{
	const struct ike_choice_rule rule = {
		.protocol = IKE_PROTO_IKE, .spi_len = 8, .with_group = true};
	struct ike_request *r = &sa->req;
	struct ike_dh_want want = {.own = r->dh, .peer = &m->ke, .rank = ike_sa_rank(sa)};
	struct spw_secret shared = {0};
	struct ike_choice choice;
	struct ike_nonce nr;
	int rc;

	if (!m->has_sa || !m->has_nonce || !m->has_ke ||
	    ike_proposal_check(&m->sa, r->offer, r->n_offer, &rule, &choice) != 0 ||
	    m->ke_group != spw_group_info(choice.what.group)->ike_id)
		return -EBADMSG;
	want.group = choice.what.group;
	rc = ike_dh_obtain(sa->e, &want, NULL, &shared);
	if (rc == 0) {
		ike_nonce_set(&nr, &m->nonce);
		*made = successor(sa, true, &choice, &r->nonce, &nr, r->ike_spi, &shared);
	}
	spw_secret_free(&shared);
	if (*made) {
		ike_qcd_take(*made, m);
		(*made)->token_owed = ike_qcd_known(sa);
	}
	return rc;
}

enum ike_fault
ike_rekey_response(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b)
{
	const struct ike_notify *error = ike_wire_error(m);
	struct ike_sa *rival = sa->req.rival ? ike_sa_find(sa->e, sa->req.rival_ike_spi) : NULL;
	struct ike_sa *n = NULL;

	if (!error && take_answer(sa, m, &n) == -EINPROGRESS)
		return IKE_FAULT_PARKED;
	if (rival && (!rival->pending || rival->state != IKE_SA_ESTABLISHED))
		rival = NULL;
	if (!n && !rival) {
		rekey_refused(sa, error ? error->type : 0);
		return IKE_FAULT_BUSY; /* the SA stays as it is */
	}
	sa->busy_since = 0;
	if (n && (!rival || ike_nonce_compare(&n->low, &sa->req.rival_low) > 0)) {
		take_over(sa, n);
		sa->close_at = sa->e->now; /* its maker deletes the old one */
		if (rival) {
			rival->redundant = true; /* the peer's to delete; silent end else */
			rival->expire_at = ike_after(sa->e->now, IKE_REDUNDANT_NS);
		}
		return IKE_OK;
	}
	if (n) {
		n->redundant = true;
		n->close_at = sa->e->now;
	}
	return ike_rekey_adopt(sa);
}
