/* mask.c - built-in patterns and an operator's own, one after another over the whole text. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "mask.h"
#include "base/str.h"

#include <pcre2.h>
#include <pthread.h>
#include <stdlib.h>

#define MATCH_LIMIT    200000
#define DEPTH_LIMIT    1000
#define HEAP_LIMIT_KIB 4096

/*
 * X(label, pattern, check)   Order matters: what an earlier one replaced, a later one no longer sees.  Quantifiers are
 * possessive or bounded, so that no text makes them slow.
 */
#define BUILTIN_TABLE(X)                                                                                             \
	X("[key]",   "-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.{0,8192}?(?:-----END [A-Z ]{0,30}PRIVATE KEY-----|$)", NULL) \
	X("[key]",   "(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}+\\.[A-Za-z0-9_-]{8,}+\\.[A-Za-z0-9_-]{8,}+", NULL)           \
	X("[key]",   "(?<![A-Za-z0-9])(?:sk|pk|rk|tgk|tga|tgj|tgs|ghp|gho|ghs|ghu|github_pat|glpat|xox[abprs]|hf|gsk|xai|r8|npm|pypi)" \
	             "[-_][A-Za-z0-9_-]{14,}+", NULL)                                                                 \
	X("[key]",   "(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])", NULL)                                 \
	X("[key]",   "(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{30,}+", NULL)                                                  \
	X("[key]",   "(?i)(?<=bearer )[A-Za-z0-9._~+/=-]{12,}+", NULL)                                                 \
	X("[key]",   "(?i)(?<![a-z0-9])(?:password|passwd|secret|api[_-]?key|access[_-]?token)\\s{0,3}[:=]\\s{0,3}[\"']?\\K[^\\s\"']{4,}+", NULL) \
	X("[email]", "(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]{1,64}+@(?:[A-Za-z0-9-]{1,63}\\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9-])", NULL) \
	X("[card]",  "(?<![0-9])[0-9](?:[ -]?[0-9]){11,18}(?![0-9])", is_card)                                         \
	X("[phone]", "(?<![A-Za-z0-9.+-])(?:\\+[1-9][0-9]{0,2}[ .-]?|00[1-9][0-9]{0,2}[ .-]?)(?:\\([0-9]{1,4}\\)[ .-]?)?[0-9](?:[ .-]?[0-9]){5,12}(?![0-9])", NULL) \
	X("[phone]", "(?<![A-Za-z0-9.+-])1[3-9][0-9][ -]?[0-9]{4}[ -]?[0-9]{4}(?![0-9])", NULL)                        \
	X("[phone]", "(?<![A-Za-z0-9.+-])(?:\\([0-9]{3}\\) ?|[0-9]{3}[ .-])[0-9]{3}[ .-][0-9]{4}(?![0-9])", NULL)

struct rule {
	pcre2_code *re;
	const char *label;
	bool (*check)(struct gw_str s);
};

#define MAX_RULES (32 + GW_MASK_MAX_PATTERNS)

struct gw_masker {
	struct rule v[MAX_RULES];
	size_t n, shared;        /* the first `shared` belong to the built-in one */
};

/* Luhn's check digit: not every number of 16 digits is a card. */
static bool is_card(struct gw_str s)
{
	unsigned sum = 0, n = 0;
	for (size_t i = s.n; i > 0; i--) {
		char c = s.p[i - 1];
		if (c < '0' || c > '9')
			continue;
		unsigned d = (unsigned)(c - '0') * (n % 2 ? 2 : 1);
		sum += d > 9 ? d - 9 : d;
		n++;
	}
	return n >= 12 && sum % 10 == 0;
}

static pcre2_code *compile(struct gw_str pattern, struct gw_error *err)
{
	int code;
	size_t at;
	char words[160];
	pcre2_compile_context *c = pcre2_compile_context_create(NULL);
	pcre2_set_max_pattern_length(c, 2048);
	pcre2_set_parens_nest_limit(c, 32);
	pcre2_code *re = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, PCRE2_UTF | PCRE2_DOTALL | PCRE2_NEVER_BACKSLASH_C,
	    &code, &at, c);
	pcre2_compile_context_free(c);
	if (!re) {
		if (pcre2_get_error_message(code, (PCRE2_UCHAR *)words, sizeof words) < 0)
			words[0] = 0;
		gw_fail(err, GW_INVALID, NULL, "the pattern is not a regular expression: %s at character %zu", words, at + 1);
		return NULL;
	}
	(void)pcre2_jit_compile(re, PCRE2_JIT_COMPLETE);
	return re;
}

static struct gw_masker builtin;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_builtin(void)
{
	static const struct { const char *label, *pattern; bool (*check)(struct gw_str s); } table[] = {
#define X(label, pattern, check) { label, pattern, check },
		BUILTIN_TABLE(X)
#undef X
	};
	for (size_t i = 0; i < GW_COUNT(table); i++) {
		pcre2_code *re = compile(gw_str_c(table[i].pattern), NULL);
		assert(re);
		builtin.v[builtin.n++] = (struct rule){ re, table[i].label, table[i].check };
	}
	builtin.shared = builtin.n;
}

