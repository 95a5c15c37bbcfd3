// What npm runs before it packs: everything built, and the addon put where node-gyp-build looks for it.
import { prebuildAddon } from './lib/package/addon.mjs';
import { ROOT } from './lib/run.mjs';
import { asCommand, build } from './lib/setup.mjs';

if (await asCommand(build)) await asCommand(() => prebuildAddon(ROOT));
