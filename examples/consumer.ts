/**
 * The consumer: gathers the counts of every line and prints a summary of each file, once all of its lines are there.
 *
 *     node consumer.ts FILES          (Node 22.18 or newer; else compile it, or `npx tsx consumer.ts FILES`)
 *
 * FILES is how many files to wait for. The broker's address is taken from AMQP_URL (default amqp://guest:guest@127.0.0.1:5672/).
 * Needs rabbitmq-client: "npm install rabbitmq-client".
 */
import { Connection, ConsumerStatus } from 'rabbitmq-client'

/** What the worker sends for one line. */
interface LineCount {
  readonly file: string
  readonly line: number
  readonly lines: number
  readonly words: Readonly<Record<string, number>>
}

const filesWanted = Number(process.argv[2])
if (!(filesWanted > 0)) {
  console.error('usage: node consumer.ts FILES')
  process.exit(2)
}

/** The words of a file, and which of its lines are in them. */
class FileSummary {
  readonly #words = new Map<string, number>()
  readonly #lines = new Set<number>()

  /** A line that came before is not counted again: after a crash somewhere a message may come twice. */
  add({ line, words }: LineCount): void {
    if (this.#lines.has(line)) return
    this.#lines.add(line)
    for (const [word, count] of Object.entries(words)) this.#words.set(word, (this.#words.get(word) ?? 0) + count)
  }

  get lines(): number {
    return this.#lines.size
  }

  toString(): string {
    const byCount = [...this.#words].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
    const words = byCount.reduce((sum, [, count]) => sum + count, 0)
    const most = byCount.slice(0, 3).map(([word, count]) => `${word} (${count})`)
    return `${this.lines} lines, ${words} words, most often ${most.join(', ')}`
  }
}

const url = process.env['AMQP_URL'] ?? 'amqp://guest:guest@127.0.0.1:5672/%2f'
const connection = new Connection(url)
connection.on('error', (error) => console.error('connection:', error))

const summaries = new Map<string, FileSummary>()
let filesDone = 0

const consumer = connection.createConsumer(
  { queue: 'word-counts', queueOptions: { durable: true }, qos: { prefetchCount: 50 } },
  (message) => {
    const count: LineCount = message.body
    const summary = summaries.get(count.file) ?? new FileSummary()
    summaries.set(count.file, summary)
    const linesBefore = summary.lines
    summary.add(count)
    if (summary.lines === count.lines && linesBefore < count.lines) {
      console.log(`${count.file}: ${summary}`)
      filesDone += 1
      if (filesDone === filesWanted) setImmediate(stop)
    }
    // Returning is the acknowledgement; REQUEUE would give the message back, DROP would refuse it.
    return ConsumerStatus.ACK
  },
)
consumer.on('error', (error) => console.error('consumer:', error))

async function stop(): Promise<void> {
  await consumer.close()
  await connection.close()
}
