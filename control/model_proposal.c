/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Words for algorithms: proposals, profiles and identities as the configuration writes them, to the
 * structures iked takes. The names come from lib/algo.def; model_profiles.def says what a profile
 * holds. A CBC proposal names its integrity algorithm and takes, for IKE, the PRF of the same hash;
 * a combined-mode cipher names the PRF (RFC 7296 3.3, RFC 5282), for ESP nothing.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "control/model_private.h"

#define PARTS_MAX 3

static int
split_parts(char *text, const char *part[PARTS_MAX])
{
	char *save = NULL;
	int n = 0;

	for (char *p = strtok_r(text, "-", &save); p; p = strtok_r(NULL, "-", &save)) {
		if (n == PARTS_MAX)
			return -EINVAL;
		part[n++] = p;
	}
	return n;
}

static int
parse_hashes(struct spw_ike_proposal *p, const char *word)
{
	char prf[CTL_NAME * 2];

	if (spw_encr_info(p->encr)->icv_len > 0) {
		p->prf = (uint8_t)spw_prf_by_name(word);
		return p->prf ? 0 : -EINVAL;
	}
	snprintf(prf, sizeof(prf), "prf%s", word);
	p->integ = (uint8_t)spw_integ_by_name(word);
	p->prf = (uint8_t)spw_prf_by_name(prf);
	return p->integ && p->prf ? 0 : -EINVAL;
}

int
ctl_proposal_parse_ike(struct spw_ike_proposal *proposal, const char *text)
{
	struct spw_ike_proposal p = {0};
	const char *part[PARTS_MAX];
	char copy[CTL_TEXT];

	snprintf(copy, sizeof(copy), "%s", text);
	if (split_parts(copy, part) != 3)
		return -EINVAL;
	p.encr = (uint8_t)spw_encr_by_name(part[0]);
	p.group = (uint8_t)spw_group_by_name(part[2]);
	if (p.encr == SPW_ENCR_NONE || (spw_encr_info(p.encr)->uses & SPW_USE_IKE) == 0 ||
	    p.group == SPW_GROUP_NONE || parse_hashes(&p, part[1]) < 0)
		return -EINVAL;
	*proposal = p;
	return 0;
}

int
ctl_proposal_parse_esp(struct spw_ike_proposal *proposal, const char *text)
{
	struct spw_ike_proposal p = {0};
	const char *part[PARTS_MAX];
	char copy[CTL_TEXT];
	int n, at = 1;

	snprintf(copy, sizeof(copy), "%s", text);
	n = split_parts(copy, part);
	if (n < 1)
		return -EINVAL;
	p.encr = (uint8_t)spw_encr_by_name(part[0]);
	if (p.encr == SPW_ENCR_NONE || (spw_encr_info(p.encr)->uses & SPW_USE_ESP) == 0)
		return -EINVAL;
	if (spw_encr_info(p.encr)->icv_len == 0) {
		p.integ = (uint8_t)(n > at ? spw_integ_by_name(part[at]) : SPW_INTEG_NONE);
		if ((spw_integ_info(p.integ)->uses & SPW_USE_ESP) == 0)
			return -EINVAL;
		at++;
	}
	p.group = (uint8_t)(n > at ? spw_group_by_name(part[at]) : SPW_GROUP_NONE);
	if (n > at + 1 || (n == at + 1 && p.group == SPW_GROUP_NONE))
		return -EINVAL;
	*proposal = p;
	return 0;
}

bool
ctl_proposal_is_legacy(const struct spw_ike_proposal *proposal)
{
	return spw_integ_info(proposal->integ)->legacy || spw_prf_info(proposal->prf)->legacy ||
	       spw_group_info(proposal->group)->legacy;
}

static const struct {
	const char *profile, *ike, *esp;
} profile_table[] = {
#define SPW_PROFILE_IKE(profile, proposal) {profile, proposal, NULL},
#define SPW_PROFILE_ESP(profile, proposal) {profile, NULL, proposal},
#include "control/model_profiles.def"
};

int
ctl_profile_apply(struct ctl_tunnel *tunnel, const char *profile)
{
	int rc = -ENOENT;

	tunnel->n_ike = tunnel->n_esp = 0;
	for (size_t i = 0; i < sizeof(profile_table) / sizeof(profile_table[0]); i++) {
		if (strcmp(profile_table[i].profile, profile) != 0)
			continue;
		if (profile_table[i].ike)
			rc = ctl_proposal_parse_ike(&tunnel->ike[tunnel->n_ike++],
						    profile_table[i].ike);
		else
			rc = ctl_proposal_parse_esp(&tunnel->esp[tunnel->n_esp++],
						    profile_table[i].esp);
		if (rc < 0)
			return rc;
	}
	return rc;
}

static void
identity_set(struct spw_ike_id *id, enum spw_ike_id_type type, const void *data, size_t len)
{
	id->type = (uint8_t)type;
	id->len = (uint8_t)(len < SPW_IKE_ID_MAX ? len : SPW_IKE_ID_MAX);
	memcpy(id->data, data, id->len);
}

void
ctl_identity_parse(struct spw_ike_id *id, const char *text)
{
	static const char keyid[] = "keyid:";
	struct spw_addr addr;

	memset(id, 0, sizeof(*id));
	if (spw_addr_parse(&addr, text, NULL) == 0)
		identity_set(id, addr.family == AF_INET ? SPW_ID_IPV4 : SPW_ID_IPV6, addr.bytes,
			     spw_addr_len(addr.family));
	else if (strncmp(text, keyid, sizeof(keyid) - 1) == 0)
		identity_set(id, SPW_ID_KEY_ID, text + sizeof(keyid) - 1,
			     strlen(text) - (sizeof(keyid) - 1));
	else
		identity_set(id, strchr(text, '@') ? SPW_ID_RFC822 : SPW_ID_FQDN, text,
			     strlen(text));
}
