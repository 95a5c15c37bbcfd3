// What a service manager (systemd) is told, and the sockets that it hands over.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "kernel/address.h"
#include "kernel/result.h"

namespace sluice::kernel {

/** Most descriptors in one message; the kernel's own bound, SCM_MAX_FD, is 253. */
constexpr std::size_t kMostNotifyDescriptors = 16;

/**
 * Sends one message to the service manager (sd_notify(3)). Never waits: a manager that does not read is an
 * error.
 * @param socket path of a Unix datagram socket; `@` first for one in the abstract namespace
 * @param state lines of NAME=VALUE
 * @param descriptors sent along, for FDSTORE=1; they stay the caller's
 * @return the error, or none
 */
std::optional<Error> notify(const std::string& socket, const std::string& state,
                            std::span<const int> descriptors);

/**
 * Takes over a descriptor that the process was started with: it is closed on exec from now on.
 * @return where it listens; none when it is no listening TCP socket (or no descriptor at all)
 */
std::optional<Address> inherit_listener(int fd) noexcept;

/** Closes a descriptor that was taken over and is not wanted. A listening socket frees its port at once,
 * though the service manager may still hold it. */
void drop_inherited(int fd) noexcept;

/** Where a TCP socket listens; none when the descriptor is something else. */
std::optional<Address> listening_address(int fd) noexcept;

}  // namespace sluice::kernel
