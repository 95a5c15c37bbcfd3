#include "secure/transport.h"

#include <thread>

#include "test/tls_pair.h"

using namespace sluice;
using secure::Outcome;
using secure::Transport;
using test::Identity;
using test::Kind;

namespace {

struct Ends {
  Transport left;
  Transport right;
  Ends() {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()) == 0);
    left = Transport(kernel::Fd(ends[0]));
    right = Transport(kernel::Fd(ends[1]));
  }
};

std::string read(Transport& from, Kind& kind) {
  std::array<std::uint8_t, 4096> buffer{};
  const Outcome outcome = from.read(buffer);
  kind = outcome.kind;
  return {reinterpret_cast<const char*>(buffer.data()), outcome.bytes};
}

void shake(Ends& ends) {
  bool done = false;
  for (int i = 0; i < 10 && !done; i++) {
    const bool left = ends.left.handshake().done();
    done = ends.right.handshake().done() && left;
  }
  REQUIRE(done);
}

}  // namespace

TEST_CASE("transport: the same outcomes with TLS and without") {
  const Identity identity(test::CertificateOptions{.names = "DNS:a.example"});
  for (const bool tls : {false, true}) {
    Ends ends;
    if (tls) {
      REQUIRE(ends.left.accept(test::server_of(identity)));
      REQUIRE(ends.right.connect(test::client_of(identity.certificate()), "a.example"));
    }
    shake(ends);
    CHECK((ends.left.session() != nullptr) == tls);
    const std::string head = "head ";
    const std::string body = "body";
    const std::array<codec::Bytes, 3> pieces{test::bytes_of(head), codec::Bytes{}, test::bytes_of(body)};
    const Outcome written = ends.left.write(pieces);
    CHECK(written.done());
    CHECK(written.bytes == 9);
    Kind kind{};
    std::string got = read(ends.right, kind);
    while (kind == Kind::done && got.size() < 9) got += read(ends.right, kind);
    CHECK(got == "head body");
    read(ends.right, kind);
    CHECK(kind == Kind::wants_read);

    // A peer that takes nothing: it comes to a stop, and goes on where it was.
    const std::string lot(4 << 20, 'x');
    std::size_t at = 0;
    Outcome outcome{};
    while ((outcome = ends.left.write(test::bytes_of(lot).subspan(at))).done()) at += outcome.bytes;
    CHECK(outcome.kind == Kind::wants_write);
    at += outcome.bytes;
    CHECK(at < lot.size());
    std::size_t received = 0;
    while (received < lot.size()) {
      received += read(ends.right, kind).size();
      outcome = ends.left.write(test::bytes_of(lot).subspan(at));
      at += outcome.bytes;
    }
    CHECK(ends.left.write(codec::Bytes{}).done());
    CHECK_FALSE(ends.left.unsent());

    CHECK(ends.left.finish().done());
    read(ends.right, kind);
    CHECK(kind == Kind::closed);
    ends.right.reset();
    while ((outcome = ends.left.write(test::bytes_of(lot))).done()) {
    }
    CHECK(outcome.kind == Kind::failed);
    CHECK_FALSE(ends.left.reason().empty());
  }
}

TEST_CASE("transport: contexts are shared by threads") {
  const Identity identity(test::CertificateOptions{.names = "DNS:a.example"});
  auto server = test::server_of(identity);
  auto client = test::client_of(identity.certificate());
  std::vector<std::thread> threads;
  std::atomic<int> resumed = 0;
  for (int t = 0; t < 4; t++) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; i++) {
        test::TlsPair pair(server, client, "a.example");
        if (!pair.shake()) return;
        test::TlsPair::read(*pair.client);
        resumed += pair.server->resumed() ? 1 : 0;
        if (i == 10) server->tickets()->rotate();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(resumed > 0);
}
