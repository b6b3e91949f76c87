/* SPDX-License-Identifier: BSD-3-Clause */
/* Private to ike/: IKEv2 messages on the wire (RFC 7296 3), parsed and built. */
#ifndef SPW_IKE_WIRE_H
#define SPW_IKE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ike/crypto.h"
#include "lib/spillway.h"

#define IKE_HEADER_LEN	   28
#define IKE_PAYLOAD_HDR	   4
#define IKE_MAX_PAYLOADS   128
#define IKE_MAX_PROPOSALS  32
#define IKE_MAX_TRANSFORMS 256 /* in all proposals of one message */
#define IKE_MAX_NOTIFIES   64
#define IKE_MAX_DELETES	   16
#define IKE_MAX_TS	   254 /* a side; the field holds one more */
#define IKE_NONCE_MIN	   16
#define IKE_NONCE_MAX	   256
#define IKE_COOKIE_MAX	   64
#define IKE_NATD_LEN	   20
#define IKE_FRAGMENTS_MAX  64 /* pieces of one message (RFC 7383) */

enum ike_exchange_type {
	IKE_X_SA_INIT = 34,
	IKE_X_AUTH = 35,
	IKE_X_CREATE_CHILD = 36,
	IKE_X_INFORMATIONAL = 37,
};
enum ike_flag { IKE_FLAG_INITIATOR = 0x08, IKE_FLAG_RESPONSE = 0x20 };
enum ike_payload_type {
	IKE_P_NONE = 0,
	IKE_P_SA = 33,
	IKE_P_KE = 34,
	IKE_P_IDI = 35,
	IKE_P_IDR = 36,
	IKE_P_CERT = 37,
	IKE_P_CERTREQ = 38,
	IKE_P_AUTH = 39,
	IKE_P_NONCE = 40,
	IKE_P_NOTIFY = 41,
	IKE_P_DELETE = 42,
	IKE_P_VENDOR = 43,
	IKE_P_TSI = 44,
	IKE_P_TSR = 45,
	IKE_P_SK = 46,
	IKE_P_CP = 47,
	IKE_P_EAP = 48,
	IKE_P_SKF = 53, /* RFC 7383 2.5 */
};
enum ike_protocol { IKE_PROTO_NONE = 0, IKE_PROTO_IKE = 1, IKE_PROTO_AH = 2, IKE_PROTO_ESP = 3 };
enum ike_notify_type {
#define IKE_NOTIFY(name, number) IKE_N_##name = (number),
#include "ike/notify.def"
	IKE_N_FIRST_STATUS = 16384,
};
#define IKE_AUTH_PSK 2

struct ike_header {
	uint64_t spi_i;
	uint64_t spi_r;
	uint8_t next;
	uint8_t version; /* major << 4 | minor */
	uint8_t exchange;
	uint8_t flags; /* enum ike_flag; other bits are kept as received and never looked at */
	uint32_t mid;
	uint32_t len;
};

/* `bad`: an attribute or identifier that makes this transform unacceptable (RFC 7296 3.3.6). */
struct ike_transform {
	uint8_t type;
	bool bad;
	uint16_t id;
	uint16_t key_bits; /* 0 = no Key Length attribute */
};
struct ike_proposal {
	uint8_t number;
	uint8_t protocol;
	uint8_t spi_len;
	uint64_t spi;	/* of 4 or 8 bytes, else 0 */
	uint16_t first; /* its transforms in ike_sa_payload.transform */
	uint16_t count;
};
struct ike_sa_payload {
	uint16_t n_proposals;
	uint16_t n_transforms;
	struct ike_proposal proposal[IKE_MAX_PROPOSALS];
	struct ike_transform transform[IKE_MAX_TRANSFORMS];
};
struct ike_notify {
	uint16_t type;
	uint8_t protocol;
	uint8_t spi_len;
	uint32_t spi; /* when spi_len is 4 */
	struct ike_chunk data;
};
struct ike_delete {
	uint8_t protocol;
	uint16_t count;
	const uint8_t *spis; /* count * 4 bytes (ESP, AH); nothing for IKE */
};
/* An identity; `raw` is type | reserved | data as received: that is what AUTH covers. */
struct ike_identity {
	uint8_t type;
	struct ike_chunk data;
	struct ike_chunk raw;
};
struct ike_ts_payload {
	uint16_t count;
	struct spw_selector ts[IKE_MAX_TS];
};

/*
 * One parsed message: every field checked against the bytes that were there, chunks borrowed from
 * the datagram. A payload that was absent has its has_ flag clear and its fields zero.
 */
struct ike_msg {
	struct ike_header hdr;
	bool has_sa, has_ke, has_nonce, has_idi, has_idr, has_auth, has_tsi, has_tsr, has_cp,
		has_eap;
	uint8_t critical; /* type of an unknown payload with the critical bit, 0 = none */
	uint8_t auth_method;
	uint16_t ke_group;
	uint16_t n_notifies;
	uint16_t n_deletes;
	struct ike_chunk ke;
	struct ike_chunk nonce;
	struct ike_chunk auth;
	struct ike_identity idi;
	struct ike_identity idr;
	struct ike_sa_payload sa;
	struct ike_ts_payload tsi;
	struct ike_ts_payload tsr;
	struct ike_notify notify[IKE_MAX_NOTIFIES];
	struct ike_delete del[IKE_MAX_DELETES];
};

