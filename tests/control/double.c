/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Double of the data plane: a poll loop over the listener and its clients. Objects are kept in
 * arrays by id (leaves by prefix); sweeps and deletes work; a port whose device is "missing" is
 * refused.
 */
#include "tests/control/double.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLIENTS 8

static struct double_state *st;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_t thread;
static int listener, wake[2], client[CLIENTS];
static unsigned int n_clients;
static bool subscribed[CLIENTS];
static struct spw_msg msg;

void
double_lock(void)
{
	pthread_mutex_lock(&mutex);
}

void
double_unlock(void)
{
	pthread_mutex_unlock(&mutex);
}

/* Put an element into an array of objects that start with their id. */
static void
put_by_id(void *array, unsigned int *n, size_t size, const void *elem)
{
	uint8_t *at = array;

	for (unsigned int i = 0; i < *n; i++)
		if (memcmp(at + i * size, elem, sizeof(uint32_t)) == 0) {
			memcpy(at + i * size, elem, size);
			return;
		}
	if (*n < DOUBLE_MAX)
		memcpy(at + (*n)++ * size, elem, size);
}

static void
put_route(const struct spw_dp_route *r)
{
	for (unsigned int i = 0; i < st->n_route; i++)
		if (spw_prefix_equal(&st->route[i].prefix, &r->prefix)) {
			st->route[i] = *r;
			return;
		}
	if (st->n_route < DOUBLE_MAX)
		st->route[st->n_route++] = *r;
}

static void
del_route(const struct spw_dp_route *r)
{
	for (unsigned int i = 0; i < st->n_route; i++)
		if (spw_prefix_equal(&st->route[i].prefix, &r->prefix))
			st->route[i--] = st->route[--st->n_route];
}

/* Drop what is older; `at` is where the generation lies in an object of `size` bytes. */
static void
sweep_list(void *array, unsigned int *n, size_t size, size_t at, uint32_t generation)
{
	uint8_t *list = array;

	for (unsigned int i = 0; i < *n;) {
		uint32_t is;

		memcpy(&is, list + i * size + at, sizeof(is));
		if (is < generation)
			memmove(list + i * size, list + --(*n) * size, size);
		else
			i++;
	}
}

/* A tunnel's outer packets take the path, and the tunnel is not older than a sweep (0 = none). */
static bool
is_outer(uint32_t path, uint32_t generation)
{
	for (unsigned int i = 0; i < st->n_tunnel; i++)
		if (st->tunnel[i].outer_path == path && st->tunnel[i].generation >= generation)
			return true;
	return false;
}

static void
sweep_paths(uint32_t generation)
{
	for (unsigned int i = 0; i < st->n_path; i++)
		if (st->path[i].generation < generation && is_outer(st->path[i].id, generation))
			st->busy++;
	sweep_list(st->path, &st->n_path, sizeof(st->path[0]),
		   offsetof(struct spw_dp_path, generation), generation);
}

static void
sweep(const struct spw_dp_sweep *s)
{
	if (s->class == SPW_DP_CLASS_ROUTE)
		sweep_list(st->route, &st->n_route, sizeof(st->route[0]),
			   offsetof(struct spw_dp_route, generation), s->generation);
	if (s->class == SPW_DP_CLASS_GROUP)
		sweep_list(st->group, &st->n_group, sizeof(st->group[0]),
			   offsetof(struct spw_dp_group, generation), s->generation);
	if (s->class == SPW_DP_CLASS_PATH)
		sweep_paths(s->generation);
	if (s->class == SPW_DP_CLASS_IFACE)
		sweep_list(st->iface, &st->n_iface, sizeof(st->iface[0]),
			   offsetof(struct spw_dp_iface, generation), s->generation);
	if (s->class == SPW_DP_CLASS_BFD)
		sweep_list(st->bfd, &st->n_bfd, sizeof(st->bfd[0]),
			   offsetof(struct spw_dp_bfd, generation), s->generation);
	if (s->class == SPW_DP_CLASS_PROBE)
		sweep_list(st->probe, &st->n_probe, sizeof(st->probe[0]),
			   offsetof(struct spw_dp_probe, generation), s->generation);
	if (s->class == SPW_DP_CLASS_PORT)
		sweep_list(st->port, &st->n_port, sizeof(st->port[0]),
			   offsetof(struct spw_dp_port, generation), s->generation);
}

static bool
is_probed(uint32_t path)
{
	for (unsigned int i = 0; i < st->n_probe; i++)
		if (st->probe[i].path == path)
			return true;
	return false;
}

