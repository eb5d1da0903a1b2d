/* Static files: from memory only, with validators and precompressed forms. */
#include "controlplane/fixture.h"
#include "ui/ui.h"

static char dir[128];
static struct cp_ui *ui;
static struct cp_response rs;
static struct gw_arena *arena;

static void put(const char *name, const char *text)
{
	char path[300];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	ck_assert_int_eq(gw_file_replace(path, gw_str_c(text), 0644, NULL), GW_OK);
}

static void start(void)
{
	char path[300];
	fx_dir(dir);
	snprintf(path, sizeof path, "%s/assets", dir);
	mkdir(path, 0755);
	put("index.html", "<html>start</html>");
	put("assets/app-1a2b.js", "code");
	put("assets/app-1a2b.js.gz", "gzipped");
	put("assets/app-1a2b.js.br", "brotli");
	put(".hidden", "secret");
	snprintf(path, sizeof path, "%s/link.html", dir);
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
	ui = cp_ui_open(dir);
}

static void stop(void)
{
	static const char *const names[] = { "index.html", "assets/app-1a2b.js", "assets/app-1a2b.js.gz", "assets/app-1a2b.js.br", ".hidden", "link.html", "assets" };
	char path[300];
	cp_ui_close(&ui);
	gw_arena_close(&arena);
	for (size_t i = 0; i < GW_COUNT(names); i++) {
		snprintf(path, sizeof path, "%s/%s", dir, names[i]);
		if (remove(path) != 0)
			continue;
	}
	rmdir(dir);
}

static const char *header(const char *name)
{
	for (size_t i = 0; i < rs.n_headers; i++)
		if (gw_str_is(rs.headers[i].name, name))
			return gw_arena_c(arena, rs.headers[i].value);
	return "";
}

static unsigned get(const char *method, const char *target, const char *name, const char *value)
{
	struct cp_pair h = { gw_str_c(name ? name : "X-None"), gw_str_c(value ? value : "") };
	gw_arena_close(&arena);
	arena = gw_arena_open(0);
	struct cp_request rq = { .arena = arena, .method = gw_str_c(method), .headers = &h, .n_headers = 1 };
	if (cp_target_parse(&rq, gw_str_c(target), NULL) != GW_OK)
		return 400;
	rs = (struct cp_response){ .status = 200 };
	cp_ui_handle(ui, &rq, &rs);
	return rs.status;
}

START_TEST(files_are_served)
{
	char etag[32];
	start();
	ck_assert_uint_eq(get("GET", "/index.html", NULL, NULL), 200);
	ck_assert(gw_str_is(rs.fixed, "<html>start</html>"));
	ck_assert_str_eq(header("Cache-Control"), "no-cache");
	ck_assert_str_eq(header("X-Content-Type-Options"), "nosniff");
	ck_assert_ptr_nonnull(strstr(header("Content-Security-Policy"), "script-src 'self';"));
	ck_assert_ptr_nonnull(strstr(header("Content-Security-Policy"), "frame-ancestors 'none'"));
	snprintf(etag, sizeof etag, "%s", header("ETag"));
	ck_assert_uint_eq(get("GET", "/index.html", "If-None-Match", etag), 304);
	ck_assert_uint_eq(get("GET", "/index.html", "If-None-Match", "\"other\""), 200);
	ck_assert_uint_eq(get("GET", "/assets/app-1a2b.js", NULL, NULL), 200);
	ck_assert_str_eq(header("Cache-Control"), "public, max-age=31536000, immutable");
	ck_assert_str_eq(rs.content_type, "text/javascript; charset=utf-8");
	stop();
}
END_TEST

START_TEST(precompressed_forms_are_chosen)
{
	start();
	get("GET", "/assets/app-1a2b.js", "Accept-Encoding", "gzip, deflate, br");
	ck_assert(gw_str_is(rs.fixed, "brotli"));
	ck_assert_str_eq(header("Content-Encoding"), "br");
	get("GET", "/assets/app-1a2b.js", "Accept-Encoding", "br;q=0, gzip");
	ck_assert(gw_str_is(rs.fixed, "gzipped"));
	get("GET", "/assets/app-1a2b.js", "Accept-Encoding", "identity");
	ck_assert(gw_str_is(rs.fixed, "code"));
	stop();
}
END_TEST

/* T27 */
START_TEST(only_listed_files_exist)
{
	start();
	ck_assert_uint_eq(get("GET", "/", NULL, NULL), 200);
	static const char *const pages[] = { "/providers/new", "/routes/gpt-4.1" }; /* the page's own router decides */
	for (size_t i = 0; i < GW_COUNT(pages); i++) {
		ck_assert_uint_eq(get("GET", pages[i], "Accept", "text/html,application/xhtml+xml,*/*;q=0.8"), 200);
		ck_assert(gw_str_is(rs.fixed, "<html>start</html>"));
		ck_assert_uint_eq(get("GET", pages[i], "Accept", "*/*"), 404);
	}
	ck_assert_uint_eq(get("GET", "/assets/gone-1a2b.js", "Accept", "text/html"), 404);
	ck_assert_uint_eq(get("GET", "/nothing.js", NULL, NULL), 404);
	ck_assert_uint_eq(get("GET", "/.hidden", NULL, NULL), 404);
	ck_assert_uint_eq(get("GET", "/link.html", NULL, NULL), 404);
	ck_assert_uint_eq(get("POST", "/", NULL, NULL), 405);
	static const char *const escapes[] = { "/../etc/passwd", "/%2e%2e/etc/passwd", "/..%2f..%2fetc/passwd", "/assets/../.hidden",
		"/assets/%2e%2e/%2ehidden", "/%5c..%5cetc", "/assets//app-1a2b.js", "/index.html%00.js", "/%c0%ae%c0%ae/etc" };
	for (size_t i = 0; i < GW_COUNT(escapes); i++)
		ck_assert_uint_eq(get("GET", escapes[i], NULL, NULL), 400);
	stop();
}
END_TEST

START_TEST(without_a_console_there_is_a_sentence)
{
	ui = cp_ui_open("/nonexistent/tidegate");
	ck_assert_uint_eq(get("GET", "/", NULL, NULL), 200);
	ck_assert(gw_str_starts(rs.fixed, GW_STR("<!doctype html>")));
	ck_assert_uint_eq(get("GET", "/app.js", NULL, NULL), 404);
	cp_ui_close(&ui);
	gw_arena_close(&arena);
}
END_TEST

UNIT_MAIN("ui", files_are_served, precompressed_forms_are_chosen, only_listed_files_exist, without_a_console_there_is_a_sentence)
