/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine's state machines, as tables.
 *
 * One table for the IKE SA: state x event -> handler, next state. One for the child SA: state x
 * event -> next state. Whatever is not in a table cannot happen: the event is refused, counted in
 * the log, and nothing changes. So what a message may do in a state is read here and nowhere
 * else; handlers do the work but choose no state, except that a fault sends the SA to GONE or
 * DEAD by the fault table, which stands here too. One thread.
 *
 * CREATE_CHILD_SA while an SA is RETIRED or CLOSING: TEMPORARY_FAILURE (RFC 7296 2.25.2).
 * Nothing but IKE_AUTH is taken before authentication is complete (IKE-012, IKE-061).
 */
#include "ike/engine.h"

struct sa_rule {
	ike_handler *handler;
	enum ike_sa_state next;
};

static enum ike_fault
refuse_busy(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b)
{
	return IKE_FAULT_BUSY;
}

static enum ike_fault
just_go(struct ike_sa *sa, const struct ike_msg *m, struct ike_builder *b)
{
	return IKE_OK;
}

#define ROW(ev, fn, to) [IKE_EV_##ev] = {fn, IKE_SA_##to}

static const struct sa_rule sa_table[IKE_SA_STATES][IKE_SA_EVENTS] =
	{
		[IKE_SA_INIT_SENT] =
			{
				ROW(INIT_RSP, ike_init_response, AUTH_SENT),
				ROW(INIT_RETRY, ike_init_retry, INIT_SENT),
				ROW(TIMEOUT, ike_timeout, DEAD),
				ROW(CLOSE, just_go, DEAD),
			},
		[IKE_SA_HALF_OPEN] =
			{
				ROW(AUTH_REQ, ike_auth_request, ESTABLISHED),
				ROW(CLOSE, just_go, DEAD),
				ROW(EXPIRE, just_go, DEAD),
			},
		[IKE_SA_AUTH_SENT] =
			{
				ROW(AUTH_RSP, ike_auth_response, ESTABLISHED),
				ROW(DELETE_REQ, ike_auth_closed, GONE),
				ROW(TIMEOUT, ike_timeout, DEAD),
				ROW(CLOSE, just_go, LEAVING),
			},
		[IKE_SA_LEAVING] =
			{
				ROW(PROBE_RSP, ike_probe_response, RETIRED),
				ROW(DELETE_REQ, just_go, GONE),
				ROW(TIMEOUT, just_go, DEAD),
			},
		[IKE_SA_ESTABLISHED] =
			{
				ROW(CHILD_REQ, ike_child_request, ESTABLISHED),
				ROW(CHILD_REKEY_REQ, ike_child_rekey_request, ESTABLISHED),
				ROW(IKE_REKEY_REQ, ike_rekey_request, RETIRED),
				ROW(IKE_RIVAL_REQ, ike_rekey_request, ESTABLISHED),
				ROW(INFO_REQ, ike_info_request, ESTABLISHED),
				ROW(DELETE_REQ, ike_delete_request, GONE),
				ROW(CHILD_RSP, ike_child_response, ESTABLISHED),
				ROW(CHILD_REKEY_RSP, ike_child_rekey_response, ESTABLISHED),
				ROW(CHILD_DELETE_RSP, ike_child_delete_response, ESTABLISHED),
				ROW(IKE_REKEY_RSP, ike_rekey_response, RETIRED),
				ROW(PROBE_RSP, ike_probe_response, ESTABLISHED),
				ROW(RETIRE, just_go, RETIRED),
				ROW(CLOSE, ike_close_start, CLOSING),
				ROW(TIMEOUT, ike_timeout, DEAD),
				ROW(EXPIRE, just_go, DEAD),
			},
		[IKE_SA_RETIRED] =
			{
				ROW(CHILD_REQ, refuse_busy, RETIRED),
				ROW(CHILD_REKEY_REQ, refuse_busy, RETIRED),
				ROW(IKE_REKEY_REQ, refuse_busy, RETIRED),
				ROW(INFO_REQ, ike_info_request, RETIRED),
				ROW(DELETE_REQ, ike_delete_request, GONE),
				ROW(PROBE_RSP, ike_probe_response, RETIRED),
				ROW(CLOSE, ike_close_start, CLOSING),
				ROW(TIMEOUT, just_go, DEAD),
			},
		[IKE_SA_CLOSING] =
			{
				ROW(CHILD_REQ, refuse_busy, CLOSING),
				ROW(CHILD_REKEY_REQ, refuse_busy, CLOSING),
				ROW(IKE_REKEY_REQ, refuse_busy, CLOSING),
				ROW(INFO_REQ, ike_info_request, CLOSING),
				ROW(DELETE_REQ, ike_delete_request, GONE),
				ROW(DELETE_RSP, ike_delete_response, DEAD),
				ROW(TIMEOUT, just_go, DEAD),
			},
		[IKE_SA_GONE] =
			{
				ROW(EXPIRE, just_go, DEAD),
				ROW(CLOSE, just_go, DEAD),
			},
};

