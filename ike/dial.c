/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What to do next: dialling with back-off for ever, liveness, rekeys that are due, duplicates.
 *
 * Nothing is queued. After every input and at every wake-up the wishes are read off the objects:
 * an IKE SA without a request in flight starts the most urgent thing it wants (close, delete a
 * child, rekey itself, rekey a child, make a child, probe), so a wish that could not be met now
 * is met later without anybody remembering it. Times are absolute; UINT64_MAX is never.
 *
 * Both sides may dial at once and end with two IKE SAs. ike_rival_stays() names the survivor the
 * same way at both ends, by the births of the two, for a rekey ends at each end in its own time;
 * traffic moves there, the other is deleted after an overlap by its maker, later by anybody, and
 * not before the peer is known to have the survivor. One thread.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ike/engine.h"

struct ike_sa *
ike_conn_sa(const struct ike_conn *conn)
{
	struct ike_sa *best = NULL;

	for (struct ike_sa *sa = conn->sas; sa; sa = sa->conn_next)
		if (sa->state == IKE_SA_ESTABLISHED && !sa->pending && !sa->redundant &&
		    (!best || sa->made_ns > best->made_ns))
			best = sa;
	return best;
}

void
ike_dial_failed(struct ike_conn *conn)
{
	struct ike_engine *e = conn->e;
	uint64_t wait = ike_backoff_wait(++conn->attempts);

	conn->next_try = ike_after(e->now, ike_jitter(wait, 20, ike_random_u64(e)));
	spw_log(SPW_LOG_WARNING, "ike", "dial-failed",
		"conn=%s attempt=%u next_ms=%llu cause=\"%s\"", conn->set.name, conn->attempts,
		(unsigned long long)((conn->next_try - e->now) / SPW_NS_PER_MS), conn->reason);
}

/*
 * Our IKE_AUTH was taken, its answer was lost, and the peer closes the SA already: it keeps another
 * one (IKE-146). Who knows the keys of the exchange may say so before he is authenticated; he could
 * as well answer with a wrong AUTH.
 */
enum ike_fault
ike_auth_closed(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b)
{
	spw_log(SPW_LOG_INFO, "ike", "deleted", "conn=%s spi_i=%016llx by=peer state=%s",
		sa->conn ? sa->conn->set.name : "-", (unsigned long long)sa->spi_i,
		ike_state_name(sa->state));
	if (sa->conn && !ike_conn_sa(sa->conn)) {
		ike_sa_reason(sa, "the peer closed the IKE SA");
		ike_dial_failed(sa->conn);
	}
	return IKE_OK;
}

/* No answer to a request: the attempt failed, or the peer is dead. */
enum ike_fault
ike_timeout(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b)
{
	struct ike_conn *conn = sa->conn;
	char text[SPW_IKE_STATE_TEXT];
	bool dial = sa->state == IKE_SA_INIT_SENT || sa->state == IKE_SA_AUTH_SENT;

	if (sa->req.task == IKE_TASK_IKE_REKEY && sa->req.rival)
		ike_rekey_adopt(sa);
	if (conn && sa->req.task == IKE_TASK_CHILD_REKEY)
		ike_check_silent(conn);
	if (!conn || (!dial && !sa->children && ike_conn_sa(conn) != sa))
		return IKE_OK;
	if (!dial)
		snprintf(text, sizeof(text), "peer is dead: no reply for %llus",
			 (unsigned long long)((sa->e->now - sa->req.first_ns) / SPW_NS_PER_S));
	else
		snprintf(text, sizeof(text), "%s",
			 sa->state == IKE_SA_INIT_SENT
				 ? "no reply to IKE_SA_INIT: does UDP 500 reach the peer, and is "
				   "our address the one it knows?"
				 : "no reply to IKE_AUTH: does UDP 4500 reach the peer, and in "
				   "packets of ike-fragment bytes?");
	/* a hint that came in during the attempt says more than the silence after it */
	if (!dial || sa->state == IKE_SA_AUTH_SENT || !sa->hint_ns)
		ike_sa_reason(sa, text);
	ike_dial_failed(conn);
	return IKE_OK;
}

