/**
 * Metrics as Prometheus reads them: its own `promtool` checks every page, and what RabbitMQ's Grafana dashboards draw is
 * there and says what happened.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it, test } from 'node:test'
import amqplib from 'amqplib'
import { Broker } from '../../src/index.ts'
import { freePort } from '../support/ports.ts'
import { hasCommands, leftOut } from '../support/run-program.ts'

const directory = mkdtempSync(join(tmpdir(), 'warren-metrics-'))
const prometheusPort = await freePort()
const broker = await Broker.start({ storage: { dir: directory }, port: 0, httpPort: 0, limits: { prometheusPort } })
after(async () => {
  await broker.stop({ drainMs: 100 })
  rmSync(directory, { recursive: true, force: true })
})

const connection = await amqplib.connect(broker.url)
const channel = await connection.createConfirmChannel()
await channel.assertQueue('a "queue" with \\')
await channel.assertQueue('orders')
for (let sent = 0; sent < 20; sent++) channel.sendToQueue('orders', Buffer.alloc(500), { persistent: true })
channel.publish('', 'nowhere', Buffer.from('x'))
await channel.waitForConfirms()
const first = await channel.get('orders')
assert(first !== false)
channel.ack(first)
await channel.prefetch(3)
await channel.consume('orders', () => {})
while (
  Number((await scrape('/metrics/per-object')).value('rabbitmq_queue_messages_unacked{vhost="/",queue="orders"}')) < 3
);

interface Page {
  readonly status: number
  readonly text: string
  readonly type: string
  /** Of the series that is written so. */
  value(series: string): number | null
}

async function scrape(path: string, base = `http://127.0.0.1:${prometheusPort}`, headers = {}): Promise<Page> {
  const response = await fetch(new URL(path, base), { headers })
  const text = await response.text()
  const value = (series: string): number | null => {
    const line = text.split('\n').find((one) => one.startsWith(`${series} `))
    return line === undefined ? null : Number(line.slice(series.length))
  }
  return { status: response.status, text, type: response.headers.get('content-type') ?? '', value }
}

const pages = [
  '/metrics',
  '/metrics/per-object',
  '/metrics/detailed?family=queue_coarse_metrics&family=queue_delivery_metrics&family=channel_metrics&family=connection_churn_metrics',
]

if (hasCommands('promtool')) {
  void describe('promtool', () => {
    for (const path of pages) {
      void it(`finds nothing wrong with ${path}`, async () => {
        const { text, type } = await scrape(path)
        assert.match(type, /^text\/plain; version=0\.0\.4/)
        const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
          input: text,
          encoding: 'utf8',
        })
        assert.deepEqual([status, stdout, stderr], [0, '', ''])
      })
    }
  })
} else leftOut('promtool', 'prometheus')

