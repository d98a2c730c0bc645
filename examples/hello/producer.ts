/** Pushes ten numbers. Each `push` resolves when the broker has stored the number, and waits while the channel is full. */
import { connect, type PushPop } from 'warrenmq/client'

export async function produce(numbers: PushPop<number>): Promise<void> {
  for (let number = 1; number <= 10; number++) {
    await numbers.push(number)
    console.log(`pushed ${number}`)
  }
}

if (process.argv[1] === import.meta.filename) {
  const client = await connect(process.env['AMQP_URL'] ?? 'amqp://localhost')
  await produce(client.channel<number>('numbers', { capacity: 5 }))
  await client.close()
}