/* It may carry the traffic. */
static bool
stands(const struct ike_sa *sa)
{
	return sa->state == IKE_SA_ESTABLISHED && !sa->pending && !sa->redundant;
}

/*
 * What is to carry on when the redundant ones have gone may be known to us alone: we made it by
 * answering, and the answer may be lost.
 */
static bool
heir_is_unproven(const struct ike_conn *conn)
{
	bool unproven = false;

	for (const struct ike_sa *sa = conn->sas; sa; sa = sa->conn_next) {
		for (const struct ike_child *c = sa->children; c && stands(sa); c = c->next) {
			if ((c->state != IKE_CHILD_LIVE && c->state != IKE_CHILD_REKEYING) ||
			    c->redundant || c->absent || c->out_gone)
				continue;
			if (c->proven)
				return false;
			unproven = true;
		}
	}
	return unproven;
}

/* It may be deleted as soon as its time has come: not while it is sent on and nothing else can be.
 */
static bool
deletable(const struct ike_child *c)
{
	return c->proven && (c->state == IKE_CHILD_LIVE || c->state == IKE_CHILD_REPLACED) &&
	       (!c->redundant || !c->active || !heir_is_unproven(c->sa->conn));
}

static struct ike_child *
due_delete(struct ike_sa *sa)
{
	for (struct ike_child *c = sa->children; c; c = c->next)
		if (c->delete_at <= sa->e->now && deletable(c))
			return c;
	return NULL;
}

static struct ike_child *
due_rekey(struct ike_sa *sa)
{
	for (struct ike_child *c = sa->children; c; c = c->next)
		if (c->rekey_at <= sa->e->now && c->state == IKE_CHILD_LIVE && !c->redundant &&
		    c->proven)
			return c;
	return NULL;
}

/* A child is missing here and this IKE SA is the one to make it. */
static bool
lacks_child(const struct ike_sa *sa)
{
	bool passive = sa->conn->set.mode == SPW_IKE_MODE_RESPOND;

	if (ike_conn_sa(sa->conn) != sa || (passive && ike_conn_live_children(sa->conn) > 0))
		return false;
	for (const struct ike_child *c = sa->children; c; c = c->next)
		if ((c->state == IKE_CHILD_LIVE || c->state == IKE_CHILD_REKEYING) &&
		    !c->redundant && !c->out_gone)
			return false;
	return true;
}

/* When it is. Of one that was dialled the peer has its time: it may make the child itself. */
static uint64_t
child_due(const struct ike_sa *sa)
{
	const struct ike_conn *conn = sa->conn;
	uint64_t since = conn->since_ns > sa->made_ns ? conn->since_ns : sa->made_ns;
	uint64_t ours = ike_after(since, IKE_PASSIVE_NS);

	if (conn->set.mode != SPW_IKE_MODE_RESPOND || conn->child_at > ours)
		return conn->child_at;
	return ours;
}

/* When the peer was last known to live. */
static uint64_t
last_heard(const struct ike_sa *sa)
{
	const struct ike_engine_config *c = &sa->e->config;
	uint64_t esp = c->ops->last_inbound(c->ctx, sa->conn->set.tunnel);

	/* what arrives on another's children says nothing of one that has none */
	return sa->children && esp > sa->heard_ns ? esp : sa->heard_ns;
}

static uint64_t
probe_at(const struct ike_sa *sa)
{
	if (sa->pending || sa->redundant || sa->conn->set.dpd_delay_s == 0)
		return UINT64_MAX;
	/* the initiator first, or both ends would probe in the same instant for ever */
	return ike_after(last_heard(sa), sa->conn->set.dpd_delay_s * SPW_NS_PER_S +
						 (sa->initiator ? 0 : SPW_NS_PER_S));
}

/*
 * Message ids must not come again: what was recorded under them would be taken for new. So the IKE
 * SA is rekeyed when half of them are used, where that is refused another one is made beside it
 * before they end, and in any case it does not outlive them. IKE-155.
 */
