/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Protected messages: the window, retransmission, the response cache, and the order of checks.
 *
 * A message goes through: SPIs -> direction and message id -> ICV -> parse -> state table. Before
 * the ICV is good nothing changes (IKE-013). Window 1 both ways (RFC 7296 2.3): one request of
 * ours at a time, kept sealed and repeated byte for byte until its answer comes; of the peer only
 * request next_in is new, next_in - 1 gets the kept answer again, all else is dropped. An answer
 * is kept before it is sent. What is repeated shows nothing but that somebody has it, so it is no
 * sign of life, and is answered elsewhere than at the peer's address at a bounded rate; and time
 * in which this process was not run is no silence of the peer. A malformed message with a good ICV
 * ends the IKE SA (2.21.3). A packet on the SPI of a child that our request is to make shows,
 * though nobody can verify it, that the answer is likely lost: the request is repeated out of turn,
 * once. A message whose handler needs Diffie-Hellman may wait for it (dh_park.c) and
 * is then handled once more, from the state table on; until then its message id stays the next
 * one, and copies of it are dropped. One thread; e->in and e->out are the only message buffers.
 */
#include <errno.h>
#include <string.h>

#include "ike/engine.h"

static void
send_from(struct ike_engine *e, const struct ike_datagram *where, const uint8_t *bytes, size_t len)
{
	struct ike_datagram d = *where;

	for (; len >= IKE_HEADER_LEN; bytes += d.len, len -= d.len) {
		d.bytes = bytes;
		d.len = spw_get_be32(bytes + 24); /* ours: it fits */
		ike_post(e, &d);
	}
}

void
ike_send(struct ike_sa *sa, const uint8_t *bytes, size_t len)
{
	const struct ike_datagram d = {.local = sa->local,
				       .remote = sa->remote,
				       .local_port = sa->local_port,
				       .remote_port = sa->remote_port};

	ike_touch(sa);
	send_from(sa->e, &d, bytes, len);
}

static struct ike_header
header_of(const struct ike_sa *sa, uint8_t exchange, uint8_t flags, uint32_t mid)
{
	return (struct ike_header){
		.spi_i = sa->spi_i,
		.spi_r = sa->spi_r,
		.exchange = exchange,
		.flags = (uint8_t)(flags | (sa->initiator ? IKE_FLAG_INITIATOR : 0)),
		.mid = mid};
}

void
ike_request_begin(struct ike_sa *sa, struct ike_builder *b, uint8_t exchange)
{
	const struct ike_header h = header_of(sa, exchange, 0, sa->next_out);

	ike_build_start(b, sa->e->out, sizeof(sa->e->out), &h);
	ike_build_sk(b, sa->seal);
}

int
ike_request_launch(struct ike_sa *sa, enum ike_task task, uint8_t exchange, const uint8_t *bytes,
		   size_t len)
{
	struct ike_request *r = &sa->req;
	int rc = ike_blob_set(&r->msg, bytes, len);

	if (rc != 0)
		return rc;
	r->task = task;
	r->exchange = exchange;
	r->early = false;
	r->mid = sa->next_out;
	r->first_ns = sa->e->now;
	r->next_ns = ike_after(sa->e->now, IKE_RETRANSMIT_NS);
	r->sent = 1;
	ike_send(sa, r->msg.bytes, r->msg.len);
	return 0;
}

int
ike_request_send(struct ike_sa *sa, struct ike_builder *b, enum ike_task task)
{
	const uint8_t *bytes;
	size_t len;
	int rc = ike_fragment_seal(sa, b, &bytes, &len);

	if (rc == 0)
		rc = ike_request_launch(sa, task, bytes[18], bytes, len);
	if (rc != 0)
		ike_request_clear(sa);
	else
		sa->next_out++;
	return rc;
}

