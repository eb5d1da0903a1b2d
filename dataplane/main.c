/* main.c - tidegate-worker. */
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "catalog.h"
#include "settings.h"

static int print_catalog(void)
{
	struct gw_catalog *c = dp_catalog_build();
	json_t *doc = gw_catalog_json(c);
	struct gw_buf out;
	enum gw_rc rc;

	gw_buf_init(&out, 16u << 20);
	rc = gw_json_write(&out, doc, false);
	json_decref(doc);
	gw_catalog_close(&c);
	if (rc == GW_OK)
		printf("%.*s\n", (int)out.n, out.p);
	gw_buf_fini(&out);
	return rc == GW_OK && fflush(stdout) == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
	struct dp_settings s;
	struct gw_error err = { .text = "" };

	gw_log_setup(GW_LOG_JSON, GW_LOG_INFO, "tidegate-worker");
	gw_json_setup();
	switch (dp_settings_read(&s, argc, argv, &err)) {
	case DP_START_CATALOG:
		return print_catalog();
	case DP_START_VERSION:
		printf("tidegate-worker %s\n", TIDEGATE_VERSION);
		return 0;
	case DP_START_HELP:
		dp_settings_help();
		return 0;
	case DP_START_WRONG:
		gw_complain("%s", err.text);
		return 2;
	case DP_START_RUN:
		break;
	}
	gw_log_setup(s.log_format, s.log_level, "tidegate-worker");
	return 0;
}
