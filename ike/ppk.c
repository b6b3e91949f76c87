/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A post-quantum pre-shared key (PPK) mixed into the keys of an IKE SA, both roles (RFC 8784).
 *
 * Both say USE_PPK in IKE_SA_INIT. In IKE_AUTH the initiator names its key (PPK_IDENTITY); with it
 *
 *	SK_d = prf+(PPK, SK_d')    SK_pi = prf+(PPK, SK_pi')    SK_pr = prf+(PPK, SK_pr')
 *
 * replace what came from the key exchange, so who records today and breaks the key exchange later
 * has neither the keys of children nor those of later IKE SAs. SK_e* and SK_a* stay: IKE itself
 * is protected from the first rekey on. Where the key is not required, NO_PPK_AUTH carries the AUTH
 * under the keys without it, for a responder that does not know the name; it tells by the absence
 *of PPK_IDENTITY in its answer that it went on without. The rule is one table (ike_ppk_rule).
 *
 * The mixing happens at one place and once: a record of the escrow says whether SK_* have it
 * already. Rekeyed IKE SAs inherit it through SK_d, nothing is mixed again. One thread.
 */
#include <errno.h>
#include <string.h>

#include "ike/engine.h"

#define PPK_ID_FIXED 2 /* RFC 8784 5.1 */

bool
ike_ppk_wanted(const struct ike_conn *conn)
{
	return conn && conn->ppk.len != 0;
}

void
ike_ppk_build_use(const struct ike_conn *conn, struct ike_builder *b)
{
	if (ike_ppk_wanted(conn))
		ike_build_notify(b, IKE_N_USE_PPK, 0, 0, NULL, 0);
}

enum ike_ppk_verdict
ike_ppk_rule(bool agreed, bool named, bool known, bool fallback, bool required)
{
	if (!agreed)
		return required ? IKE_PPK_REFUSE : IKE_PPK_PLAIN;
	if (!named)
		return IKE_PPK_REFUSE;
	if (known)
		return IKE_PPK_MIX;
	return required || !fallback ? IKE_PPK_REFUSE : IKE_PPK_FALLBACK;
}

static size_t
identity(const struct spw_ike_conn *set, uint8_t out[1 + SPW_IKE_PPK_ID_MAX])
{
	out[0] = PPK_ID_FIXED;
	memcpy(out + 1, set->ppk_id, set->ppk_id_len);
	return 1 + (size_t)set->ppk_id_len;
}

/* The name is ours. Names are no secrets. */
static bool
known(const struct ike_conn *conn, const struct ike_notify *n)
{
	uint8_t want[1 + SPW_IKE_PPK_ID_MAX];

	return ike_ppk_wanted(conn) && n->data.len == identity(&conn->set, want) &&
	       memcmp(n->data.bytes, want, n->data.len) == 0;
}

enum ike_ppk_verdict
ike_ppk_judge(const struct ike_sa *sa, const struct ike_conn *conn, const struct ike_msg *m,
	      struct ike_chunk *auth)
{
	const struct ike_notify *named = ike_wire_notify(m, IKE_N_PPK_IDENTITY);
	const struct ike_notify *plain = ike_wire_notify(m, IKE_N_NO_PPK_AUTH);
	enum ike_ppk_verdict v =
		ike_ppk_rule(sa->ppk != IKE_PPK_OFF, named, named && known(conn, named), plain,
			     conn->set.ppk_required);

	*auth = v == IKE_PPK_FALLBACK ? plain->data : m->auth;
	/* the keys have it already, from a life before: only the same request fits them */
	return sa->ppk == IKE_PPK_USED && v != IKE_PPK_MIX ? IKE_PPK_REFUSE : v;
}

/* key = prf+(PPK, key'), of the same length. */
static int
mix(enum spw_prf prf, const struct spw_secret *ppk, const struct spw_secret *key,
    struct spw_secret *out)
{
	const struct ike_chunk c = {key->bytes, key->len};

	return ike_prf_plus(prf, ppk, &c, 1, key->len, out);
}

int
ike_ppk_mix(struct ike_sa *sa, const struct ike_conn *conn)
{
	struct spw_secret *key[] = {&sa->keys.d, &sa->keys.pi, &sa->keys.pr};
	struct spw_secret mixed[3] = {{0}};
	int rc = 0;

	if (sa->ppk == IKE_PPK_USED)
		return 0;
	for (unsigned int i = 0; i < 3 && rc == 0; i++)
		rc = mix(sa->suite.prf, &conn->ppk, key[i], &mixed[i]);
	for (unsigned int i = 0; i < 3; i++) {
		if (rc != 0) {
			spw_secret_free(&mixed[i]);
			continue;
		}
		spw_secret_free(key[i]);
		spw_secret_move(key[i], &mixed[i]);
	}
	if (rc == 0)
		sa->ppk = IKE_PPK_USED;
	return rc;
}

int
ike_ppk_sk_p(const struct ike_sa *sa, struct spw_secret *out)
{
	const struct spw_secret *p = sa->initiator ? &sa->keys.pi : &sa->keys.pr;

	if (sa->ppk == IKE_PPK_AGREED)
		return mix(sa->suite.prf, &sa->conn->ppk, p, out);
	return spw_secret_set(out, p->bytes, p->len);
}

void
ike_ppk_build_identity(const struct ike_sa *sa, struct ike_builder *b)
{
	uint8_t id[1 + SPW_IKE_PPK_ID_MAX];

	if (sa->ppk == IKE_PPK_AGREED && sa->initiator)
		ike_build_notify(b, IKE_N_PPK_IDENTITY, 0, 0, id, identity(&sa->conn->set, id));
	else if (sa->ppk == IKE_PPK_USED)
		ike_build_notify(b, IKE_N_PPK_IDENTITY, 0, 0, NULL, 0);
}

/* What the responder of an IKE_SA_INIT says to USE_PPK: yes when any it could mean has a key. */
bool
ike_ppk_offered(const struct ike_sa *sa, const struct ike_msg *m)
{
	if (!ike_wire_notify(m, IKE_N_USE_PPK))
		return false;
	for (const struct ike_conn *c = ike_index_near(sa->e, &sa->conn->set.remote); c;
	     c = c->near)
		if (ike_ppk_wanted(c) && c->set.mode != SPW_IKE_MODE_INITIATE &&
		    spw_addr_equal(&c->set.local, &sa->conn->set.local) &&
		    spw_addr_equal(&c->set.remote, &sa->conn->set.remote))
			return true;
	return false;
}

bool
ike_ppk_answered(struct ike_sa *sa, const struct ike_msg *m)
{
	sa->ppk = IKE_PPK_OFF; /* of an answer before this one nothing counts */
	if (!ike_ppk_wanted(sa->conn))
		return true;
	if (ike_wire_notify(m, IKE_N_USE_PPK)) {
		sa->ppk = IKE_PPK_AGREED;
		return true;
	}
	if (!sa->conn->set.ppk_required)
		return true;
	sa->hint_ns = sa->e->now;
	ike_sa_reason(sa, ike_fault_info(IKE_FAULT_PPK)->text);
	return false;
}

bool
ike_ppk_settle(struct ike_sa *sa, const struct ike_msg *m)
{
	if (sa->ppk != IKE_PPK_OFF && ike_wire_notify(m, IKE_N_PPK_IDENTITY))
		return ike_ppk_mix(sa, sa->conn) == 0;
	sa->ppk = IKE_PPK_OFF;
	return !sa->conn->set.ppk_required;
}
