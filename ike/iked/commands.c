/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The requests of controld (lib/msg_ike.def), one function each.
 *
 * A request is first checked against its row of the table: known number, element size, number
 * of elements (one, or none where the request has no content), descriptors only where they
 * belong. Then its handler checks what it says and either does all of it and answers, or returns
 * an error with a sentence and has changed nothing. Bodies may hold a pre-shared key; the caller
 * wipes them. Called from the server's event, on the one thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ike/iked/iked.h"

#define AREA	  "control"
#define DUMP_ROWS ((SPW_MSG_MAX - sizeof(struct spw_msg_hdr)) / sizeof(struct spw_ike_status))

static int
done(struct iked_client *c, const struct spw_msg *m)
{
	(void)iked_server_reply(c, &m->hdr, NULL, 0, 0, false);
	return 0;
}

static int
cmd_hello(struct iked_client *c, struct spw_msg *m, struct spw_err *err)
{
	const struct spw_ike_hello *h = (const struct spw_ike_hello *)m->body;
	struct spw_ike_hello_reply reply = {.instance = c->iked->instance};

	snprintf(reply.version, sizeof(reply.version), "%s", SPILLWAY_VERSION);
	c->subscribed = h->subscribe == 1;
	(void)iked_server_reply(c, &m->hdr, &reply, sizeof(reply), 1, false);
	return 0;
}

static int
cmd_socket_set(struct iked_client *c, struct spw_msg *m, struct spw_err *err)
{
	const struct spw_ike_socket *s = (const struct spw_ike_socket *)m->body;
	int rc;

	if (m->n_fds != 2)
		return spw_fail(err, -EINVAL,
				"two descriptors are needed, UDP 500 and UDP 4500; %u came",
				m->n_fds);
	rc = iked_udp_set(c->iked, &s->local, m->fds, err);
	if (rc != 0)
		return rc;
	m->n_fds = 0; /* taken */
	return done(c, m);
}

/* A restarted controld takes its duplicates back, because the ports cannot be bound twice. */
static int
cmd_socket_get(struct iked_client *c, struct spw_msg *m, struct spw_err *err)
{
	const struct spw_ike_socket *s = (const struct spw_ike_socket *)m->body;
	const int *fds = iked_udp_get(c->iked, &s->local);
	struct spw_msg_hdr hdr = {.number = m->hdr.number,
				  .flags = SPW_MSG_REPLY,
				  .seq = m->hdr.seq,
				  .count = 1,
				  .elem_size = sizeof(*s)};
	char text[SPW_ADDR_TEXT];

	if (!fds)
		return spw_fail(err, -ENOENT, "no sockets for %s were handed over",
				spw_addr_format(&s->local, text));
	if (spw_msg_send(c->fd, &hdr, s, fds, 2) != 0)
		c->dead = true;
	return 0;
}

/* What an earlier instance left with controld. */
static int
cmd_escrow_set(struct iked_client *c, struct spw_msg *m, struct spw_err *err)
{
	struct iked *d = c->iked;
	int rc;

	if (m->n_fds != 1)
		return spw_fail(err, -EINVAL, "one descriptor is needed, the escrow's; %u came",
				m->n_fds);
	if (d->engine)
		return spw_fail(err, -EEXIST, "the escrow of this instance is in use");
	rc = iked_escrow_replace(&d->escrow, m->fds[0], err);
	if (rc != 0)
		return rc;
	m->n_fds = 0; /* taken */
	spw_log(SPW_LOG_INFO, AREA, "escrow-taken", "records=%u secret=%d",
		ike_escrow_found(d->escrow.store), d->escrow.secret);
	return done(c, m);
}

static int
cmd_escrow_get(struct iked_client *c, struct spw_msg *m, struct spw_err *err)
{
	struct iked_escrow *e = &c->iked->escrow;
	struct spw_msg_hdr hdr = {
		.number = m->hdr.number, .flags = SPW_MSG_REPLY, .seq = m->hdr.seq};

	if (e->fd < 0)
		return spw_fail(err, -ENOENT, "there is no escrow: %s", e->cause);
	e->kept = true;
	if (spw_msg_send(c->fd, &hdr, NULL, &e->fd, 1) != 0)
		c->dead = true;
	return 0;
}

