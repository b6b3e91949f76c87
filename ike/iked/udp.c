/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The UDP sockets of IKE, ports 500 and 4500 (RFC 7296 2.23, RFC 3948).
 *
 * controld opens and binds them and keeps a duplicate, so a restart of this daemon shows nobody
 * an ICMP port unreachable and what arrives meanwhile waits in the socket. Each is bound to its
 * local address, so source and destination are known without ancillary data. On 4500 a message of
 * IKE starts with four zero bytes, which are cut off and put on here; the data plane takes the ESP
 * packets before they come to the kernel, and a stray one is dropped.
 *
 * A flood of first messages, which cost their sender nothing, must not stand before what the peers
 * of living tunnels say: each wake-up empties the sockets, handles everything else at once, and
 * puts first messages aside in a ring of IKED_STRANGERS, from which a few are taken each round of
 * the event loop. What does not fit is dropped, as the kernel would have done with all alike.
 *
 * A pair is closed when controld has told all connections, none has its address, and what was said
 * to the peers of those that had it is answered or given up.
 *
 * Nothing a socket reports (ICMP errors come as errno) changes any state: that is a hint a stranger
 * can forge (RFC 7296 2.4).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ike/iked/iked.h"
#include "ike/wire.h"

#define MARKER_LEN 4
#define BURST	   64 /* datagrams taken before other events get their turn */
#define TURN	   8  /* of them, first messages that waited */
#define AREA	   "udp"

static const uint16_t ports[2] = {500, 4500};
static struct spw_log_limit odd_limit = SPW_LOG_LIMIT(1, 5);

enum iked_udp_kind
iked_udp_classify(const uint8_t *bytes, size_t len)
{
	if (len == 1 && bytes[0] == 0xff)
		return IKED_UDP_KEEPALIVE;
	if (len <= MARKER_LEN)
		return IKED_UDP_SHORT;
	return spw_get_be32(bytes) == 0 ? IKED_UDP_IKE : IKED_UDP_ESP;
}

bool
iked_udp_is_first(const uint8_t *bytes, size_t len)
{
	struct ike_header h;

	return ike_wire_header(&h, bytes, len) == 0 && h.exchange == IKE_X_SA_INIT &&
	       (h.flags & IKE_FLAG_RESPONSE) == 0;
}

static void
strangers_have_a_turn(struct iked *d)
{
	static const struct timeval next_round = {0, 0};

	if (d->strangers.n > 0)
		evtimer_add(d->strangers.turn, &next_round);
}

static void
stranger_put_aside(struct iked *d, const struct ike_datagram *dg)
{
	struct iked_strangers *q = &d->strangers;
	struct iked_stranger *s = &q->at[(q->first + q->n) % IKED_STRANGERS];

	s->bytes = q->n < IKED_STRANGERS ? malloc(dg->len) : NULL;
	if (!s->bytes)
		return; /* as lost on the way */
	memcpy(s->bytes, dg->bytes, dg->len);
	s->d = *dg;
	s->d.bytes = s->bytes;
	q->n++;
}

static struct iked_stranger
stranger_take(struct iked_strangers *q)
{
	struct iked_stranger s = q->at[q->first];

	q->first = (q->first + 1) % IKED_STRANGERS;
	q->n--;
	return s;
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct iked *d = arg;

	for (int i = 0; i < TURN && d->strangers.n > 0; i++) {
		struct iked_stranger s = stranger_take(&d->strangers);

		ike_engine_input(d->engine, spw_clock_ns(), &s.d);
		free(s.bytes);
	}
	strangers_have_a_turn(d);
	iked_engine_settle(d);
}

int
iked_udp_start(struct iked *d)
{
	d->strangers.turn = evtimer_new(d->base, on_turn, d);
	return d->strangers.turn ? 0 : -ENOMEM;
}

