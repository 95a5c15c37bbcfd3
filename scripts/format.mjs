// npm run format [-- --check]: formats both languages, or tells what is not formatted.
import { biomeStep, clangFormatStep } from './lib/lint.mjs';

const write = !process.argv.includes('--check');
let failed = 0;
for (const step of [biomeStep, clangFormatStep]) {
  const result = await step({ write });
  for (const note of result.notes) console.log(note);
  console.log(`${result.name}: ${result.failed > 0 ? 'failed' : result.skipped > 0 ? 'skipped' : 'ok'}`);
  failed += result.failed;
}
process.exitCode = failed > 0 ? 1 : 0;
