/** The command line: arguments in, one call, text or JSON out. Each command loads its parts when it runs. */
import { Command, CommanderError, Help, Option } from 'commander';
import { UsageError, lineOf } from './fail.js';
import type { ConnectFlags } from './connect.js';
import type { DemoFlags } from './demo.js';
import type { DiffFlags } from './diff.js';
import type { ExplainFlags } from './explain.js';
import type { NstatFlags, SsFlags } from './inspect.js';
import { withLinkOptions } from './link-options.js';
import type { ListFlags } from './lists.js';
import type { PacketdrillFlags } from './packetdrill-server.js';
import type { PktFlags } from './pkt.js';
import type { HazardFlags } from './hazards.js';
import {
  count,
  jobs,
  localAddress,
  mtu,
  hook,
  policyName,
  policyOrFile,
  port,
  prefixes,
  seedNumber,
  setting,
  span,
  withPolicyOptions,
  withStackOptions,
  workers,
} from './options.js';
import type { ReplayFlags } from './replay.js';
import type { EngineFlags } from './engines.js';
import type { ServeFlags } from './serve.js';
import { sidePattern, tuplePattern } from './tuple.js';
import { version } from './version.js';

const args = process.argv.slice(2);

/** Ends the process with the command's status. */
async function finish(status: Promise<number>): Promise<void> {
  process.exitCode = await status;
}

function program(): Command {
  const timewait = new Command('timewait')
    .description('a userspace TCP stack whose TIME_WAIT behaviour is a choice')
    .version(version())
    .enablePositionalOptions()
    .configureHelp({ optionDescription })
    .exitOverride()
    .configureOutput({ outputError: () => undefined });
  // To make them all takes 4 ms.
  const asked = COMMANDS.get(args[0] ?? '');
  for (const define of asked === undefined ? COMMANDS.values() : [asked]) define(timewait);
  for (const command of [...timewait.commands, ...timewait.commands.flatMap((each) => each.commands)])
    command.exitOverride().configureOutput({ outputError: () => undefined, writeErr: () => undefined });
  return timewait;
}

/** Defaults that are lists: their words, and nothing about empty ones. */
function optionDescription(this: Help, option: Option): string {
  const list: unknown = option.defaultValue;
  const shown = !Array.isArray(list)
    ? option
    : (Object.create(option, {
        defaultValue: { value: list.length === 0 ? undefined : list },
        defaultValueDescription: { value: list.join(', ') },
      }) as Option);
  return Help.prototype.optionDescription.call(this, shown);
}

/** What makes each command, in the order of the help. */
const COMMANDS: ReadonlyMap<string, (timewait: Command) => void> = new Map([
  ['run', running],
  ['demo', demonstration],
  ['hazards', hazardSuite],
  ['serve', serving],
  ['connect', connecting],
  ['explain', explanation],
  ['replay', replaying],
  ['pkt', packetScripts],
  ['diff', differential],
  ['packetdrill-server', realTool],
  ['ss', sockets],
  ['nstat', counters],
  ['policies', policies],
  ['knobs', knobs],
]);

function running(timewait: Command): void {
  withWorkers(
    withRunOptions(timewait.command('run'))
      .description(
        'our stack in private namespaces, COMMAND on the kernel side (10.77.0.1, fd77::1; ours is 10.77.0.2, fd77::2)',
      )
      .argument('<command...>', 'program and its arguments, behind --')
      .passThroughOptions(),
  ).action(async (command: string[], flags: EngineFlags) => {
    const { run } = await import('./run.js');
    await finish(run(command, flags, args));
  });
}

function demonstration(timewait: Command): void {
  timewait
    .command('demo')
    .description('the four policies against the real kernel: what each accepts, refuses and why (about 15 s)')
    .option('--virtual', 'on the virtual network, without the kernel')
    .addOption(
      new Option('--link <kind>', 'way onto the wire (docs/links.md)')
        .choices(['tun', 'packet', 'pcap', 'raw'])
        .default('tun'),
    )
    .option('--pcap <file>', 'where the packets go, default a file in the temporary directory')
    .option('--json', 'print JSON')
    .action(async (flags: DemoFlags) => {
      const { demo } = await import('./demo.js');
      await finish(demo(flags, args));
    });
}

