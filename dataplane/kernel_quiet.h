/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to dataplane/: keeping the kernel's own stack off a device that a port has taken. */
#ifndef SPW_DATAPLANE_KERNEL_QUIET_H
#define SPW_DATAPLANE_KERNEL_QUIET_H

#define DP_QUIET_SETTINGS 3

/* What a device's settings were before; "" = not changed. */
struct dp_kernel_quiet {
	char device[16];
	char was[DP_QUIET_SETTINGS][12];
};

/*
 * Make the kernel take no IP packet and answer no ARP on a device. What cannot be set is logged and
 * left. API thread.
 * @device  name of a kernel interface in our network namespace
 */
void dp_kernel_quiet(struct dp_kernel_quiet *q, const char *device);
/* Put the settings back; fine when nothing was changed or the device is gone. */
void dp_kernel_restore(const struct dp_kernel_quiet *q);

#endif
