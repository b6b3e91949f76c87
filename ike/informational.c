/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * INFORMATIONAL: Delete of children and of the IKE SA, liveness, notifies (RFC 7296 1.4, 2.4).
 *
 * A Delete of ours lists our inbound SPIs; the peer's answer lists its own. Before an SA's
 * outbound half goes another one is sent on; the inbound half lingers. A Delete that crosses ours
 * is answered without the SPI (IKE-106). The IKE SA's own Delete takes its children out of the
 * data plane before it is answered. INVALID_SELECTORS and unknown notifies are only logged.
 */
#include "ike/engine.h"

/* Answers name at most this many SPIs; a peer cannot have more of ours. */
#define DELETE_MAX 64

int
ike_child_delete_start(struct ike_child *c)
{
	struct ike_sa *sa = c->sa;
	struct ike_builder b;
	int rc;

	ike_request_begin(sa, &b, IKE_X_INFORMATIONAL);
	ike_build_delete(&b, &c->spi_in, 1);
	sa->req.old_spi_in = c->spi_in;
	rc = ike_request_send(sa, &b, IKE_TASK_CHILD_DELETE);
	if (rc == 0 && ike_child_step(c, IKE_CHILD_EV_DELETE_START)) {
		c->delete_at = c->rekey_at = UINT64_MAX;
		ike_child_stop_out(c);
	}
	return rc;
}

enum ike_fault
ike_child_delete_response(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b)
{
	struct ike_child *c = ike_child_find_in(sa->e, sa->req.old_spi_in);

	if (c && c->state == IKE_CHILD_DELETING && ike_child_step(c, IKE_CHILD_EV_DELETE_DONE))
		ike_child_linger(c);
	return IKE_OK;
}

int
ike_probe_start(struct ike_sa *sa)
{
	struct ike_builder b;

	ike_request_begin(sa, &b, IKE_X_INFORMATIONAL);
	return ike_request_send(sa, &b, IKE_TASK_PROBE);
}

enum ike_fault
ike_probe_response(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b)
{
	return IKE_OK;
}

/* The successor of a child is deleted before the child: that one goes on. */
static void
heir_lost(struct ike_child *heir)
{
	for (struct ike_sa *sa = ike_conn_sas(heir->sa->conn); sa; sa = sa->conn_next) {
		for (struct ike_child *c = sa->children; c; c = c->next) {
			if (c->heir != heir->spi_in || c->state != IKE_CHILD_REPLACED)
				continue;
			ike_child_step(c, IKE_CHILD_EV_HEIR_LOST);
			c->heir = 0;
			c->delete_at = UINT64_MAX;
			c->rekey_at = ike_after(sa->e->now, IKE_REKEY_RETRY_NS);
		}
	}
}

/* The peer deletes one child. Its SPI of ours goes into the answer unless our Delete is out. */
static bool
delete_heard(struct ike_child *c)
{
	bool crossing = c->state == IKE_CHILD_DELETING;

	spw_log(SPW_LOG_INFO, "ike", "child-deleted", "conn=%s spi_in=%08x by=peer state=%s",
		c->sa->conn ? c->sa->conn->set.name : "-", c->spi_in,
		ike_child_state_name(c->state));
	if (!ike_child_step(c, IKE_CHILD_EV_DELETE_HEARD))
		return false;
	heir_lost(c);
	if (crossing)
		ike_child_stop_out(c);
	else
		ike_child_linger(c);
	return !crossing;
}

static void
delete_children(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b)
{
	uint32_t spis[DELETE_MAX];
	unsigned int n = 0;

	for (unsigned int i = 0; i < m->n_deletes; i++) {
		const struct ike_delete *d = &m->del[i];

		if (d->protocol != IKE_PROTO_ESP)
			continue;
		for (unsigned int j = 0; j < d->count; j++) {
			struct ike_child *c = ike_child_find_out(sa, ike_wire_delete_spi(d, j));

			if (c && delete_heard(c) && n < DELETE_MAX)
				spis[n++] = c->spi_in;
		}
	}
	if (n)
		ike_build_delete(b, spis, n);
	if (n && sa->conn && ike_conn_live_children(sa->conn) == 0) {
		sa->conn->child_at = ike_after(sa->e->now, SPW_NS_PER_S);
		if (!sa->conn->reason[0]) /* a rekey of it that was refused says more */
			ike_sa_reason(sa, "the peer deleted the child SA");
	}
}

