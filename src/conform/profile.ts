/** The names that `#ifdef` knows, by profile: scripts keep what systems differ in in such sections. */

const LINUX = /^(linux|alibaba|reuse|recycle)/;
const BSD = /^(freebsd|netbsd|openbsd|macos|bsd)/;

/** The profile's own name (dots and dashes as `_`), in capitals too, and its family's. */
export function definedNames(profile: string, more: readonly string[] = []): Set<string> {
  const own = profile.replaceAll(/[-.]/g, '_');
  const names = [own, own.toUpperCase(), ...more];
  if (LINUX.test(profile)) names.push('linux', 'Linux', 'LINUX', '__linux__');
  if (BSD.test(profile)) names.push('bsd', 'BSD');
  if (profile.startsWith('freebsd')) names.push('freebsd', 'FreeBSD', 'FREEBSD', '__FreeBSD__');
  if (profile.startsWith('netbsd')) names.push('NetBSD', '__NetBSD__');
  if (profile.startsWith('openbsd')) names.push('OpenBSD', '__OpenBSD__');
  return new Set(names);
}
