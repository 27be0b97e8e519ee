/** The file that TUN devices come from: can they be had here? Without what a device needs besides, as starts ask it first. */
import { closeSync, openSync } from 'node:fs';
import { native, type Missing } from './native.js';

const DEVICE = '/dev/net/tun';

/**
 * Whether TUN devices can be had here: the device file can be opened and the addon
 * loads. Whether this network namespace lets us create one (CAP_NET_ADMIN) shows
 * only when `TunLink.open` tries.
 */
export function tunAvailable(): { readonly ok: true } | Missing {
  try {
    closeSync(openSync(DEVICE, 'r+'));
  } catch (error) {
    return explain((error as NodeJS.ErrnoException).code ?? 'unknown error');
  }
  const loaded = native();
  return loaded.ok ? { ok: true } : loaded;
}

/** Words for an error of opening the device file. */
function explain(code: string): Missing {
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return { ok: false, reason: `${DEVICE} does not exist`, cure: 'modprobe tun' };
    case 'ENODEV':
    case 'ENXIO':
      return { ok: false, reason: 'the kernel has no TUN driver loaded', cure: 'modprobe tun' };
    case 'EACCES':
      return {
        ok: false,
        reason: `${DEVICE} may not be opened by this user`,
        cure: `chmod 0666 ${DEVICE} or run as root`,
      };
    case 'EPERM':
      return {
        ok: false,
        reason: `${DEVICE} is closed to this container`,
        cure: `start the container with --device ${DEVICE}`,
      };
    default:
      return { ok: false, reason: `${DEVICE} cannot be opened (${code})`, cure: 'modprobe tun' };
  }
}
