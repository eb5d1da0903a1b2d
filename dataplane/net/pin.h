/*
 * pin.h - trusting exactly one authority, known by the SHA-256 of its certificate.
 *
 * For the channel to the control plane: the join token names the authority, so nobody copies certificates by hand and
 * no public authority can issue one for us.  The whole of OpenSSL's verification is replaced by: an authority with
 * this fingerprint stands in the peer's chain, and the chain verifies (signatures, dates, purpose) up to it.  Host names
 * are not compared: this authority issues for nobody but this control plane.
 *
 * The context arrives as void *, so that no type of OpenSSL leaves this folder.
 */
#ifndef DP_NET_PIN_H
#define DP_NET_PIN_H

#include "base/gw.h"

struct dp_pin {
	uint8_t fingerprint[32];
	char why[160];          /* after a refusal: what was wrong, for the log */
};

/* From now on connections of this SSL_CTX accept only that.  `pin` is borrowed for the context's life. */
void dp_pin_context(void *ssl_ctx, struct dp_pin *pin);

#endif
