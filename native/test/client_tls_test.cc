#include "secure/client_context.h"
#include "test/client_fixture.h"
#include "test/tls_pair.h"
#include "test/tls_server.h"

using namespace sluice;
using http::ClientOutcome;
using test::code;
using test::Fixture;
using test::Identity;
using test::Peer;
using test::Server;
using test::TlsPeer;

namespace {

const std::string kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

struct Bed {
  Identity identity{test::CertificateOptions{.names = "DNS:a.example,DNS:b.example"}};
  std::shared_ptr<secure::ClientContext> trust = test::client_of(identity.certificate());

  http::ClientRequest get(const Server& server, const std::string& name = "a.example") const {
    http::ClientRequest request = Fixture::get(server.address());
    request.tls = trust;
    request.server_name = name;
    return request;
  }
};

void serve_always(TlsPeer& peer, int) {
  while (!peer.read_head().empty() && peer.send(kAnswer)) {
  }
}

}  // namespace

TEST_CASE("client over TLS: one connection serves request after request, for one name") {
  const Bed bed;
  std::vector<std::string> names;
  int resumed = 0;
  {
    Server server(test::over_tls(bed.identity, [&](TlsPeer& peer, int index) {
      names.push_back(peer.name());
      resumed += peer.resumed() ? 1 : 0;
      serve_always(peer, index);
    }));
    Fixture f;
    for (const std::string name : {"a.example", "a.example", "b.example", "a.example"}) {
      CHECK(code(f.run(bed.get(server, name))) == "");
      CHECK(f.body == "hello");
    }
    CHECK(f.counters.connects == 3);
    // Plain HTTP does not go over the connection that was kept.
    Server plain([](Peer& peer, int) {
      peer.read_head();
      peer.send(kAnswer);
    });
    CHECK(code(f.run(Fixture::get(plain.address()))) == "");
  }
  CHECK(names == std::vector<std::string>{"a.example", "b.example", "a.example"});
  CHECK(resumed == 1);
}

TEST_CASE("client over TLS: why there is none") {
  const Bed bed;
  Fixture f;
  Server server(test::over_tls(bed.identity, serve_always));
  ClientOutcome o = f.run(bed.get(server, "c.example"));
  CHECK(code(o) == "UPSTREAM_TLS");
  CHECK(o.message ==
        "no TLS with c.example (" + server.address().text() +
            "): host name mismatch: expected a certificate for c.example, got one for a.example, "
            "b.example");
  CHECK(f.counters.connected == 0);
  o = f.run(bed.get(server, "not a name"));
  CHECK(code(o) == "UPSTREAM_TLS");
  Server plain([](Peer& peer, int) { peer.send("HTTP/1.1 400 Bad Request\r\n\r\n"); });
  o = f.run(bed.get(plain));
  CHECK(code(o) == "UPSTREAM_TLS");
  CHECK(o.message.find("wrong version number") != std::string::npos);
  Server closing([](Peer&, int) {});
  o = f.run(bed.get(closing));
  CHECK(code(o) == "UPSTREAM_TLS");
  // And then all is well.
  CHECK(code(f.run(bed.get(server))) == "");
}

TEST_CASE("client over TLS: a server that says nothing in the handshake is left in time") {
  const Bed bed;
  Server mute([](Peer& peer, int) { CHECK(peer.read_head() == ""); });
  http::ClientTimeouts timeouts;
  timeouts.handshake = 50 * kernel::kMillisecond;
  Fixture f(timeouts);
  const ClientOutcome o = f.run(bed.get(mute));
  CHECK(code(o) == "UPSTREAM_TIMEOUT");
  CHECK(o.message.find("no TLS with ") == 0);
}

TEST_CASE("client over TLS: large bodies, paused and resumed, come whole") {
  const Bed bed;
  std::string body;
  for (int i = 0; body.size() < 3'000'000; i++) body += std::to_string(i) + " ";
  Server server(test::over_tls(bed.identity, [&](TlsPeer& peer, int) {
    while (!peer.read_head().empty()) {
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n");
      peer.send(body);
    }
  }));
  Fixture f;
  int pieces = 0;
  f.at_body = [&] {
    if (++pieces % 7 == 0) f.client->pause();
  };
  for (int i = 0; i < 2; i++) {
    http::ClientRequest request = bed.get(server);
    request.max_bytes = body.size();
    f.body.clear();
    f.outcome.reset();
    REQUIRE(f.client->request(std::move(request)));
    f.turn_until([&] {
      if (f.client->paused()) f.client->resume();
      return f.outcome.has_value();
    });
    CHECK(code(*f.outcome) == "");
    CHECK(f.body == body);
  }
  CHECK(f.counters.connects == 1);
}

TEST_CASE("client over TLS: a body to the end of the connection ends by close_notify only") {
  const Bed bed;
  for (const bool in_order : {true, false}) {
    Server server(test::over_tls(bed.identity, [&](TlsPeer& peer, int) {
      peer.read_head();
      peer.send("HTTP/1.1 200 OK\r\n\r\nto the end");
      if (in_order) peer.end();
    }));
    Fixture f;
    const ClientOutcome o = f.run(bed.get(server));
    CHECK(code(o) == (in_order ? "" : "UPSTREAM_CLOSED"));
    CHECK(f.body == "to the end");
  }
}

TEST_CASE("client over TLS: insecure takes what is shown") {
  const Bed bed;
  Server server(test::over_tls(bed.identity, serve_always));
  Fixture f;
  http::ClientRequest request = bed.get(server, "c.example");
  request.tls = secure::ClientContext::create({"", true}).value();
  CHECK(code(f.run(std::move(request))) == "");
}