function hazardSuite(timewait: Command): void {
  timewait
    .command('hazards')
    .description(
      'what each profile lets through: every hazard played in the virtual internet, measured and scored',
    )
    .option('--profile <name...>', 'profiles, `all`, or files of policies of your own', ['all'])
    .option('--hazard <name...>', 'only these', [])
    .option('--set <knob=value>', 'set a knob of the host under test (repeatable)', setting, [])
    .option('--seed <number>', 'of everything that is random', seedNumber, 1)
    .option('--jobs <number>', 'threads, default the number of processors', jobs)
    .option('--pcap <directory>', 'write what the host under test saw, a file for each cell')
    .option('--list', 'list the hazards')
    .option('--json', 'print JSON')
    .action(async (flags: HazardFlags) => {
      const { hazards } = await import('./hazards.js');
      await finish(hazards(flags));
    });
}

function serving(timewait: Command): void {
  withDevice(withWorkers(withRunOptions(timewait.command('serve'))))
    .description(
      'the same services in the present network namespace, until interrupted (needs CAP_NET_ADMIN)',
    )
    .option('--control <socket>', 'Unix socket for ss, nstat, connect, explain, knobs and policies')
    .option('--remember', 'remember decisions for `explain` at once, not from its first question on')
    .action(async (flags: ServeFlags) => {
      const { serve } = await import('./serve.js');
      await finish(serve(flags));
    });
}

function connecting(timewait: Command): void {
  withDevice(withRunOptions(timewait.command('connect')))
    .description('as nc: stdin to the peer, the peer to stdout, half-close at the end of input')
    .argument('<host>', 'address or name of the peer')
    .argument('<port>', 'port of the peer', port)
    .option('--control <socket>', 'through the stack of a running `timewait serve`')
    .action(async (host: string, peerPort: number, flags: ConnectFlags) => {
      const { connect } = await import('./connect.js');
      await finish(connect(host, peerPort, flags));
    });
}

/** What happened on a tuple, and why. */
function explanation(timewait: Command): void {
  timewait
    .command('explain')
    .description(
      'the decisions on one tuple, as a ladder with reasons: from a capture, or of a running stack',
    )
    .argument('[file]', 'pcapng or pcap, - for standard input')
    .option('--tuple <end-end>', 'which one: 10.0.0.2:80-10.0.0.1:4000, or less of it: a port', tuplePattern)
    .option('--control <socket>', 'no file: ask a running `timewait serve` what it remembers')
    .option('--side <end>', 'the end that is ours, default as recorded', sidePattern)
    .option(
      '--policy <name>',
      'what this TIME-WAIT policy would have done beside what the capture shows',
      policyOrFile,
    )
    .option('--hook <hook=policy>', 'take one hook from another policy (repeatable)', hook, [])
    .option('--set <knob=value>', 'a knob of that policy (repeatable)', setting, [])
    .option('--all', 'the ladders of all tuples')
    .option('--json', 'print JSON')
    .action(async (file: string | undefined, flags: ExplainFlags) => {
      const { explain } = await import('./explain.js');
      await finish(explain(file, flags));
    });
}

/** `timewait replay`. */
function replaying(timewait: Command): void {
  const command = timewait
    .command('replay')
    .description(
      'one end of a recorded conversation is our stack: its answers beside the recorded ones; status 0 when alike, 1 when not',
    )
    .argument('<file>', 'pcapng or pcap, - for standard input')
    .addOption(
      new Option('--local <address>', 'the end that is played (repeatable)')
        .argParser(localAddress)
        .makeOptionMandatory(),
    )
    .option(
      '--tuple <end-end>',
      'only this one: 10.0.0.2:80-10.0.0.1:4000, or less of it: a port',
      tuplePattern,
    );
  withPolicyOptions(command)
    .option('--set <knob=value>', 'set a knob (repeatable), see `timewait knobs`', setting, [])
    .option('--tolerance <ms>', 'how much earlier or later an answer may come', span, 10)
    .option('--all', 'whole ladders, and of tuples without a difference too')
    .option('--json', 'print JSON')
    .action(async (file: string, flags: ReplayFlags) => {
      const { replayFile } = await import('./replay.js');
      await finish(replayFile(file, flags));
    });
}

function withWorkers(command: Command): Command {
  return command.option(
    '--workers <number>',
    'stacks on as many threads, each with a queue of the TUN device and its share of the connections (docs/workers.md)',
    workers,
  );
}

function withRunOptions(command: Command): Command {
  return withLinkOptions(withStackOptions(command));
}

