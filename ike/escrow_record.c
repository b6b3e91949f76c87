/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the escrow holds of one IKE SA: all that the engine knows of it but what can be had again
 * from its connection (settings, pre-shared key) or from the data plane (keys of children).
 *
 * One list of fields serves both directions, so that what is saved is what is loaded. A record
 * begins with the name of its connection and a mark of what that connection negotiates with, under
 * the key that the SA was authenticated with; it is taken only by a connection that has the same
 * mark for one of its keys. Times are absolute on CLOCK_MONOTONIC, which a
 * restart of the process does not touch; a reboot of the machine ends the escrow with everything.
 *
 * The private value of a key exchange under way is part of it: the answer may be on its way, and
 * with the value the exchange completes as if nothing had happened. Pieces of a message of the peer
 * are not: it repeats them all. The IV counter of an AEAD is set forward by IV_JUMP on loading;
 * nothing is sent before its record holds, so no IV can repeat even without it.
 *
 * Loading trusts nothing: every length and enumeration is checked against its bound, and a record
 * that does not fit makes no SA. Bytes are in the machine's own order: one build, one machine.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "ike/engine.h"

#define IV_JUMP	     (UINT64_C(1) << 32)
#define CHILDREN_MAX 32
#define MARK_ROOM    4096

struct codec {
	uint8_t *at, *end;
	bool load;
	bool bad; /* no room, or not a value that is possible */
};

static void
raw(struct codec *c, void *field, size_t len)
{
	if (c->bad || (size_t)(c->end - c->at) < len) {
		c->bad = true;
		return;
	}
	if (c->load)
		memcpy(field, c->at, len);
	else
		memcpy(c->at, field, len);
	c->at += len;
}

#define FIELD(c, x) raw((c), &(x), sizeof(x))

static void
flag(struct codec *c, bool *b)
{
	uint8_t byte = *b;

	FIELD(c, byte);
	c->bad |= byte > 1;
	*b = !c->bad && byte;
}

/* A number below `limit`. */
static uint32_t
below(struct codec *c, uint32_t value, uint32_t limit)
{
	FIELD(c, value);
	c->bad |= value >= limit;
	return c->bad ? 0 : value;
}

#define ENUM(c, x, limit) ((x) = (__typeof__(x))below((c), (uint32_t)(x), (limit)))

static void
address(struct codec *c, struct spw_addr *a)
{
	FIELD(c, *a);
	c->bad |= a->family != AF_INET && a->family != AF_INET6 && a->family != 0;
}

static void
nonce(struct codec *c, struct ike_nonce *n)
{
	ENUM(c, n->len, IKE_NONCE_MAX + 1);
	raw(c, n->bytes, n->len);
}

static void
blob(struct codec *c, struct ike_blob *b)
{
	uint32_t len = below(c, (uint32_t)b->len, 2 * IKE_DATAGRAM_MAX + 1);

	if (c->bad || (size_t)(c->end - c->at) < len)
		c->bad = true;
	else if (c->load)
		c->bad |= len != 0 && ike_blob_set(b, c->at, len) != 0;
	else if (len != 0)
		memcpy(c->at, b->bytes, len);
	if (!c->bad)
		c->at += len;
}

/* One message or several in a row, each as long as its header says: it is sent as it is. */
static bool
is_messages(const struct ike_blob *b)
{
	size_t at = 0, len;

	for (; at < b->len; at += len) {
		if (b->len - at < IKE_HEADER_LEN)
			return false;
		len = spw_get_be32(b->bytes + at + 24);
		if (len < IKE_HEADER_LEN || len > b->len - at)
			return false;
	}
	return true;
}

static void
messages(struct codec *c, struct ike_blob *b)
{
	blob(c, b);
	c->bad |= !c->bad && !is_messages(b);
}

static void
secret(struct codec *c, struct spw_secret *s)
{
	uint32_t len = below(c, (uint32_t)s->len, 257);

	if (c->bad || (size_t)(c->end - c->at) < len)
		c->bad = true;
	else if (c->load)
		c->bad |= len != 0 && spw_secret_set(s, c->at, len) != 0;
	else if (len != 0)
		memcpy(c->at, s->bytes, len);
	if (!c->bad)
		c->at += len;
}

