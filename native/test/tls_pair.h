// Both ends of a TLS connection in one thread.
#pragma once

#include <sys/socket.h>

#include <array>
#include <memory>
#include <string>

#include "kernel/fd.h"
#include "secure/session.h"
#include "test/certificates.h"

namespace sluice::test {

using Kind = secure::Outcome::Kind;

inline codec::Bytes bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

inline std::shared_ptr<const secure::ServerContext> server_of(const Identity& identity) {
  return secure::ServerContext::create({identity.server()}).value();
}

inline std::shared_ptr<secure::ClientContext> client_of(const std::string& authorities) {
  secure::ClientOptions options;
  options.authorities = authorities;
  return secure::ClientContext::create(options).value();
}

/** Two ends over a socket pair. */
struct TlsPair {
  kernel::Fd server_socket;
  kernel::Fd client_socket;
  std::unique_ptr<secure::Session> server;
  std::unique_ptr<secure::Session> client;
  Kind server_kind = Kind::wants_read;
  Kind client_kind = Kind::wants_read;

  TlsPair(const std::shared_ptr<const secure::ServerContext>& s,
          const std::shared_ptr<secure::ClientContext>& c, const std::string& name) {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()) == 0);
    server_socket.reset(ends[0]);
    client_socket.reset(ends[1]);
    if (s) server = secure::Session::accept(s, server_socket.get());
    if (c) client = secure::Session::connect(c, client_socket.get(), name);
  }
  /** Turns both ends until neither gets any further; true when both are done. */
  bool shake() {
    for (int i = 0; i < 20; i++) {
      if (client_kind != Kind::done && client_kind != Kind::failed) client_kind = client->handshake().kind;
      if (server_kind != Kind::done && server_kind != Kind::failed) server_kind = server->handshake().kind;
    }
    return client_kind == Kind::done && server_kind == Kind::done;
  }
  /** What one read gives, and how it ended when it gave nothing. */
  static std::string read(secure::Session& from, Kind* kind = nullptr) {
    std::array<std::uint8_t, 4096> buffer{};
    const secure::Outcome outcome = from.read(buffer);
    if (kind != nullptr) *kind = outcome.kind;
    return {reinterpret_cast<const char*>(buffer.data()), outcome.bytes};
  }
  static secure::Outcome write(secure::Session& to, const std::string& text) {
    const codec::Bytes piece = bytes_of(text);
    return to.write(std::span(&piece, 1));
  }
};

}  // namespace sluice::test
