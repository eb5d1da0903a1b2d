/*
 * tls_pair.h - what a listener shows to its clients: certificates with their keys, and whom it lets present one.
 *
 * Checked where they are written, so that a key that does not belong to its certificate never reaches a worker.
 */
#ifndef GW_PROTO_TLS_PAIR_H
#define GW_PROTO_TLS_PAIR_H

#include "base/gw.h"

enum gw_tls_mode { GW_TLS_OFF, GW_TLS_OPTIONAL, GW_TLS_REQUIRED };

struct gw_tls_certificate { struct gw_str name, chain_pem, key_pem; };

/* settings.tls */
struct gw_tls_settings {
	int mode;                            /* of the data port: OPTIONAL takes plain HTTP as well */
	int client_auth;                     /* whether clients show a certificate of their own */
	struct gw_str client_ca_pem;
	const struct gw_tls_certificate *certificates; /* the first serves names that no other has */
	size_t n_certificates;
	uint8_t digest[32];                  /* of all of it: equal ones need no new listener */
};

/* Is `chain` PEM that begins with a certificate, and `key` (absent: not looked at) the private key of that one? */
enum gw_rc gw_tls_pair_check(struct gw_str chain, struct gw_str key, struct gw_error *err) GW_MUST_CHECK;

#endif
