/**
 * A wire between two network namespaces: our end of a veth pair stays here, the other one goes
 * to a namespace of its own, where the kernel is the peer. To be used inside private namespaces
 * (namespace.ts); that namespace ends with us, however we end.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { switchOffloadsOff } from '../link/interface.js';
import { native } from '../link/native.js';
import { addressing, ip, must, sysctl, which } from './namespace.js';

/** Holds the namespace until its input ends. /proc may be that of an outer process namespace: this is how it calls us. */
const HOLDER = 'read -r pid rest </proc/self/stat; echo "$pid"; exec cat';

export interface WireOptions {
  /** Our end, and the kernel's. */
  readonly names: readonly [ours: string, theirs: string];
  /** Addresses of the kernel's end, with prefix length. */
  readonly theirs: readonly string[];
  /** Addresses that our own kernel has on our end. Without any it has nothing to do with the wire. */
  readonly ours?: readonly string[];
  /** Leaves checksums and segmentation to the veth pair, which does neither. */
  readonly offloads?: boolean;
}

export class Wire {
  private constructor(
    private readonly holder: ChildProcess,
    /** Path of the namespace at the other end. */
    readonly namespace: string,
    /** What to put before a command so that it runs there. */
    readonly prefix: readonly string[],
  ) {}

  /** Throws Error with one line when the system refuses. */
  static async start(options: WireOptions): Promise<Wire> {
    const [ours, theirs] = options.names;
    must('ip', 'link', 'add', ours, 'type', 'veth', 'peer', 'name', theirs);
    const loaded = native();
    if (options.offloads !== true && loaded.ok)
      for (const name of options.names) switchOffloadsOff(loaded.addon, name);
    const command = [which('unshare') ?? 'unshare', '--net', 'sh', '-c', HOLDER];
    const setpriv = which('setpriv');
    if (setpriv !== null) command.unshift(setpriv, '--pdeathsig', 'KILL');
    const holder = spawn(command[0]!, command.slice(1), { stdio: ['pipe', 'pipe', 'inherit'] });
    const [said] = (await once(holder.stdout, 'data')) as [Buffer];
    holder.unref();
    const namespace = `/proc/${Number(said)}/ns/net`;
    const prefix = [which('nsenter') ?? 'nsenter', `--net=${namespace}`, '--'];
    const wire = new Wire(holder, namespace, prefix);
    try {
      must('ip', 'link', 'set', theirs, 'netns', String(holder.pid));
      ip(addressing(theirs, options.theirs), prefix);
      addressOurs(ours, options.ours ?? []);
    } catch (error) {
      wire.close();
      throw error;
    }
    return wire;
  }

  /** Ends the namespace, and the wire with it. Idempotent. */
  close(): void {
    this.holder.kill('SIGKILL');
  }
}

function addressOurs(name: string, addresses: readonly string[]): void {
  // Not even a link-local address: our kernel is to stay off the wire.
  if (addresses.length === 0) sysctl(`net.ipv6.conf.${name}.disable_ipv6`, 1);
  ip(addressing(name, addresses));
}
