// npm run setup: compiler packages and npm packages, whatever is missing.
import { asCommand, setUp } from './lib/setup.mjs';

await asCommand(setUp);