static const struct {
	bool allowed;
	enum ike_child_state next;
} child_table[IKE_CHILD_STATES][IKE_CHILD_EVENTS] = {
#define CROW(ev, to) [IKE_CHILD_EV_##ev] = {true, IKE_CHILD_##to}
	[IKE_CHILD_LIVE] = {CROW(REKEY_START, REKEYING), CROW(REPLACE, REPLACED),
			    CROW(DELETE_START, DELETING), CROW(DELETE_HEARD, LINGER)},
	[IKE_CHILD_REKEYING] = {CROW(REKEY_FAIL, LIVE), CROW(REPLACE, REPLACED),
				CROW(DELETE_HEARD, LINGER)},
	[IKE_CHILD_REPLACED] = {CROW(DELETE_START, DELETING), CROW(DELETE_HEARD, LINGER),
				CROW(HEIR_LOST, LIVE)},
	/* crossing Deletes: the inbound half waits for the answer to ours (RFC 7296 1.4.1) */
	[IKE_CHILD_DELETING] = {CROW(DELETE_DONE, LINGER), CROW(DELETE_HEARD, DELETING)},
};

static const char *const sa_state_names[] = {
#define IKE_SA_STATE(name, shown) shown,
#include "ike/state.def"
};
static const char *const sa_event_names[] = {
#define IKE_SA_EVENT(name) #name,
#include "ike/state.def"
};
static const char *const child_state_names[] = {
#define IKE_CHILD_STATE(name, shown) shown,
#include "ike/state.def"
};
static const struct ike_fault_info faults[] = {
	{"OK", 0, IKE_KEEP, ""},
#define IKE_FAULT(name, notify, action, text) {#name, notify, IKE_##action, text},
#include "ike/fault.def"
};

const struct ike_fault_info *
ike_fault_info(enum ike_fault f)
{
	return &faults[f];
}

const char *
ike_state_name(enum ike_sa_state state)
{
	return sa_state_names[state];
}

const char *
ike_child_state_name(enum ike_child_state state)
{
	return child_state_names[state];
}

bool
ike_state_allows(enum ike_sa_state state, enum ike_sa_event ev)
{
	return sa_table[state][ev].handler != NULL;
}

void
ike_state_set(struct ike_sa *sa, enum ike_sa_state state)
{
	if (sa->state == state)
		return;
	spw_log(SPW_LOG_DEBUG, "ike", "state", "spi=%016llx old=%s new=%s",
		(unsigned long long)ike_sa_own_spi(sa), ike_state_name(sa->state),
		ike_state_name(state));
	ike_touch(sa);
	sa->state = state;
	sa->since_ns = sa->e->now;
	if (state == IKE_SA_GONE || state == IKE_SA_DEAD) {
		ike_auth_spi_free(sa);
		ike_request_clear(sa);
		ike_park_forget(sa, false);
		ike_pair_forget(sa->e, &sa->pair);
		ike_sa_drop_children(sa);
		sa->expire_at = ike_after(sa->e->now, IKE_GONE_NS);
	}
}

enum ike_fault
ike_state_step(struct ike_sa *sa, enum ike_sa_event ev, const struct ike_msg *m,
	       struct ike_builder *b)
{
	const struct sa_rule *rule = &sa_table[sa->state][ev];
	enum ike_sa_state before = sa->state;
	enum ike_fault fault;

	if (!rule->handler) {
		spw_log_limited(&sa->e->log, SPW_LOG_WARNING, "ike", "refused", "state=%s event=%s",
				ike_state_name(sa->state), sa_event_names[ev]);
		return IKE_FAULT_UNEXPECTED;
	}
	ike_touch(sa);
	fault = rule->handler(sa, m, b);
	if (fault == IKE_OK && sa->state == before)
		ike_state_set(sa, rule->next);
	return fault;
}

bool
ike_child_step(struct ike_child *c, enum ike_child_event ev)
{
	if (!child_table[c->state][ev].allowed) {
		spw_log_limited(&c->sa->e->log, SPW_LOG_WARNING, "ike", "child-refused",
				"spi=%08x state=%s event=%u", c->spi_in,
				ike_child_state_name(c->state), (unsigned int)ev);
		return false;
	}
	ike_touch(c->sa);
	c->state = child_table[c->state][ev].next;
	return true;
}
