// What the plane tells, as JavaScript gets it.
#pragma once

#include <napi.h>

#include "plane/event.h"

namespace sluice::addon {

/** RawEvent of daemon/plane/addon.ts. */
Napi::Object event_value(Napi::Env env, const plane::Event& event);

}  // namespace sluice::addon
