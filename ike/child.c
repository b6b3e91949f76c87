/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making child SAs: the part that IKE_AUTH, a new child and a rekey share (RFC 7296 1.2, 1.3.1,
 * 2.9, 2.17).
 *
 * As responder the SA is in the data plane before the answer leaves; as initiator it is there,
 * and sent on, when the answer has been processed. An exchange that fails leaves nothing: SPI,
 * key pair and nonce belong to the request in flight and go with it. A refused or malformed
 * answer to a request of ours is told to the peer by a Delete of what it made.
 *
 * PFS: as responder we accept what the configured ESP proposals allow. A peer whose rekey
 * carries no KE (Azure as initiator never sends one) is accepted when one of them has no group.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ike/engine.h"

static void
fill_limits(struct spw_sa_desc *d, struct ike_sa *sa)
{
	const struct spw_ike_conn *set = &sa->conn->set;
	struct ike_engine *e = sa->e;

	d->seconds = set->child_seconds;
	d->bytes = set->child_bytes;
	d->packets = set->child_packets;
	d->seconds.soft = ike_jitter(d->seconds.soft, set->jitter_percent, ike_random_u64(e));
	d->bytes.soft = ike_jitter(d->bytes.soft, set->jitter_percent, ike_random_u64(e));
	d->packets.soft = ike_jitter(d->packets.soft, set->jitter_percent, ike_random_u64(e));
}

static void
fill_path(struct spw_sa_desc *d, const struct ike_sa *sa)
{
	d->local = sa->local;
	d->remote = sa->remote;
	d->local_port = sa->local_port;
	d->remote_port = sa->remote_port;
	d->replay_window = sa->conn->set.replay_window;
	if (sa->encap && sa->local_port == IKE_NATT_PORT) /* never on port 500 (2.23) */
		d->flags |= SPW_SA_UDP_ENCAP;
	if (sa->nat_here)
		d->flags |= SPW_SA_BEHIND_NAT;
}

static void
fill_desc(struct spw_sa_desc *d, struct ike_sa *sa, const struct ike_child_plan *plan)
{
	const struct spw_encr_info *encr = spw_encr_info(plan->choice.what.encr);
	const struct spw_integ_info *integ = spw_integ_info(plan->choice.what.integ);

	memset(d, 0, sizeof(*d));
	d->tunnel = sa->conn->set.tunnel;
	d->spi_in = plan->spi_in;
	d->spi_out = (uint32_t)plan->choice.spi;
	d->encr = plan->choice.what.encr;
	d->integ = plan->choice.what.integ;
	if (plan->choice.what.esn == SPW_ESN_YES)
		d->flags |= SPW_SA_ESN;
	/* cipher key | salt, or cipher key | integrity key (2.17) */
	d->key_len = encr->key_len + encr->salt_len + integ->key_len;
	fill_path(d, sa);
	fill_limits(d, sa);
	d->n_local = plan->n_local;
	d->n_remote = plan->n_remote;
	memcpy(d->sel_local, plan->local, sizeof(d->sel_local));
	memcpy(d->sel_remote, plan->remote, sizeof(d->sel_remote));
}

/* The moment a second after a limit of so many; never when there is none, or it is that far. */
static uint64_t
second_after(uint64_t now, uint64_t seconds)
{
	if (seconds == 0 || seconds >= UINT64_MAX / SPW_NS_PER_S)
		return UINT64_MAX;
	return ike_after(now, (seconds + 1) * SPW_NS_PER_S);
}

/* The object, with its timers, linked to its IKE SA. */
static struct ike_child *
new_child(struct ike_sa *sa, const struct ike_child_plan *plan, const struct spw_sa_desc *d)
{
	struct ike_child *c = calloc(1, sizeof(*c));
	uint64_t now = sa->e->now;

	if (!c)
		return NULL;
	ike_touch(sa);
	c->sa = sa;
	c->spi_in = plan->spi_in;
	c->spi_out = (uint32_t)plan->choice.spi;
	c->mine = plan->mine;
	c->low = *ike_nonce_lower(plan->ni, plan->nr);
	c->suite = plan->choice.what;
	c->n_local = d->n_local;
	c->n_remote = d->n_remote;
	memcpy(c->sel_local, d->sel_local, sizeof(c->sel_local));
	memcpy(c->sel_remote, d->sel_remote, sizeof(c->sel_remote));
	c->made_ns = now;
	c->proven = plan->mine;
	c->prove_at = c->delete_at = c->gone_at = UINT64_MAX;
	/* the data plane raises these first; ours is the fall-back */
	c->rekey_at = second_after(now, d->seconds.soft);
	c->hard_at = second_after(now, d->seconds.hard);
	c->next = sa->children;
	sa->children = c;
	ike_index_child(c);
	return c;
}

