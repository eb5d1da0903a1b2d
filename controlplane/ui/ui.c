/* ui.c - static files from memory, with validators, precompressed forms and the headers a console needs. */
#include "ui/ui.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/file.h"
#include "base/log.h"
#include "base/map.h"
#include "base/str.h"

#define UI_MAGIC 0x55492020u
#define MAX_FILE (16u << 20)
#define MAX_TOTAL (64u << 20)
#define MAX_DEPTH 6

struct file {
	struct gw_str body[3];   /* plain, gzip, br; absent: no such form */
	const char *type;
	char etag[20];
	bool hashed;             /* its name changes with its content */
};

struct cp_ui {
	unsigned magic;
	struct gw_arena *arena;
	struct gw_map *files;    /* "/assets/x.js" → struct file */
	size_t total;
};

static const char csp[] = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
			  "img-src 'self' data:; font-src 'self' data:; manifest-src 'self'; frame-ancestors 'none'; "
			  "base-uri 'none'; form-action 'self'";

static const char *type_of(struct gw_str name)
{
	static const struct { const char *end, *type; } types[] = {
		{ ".html", "text/html; charset=utf-8" }, { ".js", "text/javascript; charset=utf-8" },
		{ ".mjs", "text/javascript; charset=utf-8" }, { ".css", "text/css; charset=utf-8" },
		{ ".json", "application/json" }, { ".webmanifest", "application/manifest+json" },
		{ ".svg", "image/svg+xml" }, { ".png", "image/png" }, { ".ico", "image/x-icon" },
		{ ".woff2", "font/woff2" }, { ".woff", "font/woff" }, { ".txt", "text/plain; charset=utf-8" },
	};
	for (size_t i = 0; i < GW_COUNT(types); i++)
		if (gw_str_ends(name, gw_str_c(types[i].end)))
			return types[i].type;
	return "application/octet-stream";
}

static struct file *file_of(struct cp_ui *ui, struct gw_str name)
{
	struct file *f = gw_map_get(ui->files, name);
	if (f == NULL) {
		f = gw_arena_alloc(ui->arena, sizeof *f);
		f->type = type_of(name);
		f->hashed = gw_str_starts(name, GW_STR("/assets/"));
		gw_map_put(ui->files, gw_arena_copy(ui->arena, name), f);
	}
	return f;
}

static void load(struct cp_ui *ui, const char *path, struct gw_str name)
{
	struct gw_buf b;
	struct gw_error err = { 0 };
	uint8_t digest[32];
	size_t form = 0;
	gw_buf_init(&b, MAX_FILE);
	if (gw_file_read(&b, path, &err) != GW_OK || ui->total + b.n > MAX_TOTAL) {
		gw_log(GW_LOG_WARN, "file", name, "console file left out", "%s", err.text);
		gw_buf_fini(&b);
		return;
	}
	if (gw_str_ends(name, GW_STR(".gz"))) {
		form = 1;
		name.n -= 3;
	} else if (gw_str_ends(name, GW_STR(".br"))) {
		form = 2;
		name.n -= 3;
	}
	struct file *f = file_of(ui, name);
	f->body[form] = gw_arena_copy(ui->arena, gw_buf_str(&b));
	ui->total += b.n;
	if (form == 0) {
		char hex[GW_HEX_LEN(8)];
		gw_sha256(digest, gw_buf_str(&b));
		gw_hex(hex, digest, 8);
		snprintf(f->etag, sizeof f->etag, "\"%s\"", hex);
	}
	gw_buf_fini(&b);
}

static void scan(struct cp_ui *ui, const char *dir, const char *prefix, int depth)
{
	DIR *d = depth < MAX_DEPTH ? opendir(dir) : NULL;
	struct dirent *e;
	while (d != NULL && (e = readdir(d)) != NULL) {
		char path[4096], name[1024];
		struct stat st;
		if (e->d_name[0] == '.')
			continue;
		if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, e->d_name) >= sizeof path ||
		    (size_t)snprintf(name, sizeof name, "%s/%s", prefix, e->d_name) >= sizeof name || lstat(path, &st) != 0)
			continue;
		if (S_ISDIR(st.st_mode))
			scan(ui, path, name, depth + 1);
		else if (S_ISREG(st.st_mode))
			load(ui, path, gw_str_c(name));
	}
	if (d != NULL)
		closedir(d);
}

struct cp_ui *cp_ui_open(const char *dir)
{
	struct cp_ui *ui = gw_alloc(sizeof *ui);
	ui->magic = UI_MAGIC;
	ui->arena = gw_arena_open(65536);
	ui->files = gw_map_open(64);
	if (dir != NULL)
		scan(ui, dir, "", 0);
	return ui;
}

void cp_ui_close(struct cp_ui **u)
{
	struct cp_ui *ui = *u;
	if (ui == NULL)
		return;
	GW_CHECK(ui, UI_MAGIC);
	gw_map_close(&ui->files);
	gw_arena_close(&ui->arena);
	ui->magic = 0;
	free(ui);
	*u = NULL;
}