/** The device of commands that make one in the present namespace. */
function withDevice(command: Command): Command {
  return command
    .option('--device <name>', 'name of the TUN device (default tw0)')
    .option(
      '--local, --address <cidr>',
      'address of our stack (repeatable, default 10.77.0.2/24 fd77::2/64)',
      prefixes,
    )
    .option(
      '--kernel-address <cidr>',
      "address of the kernel's side (repeatable, default 10.77.0.1/24 fd77::1/64)",
      prefixes,
    );
}

/** `timewait pkt run`. */
function packetScripts(timewait: Command): void {
  const pkt = timewait.command('pkt').description('packet scripts: a conversation line by line, checked');
  pkt
    .command('run')
    .description("play scripts in packetdrill's notation; exit status 0 when all pass, 1 when one fails")
    .argument('<path...>', 'scripts, or directories of *.pkt')
    .addOption(
      new Option('--target <name>', 'what they are played on').choices(['stack', 'kernel']).default('stack'),
    )
    .option('--profile <name>', 'TIME-WAIT policy; `#ifdef` knows its name', policyName, 'linux')
    .option('--define <name...>', 'more names for `#ifdef`; NAME=VALUE: a word and what it stands for', [])
    .addOption(
      new Option('--ip-version <number>', 'IP version, whatever the scripts say').choices(['4', '6']),
    )
    .option('--set <knob=value>', 'set a knob (repeatable), see `timewait knobs`', setting, [])
    .option(
      '--jobs <number>',
      'threads, default the number of processors; on the kernel scripts at once, default 1',
      jobs,
    )
    .option('--tolerance <microseconds>', 'by how much times may differ, whatever the scripts say', count)
    .option('--pcap <directory>', 'write a pcapng file for each script')
    .option('--allow-shell', 'run shell lines that are no settings')
    .option('--json', 'print JSON')
    .action(async (paths: string[], flags: PktFlags) => {
      const { pktRun } = await import('./pkt.js');
      await finish(pktRun(paths, flags, args));
    });
}

/** `timewait diff`. */
function differential(timewait: Command): void {
  timewait
    .command('diff')
    .description(
      'random conversations with the running kernel and with our stack: where the two part, shrunk',
    )
    .option('--seeds <number>', 'conversations', count, 2000)
    .option('--seed <number>', 'of everything that is random', seedNumber, 1)
    .option('--events <number>', 'random events in each, behind the way into a state', count, 12)
    .option('--profile <name>', 'TIME-WAIT policy of our stack', policyName, 'linux')
    .option('--minutes <number>', 'stop after this time', count)
    .option('--out <directory>', 'write a packet script for each difference')
    .option('--case <words|number>', 'play this one only, step by step: as printed, or by its number')
    .option('--json', 'print JSON')
    .action(async (flags: DiffFlags) => {
      const { diff } = await import('./diff.js');
      await finish(diff(flags, args));
    });
}

/** `timewait packetdrill-server`. */
function realTool(timewait: Command): void {
  timewait
    .command('packetdrill-server')
    .description('our stack under virtual time for an unmodified packetdrill; docs/packetdrill.md shows how')
    .argument('[command...]', "run this and end with its status; {} in it becomes the plug-in's path")
    .passThroughOptions()
    .option('--socket <path>', 'Unix socket for the plug-in; without a command it is needed')
    .option('--profile <name>', 'TIME-WAIT policy', policyName, 'linux')
    .option('--set <knob=value>', 'set a knob (repeatable), see `timewait knobs`', setting, [])
    .option('--mtu <bytes>', 'of the device that the stack thinks it has', mtu, 1500)
    .option('--quiet', 'do not say what scripts ask for without effect')
    .action(async (command: string[], flags: PacketdrillFlags) => {
      const { packetdrillServer } = await import('./packetdrill-server.js');
      await finish(packetdrillServer(command, flags));
    });
}

/** Of commands that look into a running stack. */
function control(): Option {
  return new Option('--control <socket>', 'control socket of `timewait serve`')
    .env('TIMEWAIT_CONTROL')
    .makeOptionMandatory();
}

function sockets(timewait: Command): void {
  timewait
    .command('ss')
    .description("a running stack's sockets, as ss prints them")
    .option('-t, --tcp', 'TCP (there is nothing else)')
    .option('-a, --all', 'listeners and TIME-WAIT as well')
    .option('-l, --listening', 'listeners only')
    .option('-n, --numeric', 'numbers (names are never looked up)')
    .option('-o, --options', 'timers')
    .option('-s, --summary', 'counts per state')
    .option('-4, --ipv4', 'IPv4 only')
    .option('-6, --ipv6', 'IPv6 only')
    .addOption(control())
    .option('--json', 'print JSON')
    .action(async (flags: SsFlags) => {
      const { ss } = await import('./inspect.js');
      await finish(ss(flags));
    });
}