static void
proposal(struct codec *c, struct spw_ike_proposal *p)
{
	FIELD(c, *p);
	c->bad |= p->encr >= SPW_ENCR_COUNT || p->integ >= SPW_INTEG_COUNT ||
		  p->prf >= SPW_PRF_COUNT || p->group >= SPW_GROUP_COUNT || p->esn > SPW_ESN_BOTH;
}

static void
selectors(struct codec *c, uint32_t *n, struct spw_selector s[SPW_SA_SELECTORS])
{
	ENUM(c, *n, SPW_SA_SELECTORS + 1);
	raw(c, s, *n * sizeof(*s));
}

/* The pair that waits for the answer, when it has not served yet. */
static void
key_pair(struct codec *c, struct ike_dh **dh)
{
	uint8_t value[IKE_DH_PRIVATE_MAX];
	enum spw_group group = SPW_GROUP_NONE;

	if (!c->load && *dh && ike_dh_private(*dh, value) == 0)
		group = ike_dh_group(*dh);
	ENUM(c, group, SPW_GROUP_COUNT);
	if (group != SPW_GROUP_NONE)
		raw(c, value, sizeof(value));
	if (group != SPW_GROUP_NONE && c->load && !c->bad)
		c->bad |= ike_dh_from_private(dh, group, value, sizeof(value)) != 0;
	spw_wipe(value, sizeof(value));
}

static void
cipher(struct codec *c, struct ike_cipher **out, const struct spw_ike_proposal *suite,
       uint64_t jump)
{
	struct ike_cipher_view v = {0};
	struct spw_secret key = {0}, integ = {0};

	if (!c->load) {
		v = ike_cipher_view(*out);
		key = *v.key; /* borrowed */
		integ = *v.integ_key;
	}
	secret(c, &key);
	secret(c, &integ);
	FIELD(c, v.iv_next);
	if (!c->load)
		return;
	if (!c->bad)
		c->bad |= v.iv_next > UINT64_MAX - jump ||
			  ike_cipher_new(out, suite->encr, key.bytes, key.len, suite->integ,
					 integ.bytes, integ.len) != 0 ||
			  ike_cipher_resume(*out, v.iv_next + jump) != 0;
	spw_secret_free(&key);
	spw_secret_free(&integ);
}

static void
request(struct codec *c, struct ike_request *r)
{
	ENUM(c, r->task, IKE_TASK_PROBE + 1);
	if (r->task == IKE_TASK_NONE)
		return;
	FIELD(c, r->exchange);
	FIELD(c, r->mid);
	messages(c, &r->msg);
	c->bad |= r->msg.len == 0;
	FIELD(c, r->first_ns);
	FIELD(c, r->next_ns);
	FIELD(c, r->sent);
	nonce(c, &r->nonce);
	key_pair(c, &r->dh);
	c->bad |= r->task == IKE_TASK_IKE_REKEY && !r->dh;
	FIELD(c, r->spi_in);
	FIELD(c, r->old_spi_in);
	FIELD(c, r->ike_spi);
	flag(c, &r->stale);
	FIELD(c, r->groups_tried);
	ENUM(c, r->n_offer, SPW_IKE_PROPOSALS + 1);
	for (uint32_t i = 0; i < r->n_offer; i++)
		proposal(c, &r->offer[i]);
	flag(c, &r->rival);
	FIELD(c, r->rival_spi_in);
	FIELD(c, r->rival_ike_spi);
	nonce(c, &r->rival_low);
}