static void
mind_ids(struct ike_sa *sa)
{
	uint32_t used = sa->next_out > sa->next_in ? sa->next_out : sa->next_in;
	uint64_t now = sa->e->now;

	if (used <= IKE_MID_MAX || sa->pending || sa->redundant)
		return;
	ike_touch(sa);
	if (sa->rekey_at > ike_after(now, IKE_BUSY_MAX_NS)) /* nearer: it has been refused */
		sa->rekey_at = now;
	if (used > IKE_MID_RENEW)
		sa->conn->renew = true;
	if (used > IKE_MID_LAST)
		sa->close_at = now;
}

/*
 * A redundant IKE SA stays while what it carries has nowhere to go: the other one is asked, and its
 * answer shows that the peer has it, too.
 */
static void
mind_heir(struct ike_sa *sa)
{
	struct ike_sa *heir = ike_conn_sa(sa->conn);

	if (sa->close_at > sa->e->now || !sa->redundant || !heir || !heir_is_unproven(sa->conn))
		return;
	ike_touch(sa);
	sa->close_at = ike_after(sa->e->now, IKE_OVERLAP_NS);
	if (heir->req.task == IKE_TASK_NONE)
		heir->probe_wanted = true;
}

/* The least urgent ones: when none can be begun it is due as before, so all of the SA waits. */
static int
tell_or_probe(struct ike_sa *sa)
{
	int rc = sa->token_owed ? ike_qcd_start(sa) : ike_probe_start(sa);

	if (rc != 0)
		sa->quiet_until = ike_after(sa->e->now, SPW_NS_PER_S);
	return rc;
}

/* Begin the most urgent exchange an established IKE SA wants. */
static void
start_next(struct ike_sa *sa)
{
	struct ike_conn *conn = sa->conn;
	uint64_t now = sa->e->now;
	struct ike_child *c;
	int rc = 0;

	if (sa->quiet_until > now)
		return;
	mind_ids(sa);
	mind_heir(sa);
	if (sa->close_at <= now)
		ike_state_step(sa, IKE_EV_CLOSE, NULL, NULL);
	else if ((c = due_delete(sa)))
		rc = ike_child_delete_start(c);
	else if (sa->pending || sa->redundant)
		return;
	else if (sa->rekey_at <= now)
		rc = ike_rekey_start(sa);
	else if ((c = due_rekey(sa)))
		rc = ike_child_rekey_start(c, c->group);
	else if (conn->check.due_ns <= now && (c = ike_check_child(sa)))
		rc = ike_check_start(c);
	else if (lacks_child(sa) && child_due(sa) <= now)
		rc = ike_child_start(sa, conn->child_group);
	else if (sa->token_owed || sa->probe_wanted || probe_at(sa) <= now)
		rc = tell_or_probe(sa);
	if (rc == -EINPROGRESS) /* until the key pair for it is there */
		return;
	if (rc == 0) { /* whatever is asked, its answer shows that the peer lives */
		sa->probe_wanted = false;
		return;
	}
	spw_log_limited(&sa->e->log, SPW_LOG_ERROR, "ike", "start-failed",
			"conn=%s errno=%d cause=\"%s\"", conn->set.name, -rc,
			conn->reason[0] ? conn->reason : strerror(-rc));
	ike_touch(sa);
	ike_request_clear(sa);
	conn->child_at = ike_after(now, SPW_NS_PER_S);
	for (c = sa->children; c; c = c->next) {
		if (c->rekey_at <= now)
			c->rekey_at = conn->child_at;
		if (c->delete_at <= now)
			c->delete_at = conn->child_at;
	}
	if (sa->rekey_at <= now)
		sa->rekey_at = conn->child_at;
}

