/**
 * Clients of other languages against a real broker process: pika (Python) and amqp-tools (C, on rabbitmq-c). The PHP
 * client is proved by the examples.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import { BrokerProcess } from '../support/broker-process.ts'
import { projectRoot } from '../support/project-root.ts'
import { hasCommands, leftOut, type ProgramResult, pythonWithPika, runProgram } from '../support/run-program.ts'

const broker = await BrokerProcess.start()
after(() => broker.stop())

const python = pythonWithPika()
if (python === null) leftOut('pika (Python)', 'python3-pika')
else await describePika(python)

const tools = ['amqp-publish', 'amqp-consume', 'amqp-get', 'amqp-declare-queue', 'amqp-delete-queue']
if (hasCommands(...tools)) void describe('amqp-tools', amqpTools)
else leftOut('amqp-tools (C)', 'amqp-tools')

/** The script runs once; what it says of each behaviour becomes a test. */
async function describePika(pythonPath: string): Promise<void> {
  const script = join(projectRoot, 'test/conformance/python/pika_behaviours.py')
  const { status, stdout, stderr } = await runProgram(pythonPath, [script, broker.url], { msMax: 90_000 })
  const results = stdout
    .trim()
    .split('\n')
    .filter((line) => line !== '')
    .map((line): { title: string; error: string | null } => JSON.parse(line))
  void describe('pika', () => {
    void test('the script runs to its end', () => assert.equal(status, 0, stderr))
    void test('it tried every behaviour', () => assert.equal(results.length, 14))
    for (const { title, error } of results) void test(title, () => assert.ok(error === null, error ?? ''))
  })
}

function amqpTools(): void {
  const run = (command: string, args: readonly string[], input: string | Buffer = ''): Promise<ProgramResult> =>
    runProgram(`amqp-${command}`, [`--url=${broker.url}`, ...args], { input, msMax: 20_000 })
  const output = async (command: string, args: readonly string[], input: string | Buffer = ''): Promise<string> => {
    const { status, stdout, stderr } = await run(command, args, input)
    assert.equal(status, 0, stderr)
    return stdout
  }
  const queue = `amqp-tools-${randomBytes(6).toString('hex')}`
  const lines = Array.from({ length: 200 }, (_, i) => `line ${i}\n`)

  /** amqp-publish ends without waiting for anything, so the message may still be on its way. */
  const untilGot = async (): Promise<string> => {
    for (const deadline = Date.now() + 10_000; Date.now() < deadline; ) {
      const { status, stdout } = await run('get', ['-q', queue])
      if (status === 0) return stdout
      assert.equal(status, 2, 'status 2 is an empty queue')
    }
    throw new Error('the message did not come')
  }

  void test('declares a durable queue, again and with other properties', async () => {
    assert.equal((await output('declare-queue', ['-q', queue, '-d'])).trim(), queue)
    assert.equal((await output('declare-queue', ['-q', queue, '-d'])).trim(), queue)
    const other = await run('declare-queue', ['-q', queue])
    assert.equal(other.status, 1)
    assert.match(other.stderr, /inequivalent arg 'durable' for queue/)
  })

  void test('gets nothing from an empty queue', async () => {
    assert.equal((await run('get', ['-q', queue])).status, 2)
  })

  void test('publishes and gets a message with properties', async () => {
    await output('publish', ['-r', queue, '-p', '-C', 'text/plain', '-E', 'utf-8', '-H', 'k: v', '-b', 'hello world'])
    assert.equal(await untilGot(), 'hello world')
  })

  void test('publishes and gets a message of many frames', async () => {
    const body = randomBytes(500_000).toString('hex')
    await output('publish', ['-r', queue], body)
    assert.equal(sha256(await untilGot()), sha256(body))
  })

  void test('publishes lines and consumes them with acks, in order', async () => {
    await output('publish', ['-r', queue, '-l'], lines.join(''))
    const consumed = await output('consume', ['-q', queue, '-c', String(lines.length), '-p', '10', 'cat'])
    assert.equal(consumed.replace(/\n/g, ''), lines.join('').replace(/\n/g, ''))
    assert.equal((await run('get', ['-q', queue])).status, 2, 'every line was acknowledged')
  })

  void test('consumes without acks', async () => {
    await output('publish', ['-r', queue, '-l'], lines.slice(0, 20).join(''))
    const consumed = await output('consume', ['-q', queue, '-A', '-c', '20', 'cat'])
    assert.equal(consumed.replace(/\n/g, ''), lines.slice(0, 20).join('').replace(/\n/g, ''))
  })

  void test('a message whose command failed comes back', async () => {
    await output('publish', ['-r', queue, '-b', 'again'])
    await run('consume', ['-q', queue, '-c', '1', 'false'])
    assert.equal(await untilGot(), 'again')
  })

  void test('deletes the queue and counts its messages', async () => {
    await output('publish', ['-r', queue, '-b', 'left'])
    await output('publish', ['-r', queue, '-b', 'left'])
    await untilGot()
    const refused = await run('delete-queue', ['-q', queue, '-e'])
    assert.ok(refused.status === 1 || refused.stdout.trim() === '0', 'the second one may still be on its way')
    await run('delete-queue', ['-q', queue])
    const missing = await run('get', ['-q', queue])
    assert.equal(missing.status, 1)
    assert.match(missing.stderr, /NOT_FOUND - no queue/)
  })

  void test('a wrong password and a missing vhost are refused', async () => {
    const login = ['--server', broker.host, '--port', String(broker.port), '--username', 'guest', '-q', queue]
    const wrong = await runProgram('amqp-get', [...login, '--password', 'wrong'])
    assert.equal(wrong.status, 1)
    assert.match(wrong.stderr, /ACCESS_REFUSED/)
    const missing = await runProgram('amqp-get', [...login, '--password', broker.password, '--vhost', 'missing'])
    assert.equal(missing.status, 1)
    assert.match(missing.stderr, /vhost missing not found|NOT_ALLOWED|530/)
  })
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
