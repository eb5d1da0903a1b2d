# Every library that we link, named once.  A target tg::<name> each.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
foreach(pair IN ITEMS
    "jansson;jansson" "uv;libuv" "ssl;libssl" "crypto;libcrypto" "sqlite;sqlite3" "mhd;libmicrohttpd"
    "lws;libwebsockets" "jwt;libjwt" "pcre2;libpcre2-8" "zlib;zlib" "brotli;libbrotlidec" "hiredis;hiredis" "curl;libcurl")
  list(GET pair 0 name)
  list(GET pair 1 module)
  pkg_check_modules(dep_${name} REQUIRED IMPORTED_TARGET ${module})
  add_library(tg::${name} ALIAS PkgConfig::dep_${name})
endforeach()

# Debian 12 and Ubuntu 24.04 ship llhttp as C sources, where strict mode is a compile-time choice that every file must
# share; Debian 13 ships a library of version 9, which is strict unless told otherwise.
find_path(LLHTTP_INCLUDE llhttp.h PATHS /usr/share/include/llhttp /usr/include/llhttp /usr/include NO_DEFAULT_PATH)
find_path(LLHTTP_SOURCE llhttp.c PATHS /usr/share/llhttp NO_DEFAULT_PATH)
pkg_check_modules(dep_llhttp IMPORTED_TARGET libllhttp>=9)
if(LLHTTP_INCLUDE AND LLHTTP_SOURCE)
  add_library(tg_llhttp STATIC ${LLHTTP_SOURCE}/api.c ${LLHTTP_SOURCE}/http.c ${LLHTTP_SOURCE}/llhttp.c)
  target_include_directories(tg_llhttp SYSTEM PUBLIC ${LLHTTP_INCLUDE})
  target_compile_definitions(tg_llhttp PUBLIC LLHTTP_STRICT_MODE=1)
  target_compile_options(tg_llhttp PRIVATE -O2 ${tg_san})
elseif(dep_llhttp_FOUND)
  add_library(tg_llhttp INTERFACE)
  target_link_libraries(tg_llhttp INTERFACE PkgConfig::dep_llhttp)
  target_compile_definitions(tg_llhttp INTERFACE LLHTTP_STRICT_MODE=1)
else()
  message(FATAL_ERROR "llhttp not found: install the package node-llhttp or libllhttp-dev")
endif()
