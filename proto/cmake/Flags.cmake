# Compiler and linker flags of the whole project, as one interface target.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON) # POSIX and Linux interfaces (accept4, SO_REUSEPORT, explicit_bzero)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(tg_flags INTERFACE)
target_compile_definitions(tg_flags INTERFACE _GNU_SOURCE TIDEGATE_VERSION="${PROJECT_VERSION}")
target_compile_options(tg_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow $<$<BOOL:${TIDEGATE_WERROR}>:-Werror> -Werror=implicit-function-declaration -Wstrict-prototypes -Wmissing-prototypes
  -Wpointer-arith -Wwrite-strings -Wvla -fno-common -fstack-protector-strong)
target_link_options(tg_flags INTERFACE -Wl,-z,relro,-z,now -Wl,--as-needed)

if(CMAKE_C_COMPILER_ID MATCHES Clang)
  target_compile_options(tg_flags INTERFACE -Wno-gnu-zero-variadic-macro-arguments -Wno-gnu-statement-expression)
endif()

if(TIDEGATE_SANITIZE STREQUAL "address")
  set(tg_san -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
elseif(TIDEGATE_SANITIZE STREQUAL "thread")
  set(tg_san -fsanitize=thread -fno-omit-frame-pointer -g)
elseif(NOT TIDEGATE_SANITIZE STREQUAL "")
  message(FATAL_ERROR "TIDEGATE_SANITIZE is '${TIDEGATE_SANITIZE}'; it takes address, thread or nothing")
endif()
# Fuzzers steer by coverage, so everything that they link must report it, not only the target itself.
if(TIDEGATE_FUZZ)
  target_compile_options(tg_flags INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(tg_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

if(tg_san)
  target_compile_options(tg_flags INTERFACE ${tg_san})
  target_link_options(tg_flags INTERFACE ${tg_san})
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(tg_flags INTERFACE -g1 -fno-plt) # calls into libraries without a jump over a table
  target_compile_definitions(tg_flags INTERFACE _FORTIFY_SOURCE=2)
  if(TIDEGATE_LTO)
    include(CheckIPOSupported)
    check_ipo_supported(RESULT tg_lto OUTPUT tg_lto_why LANGUAGES C)
    if(tg_lto)
      set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
    endif()
  endif()
endif()
# Our asserts guard our own invariants and stay in the shipped binary.
foreach(tg_config RELEASE RELWITHDEBINFO MINSIZEREL)
  string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${tg_config} "${CMAKE_C_FLAGS_${tg_config}}")
endforeach()
string(REPLACE "-O3" "-O2" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")

# Tests are linked without link-time optimisation where that works: gcc's linker takes such libraries by itself, clang's
# needs to be told.
set(TG_TEST_IPO OFF)
if(CMAKE_C_COMPILER_ID MATCHES Clang AND CMAKE_INTERPROCEDURAL_OPTIMIZATION)
  set(TG_TEST_IPO ON)
endif()
