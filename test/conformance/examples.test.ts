/** The examples do what their README says: PHP, Python and TypeScript pass the lines of real files through a real broker. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { RawClient } from '../support/amqp/raw-client.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { projectRoot } from '../support/project-root.ts'
import { leftOut, phpWithAmqplib, pythonWithPika, runProgram } from '../support/run-program.ts'

const files = ['LICENSE', 'examples/README.md', 'examples/producer.php'].map((name) => join(projectRoot, name))
const consumerProgram = fileURLToPath(new URL('../../examples/consumer.js', import.meta.url))
const endMsMax = 60_000

const php = phpWithAmqplib()
const python = pythonWithPika()
if (php === null) leftOut('the examples (PHP)', 'php-cli or php-amqplib')
else if (python === null) leftOut('the examples (Python)', 'python3-pika')
else passThrough(php, python)

function passThrough(phpPath: string, pythonPath: string): void {
  void test('lines go from PHP through Python to TypeScript, though a worker is killed on the way', async () => {
    const broker = await BrokerProcess.start()
    const children: ChildProcess[] = []
    after(async () => {
      for (const child of children) child.kill('SIGKILL')
      await broker.stop()
    })
    const env = { AMQP_URL: broker.url }
    const start = (command: string, ...args: string[]): Output => {
      const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] })
      children.push(child)
      return new Output(child)
    }
    await purge(broker)
    const consumer = start(process.execPath, consumerProgram, String(files.length))
    const worker = start(pythonPath, join(projectRoot, 'examples/worker.py'))
    await worker.until('waiting for lines')

    const producer = await runProgram(phpPath, [join(projectRoot, 'examples/producer.php'), ...files], { env })
    assert.equal(producer.status, 0, producer.stderr)
    worker.child.kill('SIGKILL')
    start(pythonPath, join(projectRoot, 'examples/worker.py'))

    await consumer.ended()
    assert.deepEqual(consumer.text.trim().split('\n').sort(), files.map(summary).sort())
    assert.deepEqual(
      producer.stdout.trim().split('\n'),
      files.map((file) => `${basename(file)}: ${linesOf(file).length} lines sent and stored`),
    )
  })
}

/** Computed here, in another way than the examples do. */
function summary(file: string): string {
  const lines = linesOf(file)
  const words =
    lines
      .join('\n')
      .toLowerCase()
      .match(/[\p{L}\p{N}_]+/gu) ?? []
  const counts: [string, number][] = [...new Set(words)]
    .sort()
    .map((word) => [word, words.filter((w) => w === word).length])
  const most = counts.sort((a, b) => b[1] - a[1]).slice(0, 3)
  const shown = most.map(([word, count]) => `${word} (${count})`).join(', ')
  return `${basename(file)}: ${lines.length} lines, ${words.length} words, most often ${shown}`
}

function linesOf(file: string): string[] {
  return readFileSync(file, 'utf8').replace(/\n$/, '').split('\n')
}

/** A broker that is not ours may have lines of an earlier run. */
async function purge(broker: BrokerProcess): Promise<void> {
  const client = await RawClient.withChannel(broker)
  for (const queue of ['lines', 'word-counts']) await client.call(1, 'queue.delete', { queue })
  await client.close()
}

/** A program that runs beside the test, and what it has printed. */
class Output {
  readonly child: ChildProcess
  text = ''

  constructor(child: ChildProcess) {
    this.child = child
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.text += text
    })
  }

  async until(text: string): Promise<void> {
    const signal = AbortSignal.timeout(endMsMax)
    while (!this.text.includes(text)) await once(this.child.stdout ?? this.child, 'data', { signal })
  }

  async ended(): Promise<void> {
    if (this.child.exitCode !== null) return
    const [code] = await once(this.child, 'close', { signal: AbortSignal.timeout(endMsMax) })
    assert.equal(code, 0)
  }
}
