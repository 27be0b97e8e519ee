/**
 * npm run bench:wire [-- PART... --rounds N --seconds S --contender NAME --json]
 *
 * Over TUN devices and veth pairs in private namespaces, the kernel's own sockets at the other end.
 * Contenders take turns, each with a fresh server, so that a slow minute hits all. Without a choice
 * of parts or contenders the result goes into docs/performance.md.
 */
import { parseArgs } from 'node:util';
import { UsageError, lineOf } from '../../src/cli/fail.js';
import { environmentLack, insideNamespace, reenter } from '../../src/lab/namespace.js';
import { Places, compileTools, contenders, type Contender, type Tools } from './contenders.js';
import { Parts, mostFiles } from './parts.js';
import { printed, writePage, type Results } from './report.js';

const PARTS = ['receive', 'send', 'connections', 'idle', 'timewait', 'flood', 'startup'] as const;
type Part = (typeof PARTS)[number];

const IDLE = 100_000;
const RECORDS = 1_000_000;
const FLOOD_RATE = 500_000;
const FLOOD_SECONDS = 10;
/** ms between the requests of a client beside it. */
const THINK = 10;

export interface Settings {
  readonly parts: readonly Part[];
  readonly names: readonly string[];
  readonly rounds: number;
  readonly seconds: number;
  /** Of the part timewait. */
  readonly minute: number;
  readonly json: boolean;
  readonly whole: boolean;
}

function settings(args: string[]): Settings {
  let parsed;
  try {
    parsed = parseArgs({
      args,
      allowPositionals: true,
      options: {
        rounds: { type: 'string', default: '5' },
        seconds: { type: 'string', default: '2' },
        minute: { type: 'string', default: '60' },
        contender: { type: 'string', multiple: true, default: [] },
        json: { type: 'boolean', default: false },
      },
    });
  } catch (error) {
    throw new UsageError(lineOf(error));
  }
  const { positionals, values } = parsed;
  const unknown = positionals.find((part) => !(PARTS as readonly string[]).includes(part));
  if (unknown !== undefined) throw new UsageError(`unknown part '${unknown}'; there are ${PARTS.join(', ')}`);
  const known = contenders.map(({ name }) => name);
  const stranger = values.contender.find((name) => !known.includes(name));
  if (stranger !== undefined)
    throw new UsageError(`unknown contender '${stranger}'; there are ${known.join(', ')}`);
  const number = (option: 'rounds' | 'seconds' | 'minute', most: number): number => {
    const value = Number(values[option]);
    if (!Number.isInteger(value) || value < 1 || value > most)
      throw new UsageError(`--${option} takes an integer from 1 to ${most}, got '${values[option]}'`);
    return value;
  };
  return {
    parts: positionals.length > 0 ? (positionals as Part[]) : PARTS,
    names: values.contender.length > 0 ? values.contender : known,
    rounds: number('rounds', 100),
    seconds: number('seconds', 60),
    minute: number('minute', 600),
    json: values.json,
    whole: positionals.length === 0 && values.contender.length === 0,
  };
}

const say = (text: string): void => void process.stderr.write(`bench: ${text}\n`);

/** Every contender once in each round. What fails is said and left out: the others are still worth something. */
async function inTurns<T>(
  part: string,
  chosen: readonly Contender[],
  rounds: number,
  job: (contender: Contender) => Promise<T>,
): Promise<Record<string, T[]>> {
  const results: Record<string, T[]> = {};
  for (let round = 1; round <= rounds; round++)
    for (const contender of chosen) {
      say(`${part}, round ${round} of ${rounds}: ${contender.name}`);
      try {
        (results[contender.name] ??= []).push(await job(contender));
      } catch (error) {
        say(`${contender.name}: ${lineOf(error)}`);
      }
    }
  return results;
}

async function measure(options: Settings, tools: Tools): Promise<Results> {
  const places = new Places(tools);
  const parts = new Parts(tools, places);
  const { rounds, seconds, minute } = options;
  const all = contenders.filter(({ name }) => options.names.includes(name));
  const missing = new Map<string, string>();
  if (tools.lwip === null) missing.set('lwip', 'lwIP is left out: apt-get install gcc liblwip-dev');
  if (tools.gvisor === null)
    missing.set('gvisor', 'gVisor is left out: apt-get install golang-1.19-go golang-gvisor-gvisor-dev');
  const there = all.filter(({ name }) => !missing.has(name));
  for (const { name } of all) if (missing.has(name)) say(missing.get(name)!);
  const only = (...names: string[]): Contender[] => there.filter(({ name }) => names.includes(name));
  const results: Results = {};
  const jobs: { readonly [P in Part]: () => Promise<void> } = {
    receive: async () => {
      results.receive = await inTurns('receive', there, rounds, (each) => parts.bulk(each, seconds, true));
    },
    send: async () => {
      results.send = await inTurns('send', there, rounds, (each) => parts.bulk(each, seconds, false));
    },
    connections: async () => {
      results.connections = await inTurns('connections', there, rounds, (each) =>
        parts.connections(each, seconds),
      );
    },
    idle: async () => {
      const count = mostFiles(IDLE + 100) - 100;
      results.idleCount = count;
      results.idle = await inTurns('idle', only('engine', 'stream'), 1, (each) => parts.idle(each, count));
    },
    timewait: async () => {
      const records = (name: string): number => (name === 'engine' ? RECORDS : 0);
      results.timewait = await inTurns('timewait', only('engine', 'lwip'), 1, (each) =>
        parts.population(each, each.name === 'lwip' ? Math.min(20, minute) : minute, records(each.name)),
      );
    },
    flood: async () => {
      results.flood = await inTurns('flood', only('engine', 'stream'), 1, (each) =>
        parts.flood(each, FLOOD_RATE, FLOOD_SECONDS, THINK),
      );
      results.busyFlood = await inTurns('flood, back to back', only('engine'), 1, (each) =>
        parts.flood(each, FLOOD_RATE, FLOOD_SECONDS, 0),
      );
    },
    startup: async () => {
      results.startup = [];
      for (let round = 1; round <= rounds; round++) {
        say(`startup, round ${round} of ${rounds}`);
        results.startup.push(await parts.startup());
      }
    },
  };
  try {
    for (const part of options.parts) await jobs[part]();
  } finally {
    places.close();
  }
  return results;
}

async function main(args: string[]): Promise<number> {
  const options = settings(args);
  if (!insideNamespace()) {
    const lack = environmentLack();
    if (lack !== null) throw new UsageError(`${lack.reason}: ${lack.cure}`);
    return reenter(args);
  }
  const tools = compileTools();
  try {
    const results = await measure(options, tools);
    if (options.json) process.stdout.write(`${JSON.stringify(results)}\n`);
    else process.stdout.write(`${printed(results)}\n`);
    if (options.whole) writePage(results, options);
  } finally {
    tools.remove();
  }
  return 0;
}

main(process.argv.slice(2)).then(
  (status) => process.exit(status),
  (error: unknown) => {
    process.stderr.write(`bench: ${lineOf(error)}\n`);
    process.exit(error instanceof UsageError ? 2 : 1);
  },
);
