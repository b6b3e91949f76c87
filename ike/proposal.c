/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The choice of a proposal (RFC 7296 2.7, 3.3, 3.3.6).
 *
 * Our configured proposals are closed combinations: one algorithm of each type. The peer's are
 * sets of transforms per type. Choosing is therefore asking, for each of ours in our order of
 * preference, whether one of the peer's proposals contains it; local preference decides. AES-GCM
 * takes no integrity transform, and one that is offered must be or include NONE. Pure.
 */
#include <errno.h>
#include <stdio.h>

#include "ike/rules.h"

/* How a proposal stands to one wanted identifier of one transform type. */
struct type_match {
	unsigned int count; /* transforms of the type */
	bool has;	    /* the wanted one is among them, acceptable */
};

static struct type_match
match_type(const struct ike_sa_payload *sa, const struct ike_proposal *p, uint8_t type, uint16_t id,
	   uint16_t key_bits)
{
	struct type_match m = {0};

	for (unsigned int i = 0; i < p->count; i++) {
		const struct ike_transform *t = &sa->transform[p->first + i];

		if (t->type != type)
			continue;
		m.count++;
		if (!t->bad && t->id == id && t->key_bits == key_bits)
			m.has = true;
	}
	return m;
}

/* A wanted algorithm: offered. `id` 0 = none wanted: type absent, or NONE offered. */
static bool
allows(const struct ike_sa_payload *sa, const struct ike_proposal *p, uint8_t type, uint16_t id,
       uint16_t key_bits)
{
	struct type_match m = match_type(sa, p, type, id, key_bits);

	return m.has || (id == 0 && m.count == 0);
}

static bool
known_types(const struct ike_sa_payload *sa, const struct ike_proposal *p)
{
	for (unsigned int i = 0; i < p->count; i++) {
		uint8_t type = sa->transform[p->first + i].type;

		if (type < SPW_TRANSFORM_ENCR || type > SPW_TRANSFORM_ESN)
			return false;
	}
	return true;
}

/*
 * Length of sequence numbers that both take, the longer before the shorter; the type is mandatory
 * (3.3.3). BOTH = none.
 */
static enum spw_ike_esn
esn_of(const struct ike_sa_payload *sa, const struct ike_proposal *p,
       const struct spw_ike_proposal *own)
{
	if (own->esn != SPW_ESN_NO && match_type(sa, p, SPW_TRANSFORM_ESN, 1, 0).has)
		return SPW_ESN_YES;
	if (own->esn != SPW_ESN_YES && match_type(sa, p, SPW_TRANSFORM_ESN, 0, 0).has)
		return SPW_ESN_NO;
	return SPW_ESN_BOTH;
}

static bool
proposal_allows(const struct ike_sa_payload *sa, const struct ike_proposal *p,
		const struct spw_ike_proposal *own, const struct ike_choice_rule *rule)
{
	const struct spw_encr_info *encr = spw_encr_info(own->encr);
	bool esp = rule->protocol == IKE_PROTO_ESP;

	if (!allows(sa, p, SPW_TRANSFORM_ENCR, encr->ike_id, encr->ike_key_bits) ||
	    !allows(sa, p, SPW_TRANSFORM_INTEG, spw_integ_info(own->integ)->ike_id, 0))
		return false;
	if (rule->with_group &&
	    !allows(sa, p, SPW_TRANSFORM_DH, spw_group_info(own->group)->ike_id, 0))
		return false;
	if (esp)
		return esn_of(sa, p, own) != SPW_ESN_BOTH &&
		       match_type(sa, p, SPW_TRANSFORM_PRF, 0, 0).count == 0;
	/* An IKE SA is never without these two (3.3.3), whatever a proposal of ours leaves out. */
	if (own->prf == SPW_PRF_NONE || own->group == SPW_GROUP_NONE)
		return false;
	return allows(sa, p, SPW_TRANSFORM_PRF, spw_prf_info(own->prf)->ike_id, 0) &&
	       match_type(sa, p, SPW_TRANSFORM_ESN, 0, 0).count == 0;
}

/* Protocol and SPI fit what the exchange demands. An SPI of zero is none. */
static bool
proposal_usable(const struct ike_sa_payload *sa, const struct ike_proposal *p,
		const struct ike_choice_rule *rule)
{
	if (p->protocol != rule->protocol || p->spi_len != rule->spi_len)
		return false;
	if (rule->spi_len != 0 && p->spi == 0)
		return false;
	if (rule->protocol == IKE_PROTO_ESP && p->spi < 256)
		return false; /* RFC 4303 2.1: reserved */
	return known_types(sa, p);
}

