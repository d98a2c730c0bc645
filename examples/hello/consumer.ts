/** Pops ten numbers. Each stays with the broker until it is acknowledged: if this process dies before, another gets it. */
import { connect, type PushPop } from 'warrenmq/client'

export async function consume(numbers: PushPop<number>): Promise<void> {
  for (let count = 1; count <= 10; count++) {
    const number = await numbers.pop()
    console.log(`popped ${number}`)
    numbers.acknowledge()
  }
  await numbers.close()
}

if (process.argv[1] === import.meta.filename) {
  const client = await connect(process.env['AMQP_URL'] ?? 'amqp://localhost')
  await consume(client.channel<number>('numbers', { capacity: 5 }))
  await client.close()
}
