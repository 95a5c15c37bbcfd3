// See bare-objects.h; viewers come over TLS.
#include "bare-objects.h"
#include "tls.h"

int main(int count, char** arguments) {
  using namespace sluice::bench;
  if (count != 6) {
    std::fputs("usage: bare-objects-tls LISTEN-PORT ORIGIN-ADDRESS ORIGIN-PORT CERTIFICATE KEY\n", stderr);
    return 2;
  }
  static const Tls::Shared shared(arguments[4], arguments[5]);
  static Bare<Tls> bare(listen_on(arguments[1]), ipv4(arguments[2], arguments[3]), shared);
  bare.run();
}
