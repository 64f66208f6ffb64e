# sockleak_bpf_skeleton(<target> <skeleton name> SOURCES a.bpf.c ... HEADERS h ... [DEFINES d ...])
# *.bpf.c -> .bpf.o -> one linked object -> skeleton header; <target> is an INTERFACE library with the include path.
find_program(SOCKLEAK_CLANG NAMES clang clang-14 clang-19 DOC "clang that compiles BPF")
find_program(SOCKLEAK_BPFTOOL NAMES bpftool PATHS /usr/sbin DOC "bpftool with gen object and gen skeleton")
if(NOT SOCKLEAK_CLANG)
  message(FATAL_ERROR "no clang: install the Debian package clang, or configure the preset core-only")
endif()
if(NOT SOCKLEAK_BPFTOOL)
  message(FATAL_ERROR "no bpftool: install the Debian package bpftool, or configure the preset core-only")
endif()

function(sockleak_bpf_skeleton target name)
  cmake_parse_arguments(ARG "" "" "SOURCES;HEADERS;DEFINES" ${ARGN})
  set(objects)
  list(TRANSFORM ARG_DEFINES PREPEND -D)
  foreach(source IN LISTS ARG_SOURCES)
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}/${source}.o)
    get_filename_component(folder ${object} DIRECTORY)
    file(MAKE_DIRECTORY ${folder})
    add_custom_command(OUTPUT ${object}
      COMMAND ${SOCKLEAK_CLANG} -target bpf -mcpu=v2 -D__bpf__ -D__TARGET_ARCH_x86 -O2 -g -Wall -Wextra -Werror
              -Wno-unused-parameter -Wno-missing-declarations ${ARG_DEFINES} -I${CMAKE_CURRENT_SOURCE_DIR}
              -isystem ${PROJECT_SOURCE_DIR}/vmlinux
              -c ${CMAKE_CURRENT_SOURCE_DIR}/${source} -o ${object}
      DEPENDS ${source} ${ARG_HEADERS} ${PROJECT_SOURCE_DIR}/vmlinux/vmlinux.h
              ${PROJECT_SOURCE_DIR}/vmlinux/x86_64/vmlinux.h
      COMMENT "BPF ${source} ${ARG_DEFINES}" VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  set(linked ${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o)
  add_custom_command(OUTPUT ${linked} COMMAND ${SOCKLEAK_BPFTOOL} gen object ${linked} ${objects}
    DEPENDS ${objects} COMMENT "Linking ${name}.bpf.o" VERBATIM)
  set(skeleton ${CMAKE_CURRENT_BINARY_DIR}/include/${name}.skel.h)
  file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/include)
  add_custom_command(OUTPUT ${skeleton}
    COMMAND ${SOCKLEAK_BPFTOOL} gen skeleton ${linked} name ${name} > ${skeleton}
    DEPENDS ${linked} COMMENT "Skeleton ${name}.skel.h" VERBATIM)
  add_custom_target(${target}_generate DEPENDS ${skeleton})
  add_library(${target} INTERFACE)
  target_include_directories(${target} SYSTEM INTERFACE ${CMAKE_CURRENT_BINARY_DIR}/include)
  add_dependencies(${target} ${target}_generate)
endfunction()
