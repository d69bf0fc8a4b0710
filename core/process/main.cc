#include <malloc.h>

#include "core/process/cli.h"

namespace {

// What one client's long texts took goes back to the system when they are gone. Left to itself, glibc raises this threshold
// with the first long text that is freed, and keeps the next ones.
constexpr int kGiveBackBytes = 256 * 1024;

}  // namespace

int main(int argc, char** argv) {
  mallopt(M_MMAP_THRESHOLD, kGiveBackBytes);
  mallopt(M_TRIM_THRESHOLD, kGiveBackBytes);
  return waypost::RunCommandLine(argc, argv);
}
