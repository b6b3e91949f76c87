/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A port over a kernel interface (net_af_packet and its like) shares the wire with the kernel's own
 * stack, which sees every frame as well. The gateway's addresses sit on the twins in the same
 * namespace, so the kernel would take packets for them straight from the wire, past every check of
 * the pipeline, and a second time from the twin. Three settings of the device prevent it: strict
 * reverse path filtering (nothing is ever routed out of a device without addresses, so every IPv4
 * packet fails it), no answers to ARP, no IPv6. Two more keep the kernel and the device from
 * joining the segments of a TCP connection before we see them (GRO, LRO): such a frame is longer
 * than a slot of the ring, which holds its beginning. The old values come back when the port
 * closes.
 *
 * A data plane that is killed leaves the device as it is, and the next one would take what it finds
 * for the old values. So these are written down in the run directory before the first is changed,
 * and the file goes when they are back. What it says counts for the same device (by its index,
 * which another of that name has not) as long as the setting still has the value that was given to
 * it.
 *
 * API thread.
 */
#include "dataplane/kernel_quiet.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/spillway.h"

static const struct {
	const char *family; /* NULL: a feature of the device */
	const char *name;
	const char *value;
	uint32_t get, set, bit; /* commands of a feature, and its bit in their word */
} settings[DP_QUIET_SETTINGS] = {
	{.family = "ipv4", .name = "rp_filter", .value = "1"},
	{.family = "ipv4", .name = "arp_ignore", .value = "8"},
	{.family = "ipv6", .name = "disable_ipv6", .value = "1"},
	{NULL, "gro", "0", ETHTOOL_GGRO, ETHTOOL_SGRO, 1},
	{NULL, "lro", "0", ETHTOOL_GFLAGS, ETHTOOL_SFLAGS, ETH_FLAG_LRO},
};

#define KEPT_NONE "-" /* in the file: not known */
#define KEPT_LINE 96

/* Give the device a command with a word, which it may change. 0 or -errno. */
static int
feature_ask(const char *device, uint32_t command, uint32_t *word)
{
	struct ethtool_value v = {.cmd = command, .data = *word};
	struct ifreq request = {.ifr_data = (void *)&v};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;

	if (fd < 0)
		return -errno;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", device);
	if (ioctl(fd, SIOCETHTOOL, &request) < 0)
		rc = errno == EOPNOTSUPP ? -ENOENT : -errno;
	close(fd);
	*word = v.data;
	return rc;
}

static int
feature_get(unsigned int n, const char *device, char value[DP_QUIET_VALUE])
{
	uint32_t word = 0;
	int rc = feature_ask(device, settings[n].get, &word);

	snprintf(value, DP_QUIET_VALUE, "%u", (word & settings[n].bit) != 0);
	return rc;
}

static int
feature_put(unsigned int n, const char *device, const char *value)
{
	uint32_t word = 0, bit = settings[n].bit;
	int rc = feature_ask(device, settings[n].get, &word);
	bool want = strcmp(value, "0") != 0;

	if (rc != 0 || ((word & bit) != 0) == want)
		return rc;
	word = want ? word | bit : word & ~bit;
	return feature_ask(device, settings[n].set, &word);
}

static void
setting_path(char path[128], unsigned int n, const char *device)
{
	snprintf(path, 128, "/proc/sys/net/%s/conf/%s/%s", settings[n].family, device,
		 settings[n].name);
}

/* Read a setting. 0 or -errno. */
static int
setting_get(unsigned int n, const char *device, char value[DP_QUIET_VALUE])
{
	char path[128];
	ssize_t len;

	if (!settings[n].family)
		return feature_get(n, device, value);
	setting_path(path, n, device);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	len = read(fd, value, DP_QUIET_VALUE - 1);
	close(fd);
	value[len > 0 ? len : 0] = '\0';
	value[strcspn(value, "\n")] = '\0';
	return 0;
}

