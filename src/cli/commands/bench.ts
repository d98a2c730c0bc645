/**
 * `warren bench`: the benchmark of `npm run bench`, the same code, against any broker. It is no part of `src` and knows
 * nothing of it: the load generator writes frames of its own, so that it measures brokers and not our client.
 */
import type { Command } from 'commander'
import { processEnvironment } from '../../config.ts'
import { ExitCode } from '../exit-code.ts'

type Bench = (args: readonly string[], command: string) => Promise<number>

export function configure(command: Command): void {
  command
    .usage('[options] [scenario …]')
    .argument('[scenario…]', 'what to measure')
    .allowUnknownOption()
    .allowExcessArguments()
    .helpOption(false)
    .addHelpText('after', '\n`warren bench --help` lists scenarios and options.')
    .action(async () => {
      // Nobody reads on: it ends as on a signal, in order.
      process.stdout.once('error', () => process.kill(process.pid, 'SIGTERM'))
      const bench = await load()
      if (bench === null) {
        process.stderr.write('warren: the benchmark is not part of this installation; install warrenmq again\n')
        process.exitCode = ExitCode.failed
        return
      }
      const args = argumentsOf(process.argv.slice(3))
      process.exitCode = await bench(args, 'warren bench')
      if (args.includes('--help')) process.stdout.write(examples)
    })
}

const examples = `
Without --url it takes WARREN_URL, and without that a broker that it starts for itself.

Examples:
  warren bench persistent-1k --url amqp://guest:guest@localhost:5672
  warren bench latency --rate 5k --against amqp://guest:guest@rabbit:5672 --against-name RabbitMQ
  warren bench --seconds 10 --json result.json
`

function argumentsOf(given: readonly string[]): readonly string[] {
  const url = processEnvironment()['WARREN_URL'] ?? ''
  const hasUrl = given.some((arg) => arg === '--url' || arg.startsWith('--url='))
  return hasUrl || url === '' ? given : ['--url', url, ...given]
}

/** Null when it is not there. */
async function load(): Promise<Bench | null> {
  try {
    const module = (await import(new URL('../../../bench/bench.js', import.meta.url).href)) as { bench: Bench }
    return module.bench
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND') return null
    throw error
  }
}
