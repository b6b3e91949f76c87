/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The check of rekeying in words: its outcome, why it failed and what mends it.
 *
 * A PFS group that the two sides mean differently stays hidden until the first rekey, because the
 * child SA of IKE_AUTH has no key exchange of its own (RFC 7296 1.2). iked therefore rekeys a
 * tunnel once soon after it first came up. On Azure's side the setting is pfsGroup of the
 * connection's ipsecPolicies, and is named here as it is named there; a connection without
 * ipsecPolicies takes AES256-GCM without PFS only. Pure.
 */
#include "control/pfs.h"

#include <stdio.h>

/* Notify types of RFC 7296 3.10.1 that refuse a rekey. */
enum { NO_PROPOSAL = 14, INVALID_KE = 17, TS_UNACCEPTABLE = 38 };

const char *
ctl_pfs_azure_name(enum spw_group group)
{
	switch (spw_group_info(group)->ike_id) {
	case 0: return "None";
	case 2: return "PFS2";
	case 14: return "PFS2048";
	case 19: return "ECP256";
	case 20: return "ECP384";
	case 24: return "PFS24";
	default: return NULL;
	}
}

static enum spw_group
group_of(const struct ctl_tunnel *t)
{
	return t->n_esp ? t->esp[0].group : SPW_GROUP_NONE;
}

const char *
ctl_pfs_outcome(const struct ctl_tunnel *t, const struct spw_ike_status *s)
{
	switch (s->check) {
	case SPW_IKE_CHECK_OK: return "ok";
	case SPW_IKE_CHECK_REFUSED: return "refused";
	case SPW_IKE_CHECK_NO_ANSWER: return "no-answer";
	default: return t->pfs_check ? "not-yet" : "off";
	}
}

const char *
ctl_pfs_word(const struct ctl_tunnel *t, const struct spw_ike_status *s)
{
	if (!s || s->esp.encr == SPW_ENCR_NONE)
		return "unknown";
	switch (s->check) {
	case SPW_IKE_CHECK_OK: return group_of(t) == SPW_GROUP_NONE ? "none" : "proven";
	case SPW_IKE_CHECK_REFUSED:
	case SPW_IKE_CHECK_NO_ANSWER: return "failed";
	default: return "unproven";
	}
}

static const char *
notify_name(uint32_t notify)
{
	switch (notify) {
	case NO_PROPOSAL: return "NO_PROPOSAL_CHOSEN";
	case INVALID_KE: return "INVALID_KE_PAYLOAD";
	case TS_UNACCEPTABLE: return "TS_UNACCEPTABLE";
	default: return NULL;
	}
}

bool
ctl_pfs_cause(const struct spw_ike_status *s, char *out, size_t size)
{
	const char *name = notify_name(s->check_notify);

	if (s->check == SPW_IKE_CHECK_NO_ANSWER)
		snprintf(out, size, "a rekey was not answered");
	else if (s->check != SPW_IKE_CHECK_REFUSED)
		return false;
	else if (name)
		snprintf(out, size, "Azure refuses to rekey: %s", name);
	else if (s->check_notify)
		snprintf(out, size, "Azure refuses to rekey: notify %u", s->check_notify);
	else
		snprintf(out, size, "Azure answers a rekey with something that was not offered");
	return true;
}

void
ctl_pfs_mend(const struct ctl_tunnel *t, const struct spw_ike_status *s, char *out, size_t size)
{
	enum spw_group group = group_of(t);
	const char *azure = ctl_pfs_azure_name(group);
	char wants[48] = "";

	if (s->check_notify == TS_UNACCEPTABLE) {
		snprintf(out, size,
			 "compare selectors with the connection's traffic selectors on Azure");
		return;
	}
	if (s->check_wanted)
		snprintf(wants, sizeof(wants), " (it asks for group %u)", s->check_wanted);
	if (azure && group == SPW_GROUP_NONE)
		snprintf(out, size,
			 "set pfsGroup of the Azure connection's ipsecPolicies to None, or a "
			 "proposal with that group here%s",
			 wants);
	else if (azure)
		snprintf(out, size,
			 "set pfsGroup of the Azure connection's ipsecPolicies to %s%s; without "
			 "ipsecPolicies Azure takes no PFS with AES-GCM",
			 azure, wants);
	else
		snprintf(out, size, "Azure has no pfsGroup like %s: choose another esp-proposal%s",
			 spw_group_info(group)->show_name, wants);
}