uint64_t
ike_sa_patience(const struct ike_sa *sa)
{
	switch (sa->req.task) {
	case IKE_TASK_INIT: return IKE_INIT_PATIENCE_NS;
	case IKE_TASK_AUTH: return IKE_AUTH_PATIENCE_NS;
	case IKE_TASK_IKE_DELETE: return IKE_CLOSE_PATIENCE_NS;
	case IKE_TASK_NONE:
	case IKE_TASK_CHILD:
	case IKE_TASK_CHILD_REKEY:
	case IKE_TASK_CHILD_DELETE:
	case IKE_TASK_IKE_REKEY:
	case IKE_TASK_PROBE:
	default: break;
	}
	if (!sa->conn || sa->conn->set.dpd_delay_s == 0 || sa->conn->set.dpd_timeout_s == 0)
		return IKE_PATIENCE_NS;
	return sa->conn->set.dpd_timeout_s * SPW_NS_PER_S;
}

/*
 * When the verdict on a request falls. A peer whose ESP still arrives is alive though its IKE is
 * not: it gets four times as long.
 */
static uint64_t
verdict_at(struct ike_sa *sa)
{
	const struct ike_engine_config *c = &sa->e->config;
	uint64_t patience = ike_sa_patience(sa);
	uint64_t end = ike_after(sa->req.first_ns, patience);

	if (sa->state != IKE_SA_ESTABLISHED || !sa->conn || sa->e->now < end)
		return end;
	if (c->ops->last_inbound(c->ctx, sa->conn->set.tunnel) > end - patience / 2)
		return ike_after(sa->req.first_ns, 4 * patience);
	return end;
}

void
ike_request_timer(struct ike_sa *sa)
{
	struct ike_request *r = &sa->req;
	uint64_t now = sa->e->now, end;

	if (r->task == IKE_TASK_NONE || now < r->next_ns || sa->parked[true])
		return;
	/* while we were not run nothing was repeated or heard: no time of the peer's */
	if (now - r->next_ns > IKE_STALL_NS)
		r->first_ns = ike_after(r->first_ns, now - r->next_ns);
	end = verdict_at(sa);
	if (now >= end) {
		ike_state_step(sa, IKE_EV_TIMEOUT, NULL, NULL);
		return;
	}
	r->sent++;
	r->next_ns = ike_min_u64(end, ike_after(now, ike_retransmit_wait(r->sent, IKE_RETRANSMIT_NS,
									 IKE_RETRANSMIT_CAP_NS)));
	ike_send(sa, r->msg.bytes, r->msg.len);
}

void
ike_request_early(struct ike_sa *sa)
{
	struct ike_request *r = &sa->req;

	if (r->early || sa->parked[true])
		return;
	r->early = true;
	spw_log(SPW_LOG_INFO, "ike", "early-packet", "conn=%s spi_in=%08x exchange=%u mid=%u",
		sa->conn ? sa->conn->set.name : "-", r->spi_in, r->exchange, r->mid);
	ike_send(sa, r->msg.bytes, r->msg.len);
}

void
ike_build_fault(struct ike_builder *b, const struct ike_engine *e, enum ike_fault f)
{
	const struct ike_fault_detail *d = &e->detail;

	ike_build_notify(b, ike_fault_info(f)->notify, d->protocol, d->spi, d->data, d->len);
}

/* Which event a request is. */
static bool
request_event(const struct ike_sa *sa, const struct ike_msg *m, enum ike_sa_event *ev)
{
	bool rekey_ike = m->has_sa && m->sa.proposal[0].protocol == IKE_PROTO_IKE;

	switch (m->hdr.exchange) {
	case IKE_X_AUTH: *ev = IKE_EV_AUTH_REQ; return true;
	case IKE_X_CREATE_CHILD:
		*ev = !rekey_ike ? ike_wire_notify(m, IKE_N_REKEY_SA) ? IKE_EV_CHILD_REKEY_REQ
								      : IKE_EV_CHILD_REQ
		      : sa->state == IKE_SA_ESTABLISHED && sa->req.task == IKE_TASK_IKE_REKEY
			      ? IKE_EV_IKE_RIVAL_REQ
			      : IKE_EV_IKE_REKEY_REQ;
		return true;
	case IKE_X_INFORMATIONAL:
		*ev = IKE_EV_INFO_REQ;
		for (unsigned int i = 0; i < m->n_deletes; i++)
			if (m->del[i].protocol == IKE_PROTO_IKE)
				*ev = IKE_EV_DELETE_REQ;
		return true;
	default: return false;
	}
}

