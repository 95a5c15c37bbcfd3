import { execFile, execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import t from 'tap';

const INSIDE = fileURLToPath(new URL('./interfaces-inside.js', import.meta.url));
const OWN_NAMESPACE = process.getuid?.() === 0 ? ['-n'] : ['-rn'];

/** Why no namespace with a link can be made here, or false. */
function unable(): string | false {
  try {
    execFileSync('unshare', [...OWN_NAMESPACE, 'ip', 'link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1'], {
      stdio: 'pipe',
    });
    return false;
  } catch (error) {
    return `network namespaces cannot be made: ${String(error).split('\n', 1)[0]}`;
  }
}

t.test(
  'interfaces that are absent are waited for; those that come back are taken up again',
  { skip: unable() },
  async (t) => {
    const { stdout } = await promisify(execFile)('unshare', [...OWN_NAMESPACE, process.execPath, INSIDE], {
      timeout: 90_000,
    });
    const steps = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    t.match(steps, [
      { step: 'absent', fault: /INTERFACE_UNKNOWN/, packets: 0, state: 'retrying', code: 'INTERFACE_UNKNOWN' },
      { step: 'there', fault: null, state: 'flowing', code: null },
      { step: 'gone', fault: /INTERFACE_UNKNOWN/, state: 'retrying' },
      { step: 'back', fault: null, state: 'flowing', code: null },
    ]);
  },
);