/* Write a setting. 0 or -errno. */
static int
setting_put(unsigned int n, const char *device, const char *value)
{
	char path[128];
	int rc = 0;

	if (!settings[n].family)
		return feature_put(n, device, value);
	setting_path(path, n, device);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (write(fd, value, strlen(value)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static void
kept_path(char path[512], const struct dp_kernel_quiet *q, const char *suffix)
{
	snprintf(path, 512, "%s/dataplane.quiet.%s%s", q->dir, q->device, suffix);
}

static bool
is_number(const char *text)
{
	return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

/* What an earlier data plane, perhaps of fewer settings, wrote down; "" where there is nothing. */
static void
kept_read(const struct dp_kernel_quiet *q, unsigned int index,
	  char kept[DP_QUIET_SETTINGS][DP_QUIET_VALUE])
{
	char path[512];
	unsigned int of = 0;
	int n = 0;

	_Static_assert(DP_QUIET_SETTINGS == 5 && DP_QUIET_VALUE == 12, "as the format says");
	memset(kept, 0, sizeof(kept[0]) * DP_QUIET_SETTINGS);
	kept_path(path, q, "");
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	FILE *f = fd >= 0 ? fdopen(fd, "r") : NULL;

	if (f) {
		n = fscanf(f, "%u %11s %11s %11s %11s %11s", &of, kept[0], kept[1], kept[2],
			   kept[3], kept[4]);
		fclose(f);
	} else if (fd >= 0) {
		close(fd);
	}
	for (unsigned int i = 0; i < DP_QUIET_SETTINGS; i++)
		if (n < (int)i + 2 || of != index || !is_number(kept[i]))
			kept[i][0] = '\0';
}

/* A line of the index and the old values; its length. */
static int
kept_format(char line[KEPT_LINE], const struct dp_kernel_quiet *q, unsigned int index)
{
	int len = snprintf(line, KEPT_LINE, "%u", index);

	for (unsigned int n = 0; n < DP_QUIET_SETTINGS; n++)
		len += snprintf(line + len, KEPT_LINE - (size_t)len, " %s",
				q->was[n][0] ? q->was[n] : KEPT_NONE);
	return len;
}

/* Write the old values down, whole or not at all. 0 or -errno. */
static int
kept_write(const struct dp_kernel_quiet *q, unsigned int index)
{
	char path[512], made[512], line[KEPT_LINE];
	int len = kept_format(line, q, index), rc = 0, fd;

	kept_path(path, q, "");
	kept_path(made, q, ".new");
	unlink(made);
	fd = open(made, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, line, (size_t)len) != len)
		rc = -EIO;
	close(fd);
	if (rc == 0 && rename(made, path) != 0)
		rc = -errno;
	if (rc != 0)
		unlink(made);
	return rc;
}

static void
kept_forget(const struct dp_kernel_quiet *q)
{
	char path[512];

	kept_path(path, q, "");
	unlink(path);
}

/* Find out what the settings are without us. */
static void
originals_find(struct dp_kernel_quiet *q, unsigned int index)
{
	char kept[DP_QUIET_SETTINGS][DP_QUIET_VALUE];

	kept_read(q, index, kept);
	for (unsigned int n = 0; n < DP_QUIET_SETTINGS; n++) {
		if (setting_get(n, q->device, q->was[n]) != 0)
			q->was[n][0] = '\0';
		else if (kept[n][0] && strcmp(q->was[n], settings[n].value) == 0)
			memcpy(q->was[n], kept[n], sizeof(kept[n]));
	}
}

void
dp_kernel_quiet(struct dp_kernel_quiet *q, const char *device, const char *dir)
{
	unsigned int index = if_nametoindex(device);
	int rc;

	snprintf(q->device, sizeof(q->device), "%s", device);
	q->dir = dir;
	originals_find(q, index);
	rc = kept_write(q, index);
	if (rc != 0)
		spw_log(SPW_LOG_WARNING, "port", "kernel-settings-not-kept",
			"device=%s cause=\"%s\"", device, strerror(-rc));
	for (unsigned int n = 0; n < DP_QUIET_SETTINGS; n++) {
		rc = setting_put(n, device, settings[n].value);
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
	if (!q->device[0])
		return;
	for (unsigned int n = 0; n < DP_QUIET_SETTINGS; n++)
		if (q->was[n][0] && setting_put(n, q->device, q->was[n]) != 0)
			spw_log(SPW_LOG_DEBUG, "port", "kernel-not-restored", "device=%s",
				q->device);
	kept_forget(q);
}
