// Counts the tests in tap's own output (TAP 14 with indented subtests).

/**
 * A test is a subtest without further subtests; a skipped point is a skipped test; a suite that failed though nothing
 * counted in it did (time-out, an assertion beside the subtests) is one more failed test.
 * @param {string} text
 * @returns {{passed: number, failed: number, skipped: number, failures: string[], skips: string[]}}
 */
export function countTap(text) {
  const counts = { passed: 0, failed: 0, skipped: 0, failures: [], skips: [] };
  /** Suites that are open, outermost first. */
  const open = [];
  for (const line of text.split('\n')) {
    const subtest = /^( *)# Subtest: (.*)$/.exec(line);
    if (subtest !== null) {
      for (const suite of open) suite.leaf = false;
      open.push({ indent: subtest[1].length, name: subtest[2], leaf: true, failedBefore: counts.failed });
      continue;
    }
    const point = /^( *)(not ok|ok) \d+(?: - (.*?))?(?: # (SKIP|TODO|time=)(.*))?$/.exec(line);
    if (point !== null) countPoint(counts, open, point);
  }
  return counts;
}

function countPoint(counts, open, [, indent, verdict, name = '', directive, rest = '']) {
  const suite = open.at(-1);
  const closes =
    suite !== undefined && suite.indent === indent.length && !(directive === 'SKIP' && name !== suite.name);
  const path = open.map((s) => s.name);
  if (!closes) path.push(name);
  const title = path.join(' > ');
  if (closes) open.pop();
  if (directive === 'SKIP') {
    if (closes || indent.length <= 4 * open.length) {
      for (const outer of open) outer.leaf = false;
      counts.skipped++;
      counts.skips.push(`${title}: ${rest.trim() || 'no reason given'}`);
    }
  } else if (closes && verdict === 'not ok') {
    if (suite.leaf || counts.failed === suite.failedBefore) {
      counts.failed++;
      counts.failures.push(title);
    }
  } else if (closes && suite.leaf) {
    counts.passed++;
  }
}