struct ike_child *
ike_child_make(struct ike_sa *sa, const struct ike_child_plan *plan, int *rc)
{
	struct ike_child *c;
	struct spw_sa_desc d;

	fill_desc(&d, sa, plan);
	/* keys run from the exchange's initiator to its responder first (2.17) */
	*rc = ike_keys_child(sa->suite.prf, &sa->keys.d, plan->g, plan->ni, plan->nr, d.key_len,
			     plan->mine ? d.key_out : d.key_in, plan->mine ? d.key_in : d.key_out);
	c = *rc == 0 ? new_child(sa, plan, &d) : NULL;
	if (*rc == 0 && !c)
		*rc = -ENOMEM;
	if (c && plan->absent)
		c->absent = true;
	else if (c)
		*rc = ike_child_install(c, &d, plan->outbound);
	spw_wipe(&d, sizeof(d));
	return c;
}

int
ike_child_prepare(struct ike_sa *sa, enum spw_group group)
{
	const struct ike_engine_config *c = &sa->e->config;
	struct ike_request *r = &sa->req;
	int rc = group == SPW_GROUP_NONE
			 ? 0
			 : ike_pair_take(sa->e, &sa->pair, group, IKE_DH_LIVING, &r->dh);

	if (rc == 0) {
		rc = c->ops->spi_alloc(c->ctx, sa->conn->set.tunnel, &r->spi_in);
		if (rc != 0) {
			r->spi_in = 0;
			ike_sa_reason(sa, "the data plane gives no SPI: is it running?");
		}
	}
	if (rc != 0) {
		ike_request_clear(sa);
		return rc;
	}
	ike_nonce_new(sa->e, &r->nonce);
	r->groups_tried |= 1u << group;
	return 0;
}

/* What to propose: all configured, or at a rekey those with the suite in use (IKE-074). */
int
ike_child_offer(struct ike_sa *sa, const struct ike_child *old)
{
	const struct spw_ike_conn *set = &sa->conn->set;
	struct ike_request *r = &sa->req;

	r->n_offer = 0;
	for (unsigned int i = 0; i < set->n_esp; i++) {
		const struct spw_ike_proposal *p = &set->esp[i];
		bool known = (sa->e->config.encr_mask >> p->encr & 1) != 0;

		if (known && (!old || (p->encr == old->suite.encr && p->integ == old->suite.integ)))
			r->offer[r->n_offer++] = *p;
	}
	if (r->n_offer > 0)
		return 0;
	ike_sa_reason(sa, "the data plane has no cipher of esp-proposal; show version says which "
			  "it has");
	return -ENOTSUP;
}

/* Nonce of the exchange, key pair and shared secret of the responder. */
struct answer {
	struct ike_nonce ni, nr;
	struct spw_secret g;
	struct ike_dh *dh;
};

static void
answer_free(struct answer *a)
{
	spw_secret_free(&a->g);
	ike_dh_free(a->dh);
}

static enum ike_fault
exchange_keys(struct ike_sa *sa, const struct ike_msg *m, enum spw_group group, struct answer *a)
{
	const struct spw_group_info *info = spw_group_info(group);
	const struct ike_dh_want want = {.group = group, .peer = &m->ke, .rank = IKE_DH_LIVING};
	int rc;

	if (group == SPW_GROUP_NONE) /* a KE that came along is ignored */
		return IKE_OK;
	if (!m->has_ke || m->ke_group != info->ike_id) {
		spw_put_be16(sa->e->detail.data, info->ike_id);
		sa->e->detail.len = 2;
		return IKE_FAULT_KE_GROUP;
	}
	rc = ike_dh_obtain(sa->e, &want, &a->dh, &a->g);
	return rc == 0 ? IKE_OK : ike_dh_fault(rc);
}

/* Choose proposal and selectors; the peer's TSi is our remote side. */
static enum ike_fault
choose(struct ike_sa *sa, const struct ike_msg *m, bool auth, struct ike_child_plan *plan)
{
	const struct spw_ike_conn *set = &sa->conn->set;
	const struct ike_choice_rule rule = {.protocol = IKE_PROTO_ESP,
					     .spi_len = 4,
					     .with_group = !auth,
					     .encr_mask = sa->e->config.encr_mask};

	if (!m->has_sa || !m->has_tsi || !m->has_tsr || (!auth && !m->has_nonce))
		return IKE_FAULT_CHILD_SYNTAX;
	if (ike_proposal_choose(&m->sa, set->esp, set->n_esp, &rule, &plan->choice) != 0)
		return IKE_FAULT_CHILD_PROPOSAL;
	plan->n_remote = ike_selector_narrow(set->sel_remote, set->n_remote, m->tsi.ts,
					     m->tsi.count, plan->remote);
	plan->n_local = ike_selector_narrow(set->sel_local, set->n_local, m->tsr.ts, m->tsr.count,
					    plan->local);
	return plan->n_local && plan->n_remote ? IKE_OK : IKE_FAULT_CHILD_TS;
}

