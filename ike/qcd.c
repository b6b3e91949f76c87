/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Quick crash detection (RFC 6290), as maker and as taker of tokens.
 *
 * A token is a promise made inside an IKE SA: "whoever shows you this has lost it". It is a keyed
 * hash of both SPIs and the taker's address, so nothing is kept for it, and what one peer learns is
 * worth nothing from or for another. Its secret lives in the escrow and ends with it: without an
 * escrow no token is given. It goes out in IKE_AUTH and, once a peer has shown that it knows of
 * tokens, again for each successor of the IKE SA, in the answer to its rekey or after ours in
 * a request of its own (RFC 6290 4.3).
 *
 * It is shown with INVALID_IKE_SPI when a protected request names SPIs that no IKE SA has: to the
 * address of a configured peer, within the rate for strangers, never as more than 1.3 times what
 * came, never while an IKE SA of that pair of SPIs stands in either role, or a dial of ours waits
 * for the answer that may make one of them (who sees that answer on its way knows both), and not
 * before all that an earlier process left in escrow was taken: it may be that very SA.
 *
 * As taker we keep the peer's token with the IKE SA. A bare answer with both SPIs of that SA and
 * the token ends it and its children silently, and we dial. Any other token changes nothing.
 * One thread.
 */
#include <sodium.h>
#include <string.h>

#include "ike/engine.h"

#define TOKEN_MIN 16 /* RFC 6290 4.1 */
#define TOKEN_MAX 128
#define TOKENS	  4 /* looked at in one message, RFC 6290 4.5 */

void
ike_qcd_token(const uint8_t key[IKE_ESCROW_KEY], uint64_t spi_i, uint64_t spi_r,
	      const struct spw_addr *taker, uint8_t out[IKE_QCD_LEN])
{
	uint8_t facts[16 + 1 + sizeof(taker->bytes)], whole[crypto_auth_hmacsha256_BYTES];

	spw_put_be64(facts, spi_i);
	spw_put_be64(facts + 8, spi_r);
	facts[16] = taker->family;
	memcpy(facts + 17, taker->bytes, sizeof(taker->bytes));
	crypto_auth_hmacsha256(whole, facts, sizeof(facts), key);
	memcpy(out, whole, IKE_QCD_LEN);
	spw_wipe(whole, sizeof(whole));
}

void
ike_qcd_begin(struct ike_engine *e)
{
	uint8_t key[IKE_ESCROW_KEY];

	if (!e->config.escrow || ike_escrow_key(e->config.escrow))
		return;
	e->config.ops->random(e->config.ctx, key, sizeof(key));
	ike_escrow_key_set(e->config.escrow, key);
	spw_wipe(key, sizeof(key));
}

void
ike_qcd_give(const struct ike_sa *sa, struct ike_builder *b)
{
	const struct ike_escrow *esc = sa->e->config.escrow;
	uint8_t token[IKE_QCD_LEN];

	if (!esc)
		return;
	ike_qcd_token(ike_escrow_key(esc), sa->spi_i, sa->spi_r, &sa->remote, token);
	ike_build_notify(b, IKE_N_QCD_TOKEN, IKE_PROTO_IKE, 0, token, sizeof(token));
	spw_wipe(token, sizeof(token));
}

void
ike_qcd_take(struct ike_sa *sa, const struct ike_msg *m)
{
	const struct ike_notify *n = ike_wire_notify(m, IKE_N_QCD_TOKEN);

	if (!n || n->data.len < TOKEN_MIN || n->data.len > TOKEN_MAX)
		return;
	ike_touch(sa);
	ike_qcd_forget(sa);
	if (ike_blob_set(&sa->token, n->data.bytes, n->data.len) != 0)
		spw_log_limited(&sa->e->log, SPW_LOG_WARNING, "ike", "no-memory", "what=token");
}

void
ike_qcd_forget(struct ike_sa *sa)
{
	if (sa->token.bytes)
		spw_wipe(sa->token.bytes, sa->token.len);
	ike_blob_free(&sa->token);
}

