// See bare-objects.h.
#include "bare-objects.h"

int main(int count, char** arguments) {
  using namespace sluice::bench;
  if (count != 4) {
    std::fputs("usage: bare-objects LISTEN-PORT ORIGIN-ADDRESS ORIGIN-PORT\n", stderr);
    return 2;
  }
  static const Plain::Shared shared;
  static Bare<Plain> bare(listen_on(arguments[1]), ipv4(arguments[2], arguments[3]), shared);
  bare.run();
}
