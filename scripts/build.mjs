// npm run build: set-up, then TypeScript and the addon, whatever is out of date.
import { asCommand, build } from './lib/setup.mjs';

await asCommand(build);
