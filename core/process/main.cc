#include "core/process/cli.h"

int main(int argc, char** argv) {
  return waypost::RunCommandLine(argc, argv);
}