static enum ike_sa_event
response_event(enum ike_task task)
{
	switch (task) {
	case IKE_TASK_AUTH: return IKE_EV_AUTH_RSP;
	case IKE_TASK_CHILD: return IKE_EV_CHILD_RSP;
	case IKE_TASK_CHILD_REKEY: return IKE_EV_CHILD_REKEY_RSP;
	case IKE_TASK_CHILD_DELETE: return IKE_EV_CHILD_DELETE_RSP;
	case IKE_TASK_IKE_REKEY: return IKE_EV_IKE_REKEY_RSP;
	case IKE_TASK_IKE_DELETE: return IKE_EV_DELETE_RSP;
	case IKE_TASK_NONE:
	case IKE_TASK_INIT:
	case IKE_TASK_PROBE:
	default: return IKE_EV_PROBE_RSP;
	}
}

/* A fault that ends the IKE SA: told to a person, then `state`. */
static void
close_by_fault(struct ike_sa *sa, enum ike_fault f, enum ike_sa_state state)
{
	const char *text = ike_fault_info(f)->text;

	spw_log_limited(&sa->e->log, SPW_LOG_WARNING, "ike", "closed", "conn=%s cause=\"%s\"",
			sa->conn ? sa->conn->set.name : "-", text);
	/* who is refused at the door is no reason of a tunnel that is up */
	if (f != IKE_FAULT_REFUSED && !(sa->state == IKE_SA_HALF_OPEN && sa->conn && sa->conn->up))
		ike_sa_reason(sa, text);
	if (sa->state == IKE_SA_AUTH_SENT && sa->conn)
		ike_dial_failed(sa->conn);
	ike_state_set(sa, state);
}

/*
 * More than a peer in its right mind asks for: exchanges that cost key exchanges are put off,
 * others go unanswered until it repeats them. Counted over all IKE SAs of a connection.
 */
static enum ike_fault
judge_pace(struct ike_sa *sa, uint8_t exchange)
{
	struct ike_conn *conn = sa->conn;
	enum ike_fault fault = IKE_OK;

	if (conn && exchange == IKE_X_CREATE_CHILD &&
	    !ike_pace_take(&conn->creates, sa->e->now, IKE_CREATES_PER_S, 2 * IKE_CREATES_PER_S))
		fault = IKE_FAULT_BUSY;
	if (conn && exchange == IKE_X_INFORMATIONAL &&
	    !ike_pace_take(&conn->infos, sa->e->now, IKE_INFOS_PER_S, 2 * IKE_INFOS_PER_S))
		fault = IKE_FAULT_UNEXPECTED;
	if (fault != IKE_OK)
		spw_log_limited(&sa->e->log, SPW_LOG_WARNING, "ike", "too-many-requests",
				"conn=%s exchange=%u", conn->set.name, exchange);
	return fault;
}

static enum ike_fault
judge_request(struct ike_sa *sa, const struct ike_msg *m, int parsed, struct ike_builder *b)
{
	struct ike_engine *e = sa->e;
	enum ike_sa_event ev;
	enum ike_fault fault;

	memset(&e->detail, 0, sizeof(e->detail));
	if (parsed != 0)
		return IKE_FAULT_SYNTAX;
	if (m->critical) {
		e->detail.data[0] = m->critical;
		e->detail.len = 1;
		return IKE_FAULT_CRITICAL;
	}
	if (!request_event(sa, m, &ev))
		return IKE_FAULT_SYNTAX;
	fault = e->done ? IKE_OK : judge_pace(sa, m->hdr.exchange); /* one that waited has paid */
	if (fault != IKE_OK)
		return fault;
	return ike_state_step(sa, ev, m, b);
}

/*
 * What a peer asked for and did not get: nobody else says so at this end. What it asks for again at
 * once, or in a while, is no refusal. Should the tunnel go down for it, that is why.
 */