static int
cmd_conn_set(struct iked_client *c, struct spw_msg *m, struct spw_err *err)
{
	const struct spw_ike_conn *conn = (const struct spw_ike_conn *)m->body;
	struct iked *d = c->iked;
	bool known;
	int rc = iked_conn_check(conn, err);

	if (rc != 0)
		return rc;
	known = iked_conns_find(&d->conns, conn->name) != NULL;
	if (!d->engine)
		rc = iked_engine_start(d, err);
	if (rc == 0)
		rc = ike_engine_conn_set(d->engine, spw_clock_ns(), conn, err);
	if (rc != 0)
		return rc;
	if (iked_conns_set(&d->conns, conn) != 0)
		spw_log(SPW_LOG_ERROR, AREA, "conn-note-lost", "name=%s cause=\"no memory\"",
			conn->name);
	else
		iked_orphan_tell(d, iked_conns_find(&d->conns, conn->name));
	spw_log(known ? SPW_LOG_DEBUG : SPW_LOG_INFO, AREA, "conn-set",
		"name=%s tunnel=%" PRIu32 " generation=%" PRIu32 " new=%d", conn->name,
		conn->tunnel, conn->generation, !known);
	return done(c, m);
}

/* No rows for want of memory, not of connections. */
static bool
rows_are_missing(const struct iked *d, const struct spw_ike_status *rows)
{
	return !rows && d->engine && ike_engine_status(d->engine, NULL, 0) > 0;
}

/* Forget what the engine no longer has. */
static void
conns_follow(struct iked *d)
{
	size_t n;
	struct spw_ike_status *rows = iked_engine_rows(d, &n);

	if (!rows_are_missing(d, rows))
		iked_conns_keep(&d->conns, rows, n);
	free(rows);
}

static int
name_check(const char name[SPW_NAME_LEN], struct spw_err *err)
{
	if (iked_name_ok(name))
		return 0;
	return spw_fail(err, -EINVAL,
			"the name of a connection has 1 to %d characters of "
			"a-z A-Z 0-9 - _ .",
			SPW_NAME_LEN - 1);
}

static int
unknown(const char *name, struct spw_err *err)
{
	return spw_fail(err, -ENOENT, "there is no connection '%s'", name);
}

static int
cmd_conn_del(struct iked_client *c, struct spw_msg *m, struct spw_err *err)
{
	const struct spw_ike_conn_ref *ref = (const struct spw_ike_conn_ref *)m->body;
	struct iked *d = c->iked;

	if (name_check(ref->name, err) != 0)
		return -EINVAL;
	if (!d->engine || ike_engine_conn_del(d->engine, spw_clock_ns(), ref->name) != 0)
		return unknown(ref->name, err);
	spw_log(SPW_LOG_INFO, AREA, "conn-del", "name=%s", ref->name);
	conns_follow(d);
	return done(c, m);
}

static bool
tunnel_is_wanted(const struct iked *d, uint32_t tunnel)
{
	for (size_t i = 0; i < d->conns.n; i++)
		if (d->conns.conn[i].tunnel == tunnel)
			return true;
	return false;
}

/* Nobody will ever replace the orphans of a tunnel that is not configured any more. */
static void
orphans_unwanted_end(struct iked *d)
{
	for (size_t i = 0; i < d->dp.sas.n; i++)
		if (d->dp.sas.sa[i].orphan && !tunnel_is_wanted(d, d->dp.sas.sa[i].tunnel))
			iked_sas_replaced(&d->dp.sas, d->dp.sas.sa[i].tunnel, spw_clock_ns());
}

/*
 * All connections are here: what an earlier instance died over is done, records of connections that
 * are gone, or that negotiate with other settings now, are wiped.
 */
static void
escrow_settle(struct iked *d)
{
	unsigned int n = 0;

	if (d->engine)
		n = ike_engine_restored(d->engine, spw_clock_ns());
	else if (d->escrow.store)
		n = ike_escrow_sweep(d->escrow.store);
	if (n > 0)
		spw_log(SPW_LOG_WARNING, AREA, "escrow-swept", "records=%u", n);
}

static int
cmd_conn_sweep(struct iked_client *c, struct spw_msg *m, struct spw_err *err)
{
	const struct spw_ike_sweep *sweep = (const struct spw_ike_sweep *)m->body;
	struct iked *d = c->iked;

	if (d->engine) {
		ike_engine_conn_sweep(d->engine, spw_clock_ns(), sweep->generation);
		conns_follow(d);
	}
	escrow_settle(d);
	orphans_unwanted_end(d);
	iked_udp_sweep(d);
	return done(c, m);
}

static int
what_check(uint32_t what, struct spw_err *err)
{
	if (what == SPW_IKE_RESET_IKE || what == SPW_IKE_RESET_CHILD)
		return 0;
	return spw_fail(err, -EINVAL, "%" PRIu32 " is neither the IKE SA (1) nor the child SA (2)",
			what);
}

