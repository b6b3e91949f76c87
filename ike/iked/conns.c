/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's own notes about connections: what it needs to log changes of state, to send NAT
 * keepalives and to fit orphaned SAs to names. The engine is the truth about which connections
 * exist; these notes follow it. Never a secret here. Sorted by name, because every second all are
 * looked up. No input or output; one thread.
 */
#include "ike/iked/conns.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ike/bounds.h"

/* Index of the first whose name is not before this one. */
static size_t
lower_bound(const struct iked_conns *cs, const char *name)
{
	size_t low = 0, high = cs->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strncmp(cs->conn[mid].name, name, SPW_NAME_LEN) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct iked_conn *
iked_conns_find(const struct iked_conns *cs, const char *name)
{
	size_t i = lower_bound(cs, name);

	return i < cs->n && strncmp(cs->conn[i].name, name, SPW_NAME_LEN) == 0 ? &cs->conn[i]
									       : NULL;
}

static struct iked_conn *
insert(struct iked_conns *cs, const char *name)
{
	size_t i = lower_bound(cs, name);

	if (cs->n == cs->cap) {
		size_t cap = cs->cap ? 2 * cs->cap : 8;
		struct iked_conn *conn = realloc(cs->conn, cap * sizeof(*conn));

		if (!conn)
			return NULL;
		cs->conn = conn;
		cs->cap = cap;
	}
	memmove(&cs->conn[i + 1], &cs->conn[i], (cs->n++ - i) * sizeof(cs->conn[0]));
	cs->conn[i] = (struct iked_conn){0};
	return &cs->conn[i];
}

int
iked_conns_set(struct iked_conns *cs, const struct spw_ike_conn *conn)
{
	struct iked_conn *c = iked_conns_find(cs, conn->name);

	if (!c)
		c = insert(cs, conn->name);
	if (!c)
		return -ENOMEM;
	memcpy(c->name, conn->name, sizeof(c->name));
	c->tunnel = conn->tunnel;
	c->nat_keepalive_s = conn->nat_keepalive_s;
	c->local = conn->local;
	c->remote = conn->remote;
	return 0;
}

void
iked_conns_keep(struct iked_conns *cs, const struct spw_ike_status *rows, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		struct iked_conn *c = iked_conns_find(cs, rows[i].name);

		if (c)
			c->named = true;
	}
	for (size_t i = 0; i < cs->n; i++)
		if (cs->conn[i].named) {
			cs->conn[kept] = cs->conn[i];
			cs->conn[kept++].named = false;
		}
	cs->n = kept;
}

void
iked_conns_clear(struct iked_conns *cs)
{
	free(cs->conn);
	*cs = (struct iked_conns){0};
}

void
iked_conn_sent(struct iked_conn *c, uint64_t packets, uint64_t now_ns)
{
	/* fewer: an SA has ended */
	if (packets > c->sent && c->keepalive_at_ns != 0)
		c->keepalive_at_ns = now_ns + c->nat_keepalive_s * SPW_NS_PER_S;
	c->sent = packets;
}

bool
iked_conn_keepalive(struct iked_conn *c, bool nat_here, uint64_t now_ns)
{
	bool due;

	if (!nat_here || c->nat_keepalive_s == 0) {
		c->keepalive_at_ns = 0;
		return false;
	}
	due = c->keepalive_at_ns != 0 && c->keepalive_at_ns <= now_ns;
	if (due || c->keepalive_at_ns == 0)
		c->keepalive_at_ns = now_ns + c->nat_keepalive_s * SPW_NS_PER_S;
	return due;
}

bool
iked_name_ok(const char name[SPW_NAME_LEN])
{
	size_t len = strnlen(name, SPW_NAME_LEN);

	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("-_.", name[i]))
			return false;
	return len > 0 && len < SPW_NAME_LEN;
}

static const char *
conn_fault(const struct spw_ike_conn *c)
{
	if (c->psk_len == 0 || c->psk_len > SPW_IKE_PSK_MAX)
		return "the pre-shared key must have 1 to 256 bytes";
	if (c->n_ike == 0 || c->n_ike > SPW_IKE_PROPOSALS)
		return "1 to 8 IKE proposals are needed";
	if (c->n_esp == 0 || c->n_esp > SPW_IKE_PROPOSALS)
		return "1 to 8 ESP proposals are needed";
	if (c->n_local == 0 || c->n_local > SPW_SA_SELECTORS || c->n_remote == 0 ||
	    c->n_remote > SPW_SA_SELECTORS)
		return "1 to 8 traffic selectors a side are needed";
	if (c->fragment != 0 && (c->fragment < IKE_FRAGMENT_MIN || c->fragment > IKE_FRAGMENT_MAX))
		return "the size of IKE fragments must be 0 (none) or 576 to 9000 bytes";
	if (c->local_id.len > SPW_IKE_ID_MAX || c->remote_id.len > SPW_IKE_ID_MAX)
		return "an identity is longer than 128 bytes";
	if (!spw_addr_is_set(&c->local) || !spw_addr_is_set(&c->remote) ||
	    c->local.family != c->remote.family)
		return "local and remote address must be set and of one family";
	return NULL;
}

int
iked_conn_check(const struct spw_ike_conn *conn, struct spw_err *err)
{
	const char *fault;

	if (!iked_name_ok(conn->name))
		return spw_fail(
			err, -EINVAL,
			"the name of a connection has 1 to %d characters of a-z A-Z 0-9 - _ .",
			SPW_NAME_LEN - 1);
	fault = conn_fault(conn);
	if (fault)
		return spw_fail(err, -EINVAL, "connection '%s': %s", conn->name, fault);
	return 0;
}

const char *
iked_state_name(uint32_t state)
{
	static const char *const names[] = {
		[SPW_IKE_IDLE] = "idle",
		[SPW_IKE_CONNECTING] = "connecting",
		[SPW_IKE_ESTABLISHED] = "established",
		[SPW_IKE_REKEYING] = "rekeying",
		[SPW_IKE_CLOSING] = "closing",
	};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}
