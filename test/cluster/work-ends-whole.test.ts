/**
 * Work that users would do, on a cluster of which a node is killed in the middle of it: it ends complete. The examples of
 * this repository (PHP, Python, TypeScript), and a run of Celery.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { RawClient } from '../support/amqp/raw-client.ts'
import { type ClusterNode, ClusterProcesses } from '../support/cluster/cluster-processes.ts'
import { eventually } from '../support/eventually.ts'
import { projectRoot } from '../support/project-root.ts'
import { leftOut, phpWithAmqplib, pythonWithCelery, pythonWithPika } from '../support/run-program.ts'

const env = { WARREN_CLUSTER_SHARDS: '6', WARREN_CLUSTER_SESSION: '5s' }
const endMsMax = 240_000
const readyMsMax = 60_000
const lineCount = 1_000
const taskCount = 300

void describe('when a node is killed in the middle', () => {
  const folder = mkdtempSync(join(tmpdir(), 'warren-work-'))
  const children: ChildProcess[] = []
  let cluster: ClusterProcesses

  before(async () => {
    cluster = await ClusterProcesses.start({ env })
  })
  after(async () => {
    for (const child of children) child.kill('SIGKILL')
    await cluster.kill()
    rmSync(folder, { recursive: true, force: true })
  })

  function start(command: string, args: readonly string[], more: Readonly<Record<string, string>>): Output {
    const child = spawn(command, args, { env: { ...process.env, ...more }, stdio: ['ignore', 'pipe', 'pipe'] })
    children.push(child)
    return new Output(child)
  }

  it('a publish to a queue that goes with it is answered', async () => {
    const [near, , doomed] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode]
    const there = await RawClient.withChannel(doomed.broker)
    await there.call(1, 'queue.declare', { queue: 'goes-with-its-node', durable: false })
    await there.call(1, 'queue.bind', { queue: 'goes-with-its-node', exchange: 'amq.topic', routingKey: '#' })
    const here = await RawClient.withChannel(near.broker)
    await here.call(1, 'confirm.select')
    const publish = async (): Promise<string> => {
      here.publish(1, { exchange: 'amq.topic', routingKey: 'a.b', body: 'x', properties: { deliveryMode: 2 } })
      return (await here.next(1, readyMsMax)).name
    }
    assert.equal(await publish(), 'basic.ack')
    await doomed.crash()
    assert.match(await publish(), /^basic\.n?ack$/)
    assert.equal(await publish(), 'basic.ack', 'it finds no queue, as after a deletion')
    here.destroy()
    there.destroy()
    doomed.broker.spawn()
    await doomed.broker.untilListening(readyMsMax)
  })

  const [php, pika, celery] = [phpWithAmqplib(), pythonWithPika(), pythonWithCelery()]
  if (php === null || pika === null) leftOut('the examples on a cluster', 'php-amqplib or python3-pika')
  else {
    it('the examples count every line', async () => {
      const [first, doomed, third] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode]
      const text = join(folder, 'many-lines.txt')
      writeFileSync(text, Array.from({ length: lineCount }, (_, number) => `line ${number} of many\n`).join(''))
      const startWorker = (node: ClusterNode): Output =>
        start(pika, [join(projectRoot, 'examples/worker.py')], { AMQP_URL: node.broker.url })
      const consumerProgram = fileURLToPath(new URL('../../examples/consumer.js', import.meta.url))
      const consumer = start(process.execPath, [consumerProgram, '1'], { AMQP_URL: first.broker.url })
      const worker = startWorker(doomed)
      await worker.until('waiting for lines')
      const producer = start(php, [join(projectRoot, 'examples/producer.php'), text], { AMQP_URL: third.broker.url })
      await eventually('lines have come', async () => (await readyIn(first, 'lines')) > 0, readyMsMax)
      await doomed.crash()
      // Its connection is gone with its node; whoever looks after it starts it again, with another one.
      await worker.ended(null)
      startWorker(third)
      await producer.ended(0)
      await consumer.ended(0)
      assert.match(consumer.text, new RegExp(`^many-lines.txt: ${lineCount} lines, ${4 * lineCount} words`))
      doomed.broker.spawn()
      await doomed.broker.untilListening(readyMsMax)
    })
  }

  if (celery === null) leftOut('Celery on a cluster', 'python3-celery')
  else {
    it('Celery has every result', async () => {
      const results = join(folder, 'results')
      mkdirSync(results)
      const scripts = join(projectRoot, 'test/cluster/python')
      const urls = cluster.nodes.map(({ broker }) => broker.url).join(';')
      const more = { BROKER_URLS: urls, RESULTS: results, PYTHONPATH: scripts, PYTHONDONTWRITEBYTECODE: '1' }
      const args = ['worker', '--pool=threads', '--concurrency=4', '--loglevel=INFO']
      const worker = start(celery, ['-m', 'celery', '-A', 'celery_squares', ...args], more)
      await worker.until('ready.')
      const squares = start(celery, [join(scripts, 'celery_squares.py'), String(taskCount)], more)
      await squares.until('handed out 100')
      // Both are connected to the first one that they know.
      await cluster.node(0).crash()
      await squares.ended(0)
      assert.match(squares.text, new RegExp(`${taskCount} results, all there`))
      worker.child.kill('SIGTERM')
    })
  }
})

async function readyIn({ broker }: ClusterNode, queue: string): Promise<number> {
  const client = await RawClient.withChannel(broker)
  client.send(1, 'queue.declare', { queue, passive: true })
  const answer = await client.next(1)
  client.destroy()
  return answer.name === 'queue.declare-ok' ? Number(answer.args['messageCount']) : 0
}

/** A program that runs beside the test, and what it has printed. */
class Output {
  readonly child: ChildProcess
  readonly #ended: Promise<number | null>
  /** Its standard output … */
  text = ''
  /** … and with it what it says of errors. */
  all = ''

  constructor(child: ChildProcess) {
    this.child = child
    this.#ended = once(child, 'close').then(([code]) => code as number | null)
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.text += text
      this.all += text
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.all += text
    })
  }

  async until(text: string): Promise<void> {
    await eventually(`it prints '${text}'`, () => this.all.includes(text), readyMsMax)
  }

  /** With this status; null: with any. */
  async ended(status: number | null): Promise<void> {
    const timer = setTimeout(() => this.child.kill('SIGKILL'), endMsMax)
    const code = await this.#ended
    clearTimeout(timer)
    if (status !== null) assert.equal(code, status, this.all.slice(-2_000))
  }
}
