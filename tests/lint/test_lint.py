"""The lints on the project, and each of them on a tiny tree that it must refuse."""
import shutil

import pytest

import docs_fresh
import field_labels
import headers
import layers
import migrations
import pattern_words
import prefixes
import shell
import sizes
import threats
import words
from common import ROOT


@pytest.mark.parametrize("lint", [layers, headers, sizes, words, prefixes, shell, migrations, docs_fresh, field_labels, pattern_words,
                                  threats],
                         ids=lambda lint: lint.__name__)
def test_project(lint):
    found = lint.findings(ROOT)
    assert not found, "\n" + "\n".join(found)


def tree(folder, **contents):
    """A project of the named files: __ stands for / and the last _ for the dot."""
    for name, text in contents.items():
        path = folder / (name.replace("__", "/")[::-1].replace("_", ".", 1)[::-1])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.mark.parametrize("source, text, wanted", [
    ("dataplane__codec__sse_c", '#include "net/tls.h"\n', "must not include dataplane/net/tls.h"),
    ("dataplane__net__loop_c", '#include "exchange/exchange.h"\n', "must not include dataplane/exchange/exchange.h"),
    ("dataplane__llm__x_c", '#include "store/store.h"\n#include <sqlite3.h>\n', "<sqlite3.h> belongs into"),
    ("dataplane__exchange__x_c", "#include <uv.h>\n", "<uv.h> belongs into dataplane/net/"),
    ("dataplane__plugins__x_c", '#include "net/tls.h"\n', "a plugin includes plugin.h and libc"),
    ("controlplane__api__x_c", '#include "../../dataplane/net/tls.h"\n', "never include each other"),
    ("controlplane__store__x_c", '#include "api/api.h"\n', "must not include controlplane/api/api.h"),
    ("proto__x_c", '#include "../dataplane/net/tls.h"\n', "proto includes nothing above it"),
    ("dataplane__llm__x_c", "int f(void) { return (int)time(NULL); }\n", "time() in a pure folder"),
    ("dataplane__http__x_c", "#include <sys/socket.h>\n", "<sys/socket.h> in a pure folder"),
    ("proto__x_c", "#include <curl/curl.h>\n", "belongs into controlplane/notify/"),
    ("proto__x_c", "#include <ncurses.h>\n", "not in the table of libraries"),
])
def test_layers_refuses(tmp_path, source, text, wanted):
    tree(tmp_path, dataplane__net__tls_h="", dataplane__exchange__exchange_h="", controlplane__api__api_h="", **{source: text})
    found = layers.findings(tmp_path)
    assert len(found) == 1 and wanted in found[0], found


def test_layers_accepts(tmp_path):
    tree(tmp_path, proto__base__gw_h="", dataplane__net__tls_h="", dataplane__exchange__exchange_h='#include "net/tls.h"\n',
         dataplane__exchange__run_c='#include "exchange.h"\n#include "base/gw.h"\n#include <stdio.h>\n',
         dataplane__llm__chat_c="/* time() in a comment */ const char *s = \"time(\";\n")
    assert layers.findings(tmp_path) == []


def test_headers_refuses(tmp_path):
    tree(tmp_path, proto__lonely_h="struct gw_x { uint32_t n; };\n", proto__fine_h="#include <stdint.h>\nstruct gw_y { uint32_t n; };\n")
    found = headers.findings(tmp_path)
    assert len(found) == 1 and "proto/lonely.h" in found[0]


def test_sizes_refuses(tmp_path):
    body = "".join("\tx++;\n" for _ in range(101))
    tree(tmp_path, proto__long_c="void gw_f(int x)\n{\n%s}\n" % body, proto__file_c="\n" * 1001,
         proto__short_c="void gw_g(void)\n{\n}\n\nstruct a b = {\n%s};\n" % ("\t1,\n" * 150))
    found = sizes.findings(tmp_path)
    assert [line.split(":")[0] for line in found] == ["proto/file.c", "proto/long.c"], found


def test_conditional_compilation_refuses(tmp_path):
    tree(tmp_path, proto__a_h="#ifndef A_H\n#define A_H\n#endif\n", proto__b_c="#ifdef X\n#endif\n" + "\n" * 98)
    assert sizes.conditionals(tmp_path) == ["1 conditional compilations in 103 lines, at most 0"]


def test_words_refuses(tmp_path):
    tree(tmp_path, proto__a_c="void gw_f(char *d) { strcpy(d, \"atoi(\"); } /* sprintf( */\nint x = TO" "DO;\n",
         proto__b_c="int gw_g(struct s *s) { return s->system(1) + my_rand(2); }\n")
    found = words.findings(tmp_path)
    assert len(found) == 2 and "strcpy() is banned" in found[0] and "do it or write an issue" in found[1], found


def test_prefixes_refuses(tmp_path):
    tree(tmp_path, dataplane__a_c="static int help(void)\n{\n}\n\nint dp_go(void)\n{\n}\n\nint\nstray(int a,\n      int b)\n{\n}\n")
    found = prefixes.findings(tmp_path)
    assert len(found) == 1 and "stray()" in found[0], found


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shell_refuses(tmp_path):
    tree(tmp_path, good_sh="#!/bin/sh\necho \"$1\"\n", bad_sh="#!/bin/bash\ncd $1\nlocal x=1\n")
    assert any("bad.sh" in line for line in shell.findings(tmp_path))


def test_migrations_refuses(tmp_path):
    tree(tmp_path, migrations__0001_init_sql="CREATE TABLE a(b);\n", tests__lint__x_py="")
    migrations.add(tmp_path)
    assert migrations.findings(tmp_path) == []
    tree(tmp_path, migrations__0001_init_sql="CREATE TABLE a(c);\n", migrations__0003_more_sql="")
    assert [("edited" in line, "not listed" in line, "without a gap" in line) for line in migrations.findings(tmp_path)] == [
        (True, False, False), (False, True, False), (False, False, True)]


def test_secrets_are_compared_in_constant_time(tmp_path):
    """T16."""
    assert threats.comparisons() == []
    tree(tmp_path, dataplane__a_c="int f(void) { return memcmp(secret, given, 32); }\nint g(void) { return CRYPTO_memcmp(secret, given, 32); }\n",
         proto__b_c="", controlplane__c_c="")
    assert len(threats.comparisons(tmp_path)) == 1


def test_pattern_words_refuses():
    found = pattern_words.findings(ROOT, {"components": {"schemas": {"Thing": {"type": "string", "pattern": "^[qx]+!$"}}}})
    assert len(found) == 1 and "^[qx]+!$" in found[0], found
