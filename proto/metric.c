/*
 * metric.c - the tables of metric.h as data, percentiles, and the words of Prometheus' text format.
 */
#include "metric.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "base/time.h"

/* ---- histograms ---- */

static const uint64_t seconds_at[] = {
	10000, 20000, 40000, 80000, 160000, 320000, 640000, 1280000, 2560000, 5120000, 10240000, 20480000, 40960000, 81920000,
};
static const char *const seconds_text[] = {
	"0.01", "0.02", "0.04", "0.08", "0.16", "0.32", "0.64", "1.28", "2.56", "5.12", "10.24", "20.48", "40.96", "81.92",
};
static const uint64_t first_at[] = {
	1000, 5000, 10000, 20000, 40000, 60000, 80000, 100000, 250000, 500000, 750000, 1000000, 2500000, 5000000, 7500000, 10000000,
};
static const char *const first_text[] = {
	"0.001", "0.005", "0.01", "0.02", "0.04", "0.06", "0.08", "0.1", "0.25", "0.5", "0.75", "1", "2.5", "5", "7.5", "10",
};
static const uint64_t per_token_at[] = {
	10000, 25000, 50000, 75000, 100000, 150000, 200000, 300000, 400000, 500000, 750000, 1000000, 2500000,
};
static const char *const per_token_text[] = {
	"0.01", "0.025", "0.05", "0.075", "0.1", "0.15", "0.2", "0.3", "0.4", "0.5", "0.75", "1", "2.5",
};
static const uint64_t tokens_at[] = {
	1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864,
};
static const char *const tokens_text[] = {
	"1", "4", "16", "64", "256", "1024", "4096", "16384", "65536", "262144", "1048576", "4194304", "16777216", "67108864",
};
/* The gateway's own share is a thousand times smaller than a request. */
static const uint64_t fine_at[] = { 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10240, 20480, 40960, 81920 };
static const char *const fine_text[] = {
	"0.00001", "0.00002", "0.00004", "0.00008", "0.00016", "0.00032", "0.00064", "0.00128", "0.00256", "0.00512", "0.01024",
	"0.02048", "0.04096", "0.08192",
};

