/*
 * auth.h - who is calling: passwords, sessions, API tokens, join tokens, the setup token.
 *
 * Nothing that opens a door is stored in clear: passwords as scrypt (N=2^15 r=8 p=1), everything else, being 256 bit
 * random, as SHA-256.  Comparisons take the same time whatever differs.
 */
#ifndef CP_AUTH_AUTH_H
#define CP_AUTH_AUTH_H

#include "store/store.h"

#define CP_ROLE_TABLE(X) X(VIEWER, "viewer") X(OPERATOR, "operator") X(ADMIN, "admin")
enum cp_role {
	CP_ROLE_NONE,    /* not known, or a call that everybody may make */
#define X(name, text) CP_ROLE_##name,
	CP_ROLE_TABLE(X)
#undef X
};
const char *cp_role_name(enum cp_role r);                        /* "none" for CP_ROLE_NONE */
bool cp_role_parse(struct gw_str text, enum cp_role *out);

/* Who a request turned out to be.  Texts are arena. */
struct cp_caller {
	enum cp_actor_type type;
	enum cp_role role;
	struct gw_str name;
	struct gw_str csrf;              /* sessions only */
	uint8_t session[32]; bool has_session;
	int64_t expires_at_ms;           /* of the session */
};

struct cp_auth;                          /* throttling state and the password cost; one per process */
struct cp_auth *cp_auth_open(struct cp_store *s, const char *data_dir /* borrowed, NULL: none */); /* owned */
void cp_auth_close(struct cp_auth **a);

/* ---- passwords ---- */

/* "scrypt$15$8$1$<salt>$<hash>", base64url.  *out is initialised by the caller. */
void cp_password_hash(struct gw_buf *out, struct gw_str password);
/* Costs the same for a stored text that is absent or broken. */
bool cp_password_verify(struct gw_str stored, struct gw_str password);
/* NULL when it is fine, else one sentence: too short, equals the name, among the most common ones. */
const char *cp_password_weakness(struct gw_str username, struct gw_str password);

/* ---- logging in ---- */

/* 0: go on; else seconds to wait.  Counts by account and by address; success clears the account's. */
int64_t cp_throttle_check(struct cp_auth *a, struct gw_str account, struct gw_str address, int64_t now_ms);
void cp_throttle_failed(struct cp_auth *a, struct gw_str account, struct gw_str address, int64_t now_ms);
void cp_throttle_succeeded(struct cp_auth *a, struct gw_str account, struct gw_str address);

#define CP_SESSION_IDLE_MS     (30 * 60 * 1000LL)
#define CP_SESSION_ABSOLUTE_MS (12 * 60 * 60 * 1000LL)
/* GW_DENIED: wrong name, wrong password or disabled user, indistinguishable.  `cookie` receives the secret value. */
enum gw_rc cp_login(struct cp_auth *a, struct gw_str username, struct gw_str password, struct gw_str address,
                    struct gw_arena *ar, struct cp_caller *out, char cookie[64], struct gw_error *err) GW_MUST_CHECK;
/* A session for a user known by other means (set-up). */
enum gw_rc cp_session_start(struct cp_auth *a, struct gw_str username, enum cp_role role, struct gw_str address,
                            struct gw_arena *ar, struct cp_caller *out, char cookie[64], struct gw_error *err) GW_MUST_CHECK;
/* GW_DENIED: unknown, idle too long, over, or its user disabled. */
enum gw_rc cp_session_check(struct cp_auth *a, struct gw_str cookie, struct gw_arena *ar, struct cp_caller *out,
                            struct gw_error *err) GW_MUST_CHECK;
/* An API token ("tga_…").  GW_DENIED: unknown or expired. */
enum gw_rc cp_token_check(struct cp_auth *a, struct gw_str token, struct gw_arena *ar, struct cp_caller *out,
                          struct gw_error *err) GW_MUST_CHECK;

/* ---- making tokens; all record `who` in the audit ---- */

struct cp_token_made { char id[32]; char secret[192]; };
/* Also what `tidegate-control token create` calls on a stopped data directory.  expires 0: never. */
enum gw_rc cp_token_create(struct cp_store *s, const struct cp_actor *who, struct gw_str name, enum cp_role role,
                           int64_t expires_at_ms, struct cp_token_made *out, struct gw_error *err) GW_MUST_CHECK;
/* secret is "tgj_<id>.<secret>.<fingerprint>"; `fingerprint` is 64 hex digits of the CA certificate's SHA-256. */
enum gw_rc cp_join_token_create(struct cp_store *s, const struct cp_actor *who, struct gw_str name,
                                int64_t expires_at_ms, struct gw_str fingerprint, struct cp_token_made *out,
                                struct gw_error *err) GW_MUST_CHECK;
/*
 * For the channel: may this worker join?  `bearer` is what follows "Bearer " in the upgrade: "tgj_<id>.<secret>"
 * (a third part is ignored).  GW_OK counts a use; `id` receives the token's id.  GW_DENIED has a sentence.
 */
enum gw_rc cp_join_token_verify(struct cp_store *s, struct gw_str bearer, char id[32], struct gw_error *err) GW_MUST_CHECK;

/* ---- first run ---- */

/* True once a user exists. */
enum gw_rc cp_setup_done(struct cp_store *s, bool *out, struct gw_error *err) GW_MUST_CHECK;
/*
 * While nobody is set up: make sure DIR/setup-token exists (0600) and give its text, for the daemon to print.  `out`
 * is "" when set-up is done; the file is removed then.
 */
enum gw_rc cp_setup_token(struct cp_auth *a, char out[64], struct gw_error *err) GW_MUST_CHECK;
/* GW_DENIED: wrong token; GW_EXISTS: done already; GW_INVALID: weak password (path "/password"). */
enum gw_rc cp_setup_run(struct cp_auth *a, const struct cp_actor *who, struct gw_str token, struct gw_str username,
                        struct gw_str password, struct gw_error *err) GW_MUST_CHECK;
/* Non-interactive: user "admin" with the password in this file, when nobody is set up yet. */
enum gw_rc cp_setup_from_file(struct cp_auth *a, const char *password_file, struct gw_error *err) GW_MUST_CHECK;

#endif
