/** `examples/hello` compiles as a user's program does, and does what its README says: in one process, and in three. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { compile, LinkedPackage } from '../support/linked-package.ts'
import { freePort } from '../support/ports.ts'
import { projectRoot } from '../support/project-root.ts'
import { runProgram } from '../support/run-program.ts'

const files = ['producer.ts', 'broker.ts', 'consumer.ts', 'one-process.ts']
const numbers = Array.from({ length: 10 }, (_, index) => index + 1)
const pushed = numbers.map((number) => `pushed ${number}`)
const popped = numbers.map((number) => `popped ${number}`)

describe('examples/hello', () => {
  const installed = new LinkedPackage()
  const children: ChildProcess[] = []
  const program = (name: string): string => join(installed.folder, `${name}.js`)

  before(async () => {
    for (const file of files) copyFileSync(join(projectRoot, 'examples/hello', file), join(installed.folder, file))
    const options = ['--module', 'nodenext', '--rewriteRelativeImportExtensions', '--erasableSyntaxOnly']
    const { status, stdout } = await compile(installed.folder, files, options)
    assert.equal(status, 0, stdout)
  })
  after(() => {
    for (const child of children) child.kill('SIGKILL')
    installed.remove()
  })

  it('runs in one process', async () => {
    const { status, stdout, stderr } = await runProgram(process.execPath, [program('one-process')])
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' })
    const lines = stdout.trim().split('\n')
    assert.deepEqual(
      lines.filter((line) => line.startsWith('pushed')),
      pushed,
    )
    assert.deepEqual(
      lines.filter((line) => line.startsWith('popped')),
      popped,
    )
  })

  it('runs in three processes, and waits for the consumer when five numbers are in it', async () => {
    const port = await freePort()
    const env = { PORT: String(port), DATA: join(installed.folder, 'data'), AMQP_URL: `amqp://127.0.0.1:${port}` }
    const start = (name: string): Printed => {
      const child = spawn(process.execPath, [program(name)], {
        env: { ...process.env, ...env },
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      children.push(child)
      return new Printed(child)
    }
    const broker = start('broker')
    await broker.until(1)
    assert.deepEqual(broker.lines, [`keeping, at ${env.AMQP_URL}`])
    const producer = start('producer')
    await producer.until(5)
    assert.deepEqual(producer.lines, pushed.slice(0, 5))
    const consumer = start('consumer')
    assert.deepEqual(await Promise.all([consumer.ended(), producer.ended()]), [0, 0])
    assert.deepEqual([producer.lines, consumer.lines], [pushed, popped])
    broker.child.kill('SIGTERM')
    assert.equal(await broker.ended(), 0)
  })
})

/** What a program has printed so far. */
class Printed {
  readonly child: ChildProcess
  readonly #closed: Promise<unknown[]>
  #text = ''

  constructor(child: ChildProcess) {
    this.child = child
    this.#closed = once(child, 'close')
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#text += text
    })
  }

  get lines(): string[] {
    return this.#text.split('\n').filter((line) => line !== '')
  }

  async until(count: number): Promise<void> {
    const signal = AbortSignal.timeout(30_000)
    while (this.lines.length < count) await once(this.child.stdout ?? this.child, 'data', { signal })
  }

  async ended(): Promise<unknown> {
    return (await this.#closed)[0]
  }
}
