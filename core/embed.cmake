# Writes OUTPUT, a C++ file with the bytes of FILES: for FUNCTION of HEADER, which returns those of the one file as a string_view; or,
# without FUNCTION, for PageFiles() of core/admin/page.h, which returns all of them, sorted by name.
list(SORT FILES)
set(arrays "")
set(table "")
set(number 0)
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME)
  file(READ ${file} bytes HEX)
  string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${bytes}")
  string(APPEND arrays "constexpr char kFile${number}[] = {${bytes}};\n")
  string(APPEND table "    {\"${name}\", {kFile${number}, sizeof kFile${number}}},\n")
  math(EXPR number "${number} + 1")
endforeach()
if(FUNCTION)
  set(result "std::string_view ${FUNCTION}() { return {kFile0, sizeof kFile0}; }")
else()
  set(HEADER core/admin/page.h)
  string(APPEND arrays "constexpr EmbeddedFile kFiles[] = {\n${table}};\n")
  set(result "std::span<const EmbeddedFile> PageFiles() { return kFiles; }")
endif()
file(WRITE ${OUTPUT} "// Made by core/embed.cmake.
#include \"${HEADER}\"

namespace waypost {
namespace {
${arrays}
}  // namespace

${result}

}  // namespace waypost
")
