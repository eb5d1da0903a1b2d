/* code.c - names and numbers of the gateway's refusals, expanded from the table. */
#include "http/code.h"

#include <stdio.h>

static const struct row {
	unsigned status;
	const char *type, *wire, *doc;
} rows[] = {
#define X(code, status, type, wire, doc) { status, type, wire, doc },
#include "tbl/errors.def"
#undef X
};

unsigned dp_code_status(enum dp_code c)
{
	assert(c < DP_E_COUNT);
	return rows[c].status;
}

const char *dp_code_type(enum dp_code c)
{
	assert(c < DP_E_COUNT);
	return rows[c].type;
}

const char *dp_code_wire(enum dp_code c)
{
	assert(c < DP_E_COUNT);
	return rows[c].wire;
}

const char *dp_code_doc(enum dp_code c)
{
	assert(c < DP_E_COUNT);
	return rows[c].doc;
}

/* What the formats begin in lower case and without a full stop leaves as a sentence. */
static void make_sentence(char *text, size_t cap)
{
	size_t n = strlen(text);

	if (text[0] >= 'a' && text[0] <= 'z')
		text[0] = (char)(text[0] - 'a' + 'A');
	if (n && n + 1 < cap && !strchr(".!?", text[n - 1])) {
		text[n] = '.';
		text[n + 1] = '\0';
	}
}

bool dp_refuse(struct dp_refusal *r, enum dp_code code, const char *fmt, ...)
{
	va_list ap;

	if (!r)
		return false;
	r->code = code;
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof r->text, fmt, ap);
	va_end(ap);
	make_sentence(r->text, sizeof r->text);
	return false;
}
