/*
 * ui.h - the console's files, read into memory at start.
 *
 * What is served is a list made by scanning the directory once: no path of a request ever reaches the file system.
 * `name.br` and `name.gz` beside a file are its precompressed forms.
 */
#ifndef CP_UI_UI_H
#define CP_UI_UI_H

#include "httpd/httpd.h"

struct cp_ui;
/* A missing directory is fine: `/` then shows one plain page.  Links and hidden files are left out. */
struct cp_ui *cp_ui_open(const char *dir);                       /* owned */
void cp_ui_close(struct cp_ui **ui);
/* Answers GET outside the API.  Who accepts text/html gets the start page where no file is: its own router decides. */
void cp_ui_handle(const struct cp_ui *ui, const struct cp_request *rq, struct cp_response *rs);

#endif
