/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The UDP sockets of IKE, which iked has no right to bind.
 *
 * Ports 500 and 4500 of each tunnel's local address are bound here and handed over; the duplicates
 * kept here hold the ports open while iked is away, so that peers see silence and no "port
 * unreachable". When this process was restarted, iked still holds them: binding says EADDRINUSE,
 * and they are asked back. Tunnels that are bound to an uplink send by it, whatever the routes say.
 * One thread.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "control/iked_private.h"

#define UDP_ROOM (2 * 1024 * 1024) /* bytes that wait in a socket of IKE */

static int
udp_bind(const struct spw_addr *addr, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t len = spw_addr_to_sockaddr(addr, port, &ss);
	int fd = socket(addr->family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
	int room = UDP_ROOM;

	if (fd < 0)
		return -errno;
	/* a flood of first messages must not crowd out the others while iked is not scheduled */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	/* The address may come to its twin later, with the data plane. */
	if (addr->family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &one, sizeof(one));
	else
		setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&ss, len) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

/* Ask iked for duplicates of the sockets it got from an earlier controld. */
static int
sockets_ask_back(struct ctl_runtime *rt, struct ctl_iked_local *l)
{
	struct spw_ike_socket m = {.local = l->addr};
	struct ctl_iked *k = rt->iked;
	int rc = ctl_iked_call(rt, SPW_IKE_SOCKET_GET, &m, sizeof(m), NULL, 0, NULL);

	if (rc == 0 && k->msg.n_fds == 2) {
		l->fd[0] = k->msg.fds[0];
		l->fd[1] = k->msg.fds[1];
		k->msg.n_fds = 0;
		return 0;
	}
	spw_msg_close_fds(&k->msg);
	return -EADDRINUSE;
}

static int
sockets_make(struct ctl_runtime *rt, struct ctl_iked_local *l)
{
	static const uint16_t port[2] = {500, 4500};
	int rc = 0;

	for (unsigned int i = 0; i < 2 && rc == 0; i++) {
		l->fd[i] = udp_bind(&l->addr, port[i]);
		if (l->fd[i] < 0)
			rc = l->fd[i];
	}
	if (rc == 0)
		return 0;
	for (unsigned int i = 0; i < 2; i++) {
		if (l->fd[i] >= 0)
			close(l->fd[i]);
		l->fd[i] = -1;
	}
	return rc == -EADDRINUSE ? sockets_ask_back(rt, l) : rc;
}

static struct ctl_iked_local *
local_find(struct ctl_iked *k, const struct spw_addr *addr)
{
	for (unsigned int i = 0; i < k->n_locals; i++)
		if (spw_addr_equal(&k->local[i].addr, addr))
			return &k->local[i];
	return NULL;
}

/* NULL: there are more than the commit would have let through. */
static struct ctl_iked_local *
local_get(struct ctl_iked *k, const struct spw_addr *addr)
{
	struct ctl_iked_local *l = local_find(k, addr);

	if (l || k->n_locals == CTL_TUNNEL_LOCALS)
		return l;
	k->local[k->n_locals] = (struct ctl_iked_local){.addr = *addr, .fd = {-1, -1}};
	return &k->local[k->n_locals++];
}

/* Linux: a preference of the socket's, in network order for IPv4 and IPv6 alike (ip(7)). */
static void
uplink_set(const struct ctl_iked_local *l)
{
	int index = (int)htonl(l->uplink);

	for (unsigned int i = 0; i < 2; i++) {
		if (l->fd[i] < 0)
			continue;
		if (l->addr.family == AF_INET6)
			setsockopt(l->fd[i], IPPROTO_IPV6, IPV6_UNICAST_IF, &index, sizeof(index));
		else
			setsockopt(l->fd[i], IPPROTO_IP, IP_UNICAST_IF, &index, sizeof(index));
	}
}

void
ctl_iked_uplinks(struct ctl_runtime *rt)
{
	struct ctl_iked *k = rt->iked;

	for (unsigned int i = 0; k && i < k->n_locals; i++) {
		struct ctl_iked_local *l = &k->local[i];
		uint32_t before = l->uplink;

		l->uplink = 0;
		for (const struct ctl_tun *t = rt->tunnels; t; t = t->next)
			if (t->keep && t->uplink && spw_addr_equal(&t->conf.local, &l->addr))
				l->uplink = t->uplink;
		if (l->uplink != before)
			uplink_set(l);
	}
}

static void
local_sync(struct ctl_runtime *rt, struct ctl_iked_local *l)
{
	struct spw_ike_socket m = {.local = l->addr};
	char text[SPW_ADDR_TEXT];
	struct spw_err err = {0};
	int rc = 0;

	if (l->fd[0] < 0) {
		rc = sockets_make(rt, l);
		uplink_set(l);
	}
	rt->iked->incomplete |= rc != 0;
	if (rc != 0)
		spw_log(SPW_LOG_ERROR, "iked", "bind-failed",
			"local=%s ports=500,4500 error=\"%s\" mend=\"end the other IKE daemon\"",
			spw_addr_format(&l->addr, text), strerror(-rc));
	else if (ctl_iked_call(rt, SPW_IKE_SOCKET_SET, &m, sizeof(m), l->fd, 2, &err) != 0)
		spw_log(SPW_LOG_ERROR, "iked", "socket-refused", "local=%s error=\"%s\"",
			spw_addr_format(&l->addr, text), err.text);
}

void
ctl_iked_sockets_close(struct ctl_iked *k, bool all)
{
	unsigned int kept = 0;

	for (unsigned int i = 0; i < k->n_locals; i++) {
		if (k->local[i].used && !all) {
			k->local[kept++] = k->local[i];
			continue;
		}
		for (unsigned int f = 0; f < 2; f++)
			if (k->local[i].fd[f] >= 0)
				close(k->local[i].fd[f]);
	}
	k->n_locals = kept;
}

/* Mark what the tunnels use, with what `find` gives for an address. */
static void
locals_mark(struct ctl_runtime *rt,
	    struct ctl_iked_local *(*find)(struct ctl_iked *k, const struct spw_addr *addr))
{
	for (const struct ctl_tun *t = rt->tunnels; t; t = t->next) {
		struct ctl_iked_local *l =
			t->keep && t->conf.enabled ? find(rt->iked, &t->conf.local) : NULL;

		if (l)
			l->used = true;
	}
}

void
ctl_iked_sockets_sync(struct ctl_runtime *rt)
{
	struct ctl_iked *k = rt->iked;

	for (unsigned int i = 0; i < k->n_locals; i++)
		k->local[i].used = false;
	locals_mark(rt, local_find);
	ctl_iked_sockets_close(k, false); /* room for new ones */
	locals_mark(rt, local_get);
	ctl_iked_uplinks(rt);
	for (unsigned int i = 0; i < k->n_locals && k->connected; i++)
		local_sync(rt, &k->local[i]);
}