static void
child_fields(struct codec *c, struct ike_child *k)
{
	ENUM(c, k->state, IKE_CHILD_STATES);
	FIELD(c, k->spi_in);
	FIELD(c, k->spi_out);
	flag(c, &k->mine);
	flag(c, &k->absent);
	flag(c, &k->active);
	flag(c, &k->redundant);
	flag(c, &k->out_gone);
	flag(c, &k->proven);
	ENUM(c, k->group, SPW_GROUP_COUNT);
	FIELD(c, k->heir);
	nonce(c, &k->low);
	proposal(c, &k->suite);
	selectors(c, &k->n_local, k->sel_local);
	selectors(c, &k->n_remote, k->sel_remote);
	FIELD(c, k->made_ns);
	FIELD(c, k->rekey_at);
	FIELD(c, k->hard_at);
	FIELD(c, k->prove_at);
	FIELD(c, k->delete_at);
	FIELD(c, k->gone_at);
}

/* All children, in their order. */
static void
children(struct codec *c, struct ike_sa *sa)
{
	struct ike_child **at = &sa->children;
	uint32_t n = 0;

	for (const struct ike_child *k = sa->children; k; k = k->next)
		n++;
	ENUM(c, n, CHILDREN_MAX + 1);
	for (; n > 0 && !c->bad; n--, at = &(*at)->next) {
		if (c->load && !(*at = calloc(1, sizeof(**at)))) {
			c->bad = true;
			return;
		}
		(*at)->sa = sa;
		child_fields(c, *at);
		if (c->load)
			ike_index_child(*at);
	}
}

/* 0 = never cut; else the range of the configuration, in which every cut has room for payloads. */
static void
fragment_size(struct codec *c, uint32_t *size)
{
	FIELD(c, *size);
	c->bad |= *size != 0 && (*size < IKE_FRAGMENT_MIN || *size > IKE_FRAGMENT_MAX);
}

static void
sa_fields(struct codec *c, struct ike_sa *sa)
{
	ENUM(c, sa->state, IKE_SA_STATES);
	flag(c, &sa->nat_here);
	flag(c, &sa->nat_there);
	flag(c, &sa->encap);
	flag(c, &sa->pending);
	flag(c, &sa->redundant);
	flag(c, &sa->contact_sent);
	fragment_size(c, &sa->fragment);
	FIELD(c, sa->spi_i);
	FIELD(c, sa->spi_r);
	address(c, &sa->local);
	address(c, &sa->remote);
	FIELD(c, sa->local_port);
	FIELD(c, sa->remote_port);
	proposal(c, &sa->suite);
	c->bad |= c->load && !ike_proposal_valid(&sa->suite, IKE_PROTO_IKE);
	nonce(c, &sa->ni);
	nonce(c, &sa->nr);
	nonce(c, &sa->low);
	FIELD(c, sa->birth.ns);
	flag(c, &sa->birth.dialled);
	nonce(c, &sa->birth.low);
	secret(c, &sa->keys.d);
	secret(c, &sa->keys.pi); /* these two until IKE_AUTH is over */
	secret(c, &sa->keys.pr);
	cipher(c, &sa->seal, &sa->suite, IV_JUMP);
	cipher(c, &sa->open, &sa->suite, 0);
	blob(c, &sa->own_init);
	blob(c, &sa->peer_init);
	FIELD(c, sa->next_in);
	FIELD(c, sa->next_out);
	FIELD(c, sa->auth_spi);
	messages(c, &sa->response);
	ENUM(c, sa->ppk, IKE_PPK_STATES);
	blob(c, &sa->token);
	flag(c, &sa->token_owed);
}

static void
sa_times(struct codec *c, struct ike_sa *sa)
{
	FIELD(c, sa->made_ns);
	FIELD(c, sa->since_ns);
	FIELD(c, sa->heard_ns);
	FIELD(c, sa->hint_ns);
	FIELD(c, sa->busy_since);
	FIELD(c, sa->rekey_at);
	FIELD(c, sa->hard_at);
	FIELD(c, sa->close_at);
	FIELD(c, sa->expire_at);
	FIELD(c, sa->quiet_until);
	flag(c, &sa->probe_wanted);
}

/* What its connection counts; of several records the highest. */
static void
counters(struct codec *c, struct ike_conn *conn)
{
	uint32_t *at[] = {&conn->ike_rekeys, &conn->child_rekeys, &conn->child_rekey_failures};

	for (unsigned int i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		uint32_t n = *at[i];

		FIELD(c, n);
		if (!c->bad && n > *at[i])
			*at[i] = n;
	}
}