function counters(timewait: Command): void {
  timewait
    .command('nstat')
    .description("a running stack's counters, as nstat prints them: what changed since the last call")
    .argument('[pattern...]', "names, with * and ?: 'TcpExtTW*'")
    .option('-a, --ignore', 'absolute values')
    .option('-s, --noupdate', 'do not remember this call')
    .option('-z, --zeros', 'zero counters as well')
    .addOption(control())
    .option('--json', 'print JSON')
    .action(async (patterns: string[], flags: NstatFlags) => {
      const { nstat } = await import('./inspect.js');
      await finish(nstat(patterns, flags));
    });
}

function policies(timewait: Command): void {
  timewait
    .command('policies')
    .description('the TIME-WAIT policies; with names, all that is known of these')
    .argument('[name...]', 'policies, or files of your own')
    .option('--control <socket>', 'ask a running stack which one rules')
    .option('--use <name>', 'and let this one rule from now on (with --control)', policyName)
    .option('--json', 'print JSON')
    .action(async (names: string[], flags: ListFlags) => {
      const { listPolicies } = await import('./lists.js');
      await finish(listPolicies(names, flags));
    });
}

function knobs(timewait: Command): void {
  timewait
    .command('knobs')
    .description('the knobs: unit, range, default, what they do')
    .argument(
      '[word...]',
      "only these: a part of the name, of another system's name for it, or of what it does",
    )
    .option('--control <socket>', 'ask a running stack for the present values')
    .option('--set <knob=value>', 'and set one (with --control, repeatable)', setting, [])
    .option('--json', 'print JSON')
    .action(async (words: string[], flags: ListFlags) => {
      const { listKnobs } = await import('./lists.js');
      await finish(listKnobs(words, flags));
    });
}

/** One line about wrong arguments: what was wrong, and what is allowed where commander does not say it. */
function usageLine(error: CommanderError, timewait: Command): string {
  const line = lineOf(error)
    .replace(/^error: /, '')
    .replace(
      /^command-argument value ('.*') is invalid for argument ('\w+')/,
      'argument $2 value $1 is invalid',
    )
    .replace(/\.$/, '');
  const group = timewait.commands.find((each) => each.name() === args[0]) ?? timewait;
  const command =
    group === timewait ? group : (group.commands.find((each) => each.name() === args[1]) ?? group);
  const path = [...new Set([timewait, group, command])].map((each) => each.name());
  const named = path.join(' ');
  switch (error.code) {
    case 'commander.unknownCommand':
      return `${line}; commands ${group === timewait ? '' : `of ${named} `}are ${group.commands.map((each) => each.name()).join(', ')}`;
    case 'commander.unknownOption':
      return `${line}; options of ${named} are ${command.options.map((each) => each.long ?? each.flags).join(', ')}`;
    case 'commander.help':
      return `missing command, one of: ${group.commands.map((each) => each.name()).join(', ')}`;
    case 'commander.missingArgument':
    case 'commander.excessArguments':
      return `${line}; usage: ${named} ${command.usage()}`;
    case 'commander.missingMandatoryOptionValue': {
      const { envVar } = command.options.find(({ flags }) => line.includes(flags)) ?? {};
      return envVar === undefined ? line : `${line}; ${envVar} in the environment stands for it`;
    }
    default:
      return line;
  }
}

/** The whole command line. */
export async function main(): Promise<void> {
  // Whoever read our output has seen enough: `timewait ss | head`.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') process.stderr.write(`timewait: standard output: ${lineOf(error)}\n`);
    process.exit(1);
  });
  const timewait = program();
  const names = timewait.commands.map((command) => command.name());
  try {
    if (args.length === 0) throw new UsageError(`missing command, one of: ${names.join(', ')}`);
    await timewait.parseAsync(process.argv);
  } catch (error) {
    if (error instanceof CommanderError) {
      // --help and --version end here as well, with status 0.
      if (error.exitCode === 0) return;
      process.stderr.write(`timewait: ${usageLine(error, timewait)}\n`);
      process.exitCode = 2;
      return;
    }
    const details = error instanceof UsageError ? error.details : [];
    for (const line of details) process.stderr.write(`${line}\n`);
    process.stderr.write(`timewait: ${lineOf(error)}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}
