/* price.c - from rates and counts to money. */
#include "price.h"
#include "base/str.h"

#define DAY_MIN  1440
#define MOST     (1LL << 53)     /* what every JSON reader can hold */
#define PER      1000000         /* rates of tokens are per million */

__extension__ typedef __int128 wide;

extern const unsigned char gw_price_seed_bytes[];
extern const size_t gw_price_seed_size;

struct gw_str gw_price_seed(void)
{
	return (struct gw_str){ (const char *)gw_price_seed_bytes, gw_price_seed_size };
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

static bool in_time(const struct gw_variant *v, int64_t at_ms)
{
	int64_t minute = floor_div(at_ms, 60000) + v->utc_offset_min, day = floor_div(minute, DAY_MIN);
	int64_t of_day = minute - day * DAY_MIN;

	if (v->from_min <= v->to_min) {
		if (of_day < v->from_min || of_day >= v->to_min)
			return false;
	} else if (of_day < v->to_min) {
		day--; /* it began the evening before */
	} else if (of_day < v->from_min) {
		return false;
	}
	int64_t weekday = (day + 3) % 7; /* 1 January 1970 was a Thursday */
	return v->days >> (weekday < 0 ? weekday + 7 : weekday) & 1;
}

static bool holds(const struct gw_variant *v, int64_t prompt, int64_t at_ms)
{
	return prompt > v->above_prompt_tokens && (!v->timed || in_time(v, at_ms));
}

static void lay_over(struct gw_rates *r, const struct gw_rates *other)
{
#define X(name)                                                                                    \
	if (other->name >= 0)                                                                      \
		r->name = other->name;
	GW_RATE_TABLE(X)
#undef X
}

static void otherwise(int64_t *rate, int64_t other)
{
	if (*rate < 0)
		*rate = other;
}

struct gw_rates gw_price_rates(const struct gw_price *p, int64_t prompt_tokens, int64_t at_ms)
{
	struct gw_rates r = p->rates;

	for (size_t i = 0; i < p->n_variants; i++)
		if (holds(&p->variants[i], prompt_tokens, at_ms))
			lay_over(&r, &p->variants[i].rates);
	otherwise(&r.input, 0);
	otherwise(&r.output, 0);
	otherwise(&r.cached_input, r.input);
	otherwise(&r.cache_write, r.input);
	otherwise(&r.cache_write_1h, r.cache_write);
	otherwise(&r.reasoning, r.output);
	otherwise(&r.audio_input, r.input);
	otherwise(&r.audio_output, r.output);
	otherwise(&r.image, 0);
	otherwise(&r.request, 0);
	return r;
}

static int64_t within(int64_t n, int64_t most)
{
	return n < 0 ? 0 : n > most ? most : n;
}

/* How many of each rate's unit, disjoint.  In the order of the table. */
static void count(const struct gw_charge *c, int64_t units[GW_COST_PARTS])
{
	const struct gw_tokens *t = &c->tokens;
	int64_t prompt = within(t->prompt, MOST), completion = within(t->completion, MOST);
	int64_t cached = within(t->cached, prompt), written = within(t->cache_write, prompt - cached);
	int64_t hour = within(t->cache_write_1h, written), audio_in = within(t->audio_prompt, prompt - cached - written);
	int64_t reasoning = within(t->reasoning, completion), audio_out = within(t->audio_completion, completion - reasoning);
	const struct gw_rates n = {
		.input = prompt - cached - written - audio_in, .cached_input = cached, .cache_write = written - hour,
		.cache_write_1h = hour, .output = completion - reasoning - audio_out, .reasoning = reasoning,
		.audio_input = audio_in, .audio_output = audio_out, .image = within(c->images, MOST), .request = 1,
	};
	size_t i = 0;

#define X(name) units[i++] = n.name;
	GW_RATE_TABLE(X)
#undef X
}

/* Millionths of a micro-unit. */
static wide exact(const char *rate, int64_t units, int64_t micro)
{
	bool each = strcmp(rate, "image") == 0 || strcmp(rate, "request") == 0;

	return (wide)units * micro * (each ? PER : 1);
}

static int64_t rounded(wide sum)
{
	wide micro = (sum + PER / 2) / PER;

	return micro > MOST ? MOST : (int64_t)micro;
}

static wide parts(const struct gw_price *p, const struct gw_charge *c, struct gw_cost_part out[GW_COST_PARTS])
{
	struct gw_rates r = gw_price_rates(p, c->tokens.prompt, c->at_ms);
	int64_t units[GW_COST_PARTS];
	size_t i = 0;
	wide sum = 0, part;

	count(c, units);
#define X(name)                                                                                    \
	part = exact(#name, units[i], r.name);                                                     \
	out[i] = (struct gw_cost_part){ #name, units[i], r.name, rounded(part) };                  \
	sum += part;                                                                               \
	i++;
	GW_RATE_TABLE(X)
#undef X
	return sum;
}

int64_t gw_price_cost(const struct gw_price *p, const struct gw_charge *c)
{
	struct gw_cost_part ignored[GW_COST_PARTS];

	return rounded(parts(p, c, ignored));
}

size_t gw_price_parts(const struct gw_price *p, const struct gw_charge *c, struct gw_cost_part out[GW_COST_PARTS])
{
	struct gw_cost_part all[GW_COST_PARTS];
	size_t n = 0;

	(void)parts(p, c, all);
	for (size_t i = 0; i < GW_COST_PARTS; i++)
		if (all[i].units > 0 && all[i].rate_micro > 0)
			out[n++] = all[i];
	return n;
}

static int64_t greatest(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

int64_t gw_price_ceiling(const struct gw_price *p, int64_t prompt, int64_t completion, int64_t images, int64_t at_ms)
{
	struct gw_rates r = gw_price_rates(p, prompt, at_ms);
	int64_t in = greatest(greatest(r.input, r.cached_input), greatest(r.audio_input, greatest(r.cache_write, r.cache_write_1h)));
	int64_t out = greatest(r.output, greatest(r.reasoning, r.audio_output));

	return rounded((wide)within(prompt, MOST) * in + (wide)within(completion, MOST) * out +
	               ((wide)within(images, MOST) * r.image + r.request) * PER);
}
