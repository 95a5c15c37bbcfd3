// See viewers.h.
#include "viewers.h"

int main(int count, char** arguments) {
  using namespace sluice::bench;
  return watch_live_edge<Plain>(count, arguments, {});
}
