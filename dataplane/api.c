/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server of dataplane.sock, on the API (main) thread.
 *
 * A client says hello once: its role must belong to the uid that the kernel reports for it. Then
 * each request is checked against the message table (who may send it, element size), handed
 * to its handler whole, and answered; what was retired meanwhile is freed after grace before
 * the answer goes out. Dumps are sent as fast as the client reads: while output waits or a dump is
 * under way, no further request is read from that client, so nothing piles up. Events wait in
 * the same queue. Those that can wait where they come from (in a worker's ring or with the next
 * packet, in the SAD's bits) are left there while a daemon that wants them has many before it: it
 * may be busy with the first of ten thousand groups that flip at once. Who reads nothing for long,
 * or lets the queue fill, is disconnected and will read the state anew.
 *
 * A client's death changes nothing in the data plane. Requests may hold keys and are wiped.
 */
#include "dataplane/api.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include "dataplane/dump.h"

#define CLIENTS_MAX	 64
#define QUEUE_MAX	 32768 /* messages; all paths, probes and BFD sessions have room at once */
#define QUEUE_HIGH	 2048  /* with as many, events wait where they come from */
#define DEAF_NS		 (5 * SPW_NS_PER_S) /* with as many and nothing read */
#define DUMP_BYTES	 32768
#define REQUESTS_IN_TURN 8
#define TICK_MS		 10
#define SLOW_TICK_NS	 (100 * SPW_NS_PER_MS)

struct out {
	struct out *next;
	struct spw_msg_hdr hdr;
	uint8_t body[];
};

struct client {
	int fd; /* -1 = slot is free */
	uid_t uid;
	uint32_t role; /* NONE before the hello */
	uint32_t subscribe;
	char name[SPW_NAME_LEN];
	struct out *head, **tail;
	uint32_t queued;
	uint64_t moved_ns; /* when the queue last grew from nothing or became shorter */
	bool waits_out;	   /* EPOLLOUT is armed instead of EPOLLIN */
	dp_dump *dump;	   /* under way */
	struct spw_msg_hdr dump_hdr;
	uint32_t dump_cursor;
};

struct dp_api {
	struct dp_control *c;
	char path[512];
	int listen_fd;
	int signal_fd;
	int epfd;
	uint64_t next_slow_ns;
	struct client client[CLIENTS_MAX];
	struct spw_msg msg;
	uint8_t reply[SPW_MSG_MAX];
};

enum { TAG_LISTEN = CLIENTS_MAX, TAG_SIGNAL, TAG_BELL };

static const struct {
	uint16_t number;
	dp_handler *run;
} handlers[] = {
	{SPW_DP_PORT_SET, dp_handle_port_set},	   {SPW_DP_IFACE_SET, dp_handle_iface_set},
	{SPW_DP_ADDR_SET, dp_handle_addr_set},	   {SPW_DP_NEIGH_SET, dp_handle_neigh_set},
	{SPW_DP_TUNNEL_SET, dp_handle_tunnel_set}, {SPW_DP_PATH_SET, dp_handle_path_set},
	{SPW_DP_PATH_STATE, dp_handle_path_state}, {SPW_DP_GROUP_SET, dp_handle_group_set},
	{SPW_DP_ROUTE_SET, dp_handle_route_set},   {SPW_DP_OBJECT_DEL, dp_handle_object_del},
	{SPW_DP_ROUTE_DEL, dp_handle_route_del},   {SPW_DP_NEIGH_DEL, dp_handle_neigh_del},
	{SPW_DP_ADDR_DEL, dp_handle_addr_del},	   {SPW_DP_SWEEP, dp_handle_sweep},
	{SPW_DP_LINK_STATE, dp_handle_link_state}, {SPW_DP_SPI_ALLOC, dp_handle_spi_alloc},
	{SPW_DP_SPI_FREE, dp_handle_spi_free},	   {SPW_DP_SA_INSTALL, dp_handle_sa_install},
	{SPW_DP_SA_SWITCH, dp_handle_sa_switch},   {SPW_DP_SA_DELETE, dp_handle_sa_delete},
	{SPW_DP_SA_MOVE, dp_handle_sa_move},	   {SPW_DP_GET_FIB, dp_handle_get_fib},
	{SPW_DP_BFD_SET, dp_handle_bfd_set},
	{SPW_DP_PROBE_SET, dp_handle_probe_set},
	{SPW_DP_CLASSES_SET, dp_handle_classes_set},
};

static dp_handler *
handler_of(uint16_t number)
{
	for (size_t i = 0; i < RTE_DIM(handlers); i++)
		if (handlers[i].number == number)
			return handlers[i].run;
	return NULL;
}

static int
watch(struct dp_api *api, int fd, uint32_t tag, uint32_t events, int op)
{
	struct epoll_event ev = {.events = events, .data.u32 = tag};

	return epoll_ctl(api->epfd, op, fd, &ev);
}

static void
client_close(struct dp_api *api, struct client *k, const char *why)
{
	spw_log(SPW_LOG_INFO, "api", "client-gone", "client=%.15s cause=\"%s\"", k->name, why);
	epoll_ctl(api->epfd, EPOLL_CTL_DEL, k->fd, NULL);
	close(k->fd);
	while (k->head) {
		struct out *o = k->head;

		k->head = o->next;
		free(o);
	}
	*k = (struct client){.fd = -1};
}

/* Queue a message. False when the client was closed instead. */
static bool
client_queue(struct dp_api *api, struct client *k, const struct spw_msg_hdr *hdr, const void *body)
{
	size_t len = (size_t)hdr->count * hdr->elem_size;
	struct out *o = k->queued < QUEUE_MAX ? malloc(sizeof(*o) + len) : NULL;

	if (!o) {
		client_close(api, k, "does not read");
		return false;
	}
	o->next = NULL;
	o->hdr = *hdr;
	if (len)
		memcpy(o->body, body, len);
	if (!k->head)
		k->moved_ns = spw_clock_ns();
	*k->tail = o;
	k->tail = &o->next;
	k->queued++;
	return true;
}

/* Send what waits. 0, -EAGAIN when the client must read first, or -errno. */
static int
client_flush(struct client *k)
{
	uint32_t before = k->queued;
	int rc = 0;

	while (rc == 0 && k->head) {
		struct out *o = k->head;

		rc = spw_msg_send(k->fd, &o->hdr, o->body, NULL, 0);
		if (rc != 0)
			break;
		k->head = o->next;
		if (!k->head)
			k->tail = &k->head;
		k->queued--;
		free(o);
	}
	if (k->queued != before)
		k->moved_ns = spw_clock_ns();
	return rc;
}

/* Queue the next part of a dump. */
static void
dump_part(struct dp_api *api, struct client *k)
{
	struct spw_msg_hdr hdr = k->dump_hdr;
	uint32_t room = DUMP_BYTES / hdr.elem_size;

	hdr.count = 0;
	hdr.flags = SPW_MSG_REPLY;
	while (hdr.count < room) {
		uint8_t *row = api->reply + (size_t)hdr.count * hdr.elem_size;

		memset(row, 0, hdr.elem_size);
		if (!k->dump(api->c, &k->dump_cursor, row))
			break;
		hdr.count++;
	}
	if (hdr.count == room)
		hdr.flags |= SPW_MSG_MORE;
	else
		k->dump = NULL;
	client_queue(api, k, &hdr, api->reply);
}

static void
reply_error(struct dp_api *api, struct client *k, const struct spw_msg_hdr *req, int rc,
	    uint32_t index, const struct spw_err *err)
{
	struct spw_msg_error e = {.index = index};
	struct spw_msg_hdr hdr = {.number = req->number,
				  .flags = SPW_MSG_REPLY,
				  .status = (uint16_t)-rc,
				  .seq = req->seq,
				  .count = 1,
				  .elem_size = sizeof(e)};

	snprintf(e.text, sizeof(e.text), "%s", err->text[0] ? err->text : strerror(-rc));
	spw_log(SPW_LOG_WARNING, "api", "refused", "client=%.15s number=%u cause=\"%s\"", k->name,
		req->number, e.text);
	client_queue(api, k, &hdr, &e);
}

static int
role_check(struct dp_api *api, const struct client *k, uint32_t role, struct spw_err *err)
{
	const struct dp_options *o = api->c->opt;

	if (role == SPW_ROLE_READER)
		return 0;
	if (role != SPW_ROLE_CONTROLD && role != SPW_ROLE_IKED)
		return spw_fail(err, -EINVAL, "hello with the unknown role %u", role);
	if (k->uid == (role == SPW_ROLE_IKED ? o->iked_uid : o->control_uid))
		return 0;
	return spw_fail(err, -EPERM, "uid %u may not act as %s; see --%s", (unsigned int)k->uid,
			role == SPW_ROLE_IKED ? "spillway-iked" : "spillway-controld",
			role == SPW_ROLE_IKED ? "iked-user" : "control-user");
}

static int
hello(struct dp_api *api, struct client *k, const struct spw_dp_hello *h, struct spw_err *err)
{
	int rc = k->role != SPW_ROLE_NONE ? spw_fail(err, -EALREADY, "a second hello")
					  : role_check(api, k, h->role, err);

	if (rc != 0)
		return rc;
	k->role = h->role;
	k->subscribe = h->subscribe;
	spw_text_escape(k->name, sizeof(k->name), h->client, strnlen(h->client, SPW_NAME_LEN));
	spw_log(SPW_LOG_INFO, "api", "client", "client=%.15s role=%u uid=%u", k->name, k->role,
		(unsigned int)k->uid);
	return 0;
}

/* May this client send this message, and has it the right shape? */
static int
request_check(const struct client *k, const struct spw_dp_msg_info *info,
	      const struct spw_msg_hdr *hdr, struct spw_err *err)
{
	bool empty = !info || info->request_size <= sizeof(struct spw_msg_none);

	if (!info || info->who == SPW_ROLE_NONE)
		return spw_fail(err, -ENOSYS, "there is no request %u", hdr->number);
	if (k->role == SPW_ROLE_NONE && hdr->number != SPW_DP_HELLO)
		return spw_fail(err, -EPERM, "%s before the hello", info->name);
	if (k->role != SPW_ROLE_NONE && !(info->who & k->role))
		return spw_fail(err, -EPERM, "%s is not for this role", info->name);
	if (empty ? hdr->count != 0 : hdr->elem_size != info->request_size || hdr->count == 0)
		return spw_fail(err, -EPROTO, "%s has elements of %u bytes, not %u", info->name,
				info->request_size, hdr->elem_size);
	return 0;
}

static void
request_run(struct dp_api *api, struct client *k, const struct spw_dp_msg_info *info)
{
	struct spw_msg *m = &api->msg;
	struct dp_batch b = {.elems = m->body,
			     .count = m->hdr.count,
			     .fds = m->fds,
			     .n_fds = m->n_fds,
			     .reply = api->reply};
	bool answers = info->reply_size > sizeof(struct spw_msg_none);
	struct spw_msg_hdr hdr = {.number = m->hdr.number,
				  .flags = SPW_MSG_REPLY,
				  .seq = m->hdr.seq,
				  .count = answers ? m->hdr.count : 0,
				  .elem_size = answers ? info->reply_size : 0};
	dp_handler *run = handler_of(m->hdr.number);
	struct spw_err err = {0};
	int rc = run ? -EMSGSIZE : -ENOSYS;

	if (run && (size_t)hdr.count * hdr.elem_size <= sizeof(api->reply) - sizeof(hdr)) {
		memset(api->reply, 0, (size_t)hdr.count * hdr.elem_size);
		rc = run(api->c, &b, &err);
	}
	dp_control_reclaim(api->c);
	if (rc != 0)
		reply_error(api, k, &m->hdr, rc, b.bad, &err);
	else
		client_queue(api, k, &hdr, api->reply);
}

static void
request(struct dp_api *api, struct client *k)
{
	struct spw_msg_hdr *hdr = &api->msg.hdr;
	const struct spw_dp_msg_info *info = spw_dp_msg_info(hdr->number);
	struct spw_err err = {0};
	int rc = request_check(k, info, hdr, &err);

	if (rc == 0 && hdr->number == SPW_DP_HELLO) {
		rc = hello(api, k, (const struct spw_dp_hello *)api->msg.body, &err);
		if (rc == 0) {
			struct spw_dp_hello_reply r;
			struct spw_msg_hdr out = {.number = hdr->number,
						  .flags = SPW_MSG_REPLY,
						  .seq = hdr->seq,
						  .count = 1,
						  .elem_size = sizeof(r)};

			dp_describe(api->c, &r);
			client_queue(api, k, &out, &r);
		}
	} else if (rc == 0 && dp_dump_of(hdr->number)) {
		k->dump = dp_dump_of(hdr->number);
		k->dump_cursor = 0;
		k->dump_hdr = (struct spw_msg_hdr){
			.number = hdr->number, .seq = hdr->seq, .elem_size = info->reply_size};
	} else if (rc == 0) {
		request_run(api, k, info);
		return;
	}
	if (rc != 0)
		reply_error(api, k, hdr, rc, 0, &err);
}

/* Read and run one request. False when there is none to read or the client is gone. */
static bool
client_read(struct dp_api *api, struct client *k)
{
	int rc = spw_msg_recv(k->fd, &api->msg);

	if (rc == -EAGAIN)
		return false;
	if (rc != 0) {
		client_close(api, k, rc == -ECONNRESET ? "closed" : strerror(-rc));
		return false;
	}
	request(api, k);
	spw_msg_close_fds(&api->msg);
	spw_msg_wipe(&api->msg);
	return k->fd >= 0;
}

/* What can be done for a client now, in turn with others: output, dumps, some requests. */
static void
client_pump(struct dp_api *api, struct client *k)
{
	unsigned int requests = 0;
	int rc = 0;

	while (k->fd >= 0 && (rc = client_flush(k)) == 0) {
		if (k->dump)
			dump_part(api, k);
		else if (requests++ == REQUESTS_IN_TURN || !client_read(api, k))
			break;
	}
	if (k->fd < 0)
		return;
	if (rc != 0 && rc != -EAGAIN) {
		client_close(api, k, strerror(-rc));
		return;
	}
	if (k->waits_out != (rc == -EAGAIN)) {
		k->waits_out = rc == -EAGAIN;
		watch(api, k->fd, (uint32_t)(k - api->client), k->waits_out ? EPOLLOUT : EPOLLIN,
		      EPOLL_CTL_MOD);
	}
}

static void
client_accept(struct dp_api *api)
{
	int fd = accept4(api->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct spw_peer peer;

	if (fd < 0)
		return;
	for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *k = &api->client[i];

		if (k->fd >= 0)
			continue;
		if (spw_msg_peer(fd, &peer) != 0 || watch(api, fd, i, EPOLLIN, EPOLL_CTL_ADD) < 0)
			break;
		*k = (struct client){.fd = fd, .uid = peer.uid};
		k->tail = &k->head;
		return;
	}
	spw_log(SPW_LOG_WARNING, "api", "client-refused", "limit=%d", CLIENTS_MAX);
	close(fd);
}

void
dp_api_event(struct dp_api *api, uint32_t what, uint16_t number, const void *event, uint16_t size)
{
	struct spw_msg_hdr hdr = {
		.number = number, .flags = SPW_MSG_EVENT, .count = 1, .elem_size = size};

	for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *k = &api->client[i];

		if (k->fd >= 0 && (k->subscribe & what))
			client_queue(api, k, &hdr, event);
	}
}

