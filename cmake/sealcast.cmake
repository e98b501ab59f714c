# Settings and helpers that every target shares.

add_library(sealcast_options INTERFACE)
target_compile_options(sealcast_options INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
                       -Wnon-virtual-dtor -Werror -fno-strict-aliasing)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12's warnings that follow the flow of data misfire on std::variant and std::string once they are inlined
  # (GCC bugs 105562, 105651, 107852). The sanitizer builds look for the same faults, without the false alarms.
  target_compile_options(sealcast_options INTERFACE -Wno-maybe-uninitialized -Wno-restrict -Wno-array-bounds
                         -Wno-stringop-overflow -Wno-stringop-overread)
endif()
target_include_directories(sealcast_options INTERFACE ${CMAKE_SOURCE_DIR}/src)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
endif()

# sealcast_module(NAME [DEPS targets...]): the library sealcast_NAME of the *.cpp in and below this folder,
# and NAME_test of its *_test.cpp, which lie beside their sources.
function(sealcast_module name)
  cmake_parse_arguments(ARG "" "" "DEPS;PRIVATE_DEPS;TEST_DEPS" ${ARGN})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS *.cpp)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  if(sources)
    add_library(sealcast_${name} STATIC ${sources})
    target_link_libraries(sealcast_${name} PUBLIC sealcast_options ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
  else()
    add_library(sealcast_${name} INTERFACE)
    target_link_libraries(sealcast_${name} INTERFACE sealcast_options ${ARG_DEPS})
  endif()
  if(tests AND NOT SEALCAST_FUZZ)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE sealcast_${name} ${ARG_TEST_DEPS}
                          GTest::gtest GTest::gmock GTest::gtest_main)
    target_include_directories(${name}_test PRIVATE ${CMAKE_SOURCE_DIR})
    gtest_discover_tests(${name}_test TEST_PREFIX "${name}/" DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 120)
  endif()
endfunction()
