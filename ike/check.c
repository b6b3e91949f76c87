/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The check of rekeying: once a tunnel has come up for the first time, its child SA is rekeyed some
 * seconds later, without being due.
 *
 * The child SA of IKE_AUTH has no key exchange of its own (RFC 7296 1.2), so a PFS group that the
 * two sides mean differently shows at the first rekey only, hours later and perhaps in the middle
 * of a failover. The check shows it at once. It is a rekey like any other, make before break, and a
 * refusal leaves the child as it was, to be rekeyed when it would have been.
 *
 * What is known comes from every rekey, not from the forced one alone: one of ours that was
 * answered, or one of the peer's with the group that we would have asked for. Agreed once, no check
 * is made any more, whatever becomes of the IKE SA. Refused, it is made again when the tunnel has
 * been down (a gateway whose policy is changed drops its tunnels). Unanswered, it may have been
 * what brought the tunnel down, so it is made IKE_CHECK_TRIES times in all and not in a circle.
 *
 * It belongs to a connection's settings and is in the record of each of its IKE SAs: who was killed
 * and goes on does not check again. Nothing is sent from here but by ike_child_rekey_start(). One
 * thread.
 */
#include <errno.h>
#include <string.h>

#include "ike/engine.h"

#define JITTER_PERCENT 50 /* tunnels that came up together are not checked together */

static void
touch(struct ike_conn *conn)
{
	conn->dirty = true;
	conn->e->dirty = true;
}

bool
ike_check_wanted(enum spw_ike_check outcome, unsigned int tries, bool restored)
{
	switch (outcome) {
	case SPW_IKE_CHECK_NOT_YET: return true;
	case SPW_IKE_CHECK_REFUSED: return !restored;
	case SPW_IKE_CHECK_NO_ANSWER: return !restored && tries < IKE_CHECK_TRIES;
	case SPW_IKE_CHECK_OK:
	case SPW_IKE_CHECKS:
	default: return false;
	}
}

bool
ike_check_is_verdict(uint16_t notify)
{
	return notify != IKE_N_TEMPORARY_FAILURE && notify != IKE_N_CHILD_SA_NOT_FOUND &&
	       notify != IKE_N_NO_ADDITIONAL_SAS;
}

void
ike_check_up(struct ike_conn *conn)
{
	struct ike_check *k = &conn->check;
	uint64_t wait = conn->set.pfs_check_s * SPW_NS_PER_S;
	bool restored = conn->restored;

	conn->restored = false;
	if (wait == 0 && k->due_ns != UINT64_MAX) { /* switched off since */
		touch(conn);
		k->due_ns = UINT64_MAX;
	}
	if (wait == 0 || k->running || k->due_ns != UINT64_MAX ||
	    !ike_check_wanted(k->outcome, k->tries, restored))
		return;
	touch(conn);
	k->due_ns =
		ike_after(conn->e->now, ike_jitter(wait, JITTER_PERCENT, ike_random_u64(conn->e)));
}

/* A verdict; the log tells each once. */
static void
decide(struct ike_conn *conn, enum spw_ike_check outcome, uint16_t notify, uint16_t wanted)
{
	struct ike_check *k = &conn->check;
	const char *group = spw_group_info(conn->set.esp[0].group)->show_name;
	bool news = k->outcome != outcome || k->notify != notify;

	touch(conn);
	k->outcome = outcome;
	k->notify = notify;
	k->wanted = wanted;
	k->at_ns = conn->e->now;
	k->due_ns = UINT64_MAX;
	k->running = false;
	if (!news)
		return;
	if (outcome == SPW_IKE_CHECK_OK)
		spw_log(SPW_LOG_INFO, "ike", "pfs-check", "conn=%s outcome=ok pfs=%s",
			conn->set.name, group);
	else if (outcome == SPW_IKE_CHECK_REFUSED)
		spw_log(SPW_LOG_WARNING, "ike", "pfs-check",
			"conn=%s outcome=refused pfs=%s cause=%s peer_group=%u mend=\"make the "
			"peer's PFS group of this connection the same as here\"",
			conn->set.name, group, notify ? ike_notify_name(notify) : "bad answer",
			wanted);
	else
		spw_log(SPW_LOG_WARNING, "ike", "pfs-check",
			"conn=%s outcome=no-answer pfs=%s mend=\"compare the PFS group with the "
			"peer's; its log says why it was silent\"",
			conn->set.name, group);
}

void
ike_check_down(struct ike_conn *conn)
{
	if (conn->check.due_ns != UINT64_MAX) {
		touch(conn);
		conn->check.due_ns = UINT64_MAX;
	}
	ike_check_silent(conn);
}

void
ike_check_silent(struct ike_conn *conn)
{
	if (conn->check.running)
		decide(conn, SPW_IKE_CHECK_NO_ANSWER, 0, 0);
}

struct ike_child *
ike_check_child(const struct ike_sa *sa)
{
	struct ike_conn *conn = sa->conn;
	struct ike_child *c;

	if (conn->check.due_ns == UINT64_MAX || ike_conn_sa(conn) != sa)
		return NULL;
	c = ike_child_best(conn, NULL);
	return c && c->sa == sa && c->state == IKE_CHILD_LIVE && !c->redundant && c->proven ? c
											    : NULL;
}

int
ike_check_start(struct ike_child *c)
{
	struct ike_check *k = &c->sa->conn->check;
	int rc = ike_child_rekey_start(c, c->group);

	if (rc == -EINPROGRESS) /* it waits for its key pair */
		return rc;
	touch(c->sa->conn);
	if (rc != 0) {
		k->due_ns = ike_after(c->sa->e->now, SPW_NS_PER_S);
		return rc;
	}
	k->due_ns = UINT64_MAX;
	k->later_ns = c->rekey_at;
	k->tries++;
	k->running = true;
	return 0;
}

void
ike_check_passed(struct ike_conn *conn, enum spw_group group, bool mine)
{
	conn->check.later_ns = 0;
	if (mine || group == conn->set.esp[0].group)
		decide(conn, SPW_IKE_CHECK_OK, 0, 0);
}

void
ike_check_refused(struct ike_child *old, const struct ike_notify *error)
{
	struct ike_conn *conn = old->sa->conn;
	struct ike_check *k = &conn->check;
	uint16_t notify = error ? error->type : 0, wanted = 0;

	if (!ike_check_is_verdict(notify)) { /* the rekey is tried again, and may be the check */
		touch(conn);
		k->running = false;
		if (k->outcome == SPW_IKE_CHECK_NOT_YET && conn->set.pfs_check_s)
			k->due_ns = ike_after(conn->e->now, IKE_CHECK_AGAIN_NS);
		return;
	}
	if (notify == IKE_N_INVALID_KE_PAYLOAD && error->data.len == 2)
		wanted = spw_get_be16(error->data.bytes);
	decide(conn, SPW_IKE_CHECK_REFUSED, notify, wanted);
	if (old->state == IKE_CHILD_LIVE && k->later_ns > old->rekey_at)
		old->rekey_at = k->later_ns;
	k->later_ns = 0;
}
