/** Keeps what was pushed until it is acknowledged: in memory, or in a folder that outlives it. */
import { Broker } from 'warrenmq'

export function keep(): Promise<Broker> {
  return Broker.start({ storage: 'memory' })
}

if (process.argv[1] === import.meta.filename) {
  const port = Number(process.env['PORT'] ?? '5672')
  const broker = await Broker.start({ storage: { dir: process.env['DATA'] ?? 'hello-data' }, port })
  console.log(`keeping, at ${broker.url}`)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void broker.stop())
}
