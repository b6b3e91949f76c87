/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: what the check of rekeying says of a tunnel, in words. Pure. */
#ifndef SPW_CONTROL_PFS_H
#define SPW_CONTROL_PFS_H

#include "control/config.h"

/* Seconds after a tunnel came up first; iked draws up to half of it less. */
#define CTL_PFS_CHECK_S 8

/* Azure's name of a PFS group (pfsGroup of ipsecPolicies); NULL = it has none like it. */
const char *ctl_pfs_azure_name(enum spw_group group);
/* "ok", "refused", "no-answer", "not-yet", or "off" where it is neither known nor asked for. */
const char *ctl_pfs_outcome(const struct ctl_tunnel *t, const struct spw_ike_status *s);
/* "proven" or, where both mean none, "none"; "failed", "unproven", "unknown" (NULL status). */
const char *ctl_pfs_word(const struct ctl_tunnel *t, const struct spw_ike_status *s);
/* Why it failed, in one phrase; writes nothing and is false when it did not fail. */
bool ctl_pfs_cause(const struct spw_ike_status *s, char *out, size_t size);
/* What to do about it, with the setting on Azure's side. */
void ctl_pfs_mend(const struct ctl_tunnel *t, const struct spw_ike_status *s, char *out,
		  size_t size);

#endif