static void
datagram_take(struct iked_socket *s, int which, const struct sockaddr_storage *from,
	      const uint8_t *bytes, size_t len)
{
	struct ike_datagram dg = {
		.local = s->local, .local_port = ports[which], .bytes = bytes, .len = len};

	if (spw_addr_from_sockaddr(&dg.remote, &dg.remote_port, from) != 0)
		return;
	if (which == 1) {
		if (iked_udp_classify(bytes, len) != IKED_UDP_IKE)
			return;
		dg.bytes += MARKER_LEN;
		dg.len -= MARKER_LEN;
	}
	if (dg.len == 0 || dg.len > IKE_DATAGRAM_MAX || !s->iked->engine)
		return;
	if (iked_udp_is_first(dg.bytes, dg.len))
		stranger_put_aside(s->iked, &dg);
	else
		ike_engine_input(s->iked->engine, spw_clock_ns(), &dg);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	static uint8_t buf[IKE_DATAGRAM_MAX + MARKER_LEN + 1];
	struct iked_socket *s = arg;
	int which = fd == s->fd[1];

	for (int i = 0; i < BURST; i++) {
		struct sockaddr_storage from;
		socklen_t from_len = sizeof(from);
		ssize_t n = recvfrom(fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_TRUNC,
				     (struct sockaddr *)&from, &from_len);

		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0 || (size_t)n >= sizeof(buf)) /* an ICMP error, or too long to be ours */
			continue;
		datagram_take(s, which, &from, buf, (size_t)n);
	}
	strangers_have_a_turn(s->iked);
	iked_engine_settle(s->iked);
}

static struct iked_socket *
socket_find(const struct iked *d, const struct spw_addr *local)
{
	for (struct iked_socket *s = d->sockets; s; s = s->next)
		if (spw_addr_equal(&s->local, local))
			return s;
	return NULL;
}

static void
socket_free(struct iked_socket *s)
{
	for (int i = 0; i < 2; i++) {
		if (s->readable[i])
			event_free(s->readable[i]);
		if (s->fd[i] >= 0)
			close(s->fd[i]);
	}
	free(s);
}

/* A datagram socket bound to the address and to port 500 or 4500? */
static int
socket_check(int fd, const struct spw_addr *local, uint16_t want, struct spw_err *err)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss), type_len = sizeof(int);
	char text[SPW_ADDR_TEXT];
	struct spw_addr bound;
	uint16_t port;
	int type = 0;

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_len) < 0 || type != SOCK_DGRAM)
		return spw_fail(err, -EINVAL, "the descriptor for port %u is not a UDP socket",
				want);
	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0 ||
	    spw_addr_from_sockaddr(&bound, &port, &ss) != 0 || port != want ||
	    !spw_addr_equal(&bound, local))
		return spw_fail(err, -EINVAL,
				"the socket for %s port %u is bound to something else",
				spw_addr_format(local, text), want);
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return spw_fail(err, -errno, "a socket cannot be made non-blocking");
	return 0;
}

static struct iked_socket *
socket_new(struct iked *d, const struct spw_addr *local, const int fds[2])
{
	struct iked_socket *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	*s = (struct iked_socket){.iked = d, .local = *local, .fd = {-1, -1}};
	for (int i = 0; i < 2; i++) {
		s->readable[i] = event_new(d->base, fds[i], EV_READ | EV_PERSIST, on_readable, s);
		if (!s->readable[i] || event_add(s->readable[i], NULL) < 0) {
			socket_free(s); /* the descriptors stay the caller's */
			return NULL;
		}
	}
	memcpy(s->fd, fds, sizeof(s->fd));
	return s;
}

static void
socket_unlink(struct iked *d, struct iked_socket *old)
{
	for (struct iked_socket **p = &d->sockets; *p; p = &(*p)->next)
		if (*p == old) {
			*p = old->next;
			return;
		}
}

