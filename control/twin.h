/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to control/: kernel twins, the TAP or TUN device beside an interface of the data plane.
 */
#ifndef SPW_CONTROL_TWIN_H
#define SPW_CONTROL_TWIN_H

#include "control/runtime_priv.h"

/*
 * Make the twin of an interface or find it again, and give it MAC (NULL = leave), MTU, addresses
 * and state. 0, or -errno with a sentence (logged by the caller).
 */
int ctl_twin_ensure(struct ctl_runtime *rt, struct ctl_iface *iface, const uint8_t *mac,
		    struct spw_err *err);
/* A new attached queue of the twin, to be handed to the data plane. Descriptor or -errno. */
int ctl_twin_queue(const struct ctl_iface *iface);
/* Let the twin's carrier follow the port's link. */
void ctl_twin_carrier(const struct ctl_iface *iface, bool up);
/*
 * Once a second: set the addresses of twins that got new ones a few times more. The kernel tells
 * them anew by that, which costs nothing; zebra hears of links and of addresses on two sockets, and
 * when the address comes first it is forgotten, and BGP over it never comes up.
 */
void ctl_twin_say_again(struct ctl_runtime *rt);
/* Take away addresses that the configuration named before and does not now. */
void ctl_twin_unwanted(struct ctl_runtime *rt, const struct ctl_iface *iface,
		       const struct spw_prefix *before, unsigned int n_before);
/* Remove the twin from the kernel. */
void ctl_twin_remove(struct ctl_runtime *rt, struct ctl_iface *iface);
/* Settings of the namespace: the kernel never forwards. */
void ctl_twin_namespace(void);

#endif