/* RFC 7296 3.3.1: numbers 1..n without gaps. */
static bool
numbered(const struct ike_sa_payload *sa)
{
	for (unsigned int i = 0; i < sa->n_proposals; i++)
		if (sa->proposal[i].number != i + 1)
			return false;
	return true;
}

static bool
have_cipher(const struct spw_ike_proposal *p, const struct ike_choice_rule *rule)
{
	return rule->protocol != IKE_PROTO_ESP || (rule->encr_mask >> p->encr & 1) != 0;
}

static struct ike_choice
choice_of(const struct ike_sa_payload *sa, const struct spw_ike_proposal *own,
	  const struct ike_proposal *p, const struct ike_choice_rule *rule)
{
	struct ike_choice c = {.what = *own, .number = p->number, .spi = p->spi};

	if (!rule->with_group)
		c.what.group = SPW_GROUP_NONE;
	if (rule->protocol == IKE_PROTO_ESP)
		c.what.esn = (uint8_t)esn_of(sa, p, own);
	return c;
}

int
ike_proposal_choose(const struct ike_sa_payload *peer, const struct spw_ike_proposal *own,
		    unsigned int n, const struct ike_choice_rule *rule, struct ike_choice *out)
{
	if (!numbered(peer))
		return -ENOENT;
	for (unsigned int i = 0; i < n; i++) {
		if (!have_cipher(&own[i], rule))
			continue;
		for (unsigned int j = 0; j < peer->n_proposals; j++) {
			const struct ike_proposal *p = &peer->proposal[j];

			if (!proposal_usable(peer, p, rule) ||
			    !proposal_allows(peer, p, &own[i], rule))
				continue;
			*out = choice_of(peer, &own[i], p, rule);
			return 0;
		}
	}
	return -ENOENT;
}

/* At most one transform of each type. */
static bool
single(const struct ike_sa_payload *sa, const struct ike_proposal *p)
{
	unsigned int seen = 0;

	for (unsigned int i = 0; i < p->count; i++) {
		unsigned int bit = 1u << (sa->transform[p->first + i].type & 31);

		if (seen & bit)
			return false;
		seen |= bit;
	}
	return true;
}

int
ike_proposal_check(const struct ike_sa_payload *answer, const struct spw_ike_proposal *offer,
		   unsigned int n, const struct ike_choice_rule *rule, struct ike_choice *out)
{
	const struct ike_proposal *p = &answer->proposal[0];

	if (answer->n_proposals != 1 || !proposal_usable(answer, p, rule) || !single(answer, p))
		return -EBADMSG;
	if (p->number < 1 || p->number > n)
		return -EBADMSG;
	if (!proposal_allows(answer, p, &offer[p->number - 1], rule))
		return -EBADMSG;
	*out = choice_of(answer, &offer[p->number - 1], p, rule);
	return 0;
}

bool
ike_proposal_valid(const struct spw_ike_proposal *p, uint8_t protocol)
{
	unsigned int use = protocol == IKE_PROTO_ESP ? SPW_USE_ESP : SPW_USE_IKE;

	if (p->encr == 0 || p->encr >= SPW_ENCR_COUNT || p->integ >= SPW_INTEG_COUNT ||
	    p->prf >= SPW_PRF_COUNT || p->group >= SPW_GROUP_COUNT)
		return false;
	if (!(spw_encr_info(p->encr)->uses & use))
		return false;
	if ((spw_encr_info(p->encr)->icv_len == 0) != (p->integ != SPW_INTEG_NONE))
		return false; /* an AEAD takes no integrity algorithm, others need one */
	if (p->integ != SPW_INTEG_NONE && !(spw_integ_info(p->integ)->uses & use))
		return false;
	if (protocol == IKE_PROTO_ESP)
		return p->prf == SPW_PRF_NONE && p->esn <= SPW_ESN_BOTH;
	return p->esn == SPW_ESN_NO && p->prf != SPW_PRF_NONE && p->group != SPW_GROUP_NONE;
}

bool
ike_proposal_equal(const struct spw_ike_proposal *a, const struct spw_ike_proposal *b)
{
	return a->encr == b->encr && a->integ == b->integ && a->prf == b->prf &&
	       a->group == b->group && a->esn == b->esn;
}

char *
ike_proposal_format(const struct spw_ike_proposal *p, char *out, size_t size)
{
	const char *integ = p->integ ? spw_integ_info(p->integ)->show_name : "";
	const char *prf = p->prf ? spw_prf_info(p->prf)->show_name : "";

	snprintf(out, size, "%s%s%s%s%s/%s", spw_encr_info(p->encr)->show_name, p->integ ? "/" : "",
		 integ, p->prf ? "/" : "", prf, spw_group_info(p->group)->show_name);
	return out;
}