int
iked_udp_set(struct iked *d, const struct spw_addr *local, const int fds[2], struct spw_err *err)
{
	struct iked_socket *s, *old = socket_find(d, local);
	char text[SPW_ADDR_TEXT];

	for (int i = 0; i < 2; i++) {
		int rc = socket_check(fds[i], local, ports[i], err);

		if (rc != 0)
			return rc;
	}
	s = socket_new(d, local, fds);
	if (!s)
		return spw_fail(err, -ENOMEM, "no memory for a socket");
	if (old) {
		socket_unlink(d, old);
		socket_free(old);
	}
	s->next = d->sockets;
	d->sockets = s;
	spw_log(SPW_LOG_INFO, AREA, "socket", "local=%s ports=500,4500 replaced=%d",
		spw_addr_format(local, text), old != NULL);
	return 0;
}

static bool
is_used(const struct iked *d, const struct iked_socket *s)
{
	return d->engine && ike_engine_uses(d->engine, &s->local);
}

void
iked_udp_sweep(struct iked *d)
{
	for (struct iked_socket *s = d->sockets; s; s = s->next)
		s->leaving = true;
	for (size_t i = 0; i < d->conns.n; i++) {
		struct iked_socket *s = socket_find(d, &d->conns.conn[i].local);

		if (s)
			s->leaving = false;
	}
}

void
iked_udp_reap(struct iked *d)
{
	struct iked_socket *s, *next;
	char text[SPW_ADDR_TEXT];

	for (s = d->sockets; s; s = next) {
		next = s->next;
		if (!s->leaving || is_used(d, s))
			continue;
		spw_log(SPW_LOG_INFO, AREA, "socket-closed", "local=%s",
			spw_addr_format(&s->local, text));
		socket_unlink(d, s);
		socket_free(s);
	}
}

const int *
iked_udp_get(const struct iked *d, const struct spw_addr *local)
{
	const struct iked_socket *s = socket_find(d, local);

	return s ? s->fd : NULL;
}

void
iked_udp_stop(struct iked *d)
{
	while (d->sockets) {
		struct iked_socket *s = d->sockets;

		d->sockets = s->next;
		socket_free(s);
	}
	while (d->strangers.n > 0)
		free(stranger_take(&d->strangers).bytes);
	if (d->strangers.turn)
		event_free(d->strangers.turn);
}

static void
send_out(struct iked *d, const struct spw_addr *local, int which, const struct spw_addr *remote,
	 uint16_t remote_port, struct iovec *iov, size_t n_iov)
{
	const struct iked_socket *s = socket_find(d, local);
	struct sockaddr_storage to;
	char text[SPW_ADDR_TEXT], there[SPW_ADDR_TEXT];
	struct msghdr m = {.msg_name = &to,
			   .msg_namelen = spw_addr_to_sockaddr(remote, remote_port, &to),
			   .msg_iov = iov,
			   .msg_iovlen = n_iov};

	/* A pending ICMP error is reported once, in place of sending. */
	if (s && (sendmsg(s->fd[which], &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ||
		  sendmsg(s->fd[which], &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0))
		return;
	spw_log_limited(&odd_limit, SPW_LOG_WARNING, AREA, "not-sent",
			"local=%s remote=%s cause=\"%s\"", spw_addr_format(local, text),
			spw_addr_format(remote, there),
			s ? strerror(errno) : "no socket for this local address yet");
}

void
iked_op_send(void *ctx, const struct ike_datagram *dg)
{
	static const uint8_t marker[MARKER_LEN];
	struct iovec iov[2] = {{(void *)(uintptr_t)marker, MARKER_LEN},
			       {(void *)(uintptr_t)dg->bytes, dg->len}};
	int which = dg->local_port == ports[1];

	send_out(ctx, &dg->local, which, &dg->remote, dg->remote_port, which ? iov : iov + 1,
		 which ? 2 : 1);
}

void
iked_udp_keepalive(struct iked *d, const struct spw_addr *local, const struct spw_addr *remote,
		   uint16_t remote_port)
{
	uint8_t byte = 0xff;
	struct iovec iov = {&byte, 1};

	send_out(d, local, 1, remote, remote_port ? remote_port : ports[1], &iov, 1);
}
