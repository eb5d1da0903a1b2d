/* http.c - the only file that knows libcurl: a POST, a mail. */
#include "notify/notify.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "addr_class.h"
#include "base/str.h"

#define MAX_ANSWER 65536
#define CONNECT_MS 5000L

/* `why`: what the guard said about the last address it refused; `dialled`: it let one pass, so the outcome is the network's. */
struct call { bool allow_private, dialled; const char *why; struct gw_buf *answer; struct gw_str rest; };

void cp_notify_setup(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

static const char *guard(const uint8_t *ip, bool v6, bool allow_private)
{
	switch (gw_guard_judge(ip, v6)) {
	case GW_GUARD_PUBLIC: return NULL;
	case GW_GUARD_PRIVATE: return allow_private ? NULL : "it is a loopback or private address, which this channel does not allow";
	default: return "it is an address that is never dialled (link-local, metadata or reserved)";
	}
}

/* The guard sees what the name resolved to, at the moment at which it is dialled.  A name may have several addresses. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct call *c = arg;
	const char *why = "it is neither an IPv4 nor an IPv6 address";
	(void)purpose;
	if (a->family == AF_INET)
		why = guard((const uint8_t *)&((const struct sockaddr_in *)(const void *)&a->addr)->sin_addr, false, c->allow_private);
	else if (a->family == AF_INET6)
		why = guard((const uint8_t *)&((const struct sockaddr_in6 *)(const void *)&a->addr)->sin6_addr, true, c->allow_private);
	if (why) {
		c->why = why;
		return CURL_SOCKET_BAD;
	}
	c->dialled = true;
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static size_t take(char *p, size_t size, size_t n, void *arg)
{
	struct call *c = arg;
	size_t room = c->answer ? c->answer->max - c->answer->n : 0;
	if (c->answer)
		gw_buf_add(c->answer, (struct gw_str){ p, size * n < room ? size * n : room });
	return size * n;
}

static size_t give(char *p, size_t size, size_t n, void *arg)
{
	struct call *c = arg;
	size_t take_n = size * n < c->rest.n ? size * n : c->rest.n;
	memcpy(p, c->rest.p, take_n);
	c->rest = gw_str_from(c->rest, take_n);
	return take_n;
}

static CURL *new_handle(struct call *c, struct gw_str ca_pem, int64_t limit_ms)
{
	CURL *h = curl_easy_init();
	if (!h)
		abort();
	curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(h, CURLOPT_PROXY, "");
	curl_easy_setopt(h, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(h, CURLOPT_TIMEOUT_MS, (long)limit_ms);
	curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	curl_easy_setopt(h, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	curl_easy_setopt(h, CURLOPT_OPENSOCKETDATA, c);
	curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(h, CURLOPT_WRITEDATA, c);
	if (ca_pem.n > 0) {
		struct curl_blob b = { .data = (void *)(uintptr_t)ca_pem.p, .len = ca_pem.n, .flags = CURL_BLOB_COPY };
		curl_easy_setopt(h, CURLOPT_CAINFO_BLOB, &b);
	}
	return h;
}

/* Refused by the guard is only what had no other address; a time that ran out is called that. */
static enum gw_rc perform(CURL *h, const struct call *c, struct gw_error *err)
{
	CURLcode code = curl_easy_perform(h);
	const char *also = c->why ? "; another address of it was not dialled" : "";
	if (code == CURLE_OK)
		return GW_OK;
	if (c->why && !c->dialled)
		return gw_fail(err, GW_DENIED, NULL, "the address was not dialled: %s", c->why);
	if (code == CURLE_LOGIN_DENIED)
		return gw_fail(err, GW_INVALID, NULL, "the mail server refused the user name or the password");
	if (code == CURLE_OPERATION_TIMEDOUT)
		return gw_fail(err, GW_IO, NULL, "it did not answer in time%s", also);
	return gw_fail(err, GW_IO, NULL, "it could not be reached: %s%s", curl_easy_strerror(code), also);
}

enum gw_rc cp_http_post(const struct cp_post *p, long *status, struct gw_buf *answer, struct gw_error *err)
{
	struct call c = { .allow_private = p->allow_private, .answer = answer };
	struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
	CURL *h = new_handle(&c, p->ca_pem, p->limit_ms);
	for (size_t i = 0; i < GW_COUNT(p->header) && p->header[i]; i++)
		headers = curl_slist_append(headers, p->header[i]);
	headers = curl_slist_append(headers, "Expect:");
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
#else
	curl_easy_setopt(h, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
	curl_easy_setopt(h, CURLOPT_URL, p->url);
	curl_easy_setopt(h, CURLOPT_USERAGENT, "Tidegate/" TIDEGATE_VERSION);
	curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(h, CURLOPT_POSTFIELDSIZE, (long)p->body.n);
	curl_easy_setopt(h, CURLOPT_POSTFIELDS, p->body.p);
	enum gw_rc rc = perform(h, &c, err);
	*status = 0;
	curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, status);
	curl_slist_free_all(headers);
	curl_easy_cleanup(h);
	return rc;
}

enum gw_rc cp_smtp_send(const struct cp_channel *m, struct gw_str message, int64_t limit_ms, struct gw_error *err)
{
	struct call c = { .allow_private = m->allow_private, .rest = message };
	struct curl_slist *to = NULL;
	struct gw_arena *a = gw_arena_open(0);
	CURL *h = new_handle(&c, m->ca_pem, limit_ms);
	for (size_t i = 0; i < m->to.n; i++)
		to = curl_slist_append(to, gw_arena_c(a, m->to.v[i]));
#if LIBCURL_VERSION_NUM >= 0x075500
	curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
#else
	curl_easy_setopt(h, CURLOPT_PROTOCOLS, (long)(CURLPROTO_SMTP | CURLPROTO_SMTPS));
#endif
	curl_easy_setopt(h, CURLOPT_URL, gw_arena_printf(a, "%s://%.*s:%lld", m->smtp_security == CP_SMTP_TLS ? "smtps" : "smtp",
	    GW_FMT(m->smtp_host), (long long)m->smtp_port).p);
	curl_easy_setopt(h, CURLOPT_USE_SSL, (long)(m->smtp_security == CP_SMTP_PLAIN ? CURLUSESSL_NONE : CURLUSESSL_ALL));
	if (m->username.n > 0) {
		curl_easy_setopt(h, CURLOPT_USERNAME, gw_arena_c(a, m->username));
		curl_easy_setopt(h, CURLOPT_PASSWORD, m->password.p ? gw_arena_c(a, m->password) : "");
	}
	curl_easy_setopt(h, CURLOPT_MAIL_FROM, gw_arena_c(a, m->from));
	curl_easy_setopt(h, CURLOPT_MAIL_RCPT, to);
	curl_easy_setopt(h, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(h, CURLOPT_READFUNCTION, give);
	curl_easy_setopt(h, CURLOPT_READDATA, &c);
	enum gw_rc rc = perform(h, &c, err);
	curl_slist_free_all(to);
	curl_easy_cleanup(h);
	gw_arena_close(&a);
	return rc;
}