/* Delete an object by id from its list. 0 or an errno value. */
static uint16_t
object_del(const struct spw_dp_object *o)
{
	if (o->class == SPW_DP_CLASS_PATH && (is_probed(o->id) || is_outer(o->id, 0))) {
		st->busy++;
		return EBUSY;
	}
	for (unsigned int i = 0; o->class == SPW_DP_CLASS_BFD && i < st->n_bfd; i++)
		if (st->bfd[i].id == o->id)
			st->bfd[i] = st->bfd[--st->n_bfd];
	for (unsigned int i = 0; o->class == SPW_DP_CLASS_PROBE && i < st->n_probe; i++)
		if (st->probe[i].id == o->id)
			st->probe[i] = st->probe[--st->n_probe];
	for (unsigned int i = 0; o->class == SPW_DP_CLASS_GROUP && i < st->n_group; i++)
		if (st->group[i].id == o->id)
			st->group[i] = st->group[--st->n_group];
	for (unsigned int i = 0; o->class == SPW_DP_CLASS_PATH && i < st->n_path; i++)
		if (st->path[i].id == o->id)
			st->path[i] = st->path[--st->n_path];
	for (unsigned int i = 0; o->class == SPW_DP_CLASS_PORT && i < st->n_port; i++)
		if (st->port[i].id == o->id)
			st->port[i] = st->port[--st->n_port];
	return 0;
}

static uint16_t
path_state(const struct spw_dp_path_state *s)
{
	st->states++;
	if (s->up && s->clears != st->bit[s->id].clears)
		return ESTALE;
	st->bit[s->id].up = s->up;
	return 0;
}

/* One element of a request that changes something: 0 or an errno value. */
static uint16_t
apply(uint16_t number, const void *e)
{
	switch (number) {
	case SPW_DP_PORT_SET:
		if (strcmp(((const struct spw_dp_port *)e)->devargs, "missing") == 0)
			return ENODEV;
		if (((const struct spw_dp_port *)e)->mtu > 9000)
			return EINVAL;
		put_by_id(st->port, &st->n_port, sizeof(st->port[0]), e);
		return 0;
	case SPW_DP_IFACE_SET:
		put_by_id(st->iface, &st->n_iface, sizeof(st->iface[0]), e);
		return 0;
	case SPW_DP_PATH_SET: put_by_id(st->path, &st->n_path, sizeof(st->path[0]), e); return 0;
	case SPW_DP_PATH_STATE: return path_state(e);
	case SPW_DP_TUNNEL_SET:
		if (((const struct spw_dp_tunnel *)e)->mtu > 9000)
			return EINVAL;
		put_by_id(st->tunnel, &st->n_tunnel, sizeof(st->tunnel[0]), e);
		return 0;
	case SPW_DP_GROUP_SET:
		put_by_id(st->group, &st->n_group, sizeof(st->group[0]), e);
		return 0;
	case SPW_DP_ROUTE_SET: put_route(e); return 0;
	case SPW_DP_ROUTE_DEL: del_route(e); return 0;
	case SPW_DP_SWEEP: sweep(e); return 0;
	case SPW_DP_OBJECT_DEL: return object_del(e);
	case SPW_DP_BFD_SET: put_by_id(st->bfd, &st->n_bfd, sizeof(st->bfd[0]), e); return 0;
	case SPW_DP_PROBE_SET:
		put_by_id(st->probe, &st->n_probe, sizeof(st->probe[0]), e);
		return 0;
	case SPW_DP_CLASSES_SET: st->classes++; return 0;
	case SPW_DP_LINK_STATE:
		st->link = *(const struct spw_dp_link *)e;
		st->links++;
		return 0;
	default: return 0;
	}
}