bool
dp_api_room(const struct dp_api *api, uint32_t what)
{
	for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
		const struct client *k = &api->client[i];

		if (k->fd >= 0 && k->role != SPW_ROLE_READER && (k->subscribe & what) &&
		    k->queued >= QUEUE_HIGH)
			return false;
	}
	return true;
}

/* Disconnect those that stand in the way of others' events and read nothing. */
static void
deaf_close(struct dp_api *api, uint64_t now)
{
	for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *k = &api->client[i];

		if (k->fd >= 0 && k->queued >= QUEUE_HIGH && now - k->moved_ns > DEAF_NS)
			client_close(api, k, "does not read");
	}
}

static void
tick(struct dp_api *api)
{
	struct dp_control *c = api->c;
	uint64_t now = spw_clock_ns();

	if (now >= api->next_slow_ns) {
		api->next_slow_ns = now + SLOW_TICK_NS;
		dp_sad_tick(c->sad, now);
		for (uint32_t i = 0; i < DP_PORTS_MAX; i++)
			if (c->port[i])
				dp_port_link_poll(c->port[i]);
		deaf_close(api, now);
	}
	dp_events_collect(api, c);
	for (uint32_t i = 0; i < CLIENTS_MAX; i++)
		if (api->client[i].fd >= 0 && api->client[i].head && !api->client[i].waits_out)
			client_pump(api, &api->client[i]);
}

