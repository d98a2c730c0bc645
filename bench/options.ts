import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import { bodyBytesMin } from './load/body.ts'
import { parseAmqpUrl } from './wire/amqp-url.ts'

export interface Options {
  readonly scenarios: readonly string[]
  /** Null: start our own. */
  readonly url: string | null
  readonly name: string | null
  readonly against: string | null
  readonly againstName: string | null
  /** Start Debian's RabbitMQ as the rival. */
  readonly startsRabbitMq: boolean
  readonly seconds: number
  readonly warmUpSeconds: number
  readonly runs: number
  /** Overrides of what the scenarios say; null: as they say. */
  readonly messages: number | null
  readonly bodyBytes: number | null
  readonly pack: number | null
  readonly confirmWindow: number | null
  readonly ackEvery: number | null
  readonly prefetchCount: number | null
  readonly rate: number | null
  readonly publishers: number | null
  readonly consumers: number | null
  readonly isPersistent: boolean | null
  readonly hasQuietConnection: boolean
  readonly leadMax: number
  readonly threads: number
  readonly frameBytesMax: number
  readonly directory: string
  readonly nodeArgs: readonly string[]
  readonly serveArgs: readonly string[]
  readonly jsonPath: string | null
}

/** `command` is how it was started. */
export const usage = (command: string): string => `${command} [options] [scenario …]

Scenarios (all but 'held' when none is named):
  transient-16   16-byte transient messages, automatic acknowledgement
  persistent-1k  1 KiB persistent, confirms, acknowledged in groups
  single         one message per write, 4 publishers and 4 consumers; transient and persistent
  latency        1 KiB persistent at a steady rate, from the intended time of sending
  backlog        fill one queue with persistent 100-byte messages, then drain it
  fanout         1, 10, 100 and 1,000 queues, with the latency of a quiet connection beside
  queues-10x10   persistent-1k over 10 queues with 10 publishers and 10 consumers
  held           a backlog of messages with a delay, priority, group, expiration or id, and with a time to live or a
                 limit, beside a plain one; killed and opened again in between. Also one by one: held-plain, held-delay …

Broker:
  --url URL             measure this broker; without it, 'warren serve' of this build is started on a temporary directory
  --name NAME           what to call it in the table
  --against URL         a rival, measured in turns with the first (A B A B …)
  --against-name NAME   what to call it in the table
  --rabbitmq            start Debian's rabbitmq-server as the rival
  --directory DIR       where temporary data directories are made (default: the system's); must be a real disk
  --node-arg ARG        for the Node that runs our 'warren serve', e.g. --node-arg=--cpu-prof; may be repeated
  --serve-arg ARG       for 'warren serve' itself; may be repeated

Load:
  --seconds N           measured time of a run (5)         --warm-up N      before it (2)
  --runs N              runs per scenario and broker (3)   --messages N     backlog size (1M)
  --size N              body bytes (at least ${bodyBytesMin})          --pack N         messages per send (64)
  --window N            unconfirmed publishes (1000)       --ack-every N    settle in groups of N (100)
  --prefetch N          unsettled deliveries (2000)        --rate N         of latency, messages a second (20k)
  --publishers N        publishing connections             --consumers N    consuming connections
  --persistent, --transient                                --quiet          a quiet connection in every scenario
  --lead N              undelivered messages at most, 0 for no limit (100k)
  --threads N           threads for each side (1)          --frame-max N    largest frame offered (131072)

Report:
  --json FILE           all figures of all runs
  --help

Numbers may end in k or M.`

/** Null: help was asked for. Throws with a sentence that names the option and what it wants. */
export function parseOptions(args: readonly string[]): Options | null {
  const { values, positionals } = parse(args)
  if (values.help === true) return null
  const text = (value: string | undefined): string | null => value ?? null
  const count = (name: keyof typeof values, min: number, max: number): number | null => {
    const value = values[name]
    return typeof value === 'string' ? parseCount(String(name), value, min, max) : null
  }
  for (const url of [values.url, values.against]) if (url !== undefined) parseAmqpUrl(url)
  if (values.persistent === true && values.transient === true)
    throw new Error('--persistent and --transient exclude each other')
  if (values.against !== undefined && values.rabbitmq === true)
    throw new Error('--against and --rabbitmq exclude each other')
  return {
    scenarios: positionals,
    url: text(values.url),
    name: text(values.name),
    against: text(values.against),
    againstName: text(values['against-name']),
    startsRabbitMq: values.rabbitmq === true,
    seconds: count('seconds', 1, 86_400) ?? 5,
    warmUpSeconds: count('warm-up', 0, 3600) ?? 2,
    runs: count('runs', 1, 1000) ?? 3,
    messages: count('messages', 1, 1e9),
    bodyBytes: count('size', bodyBytesMin, 128 * 1024 * 1024),
    pack: count('pack', 1, 10_000),
    confirmWindow: count('window', 0, 1e6),
    ackEvery: count('ack-every', 0, 65_535),
    prefetchCount: count('prefetch', 0, 65_535),
    rate: count('rate', 1, 1e6),
    publishers: count('publishers', 1, 1000),
    consumers: count('consumers', 1, 1000),
    isPersistent: values.persistent === true ? true : values.transient === true ? false : null,
    hasQuietConnection: values.quiet === true,
    leadMax: count('lead', 0, 1e9) ?? 100_000,
    threads: count('threads', 1, 64) ?? 1,
    frameBytesMax: count('frame-max', 4096, 16 * 1024 * 1024) ?? 131_072,
    directory: values.directory ?? tmpdir(),
    nodeArgs: values['node-arg'] ?? [],
    serveArgs: values['serve-arg'] ?? [],
    jsonPath: text(values.json),
  }
}

function parse(args: readonly string[]) {
  const one = { type: 'string' } as const
  const flag = { type: 'boolean' } as const
  const many = { type: 'string', multiple: true } as const
  return parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      url: one,
      name: one,
      against: one,
      'against-name': one,
      rabbitmq: flag,
      seconds: one,
      'warm-up': one,
      runs: one,
      messages: one,
      size: one,
      pack: one,
      window: one,
      'ack-every': one,
      prefetch: one,
      rate: one,
      publishers: one,
      consumers: one,
      persistent: flag,
      transient: flag,
      quiet: flag,
      lead: one,
      threads: one,
      'frame-max': one,
      directory: one,
      'node-arg': many,
      'serve-arg': many,
      json: one,
      help: flag,
    },
  })
}

const suffixes: Readonly<Record<string, number>> = { '': 1, k: 1000, M: 1_000_000 }

export function parseCount(name: string, text: string, min: number, max: number): number {
  const match = /^(\d+(?:\.\d+)?)([kM]?)$/.exec(text)
  const value = match === null ? Number.NaN : Number(match[1]) * (suffixes[match[2] ?? ''] ?? Number.NaN)
  if (Number.isNaN(value) || value < min || value > max) {
    throw new Error(`--${name} wants a number from ${min} to ${max}, not '${text}'`)
  }
  return value
}
