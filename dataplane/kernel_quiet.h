/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: keeping the kernel's own stack off a device that a port has taken. */
#ifndef SPW_DATAPLANE_KERNEL_QUIET_H
#define SPW_DATAPLANE_KERNEL_QUIET_H

#define DP_QUIET_SETTINGS 5
#define DP_QUIET_VALUE	  12

/* What a device's settings were before; "" = not changed. Zeroed = no device. */
struct dp_kernel_quiet {
	char device[16];
	const char *dir; /* where the old values are written down; borrowed */
	char was[DP_QUIET_SETTINGS][DP_QUIET_VALUE];
};

/*
 * Make the kernel take no IP packet and answer no ARP on a device, and join no frames. What cannot
 * be set is logged and left. API thread.
 * @device  name of a kernel interface in our network namespace
 * @dir     the run directory, where the old values outlive us until they are back; stays the
 *          caller's for as long as `q` is used
 */
void dp_kernel_quiet(struct dp_kernel_quiet *q, const char *device, const char *dir);
/* Put the settings back; fine when nothing was changed or the device is gone. */
void dp_kernel_restore(const struct dp_kernel_quiet *q);

#endif
