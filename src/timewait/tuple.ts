/** The four-tuple of a connection as the tables store it: mapped addresses in words, ports. */
export class Tuple {
  local0 = 0;
  local1 = 0;
  local2 = 0;
  local3 = 0;
  remote0 = 0;
  remote1 = 0;
  remote2 = 0;
  remote3 = 0;
  localPort = 0;
  remotePort = 0;

  /** IPv4-mapped on both ends. */
  get isV4(): boolean {
    return this.local0 === 0 && this.local1 === 0 && this.local2 === 0xffff;
  }
}