/* Each record of a connection has it, and all have the same. */
static void
check(struct codec *c, struct ike_conn *conn)
{
	struct ike_check k = conn->check;

	ENUM(c, k.outcome, SPW_IKE_CHECKS);
	FIELD(c, k.notify);
	FIELD(c, k.wanted);
	FIELD(c, k.at_ns);
	FIELD(c, k.due_ns);
	FIELD(c, k.later_ns);
	FIELD(c, k.tries);
	flag(c, &k.running);
	if (c->load && !c->bad) {
		conn->check = k;
		conn->restored = true;
	}
}

struct prefix {
	char name[IKE_ESCROW_NAME];
	uint8_t mark[IKE_CONN_MARK];
	uint64_t incarnation;
	uint32_t initiator;
};

_Static_assert(SPW_NAME_LEN <= IKE_ESCROW_NAME, "a name fits");

static bool
prefix_read(const uint8_t *bytes, size_t len, struct prefix *p)
{
	if (len < sizeof(*p))
		return false;
	memcpy(p, bytes, sizeof(*p));
	return true;
}

size_t
ike_record_save(struct ike_sa *sa, uint8_t *room, size_t size)
{
	struct codec c = {.at = room, .end = room + size};
	struct prefix p;

	memset(&p, 0, sizeof(p));
	memcpy(p.name, sa->conn->set.name, strnlen(sa->conn->set.name, SPW_NAME_LEN));
	memcpy(p.mark, ike_psk_mark(sa), sizeof(p.mark));
	p.incarnation = sa->e->config.incarnation;
	p.initiator = sa->initiator;
	FIELD(&c, p);
	sa_fields(&c, sa);
	sa_times(&c, sa);
	counters(&c, sa->conn);
	check(&c, sa->conn);
	request(&c, &sa->req);
	children(&c, sa);
	return c.bad ? 0 : (size_t)(c.at - room);
}

bool
ike_record_fits(const struct ike_conn *conn, const uint8_t *bytes, size_t len)
{
	struct prefix p;

	return prefix_read(bytes, len, &p) &&
	       strncmp(p.name, conn->set.name, sizeof(p.name)) == 0 &&
	       ike_psk_find(conn, p.mark) >= 0;
}

/* Nothing of a record that does not fit may reach the data plane. */
static void
disown(struct ike_sa *sa)
{
	sa->req.stale = true;
	sa->auth_spi = 0;
	for (struct ike_child *k = sa->children; k; k = k->next) {
		k->absent = k->out_gone = true;
		k->active = false;
	}
	sa->state = IKE_SA_DEAD;
}

/* What the times of the life before mean in this one. */
static void
resume_times(struct ike_sa *sa)
{
	struct ike_request *r = &sa->req;
	uint64_t now = sa->e->now;

	if (r->task == IKE_TASK_NONE)
		return;
	/* the time without a process must not count against the peer */
	r->first_ns = now;
	r->next_ns = now;
}

struct ike_sa *
ike_record_load(struct ike_conn *conn, const uint8_t *bytes, size_t len)
{
	struct prefix p;
	struct codec c = {.at = (uint8_t *)(uintptr_t)bytes + sizeof(p),
			  .end = (uint8_t *)(uintptr_t)bytes + len,
			  .load = true};
	struct ike_sa *sa;

	if (!prefix_read(bytes, len, &p))
		return NULL;
	sa = ike_sa_new(conn->e, conn, p.initiator == 1);
	if (!sa)
		return NULL;
	sa_fields(&c, sa);
	sa_times(&c, sa);
	counters(&c, conn);
	check(&c, conn);
	request(&c, &sa->req);
	children(&c, sa);
	if (c.bad || c.at != c.end || ike_sa_own_spi(sa) == 0 || sa->state == IKE_SA_INIT_SENT ||
	    sa->state == IKE_SA_DEAD) {
		disown(sa);
		return NULL;
	}
	if (p.incarnation != conn->e->config.incarnation) {
		sa->req.stale |= sa->req.spi_in != 0;
		ike_auth_spi_void(sa);
	}
	memcpy(sa->psk_mark, p.mark, sizeof(sa->psk_mark));
	if (sa->state == IKE_SA_ESTABLISHED && ike_psk_of(sa) >= 0)
		conn->dial_psk = (unsigned int)ike_psk_of(sa);
	resume_times(sa);
	return sa;
}