void describe('what dashboards draw', () => {
  const drawn = [
    ...['build_info', 'identity_info', 'erlang_uptime_seconds', 'connections', 'channels', 'consumers', 'queues'],
    ...['connections_opened_total', 'connections_closed_total', 'channels_opened_total', 'channels_closed_total'],
    ...['queues_declared_total', 'queues_created_total', 'queues_deleted_total'],
    ...['queue_messages_ready', 'queue_messages_unacked', 'process_resident_memory_bytes', 'process_open_fds'],
    ...['process_max_fds', 'resident_memory_limit_bytes', 'disk_space_available_bytes'],
    ...['disk_space_available_limit_bytes', 'global_publishers', 'global_consumers', 'message_size_bytes_bucket'],
    ...['message_size_bytes_count', 'message_size_bytes_sum', 'global_messages_acknowledged_total'],
    ...['global_messages_confirmed_total', 'global_messages_delivered_consume_auto_ack_total'],
    ...['global_messages_delivered_consume_manual_ack_total', 'global_messages_delivered_get_auto_ack_total'],
    ...['global_messages_delivered_get_manual_ack_total', 'global_messages_delivered_total'],
    ...['global_messages_get_empty_total', 'global_messages_received_confirm_total', 'global_messages_received_total'],
    ...['global_messages_redelivered_total', 'global_messages_routed_total'],
    ...['global_messages_unroutable_dropped_total', 'global_messages_unroutable_returned_total'],
  ]

  void it('is there under RabbitMQ’s names', async () => {
    const { text } = await scrape('/metrics')
    const names = new Set(text.split('\n').map((line) => /^\w+/.exec(line)?.[0]))
    assert.deepEqual(
      drawn.filter((name) => !names.has(`rabbitmq_${name}`)),
      [],
    )
    assert.match(text, /rabbitmq_identity_info\{.*rabbitmq_endpoint="aggregated"\} 1/)
  })

  void it('counts what happened', async () => {
    const { value } = await scrape('/metrics')
    const perType = '{protocol="amqp091",queue_type="rabbit_classic_queue"}'
    const protocol = '{protocol="amqp091"}'
    const expected: Readonly<Record<string, number>> = {
      [`rabbitmq_global_messages_received_total${protocol}`]: 21,
      [`rabbitmq_global_messages_confirmed_total${protocol}`]: 21,
      [`rabbitmq_global_messages_routed_total${protocol}`]: 20,
      [`rabbitmq_global_messages_unroutable_dropped_total${protocol}`]: 1,
      [`rabbitmq_global_messages_acknowledged_total${perType}`]: 1,
      [`rabbitmq_global_messages_delivered_consume_manual_ack_total${perType}`]: 3,
      [`rabbitmq_global_messages_delivered_get_manual_ack_total${perType}`]: 1,
      [`rabbitmq_global_messages_delivered_total${perType}`]: 4,
      rabbitmq_queue_messages_ready: 16,
      rabbitmq_queue_messages_unacked: 3,
      rabbitmq_queues: 2,
      rabbitmq_connections: 1,
      rabbitmq_channels: 1,
      rabbitmq_consumers: 1,
      rabbitmq_queues_created_total: 2,
      'rabbitmq_message_size_bytes_bucket{protocol="amqp091",le="100"}': 0,
      'rabbitmq_message_size_bytes_bucket{protocol="amqp091",le="1000"}': 20,
      'rabbitmq_message_size_bytes_sum{protocol="amqp091"}': 10_000,
    }
    assert.deepEqual(Object.fromEntries(Object.keys(expected).map((series) => [series, value(series)])), expected)
    assert(Number(value('warren_log_commit_seconds_count')) > 0)
    assert(Number(value('warren_log_commit_bytes_sum')) > 10_000)
    assert(Number(value('rabbitmq_disk_space_available_bytes')) > 0)
    assert(Number(value('rabbitmq_process_open_fds')) > 0)
  })

  void it('is told by type of the queue, also when the queue is gone', async () => {
    const another = await amqplib.connect(broker.url)
    const other = await another.createConfirmChannel()
    const acked = (type: string): string =>
      `rabbitmq_global_messages_acknowledged_total{protocol="amqp091",queue_type="rabbit_${type}_queue"}`
    const types = ['classic', 'quorum', 'stream'] as const
    const valuesNow = async (): Promise<(number | null)[]> => {
      const { value } = await scrape('/metrics')
      return types.map((type) => value(acked(type)))
    }
    const [classic = null] = await valuesNow()
    for (const type of ['quorum', 'stream']) {
      await other.assertQueue(type, { durable: true, arguments: { 'x-queue-type': type } })
      other.sendToQueue(type, Buffer.from('one'))
      other.sendToQueue(type, Buffer.from('two'))
      await other.waitForConfirms()
      await other.prefetch(10)
      await new Promise<void>((resolve) => {
        let left = 2
        const take = (message: amqplib.ConsumeMessage | null): void => {
          if (message !== null) other.ack(message)
          if (--left === 0) resolve()
        }
        const options = type === 'stream' ? { arguments: { 'x-stream-offset': 'first' } } : {}
        void other.consume(type, take, { consumerTag: type, ...options })
      })
      await other.cancel(type)
    }
    assert.deepEqual(await valuesNow(), [classic, 2, 2])
    for (const type of ['quorum', 'stream']) await other.deleteQueue(type)
    assert.deepEqual(await valuesNow(), [classic, 2, 2])
    await another.close()
  })

  void it('counts logins and those that failed, also by HTTP', async () => {
    const series = (name: string, protocol: string) => `rabbitmq_auth_attempts${name}_total{protocol="${protocol}"}`
    const before = await scrape('/metrics')
    const { host } = new URL(broker.url)
    await assert.rejects(amqplib.connect(`amqp://guest:wrong@${host}`))
    const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
    const { status, text } = await scrape('/api/auth/attempts/warren@localhost', broker.httpUrl, { authorization })
    assert.equal(status, 200)
    const { value } = await scrape('/metrics')
    const grown = (name: string, protocol: string): number =>
      Number(value(series(name, protocol))) - Number(before.value(series(name, protocol)))
    assert.deepEqual([grown('', 'amqp091'), grown('_failed', 'amqp091'), grown('_succeeded', 'amqp091')], [1, 1, 0])
    assert.deepEqual([grown('', 'http'), grown('_failed', 'http'), grown('_succeeded', 'http')], [1, 0, 1])
    const rows = JSON.parse(text) as { protocol: string; auth_attempts: number }[]
    const amqp = rows.find(({ protocol }) => protocol === 'amqp091')
    assert.equal(amqp?.auth_attempts, value(series('', 'amqp091')))
    const throttled = value('warren_logins_throttled_total')
    assert.equal(throttled, 0, 'this machine is never shut out')
  })

  void it('is told of each thing by itself', async () => {
    const { value, text } = await scrape('/metrics/per-object')
    assert.equal(value('rabbitmq_queue_messages_ready{vhost="/",queue="orders"}'), 16)
    assert.equal(value('rabbitmq_queue_messages_published_total{vhost="/",queue="orders"}'), 20)
    assert.equal(value('rabbitmq_queue_messages_ready{vhost="/",queue="a \\"queue\\" with \\\\"}'), 0)
    assert.match(text, /rabbitmq_channel_messages_published_total\{channel="127\.0\.0\.1:\d+ -> [^"]+ \(1\)"\} 21/)
  })

  void it('is told of the groups and vhosts that are asked for', async () => {
    const { value, text } = await scrape('/metrics/detailed?family=queue_coarse_metrics')
    assert.equal(value('rabbitmq_detailed_queue_messages{vhost="/",queue="orders"}'), 19)
    assert.doesNotMatch(text, /rabbitmq_detailed_(queue_consumers|channel|connection)/)
    const other = await scrape('/metrics/detailed?family=queue_coarse_metrics&vhost=other')
    assert.doesNotMatch(other.text, /rabbitmq_detailed_queue/)
  })
})

void describe('the port for Prometheus', () => {
  void it('has metrics and nothing else', async () => {
    assert.equal((await scrape('/api/overview')).status, 404)
    assert.equal((await scrape('/')).status, 404)
    const response = await fetch(`http://127.0.0.1:${prometheusPort}/metrics`, { method: 'POST' })
    assert.equal(response.status, 405)
  })
})

void test('durability: what was stored, and what was found at the start', async () => {
  const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
  const { text } = await scrape('/api/durability', broker.httpUrl, { authorization })
  const { commits, opened, storage, last_commit_at, commit_bytes } = JSON.parse(text) as {
    storage: string
    commits: number
    last_commit_at: number
    commit_bytes: { mean: number; buckets: { up_to: number | null; count: number }[] }
    opened: { log: string; was_cut: boolean }[]
  }
  assert.deepEqual(
    opened.map(({ log, was_cut }) => [log, was_cut]),
    [
      ['topology', false],
      ['shard-0', false],
    ],
  )
  assert.equal(storage, 'files')
  assert(commits > 0 && commit_bytes.mean > 0 && last_commit_at > 0)
  assert.equal(
    commit_bytes.buckets.reduce((sum, { count }) => sum + count, 0),
    commits,
  )
})

void test('on the port for HTTP metrics are for those who may monitor', async () => {
  const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
  assert.equal((await scrape('/metrics', broker.httpUrl)).status, 401)
  const page = await scrape('/metrics', broker.httpUrl, { authorization })
  assert.equal(page.status, 200)
  assert.match(page.type, /^text\/plain; version=0\.0\.4/)
  assert.equal(page.value('rabbitmq_queues'), 2)
})