static void
tell_refused(struct ike_sa *sa, const struct ike_msg *m, enum ike_fault fault)
{
	const struct ike_fault_info *info = ike_fault_info(fault);
	bool again = fault == IKE_FAULT_BUSY || fault == IKE_FAULT_KE_GROUP;

	if (info->action != IKE_KEEP)
		return;
	spw_log_limited(&sa->e->log, again ? SPW_LOG_DEBUG : SPW_LOG_WARNING, "ike",
			"request-refused", "conn=%s exchange=%u answer=%s cause=\"%s\"",
			sa->conn ? sa->conn->set.name : "-", m->hdr.exchange,
			ike_notify_name(info->notify), info->text);
	if (sa->conn && !sa->conn->reason[0] &&
	    (fault == IKE_FAULT_CHILD_PROPOSAL || fault == IKE_FAULT_IKE_PROPOSAL ||
	     fault == IKE_FAULT_CHILD_TS))
		ike_sa_reason(sa, info->text);
}

static void
handle_request(struct ike_sa *sa, const struct ike_datagram *d, const struct ike_msg *m, int parsed)
{
	struct ike_engine *e = sa->e;
	const struct ike_header h = header_of(sa, m->hdr.exchange, IKE_FLAG_RESPONSE, m->hdr.mid);
	struct ike_builder b;
	enum ike_fault fault;
	const uint8_t *bytes;
	size_t len;

	ike_build_start(&b, e->out, sizeof(e->out), &h);
	ike_build_sk(&b, sa->seal);
	fault = judge_request(sa, m, parsed, &b);
	if (ike_fault_info(fault)->action == IKE_SILENT)
		return;
	if (fault != IKE_OK) {
		tell_refused(sa, m, fault);
		ike_build_rewind(&b);
		ike_build_fault(&b, e, fault);
	}
	if (ike_fragment_seal(sa, &b, &bytes, &len) != 0 ||
	    ike_blob_set(&sa->response, bytes, len) != 0) {
		ike_state_set(sa, IKE_SA_DEAD); /* no answer can be kept: no way to go on */
		return;
	}
	sa->next_in++;
	if (ike_fault_info(fault)->action == IKE_CLOSE)
		close_by_fault(sa, fault, IKE_SA_GONE);
	send_from(e, d, sa->response.bytes, sa->response.len);
}

/*
 * INVALID_SYNTAX in an answer means that the peer has ended the IKE SA with it (RFC 7296 2.21.3).
 * Not every peer does, and its children may carry traffic: so it is replaced, make before break,
 * and where we may not dial the peer is asked whether it is there at all.
 */
static void
take_disowned(struct ike_sa *sa)
{
	if (sa->state != IKE_SA_ESTABLISHED || sa->pending || sa->redundant)
		return;
	spw_log_limited(&sa->e->log, SPW_LOG_WARNING, "ike", "disowned",
			"conn=%s cause=\"peer says that our request was malformed\"",
			sa->conn->set.name);
	if (sa->conn->set.mode == SPW_IKE_MODE_RESPOND)
		sa->probe_wanted = true;
	else
		sa->conn->renew = true;
}

static void
handle_response(struct ike_sa *sa, const struct ike_msg *m, int parsed)
{
	uint32_t mid = sa->req.mid;
	enum ike_fault fault = IKE_FAULT_SYNTAX;

	/* nobody answers anything before our IKE_AUTH answer is there */
	if (sa->response.len > 18 && sa->response.bytes[18] == IKE_X_AUTH)
		ike_sa_proven(sa);

	if (parsed == 0 && m->critical == 0)
		fault = ike_state_step(sa, response_event(sa->req.task), m, NULL);
	if (fault == IKE_FAULT_PARKED)
		return;
	if (ike_fault_info(fault)->action == IKE_CLOSE)
		close_by_fault(sa, fault, IKE_SA_DEAD);
	else if (ike_wire_notify(m, IKE_N_INVALID_SYNTAX))
		take_disowned(sa);
	if (sa->req.task != IKE_TASK_NONE && sa->req.mid == mid)
		ike_request_clear(sa);
}