void
ike_sa_run(struct ike_sa *sa)
{
	uint64_t now = sa->e->now;
	struct ike_child *next;

	if (sa->expire_at <= now && ike_state_allows(sa->state, IKE_EV_EXPIRE))
		ike_state_step(sa, IKE_EV_EXPIRE, NULL, NULL);
	ike_fragment_expire(sa);
	ike_request_timer(sa);
	if (sa->state == IKE_SA_ESTABLISHED) {
		for (struct ike_child *c = sa->children; c; c = next) {
			next = c->next;
			ike_child_timers(c);
		}
		if (sa->hard_at <= now) {
			ike_touch(sa);
			sa->hard_at = ike_after(now, IKE_PATIENCE_NS);
			/* make before break where we may dial; else the peer must dial anew */
			if (sa->conn->set.mode == SPW_IKE_MODE_RESPOND)
				sa->close_at = now;
			else
				sa->conn->renew = true;
		}
		if (sa->req.task == IKE_TASK_NONE)
			start_next(sa);
	} else if (sa->state == IKE_SA_RETIRED && sa->req.task == IKE_TASK_NONE &&
		   sa->close_at <= now) {
		ike_state_step(sa, IKE_EV_CLOSE, NULL, NULL);
	}
}

static bool
dialling(const struct ike_conn *conn)
{
	for (const struct ike_sa *sa = conn->sas; sa; sa = sa->conn_next)
		if ((sa->state == IKE_SA_INIT_SENT || sa->state == IKE_SA_AUTH_SENT))
			return true;
	return false;
}

static bool
wants_dial(const struct ike_conn *conn)
{
	if (conn->e->shutdown || conn->set.mode == SPW_IKE_MODE_RESPOND || dialling(conn))
		return false;
	return conn->renew || !ike_conn_sa(conn);
}

static bool
has_child(const struct ike_sa *sa)
{
	for (const struct ike_child *c = sa->children; c; c = c->next)
		if (!c->absent && !c->redundant && !c->out_gone && c->state != IKE_CHILD_LINGER)
			return true;
	return false;
}

/* When the loser's Delete is due: its maker first, the other end as a backstop. */
static uint64_t
loser_goes(uint64_t now, bool mine, uint64_t a_ns, uint64_t b_ns)
{
	uint64_t apart = a_ns > b_ns ? a_ns - b_ns : b_ns - a_ns;

	return ike_after(now, mine || apart >= IKE_RIVAL_NS ? IKE_OVERLAP_NS : IKE_REDUNDANT_NS);
}

/*
 * Dials of both sides are rivals. Of two dials of one side the newer stays, however soon it came:
 * that side has lost the other (it was killed and started again), or replaces it.
 */
static bool
sa_stays(const struct ike_birth *a, const struct ike_birth *b)
{
	if (a->dialled == b->dialled)
		return a->ns > b->ns;
	return ike_rival_stays(a->ns, &a->low, b->ns, &b->low);
}

/* When one that stands beside another has had its time to get a child. */
static uint64_t
bare_until(const struct ike_conn *conn)
{
	uint64_t t = UINT64_MAX, end;
	unsigned int n = 0;

	for (const struct ike_sa *sa = conn->sas; sa; sa = sa->conn_next) {
		n += stands(sa);
		end = ike_after(sa->made_ns, IKE_BARE_NS);
		if (stands(sa) && !has_child(sa) && end > conn->e->now)
			t = ike_min_u64(t, end);
	}
	return n > 1 ? t : UINT64_MAX;
}

/* Two established IKE SAs for one connection: one goes (IKE-146). */
static void
settle_sas(struct ike_conn *conn)
{
	struct ike_sa *win = NULL;

	for (struct ike_sa *sa = conn->sas; sa; sa = sa->conn_next) {
		struct ike_sa *lose, *keep;

		if (!stands(sa))
			continue;
		if (!win) {
			win = sa;
			continue;
		}
		lose = sa_stays(&sa->birth, &win->birth) ? win : sa;
		keep = lose == win ? sa : win;
		if (has_child(lose) && !has_child(keep)) {
			if (conn->e->now < ike_after(keep->made_ns, IKE_BARE_NS))
				continue; /* the traffic has nowhere to go yet */
			keep = lose;
			lose = keep == win ? sa : win;
		}
		win = keep;
		ike_touch(lose);
		lose->redundant = true;
		lose->close_at = loser_goes(conn->e->now, lose->birth.dialled, win->birth.ns,
					    lose->birth.ns);
		spw_log(SPW_LOG_INFO, "ike", "duplicate", "conn=%s kept=%016llx closed=%016llx",
			conn->set.name, (unsigned long long)win->spi_i,
			(unsigned long long)lose->spi_i);
	}
}

