/*
 * catalog.h - every plugin and provider type linked into this worker, as the catalogue that proto/field.h describes.
 *
 * `tidegate-worker --catalog` prints gw_catalog_json() of it; the snapshot decoder takes it to read options.
 */
#ifndef DP_CATALOG_H
#define DP_CATALOG_H

#include "field.h"

struct gw_catalog *dp_catalog_build(void);   /* owned: gw_catalog_close() */

#endif
