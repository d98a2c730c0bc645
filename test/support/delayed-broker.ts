/**
 * A program: `warren serve` with a shard that answers late (`delayed-shard.ts`), for whatever is true of a broker and
 * must stay true when its queues live on another node. Takes `serve`'s flags and prints its lines.
 *
 * The delays are drawn from the seed in DELAYED_SEED, 1 if there is none.
 */
import { SeededRandom } from '../../src/base/random.ts'
import { openLogger } from '../../src/cli/logs.ts'
import { loadConfig } from '../../src/config.ts'
import { startDaemon, systemWorld } from '../../src/daemon.ts'
import { version } from '../../src/version.ts'
import { DelayedShard } from './delayed-shard.ts'

const random = new SeededRandom(Number(process.env['DELAYED_SEED'] ?? '1'))
const { config } = await loadConfig({
  file: null,
  flags: flagsOf(process.argv.slice(3)),
  environment: {},
  readText: () => '',
})
const world = systemWorld(
  openLogger(config.logLevel, { isTerminal: false, write: (line) => process.stderr.write(line) }),
)
const daemon = await startDaemon(config, world, {
  shardFace: (shard) => new DelayedShard(shard, world.clock, random),
})
for (const address of daemon.addresses) {
  process.stdout.write(`Warren ${version} (delayed) listens on ${address}, data in ${daemon.dataDirectory}\n`)
}
process.once('SIGTERM', () => {
  void daemon.stop(config.drainMsMax).then((isDrained) => process.exit(isDrained ? 0 : 5))
})
void daemon.failed.then((error) => {
  process.stderr.write(`${error.stack}\n`)
  process.exit(1)
})

/** `--key value` pairs. */
function flagsOf(args: readonly string[]): Map<string, string> {
  const flags = new Map<string, string>()
  for (let index = 0; index + 1 < args.length; index += 2) {
    flags.set(String(args[index]).replace(/^--/, ''), String(args[index + 1]))
  }
  return flags
}
