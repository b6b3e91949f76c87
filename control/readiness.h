/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: would the standby carry the traffic now? Pure rules. */
#ifndef SPW_CONTROL_READINESS_H
#define SPW_CONTROL_READINESS_H

#include <stdbool.h>

enum ctl_ready { CTL_READY, CTL_DEGRADED, CTL_NOT_READY };

/* "ready", "degraded", "not-ready". */
const char *ctl_ready_name(enum ctl_ready r);

struct ctl_tunnel_facts {
	bool configured, enabled;
	bool has_sa;	   /* carries both ways */
	bool probed;	   /* a forwarding probe is decided */
	bool probe_lost;   /* and none is answered */
	bool probe_lossy;  /* more than CTL_READY_LOSS_PERCENT of the last hundred are lost */
	bool mtu_fails;	   /* packets of its MTU are tested and do not pass */
	bool other_way;	   /* most answers to its probes come back over another path */
	bool rekey_fails;  /* the newest rekey of the child SA was refused or not answered */
	bool pfs_unproven; /* no rekey has shown that both mean the same group */
};

#define CTL_READY_LOSS_PERCENT 1

enum ctl_peril {
	CTL_PERIL_NOT_CONFIGURED,
	CTL_PERIL_DISABLED,
	CTL_PERIL_NO_SA,
	CTL_PERIL_PROBE_LOST,
	CTL_PERIL_PROBE_LOSSY,
	CTL_PERIL_MTU,
	CTL_PERIL_REKEY,
	CTL_PERIL_NOT_PROBED,	/* a remark: the verdict stands without it */
	CTL_PERIL_OTHER_WAY,	/* the same */
	CTL_PERIL_PFS_UNPROVEN, /* the same */
	CTL_PERILS,
};
/* Verdict on a tunnel; *perils: bit n = enum ctl_peril n holds. */
enum ctl_ready ctl_ready_tunnel(const struct ctl_tunnel_facts *f, unsigned int *perils);
/* One phrase for a person. */
const char *ctl_peril_text(enum ctl_peril p);
bool ctl_peril_is_remark(enum ctl_peril p);

struct ctl_vnet_facts {
	bool dataplane, iked; /* the daemons answer */
	bool locked_out;
	bool on_backup;	 /* then the standby is ExpressRoute */
	bool circuit_up; /* a next hop of it is alive */
	bool backup_is_internet, internet_up;
	unsigned int ready, degraded, not_ready; /* tunnels */
	bool short_of_capacity;			 /* known, and the load does not fit */
};
enum ctl_ready ctl_ready_vnet(const struct ctl_vnet_facts *f);

#endif
