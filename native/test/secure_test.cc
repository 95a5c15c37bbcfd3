#include <openssl/err.h>

#include <functional>
#include <random>

#include "test/tls_pair.h"

using namespace sluice;
using secure::ClientContext;
using secure::ServerContext;
using secure::Session;
using test::Identity;
using test::Kind;
using test::TlsPair;

namespace {

struct Authority {
  Identity root{test::authority()};
  Identity issue(test::CertificateOptions options) const { return Identity(options, &root); }
  Identity issue(const std::string& names) const {
    test::CertificateOptions options;
    options.names = names;
    return issue(options);
  }
};

/** Why the client refuses the certificate when it expects `name`. */
std::string refusal(const Identity& shown, const std::string& authorities, const std::string& name) {
  TlsPair pair(test::server_of(shown), test::client_of(authorities), name);
  CHECK_FALSE(pair.shake());
  CHECK(pair.client_kind == Kind::failed);
  CHECK(pair.server_kind == Kind::failed);
  CHECK(ERR_peek_error() == 0);
  return pair.client->reason();
}

bool resumes(const std::shared_ptr<const ServerContext>& server, const std::shared_ptr<ClientContext>& client,
             const std::string& name = "a.example") {
  TlsPair pair(server, client, name);
  REQUIRE(pair.shake());
  // The ticket of TLS 1.3 comes behind the handshake.
  Kind kind{};
  TlsPair::read(*pair.client, &kind);
  CHECK(kind == Kind::wants_read);
  CHECK(pair.client->resumed() == pair.server->resumed());
  return pair.client->resumed();
}

}  // namespace

TEST_CASE("secure: both sides agree, and bytes go both ways") {
  const Authority authority;
  const Identity identity = authority.issue("DNS:a.example,DNS:*.b.example,IP:192.0.2.1,IP:2001:db8::1");
  for (const std::string name : {"a.example", "x.b.example", "192.0.2.1", "2001:db8::1"}) {
    TlsPair pair(test::server_of(identity), test::client_of(authority.root.certificate()), name);
    REQUIRE_MESSAGE(pair.shake(), pair.client->reason());
    CHECK(pair.client->version() == std::string("TLSv1.3"));
    CHECK(pair.client->pending());
    CHECK(TlsPair::write(*pair.client, "hello").done());
    CHECK(TlsPair::read(*pair.server) == "hello");
    CHECK_FALSE(pair.server->pending());
    CHECK(TlsPair::write(*pair.server, "world").done());
    CHECK(TlsPair::read(*pair.client) == "world");
    Kind kind{};
    CHECK(TlsPair::read(*pair.client, &kind) == "");
    CHECK(kind == Kind::wants_read);
    CHECK(pair.server->shutdown().done());
    TlsPair::read(*pair.client, &kind);
    CHECK(kind == Kind::closed);
    // One direction has ended, the other has not.
    CHECK(TlsPair::write(*pair.client, "more").done());
    CHECK(TlsPair::read(*pair.server) == "more");
  }
}

TEST_CASE("secure: a certificate that is not to be trusted is refused for a reason") {
  const Authority authority;
  const Authority other;
  const std::string root = authority.root.certificate();
  const Identity good = authority.issue("DNS:a.example,IP:192.0.2.7");
  CHECK(refusal(good, root, "b.example") ==
        "host name mismatch: expected a certificate for b.example, got one for a.example, 192.0.2.7");
  CHECK(refusal(good, root, "192.0.2.8") ==
        "host name mismatch: expected a certificate for 192.0.2.8, got one for a.example, 192.0.2.7");
  CHECK(refusal(good, other.root.certificate(), "a.example") == "unable to get local issuer certificate");
  CHECK(refusal(good, "", "a.example") == "unable to get local issuer certificate");
  test::CertificateOptions old;
  old.names = "DNS:a.example";
  old.until = -60;
  CHECK(refusal(authority.issue(old), root, "a.example") == "certificate has expired");
  test::CertificateOptions early;
  early.names = "DNS:a.example";
  early.from = 600;
  CHECK(refusal(authority.issue(early), root, "a.example") == "certificate is not yet valid");
  const Identity self(test::CertificateOptions{.names = "DNS:a.example"});
  CHECK(refusal(self, root, "a.example") == "self-signed certificate");
}

TEST_CASE("secure: insecure takes any certificate, and a pinned one need not be a root") {
  const Authority authority;
  const Identity identity = authority.issue("DNS:a.example");
  auto careless = ClientContext::create({"", true}).value();
  TlsPair any(test::server_of(identity), careless, "b.example");
  CHECK(any.shake());
  TlsPair pinned(test::server_of(identity), test::client_of(identity.certificate()), "a.example");
  CHECK(pinned.shake());
}