static void
build_answer(struct ike_builder *b, const struct ike_child_plan *plan, const struct answer *a,
	     bool auth)
{
	const struct spw_group_info *group = spw_group_info(plan->choice.what.group);

	ike_build_sa(b, IKE_PROTO_ESP, plan->spi_in, 4, &plan->choice.what, 1, plan->choice.number,
		     !auth);
	if (!auth)
		ike_build_bytes(b, IKE_P_NONCE, a->nr.bytes, a->nr.len);
	if (a->dh)
		ike_build_ke(b, group->ike_id, ike_dh_public(a->dh), group->public_len);
	ike_build_ts(b, IKE_P_TSI, plan->remote, plan->n_remote);
	ike_build_ts(b, IKE_P_TSR, plan->local, plan->n_local);
}

static enum ike_fault
make_answer(struct ike_sa *sa, struct ike_child_plan *plan, const struct answer *a, bool auth,
	    struct ike_child **made)
{
	const struct ike_engine_config *c = &sa->e->config;
	int rc = 0;

	if (!auth)
		rc = c->ops->spi_alloc(c->ctx, sa->conn->set.tunnel, &plan->spi_in);
	else if (!sa->auth_spi)
		rc = -ENOENT; /* asked for, and refused */
	else
		plan->spi_in = sa->auth_spi;
	sa->auth_spi = 0;

	if (rc != 0)
		return IKE_FAULT_INTERNAL;
	plan->g = a->g.len ? &a->g : NULL;
	/* hold outbound while another SA carries the traffic: the initiator has not got this one */
	plan->outbound = ike_child_best(sa->conn, NULL) == NULL;
	*made = ike_child_make(sa, plan, &rc);
	if (*made && rc == 0)
		return IKE_OK;
	if (*made)
		ike_child_free(*made);
	ike_post_spi_free(sa->e, sa->conn->set.tunnel, plan->spi_in);
	return rc == -ENOSPC ? IKE_FAULT_NO_ROOM : IKE_FAULT_INTERNAL;
}

enum ike_fault
ike_child_answer(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b, bool auth,
		 struct ike_child **made)
{
	struct ike_child_plan plan = {.mine = false};
	struct answer a = {0};
	enum ike_fault fault = choose(sa, m, auth, &plan);

	*made = NULL;
	plan.ni = auth ? &sa->ni : &a.ni;
	plan.nr = auth ? &sa->nr : &a.nr;
	if (fault == IKE_OK && !auth) {
		ike_nonce_set(&a.ni, &m->nonce);
		ike_nonce_new(sa->e, &a.nr);
		fault = exchange_keys(sa, m, plan.choice.what.group, &a);
	}
	if (fault == IKE_OK)
		fault = make_answer(sa, &plan, &a, auth, made);
	if (fault == IKE_OK)
		build_answer(b, &plan, &a, auth);
	/* until it has our IKE_AUTH answer the peer takes no request at all: asking is safe */
	if (fault == IKE_OK && auth && plan.outbound)
		(*made)->proven = true;
	answer_free(&a);
	return fault;
}

/* Selectors of an answer: within what we offered, or what the child that is rekeyed has. */
static bool
take_selectors(struct ike_sa *sa, const struct ike_msg *m, struct ike_child_plan *plan)
{
	const struct spw_ike_conn *set = &sa->conn->set;

	if (!ike_selector_subset(set->sel_local, set->n_local, m->tsi.ts, m->tsi.count) ||
	    !ike_selector_subset(set->sel_remote, set->n_remote, m->tsr.ts, m->tsr.count))
		return false;
	plan->n_local = m->tsi.count;
	plan->n_remote = m->tsr.count;
	memcpy(plan->local, m->tsi.ts, m->tsi.count * sizeof(plan->local[0]));
	memcpy(plan->remote, m->tsr.ts, m->tsr.count * sizeof(plan->remote[0]));
	return true;
}