/*
 * The peer's address may have changed behind a NAT: follow an authentic new request, unless we
 * are behind a NAT ourselves (RFC 7296 2.23). An IKE_AUTH may come from and to other ports than
 * IKE_SA_INIT did, but from another address only through a NAT: else somebody passes on what he
 * saw, and would have all that is for the peer.
 */
static bool
may_follow(const struct ike_sa *sa, const struct ike_datagram *d)
{
	if (sa->state != IKE_SA_HALF_OPEN)
		return sa->nat_there && !sa->nat_here;
	return sa->nat_there || spw_addr_equal(&sa->remote, &d->remote);
}

static void
follow_peer(struct ike_sa *sa, const struct ike_datagram *d)
{
	const struct ike_engine_config *c = &sa->e->config;

	if (!may_follow(sa, d))
		return;
	if (sa->state == IKE_SA_HALF_OPEN)
		sa->local_port = d->local_port;
	if (sa->remote_port == d->remote_port && spw_addr_equal(&sa->remote, &d->remote))
		return;
	sa->remote = d->remote;
	sa->remote_port = d->remote_port;
	for (struct ike_child *k = sa->children; k; k = k->next)
		if (!k->absent)
			c->ops->sa_move(c->ctx, k->spi_in, &sa->remote, sa->remote_port,
					sa->local_port);
}

/* What was inside an SK payload, or inside all SKF payloads of a message. */
struct opened {
	uint8_t first;
	uint8_t *plain;
	size_t len;
	struct ike_blob whole; /* of a message in pieces; `plain` points into it */
};

/*
 * Open the SK payload in e->in and parse what is inside. -EPERM: not authentic; -EAGAIN: a piece of
 * a message that is not whole yet; -EBADMSG, -E2BIG: authentic, but not to be understood.
 */
static int
open_message(struct ike_sa *sa, const struct ike_datagram *d, struct ike_sk *sk, struct opened *o,
	     struct ike_msg *m)
{
	size_t pad;
	int rc;

	memcpy(sa->e->in, d->bytes, d->len);
	if (ike_cipher_open(sa->open, sa->e->in, d->len, sk->aad_len, &o->plain, &o->len) != 0)
		return -EPERM;
	pad = o->len ? (size_t)o->plain[o->len - 1] + 1 : 1;
	if (pad > o->len)
		return -EBADMSG;
	o->len -= pad;
	if (sk->total) {
		rc = ike_fragment_take(sa, &m->hdr, sk, o->plain, o->len, &o->whole);
		if (rc != 0)
			return -EAGAIN;
		o->plain = o->whole.bytes;
		o->len = o->whole.len;
	}
	o->first = sk->inner;
	rc = ike_wire_payloads(m, o->first, o->plain, o->len);
	if (m->critical == 0)
		m->critical = sk->critical; /* bare, and as authentic as the others */
	return rc;
}

static void
opened_forget(struct ike_sa *sa, struct opened *o, size_t datagram)
{
	if (o->whole.bytes)
		spw_wipe(o->whole.bytes, o->whole.len);
	ike_blob_free(&o->whole);
	spw_wipe(sa->e->in, datagram);
}

/* An unprotected INVALID_IKE_SPI or so about an SA we know: at most a reason to look. 2.21.4. */
static void
take_hint(struct ike_sa *sa)
{
	if (sa->state != IKE_SA_ESTABLISHED ||
	    (sa->hint_ns && sa->e->now - sa->hint_ns < IKE_HINT_NS))
		return;
	ike_touch(sa);
	sa->hint_ns = sa->e->now;
	sa->probe_wanted = true;
}

