# One library per folder of src/, one test program per folder of tests/.

function(esparse_compile_options target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion)
  # g++ 12 warns of impossible overlaps in std::string (its bug 105651).
  target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
  # Contracting a*b+c differently per build would break "same input, same bytes out".
  target_compile_options(${target} PRIVATE -ffp-contract=off)
  if(ESPARSE_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(ESPARSE_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${ESPARSE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(${target} PRIVATE -fsanitize=${ESPARSE_SANITIZE})
  endif()
  if(ESPARSE_FUZZ)
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# esparse_library(name DEPS targets...): the sources of this folder (not of folders below it) as libesparse_<name>.
function(esparse_library name)
  cmake_parse_arguments(arg "" "" "DEPS;EXCLUDE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *.cc)
  foreach(file IN LISTS arg_EXCLUDE)
    list(REMOVE_ITEM sources ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  endforeach()
  if(NOT sources)
    add_library(esparse_${name} INTERFACE)
    return()
  endif()
  add_library(esparse_${name} STATIC ${sources})
  target_include_directories(esparse_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
  target_link_libraries(esparse_${name} PUBLIC ${arg_DEPS})
  esparse_compile_options(esparse_${name})
endfunction()

# esparse_test(name DEPS targets...): all *_test.cc of this folder as one program; every TEST is a ctest of its own.
function(esparse_test name)
  cmake_parse_arguments(arg "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *_test.cc)
  if(NOT sources)
    return()
  endif()
  add_executable(${name}_test ${sources})
  target_include_directories(${name}_test PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${name}_test PRIVATE ESPARSE_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                             ESPARSE_BINARY="${CMAKE_RUNTIME_OUTPUT_DIRECTORY}/esparse")
  target_link_libraries(${name}_test PRIVATE ${arg_DEPS} GTest::gtest GTest::gmock GTest::gtest_main)
  esparse_compile_options(${name}_test)
  # Tests take twice as long to compile with the checks for undefined behaviour. What they test has been compiled with
  # them; kernels are templates, which their tests instantiate.
  if(ESPARSE_SANITIZE MATCHES undefined AND NOT name STREQUAL kernels)
    target_compile_options(${name}_test PRIVATE -fno-sanitize=undefined)
  endif()
  gtest_discover_tests(${name}_test TEST_PREFIX ${name}/ DISCOVERY_TIMEOUT 120 PROPERTIES LABELS ${name} TIMEOUT 600)
endfunction()