enum ike_fault
ike_info_request(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b)
{
	const struct ike_notify *error = ike_wire_error(m);

	ike_qcd_take(sa, m); /* a new one, of a successor of the SA it was given for */
	if (error)
		spw_log_limited(&sa->e->log, SPW_LOG_WARNING, "ike", "notified", "type=%u name=%s",
				error->type, ike_notify_name(error->type));
	/* a peer that does not believe us, or our IKE_AUTH, forgets the SA (2.21.2, IKE-063) */
	if (error &&
	    (error->type == IKE_N_AUTHENTICATION_FAILED || error->type == IKE_N_INVALID_SYNTAX)) {
		ike_sa_reason(sa, error->type == IKE_N_AUTHENTICATION_FAILED
					  ? ike_fault_info(IKE_FAULT_AUTH)->text
					  : "peer says that our message was malformed");
		if (sa->conn && sa->state == IKE_SA_ESTABLISHED)
			ike_dial_failed(sa->conn);
		ike_state_set(sa, IKE_SA_GONE);
		return IKE_OK;
	}
	delete_children(sa, m, b);
	return IKE_OK;
}

enum ike_fault
ike_delete_request(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b)
{
	spw_log(SPW_LOG_INFO, "ike", "deleted", "conn=%s spi_i=%016llx by=peer state=%s",
		sa->conn ? sa->conn->set.name : "-", (unsigned long long)sa->spi_i,
		ike_state_name(sa->state));
	if (sa->req.rival && sa->req.task == IKE_TASK_IKE_REKEY)
		ike_rekey_adopt(sa); /* IKE-113: children live on with the survivor */
	if (sa->state == IKE_SA_ESTABLISHED && sa->children && !sa->redundant) {
		if (sa->conn && !sa->conn->reason[0])
			ike_sa_reason(sa, "the peer closed the IKE SA");
		if (sa->conn && sa->conn->next_try <= sa->e->now)
			sa->conn->next_try = ike_after(sa->e->now, SPW_NS_PER_S);
	}
	return IKE_OK;
}

/*
 * Another IKE SA carries on. What the peer sent on this one's children until our Delete arrived may
 * come later than its answer: the inbound halves linger there, as those of a rekeyed child do.
 */
enum ike_fault
ike_delete_response(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b)
{
	struct ike_sa *heir = sa->conn ? ike_conn_sa(sa->conn) : NULL;
	struct ike_child *next;

	for (struct ike_child *c = heir ? sa->children : NULL; c; c = next) {
		next = c->next;
		if (c->state != IKE_CHILD_LINGER && !c->absent &&
		    ike_child_step(c, IKE_CHILD_EV_DELETE_HEARD))
			ike_child_linger(c);
		if (c->state != IKE_CHILD_LINGER)
			ike_child_free(c);
	}
	if (heir)
		ike_sa_move_children(sa, heir);
	return IKE_OK;
}

/* Delete the whole IKE SA, with its children. RFC 7296 1.4.1. */
enum ike_fault
ike_close_start(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b)
{
	struct ike_builder out;

	/* the inbound halves stay until the answer: the peer may still be sending */
	for (struct ike_child *c = sa->children; c; c = c->next)
		ike_child_stop_out(c);
	sa->close_at = sa->rekey_at = sa->hard_at = UINT64_MAX;
	ike_request_begin(sa, &out, IKE_X_INFORMATIONAL);
	ike_build_delete(&out, NULL, 0);
	if (ike_request_send(sa, &out, IKE_TASK_IKE_DELETE) != 0)
		ike_state_set(sa, IKE_SA_DEAD);
	return IKE_OK;
}