int
dp_api_new(struct dp_api **out, struct dp_control *c, struct spw_err *err)
{
	struct dp_api *api = calloc(1, sizeof(*api));
	sigset_t signals;
	int rc = 0;

	if (!api)
		return spw_fail(err, -ENOMEM, "no memory for the server");
	for (uint32_t i = 0; i < CLIENTS_MAX; i++)
		api->client[i].fd = -1;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	api->c = c;
	snprintf(api->path, sizeof(api->path), "%s/dataplane.sock", c->opt->run_dir);
	api->epfd = epoll_create1(EPOLL_CLOEXEC);
	api->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
	api->listen_fd = spw_msg_listen(api->path, c->opt->socket_gid, err);
	if (api->listen_fd < 0)
		rc = api->listen_fd;
	else if (api->epfd < 0 || api->signal_fd < 0 ||
		 watch(api, api->listen_fd, TAG_LISTEN, EPOLLIN, EPOLL_CTL_ADD) < 0 ||
		 watch(api, api->signal_fd, TAG_SIGNAL, EPOLLIN, EPOLL_CTL_ADD) < 0 ||
		 watch(api, c->bell.fd, TAG_BELL, EPOLLIN, EPOLL_CTL_ADD) < 0)
		rc = spw_fail(err, -errno, "cannot prepare the server: %s", strerror(errno));
	if (rc == 0)
		*out = api;
	else
		dp_api_free(api);
	return rc;
}

void
dp_api_run(struct dp_api *api)
{
	struct epoll_event ev[16];
	bool stop = false;

	while (!stop) {
		dp_bell_arm(&api->c->bell);
		int n = epoll_wait(api->epfd, ev, RTE_DIM(ev), TICK_MS);

		dp_bell_disarm(&api->c->bell);
		for (int i = 0; i < n; i++) {
			uint32_t tag = ev[i].data.u32;

			if (tag < CLIENTS_MAX && api->client[tag].fd >= 0)
				client_pump(api, &api->client[tag]);
			else if (tag == TAG_LISTEN)
				client_accept(api);
			else if (tag == TAG_SIGNAL)
				stop = true;
		}
		tick(api);
	}
}

void
dp_api_free(struct dp_api *api)
{
	if (!api)
		return;
	for (uint32_t i = 0; i < CLIENTS_MAX; i++)
		if (api->client[i].fd >= 0)
			client_close(api, &api->client[i], "data plane ends");
	if (api->listen_fd >= 0) {
		close(api->listen_fd);
		unlink(api->path);
	}
	if (api->signal_fd >= 0)
		close(api->signal_fd);
	if (api->epfd >= 0)
		close(api->epfd);
	free(api);
}
