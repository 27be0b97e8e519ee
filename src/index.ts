/** What programs import from `timewait`. */
export { createNetwork, Network } from './net/network.js';
export type { NetworkOptions, NewStackOptions } from './net/network.js';
export type { TimeWait } from './net/time-wait.js';
export { Socket } from './net/socket.js';
export type { AddressInfo, ConnectOptions, SocketOptions } from './net/socket-options.js';
export type { ListenSettings, TcpSettings } from './net/tcp-settings.js';
export { Server } from './net/server.js';
export type { DropArgument, ServerOptions } from './net/server.js';
export type { ConnectTarget, ListenTarget, LookupFunction } from './net/arguments.js';
export type { OnReadOptions } from './net/inlet.js';
export type { NetError } from './net/errors.js';
export { asNetSocket, httpAgent, httpsAgent, serve, tlsOver, undiciConnector } from './net/adapters.js';
export { Driver } from './net/driver.js';
export { RealClock } from './net/real-clock.js';
export { VirtualTime } from './net/virtual-time.js';
export { Stack } from './stack/stack.js';
export type * from './stack/api.js';
export { ManualClock } from './time/clock.js';
export type { Clock, WallTime } from './time/clock.js';
export type { Link } from './link/link.js';
export { PacketRing } from './wire/ring.js';
export { FaultsLink } from './link/faults.js';
export type { FaultOptions, HoldHandle, HoldPredicate } from './link/faults.js';
export { MemoryLink, memoryLink } from './link/memory.js';
export type { MemoryLinkOptions } from './link/memory.js';
export { OWN_REASONS, reasonText } from './reasons.js';
export type { ReasonId, ReasonText } from './reasons.js';
export { EthernetLink } from './link/ethernet-link.js';
export type { EthernetOptions } from './link/ethernet-link.js';
export { openPacketLink } from './link/packet.js';
export { openPcapLink } from './link/pcap.js';
export { RawLink } from './link/raw.js';
export type { RawOptions } from './link/raw.js';
export { TunLink } from './link/tun.js';
export { tunAvailable } from './link/tun-device.js';
export type { TunOptions } from './link/tun.js';
export { Workers } from './workers/workers.js';
export type { WorkersOptions } from './workers/workers.js';
export type { HandedOver, Seat, WorkerMain, WorkerProgram } from './workers/seat.js';
export { CaptureLink } from './link/capture.js';
export { FileSink, MemorySink } from './link/sink.js';
export type { PacketSink } from './link/sink.js';
export { parseFaults } from './link/faults.js';
export {
  HOLDER_CLOSER,
  HOLDER_PEER,
  HOLDER_US,
  LAST_ACK_CLOSED,
  LAST_ACK_TAKE_OVER,
  LAST_ACK_TIME_WAIT,
  PRESSURE_EVICT_OLDEST,
  PRESSURE_SKIP,
  act,
  definePolicy,
  guardPolicy,
  policyNamed,
  reason,
  withRules,
} from './stack/policies.js';
export type {
  BindRequest,
  CloseFacts,
  GuardOptions,
  Guarded,
  HookName,
  HostStamp,
  LentRules,
  Policy,
  PolicyContext,
  PolicyDefinition,
  PolicyFailure,
  ReasonGiven,
  RecordFacts,
  ReopenRequest,
  RuleName,
  SegmentFacts,
} from './stack/policies.js';
/** Arithmetic of sequence numbers and timestamps, which are never compared with <. */
export * as serial from './seqnum.js';
export { knobs, policies } from './stack/catalogue.js';
export type { Knob, PolicyRow } from './stack/catalogue.js';
