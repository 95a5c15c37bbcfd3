#!/bin/sh
exec /usr/lib/sluice/bin/node /usr/lib/sluice/dist/daemon/cli/sluice.js "$@"