/* The shared secret of the answer. 0, -EINPROGRESS, or -EBADMSG when group or value do not fit. */
static int
take_secret(struct ike_sa *sa, const struct ike_msg *m, enum spw_group group, struct spw_secret *g)
{
	const struct ike_dh_want want = {
		.group = group, .own = sa->req.dh, .peer = &m->ke, .rank = ike_sa_rank(sa)};

	if (group == SPW_GROUP_NONE)
		return 0;
	if (!sa->req.dh || ike_dh_group(sa->req.dh) != group || !m->has_ke ||
	    m->ke_group != spw_group_info(group)->ike_id)
		return -EBADMSG;
	return ike_dh_obtain(sa->e, &want, NULL, g);
}

/*
 * The peer made an SA that we cannot use: keep an object without a place in the data plane, only
 * to delete it at the peer.
 */
static void
make_doomed(struct ike_sa *sa, struct ike_child_plan *plan)
{
	struct ike_child *c;
	int rc;

	plan->absent = true;
	c = ike_child_make(sa, plan, &rc);
	if (!c)
		return;
	c->redundant = true;
	c->delete_at = sa->e->now;
	c->rekey_at = c->hard_at = UINT64_MAX;
}

enum ike_fault
ike_child_take(struct ike_sa *sa, const struct ike_msg *m, const struct ike_choice_rule *rule,
	       bool outbound, struct ike_child **made)
{
	struct ike_request *r = &sa->req;
	bool auth = !rule->with_group;
	struct ike_nonce nr;
	struct ike_child_plan plan = {.spi_in = r->spi_in, .mine = true, .outbound = outbound};
	struct spw_secret g = {0};
	bool stale = r->stale;
	int rc;

	*made = NULL;
	if (!m->has_sa || !m->has_tsi || !m->has_tsr || (!auth && !m->has_nonce) ||
	    ike_proposal_check(&m->sa, r->offer, r->n_offer, rule, &plan.choice) != 0)
		return IKE_FAULT_CHILD_SYNTAX;
	if (!auth)
		ike_nonce_set(&nr, &m->nonce);
	plan.ni = auth ? &sa->ni : &r->nonce;
	plan.nr = auth ? &sa->nr : &nr;
	rc = take_secret(sa, m, plan.choice.what.group, &g);
	if (rc == -EINPROGRESS)
		return IKE_FAULT_PARKED;
	plan.g = g.len ? &g : NULL;
	plan.absent = stale;
	if (rc == 0 && take_selectors(sa, m, &plan)) {
		*made = ike_child_make(sa, &plan, &rc);
		if (*made && rc == 0 && stale)
			(*made)->rekey_at = sa->e->now; /* never installed: made anew at once */
	}
	spw_secret_free(&g);
	if (*made && rc == 0) {
		r->spi_in = 0; /* the child has it now */
		return IKE_OK;
	}
	if (*made)
		ike_child_free(*made);
	*made = NULL;
	plan.g = NULL;
	make_doomed(sa, &plan);
	if (!stale)
		ike_post_spi_free(sa->e, sa->conn->set.tunnel, r->spi_in);
	r->spi_in = 0;
	return rc == -EBADMSG ? IKE_FAULT_CHILD_SYNTAX
	       : rc != 0      ? IKE_FAULT_INTERNAL
			      : IKE_FAULT_CHILD_TS;
}

/* Build and send the CREATE_CHILD_SA for the request prepared in sa->req. */
int
ike_child_send(struct ike_sa *sa, const struct ike_child *old, enum ike_task task)
{
	const struct spw_ike_conn *set = &sa->conn->set;
	struct ike_request *r = &sa->req;
	struct ike_builder b;

	ike_request_begin(sa, &b, IKE_X_CREATE_CHILD);
	if (old)
		ike_build_notify(&b, IKE_N_REKEY_SA, IKE_PROTO_ESP, old->spi_in, NULL, 0);
	ike_build_sa(&b, IKE_PROTO_ESP, r->spi_in, 4, r->offer, r->n_offer, 1, true);
	ike_build_bytes(&b, IKE_P_NONCE, r->nonce.bytes, r->nonce.len);
	if (r->dh) {
		const struct spw_group_info *info = spw_group_info(ike_dh_group(r->dh));

		ike_build_ke(&b, info->ike_id, ike_dh_public(r->dh), info->public_len);
	}
	ike_build_ts(&b, IKE_P_TSI, old ? old->sel_local : set->sel_local,
		     old ? old->n_local : set->n_local);
	ike_build_ts(&b, IKE_P_TSR, old ? old->sel_remote : set->sel_remote,
		     old ? old->n_remote : set->n_remote);
	return ike_request_send(sa, &b, task);
}
