// Keys of session tickets (RFC 5077, RFC 8446 section 4.6.1): what lets a viewer resume without the server
// remembering it.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstdint>
#include <mutex>
#include <span>

#include "kernel/reactor.h"

namespace sluice::secure {

/**
 * The key that tickets are sealed with now, and the one before it, which is still accepted. A context that
 * replaces another takes over its keys, so that resumption survives a certificate's renewal. Any thread.
 */
class TicketKeys {
 public:
  /** Half of the longest time for which a ticket is good. */
  static constexpr kernel::Nanos kPeriod = 4 * 3600 * kernel::kSecond;

  TicketKeys();
  TicketKeys(const TicketKeys&) = delete;
  TicketKeys& operator=(const TicketKeys&) = delete;
  ~TicketKeys();

  /** Makes a new key; happens by itself when a ticket is sealed and the key is older than kPeriod. */
  void rotate();
  /** What SSL_CTX_set_tlsext_ticket_key_evp_cb asks for: fills in name and ciphers. */
  int use(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac, bool seal);

 private:
  struct Key {
    std::array<unsigned char, 16> name{};
    std::array<unsigned char, 32> cipher{};
    std::array<unsigned char, 32> mac{};
    bool made = false;
  };
  void rotate_locked(kernel::Nanos now);

  std::mutex mutex_;
  std::array<Key, 2> keys_;
  kernel::Nanos made_at_ = 0;
};

}  // namespace sluice::secure