/*
 * The peer closed the one we meant to keep (its rule may be another), or deleted the child there
 * (its data plane did not take it): what was to go stays, as long as its Delete has not been sent.
 * Never both.
 */
static void
spare_last(struct ike_conn *conn)
{
	struct ike_sa *spared = NULL;

	for (struct ike_sa *sa = conn->sas; sa; sa = sa->conn_next) {
		if (stands(sa) && has_child(sa))
			return;
		if (sa->state == IKE_SA_ESTABLISHED && sa->redundant && has_child(sa))
			spared = sa;
	}
	if (!spared)
		return;
	ike_touch(spared);
	spared->redundant = false;
	spared->close_at = UINT64_MAX;
}

static bool
same_selectors(const struct ike_child *a, const struct ike_child *b)
{
	return a->n_local == b->n_local && a->n_remote == b->n_remote &&
	       memcmp(a->sel_local, b->sel_local, a->n_local * sizeof(a->sel_local[0])) == 0 &&
	       memcmp(a->sel_remote, b->sel_remote, a->n_remote * sizeof(a->sel_remote[0])) == 0;
}

/* Both sides made a child for the same selectors: one goes. */
static void
settle_children(struct ike_sa *sa)
{
	struct ike_child *win = NULL;

	if (sa->req.task == IKE_TASK_CHILD_REKEY || sa->req.task == IKE_TASK_CHILD)
		return;
	for (struct ike_child *c = sa->children; c; c = c->next) {
		struct ike_child *lose;

		if (c->state != IKE_CHILD_LIVE || c->redundant || c->absent ||
		    (win && !same_selectors(c, win)))
			continue;
		if (!win) {
			win = c;
			continue;
		}
		lose = ike_rival_stays(c->made_ns, &c->low, win->made_ns, &win->low) ? win : c;
		win = lose == win ? c : win;
		ike_touch(sa);
		lose->redundant = true;
		lose->delete_at = loser_goes(sa->e->now, lose->mine, win->made_ns, lose->made_ns);
	}
}

/* The SA that is sent on should not be one that is about to go, once the other is proven. */
static void
settle_active(struct ike_conn *conn)
{
	struct ike_child *best = ike_child_best(conn, NULL);
	uint64_t later = ike_after(conn->e->now, IKE_OVERLAP_NS);

	if (!best || best->active || !best->proven || best->redundant || best->sa->redundant ||
	    best->sa->pending || best->sa->state != IKE_SA_ESTABLISHED)
		return;
	ike_child_activate(best);
	/* what was sent on the others until now arrives before they are deleted */
	for (struct ike_sa *sa = conn->sas; sa; sa = sa->conn_next)
		if (sa->redundant && sa->close_at < later)
			sa->close_at = later;
}

static bool
carries(const struct ike_conn *conn)
{
	for (const struct ike_sa *sa = conn->sas; sa; sa = sa->conn_next)
		for (const struct ike_child *c = sa->children; c; c = c->next)
			if (c->active && !c->absent)
				return true;
	return false;
}

void
ike_conn_update(struct ike_conn *conn)
{
	const struct ike_engine_config *c = &conn->e->config;
	struct spw_ike_tunnel_event ev = {.tunnel = conn->set.tunnel, .at_ns = conn->e->now};
	bool up = carries(conn);

	if (up == conn->up)
		return;
	conn->up = up;
	conn->since_ns = conn->e->now;
	if (up) {
		conn->reason[0] = '\0';
		ike_check_up(conn);
	} else {
		ike_check_down(conn);
	}
	ev.up = up;
	snprintf(ev.name, sizeof(ev.name), "%s", conn->set.name);
	snprintf(ev.reason, sizeof(ev.reason), "%s", conn->reason);
	spw_log(up ? SPW_LOG_INFO : SPW_LOG_WARNING, "ike", up ? "tunnel-up" : "tunnel-down",
		"conn=%s cause=\"%s\"", conn->set.name, conn->reason);
	c->ops->tunnel_event(c->ctx, &ev);
}

