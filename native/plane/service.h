// What the plane offers to a daemon that runs under a service manager, and to one that looks at its host.
#pragma once

#include "kernel/notify.h"
#include "kernel/udp_offload.h"

namespace sluice::plane {

using kernel::drop_inherited;
using kernel::inherit_listener;
using kernel::notify;
using kernel::udp_offload;

}  // namespace sluice::plane
