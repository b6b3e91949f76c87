/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rules of readiness. A tunnel is not ready when it would not carry a packet, degraded when it
 * would carry with loss or for a limited time. A vnet is ready when all its tunnels are and its
 * load fits, not ready when nothing would carry it. What is merely unknown is told and changes no
 * verdict: a gateway that was started a minute ago has proven no rekey, and that is no alarm.
 */
#include "control/readiness.h"

const char *
ctl_ready_name(enum ctl_ready r)
{
	switch (r) {
	case CTL_READY: return "ready";
	case CTL_DEGRADED: return "degraded";
	case CTL_NOT_READY: break;
	}
	return "not-ready";
}

/* clang-format off */
static const struct {
	enum ctl_ready verdict; /* READY: a remark */
	const char *text;
} perils[CTL_PERILS] = {
	[CTL_PERIL_NOT_CONFIGURED] = {CTL_NOT_READY, "is not configured"},
	[CTL_PERIL_DISABLED] = {CTL_NOT_READY, "is disabled"},
	[CTL_PERIL_NO_SA] = {CTL_NOT_READY, "no child SA stands"},
	[CTL_PERIL_PROBE_LOST] = {CTL_NOT_READY, "no probe through it is answered"},
	[CTL_PERIL_PROBE_LOSSY] = {CTL_DEGRADED, "probes through it are lost"},
	[CTL_PERIL_MTU] = {CTL_DEGRADED, "packets of its full size do not pass: lower its mtu"},
	[CTL_PERIL_REKEY] = {CTL_DEGRADED, "rekeys fail: compare pfs and proposals with Azure's"},
	[CTL_PERIL_NOT_PROBED] = {CTL_READY, "no probe tests it"},
	[CTL_PERIL_OTHER_WAY] = {CTL_READY, "its probes are answered over another path: give it an "
					    "address or a target of its own"},
	[CTL_PERIL_PFS_UNPROVEN] = {CTL_READY, "pfs is not proven: no rekey has happened yet"},
};
/* clang-format on */

const char *
ctl_peril_text(enum ctl_peril p)
{
	return perils[p].text;
}

bool
ctl_peril_is_remark(enum ctl_peril p)
{
	return perils[p].verdict == CTL_READY;
}

static unsigned int
perils_of(const struct ctl_tunnel_facts *f)
{
	if (!f->configured)
		return 1u << CTL_PERIL_NOT_CONFIGURED;
	if (!f->enabled)
		return 1u << CTL_PERIL_DISABLED;
	if (!f->has_sa)
		return 1u << CTL_PERIL_NO_SA;
	if (f->probe_lost)
		return 1u << CTL_PERIL_PROBE_LOST;
	return (unsigned int)f->probe_lossy << CTL_PERIL_PROBE_LOSSY |
	       (unsigned int)f->mtu_fails << CTL_PERIL_MTU |
	       (unsigned int)f->rekey_fails << CTL_PERIL_REKEY |
	       (unsigned int)!f->probed << CTL_PERIL_NOT_PROBED |
	       (unsigned int)f->other_way << CTL_PERIL_OTHER_WAY |
	       (unsigned int)(f->pfs_unproven && !f->rekey_fails) << CTL_PERIL_PFS_UNPROVEN;
}

enum ctl_ready
ctl_ready_tunnel(const struct ctl_tunnel_facts *f, unsigned int *mask)
{
	enum ctl_ready worst = CTL_READY;

	*mask = perils_of(f);
	for (unsigned int p = 0; p < CTL_PERILS; p++)
		if ((*mask >> p & 1) && perils[p].verdict > worst)
			worst = perils[p].verdict;
	return worst;
}

enum ctl_ready
ctl_ready_vnet(const struct ctl_vnet_facts *f)
{
	if (!f->dataplane || f->locked_out)
		return CTL_NOT_READY;
	if (f->on_backup)
		return f->circuit_up ? CTL_READY : CTL_NOT_READY;
	if (f->backup_is_internet)
		return f->internet_up ? CTL_READY : CTL_NOT_READY;
	if (f->ready + f->degraded == 0)
		return CTL_NOT_READY;
	return f->not_ready || f->degraded || f->short_of_capacity || !f->iked ? CTL_DEGRADED
									       : CTL_READY;
}
