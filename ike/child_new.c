/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A new child SA on an IKE SA that stands, both roles (RFC 7296 1.3.1).
 *
 * Used when the child of IKE_AUTH was refused, when the last child is gone, and after the data
 * plane began anew with nothing to rekey. Failure never touches the IKE SA (IKE-082); it is tried
 * again with back-off.
 */
#include <stdio.h>
#include <string.h>

#include "ike/engine.h"

int
ike_child_start(struct ike_sa *sa, enum spw_group group)
{
	int rc = ike_child_offer(sa, NULL);

	if (rc != 0)
		return rc;
	if (group == SPW_GROUP_NONE)
		group = sa->req.offer[0].group;
	rc = ike_child_prepare(sa, group);
	return rc == 0 ? ike_child_send(sa, NULL, IKE_TASK_CHILD) : rc;
}

enum ike_fault
ike_child_request(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b)
{
	struct ike_child *child;

	if (sa->pending || sa->req.task == IKE_TASK_IKE_REKEY)
		return IKE_FAULT_BUSY;
	if (ike_sa_is_crowded(sa, IKE_CHILDREN))
		return IKE_FAULT_NO_ROOM;
	return ike_child_answer(sa, m, b, false, &child);
}

/* Why, for a person, and when to try again. */
void
ike_child_failed(struct ike_sa *sa, uint16_t notify, enum ike_fault fault)
{
	struct ike_conn *conn = sa->conn;
	char text[SPW_IKE_STATE_TEXT];
	uint64_t wait = ike_backoff_wait(++conn->child_attempts);

	switch (notify) {
	case 0:
		snprintf(text, sizeof(text), "child SA failed: %s", ike_fault_info(fault)->text);
		break;
	case IKE_N_NO_PROPOSAL_CHOSEN:
		snprintf(text, sizeof(text),
			 "no common ESP proposal: peer refused all of ours; make esp-proposal and "
			 "the "
			 "peer's policy the same");
		break;
	case IKE_N_TS_UNACCEPTABLE:
		snprintf(text, sizeof(text),
			 "traffic selectors do not match: peer refused ours; make selectors here "
			 "and "
			 "the peer's the same");
		break;
	default:
		snprintf(text, sizeof(text), "peer refused the child SA: %s (%u)",
			 ike_notify_name(notify), notify);
	}
	ike_sa_reason(sa, text);
	spw_log(SPW_LOG_WARNING, "ike", "child-failed", "conn=%s cause=\"%s\"", conn->set.name,
		text);
	if (notify == IKE_N_TEMPORARY_FAILURE)
		wait = ike_busy_wait(sa);
	conn->child_at = ike_after(sa->e->now, wait);
}

enum ike_fault
ike_child_response(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b)
{
	const struct ike_choice_rule rule = {.protocol = IKE_PROTO_ESP,
					     .spi_len = 4,
					     .with_group = true,
					     .encr_mask = sa->e->config.encr_mask};
	const struct ike_notify *error = ike_wire_error(m);
	bool retried = sa->conn->child_group != SPW_GROUP_NONE;
	struct ike_child *child;
	enum spw_group group;
	enum ike_fault fault;

	if (!retried && error && error->type == IKE_N_INVALID_KE_PAYLOAD && error->data.len == 2 &&
	    ike_group_allowed(&sa->req, spw_get_be16(error->data.bytes), &group)) {
		sa->conn->child_group = group;
		sa->conn->child_at = 0;
		return IKE_OK;
	}
	if (error) { /* whatever stands beside it (3.10.1) */
		sa->conn->child_group = SPW_GROUP_NONE;
		ike_child_failed(sa, error->type, IKE_OK);
		/* none on this IKE SA, then, but perhaps with another (IKE-080) */
		sa->conn->renew |= error->type == IKE_N_NO_ADDITIONAL_SAS;
		return IKE_OK;
	}
	fault = ike_child_take(sa, m, &rule, true, &child);
	if (fault == IKE_FAULT_PARKED)
		return fault;
	sa->conn->child_group = SPW_GROUP_NONE;
	if (fault != IKE_OK) {
		ike_child_failed(sa, 0, fault);
		return IKE_OK;
	}
	sa->conn->child_attempts = 0;
	sa->conn->reason[0] = '\0';
	sa->busy_since = 0;
	return IKE_OK;
}
