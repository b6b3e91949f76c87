/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port over a kernel interface (net_af_packet and its like) shares the wire with the kernel's own
 * stack, which sees every frame as well. The gateway's addresses sit on the twins in the same
 * namespace, so the kernel would take packets for them straight from the wire, past every check of
 * the pipeline, and a second time from the twin. Three settings of the device prevent it: strict
 * reverse path filtering (nothing is ever routed out of a device without addresses, so every IPv4
 * packet fails it), no answers to ARP, no IPv6. The old values come back when the port closes.
 *
 * API thread.
 */
#include "dataplane/kernel_quiet.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/spillway.h"

static const struct {
	const char *family;
	const char *name;
	const char *value;
} settings[DP_QUIET_SETTINGS] = {
	{"ipv4", "rp_filter", "1"},
	{"ipv4", "arp_ignore", "8"},
	{"ipv6", "disable_ipv6", "1"},
};

/* Read the value into `was` (if not NULL) and write `value`. 0 or -errno. */
static int
setting_swap(unsigned int n, const char *device, char *was, size_t size, const char *value)
{
	char path[128];
	int rc = 0;

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", settings[n].family, device,
		 settings[n].name);
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (was) {
		ssize_t len = pread(fd, was, size - 1, 0);

		was[len > 0 ? len : 0] = '\0';
		was[strcspn(was, "\n")] = '\0';
	}
	if (pwrite(fd, value, strlen(value), 0) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

void
dp_kernel_quiet(struct dp_kernel_quiet *q, const char *device)
{
	snprintf(q->device, sizeof(q->device), "%s", device);
	for (unsigned int n = 0; n < DP_QUIET_SETTINGS; n++) {
		int rc = setting_swap(n, device, q->was[n], sizeof(q->was[n]), settings[n].value);

		if (rc == 0)
			continue;
		q->was[n][0] = '\0';
		if (rc != -ENOENT) /* no IPv6 in the kernel is fine */
			spw_log(SPW_LOG_WARNING, "port", "kernel-not-quiet",
				"device=%s setting=%s cause=\"%s\"", device, settings[n].name,
				strerror(-rc));
	}
}

void
dp_kernel_restore(const struct dp_kernel_quiet *q)
{
	for (unsigned int n = 0; n < DP_QUIET_SETTINGS; n++)
		if (q->was[n][0] && setting_swap(n, q->device, NULL, 0, q->was[n]) != 0)
			spw_log(SPW_LOG_DEBUG, "port", "kernel-not-restored", "device=%s",
				q->device);
}