const struct gw_masker *gw_masker_builtin(void)
{
	pthread_once(&once, make_builtin);
	return &builtin;
}

static void release(void *arg)
{
	struct gw_masker *m = arg;
	for (size_t i = m->shared; i < m->n; i++)
		pcre2_code_free(m->v[i].re);
}

static pcre2_match_context *limits(void)
{
	pcre2_match_context *c = pcre2_match_context_create(NULL);
	pcre2_set_match_limit(c, MATCH_LIMIT);
	pcre2_set_depth_limit(c, DEPTH_LIMIT);
	pcre2_set_heap_limit(c, HEAP_LIMIT_KIB);
	return c;
}

/* One that matches nothing at all would mask between any two characters. */
static bool matches_empty(pcre2_code *re)
{
	pcre2_match_data *d = pcre2_match_data_create(1, NULL);
	pcre2_match_context *c = limits();
	bool yes = pcre2_match(re, (PCRE2_SPTR) "", 0, 0, 0, d, c) >= 0;
	pcre2_match_data_free(d);
	pcre2_match_context_free(c);
	return yes;
}

enum gw_rc gw_masker_make(const struct gw_masker **out, const struct gw_str *patterns, size_t n, struct gw_arena *a,
    struct gw_error *err)
{
	struct gw_masker *m = gw_arena_alloc(a, sizeof *m);
	assert(n <= GW_MASK_MAX_PATTERNS);
	*m = *gw_masker_builtin();
	gw_arena_defer(a, release, m);
	for (size_t i = 0; i < n; i++) {
		pcre2_code *re = compile(patterns[i], err);
		if (re)
			m->v[m->n++] = (struct rule){ re, "[masked]", NULL };
		if (re && matches_empty(re)) {
			gw_fail(err, GW_INVALID, NULL, "the pattern matches the empty text, and so everywhere");
			re = NULL;
		}
		if (!re) {
			gw_error_prefix(err, "/%zu", i);
			return GW_INVALID;
		}
	}
	*out = m;
	return GW_OK;
}

/* One rule over the whole text.  Returns replacements, -1: it could not look at all of it. */
static int apply(const struct rule *r, struct gw_str in, struct gw_buf *out, pcre2_match_data *d, pcre2_match_context *c)
{
	size_t at = 0, kept = 0;
	int count = 0;
	while (at < in.n) {
		int rc = pcre2_match(r->re, (PCRE2_SPTR)in.p, in.n, at, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, d, c);
		if (rc == PCRE2_ERROR_NOMATCH)
			break;
		if (rc < 0)
			return -1;
		size_t *v = pcre2_get_ovector_pointer(d);
		struct gw_str hit = { in.p + v[0], v[1] - v[0] };
		bool real = v[0] >= kept && v[0] < v[1] && (!r->check || r->check(hit));
		/* Behind the match; behind its first character where it was none, or where it went backwards. */
		if (v[0] > at)
			at = v[0]; /* not once more through all that stands before it */
		at = real && v[1] > at ? v[1] : at + (at < in.n ? gw_utf8_len(gw_str_from(in, at)) : 1);
		if (!real)
			continue;
		gw_buf_add(out, (struct gw_str){ in.p + kept, v[0] - kept });
		gw_buf_add_c(out, r->label);
		kept = v[1];
		count++;
	}
	gw_buf_add(out, gw_str_from(in, kept));
	return out->full ? -1 : count;
}

static void add_valid(struct gw_buf *out, struct gw_str s)
{
	while (s.n) {
		size_t n = gw_utf8_len(s);
		if (n == 0)
			gw_buf_add_c(out, "\xef\xbf\xbd");
		else
			gw_buf_add(out, (struct gw_str){ s.p, n });
		s = gw_str_from(s, n ? n : 1);
	}
}

int gw_mask(const struct gw_masker *m, struct gw_str text, struct gw_buf *out)
{
	struct gw_buf now, next;
	pcre2_match_data *d = pcre2_match_data_create(1, NULL);
	pcre2_match_context *c = limits();
	int total = 0;
	gw_buf_init(&now, 4 * text.n + 4096);
	gw_buf_init(&next, 4 * text.n + 4096);
	if (gw_utf8_valid(text))
		gw_buf_add(&now, text);
	else
		add_valid(&now, text);
	for (size_t i = 0; i < m->n && total >= 0; i++) {
		gw_buf_clear(&next);
		int n = apply(&m->v[i], gw_buf_str(&now), &next, d, c);
		struct gw_buf swap = now;
		now = next;
		next = swap;
		total = n < 0 ? -1 : total + n;
	}
	pcre2_match_data_free(d);
	pcre2_match_context_free(c);
	if (total >= 0 && !gw_buf_add(out, gw_buf_str(&now)))
		total = -1;
	gw_buf_fini(&now);
	gw_buf_fini(&next);
	return total;
}
