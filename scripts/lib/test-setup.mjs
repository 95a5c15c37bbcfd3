// What only tests need, from Debian: installed where that is allowed; without it the tests that need it are skipped.
import { progress } from './child.mjs';
import { canInstall, installPackages, missingPackages } from './packages.mjs';

const MULTIARCH = process.arch === 'arm64' ? 'aarch64-linux-gnu' : 'x86_64-linux-gnu';
const GSTREAMER = `/usr/lib/${MULTIARCH}/gstreamer-1.0`;

const FUZZER = `/usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.fuzzer-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}.a`;

/** A program or file, and the Debian package that brings it. */
const TEST_PACKAGES = [
  { needs: 'clang-format', package: 'clang-format' },
  { needs: 'clang-tidy', package: 'clang-tidy' },
  { needs: 'clang++', package: 'clang' },
  { needs: FUZZER, package: 'libclang-rt-14-dev' },
  { needs: '/usr/include/doctest/doctest.h', package: 'doctest-dev' },
  { needs: '/usr/include/openssl/ssl.h', package: 'libssl-dev' },
  { needs: 'openssl', package: 'openssl' },
  { needs: 'nginx', package: 'nginx-light' },
  { needs: 'ffmpeg', package: 'ffmpeg' },
  { needs: 'tshark', package: 'tshark' },
  { needs: 'tcpdump', package: 'tcpdump' },
  { needs: 'chromium', package: 'chromium' },
  { needs: 'smcroutectl', package: 'smcroute' },
  { needs: 'vtysh', package: 'frr' },
  { needs: 'igmpproxy', package: 'igmpproxy' },
  { needs: 'gst-launch-1.0', package: 'gstreamer1.0-tools' },
  { needs: `${GSTREAMER}/libgsttcp.so`, package: 'gstreamer1.0-plugins-base' },
  { needs: `${GSTREAMER}/libgstrtp.so`, package: 'gstreamer1.0-plugins-good' },
  { needs: `${GSTREAMER}/libgstmpegtsdemux.so`, package: 'gstreamer1.0-plugins-bad' },
  { needs: `${GSTREAMER}/libgstlibav.so`, package: 'gstreamer1.0-libav' },
  { needs: 'nft', package: 'nftables' },
  { needs: 'ip', package: 'iproute2' },
  { needs: 'ethtool', package: 'ethtool' },
  { needs: 'rtpengine', package: 'rtpengine-daemon' },
  { needs: 'strace', package: 'strace' },
  { needs: 'mandoc', package: 'mandoc' },
  { needs: 'zsh', package: 'zsh' },
  { needs: 'fish', package: 'fish' },
  { needs: 'dpkg-shlibdeps', package: 'dpkg-dev' },
  { needs: 'lintian', package: 'lintian' },
  { needs: 'systemd-analyze', package: 'systemd' },
  { needs: 'mmdebstrap', package: 'mmdebstrap' },
];

/**
 * Installs what is missing, in one call.
 * @returns {Promise<string|null>} why something is still missing, or null
 */
export async function setUpTests() {
  const missing = missingPackages(TEST_PACKAGES);
  if (missing.length === 0) return null;
  const names = missing.join(' ');
  if (!canInstall()) return `not installed: ${names} (as root: apt-get install --no-install-recommends ${names})`;
  progress(`installing what the tests need: ${names} (apt)`);
  try {
    await installPackages(missing);
  } catch (error) {
    return `could not be installed: ${names}: ${error.message.trim().split('\n').at(-1)}`;
  }
  const still = missingPackages(TEST_PACKAGES);
  return still.length === 0 ? null : `installed, but still not found: ${still.join(' ')}`;
}