static const char missing[] =
	"<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Tidegate</title>"
	"<p>The console is not part of this build. The API is at /api/v1, its description at /api/v1/openapi.json; "
	"the command `tidegate` does everything from a terminal.</p></html>";

/* "br;q=0" refuses; anything else that names a coding takes it. */
static bool accepts(struct gw_str header, const char *coding)
{
	while (header.p != NULL && header.n > 0) {
		struct gw_str item = gw_str_trim(gw_str_cut(&header, ','));
		struct gw_str name = gw_str_trim(gw_str_cut(&item, ';'));
		struct gw_str q = item.p != NULL ? gw_str_trim(item) : GW_STR_NONE;
		if (gw_str_ieq(name, gw_str_c(coding)))
			return !(gw_str_is(q, "q=0") || gw_str_is(q, "q=0.0"));
	}
	return false;
}

static bool matches(struct gw_str header, const char *etag)
{
	while (header.p != NULL && header.n > 0) {
		struct gw_str item = gw_str_trim(gw_str_cut(&header, ','));
		if (gw_str_starts(item, GW_STR("W/")))
			item = gw_str_from(item, 2);
		if (gw_str_is(item, etag) || gw_str_is(item, "*"))
			return true;
	}
	return false;
}

static void security_headers(const struct cp_request *rq, struct cp_response *rs)
{
	cp_response_header(rq, rs, "Content-Security-Policy", gw_str_c(csp));
	cp_response_header(rq, rs, "X-Content-Type-Options", GW_STR("nosniff"));
	cp_response_header(rq, rs, "X-Frame-Options", GW_STR("DENY"));
	cp_response_header(rq, rs, "Referrer-Policy", GW_STR("no-referrer"));
	cp_response_header(rq, rs, "Cross-Origin-Opener-Policy", GW_STR("same-origin"));
	if (rq->is_tls)
		cp_response_header(rq, rs, "Strict-Transport-Security", GW_STR("max-age=31536000"));
}

static void plain(struct cp_response *rs, unsigned status, const char *type, struct gw_str text)
{
	rs->status = status;
	rs->content_type = type;
	rs->fixed = text;
}

static void serve(const struct cp_request *rq, struct cp_response *rs, const struct file *f)
{
	static const char *const codings[] = { NULL, "gzip", "br" };
	struct gw_str accept = cp_request_header(rq, "Accept-Encoding");
	size_t form = 0;
	for (size_t i = 1; i < 3; i++)
		if (f->body[i].p != NULL && accepts(accept, codings[i]))
			form = i;
	cp_response_header(rq, rs, "ETag", gw_str_c(f->etag));
	cp_response_header(rq, rs, "Vary", GW_STR("Accept-Encoding"));
	cp_response_header(rq, rs, "Cache-Control",
			   f->hashed ? GW_STR("public, max-age=31536000, immutable") : GW_STR("no-cache"));
	if (matches(cp_request_header(rq, "If-None-Match"), f->etag)) {
		rs->status = 304;
		return;
	}
	if (form > 0)
		cp_response_header(rq, rs, "Content-Encoding", gw_str_c(codings[form]));
	plain(rs, 200, f->type, f->body[form]);
}

/* A browser that goes to an address, such as /routes/gpt-4.1: names have dots, so the path does not tell. */
static bool asks_for_page(const struct cp_request *rq)
{
	size_t at;
	if (rq->n_segments == 0)
		return true;
	return !gw_str_is(rq->segment[0], "assets") &&
	       gw_str_find(cp_request_header(rq, "Accept"), GW_STR("text/html"), &at);
}

void cp_ui_handle(const struct cp_ui *ui, const struct cp_request *rq, struct cp_response *rs)
{
	GW_CHECK(ui, UI_MAGIC);
	security_headers(rq, rs);
	bool is_page = asks_for_page(rq);
	const struct file *f = gw_map_get(ui->files, rq->path);
	if (f == NULL && is_page)
		f = gw_map_get(ui->files, GW_STR("/index.html"));
	if (!gw_str_is(rq->method, "GET")) {
		cp_response_header(rq, rs, "Allow", GW_STR("GET, HEAD"));
		plain(rs, 405, "text/plain; charset=utf-8", GW_STR("This address only takes GET and HEAD.\n"));
	} else if (f != NULL && f->body[0].p != NULL) {
		serve(rq, rs, f);
	} else if (is_page && gw_map_count(ui->files) == 0) {
		plain(rs, 200, "text/html; charset=utf-8", gw_str_c(missing));
	} else {
		cp_response_header(rq, rs, "Cache-Control", GW_STR("no-store"));
		plain(rs, 404, "text/plain; charset=utf-8", GW_STR("There is no such file in the console.\n"));
	}
}