TEST_CASE("secure: what cannot be used as certificate, key or authority is told") {
  const Identity one(test::CertificateOptions{.names = "DNS:a.example"});
  const Identity two(test::CertificateOptions{.names = "DNS:a.example"});
  const auto wrong = [](const std::string& chain, const std::string& key) {
    auto made = ServerContext::create({{chain, key}});
    REQUIRE_FALSE(made.ok());
    CHECK(std::string(made.error().code) == "TLS_CERTIFICATE");
    CHECK(ERR_peek_error() == 0);
    return made.error().message;
  };
  CHECK(wrong("", one.key()) == "expected a certificate in PEM form, found none");
  CHECK(wrong(one.certificate(), "") == "expected a private key in PEM form, found none");
  CHECK(wrong(one.certificate(), two.key()) ==
        "the private key does not fit the certificate: key values mismatch");
  CHECK(wrong(one.certificate(), one.key("secret")).find("passphrase") != std::string::npos);
  std::string damaged = one.certificate();
  damaged.replace(80, 4, "AAAA");
  CHECK(wrong(damaged, one.key()).find("a certificate cannot be read") == 0);
  test::CertificateOptions weak{.names = "DNS:a.example"};
  weak.rsa = 1024;
  const Identity small(weak);
  CHECK(wrong(small.certificate(), small.key()) == "the certificate cannot be used: ee key too small");
  CHECK_FALSE(ServerContext::create({}).ok());
  CHECK_FALSE(ClientContext::create({"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}).ok());
}

TEST_CASE("secure: the certificate is chosen by the name asked for, the first where none fits") {
  const Authority authority;
  const Identity a = authority.issue("DNS:a.example");
  const Identity b = authority.issue("DNS:*.b.example");
  auto server = ServerContext::create({a.server(), b.server()}).value();
  auto client = test::client_of(authority.root.certificate());
  for (const std::string name : {"a.example", "x.b.example"}) CHECK(TlsPair(server, client, name).shake());
  TlsPair neither(server, client, "c.example");
  CHECK_FALSE(neither.shake());
  CHECK(neither.client->reason().find("got one for a.example") != std::string::npos);
}

TEST_CASE("secure: sessions are resumed, over a new context and one change of keys, not over two") {
  const Authority authority;
  auto client = test::client_of(authority.root.certificate());
  auto server = test::server_of(authority.issue("DNS:a.example,IP:192.0.2.1"));
  CHECK_FALSE(resumes(server, client));
  CHECK(resumes(server, client));
  CHECK(resumes(server, client));
  CHECK_FALSE(resumes(server, client, "192.0.2.1"));
  CHECK(resumes(server, client, "192.0.2.1"));
  auto renewed =
      ServerContext::create({authority.issue("DNS:a.example").server()}, server->tickets()).value();
  CHECK(resumes(renewed, client));
  server->tickets()->rotate();
  CHECK(resumes(renewed, client));
  server->tickets()->rotate();
  server->tickets()->rotate();
  CHECK_FALSE(resumes(renewed, client));
  CHECK_FALSE(resumes(test::server_of(authority.issue("DNS:a.example")), client));
}

TEST_CASE("secure: a reloaded context leaves the connections of the old one alone") {
  const Authority authority;
  auto client = test::client_of(authority.root.certificate());
  auto server = test::server_of(authority.issue("DNS:a.example"));
  TlsPair pair(server, client, "a.example");
  REQUIRE(pair.shake());
  server.reset();
  client.reset();
  CHECK(TlsPair::write(*pair.server, "still here").done());
  CHECK(TlsPair::read(*pair.client) == "still here");
}

TEST_CASE("secure: a peer that takes nothing holds one batch, and gets every byte in order") {
  const Authority authority;
  TlsPair pair(test::server_of(authority.issue("DNS:a.example")),
               test::client_of(authority.root.certificate()), "a.example");
  REQUIRE(pair.shake());
  std::mt19937 random(11);
  std::string sent;
  std::string received;
  std::vector<std::uint8_t> buffer(100'000);
  int blocked = 0;
  for (int i = 0; i < 300; i++) {
    // Other bytes each time: what was taken need not be given again.
    std::string head(random() % 300, char('a' + i % 26));
    std::string body(random() % 200'000, char('A' + i % 26));
    const std::array<codec::Bytes, 2> pieces{test::bytes_of(head), test::bytes_of(body)};
    const secure::Outcome outcome = pair.server->write(pieces);
    REQUIRE((outcome.kind == Kind::done || outcome.kind == Kind::wants_write));
    CHECK((outcome.kind == Kind::done) ==
          (!pair.server->unsent() && outcome.bytes == head.size() + body.size()));
    sent += (head + body).substr(0, outcome.bytes);
    if (outcome.kind == Kind::wants_write) blocked++;
    if (i % 3 == 0) received.append(reinterpret_cast<char*>(buffer.data()), pair.client->read(buffer).bytes);
  }
  CHECK(blocked > 10);
  for (int i = 0; i < 1000 && received.size() < sent.size(); i++) {
    (void)pair.server->write({});
    const secure::Outcome outcome = pair.client->read(buffer);
    received.append(reinterpret_cast<char*>(buffer.data()), outcome.bytes);
  }
  CHECK(pair.server->write({}).done());
  CHECK(received.size() == sent.size());
  CHECK(received == sent);
}

TEST_CASE("secure: an end without close_notify is told from one with it") {
  const Authority authority;
  auto server = test::server_of(authority.issue("DNS:a.example"));
  auto client = test::client_of(authority.root.certificate());
  TlsPair pair(server, client, "a.example");
  REQUIRE(pair.shake());
  CHECK(TlsPair::write(*pair.server, "half").done());
  pair.server_socket.reset();
  CHECK(TlsPair::read(*pair.client) == "half");
  Kind kind{};
  TlsPair::read(*pair.client, &kind);
  CHECK(kind == Kind::truncated);
  CHECK(pair.client->reason() == "the connection ended without close_notify");
  CHECK(TlsPair::write(*pair.client, "x").kind == Kind::failed);
}

TEST_CASE("secure: a handshake cut at any byte, or of random bytes, fails and says so") {
  const Authority authority;
  auto server = test::server_of(authority.issue("DNS:a.example"));
  TlsPair whole(server, test::client_of(authority.root.certificate()), "a.example");
  CHECK(whole.client->handshake().kind == Kind::wants_read);
  std::array<char, 2048> hello{};
  const ssize_t size = ::recv(whole.server_socket.get(), hello.data(), hello.size(), 0);
  REQUIRE(size > 100);
  for (ssize_t cut = 0; cut < size; cut++) {
    TlsPair pair(server, nullptr, "");
    REQUIRE(::send(pair.client_socket.get(), hello.data(), static_cast<std::size_t>(cut), 0) == cut);
    ::shutdown(pair.client_socket.get(), SHUT_WR);
    CHECK(pair.server->handshake().kind == Kind::failed);
    CHECK_MESSAGE(pair.server->reason() == "the peer closed the connection within the TLS handshake", cut);
  }
  std::mt19937 random(5);
  for (int i = 0; i < 200; i++) {
    std::string noise(hello.data(), static_cast<std::size_t>(size));
    for (int n = 0; n <= i; n++) noise[random() % noise.size()] = static_cast<char>(random());
    TlsPair pair(server, nullptr, "");
    REQUIRE(::send(pair.client_socket.get(), noise.data(), noise.size(), 0) == size);
    ::shutdown(pair.client_socket.get(), SHUT_WR);
    const Kind kind = pair.server->handshake().kind;
    // Some damage is none: a random number in place of another.
    if (kind == Kind::failed) CHECK_FALSE(pair.server->reason().empty());
    CHECK(ERR_peek_error() == 0);
  }
}

TEST_CASE("secure: old versions, other protocols and plain text are refused") {
  const Authority authority;
  auto server = test::server_of(authority.issue("DNS:a.example"));
  const auto against = [&](const std::function<void(SSL*)>& configure) {
    TlsPair pair(server, nullptr, "");
    const secure::SslContextPtr context(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_security_level(context.get(), 0);
    SSL_CTX_set_min_proto_version(context.get(), TLS1_VERSION);
    SSL_CTX_set_cipher_list(context.get(), "ALL");
    const secure::SslPtr ssl(SSL_new(context.get()));
    configure(ssl.get());
    SSL_set_fd(ssl.get(), pair.client_socket.get());
    SSL_set_connect_state(ssl.get());
    for (int i = 0; i < 10 && pair.server_kind != Kind::failed; i++) {
      (void)SSL_do_handshake(ssl.get());
      pair.server_kind = pair.server->handshake().kind;
    }
    ERR_clear_error();
    return pair.server_kind == Kind::done ? std::string("done") : pair.server->reason();
  };
  CHECK(against([](SSL*) {}) == "done");
  CHECK(against([](SSL* s) { SSL_set_max_proto_version(s, TLS1_2_VERSION); }) == "done");
  CHECK(against([](SSL* s) { SSL_set_max_proto_version(s, TLS1_1_VERSION); }) == "unsupported protocol");
  CHECK(against([](SSL* s) {
          SSL_set_max_proto_version(s, TLS1_2_VERSION);
          SSL_set_cipher_list(s, "AES128-SHA:ECDHE-ECDSA-AES128-SHA");
        }) == "no shared cipher");
  CHECK(against([](SSL* s) {
          constexpr std::array<unsigned char, 3> kH2{2, 'h', '2'};
          SSL_set_alpn_protos(s, kH2.data(), kH2.size());
        }) == "no application protocol");
  TlsPair plain(server, nullptr, "");
  REQUIRE(::send(plain.client_socket.get(), "GET / HTTP/1.1\r\n\r\n", 18, 0) == 18);
  CHECK(plain.server->handshake().kind == Kind::failed);
  CHECK(plain.server->reason() == "http request");
  TlsPair reversed(nullptr, test::client_of(authority.root.certificate()), "a.example");
  REQUIRE(::send(reversed.server_socket.get(), "HTTP/1.1 400 Bad\r\n\r\n", 20, 0) == 20);
  CHECK(reversed.client->handshake().kind == Kind::failed);
  CHECK(reversed.client->reason() == "wrong version number: the peer does not speak TLS 1.2 or 1.3 here");
}