void
ike_conn_run(struct ike_conn *conn)
{
	struct ike_sa *sa;

	settle_sas(conn);
	spare_last(conn);
	sa = ike_conn_sa(conn);
	if (sa)
		settle_children(sa);
	settle_active(conn);
	if (wants_dial(conn) && conn->next_try <= conn->e->now)
		ike_init_start(conn);
	ike_conn_update(conn);
}

static void
conns_run(struct ike_engine *e)
{
	for (const struct ike_turn *t = e->turns.first; t; t = t->next)
		if (t->conn)
			ike_conn_run(t->conn);
}

/* Those that something happened to, or whose time has come; turn.c says why no others. */
void
ike_engine_run(struct ike_engine *e)
{
	ike_turns_due(e);
	conns_run(e);
	for (const struct ike_turn *t = e->turns.first; t; t = t->next) {
		struct ike_sa *next;

		if (t->sa && !t->sa->conn)
			ike_sa_run(t->sa);
		for (struct ike_sa *sa = ike_conn_sas(t->conn); sa; sa = next) {
			next = sa->conn_next;
			ike_sa_run(sa);
		}
	}
	conns_run(e);
	ike_door_close(e);
}

/* The earliest wish of an idle established IKE SA. */
static uint64_t
wish_at(const struct ike_sa *sa)
{
	uint64_t t = ike_min_u64(sa->close_at, UINT64_MAX);

	for (const struct ike_child *c = sa->children; c; c = c->next) {
		if (deletable(c))
			t = ike_min_u64(t, c->delete_at);
		if (c->proven && c->state == IKE_CHILD_LIVE && !c->redundant && !sa->redundant &&
		    !sa->pending)
			t = ike_min_u64(t, c->rekey_at);
	}
	if (sa->pending || sa->redundant)
		return t;
	t = ike_min_u64(t, sa->rekey_at);
	if (ike_check_child(sa))
		t = ike_min_u64(t, sa->conn->check.due_ns);
	if (lacks_child(sa))
		t = ike_min_u64(t, child_due(sa));
	return sa->probe_wanted || sa->token_owed ? 0 : ike_min_u64(t, probe_at(sa));
}

uint64_t
ike_sa_wakeup(const struct ike_sa *sa)
{
	uint64_t t = ike_state_allows(sa->state, IKE_EV_EXPIRE) ? sa->expire_at : UINT64_MAX;
	uint64_t wish;

	t = ike_min_u64(t, ike_fragment_due(sa));
	if (sa->parked[true])
		; /* its answer is here */
	else if (sa->req.task != IKE_TASK_NONE)
		t = ike_min_u64(t, sa->req.next_ns);
	else if (sa->state == IKE_SA_RETIRED)
		t = ike_min_u64(t, sa->close_at);
	if (sa->state != IKE_SA_ESTABLISHED)
		return t;
	for (const struct ike_child *c = sa->children; c; c = c->next)
		t = ike_min_u64(t, ike_min_u64(c->gone_at, ike_min_u64(c->prove_at, c->hard_at)));
	t = ike_min_u64(t, sa->hard_at);
	if (sa->req.task != IKE_TASK_NONE || sa->pair.job)
		return t;
	wish = wish_at(sa);
	return ike_min_u64(t, wish > sa->quiet_until ? wish : sa->quiet_until);
}

uint64_t
ike_conn_wakeup(const struct ike_conn *conn)
{
	uint64_t dial = wants_dial(conn) && !conn->pair.job ? conn->next_try : UINT64_MAX;

	return ike_min_u64(dial, bare_until(conn));
}
