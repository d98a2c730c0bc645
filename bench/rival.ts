import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import { RabbitMq } from './target/rabbitmq.ts'

/**
 * Starts Debian's RabbitMQ in a temporary directory, prints its URL, and stops it on Ctrl-C:
 * `node dist/bench/rival.js --port 5683`.
 */
const { values } = parseArgs({ options: { port: { type: 'string' }, directory: { type: 'string' } } })
const directory = values.directory ?? tmpdir()
await mkdir(directory, { recursive: true })
const rabbit = await RabbitMq.start(directory, values.port === undefined ? undefined : Number(values.port))
console.log(rabbit.url)
const stop = (): void => {
  process.removeAllListeners('SIGINT').removeAllListeners('SIGTERM')
  clearInterval(awake)
  rabbit.stop().catch((error: unknown) => {
    console.error(error)
    process.exitCode = 1
  })
}
const awake = setInterval(() => {}, 60_000)
process.on('SIGINT', stop)
process.on('SIGTERM', stop)
