/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pre-shared keys of a connection: one, or two while both ends change theirs.
 *
 * A change of key cannot happen at both ends in the same moment. With a second key configured,
 * an initiator is believed with either, and gets our AUTH under the one that it proved: it may know
 * no other. Both are tried in full for whatever comes, and where there is no second the first is
 * tried twice, so the work tells nothing about which fits or how many there are. When we dial, we
 * sign with one and believe the peer under that same one: it has just accepted it, and an AUTH
 * under another would come from somebody who did not have to know the first. Refused with
 * AUTHENTICATION_FAILED, the next dial signs with the other, after the usual back-off, and so on in
 * turn. What a peer has proved is what the next dial begins with.
 *
 * An IKE SA remembers the key it was authenticated with by a mark: a keyed hash, under that key,
 * of all that its connection negotiates with (escrow_record.c). So it stands as long as that
 * key is one of the connection's, whichever place it has: the other may be changed, removed, or
 * take the first one's place. Keys live in guarded memory only. One thread.
 */
#include <errno.h>
#include <string.h>

#include "ike/engine.h"

/* The keys of a message, in their order. */
static struct ike_chunk
configured(const struct spw_ike_conn *c, unsigned int i)
{
	return i == 0 ? (struct ike_chunk){c->psk, c->psk_len}
		      : (struct ike_chunk){c->next_psk, c->next_psk_len};
}

static bool
holds(const struct spw_secret *s, const struct ike_chunk *c)
{
	return s->len == c->len && (c->len == 0 || spw_bytes_equal(s->bytes, c->bytes, c->len));
}

static int
copy(struct spw_secret *s, const struct ike_chunk *c)
{
	return c->len ? spw_secret_set(s, c->bytes, c->len) : 0;
}

int
ike_psk_load(struct ike_conn *conn, const struct spw_ike_conn *c)
{
	const struct ike_chunk ppk = {c->ppk, c->ppk_len};
	int rc = copy(&conn->ppk, &ppk);

	for (unsigned int i = 0; i < IKE_PSKS && rc == 0; i++) {
		const struct ike_chunk key = configured(c, i);

		rc = copy(&conn->psk[i].key, &key);
	}
	if (rc != 0)
		ike_psk_unload(conn);
	return rc;
}

void
ike_psk_unload(struct ike_conn *conn)
{
	for (unsigned int i = 0; i < IKE_PSKS; i++)
		spw_secret_free(&conn->psk[i].key);
	spw_secret_free(&conn->ppk);
}

bool
ike_psk_same(const struct ike_conn *conn, const struct spw_ike_conn *c)
{
	const struct ike_chunk ppk = {c->ppk, c->ppk_len};
	bool same = holds(&conn->ppk, &ppk);

	for (unsigned int i = 0; i < IKE_PSKS; i++) {
		const struct ike_chunk key = configured(c, i);

		same &= holds(&conn->psk[i].key, &key);
	}
	return same;
}

int
ike_psk_find(const struct ike_conn *conn, const uint8_t mark[IKE_CONN_MARK])
{
	for (unsigned int i = 0; i < IKE_PSKS; i++)
		if (conn->psk[i].key.len && spw_bytes_equal(conn->psk[i].mark, mark, IKE_CONN_MARK))
			return (int)i;
	return -1;
}

int
ike_psk_of(const struct ike_sa *sa)
{
	return sa->conn ? ike_psk_find(sa->conn, sa->psk_mark) : -1;
}

void
ike_psk_choose(struct ike_sa *sa, unsigned int i)
{
	memcpy(sa->psk_mark, sa->conn->psk[i].mark, sizeof(sa->psk_mark));
	sa->conn->dial_psk = i;
}

const uint8_t *
ike_psk_mark(const struct ike_sa *sa)
{
	static const uint8_t none[IKE_CONN_MARK];
	bool decided = !spw_bytes_equal(sa->psk_mark, none, sizeof(none));

	return decided ? sa->psk_mark : sa->conn->psk[0].mark;
}

bool
ike_psk_carries(const struct ike_conn *old, const struct ike_conn *new)
{
	bool stands = false;

	for (const struct ike_sa *sa = old->sas; sa; sa = sa->conn_next) {
		if (sa->state != IKE_SA_ESTABLISHED && sa->state != IKE_SA_AUTH_SENT)
			continue;
		if (ike_psk_find(new, sa->psk_mark) < 0)
			return false;
		stands |= sa->state == IKE_SA_ESTABLISHED;
	}
	return stands;
}

void
ike_psk_move(struct ike_conn *to, struct ike_conn *from)
{
	const struct ike_sa *sa = ike_conn_sa(to);
	int before = sa ? ike_psk_of(sa) : -1;

	for (unsigned int i = 0; i < IKE_PSKS; i++) {
		spw_secret_free(&to->psk[i].key);
		spw_secret_move(&to->psk[i].key, &from->psk[i].key);
		memcpy(to->psk[i].mark, from->psk[i].mark, sizeof(to->psk[i].mark));
	}
	/* in another place now: the order that was configured is what is wanted */
	if (!sa || before < 0 || ike_psk_of(sa) != before)
		to->dial_psk = 0;
}

void
ike_psk_refused(struct ike_conn *conn)
{
	if (!conn->psk[1].key.len)
		return;
	conn->dial_psk ^= 1;
	spw_log(SPW_LOG_INFO, "ike", "other-key", "conn=%s next_dial=%s", conn->set.name,
		conn->dial_psk ? "next" : "first");
}

static bool
fits(const struct ike_sa *sa, const struct spw_secret *key, const struct ike_chunk *auth,
     const struct ike_identity *id)
{
	const struct ike_chunk msg = {sa->peer_init.bytes, sa->peer_init.len};
	size_t len = spw_prf_info(sa->suite.prf)->len;
	uint8_t want[IKE_PRF_MAX];
	bool good;

	if (ike_keys_auth(sa->suite.prf, key, &msg, sa->initiator ? &sa->ni : &sa->nr,
			  sa->initiator ? &sa->keys.pr : &sa->keys.pi, &id->raw, want) != 0)
		return false;
	good = auth->len == len && spw_bytes_equal(want, auth->bytes, len);
	spw_wipe(want, sizeof(want));
	return good;
}

int
ike_psk_proven(const struct ike_sa *sa, const struct ike_conn *conn, const struct ike_chunk *auth,
	       const struct ike_identity *id)
{
	bool second = conn->psk[1].key.len != 0;
	bool a = fits(sa, &conn->psk[0].key, auth, id);
	bool b = fits(sa, &conn->psk[second].key, auth, id);

	return a ? 0 : b ? (int)second : -1;
}

bool
ike_psk_answers(const struct ike_sa *sa, const struct ike_chunk *auth,
		const struct ike_identity *id)
{
	int used = ike_psk_of(sa);

	return used >= 0 && fits(sa, &sa->conn->psk[used].key, auth, id);
}