static unsigned int
fill_dump(uint16_t number, uint8_t *out)
{
	struct spw_dp_hello_reply hello = {.incarnation = st->incarnation, .workers = 1};
	struct spw_dp_port_reply port = {.mac = {2, 0, 0, 0, 0, 1}};
	struct spw_dp_tunnel_stats tunnel = {.id = 0, .up = st->tunnel_up};
	unsigned int n = 0;

	switch (number) {
	case SPW_DP_HELLO: memcpy(out, &hello, sizeof(hello)); return 1;
	case SPW_DP_PORT_SET: memcpy(out, &port, sizeof(port)); return 1;
	case SPW_DP_GET_TUNNELS: memcpy(out, &tunnel, sizeof(tunnel)); return 1;
	case SPW_DP_GET_IFACES:
		for (; n < st->n_iface; n++) {
			struct spw_dp_iface_stats s = {.id = st->iface[n].id,
						       .link_up = 1,
						       .rx_packets = 1000 + st->iface[n].id,
						       .drops = 7,
						       .mac = {2, 0, 0, 0, 0, 1}};

			memcpy(out + n * sizeof(s), &s, sizeof(s));
		}
		return n;
	case SPW_DP_GET_PATHS:
		for (; n < st->n_path; n++) {
			struct spw_dp_path_stats s = st->bit[st->path[n].id];

			s.id = st->path[n].id;
			memcpy(out + n * sizeof(s), &s, sizeof(s));
		}
		return n;
	case SPW_DP_GET_BFD:
		for (; n < st->n_bfd; n++) {
			struct spw_dp_bfd_stats s = st->bfd_stats[st->bfd[n].id % DOUBLE_MAX];

			s.id = st->bfd[n].id;
			memcpy(out + n * sizeof(s), &s, sizeof(s));
		}
		return n;
	case SPW_DP_GET_PROBES:
		for (; n < st->n_probe; n++) {
			struct spw_dp_probe_stats s = st->probe_stats[st->probe[n].id % DOUBLE_MAX];

			s.id = st->probe[n].id;
			s.path = st->probe[n].path;
			memcpy(out + n * sizeof(s), &s, sizeof(s));
		}
		return n;
	default: return 0;
	}
}

static void
answer(int fd)
{
	static uint8_t body[SPW_MSG_MAX];
	const struct spw_dp_msg_info *info = spw_dp_msg_info(msg.hdr.number);
	struct spw_msg_hdr h = {.number = msg.hdr.number,
				.flags = SPW_MSG_REPLY,
				.seq = msg.hdr.seq,
				.elem_size = info ? info->reply_size : 0};
	struct spw_msg_error e = {.text = "no such device"};

	st->twins += msg.n_fds;
	for (unsigned int i = 0; i < msg.hdr.count && h.status == 0; i++)
		h.status = apply(msg.hdr.number, msg.body + (size_t)i * msg.hdr.elem_size);
	if (h.status != 0) {
		h.count = 1;
		h.elem_size = sizeof(e);
		memcpy(body, &e, sizeof(e));
	} else {
		h.count = (uint16_t)fill_dump(msg.hdr.number, body);
	}
	if (spw_msg_send(fd, &h, body, NULL, 0) != 0)
		fprintf(stderr, "double: reply was not sent\n");
}

void
double_event(uint16_t number, const void *elem, uint16_t size)
{
	struct spw_msg_hdr h = {
		.number = number, .flags = SPW_MSG_EVENT, .count = 1, .elem_size = size};

	double_lock();
	for (unsigned int i = 0; i < n_clients; i++)
		if (subscribed[i] && spw_msg_send(client[i], &h, elem, NULL, 0) != 0)
			fprintf(stderr, "double: event was not sent\n");
	double_unlock();
}

static void
serve(unsigned int i)
{
	if (spw_msg_recv(client[i], &msg) != 0) {
		double_lock();
		close(client[i]);
		client[i] = client[--n_clients];
		subscribed[i] = subscribed[n_clients];
		double_unlock();
		return;
	}
	double_lock();
	if (msg.hdr.number == SPW_DP_HELLO && msg.hdr.count == 1)
		subscribed[i] = ((const struct spw_dp_hello *)(const void *)msg.body)->subscribe;
	answer(client[i]);
	double_unlock();
	spw_msg_close_fds(&msg);
}

static void *
run(void *arg)
{
	for (;;) {
		struct pollfd p[CLIENTS + 2] = {{.fd = wake[0], .events = POLLIN},
						{.fd = listener, .events = POLLIN}};

		for (unsigned int i = 0; i < n_clients; i++)
			p[i + 2] = (struct pollfd){.fd = client[i], .events = POLLIN};
		poll(p, n_clients + 2, -1);
		if (p[0].revents)
			return NULL;
		for (unsigned int i = n_clients; i-- > 0;)
			if (p[i + 2].revents)
				serve(i);
		if (p[1].revents && n_clients < CLIENTS) {
			double_lock();
			subscribed[n_clients] = false;
			client[n_clients++] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
			double_unlock();
		}
	}
}

void
double_start(const char *run_dir, struct double_state *state)
{
	char path[128];
	struct spw_err err = {0};

	st = state;
	snprintf(path, sizeof(path), "%s/dataplane.sock", run_dir);
	listener = spw_msg_listen(path, (gid_t)-1, &err);
	if (listener < 0 || pipe2(wake, O_CLOEXEC) != 0 ||
	    pthread_create(&thread, NULL, run, NULL) != 0)
		abort();
}

void
double_stop(void)
{
	close(wake[1]);
	pthread_join(thread, NULL);
	close(wake[0]);
	close(listener);
	while (n_clients > 0)
		close(client[--n_clients]);
}
