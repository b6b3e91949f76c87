/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rekeying a child SA, make before break, both roles and their collision (RFC 7296 1.3.3, 2.8,
 * 2.8.1, 2.25.1).
 *
 * As initiator: the new SA is installed and sent on when the answer comes, then the old one is
 * deleted. As responder: the new SA is inbound before the answer leaves; sending stays on the old
 * one until a packet arrives on the new, the old is deleted, or IKE_HOLD_NS is over.
 *
 * Collision: while our request for x is out the peer's for x comes in. It is answered as always
 * and remembered in the request as its rival with the lower of its two nonces. When our answer
 * comes, the lower nonces are compared: the SA with the lowest of the four goes, deleted by its
 * maker; the maker of the other deletes x. When ours fails instead (IKE-101, 102), the rival is
 * simply the successor. Each outcome leaves x with an heir or LIVE, and never without an SA to
 * send on. Backstops (delete_at) clear what the peer should have deleted and did not (IKE-118).
 */
#include <stdio.h>
#include <string.h>

#include "ike/engine.h"

int
ike_child_rekey_start(struct ike_child *old, enum spw_group group)
{
	struct ike_sa *sa = old->sa;
	int rc = ike_child_offer(sa, old);

	if (rc != 0)
		return rc;
	if (group == SPW_GROUP_NONE)
		group = sa->req.offer[0].group;
	rc = ike_child_prepare(sa, group);
	sa->req.old_spi_in = rc == 0 ? old->spi_in : 0;
	if (rc == 0)
		rc = ike_child_send(sa, old, IKE_TASK_CHILD_REKEY);
	if (rc == 0)
		ike_child_step(old, IKE_CHILD_EV_REKEY_START);
	return rc;
}

/* `old` has a successor: it waits for the peer's Delete, or gets ours at `delete_at`. */
static void
replace(struct ike_child *old, const struct ike_child *heir, uint64_t delete_at)
{
	if (!ike_child_step(old, IKE_CHILD_EV_REPLACE))
		return;
	old->heir = heir->spi_in;
	old->rekey_at = UINT64_MAX;
	old->delete_at = delete_at;
}

/* May the peer rekey this child now? */
static enum ike_fault
rekeyable(struct ike_sa *sa, const struct ike_child *old)
{
	if (sa->pending || sa->req.task == IKE_TASK_IKE_REKEY) /* IKE-109 */
		return IKE_FAULT_BUSY;
	if (!old) /* it may be the one that an answer under way to us has made */
		return sa->req.task == IKE_TASK_CHILD || sa->req.task == IKE_TASK_CHILD_REKEY
			       ? IKE_FAULT_BUSY
			       : IKE_FAULT_CHILD_UNKNOWN;
	if (old->sa != sa || old->redundant) /* an IKE rekey or a race is not decided yet */
		return IKE_FAULT_BUSY;
	if (ike_sa_is_crowded(sa, IKE_CHILDREN_REKEYS)) /* until those before have gone */
		return IKE_FAULT_BUSY;
	if (old->state == IKE_CHILD_LIVE)
		return IKE_OK;
	/* one rival at most; REPLACED and DELETING: IKE-081, IKE-104 */
	return old->state == IKE_CHILD_REKEYING && !sa->req.rival ? IKE_OK : IKE_FAULT_BUSY;
}

enum ike_fault
ike_child_rekey_request(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b)
{
	const struct ike_notify *n = ike_wire_notify(m, IKE_N_REKEY_SA);
	struct ike_child *old = n->spi ? ike_child_find_out(sa, n->spi) : NULL;
	struct ike_request *r = &sa->req;
	struct ike_child *made;
	enum ike_fault fault;

	if (n->protocol != IKE_PROTO_ESP || n->spi_len != 4)
		return IKE_FAULT_CHILD_SYNTAX;
	fault = rekeyable(sa, old);
	if (fault == IKE_FAULT_CHILD_UNKNOWN) {
		sa->e->detail.protocol = IKE_PROTO_ESP;
		sa->e->detail.spi = n->spi;
	}
	if (fault != IKE_OK)
		return fault;
	fault = ike_child_answer(sa, m, b, false, &made);
	if (fault != IKE_OK)
		return fault;
	sa->conn->child_rekeys++;
	sa->conn->reason[0] = '\0';
	sa->busy_since = 0;
	ike_check_passed(sa->conn, made->suite.group, false);
	if (old->state == IKE_CHILD_LIVE) {
		replace(old, made, ike_after(sa->e->now, IKE_REPLACED_NS));
	} else {
		r->rival = true;
		r->rival_spi_in = made->spi_in;
		r->rival_low = made->low;
	}
	return IKE_OK;
}

/* After TEMPORARY_FAILURE; too long of it and a new IKE SA is made (IKE-116). */
uint64_t
ike_busy_wait(struct ike_sa *sa)
{
	uint64_t now = sa->e->now;

	if (sa->busy_since == 0)
		sa->busy_since = now;
	else if (now - sa->busy_since > IKE_BUSY_LIMIT_NS)
		sa->conn->renew = true;
	return IKE_BUSY_MIN_NS + ike_random_u64(sa->e) % (IKE_BUSY_MAX_NS - IKE_BUSY_MIN_NS);
}

