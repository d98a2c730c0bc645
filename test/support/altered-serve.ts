/**
 * `warren serve` in a world, or with parts, that a test has altered: takes the same flags (any option as `--key value`),
 * prints the same lines, ends on SIGTERM. For programs that a test starts as its broker.
 */
import { LeveledLogger } from '../../src/cli/logs.ts'
import { loadConfig } from '../../src/config.ts'
import { type Insertions, startDaemon, systemWorld, type World } from '../../src/daemon.ts'
import { version } from '../../src/version.ts'

export async function serve(
  alter: (world: World) => { readonly world?: Partial<World>; readonly insertions?: Insertions },
): Promise<void> {
  const { config } = await loadConfig({
    file: null,
    flags: flagsOf(process.argv.slice(3)),
    environment: {},
    readText: () => '',
  })
  const settings = { level: config.logLevel, parts: new Map() }
  const logger = new LeveledLogger(settings, { isTerminal: false, write: (line) => void process.stderr.write(line) })
  const world = systemWorld(logger)
  const altered = alter(world)
  const daemon = await startDaemon({ ...config, httpPort: 'none' }, { ...world, ...altered.world }, altered.insertions)
  process.once('SIGTERM', () => {
    void daemon.stop(config.drainMsMax).then((isDrained) => process.exit(isDrained ? 0 : 5))
  })
  void daemon.failed.then((error) => {
    process.stderr.write(`${error.stack}\n`)
    process.exit(1)
  })
  for (const address of daemon.addresses) {
    process.stdout.write(`Warren ${version} (altered) listens on ${address}, data in ${daemon.dataDirectory}\n`)
  }
}

/** `--key value` pairs. */
function flagsOf(args: readonly string[]): Map<string, string> {
  const flags = new Map<string, string>()
  for (let index = 0; index + 1 < args.length; index += 2) {
    flags.set(String(args[index]).replace(/^--/, ''), String(args[index + 1]))
  }
  return flags
}