bool
ike_qcd_known(const struct ike_sa *sa)
{
	return sa->token.len != 0 && sa->e->config.escrow;
}

int
ike_qcd_start(struct ike_sa *sa)
{
	struct ike_builder b;
	int rc;

	ike_request_begin(sa, &b, IKE_X_INFORMATIONAL);
	ike_qcd_give(sa, &b);
	rc = ike_request_send(sa, &b, IKE_TASK_PROBE);
	if (rc == 0)
		sa->token_owed = false;
	return rc;
}

/* One of the tokens of a message is that of this SA. Constant time. */
static bool
shown(const struct ike_sa *sa, const struct ike_msg *m)
{
	unsigned int looked = 0;
	bool good = false;

	for (unsigned int i = 0; i < m->n_notifies && looked < TOKENS; i++) {
		const struct ike_notify *n = &m->notify[i];

		if (n->type != IKE_N_QCD_TOKEN || n->data.len != sa->token.len)
			continue;
		looked++;
		good |= spw_bytes_equal(n->data.bytes, sa->token.bytes, sa->token.len);
	}
	return good;
}

bool
ike_qcd_heard(struct ike_sa *sa, const struct ike_datagram *d, const struct ike_header *h)
{
	struct ike_msg m = {.hdr = *h};

	if (sa->token.len == 0 || h->spi_i != sa->spi_i || h->spi_r != sa->spi_r ||
	    sa->state == IKE_SA_GONE || sa->state == IKE_SA_DEAD)
		return false;
	if (ike_wire_payloads(&m, h->next, d->bytes + IKE_HEADER_LEN, d->len - IKE_HEADER_LEN) ||
	    (!ike_wire_notify(&m, IKE_N_INVALID_IKE_SPI) &&
	     !ike_wire_notify(&m, IKE_N_INVALID_SPI)) ||
	    !shown(sa, &m))
		return false;
	/* what the peer had rekeyed it may well have given up: children live on with the survivor
	 */
	if (sa->req.rival && sa->req.task == IKE_TASK_IKE_REKEY)
		ike_rekey_adopt(sa);
	spw_log(SPW_LOG_WARNING, "ike", "peer-crashed", "conn=%s spi_i=%016llx state=%s",
		sa->conn ? sa->conn->set.name : "-", (unsigned long long)sa->spi_i,
		ike_state_name(sa->state));
	if (sa->conn && sa->state == IKE_SA_ESTABLISHED) {
		ike_sa_reason(sa, "the peer has lost its IKE SA: it crashed or started anew");
		sa->conn->next_try = 0;
	}
	ike_state_set(sa, IKE_SA_DEAD);
	return true;
}

/* A token for these SPIs may be shown to whoever sent this. */
static bool
may_show(const struct ike_engine *e, const struct ike_datagram *d, const struct ike_header *h)
{
	const struct ike_escrow *esc = e->config.escrow;
	const struct ike_sa *sa = NULL;

	if (!esc || ike_escrow_found(esc) != 0 || h->spi_r == 0 ||
	    10 * IKE_QCD_ANSWER > 13 * d->len)
		return false;
	while ((sa = ike_index_next(e, IKE_MARK_DIALLED, h->spi_i, sa)) != NULL)
		if (sa->spi_r == h->spi_r || sa->state == IKE_SA_INIT_SENT)
			return false;
	return ike_peer_known(e, &d->remote);
}

void
ike_qcd_answer(struct ike_engine *e, const struct ike_datagram *d, const struct ike_header *h)
{
	uint8_t token[IKE_QCD_LEN];

	if (!may_show(e, d, h)) {
		ike_reply_plain(e, d, h, IKE_N_INVALID_IKE_SPI, NULL, 0);
		return;
	}
	ike_qcd_token(ike_escrow_key(e->config.escrow), h->spi_i, h->spi_r, &d->remote, token);
	ike_reply_token(e, d, h, token, sizeof(token));
}