/* For a person, should it come to the hard limit. */
static void
tell_refusal(struct ike_sa *sa, uint16_t notify)
{
	char text[SPW_IKE_STATE_TEXT];

	snprintf(text, sizeof(text),
		 "child SA rekey failed: peer said %.30s (%u); are esp-proposal and PFS the "
		 "same there?",
		 notify ? ike_notify_name(notify) : "what was not offered", notify);
	ike_sa_reason(sa, text);
}

/* Our rekey failed and the peer did not rekey either: `old` goes on, or goes. */
static void
rekey_refused(struct ike_sa *sa, struct ike_child *old, uint16_t notify)
{
	uint64_t wait = IKE_REKEY_RETRY_NS;

	spw_log(SPW_LOG_WARNING, "ike", "rekey-failed", "conn=%s spi=%08x cause=%s",
		sa->conn->set.name, old->spi_in, notify ? ike_notify_name(notify) : "bad answer");
	sa->conn->child_rekey_failures++;
	if (notify == IKE_N_CHILD_SA_NOT_FOUND) { /* the peer does not have it: IKE-072 */
		if (ike_child_step(old, IKE_CHILD_EV_DELETE_HEARD))
			ike_child_linger(old);
		return;
	}
	ike_child_step(old, IKE_CHILD_EV_REKEY_FAIL);
	tell_refusal(sa, notify);
	if (notify == IKE_N_TEMPORARY_FAILURE)
		wait = ike_busy_wait(sa);
	if (notify == IKE_N_NO_ADDITIONAL_SAS)
		sa->conn->renew = true; /* IKE-080: a new IKE SA beside this one */
	old->rekey_at = ike_after(sa->e->now, wait);
}

/* Our rekey brought nothing. */
static void
rekey_failed(struct ike_sa *sa, struct ike_child *old, uint16_t notify)
{
	struct ike_child *rival = ike_child_find_in(sa->e, sa->req.rival_spi_in);

	if (!old)
		return;
	if (rival && rival->state != IKE_CHILD_LINGER)
		replace(old, rival, ike_after(sa->e->now, IKE_REPLACED_NS));
	else
		rekey_refused(sa, old, notify);
}

static bool
retry_group(struct ike_sa *sa, struct ike_child *old, const struct ike_notify *error)
{
	enum spw_group group;
	bool retried = old && old->group != SPW_GROUP_NONE;

	if (!old || !error || error->type != IKE_N_INVALID_KE_PAYLOAD || error->data.len != 2 ||
	    retried || sa->req.rival ||
	    !ike_group_allowed(&sa->req, spw_get_be16(error->data.bytes), &group))
		return false;
	ike_child_step(old, IKE_CHILD_EV_REKEY_FAIL);
	old->group = group;
	old->rekey_at = sa->e->now;
	return true;
}

/* Ours won, or was alone. */
static void
rekey_won(struct ike_sa *sa, struct ike_child *old, struct ike_child *made, struct ike_child *rival)
{
	ike_child_activate(made);
	if (old)
		replace(old, made, sa->e->now);
	if (rival && rival->state == IKE_CHILD_LIVE) {
		rival->redundant = true; /* its maker deletes it */
		rival->delete_at = ike_after(sa->e->now, IKE_REDUNDANT_NS);
	}
}

/* The peer's stays; ours has the lowest nonce and is ours to delete. */
static void
rekey_lost(struct ike_sa *sa, struct ike_child *old, struct ike_child *made,
	   struct ike_child *rival)
{
	made->redundant = true;
	made->rekey_at = UINT64_MAX;
	made->delete_at = sa->e->now;
	if (old && rival)
		replace(old, rival, ike_after(sa->e->now, IKE_REPLACED_NS));
	else if (old)
		rekey_refused(sa, old, 0);
}

enum ike_fault
ike_child_rekey_response(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b)
{
	const struct ike_choice_rule rule = {.protocol = IKE_PROTO_ESP,
					     .spi_len = 4,
					     .with_group = true,
					     .encr_mask = sa->e->config.encr_mask};
	const struct ike_notify *error = ike_wire_error(m);
	struct ike_child *old = ike_child_find_in(sa->e, sa->req.old_spi_in);
	struct ike_child *rival = ike_child_find_in(sa->e, sa->req.rival_spi_in);
	struct ike_child *made;
	enum ike_fault fault;

	if (old && old->state != IKE_CHILD_REKEYING)
		old = NULL; /* the peer deleted it meanwhile */
	if (rival && rival->state == IKE_CHILD_LINGER)
		rival = NULL;
	if (retry_group(sa, old, error))
		return IKE_OK;
	if (error) /* whatever stands beside it (3.10.1) */
		fault = IKE_FAULT_REFUSED;
	else
		fault = ike_child_take(sa, m, &rule, !sa->req.rival, &made);
	if (fault == IKE_FAULT_PARKED)
		return fault;
	if (old)
		old->group = SPW_GROUP_NONE;
	if (fault != IKE_OK) {
		rekey_failed(sa, old, error ? error->type : 0);
		if (old && fault != IKE_FAULT_INTERNAL)
			ike_check_refused(old, error);
		return IKE_OK;
	}
	sa->conn->reason[0] = '\0';
	sa->busy_since = 0;
	ike_check_passed(sa->conn, made->suite.group, true);
	/* the rule holds whatever has become of the rival since: the peer applies it too */
	if (!sa->req.rival || ike_nonce_compare(&made->low, &sa->req.rival_low) > 0) {
		sa->conn->child_rekeys++;
		rekey_won(sa, old, made, rival);
	} else {
		rekey_lost(sa, old, made, rival);
	}
	return IKE_OK;
}
