/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: the preparation of a change of the running configuration. */
#ifndef SPW_CONTROL_PLAN_H
#define SPW_CONTROL_PLAN_H

#include "control/runtime_priv.h"

/* As ctl_runtime_prepare(). */
int ctl_plan_make(struct ctl_runtime *rt, const struct ctl_config *next, struct ctl_plan **plan,
		  struct spw_err *err);
/* Undo what was prepared; takes plan. */
void ctl_plan_undo(struct ctl_runtime *rt, struct ctl_plan *plan);
/* Move the configuration out (the receiver frees it with ctl_config_release()); takes plan. */
void ctl_plan_take(struct ctl_plan *plan, struct ctl_config *config);
/* Free the lists of a configuration, not the structure itself. */
void ctl_config_release(struct ctl_config *config);

#endif