/* Where the encrypted payload of a message stands. */
struct ike_sk {
	uint8_t inner;	   /* type of the first payload inside */
	uint8_t critical;  /* type of an unknown one before it with the critical bit, 0 = none */
	uint16_t fragment; /* number from 1, of `total`, of an SKF payload; 0 with SK */
	uint16_t total;
	size_t aad_len; /* header .. SK generic header, with SKF also number and total */
};

/*
 * Parse and check a header: length of the datagram equal to the header's Length, major version
 * looked at by the caller. 0, or -EBADMSG (RFC 7296 3.1).
 */
int ike_wire_header(struct ike_header *h, const uint8_t *bytes, size_t len)
	__attribute__((warn_unused_result));
/*
 * Walk the unprotected payloads to the SK or SKF payload, which must be the last and end the
 * message; an SKF payload numbers itself 1..total, total at most IKE_FRAGMENTS_MAX.
 * 0; -ENOENT when there is none; -EBADMSG when malformed; -E2BIG above IKE_MAX_PAYLOADS.
 */
int ike_wire_find_sk(const struct ike_header *h, const uint8_t *bytes, size_t len,
		     struct ike_sk *sk) __attribute__((warn_unused_result));
/*
 * Parse a chain of payloads whose first is of type `first` into `m`, which is cleared but for its
 * header. 0; -EBADMSG when anything is malformed, doubled, or an SK payload is met; -E2BIG when
 * a count is above its cap. An unknown critical payload is reported in m->critical with 0.
 */
int ike_wire_payloads(struct ike_msg *m, uint8_t first, const uint8_t *bytes, size_t len)
	__attribute__((warn_unused_result));
/* The payload content parsers, for the chain and for tests. Same errors. */
int ike_wire_sa(struct ike_sa_payload *sa, struct spw_reader r) __attribute__((warn_unused_result));
int ike_wire_ts(struct ike_ts_payload *ts, struct spw_reader r) __attribute__((warn_unused_result));
/* The first notify of a type; NULL when there is none. */
const struct ike_notify *ike_wire_notify(const struct ike_msg *m, uint16_t type);
/* The first error notify (type below 16384); NULL when there is none. */
const struct ike_notify *ike_wire_error(const struct ike_msg *m);
/* SPI number i of a Delete, host order. */
uint32_t ike_wire_delete_spi(const struct ike_delete *d, unsigned int i);
/* "NO_PROPOSAL_CHOSEN"; "unknown" when not in notify.def. */
const char *ike_notify_name(uint16_t type);

/* A message under construction in a caller's buffer. */
struct ike_builder {
	struct spw_writer w;
	uint8_t *next;	  /* where the type of the payload to come is put */
	uint8_t *payload; /* generic header of the open payload */
	uint8_t *sk;	  /* generic header of SK, NULL in a plain message */
	uint8_t *inner;	  /* start of the plaintext */
};

/* Start a message; `h` gives SPIs, exchange, flags and message id. */
void ike_build_start(struct ike_builder *b, void *buf, size_t size, const struct ike_header *h);
/* Open and close one payload; between them the content is written to b->w. */
void ike_build_open(struct ike_builder *b, uint8_t type);
void ike_build_close(struct ike_builder *b);
/* From here on payloads go into an SK payload sealed by ike_build_seal(). */
void ike_build_sk(struct ike_builder *b, const struct ike_cipher *c);
/* Forget the payloads inside SK written so far (an answer becomes an error). */
void ike_build_rewind(struct ike_builder *b);
/* Finish a plain message. 0 and the length, or -ENOBUFS. */
int ike_build_finish(struct ike_builder *b, size_t *len) __attribute__((warn_unused_result));
/* Pad, seal and finish a protected message. 0 and the length, -ENOBUFS or the cipher's error. */
int ike_build_seal(struct ike_builder *b, struct ike_cipher *c, size_t *len)
	__attribute__((warn_unused_result));

/* A payload of given content. */
void ike_build_bytes(struct ike_builder *b, uint8_t type, const void *bytes, size_t len);
void ike_build_ke(struct ike_builder *b, uint16_t group, const void *bytes, size_t len);
/* spi: 0 = none, else a 4-byte ESP SPI. */
void ike_build_notify(struct ike_builder *b, uint16_t type, uint8_t protocol, uint32_t spi,
		      const void *data, size_t len);
/*
 * SA payload with n proposals, numbered from `number`; spi_len 0, 4 or 8. Groups are left out when
 * `with_group` is false (IKE_AUTH, RFC 7296 1.2).
 */
void ike_build_sa(struct ike_builder *b, uint8_t protocol, uint64_t spi, uint8_t spi_len,
		  const struct spw_ike_proposal *p, unsigned int n, uint8_t number,
		  bool with_group);
void ike_build_id(struct ike_builder *b, uint8_t type, const struct spw_ike_id *id);
void ike_build_auth(struct ike_builder *b, const void *auth, size_t len);
void ike_build_ts(struct ike_builder *b, uint8_t type, const struct spw_selector *ts,
		  unsigned int n);
/* Delete of one ESP SA by our inbound SPI; spi 0 = the IKE SA itself. */
void ike_build_delete(struct ike_builder *b, const uint32_t *spis, unsigned int n);

#endif
