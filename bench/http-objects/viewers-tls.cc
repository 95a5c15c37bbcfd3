// See viewers.h; over TLS.
#include "tls.h"
#include "viewers.h"

int main(int count, char** arguments) {
  using namespace sluice::bench;
  return watch_live_edge<Tls>(count, arguments, Tls::Shared());
}