static int
cmd_reset(struct iked_client *c, struct spw_msg *m, struct spw_err *err)
{
	const struct spw_ike_reset *r = (const struct spw_ike_reset *)m->body;
	struct iked *d = c->iked;

	if (name_check(r->name, err) != 0 || what_check(r->what, err) != 0)
		return -EINVAL;
	if (!d->engine || ike_engine_reset(d->engine, spw_clock_ns(), r->name, r->what) != 0)
		return unknown(r->name, err);
	spw_log(SPW_LOG_INFO, AREA, "reset", "name=%s what=%s", r->name,
		r->what == SPW_IKE_RESET_IKE ? "ike" : "child");
	return done(c, m);
}

static int
cmd_rekey(struct iked_client *c, struct spw_msg *m, struct spw_err *err)
{
	const struct spw_ike_reset *r = (const struct spw_ike_reset *)m->body;
	struct iked *d = c->iked;
	int rc;

	if (name_check(r->name, err) != 0 || what_check(r->what, err) != 0)
		return -EINVAL;
	rc = d->engine ? ike_engine_rekey(d->engine, spw_clock_ns(), r->name, r->what) : -ENOENT;
	if (rc == -ENOENT)
		return unknown(r->name, err);
	if (rc != 0) /* EBUSY: clients read EAGAIN as their own connection's */
		return spw_fail(err, -EBUSY,
				"'%s' is not established or is busy with another exchange; "
				"try again in a moment",
				r->name);
	return done(c, m);
}

static void
rows_add_orphans(const struct iked *d, struct spw_ike_status *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		rows[i].children += (uint32_t)iked_sas_carrying(&d->dp.sas, rows[i].tunnel);
		rows[i].escrow &= d->escrow.kept;
	}
}

static int
cmd_get_conns(struct iked_client *c, struct spw_msg *m, struct spw_err *err)
{
	size_t n, at = 0;
	struct spw_ike_status *rows = iked_engine_rows(c->iked, &n);
	bool more;

	if (rows_are_missing(c->iked, rows))
		return spw_fail(err, -ENOMEM, "no memory for the state of the connections");
	rows_add_orphans(c->iked, rows, n);
	do {
		size_t part = n - at < DUMP_ROWS ? n - at : DUMP_ROWS;

		more = at + part < n;
		if (!iked_server_reply(c, &m->hdr, rows ? rows + at : NULL, sizeof(*rows),
				       (uint16_t)part, more))
			break;
		at += part;
	} while (more);
	free(rows);
	return 0;
}

static const struct command {
	uint16_t number;
	bool takes_fds;
	int (*run)(struct iked_client *c, struct spw_msg *m, struct spw_err *err);
} commands[] = {
	{SPW_IKE_HELLO, false, cmd_hello},	     {SPW_IKE_SOCKET_SET, true, cmd_socket_set},
	{SPW_IKE_SOCKET_GET, false, cmd_socket_get}, {SPW_IKE_CONN_SET, false, cmd_conn_set},
	{SPW_IKE_CONN_DEL, false, cmd_conn_del},     {SPW_IKE_CONN_SWEEP, false, cmd_conn_sweep},
	{SPW_IKE_RESET, false, cmd_reset},	     {SPW_IKE_REKEY, false, cmd_rekey},
	{SPW_IKE_ESCROW_SET, true, cmd_escrow_set},  {SPW_IKE_ESCROW_GET, false, cmd_escrow_get},
	{SPW_IKE_GET_CONNS, false, cmd_get_conns},
};

static const struct command *
command_find(uint16_t number)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (commands[i].number == number)
			return &commands[i];
	return NULL;
}

int
iked_command(struct iked_client *c, struct spw_msg *m, struct spw_err *err)
{
	const struct command *cmd = command_find(m->hdr.number);
	const struct spw_ike_msg_info *info = spw_ike_msg_info(m->hdr.number);
	uint16_t want;

	if (!cmd || !info || m->hdr.flags != 0)
		return spw_fail(err, -EOPNOTSUPP, "message %u is not a request known here",
				m->hdr.number);
	want = info->request_size > 0 ? 1 : 0;
	if (m->hdr.count != want || (want && m->hdr.elem_size != info->request_size))
		return spw_fail(
			err, -EINVAL,
			"%s takes %u element of %u bytes, not %u of %u; are both daemons of "
			"one build?",
			info->name, want, info->request_size, m->hdr.count, m->hdr.elem_size);
	if (m->n_fds > 0 && !cmd->takes_fds)
		return spw_fail(err, -EINVAL, "%s takes no descriptors", info->name);
	return cmd->run(c, m, err);
}