/* ---- the mark of a connection ---- */

static void
mark_id(struct codec *c, const struct spw_ike_id *id)
{
	struct spw_ike_id copy = *id;

	FIELD(c, copy.type);
	FIELD(c, copy.len);
	raw(c, copy.data, copy.len);
}

static void
mark_proposals(struct codec *c, uint32_t n, const struct spw_ike_proposal *p)
{
	FIELD(c, n);
	for (uint32_t i = 0; i < n; i++) {
		struct spw_ike_proposal q = p[i];

		FIELD(c, q.encr);
		FIELD(c, q.integ);
		FIELD(c, q.prf);
		FIELD(c, q.group);
		FIELD(c, q.esn);
	}
}

static void
mark_selectors(struct codec *c, uint32_t n, const struct spw_selector *s)
{
	FIELD(c, n);
	for (uint32_t i = 0; i < n; i++) {
		struct spw_selector q = s[i];

		raw(c, q.low.bytes, sizeof(q.low.bytes));
		raw(c, q.high.bytes, sizeof(q.high.bytes));
		FIELD(c, q.low.family);
		FIELD(c, q.port_low);
		FIELD(c, q.port_high);
		FIELD(c, q.protocol);
	}
}

/* The name of the PPK, and what only its owner can write. */
static int
mark_ppk(struct codec *c, struct ike_conn *conn)
{
	struct spw_ike_conn *s = &conn->set;
	const struct ike_chunk id = {s->ppk_id, s->ppk_id_len};
	uint8_t owned[IKE_PRF_MAX] = {0};
	int rc = 0;

	FIELD(c, s->ppk_required);
	FIELD(c, s->ppk_id_len);
	raw(c, s->ppk_id, s->ppk_id_len);
	if (conn->ppk.len)
		rc = ike_prf(SPW_PRF_HMAC_SHA256, conn->ppk.bytes, conn->ppk.len, &id, 1, owned);
	raw(c, owned, IKE_CONN_MARK);
	spw_wipe(owned, sizeof(owned));
	return rc;
}

int
ike_conn_mark(struct ike_conn *conn)
{
	struct spw_ike_conn *s = &conn->set;
	uint8_t facts[MARK_ROOM], out[64] = {0};
	struct codec c = {.at = facts, .end = facts + sizeof(facts)};
	struct ike_chunk chunk = {facts, 0};
	int rc;

	FIELD(&c, s->tunnel);
	raw(&c, s->local.bytes, sizeof(s->local.bytes));
	raw(&c, s->remote.bytes, sizeof(s->remote.bytes));
	FIELD(&c, s->local.family);
	mark_id(&c, &s->local_id);
	mark_id(&c, &s->remote_id);
	FIELD(&c, s->force_encap);
	FIELD(&c, s->replay_window);
	mark_proposals(&c, s->n_ike, s->ike);
	mark_proposals(&c, s->n_esp, s->esp);
	mark_selectors(&c, s->n_local, s->sel_local);
	mark_selectors(&c, s->n_remote, s->sel_remote);
	rc = mark_ppk(&c, conn);
	chunk.len = (size_t)(c.at - facts);
	if (c.bad)
		rc = -EINVAL;
	for (unsigned int i = 0; i < IKE_PSKS && rc == 0; i++) {
		struct ike_psk *k = &conn->psk[i];

		if (k->key.len)
			rc = ike_prf(SPW_PRF_HMAC_SHA256, k->key.bytes, k->key.len, &chunk, 1, out);
		memcpy(k->mark, out, sizeof(k->mark));
	}
	return rc;
}
