# Everything the daemons read at run time, laid out as in an installed prefix, and the install rules.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
file(GLOB tg_migrations CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/migrations/*.sql)
set(tg_share_files)
# One that was renumbered or taken away must not stay behind: the control plane runs whatever stands in the folder.
# The glob above makes CMake look again whenever the set of files changes.
file(GLOB tg_stale ${TIDEGATE_SHARE}/migrations/*.sql)
foreach(f IN LISTS tg_stale)
  get_filename_component(n ${f} NAME)
  if(NOT EXISTS ${CMAKE_SOURCE_DIR}/migrations/${n})
    file(REMOVE ${f})
  endif()
endforeach()
foreach(f IN LISTS tg_migrations)
  get_filename_component(n ${f} NAME)
  add_custom_command(OUTPUT ${TIDEGATE_SHARE}/migrations/${n}
    COMMAND ${CMAKE_COMMAND} -E copy_if_different ${f} ${TIDEGATE_SHARE}/migrations/${n} DEPENDS ${f})
  list(APPEND tg_share_files ${TIDEGATE_SHARE}/migrations/${n})
endforeach()
if(EXISTS ${CMAKE_SOURCE_DIR}/proto/openapi.yaml)
  add_custom_command(OUTPUT ${TIDEGATE_SHARE}/openapi.json
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_SOURCE_DIR}/proto/cmake/yaml2json.py
            ${CMAKE_SOURCE_DIR}/proto/openapi.yaml ${TIDEGATE_SHARE}/openapi.json
    DEPENDS ${CMAKE_SOURCE_DIR}/proto/openapi.yaml ${CMAKE_SOURCE_DIR}/proto/cmake/yaml2json.py)
  list(APPEND tg_share_files ${TIDEGATE_SHARE}/openapi.json)
endif()
add_custom_command(OUTPUT ${TIDEGATE_SHARE}/catalog.json
  COMMAND tidegate-worker --catalog > ${TIDEGATE_SHARE}/catalog.json.tmp
  COMMAND ${CMAKE_COMMAND} -E rename ${TIDEGATE_SHARE}/catalog.json.tmp ${TIDEGATE_SHARE}/catalog.json
  DEPENDS tidegate-worker VERBATIM)
list(APPEND tg_share_files ${TIDEGATE_SHARE}/catalog.json)
add_custom_target(tg_share ALL DEPENDS ${tg_share_files})

set(tg_console ${TIDEGATE_CONSOLE})
find_program(NPM npm)
if(tg_console STREQUAL "AUTO")
  set(tg_console OFF)
  if(NPM AND EXISTS ${CMAKE_SOURCE_DIR}/console-ui/package.json)
    set(tg_console ON)
  else()
    message(WARNING "npm not found: the console is not built (install nodejs and npm, or set TIDEGATE_CONSOLE=OFF)")
  endif()
endif()
if(tg_console)
  file(GLOB_RECURSE tg_ui CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/console-ui/src/* ${CMAKE_SOURCE_DIR}/console-ui/public/*
       ${CMAKE_SOURCE_DIR}/console-ui/*.json ${CMAKE_SOURCE_DIR}/console-ui/*.ts ${CMAKE_SOURCE_DIR}/console-ui/*.html
       ${CMAKE_SOURCE_DIR}/console-ui/scripts/*)
  list(FILTER tg_ui EXCLUDE REGEX "/(node_modules|dist)/")
  # Built in a copy under the build tree, so that several build trees never share node_modules.
  add_custom_command(OUTPUT ${TIDEGATE_SHARE}/console/index.html
    COMMAND ${CMAKE_COMMAND} -DNPM=${NPM} -DSRC=${CMAKE_SOURCE_DIR} -DWORK=${CMAKE_BINARY_DIR}/console-ui
            -DOUT=${TIDEGATE_SHARE}/console -P ${CMAKE_SOURCE_DIR}/proto/cmake/BuildConsole.cmake
    DEPENDS ${tg_ui} ${CMAKE_SOURCE_DIR}/proto/openapi.yaml ${CMAKE_SOURCE_DIR}/proto/cmake/BuildConsole.cmake
    COMMENT "Building the console" USES_TERMINAL)
  add_custom_target(tg_console_ui ALL DEPENDS ${TIDEGATE_SHARE}/console/index.html)
endif()

include(GNUInstallDirs)
install(TARGETS tidegate tidegate-control tidegate-worker RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY ${TIDEGATE_SHARE}/ DESTINATION ${CMAKE_INSTALL_DATADIR}/tidegate)
