/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: traffic classes, and which of them fit into a tunnel. Pure. */
#ifndef SPW_CONTROL_CAPACITY_H
#define SPW_CONTROL_CAPACITY_H

#include "control/config.h"

/* The classes in force when the configuration names none. */
void ctl_classes_default(struct ctl_class class[SPW_DP_CLASSES]);
/* The classes of a configuration (or the built-in ones) as the data plane takes them. */
void ctl_classes_message(const struct ctl_config *config, struct spw_dp_classes *out);
/* Name of the class of this rank; "-" when the configuration has none. */
void ctl_classes_name(const struct ctl_config *config, unsigned int rank, char out[CTL_NAME]);

struct ctl_capacity {
	double capacity_kbps; /* of all tunnels that would carry */
	bool shaped;	      /* the tunnels keep to it by class; else all lose alike */
	double load_kbps[SPW_DP_CLASSES];
	uint8_t share_percent[SPW_DP_CLASSES];
};
struct ctl_fit {
	double load_kbps;		     /* of all classes */
	double granted_kbps[SPW_DP_CLASSES]; /* what of it would pass */
	bool fits[SPW_DP_CLASSES];
	bool all;
};
/*
 * Would the load pass? By the rule of the data plane: each class up to its share, what is left by
 * importance. Half a percent is forgiven, loads being measured.
 */
void ctl_capacity_fit(const struct ctl_capacity *in, struct ctl_fit *out);

#endif
