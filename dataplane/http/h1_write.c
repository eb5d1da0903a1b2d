/* h1_write.c - serialising heads.  What breaks the grammar here is our own bug, hence the asserts. */
#include "http/h1_write.h"

#include "base/str.h"
#include "http/headers.h"

void dp_write_request_line(struct gw_buf *out, struct gw_str method, struct gw_str target)
{
	assert(dp_token_ok(method));
	assert(target.n > 0);
	for (size_t i = 0; i < target.n; i++)
		assert(target.p[i] > 0x20 && target.p[i] < 0x7f);
	gw_buf_add(out, method);
	gw_buf_add_byte(out, ' ');
	gw_buf_add(out, target);
	gw_buf_add(out, GW_STR(" HTTP/1.1\r\n"));
}

const char *dp_status_phrase(unsigned status)
{
	static const struct { unsigned status; const char *phrase; } known[] = {
		{ 100, "Continue" }, { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 204, "No Content" },
		{ 206, "Partial Content" }, { 301, "Moved Permanently" }, { 302, "Found" }, { 304, "Not Modified" },
		{ 307, "Temporary Redirect" }, { 308, "Permanent Redirect" }, { 400, "Bad Request" },
		{ 401, "Unauthorized" }, { 402, "Payment Required" }, { 403, "Forbidden" }, { 404, "Not Found" },
		{ 405, "Method Not Allowed" }, { 406, "Not Acceptable" }, { 408, "Request Timeout" },
		{ 409, "Conflict" }, { 410, "Gone" }, { 411, "Length Required" }, { 412, "Precondition Failed" },
		{ 413, "Content Too Large" }, { 414, "URI Too Long" }, { 415, "Unsupported Media Type" },
		{ 417, "Expectation Failed" }, { 422, "Unprocessable Content" }, { 424, "Failed Dependency" },
		{ 425, "Too Early" }, { 428, "Precondition Required" }, { 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" }, { 451, "Unavailable For Legal Reasons" },
		{ 500, "Internal Server Error" }, { 501, "Not Implemented" }, { 502, "Bad Gateway" },
		{ 503, "Service Unavailable" }, { 504, "Gateway Timeout" }, { 505, "HTTP Version Not Supported" },
		{ 529, "Site is Overloaded" },
	};

	for (size_t i = 0; i < GW_COUNT(known); i++)
		if (known[i].status == status)
			return known[i].phrase;
	return "";
}

void dp_write_status_line(struct gw_buf *out, unsigned status)
{
	assert(status >= 100 && status <= 599);
	if (status == 200) {
		gw_buf_add(out, GW_STR("HTTP/1.1 200 OK\r\n"));
		return;
	}
	gw_buf_add(out, GW_STR("HTTP/1.1 "));
	gw_buf_add_int(out, status);
	gw_buf_add_byte(out, ' ');
	gw_buf_add_c(out, dp_status_phrase(status));
	gw_buf_add(out, GW_STR("\r\n"));
}

static char *put(char *to, struct gw_str s)
{
	memcpy(to, s.p, s.n);
	return to + s.n;
}

/* Room is asked for once: a request has some fifteen of these. */
void dp_write_header_known(struct gw_buf *out, struct gw_str name, struct gw_str value)
{
	size_t n = name.n + value.n + 4;
	char *to = gw_buf_reserve(out, n);

	if (!to)
		return;
	to = put(to, name);
	to = put(to, GW_STR(": "));
	if (value.n)
		to = put(to, value);
	put(to, GW_STR("\r\n"));
	gw_buf_commit(out, n);
}

void dp_write_header_pair(struct gw_buf *out, struct gw_str name, struct gw_str value)
{
	assert(dp_header_ok(name, value));
	dp_write_header_known(out, name, value);
}

void dp_write_header_valued(struct gw_buf *out, struct gw_str name, struct gw_str value)
{
	assert(dp_value_ok(value));
	dp_write_header_known(out, name, value);
}

void dp_write_number(struct gw_buf *out, struct gw_str name, int64_t value)
{
	char text[GW_INT_TEXT];

	dp_write_header_known(out, name, gw_int_text(text, value));
}

void dp_write_head_end(struct gw_buf *out)
{
	gw_buf_add(out, GW_STR("\r\n"));
}

void dp_write_chunk_head(struct gw_buf *out, size_t n)
{
	assert(n > 0);
	gw_buf_add_hex(out, n);
	gw_buf_add(out, GW_STR("\r\n"));
}

void dp_write_chunk_tail(struct gw_buf *out)
{
	gw_buf_add(out, GW_STR("\r\n"));
}

void dp_write_chunk(struct gw_buf *out, struct gw_str bytes)
{
	if (!bytes.n)
		return;
	dp_write_chunk_head(out, bytes.n);
	gw_buf_add(out, bytes);
	dp_write_chunk_tail(out);
}

void dp_write_last_chunk(struct gw_buf *out)
{
	gw_buf_add(out, GW_STR("0\r\n\r\n"));
}
