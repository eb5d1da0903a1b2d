/*
 * pki.h - the control plane's own certificate authority, for the channel to the workers.
 *
 * Made at first start under DIR/pki: an EC P-256 authority valid for ten years, and a server certificate that is
 * made anew when it nears its end, when the wanted names change, or when it was not issued by this authority.
 * Workers know the authority by the SHA-256 of its certificate, which stands in every join token; so nobody has to
 * copy a certificate by hand.  The file server.pem holds the server certificate and behind it the authority's.
 *
 * Losing ca.key or ca.pem means new join tokens for every worker: both belong into the backup of the directory.
 */
#ifndef CP_WS_PKI_H
#define CP_WS_PKI_H

#include "base/gw.h"

#define CP_PKI_PATH_MAX 4096

struct cp_pki {
	char dir[CP_PKI_PATH_MAX];
	char server_cert[CP_PKI_PATH_MAX + 16]; /* chain: server, then authority */
	char server_key[CP_PKI_PATH_MAX + 16];
	char fingerprint[65];                   /* SHA-256 of the authority's DER, lower-case hex */
	int64_t server_expires_ms;
	bool renewed;                           /* this call wrote a new server certificate */
};

/*
 * Make or read what is under `dir` (created with mode 0700).  `names` are further names and addresses for the server
 * certificate, separated by commas or blanks; NULL: none.  It always carries this host's name, localhost, 127.0.0.1
 * and ::1.  Calling it again later renews the server certificate when that is due.
 */
enum gw_rc cp_pki_open(struct cp_pki *out, const char *dir, const char *names, int64_t now_ms,
                       struct gw_error *err) GW_MUST_CHECK;

/* Until when the first certificate of a PEM file is valid. */
enum gw_rc cp_cert_expires(const char *path, int64_t *expires_ms, struct gw_error *err) GW_MUST_CHECK;
/* The same of PEM text. */
enum gw_rc cp_cert_expires_pem(struct gw_str pem, int64_t *expires_ms, struct gw_error *err) GW_MUST_CHECK;
/* Reads only: does the server certificate belong to its key and the authority, and until when is it valid? */
enum gw_rc cp_pki_inspect(const char *dir, int64_t now_ms, int64_t *expires_ms, struct gw_error *err) GW_MUST_CHECK;

#endif
