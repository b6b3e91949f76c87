/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kernel twins.
 *
 * A twin is a persistent TAP (ports, sub-interfaces) or TUN (tunnels) named as the interface, made
 * with IFF_MULTI_QUEUE. The data plane gets an attached queue by descriptor. This process keeps a
 * second queue, detached: it takes no packets, but as long as it is open the death of the data
 * plane does not drop the carrier, so addresses, routes and sessions stay. The device itself is
 * persistent and survives this process, too.
 *
 * The kernel must not forward on its own, nor answer ARP for addresses of other interfaces, nor
 * drop what comes over a path that it would not have chosen (rp_filter).
 *
 * IPv6 is on where the interface has such an address. Neighbour discovery needs a link-local
 * address as source (RFC 4861 7.2.2; the kernel resolves nothing without one), which a TAP makes
 * from its MAC at once, without duplicate address detection, that would take a second; a TUN has no
 * neighbours and gets none. Addresses and routes come from the configuration alone: router
 * advertisements are not taken (RFC 4862 is off), nothing is asked for, redirects are not followed.
 * Global addresses stay when the administrator's state goes down, as those of IPv4 do.
 */
#include "control/twin.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define SAY_AGAIN 3

static void
sysctl_set(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	size_t len = strlen(value);

	if (fd < 0) {
		if (errno != ENOENT)
			spw_log(SPW_LOG_WARNING, "twin", "sysctl-failed", "file=%s error=\"%s\"",
				path, strerror(errno));
		return;
	}
	if (write(fd, value, len) != (ssize_t)len)
		spw_log(SPW_LOG_WARNING, "twin", "sysctl-failed", "file=%s error=\"%s\"", path,
			strerror(errno));
	close(fd);
}

static void
sysctl_iface(const char *family, const char *name, const char *key, const char *value)
{
	char path[160];

	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, name, key);
	sysctl_set(path, value);
}

void
ctl_twin_namespace(void)
{
	sysctl_set("/proc/sys/net/ipv4/ip_forward", "0");
	sysctl_set("/proc/sys/net/ipv6/conf/all/forwarding", "0");
	/* The larger of "all" and the interface's own counts. */
	sysctl_iface("ipv4", "all", "rp_filter", "0");
}

static bool
wants_ipv6(const struct ctl_iface *iface)
{
	for (unsigned int i = 0; i < iface->n_wanted; i++)
		if (iface->wanted[i].addr.family == AF_INET6)
			return true;
	return false;
}

static void
sysctls(const struct ctl_iface *iface)
{
	static const struct {
		const char *key, *value;
	} ipv6[] = {{"accept_ra", "0"},		{"autoconf", "0"},
		    {"accept_redirects", "0"},	{"router_solicitations", "0"},
		    {"accept_dad", "0"},	{"dad_transmits", "0"},
		    {"keep_addr_on_down", "1"}, {"forwarding", "0"}};

	sysctl_iface("ipv4", iface->name, "rp_filter", "0");
	sysctl_iface("ipv4", iface->name, "arp_ignore", "1");
	sysctl_iface("ipv4", iface->name, "arp_announce", "2");
	sysctl_iface("ipv4", iface->name, "forwarding", "0");
	if (!wants_ipv6(iface)) {
		sysctl_iface("ipv6", iface->name, "disable_ipv6", "1");
		return;
	}
	for (unsigned int i = 0; i < sizeof(ipv6) / sizeof(ipv6[0]); i++)
		sysctl_iface("ipv6", iface->name, ipv6[i].key, ipv6[i].value);
	/* 0: a link-local address from the MAC; 1: none. */
	sysctl_iface("ipv6", iface->name, "addr_gen_mode",
		     iface->kind == SPW_IFACE_TUNNEL ? "1" : "0");
	sysctl_iface("ipv6", iface->name, "disable_ipv6", "0");
}