/* Direction, SPIs and message id fit; *again: it is the request answered last. */
static bool
in_window(const struct ike_sa *sa, const struct ike_header *h, bool *again)
{
	uint64_t peer_spi = sa->initiator ? h->spi_r : h->spi_i;

	*again = false;
	if (((h->flags & IKE_FLAG_INITIATOR) != 0) == sa->initiator || !sa->open)
		return false;
	if (peer_spi != (sa->initiator ? sa->spi_r : sa->spi_i))
		return false;
	if (h->flags & IKE_FLAG_RESPONSE)
		return sa->req.task != IKE_TASK_NONE && h->mid == sa->req.mid &&
		       h->exchange == sa->req.exchange && h->exchange != IKE_X_SA_INIT;
	*again = sa->response.len != 0 && h->mid + 1 == sa->next_in;
	return *again || h->mid == sa->next_in;
}

/*
 * The peer has not got our answer, or somebody repeats what he recorded: from another address than
 * the peer's only so often.
 */
static void
repeat_answer(struct ike_sa *sa, const struct ike_datagram *d)
{
	if (sa->conn && !spw_addr_equal(&d->remote, &sa->remote) &&
	    !ike_pace_take(&sa->conn->repeats, sa->e->now, IKE_REPEATS_PER_S,
			   2 * IKE_REPEATS_PER_S))
		return;
	ike_sa_unproven(sa);
	send_from(sa->e, d, sa->response.bytes, sa->response.len);
}

/* A new request. */
static void
take_request(struct ike_sa *sa, const struct ike_datagram *d, const struct ike_msg *m, int parsed,
	     const struct opened *o)
{
	ike_sa_proven(sa);
	follow_peer(sa, d);
	if (sa->parked[true] && parsed == 0 && m->critical == 0) /* not before what came before */
		ike_park_behind(sa, d, &m->hdr, &(const struct ike_chunk){o->plain, o->len},
				o->first);
	else
		handle_request(sa, d, m, parsed);
}

void
ike_message_protected(struct ike_sa *sa, const struct ike_datagram *d, const struct ike_header *h)
{
	struct ike_msg m = {.hdr = *h};
	struct opened o = {0};
	struct ike_sk sk;
	bool again;
	int rc = ike_wire_find_sk(h, d->bytes, d->len, &sk);

	if (rc == -ENOENT && (h->flags & IKE_FLAG_RESPONSE) && !ike_qcd_heard(sa, d, h))
		take_hint(sa);
	if (rc != 0 || (sk.total && !sa->fragment) || !in_window(sa, h, &again))
		return;
	/* Of a request that was answered, piece 1 stands for all. RFC 7383 2.6.1. */
	if (again && sk.fragment > 1)
		return;
	if (!again && sa->parked[(h->flags & IKE_FLAG_RESPONSE) != 0])
		return; /* this message has come already */
	if (again)
		sk.total = 0;
	rc = open_message(sa, d, &sk, &o, &m);
	if (rc != -EPERM) {
		ike_touch(sa);
		sa->quiet_until = 0;
	}
	if (rc != -EPERM && rc != -EAGAIN && !again) /* fresh: a sign of life (RFC 7296 2.4) */
		sa->heard_ns = sa->e->now;
	if (rc == -EPERM || rc == -EAGAIN)
		;
	else if (h->flags & IKE_FLAG_RESPONSE)
		handle_response(sa, &m, rc);
	else if (again)
		repeat_answer(sa, d);
	else
		take_request(sa, d, &m, rc, &o);
	if (sa->e->wanted)
		ike_park(sa->e, sa, d, h, &(const struct ike_chunk){o.plain, o.len}, o.first);
	opened_forget(sa, &o, d->len);
}

void
ike_message_again(struct ike_sa *sa, const struct ike_parked *p)
{
	struct ike_engine *e = sa->e;
	struct ike_msg m = {.hdr = p->h};
	int rc = ike_wire_payloads(&m, p->first, p->message.bytes, p->message.len);

	ike_touch(sa);
	if (p->h.flags & IKE_FLAG_RESPONSE)
		handle_response(sa, &m, rc);
	else
		handle_request(sa, &p->d, &m, rc);
	if (e->wanted) /* what it needs is another by now */
		ike_park(e, sa, &p->d, &p->h,
			 &(const struct ike_chunk){p->message.bytes, p->message.len}, p->first);
}