static const struct gw_histogram_edges edges[] = {
	[GW_HISTOGRAM_SECONDS] = { GW_COUNT(seconds_at), 1e6, seconds_at, seconds_text },
	[GW_HISTOGRAM_FIRST] = { GW_COUNT(first_at), 1e6, first_at, first_text },
	[GW_HISTOGRAM_PER_TOKEN] = { GW_COUNT(per_token_at), 1e6, per_token_at, per_token_text },
	[GW_HISTOGRAM_TOKENS] = { GW_COUNT(tokens_at), 1, tokens_at, tokens_text },
	[GW_HISTOGRAM_FINE] = { GW_COUNT(fine_at), 1e6, fine_at, fine_text },
};
#define X(name, n, scale) \
	static_assert(GW_SLOTS_##name == n + 2 && n <= GW_HISTOGRAM_MAX_EDGES, "slots of " #name);
GW_HISTOGRAM_TABLE(X)
#undef X
static_assert(GW_COUNT(seconds_at) + 2 == GW_SLOTS_SECONDS && GW_COUNT(first_at) + 2 == GW_SLOTS_FIRST &&
	      GW_COUNT(per_token_at) + 2 == GW_SLOTS_PER_TOKEN && GW_COUNT(tokens_at) + 2 == GW_SLOTS_TOKENS &&
	      GW_COUNT(fine_at) + 2 == GW_SLOTS_FINE, "edges as announced");

const struct gw_histogram_edges *gw_histogram_edges(enum gw_histogram h)
{
	assert((size_t)h < GW_COUNT(edges));
	return &edges[h];
}

size_t gw_histogram_slot(enum gw_histogram h, uint64_t v)
{
	size_t i = 0;
	while (i < edges[h].n && v > edges[h].at[i])
		i++;
	return i;
}

uint64_t gw_histogram_count(enum gw_histogram h, const uint64_t *slots)
{
	uint64_t n = 0;
	for (size_t i = 0; i <= edges[h].n; i++)
		n += slots[i];
	return n;
}

double gw_histogram_quantile(enum gw_histogram h, const uint64_t *slots, double q)
{
	const struct gw_histogram_edges *e = gw_histogram_edges(h);
	uint64_t all = gw_histogram_count(h, slots);
	double want = q * (double)all, seen = 0;
	if (all == 0)
		return -1;
	for (size_t i = 0; i < e->n; i++) {
		double low = i ? (double)e->at[i - 1] : 0, high = (double)e->at[i];
		if (slots[i] > 0 && seen + (double)slots[i] >= want)
			return (low + (high - low) * (want - seen) / (double)slots[i]) / e->scale;
		seen += (double)slots[i];
	}
	return (double)e->at[e->n - 1] / e->scale;
}

/* ---- sets ---- */

static const char *const token_classes[] = {
#define X(name, text) text,
	GW_TOKEN_CLASS_TABLE(X)
#undef X
};

const char *gw_token_class_name(size_t i)
{
	assert(i < GW_COUNT(token_classes));
	return token_classes[i];
}

const char *gw_status_class_name(size_t i)
{
	static const char *const names[GW_STATUS_CLASSES] = { "none", "1xx", "2xx", "3xx", "4xx", "5xx" };
	assert(i < GW_COUNT(names));
	return names[i];
}

static const struct gw_metric_set_about sets[] = {
#define X(name, text, slots, rows, n, l1, l2, l3, l4) { text, { l1, l2, l3, l4 }, n, sizeof(struct gw_layout_##name), rows },
	GW_SET_TABLE(X)
#undef X
};
#define X(name, text, slots, rows, n, l1, l2, l3, l4) \
	static_assert(sizeof(struct gw_layout_##name) <= GW_SET_MAX_SLOTS, #name " has the longest row");
GW_SET_TABLE(X)
#undef X

const struct gw_metric_set_about *gw_metric_set(enum gw_metric_set s)
{
	assert(s < GW_SET_COUNT);
	return &sets[s];
}

bool gw_metric_set_parse(struct gw_str name, enum gw_metric_set *out)
{
	for (size_t i = 0; i < GW_COUNT(sets); i++)
		if (gw_str_is(name, sets[i].name)) {
			*out = (enum gw_metric_set)i;
			return true;
		}
	return false;
}

/* ---- Prometheus' text format ---- */

static const struct { const char *name, *kind, *help; } about[] = {
#define X(id, kind, where, name, labels, help) { name, #kind, help },
#include "tbl/metrics.def"
#undef X
};

const char *gw_metric_name(enum gw_metric m)
{
	assert(m < GW_METRIC_COUNT);
	return about[m].name;
}

void gw_metric_head(struct gw_buf *out, enum gw_metric m)
{
	static const char *const kinds[][2] = { { "COUNTER", "counter" }, { "GAUGE", "gauge" }, { "HISTOGRAM", "histogram" } };
	gw_buf_printf(out, "# HELP %s %s\n# TYPE %s ", about[m].name, about[m].help, about[m].name);
	for (size_t i = 0; i < GW_COUNT(kinds); i++)
		if (strcmp(about[m].kind, kinds[i][0]) == 0)
			gw_buf_add_c(out, kinds[i][1]);
	gw_buf_add_byte(out, '\n');
}

void gw_metric_single(struct gw_buf *out, enum gw_metric m, double v)
{
	gw_metric_head(out, m);
	gw_buf_printf(out, v == (double)(int64_t)v ? "%s %.0f\n" : "%s %.6f\n", about[m].name, v);
}

void gw_metric_label(struct gw_buf *out, const char *name, struct gw_str value)
{
	if (out->n > 0 && out->p[out->n - 1] != '{')
		gw_buf_add_byte(out, ',');
	gw_buf_printf(out, "%s=\"", name);
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];
		if (c == '\\' || c == '"')
			gw_buf_add_byte(out, '\\');
		gw_buf_add_byte(out, (unsigned char)c < ' ' ? '_' : c);
	}
	gw_buf_add_byte(out, '"');
}

/* ---- this process ---- */

static int64_t count_files(const char *path)
{
	int64_t n = 0;
	DIR *d = opendir(path);
	if (!d)
		return 0;
	for (const struct dirent *e = readdir(d); e; e = readdir(d))
		n += e->d_name[0] != '.';
	closedir(d);
	return n - 1; /* the one that reading it takes */
}

/* Field 22 of /proc/self/stat: start in clock ticks since the machine's own start. */
static int64_t started_at_ms(void)
{
	struct gw_buf b;
	struct timespec up;
	int64_t ticks = 0;
	gw_buf_init(&b, 4096);
	if (gw_file_read(&b, "/proc/self/stat", NULL) == GW_OK) {
		struct gw_str s = gw_buf_str(&b);
		while (s.n > 0 && memchr(s.p, ')', s.n)) /* the name may hold anything */
			gw_str_cut(&s, ')');
		s = gw_str_trim(s);
		for (int i = 3; i < 22; i++)
			gw_str_cut(&s, ' ');
		gw_str_int(gw_str_cut(&s, ' '), 0, INT64_MAX / 1000, &ticks);
	}
	gw_buf_fini(&b);
	clock_gettime(CLOCK_BOOTTIME, &up);
	return gw_now_ms() - (up.tv_sec * 1000 + up.tv_nsec / 1000000) + ticks * 1000 / sysconf(_SC_CLK_TCK);
}

void gw_process_read(struct gw_process *out)
{
	struct gw_buf b;
	struct rusage use;
	struct rlimit files;
	int64_t pages = 0;
	*out = (struct gw_process){ 0 };
	gw_buf_init(&b, 256);
	if (gw_file_read(&b, "/proc/self/statm", NULL) == GW_OK) {
		struct gw_str s = gw_buf_str(&b);
		gw_str_cut(&s, ' ');
		gw_str_int(gw_str_cut(&s, ' '), 0, INT64_MAX / 65536, &pages);
	}
	gw_buf_fini(&b);
	out->rss_bytes = pages * sysconf(_SC_PAGESIZE);
	if (getrusage(RUSAGE_SELF, &use) == 0)
		out->cpu_us = (use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000LL + use.ru_utime.tv_usec + use.ru_stime.tv_usec;
	out->open_fds = count_files("/proc/self/fd");
	if (getrlimit(RLIMIT_NOFILE, &files) == 0)
		out->max_fds = (int64_t)files.rlim_cur;
	out->started_at_ms = started_at_ms();
}

void gw_metric_process(struct gw_buf *out)
{
	struct gw_process p;
	gw_process_read(&p);
	gw_metric_single(out, GW_METRIC_PROCESS_RSS, (double)p.rss_bytes);
	gw_metric_single(out, GW_METRIC_PROCESS_CPU, (double)p.cpu_us / 1e6);
	gw_metric_single(out, GW_METRIC_PROCESS_FDS, (double)p.open_fds);
	gw_metric_single(out, GW_METRIC_PROCESS_MAX_FDS, (double)p.max_fds);
	gw_metric_single(out, GW_METRIC_PROCESS_START, (double)p.started_at_ms / 1e3);
}