static int
queue_open(const struct ctl_iface *iface)
{
	struct ifreq ifr = {0};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	memcpy(ifr.ifr_name, iface->name, strnlen(iface->name, IFNAMSIZ - 1));
	ifr.ifr_flags = (short)((iface->kind == SPW_IFACE_TUNNEL ? IFF_TUN : IFF_TAP) | IFF_NO_PI |
				IFF_MULTI_QUEUE);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

int
ctl_twin_queue(const struct ctl_iface *iface)
{
	return queue_open(iface);
}

static int
keeper_open(struct ctl_iface *iface, struct spw_err *err)
{
	struct ifreq ifr = {.ifr_flags = IFF_DETACH_QUEUE};
	int fd = queue_open(iface);

	if (fd < 0)
		return spw_fail(
			err, fd,
			"cannot make the kernel twin %s: %s; is a device of that name there "
			"that is not ours?",
			iface->name, strerror(-fd));
	if (ioctl(fd, TUNSETPERSIST, 1) < 0 || ioctl(fd, TUNSETQUEUE, &ifr) < 0) {
		int rc = -errno;

		close(fd);
		return spw_fail(err, rc, "cannot keep the kernel twin %s: %s", iface->name,
				strerror(-rc));
	}
	iface->keeper_fd = fd;
	return 0;
}

void
ctl_twin_carrier(const struct ctl_iface *iface, bool up)
{
	int carrier = up;

	/* EPERM: no queue is attached, because the data plane is away; the next sync sets it. */
	if (iface->keeper_fd >= 0 && ioctl(iface->keeper_fd, TUNSETCARRIER, &carrier) < 0 &&
	    errno != EPERM)
		spw_log(SPW_LOG_ERROR, "twin", "carrier-failed", "interface=%s up=%d error=\"%s\"",
			iface->name, up, strerror(errno));
}

static bool
has_address(const struct spw_prefix *list, unsigned int n, const struct spw_prefix *p)
{
	for (unsigned int i = 0; i < n; i++)
		if (spw_prefix_equal(&list[i], p))
			return true;
	return false;
}

void
ctl_twin_unwanted(struct ctl_runtime *rt, const struct ctl_iface *iface,
		  const struct spw_prefix *before, unsigned int n_before)
{
	for (unsigned int i = 0; i < n_before; i++)
		if (!has_address(iface->wanted, iface->n_wanted, &before[i]))
			ctl_netlink_addr_set(rt->netlink, iface->ifindex, &before[i], false);
}

static int
addresses_add(struct ctl_runtime *rt, struct ctl_iface *iface, struct spw_err *err)
{
	char text[SPW_PREFIX_TEXT];

	for (unsigned int i = 0; i < iface->n_wanted; i++) {
		int rc;

		if (has_address(iface->address, iface->n_addresses, &iface->wanted[i]))
			continue;
		iface->say_again = SAY_AGAIN;
		rc = ctl_netlink_addr_set(rt->netlink, iface->ifindex, &iface->wanted[i], true);
		if (rc != 0)
			return spw_fail(err, rc, "cannot set address %s on %s: %s",
					spw_prefix_format(&iface->wanted[i], text), iface->name,
					strerror(-rc));
	}
	return 0;
}

void
ctl_twin_say_again(struct ctl_runtime *rt)
{
	for (struct ctl_iface *i = rt->ifaces; i; i = i->next) {
		if (!i->keep || i->ifindex == 0 || i->say_again == 0)
			continue;
		i->say_again--;
		for (unsigned int a = 0; a < i->n_wanted; a++)
			ctl_netlink_addr_set(rt->netlink, i->ifindex, &i->wanted[a], true);
	}
}

/* True when nothing has to be set: setting even the same MAC flushes the twin's neighbours. */
static bool
link_is_right(const struct ctl_iface *iface, const uint8_t *mac)
{
	struct ifreq ifr = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool right = fd >= 0;

	memcpy(ifr.ifr_name, iface->name, strnlen(iface->name, IFNAMSIZ - 1));
	right = right && ioctl(fd, SIOCGIFFLAGS, &ifr) == 0 &&
		((ifr.ifr_flags & IFF_UP) != 0) == iface->enabled;
	right = right && ioctl(fd, SIOCGIFMTU, &ifr) == 0 && (uint32_t)ifr.ifr_mtu == iface->mtu;
	right = right && (!mac || (ioctl(fd, SIOCGIFHWADDR, &ifr) == 0 &&
				   memcmp(ifr.ifr_hwaddr.sa_data, mac, 6) == 0));
	if (fd >= 0)
		close(fd);
	return right;
}

int
ctl_twin_ensure(struct ctl_runtime *rt, struct ctl_iface *iface, const uint8_t *mac,
		struct spw_err *err)
{
	static const uint8_t none[6];
	int rc = iface->keeper_fd < 0 ? keeper_open(iface, err) : 0;

	if (rc != 0)
		return rc;
	iface->ifindex = if_nametoindex(iface->name);
	if (iface->ifindex == 0)
		return spw_fail(err, -ENODEV, "kernel twin %s vanished", iface->name);
	sysctls(iface);
	if (iface->kind == SPW_IFACE_TUNNEL || (mac && memcmp(mac, none, 6) == 0))
		mac = NULL;
	if (link_is_right(iface, mac))
		return addresses_add(rt, iface, err);
	rc = ctl_netlink_link_set(rt->netlink, iface->ifindex, mac, iface->mtu, iface->enabled);
	if (rc != 0)
		return spw_fail(err, rc, "cannot set up the kernel twin %s: %s", iface->name,
				strerror(-rc));
	return addresses_add(rt, iface, err);
}

void
ctl_twin_remove(struct ctl_runtime *rt, struct ctl_iface *iface)
{
	if (iface->keeper_fd >= 0) {
		ioctl(iface->keeper_fd, TUNSETPERSIST, 0);
		close(iface->keeper_fd);
	}
	iface->keeper_fd = -1;
	if (iface->ifindex)
		ctl_netlink_link_del(rt->netlink, iface->ifindex);
	iface->ifindex = 0;
}
