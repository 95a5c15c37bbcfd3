// A keeper of descriptors, as a process of its own.
#pragma once

#include <sys/stat.h>

#include <string>

#include "kernel/descriptor_store.h"
#include "test/namespaces.h"

namespace sluice::test {

/** A folder with the keeper's socket; the keeper is a process of its own. */
class Keeper {
 public:
  Keeper() : folder_(make_folder()), process_([this] { return run(); }) {
    up_ = eventually([this] { return kernel::HolderStore::connect(path()).ok(); });
  }
  Keeper(const Keeper&) = delete;
  Keeper& operator=(const Keeper&) = delete;
  ~Keeper() {
    process_.kill();
    unlink(path().c_str());
    rmdir(folder_.c_str());
  }
  [[nodiscard]] bool up() const noexcept { return up_; }
  [[nodiscard]] std::string path() const { return folder_ + "/keeper"; }

 private:
  static std::string make_folder() {
    std::string name = "/tmp/sluice-keeper-XXXXXX";
    return mkdtemp(name.data()) == nullptr ? "" : name;
  }
  [[nodiscard]] int run() const {
    auto holder = kernel::DescriptorHolder::listen({path(), 16, 60 * kernel::kSecond});
    if (!holder.ok()) return 1;
    holder.value()->run();
    return 0;
  }

  std::string folder_;
  Child process_;
  bool up_ = false;
};

}  // namespace sluice::test
